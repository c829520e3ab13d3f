"""Measure what crosses between every two frameworks that are installed.

Every pair of kinds of arrays, every element type and layout, readonly or not:
by the calls that people write by hand, and by interop. Each call is judged by
looking at memory, in processes that may crash. The results go into a folder as
JSON, as Markdown and as pictures, and are kept by version, so that a second
run measures only what has changed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from interop.cli._arguments import count
from interop.cli._extras import need

if TYPE_CHECKING:
    import argparse

#: What the command imports, and the extra that brings it.
NEEDS: Final = {"rich": "cli"}
PICTURES: Final = {"matplotlib": "demo"}


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def add_arguments(parser: argparse.ArgumentParser, /) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("--only", type=_names, metavar="NAMES", help="the kinds of arrays to measure, such as torch,jax")
    add("--with", type=_names, dest="one_of", metavar="NAMES", help="only the pairs that have one of these on a side")
    add("--dtypes", type=_names, metavar="NAMES", help="the element types to measure (default: all)")
    add("--layouts", type=_names, metavar="NAMES", help="the layouts to measure (default: all)")
    add("--out", type=Path, metavar="DIR", help="write matrix.json, matrix.md and the pictures into this folder")
    add("--json", action="store_true", help="print the results as JSON, and nothing else")
    add("--merge", type=Path, nargs="+", metavar="FILE", help="measure nothing: put these matrix.json together")
    add(
        "--jobs",
        type=count,
        default=os.cpu_count() or 1,
        metavar="N",
        help="processes at a time (default: %(default)s)",
    )
    add("--cache", type=Path, metavar="DIR", help="where results are kept (default: the user's cache folder)")
    add("--fresh", action="store_true", help="measure everything anew")


def run(arguments: argparse.Namespace, /) -> int:
    """Measure or merge, show and write; 1 where a cell isn't as it should be."""
    need(NEEDS | (PICTURES if arguments.out else {}))
    from interop.cli._matrix import command

    try:
        matrix = command.merged(arguments.merge) if arguments.merge else command.measured(arguments)
        if arguments.out:
            arguments.out.mkdir(parents=True, exist_ok=True)
            command.write(matrix, arguments.out)
    except (OSError, command.UnknownNameError, ValueError) as err:
        print(f"interop matrix: {err}", file=sys.stderr)
        return 2
    if arguments.json:
        print(json.dumps(matrix.to_json(), ensure_ascii=False))
    else:
        command.show(matrix)
    return 1 if command.failed(matrix) else 0
