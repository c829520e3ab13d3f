"""Processes that run a module of ours, and nothing that lies in the current folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

# The folder that this package is in comes last: where it is installed it is found before, and where it isn't, nothing
# that lies beside it takes the place of a library.
_RUN: Final = (
    "import runpy, sys\n"
    "sys.path.append(sys.argv.pop(1))\n"
    "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
)


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module in an interpreter of its own.

    ``python -m`` and ``python -c`` put the current folder first on the path, where a ``numpy.py`` or ``json.py`` would
    be run in place of the library. ``-P`` does without; what ``PYTHONPATH`` names is on the path as ever.
    """
    return [sys.executable, "-P", "-c", _RUN, str(Path(__file__).parents[2]), module, *arguments]
