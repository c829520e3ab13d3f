"""The command's parts: measure with progress, merge, write, show."""

from __future__ import annotations

import datetime as dt
import platform
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import interop
from interop.cli._arguments import nearest
from interop.cli._matrix import cache, report, verdict
from interop.cli._matrix.cells import DTYPES, LAYOUTS
from interop.cli._matrix.hands import ROWS, installed
from interop.cli._matrix.results import Matrix, load, merge
from interop.cli._matrix.runner import Event, measure_all
from interop.cli._matrix.worker import Job

if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Sequence


class UnknownNameError(Exception):
    """What was asked for is nothing that can be measured."""


def _known(given: Sequence[str] | None, known: Collection[str], what: str) -> None:
    strange = [name for name in given or () if name not in known]
    if strange:
        msg = f"no {what} {', '.join(strange)}.{nearest(strange[0], known)} There are {', '.join(known)}"
        raise UnknownNameError(msg)


def chosen(only: Sequence[str] | None) -> list[str]:
    """The kinds of arrays to measure: those asked for, or all that are installed."""
    _known(only, ROWS, "kind of array")
    here = installed()
    missing = [name for name in only or () if name not in here]
    if missing:
        msg = f"not installed: {', '.join(missing)}"
        raise UnknownNameError(msg)
    return here if only is None else [name for name in here if name in only]


def environment(names: Sequence[str]) -> dict[str, Any]:
    """What the results depend on, in words."""
    return {
        "interop": interop.__version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "versions": cache.versions(names),
    }


def measured(arguments: argparse.Namespace) -> Matrix:
    """Measure what isn't kept from before, and show how far that is.

    Raises
    ------
    UnknownNameError
        If a name that was asked for is none.
    """
    names = chosen(arguments.only)
    _known(arguments.one_of, names, "kind of array")
    _known(arguments.dtypes, DTYPES, "element type")
    _known(arguments.layouts, LAYOUTS, "layout")
    matrix = Matrix([environment(names)])
    store = cache.Cache(arguments.cache or cache.folder())
    keys = {
        (source, target): cache.key(source, target, arguments.dtypes, arguments.layouts)
        for source in names
        for target in names
        if ROWS[target].is_target and (arguments.one_of is None or {source, target} & set(arguments.one_of))
    }
    jobs: list[Job] = []
    for (source, target), name in keys.items():
        kept = None if arguments.fresh else store.get(source, target, name)
        if kept is None:
            jobs.append(Job(source, target, arguments.dtypes, arguments.layouts))
        else:
            matrix.add(kept)
    lock = threading.Lock()

    def take(event: Event) -> None:
        progress.tell(event)
        with lock:
            if event.pair is not None:
                store.put(event.pair, keys[event.source, event.target])
                if any(event.pair.found.values()):
                    matrix.add(event.pair)
            elif event.why:
                matrix.absent[f"{event.source} to {event.target}"] = event.why

    with report.Progress(len(keys), len(keys) - len(jobs)) as progress:
        measure_all(jobs, max(arguments.jobs, 1), take)
    return matrix


def merged(paths: Sequence[Path]) -> Matrix:
    """Put the matrices of several environments together."""
    return merge(load(path) for path in paths)


def write(matrix: Matrix, folder: Path) -> None:
    """Write a matrix as JSON, as Markdown and as pictures."""
    from interop.cli._matrix import pictures

    matrix.dump(folder / "matrix.json")
    (folder / "matrix.md").write_text(report.markdown(matrix), encoding="utf-8")
    pictures.draw_pairs(matrix, folder / "matrix-pairs.png")
    pictures.draw_dtypes(matrix, folder / "matrix-dtypes.png")


def show(matrix: Matrix) -> None:
    """Print what was found, for people."""
    report.show(matrix)


def failed(matrix: Matrix) -> bool:
    """Tell whether a cell isn't as it should be."""
    found = verdict.account(matrix)
    return bool(found.open or found.stale)
