"""Check array libraries against the rules of DLPack and the array API standard.

Each broken rule is shown with the place where it is written, what was seen,
and a program in plain Python that shows it, to be pasted into an issue.

A TARGET is package:Type, a module, or a library that is known by name.
The exit status is 1 where a rule is broken that neither --known nor --flaky
names, and where one that --known names isn't broken.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import TYPE_CHECKING, Any

from interop.cli._arguments import nearest, seconds

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

    from interop.testing.conformance import Check, Report, Result


def add_arguments(parser: argparse.ArgumentParser, /) -> None:
    """Declare the arguments."""
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="such as mypackage:MyArray, mypackage or torch")
    parser.add_argument("--make", metavar="MODULE:NAME", help="what makes an array of a numpy array")
    parser.add_argument("--from-dlpack", metavar="MODULE:NAME", help="the consumer")
    parser.add_argument("--to-numpy", metavar="MODULE:NAME", help="what reads the consumer's results")
    parser.add_argument("--readonly", metavar="MODULE:NAME", help="what makes a readonly or immutable array")
    parser.add_argument("--check", action="append", metavar="NAME", dest="checks", help="run this check only; repeat")
    parser.add_argument(
        "--known", action="append", default=[], metavar="NAME", help="a rule that is known to be broken; repeat"
    )
    parser.add_argument(
        "--flaky",
        action="append",
        default=[],
        metavar="NAME",
        help="a rule that is broken by something undefined, which may go well by luck; repeat",
    )
    parser.add_argument(
        "--isolate",
        choices=("risky", "all", "none"),
        default="all",
        help="which checks run in other processes: all (the default), those that libraries have died of, or none",
    )
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=60,
        metavar="S",
        help="what a check in another process may take; longer is a violation (default: 60 seconds)",
    )
    parser.add_argument("--list", action="store_true", help="list the checks, and run nothing")
    parser.add_argument("--json", action="store_true", help="write the whole report as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="show the checks that don't apply, and why")


def run(arguments: argparse.Namespace, /) -> int:
    """Check every target; 1 where a rule is broken, 2 where a target can't be found."""
    from interop.testing import conformance

    if arguments.list:
        print(json.dumps(_rows(), indent=1) if arguments.json else _listed(), end="")
        return 0
    unknown = _unknown(arguments)
    if unknown:
        print(f"interop conformance: {unknown}", file=sys.stderr)
        return 2
    if not arguments.targets:
        print("interop conformance: name a TARGET, such as mypackage:MyArray; --help tells more", file=sys.stderr)
        return 2
    reports: list[Report] = []
    for target in arguments.targets:
        try:
            with _aside() if arguments.json else nullcontext(), _progress(target, plain=arguments.json) as advance:
                report = conformance.check(
                    target,
                    make=arguments.make,
                    from_dlpack=arguments.from_dlpack,
                    to_numpy=arguments.to_numpy,
                    readonly=arguments.readonly,
                    checks=arguments.checks,
                    isolate=arguments.isolate,
                    timeout=arguments.timeout,
                    progress=advance,
                )
        except (LookupError, ValueError) as error:
            hint = nearest(target, conformance.WORLD) if target not in conformance.WORLD else ""
            print(f"interop conformance: {error}{'.' if hint else ''}{hint}", file=sys.stderr)
            return 2
        reports.append(report)
        if not arguments.json:
            _show(report, verbose=arguments.verbose)
    if arguments.json:
        print(json.dumps([report.as_dict() for report in reports], indent=1))
    return int(_unexpected(reports, set(arguments.known), set(arguments.flaky)))


def _unexpected(reports: list[Report], known: set[str], flaky: set[str]) -> bool:
    broken = {result.name for report in reports for result in report.violations}
    kept = known - broken - flaky
    for name in sorted(kept):
        print(f"interop conformance: {name} is known to be broken, and isn't", file=sys.stderr)
    return bool(kept or broken - known - flaky)


def _unknown(arguments: argparse.Namespace) -> str:
    """What is said of the first name of a check that is none; empty where all are."""
    from interop.testing.conformance import CHECKS

    known = [check.name for check in CHECKS]
    for option in ("checks", "known", "flaky"):
        for name in getattr(arguments, option) or ():
            if name not in known:
                flag = "--check" if option == "checks" else f"--{option}"
                hint = nearest(name, known)
                return f"{flag} {name}: no check is named so.{hint} interop conformance --list names all"
    return ""


def _rows() -> list[dict[str, str]]:
    from interop.testing.conformance import CHECKS

    return [{"name": check.name, "rule": check.rule.text, "where": str(check.rule)} for check in CHECKS]


def _listed() -> str:
    from interop.testing.conformance import CHECKS

    width = max(len(check.name) for check in CHECKS)
    lines = (f"{check.name:{width}}  {check.rule.text} ({check.rule})\n" for check in CHECKS)
    return "".join(lines)


def _console() -> Any:
    """Return rich's console for a terminal; None in a pipe, or without rich."""
    if not sys.stdout.isatty():
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(highlight=False)


@contextmanager
def _aside() -> Generator[None, None, None]:
    """Send to stderr what libraries print, from Python and from C, so that stdout has the report alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _progress(target: str, *, plain: bool) -> AbstractContextManager[Callable[[Check], None]]:
    console = None if plain else _console()
    if console is None:
        return nullcontext(lambda _: None)
    return _Status(console, target)


class _Status:
    """A line that says what is being checked, while it is."""

    def __init__(self, console: Any, target: str) -> None:
        self._status, self._target = console.status(f"{target} ..."), target

    def __enter__(self) -> Callable[[Check], None]:
        self._status.start()
        return lambda check: self._status.update(f"{self._target}: {check.name}")

    def __exit__(self, *_: object) -> None:
        self._status.stop()


def _show(report: Report, *, verbose: bool) -> None:
    console = _console()
    shown = [result for result in report if _interesting(result, verbose=verbose)]
    if console is None:
        print("\n\n".join([report.title, *map(str, shown)]))
        return
    from rich.markup import escape
    from rich.panel import Panel
    from rich.syntax import Syntax

    for result in shown:
        style = _STYLES[result.outcome.value]
        console.print(f"[bold {style}]{result.outcome.value}[/]  [bold]{result.name}[/]  {escape(result.seen)}")
        if result.outcome.value in ("not applicable", "not tested"):
            continue
        rule = result.check.rule
        console.print(f"  [dim]the rule:[/] {escape(rule.text)}\n  [dim]{escape(str(rule))}[/]\n  [dim]{rule.url}[/]")
        if result.upstream:
            console.print(f"  [dim]upstream:[/] {escape(result.upstream)}")
        console.print(Panel(Syntax(result.reproducer.rstrip(), "python", word_wrap=True), title="to reproduce"))
    style = "green" if report.ok else "red"
    console.print(f"[bold {style}]{escape(report.title)}[/]")


_STYLES = {
    "conformant": "green",
    "violation": "red",
    "crash": "red",
    "discouraged": "yellow",
    "not applicable": "cyan",
    "not tested": "cyan",
}


def _interesting(result: Result, *, verbose: bool) -> bool:
    return result.broken or result.outcome.value == "discouraged" or (verbose and result.outcome.value != "conformant")
