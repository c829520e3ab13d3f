"""The demo: its acts in order, and what they leave behind."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import interop
from interop.cli._demo import chart, cuda, file, image, refusals, weights
from interop.cli._demo.libraries import load
from interop.cli._demo.stage import CheckFailedError, Stage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["CheckFailedError", "play"]

ACTS: Final[tuple[Callable[[Stage], None], ...]] = (weights.act, image.act, file.act, refusals.act, cuda.act)


def play(out: Path, *, seconds: float, quiet: bool = False) -> Stage:
    """Play every act, then show the table of times and save its picture.

    Parameters
    ----------
    out
        The folder for the pictures.
    seconds
        How long each hop is timed.
    quiet
        Whether nothing is printed.

    Returns
    -------
    Stage
        With all that was measured.

    Raises
    ------
    CheckFailedError
        Where something isn't as it should be.
    """
    start = time.perf_counter()
    # The two ways are compared, not the number of cores; and on a busy machine torch's threads wait for one another.
    load("torch").set_num_threads(1)
    stage = Stage(out, seconds=seconds, quiet=quiet)
    stage.headline(f"interop {interop.__version__}: {chart.versions()}")
    for act in ACTS:
        act(stage)
    stage.act("What the hops cost")
    stage.table()
    stage.saved("the table as a picture", "timings.png", lambda path: chart.draw(stage.hops, path))
    stage.files()
    stage.headline(f"{stage.checks} checks passed in {time.perf_counter() - start:.1f} s.")
    return stage
