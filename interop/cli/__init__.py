"""The command ``interop``: one table of subcommands, one module each.

A command's module is light to import: it adds its arguments to a parser and runs, and imports what it needs then.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, cast

import interop
from interop._whole import fault
from interop.cli._arguments import Parser
from interop.cli._extras import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Exit statuses: a check of the command failed; it can't run as it was called, or lacks a library; Ctrl-C.
FAILED: Final = 1
CANT_RUN: Final = 2
INTERRUPTED: Final = 130


class Command(Protocol):
    """What a subcommand's module has."""

    def add_arguments(self, parser: argparse.ArgumentParser, /) -> None:
        """Declare the arguments."""
        ...

    def run(self, arguments: argparse.Namespace, /) -> int:
        """Do it, and return the exit status."""
        ...


@dataclass(frozen=True, slots=True)
class Row:
    """One subcommand: its name, the module that is it, and one line of help."""

    name: str
    module: str
    help: str


#: The subcommands. A new one is one module and one row here.
COMMANDS: Final = (
    Row(
        "conformance", "interop.cli.conformance", "check an array library against the rules of DLPack and the array API"
    ),
    Row("demo", "interop.cli.demo", "hand real tensors over, show every hop, and time it beside the by-hand way"),
    Row("doctor", "interop.cli.doctor", "tell what works here: libraries, routes, plugins and GPU"),
    Row(
        "matrix", "interop.cli.matrix", "measure what crosses between every two frameworks, by hand and through interop"
    ),
)


def build_parser() -> Parser:
    """Return the parser of the whole command line, made from the table of commands."""
    parser = Parser(
        prog="interop",
        description="Hand a tensor from one library to another: one call, any library, no surprises.",
        epilog="interop COMMAND --help tells what a command takes.",
    )
    parser.add_argument("--version", action="version", version=f"interop {interop.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")
    for row in COMMANDS:
        command = cast("Command", importlib.import_module(row.module))
        doc = (command.__doc__ or row.help).strip()
        sub = commands.add_parser(
            row.name, help=row.help, description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        command.add_arguments(sub)
        sub.set_defaults(run=command.run, parser=sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv
        The arguments without the program's name; those of the process where left out.

    Returns
    -------
    int
        The exit status: 0, 1 where a check failed, 2 where the command can't run.
    """
    overwritten = fault()
    if overwritten:
        print(f"interop: {overwritten}", file=sys.stderr)
        return CANT_RUN
    parser = build_parser()
    arguments, left = parser.parse_known_args(argv)
    if left:
        # The command that was named knows what it takes.
        getattr(arguments, "parser", parser).error(f"unrecognized arguments: {' '.join(left)}")
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return CANT_RUN
    try:
        return int(arguments.run(arguments))
    except MissingExtraError as err:
        print(f"interop {arguments.command}: {err}", file=sys.stderr)
        return CANT_RUN
    except BrokenPipeError:  # whoever read our output has seen enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
