"""The stage: everything that the demo prints, and the checks that make it fail."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

import interop
from interop.cli._demo.hops import LIBRARIES, Hop, call_text, kind_of, pointer, value, values
from interop.cli._timing import duel, human
from interop.cli._width import console_width

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: Columns where there is no terminal to ask.
_PIPE_WIDTH: Final = 110

_STYLES: Final = {"view": "green", "copy": "yellow", "move": "blue", "refused": "magenta"}


class CheckFailedError(Exception):
    """Something that the demo shows isn't as it should be; the text is a sentence for people."""


class Stage:
    """Prints what happens, keeps what was measured, and stops at the first thing that is wrong.

    Parameters
    ----------
    out
        The folder for files.
    seconds
        How long each hop is timed.
    quiet
        Whether nothing is printed.
    """

    def __init__(self, out: Path, *, seconds: float, quiet: bool = False) -> None:
        self.out = out
        self.hops: list[Hop] = []
        self.checks = 0
        self._seconds = seconds
        self._acts = 0
        self._files: list[tuple[str, Path]] = []
        self._console = Console(highlight=False, width=console_width(_PIPE_WIDTH), quiet=quiet)

    def headline(self, text: str) -> None:
        """Print a line that stands out."""
        self._line(text, "bold")

    def act(self, title: str) -> None:
        """Begin a new part."""
        self._acts += 1
        self._console.print()
        self._line(f"{self._acts}. {title}", "bold cyan")

    def say(self, text: str) -> None:
        """Print what happens, in words."""
        self._console.print()
        self._line(text, indent=3)

    def code(self, text: str) -> None:
        """Print code that has been run."""
        self._line(f">>> {text}", "cyan", indent=3)

    def show(self, label: str, text: str, style: str = "", *, label_style: str = "dim") -> None:
        """Print one labelled fact."""
        self._wrapped(text, style, first=Text.assemble("     ", (f"{label:<9}", label_style)), indent=14)

    def check(self, ok: bool, text: str) -> None:  # noqa: FBT001 - what is checked comes first
        """Print what was found to be so, or stop.

        Raises
        ------
        CheckFailedError
            Where it isn't so.
        """
        if not ok:
            msg = f"it isn't so that {text}"
            raise CheckFailedError(msg)
        self.checks += 1
        self.show("checked", text, label_style="green")

    def hop(self, title: str, source: str, to: str, *, by_hand: str, names: Mapping[str, Any], **options: Any) -> Hop:
        """Hand a tensor over, in both ways, and print everything about it.

        Parameters
        ----------
        title
            What goes where, for the table.
        source
            The name of the tensor among `names`.
        to
            The target framework.
        by_hand
            The code that one would write without this library.
        names
            What the code refers to.
        **options
            Those of :func:`interop.convert`.

        Returns
        -------
        Hop
            With the result.
        """
        x, names = names[source], {"interop": interop, **names}
        call = call_text(source, to, options)
        result, other = value(call, names), value(by_hand, names)
        self._console.print()
        self.code(call)
        plan = self._plan(x, to, options)
        exported = interop.framework(x) not in LIBRARIES
        self._pointers(x, result, plan, exported=exported)
        self.check(values(result) == values(other), "the values are those of the by-hand way, bit for bit")
        times = duel(call, by_hand, names, seconds=self._seconds)
        self.show("by hand", by_hand, "cyan")
        self.show("time", f"{human(times.ours)}, by hand {human(times.by_hand)}: {times.verdict()}")
        self.hops.append(Hop(title, call, by_hand, plan, result, times, exported))
        return self.hops[-1]

    def _plan(self, x: Any, to: str, options: Mapping[str, Any]) -> interop.Plan:
        plan = interop.explain(x, to, **options)
        self._print_plan(plan)
        if plan.certain:
            return plan
        plan = interop.explain(interop.view(x), to, **options)
        self.show("then", "exported, it says:")
        self._print_plan(plan)
        return plan

    def _print_plan(self, plan: interop.Plan) -> None:
        verdict, _, rest = str(plan).partition("\n")
        self._line(verdict, _STYLES[kind_of(plan)], indent=5)
        self._line(rest, indent=5)

    def _pointers(self, x: Any, result: Any, plan: interop.Plan, *, exported: bool) -> None:
        after = pointer(result)
        if exported:
            self.show("pointer", f"{after:#x}, in what a {type(x).__name__} exports, which is new memory each time")
            return
        before = pointer(x)
        self.show("pointer", f"{before:#x} -> {after:#x}")
        if plan.zero_copy:
            self.check(before == after, "the pointers are equal: one memory, two libraries")
        else:
            self.check(not interop.shares_memory(x, result), "the result has memory of its own")

    def refused(self, source: str, to: str, error: type[Exception], *, way: str, x: Any, **options: Any) -> None:
        """Ask for what can't be done, and print the answer.

        Parameters
        ----------
        source
            How the tensor is called.
        to
            The target framework.
        error
            What has to be raised.
        way
            What the error's text has to name.
        x
            The tensor.
        **options
            Those of :func:`interop.convert`.

        Raises
        ------
        CheckFailedError
            Where it isn't refused.
        """
        call = call_text(source, to, options)
        self._console.print()
        self.code(call)
        try:
            value(call, {"interop": interop, source: x})
        except interop.InteropError as err:
            self.show("refused", f"{type(err).__name__}: {err}", _STYLES["refused"])
            self.check(isinstance(err, error) and way in str(err), f"it is {error.__name__} and names the way: {way}")
        else:
            msg = f"{call} should have been refused with {error.__name__}, and wasn't"
            raise CheckFailedError(msg)

    def table(self) -> None:
        """Print every hop with its times."""
        table = Table(box=box.SIMPLE_HEAD if self._console.is_terminal else None, pad_edge=False)
        table.add_column("hop")
        table.add_column("is a")
        for title in ("bytes written", "interop", "by hand", "ratio"):
            table.add_column(title, justify="right")
        for hop in self.hops:
            times = hop.times
            table.add_row(
                Text(hop.title),
                Text(hop.words, _STYLES[hop.kind]),
                f"{hop.written:,}",
                Text(human(times.ours), "bold"),
                human(times.by_hand),
                f"{times.ratio:.2f}x",
            )
        self._console.print(Padding(table, (0, 0, 0, 3), expand=False))
        self._line("ratio: the time by hand over interop's; above 1, interop is faster", "dim", indent=3)

    def saved(self, what: str, name: str, save: Callable[[Path], None]) -> Path:
        """Save a file into the output folder, to be listed at the end."""
        path = self.out / name
        save(path)
        self._files.append((what, path))
        return path

    def files(self) -> None:
        """List what was saved."""
        self._console.print()
        for what, path in self._files:
            self.show("saved", f"{path}  {what}")
        self._console.print()

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        hops = [
            {
                "title": hop.title,
                "call": hop.call,
                "by_hand": hop.by_hand,
                "kind": hop.kind,
                "of_its_export": hop.exported,
                "bytes_written": hop.written,
                "seconds": hop.times.ours,
                "seconds_by_hand": hop.times.by_hand,
            }
            for hop in self.hops
        ]
        files = {str(path): what for what, path in self._files}
        return {"interop": interop.__version__, "checks": self.checks, "hops": hops, "files": files}

    def _line(self, text: str, style: str = "", *, indent: int = 0) -> None:
        for line in text.splitlines():
            self._wrapped(line, style, first=Text(" " * indent), indent=indent)

    def _wrapped(self, text: str, style: str, *, first: Text, indent: int) -> None:
        """Print a line after `first`, and what doesn't fit below it at `indent`."""
        width = max(self._console.width - indent, 20)
        head = first
        for part in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False):
            self._console.print(head + Text(part, style), soft_wrap=True)
            head = Text(" " * indent)
