"""Hand real tensors from library to library, before your eyes.

The bfloat16 weights of a torch model are changed by numpy; a Pillow image is
filtered by torch; a file that numpy maps readonly stays as it is; what would
come out wrong is put right or refused; and where there is a CUDA device, a
tensor goes from torch to cupy to the host. Each hop shows its pointers, its
route, whether it is a view or a copy and why, and its time beside the by-hand
way. The pictures go into a folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from interop.cli._arguments import seconds_or_none
from interop.cli._extras import need

if TYPE_CHECKING:
    import argparse

#: What the demo imports, and the extra that brings it.
NEEDS: Final = {"rich": "demo", "matplotlib": "demo", "PIL": "demo", "torch": "torch"}


def add_arguments(parser: argparse.ArgumentParser, /) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("interop-demo"),
        metavar="DIR",
        help="where the pictures go (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=seconds_or_none,
        default=0.3,
        metavar="S",
        help="how long each hop is timed (default: %(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the hops, the files and the checks as JSON, and nothing else"
    )


def run(arguments: argparse.Namespace, /) -> int:
    """Play the whole demo; 1 where something wasn't as it should be."""
    need(NEEDS)
    from interop.cli._demo import CheckFailedError, play

    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except OSError as err:
        print(
            f"interop demo: can't make the folder {arguments.out} ({err.strerror}): name another by --out",
            file=sys.stderr,
        )
        return 2
    try:
        stage = play(arguments.out, seconds=arguments.seconds, quiet=arguments.json)
    except CheckFailedError as err:
        print(f"interop demo: a check failed: {err}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(stage.as_dict(), indent=1))
    return 0
