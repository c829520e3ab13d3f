"""Tell what works here: libraries, routes, plugins and GPU.

Every library that has an adapter is imported in a process of its own, so that
one that crashes is a finding and no more; then a small tensor is handed from
each to each, and what comes out is checked. Exit status: 0 where all is well,
1 where something is broken (a library that can't be imported, a plugin, a
conversion), 2 where the command can't run. What isn't installed isn't broken.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from interop.cli._arguments import nearest, seconds
from interop.cli._width import pipe_width

if TYPE_CHECKING:
    import argparse

    from rich.console import Console

    from interop.cli._doctor.findings import Findings


def add_arguments(parser: argparse.ArgumentParser, /) -> None:
    """Declare the arguments."""
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY", help="look at these only")
    parser.add_argument("--json", action="store_true", help="print JSON, for programs")
    parser.add_argument("--svg", type=Path, metavar="PATH", help="also draw the report as it looks on a terminal")
    parser.add_argument(
        "--timeout", type=seconds, default=120, metavar="S", help="what one library may take to import (default: 120)"
    )


def run(arguments: argparse.Namespace, /) -> int:
    """Look, print, and say by the exit status whether all is well."""
    import interop
    from interop.cli._doctor import show
    from interop.cli._doctor.findings import examine

    known = interop.adapters()
    unknown = [name for name in arguments.libraries if name not in known]
    if unknown:
        print(
            f"interop doctor: no library {', '.join(unknown)} has an adapter.{nearest(unknown[0], known)} "
            f"Known are {', '.join(known)}",
            file=sys.stderr,
        )
        return 2
    console = None if arguments.json else _console()
    if console is not None:
        with console.status("looking") as status:
            found = examine(arguments.libraries, arguments.timeout, status.update)
        show.in_colour(found, console)
    else:
        found = examine(arguments.libraries, arguments.timeout, lambda _what: None)
        print(found.as_json() if arguments.json else show.plain(found, pipe_width()))
    if arguments.svg is not None:
        try:
            _draw(arguments.svg, found)
        except OSError as err:
            print(f"interop doctor: can't write {arguments.svg} ({err.strerror}): name another --svg", file=sys.stderr)
            return 2
    return 1 if found.problems else 0


def _console() -> Console | None:
    """Return a rich console where there is a terminal and rich; else None."""
    if not sys.stdout.isatty():
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console()


def _draw(path: Path, found: Findings) -> None:
    import io

    from interop.cli._doctor import show
    from interop.cli._extras import need

    need({"rich": "cli"})
    from rich.console import Console

    console = Console(record=True, width=132, file=io.StringIO(), force_terminal=True)
    show.in_colour(found, console)
    console.save_svg(str(path), title="interop doctor")
