"""The picture of the timing table."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import TYPE_CHECKING, Any, Final

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from interop.cli._demo.libraries import load
from interop.cli._timing import EVEN, human

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from interop.cli._demo.hops import Hop

_INK: Final = "#1f2937"
_SOFT: Final = "#6b7280"
_OURS: Final = {"view": "#0f766e", "copy": "#b45309", "move": "#1d4ed8"}
_BY_HAND: Final = "#cbd5e1"

#: The libraries whose versions matter to the times; one that isn't installed isn't named.
_LIBRARIES: Final = ("torch", "numpy", "pillow", "cupy-cuda13x", "cupy-cuda12x")


def versions() -> str:
    """Python, the libraries, the machine and its GPU, in one line."""
    found = []
    for name in _LIBRARIES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    cuda = load("torch").cuda
    devices = [cuda.get_device_name()] if cuda.is_available() else []
    return ", ".join(
        [f"Python {platform.python_version()}", *found, f"{platform.system()} {platform.machine()}", *devices]
    )


def draw(hops: Sequence[Hop], path: Path) -> None:
    """Draw two bars a hop, ours and by hand, on a logarithmic axis, with the times written out.

    Parameters
    ----------
    hops
        What was measured, drawn from top to bottom.
    path
        The file to save, a PNG.
    """
    figure = Figure(figsize=(12, 1.6 + 0.8 * len(hops)), layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    left = _frame(axes, hops)
    for row, hop in enumerate(hops):
        _bars(axes, row, hop, left)
        _words(axes, row, hop)
    views = sum(hop.kind == "view" for hop in hops)
    _heading(
        figure, f"interop copies not one byte in {views} of {len(hops)} hops", fontsize=17, weight="bold", color=_INK
    )
    repeats = min(hop.times.repeats for hop in hops)
    note = f"Least of at least {repeats} interleaved repeats, torch on one thread. {versions()}."
    figure.supxlabel(note, x=0.01, ha="left", fontsize=8.5, color=_SOFT)
    figure.savefig(path, dpi=140)


def _heading(figure: Figure, text: str, **style: Any) -> None:
    figure.suptitle(text, x=0.01, ha="left", **style)


def _frame(axes: Any, hops: Sequence[Hop]) -> float:
    """Set up the axes for all the times, and return where the bars begin."""
    times = [seconds for hop in hops for seconds in (hop.times.ours, hop.times.by_hand)]
    left, right = min(times) / 3, max(times) * 4  # room for the label of the longest bar
    axes.set(xscale="log", xlim=(left, right), ylim=(len(hops) - 0.45, -0.55))
    axes.set_yticks([])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _label(seconds)))
    axes.tick_params(axis="x", which="both", length=0, colors=_SOFT, labelsize=9.5)
    axes.grid(axis="x", color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("time of one hop, logarithmic: interop in colour, by hand in grey", fontsize=10, color=_SOFT)
    return left


def _bars(axes: Any, row: int, hop: Hop, left: float) -> None:
    ours, times = _OURS[hop.kind], hop.times
    for offset, seconds, fill, ink in ((-0.17, times.ours, ours, ours), (0.17, times.by_hand, _BY_HAND, _SOFT)):
        axes.barh(row + offset, seconds - left, left=left, height=0.32, color=fill)
        axes.text(seconds * 1.08, row + offset, _label(seconds), va="center", fontsize=10.5, color=ink, weight="bold")


def _words(axes: Any, row: int, hop: Hop) -> None:
    """What stands left and right of a hop's bars: its name and call; who wins, and what was copied."""
    beside = {"transform": axes.get_yaxis_transform(), "va": "center"}
    before, after = beside | {"ha": "right", "x": -0.015}, beside | {"ha": "left", "x": 1.0}
    axes.text(y=row - 0.13, s=hop.title.replace("->", "\N{RIGHTWARDS ARROW}"), fontsize=12, color=_INK, **before)
    axes.text(y=row + 0.19, s=hop.call, fontsize=8.5, color=_SOFT, family="monospace", **before)
    axes.text(y=row - 0.13, s=_winner(hop.times.ratio), fontsize=12, weight="bold", color=_INK, **after)
    axes.text(
        y=row + 0.19, s=f"{hop.words}, {hop.written:,} bytes written", fontsize=9.5, color=_OURS[hop.kind], **after
    )


def _label(seconds: float) -> str:
    return human(seconds).replace("us", "\N{MICRO SIGN}s")


def _winner(ratio: float) -> str:
    if ratio >= EVEN:
        return f"{ratio:,.3g}\N{MULTIPLICATION SIGN} faster"
    return "as fast" if ratio > 1 / EVEN else f"{1 / ratio:,.3g}\N{MULTIPLICATION SIGN} slower"
