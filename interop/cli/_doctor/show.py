"""The findings for people: tables in colour on a terminal, the same in plain text elsewhere."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from interop.cli._doctor.findings import Findings, Library

#: How a route is written in the table of pairs, its colour, and what the word means.
_ROUTES: Final = {
    "zero-copy": ("view", "green", "the result is on the same memory: nothing is copied"),
    "copy": ("copy", "yellow", "the result has memory of its own; interop.explain says why"),
    "transfer": ("move", "magenta", "the result is on another device, which the call has to name"),
    "refused": ("refused", "dim", "there is no such conversion; interop.explain says why, and what to call instead"),
    "no device": ("-", "dim", "one of the two computes on devices that this machine hasn't got"),
    "failed": ("FAILED", "bold red", "see below"),
    "crashed": ("CRASHED", "bold red", "see below"),
}
_MADE: Final = frozenset({"zero-copy", "copy", "transfer"})
_STATES: Final = {
    "works": ("green", "it can be imported, and its adapter knows it"),
    "missing": ("dim", "it isn't installed, which is no fault; the note installs it"),
    "broken": ("bold red", "it is installed, and can't be imported or converted; the note says what to do"),
}
#: Less room than this for a text beside what comes first is too little: it goes below, so far from the margin.
_LEAST: Final = 16
_BELOW: Final = "    "

_COMPILED: Final = "*: compiled; from the second such call on no Python of interop runs"

#: One cell: a text and a style.
Cell = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its title, its columns (without headings where these are empty), its rows, and what its words mean.

    A `whole` one has words in its cells that aren't broken: what doesn't fit beside goes below, as a table of its own.
    Of any other the last column is a note, which may be broken.
    """

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    legend: list[Cell] = field(default_factory=list)
    whole: bool = False


def tables(found: Findings) -> list[Table]:
    """Return everything that is shown."""
    shown = [
        Table("this installation", ["", ""], [[(name, "bold"), (text, "")] for name, text in found.here.items()]),
        Table(
            "libraries",
            ["name", "version", "state", "note"],
            [_library(one) for one in found.libraries],
            _meanings(_STATES, (one.state for one in found.libraries)),
        ),
    ]
    if found.pairs:
        shown.append(_pairs(found))
    shown.append(Table("GPU", ["", ""], _gpu(found)))
    return shown


def _meanings(words: Mapping[str, tuple[str, str]], used: Iterable[str]) -> list[Cell]:
    met = set(used)
    return [(f"{word}: {meaning}", style) for word, (style, meaning) in words.items() if word in met]


def _library(one: Library) -> list[Cell]:
    note = one.error or (one.mend if one.state == "missing" else f"imported in {one.seconds:.1f} s")
    if one.state == "broken" and one.mend:
        note = f"{note.rstrip('.')}. Try: {one.mend}"
    if one.origin != "built-in":
        note = f"adapter: {one.origin}; {note}"
    return [(one.name, "bold"), (one.version, ""), (one.state, _STATES[one.state][0]), (note, "")]


def _pairs(found: Findings) -> Table:
    targets = list(dict.fromkeys(one["target"] for one in found.pairs))
    sources = list(dict.fromkeys(one["source"] for one in found.pairs))
    at = {(one["source"], one["target"]): one for one in found.pairs}
    rows: list[list[Cell]] = []
    for source in sources:
        row: list[Cell] = [(source, "bold")]
        for target in targets:
            one = at.get((source, target))
            word, style, _ = _ROUTES[one["route"]] if one else ("", "", "")
            row.append((word + ("*" if one and _fast(one) else ""), style))
        rows.append(row)
    seen = {one["route"] for one in found.pairs}
    legend = [(f"{word}: {meaning}", style) for route, (word, style, meaning) in _ROUTES.items() if route in seen]
    if any(map(_fast, found.pairs)):
        legend.append((_COMPILED, ""))
    title = "pairs of float32 arrays, from (down) to (across)"
    return Table(title, ["", *targets], rows, legend, whole=True)


def _fast(one: dict[str, Any]) -> bool:
    return bool(one.get("hot")) and one["route"] in _MADE


def _gpu(found: Findings) -> list[list[Cell]]:
    rows: list[list[Cell]] = [
        [("driver", "bold"), (f"CUDA {found.gpu['driver']}" if found.gpu["driver"] else "none: no NVIDIA driver", "")]
    ]
    for name, gpu in found.gpu.items():
        if name == "driver":
            continue
        devices = ", ".join(gpu["devices"]) or f"no device{': ' + gpu['error'] if gpu.get('error') else ''}"
        built = f"built for CUDA {gpu['built_for']}" if gpu["built_for"] else "built without CUDA"
        rows.append([(name, "bold"), (f"{built}; {devices}", "")])
    return rows


def verdict(found: Findings) -> list[str]:
    """Return what it comes to, one line each."""
    checked = sum(one["route"] in _MADE for one in found.pairs)
    if not found.problems:
        made = f"{checked} conversion{'s' * (checked != 1)} made, and every value came out as it went in"
        return [f"All is well: {made}." if checked else "Nothing is broken, and there was nothing to convert."]
    count = len(found.problems)
    return [f"{count} problem{'s' * (count != 1)}:", *(f"  - {problem}" for problem in found.problems)]


def plain(found: Findings, width: int | None = None) -> str:
    """Return the report as text, for a pipe or a file: in lines of that width, or as long as they are."""
    lines: list[str] = []
    for table in tables(found):
        lines += [table.title, "-" * len(table.title)]
        for part in _fitting(table, width) if table.whole and width is not None else [table]:
            lines += _lines(part, width)
        lines += [line for text, _ in table.legend for line in _wrapped(text, width, "  ", "      ")]
        lines.append("")
    return "\n".join([*lines, *(line for text in verdict(found) for line in _wrapped(text, width, "", "    "))])


def _lines(table: Table, width: int | None) -> list[str]:
    cells = [[text for text, _ in row] for row in table.rows]
    if any(table.columns):
        cells.insert(0, table.columns)
    widths = [max(len(row[place]) for row in cells) for place in range(len(table.columns))]
    before = sum(widths[:-1]) + 2 * (len(widths) - 1)
    lines: list[str] = []
    for row in cells:
        head = "".join(text.ljust(size + 2) for text, size in zip(row[:-1], widths[:-1], strict=True))
        lines += _wrapped(row[-1], width, head, " " * before)
    return lines


def _wrapped(text: str, width: int | None, first: str, later: str) -> list[str]:
    if width is None or len(first) + len(text) <= width:
        return [f"{first}{text}".rstrip()]
    if len(first) > len(_BELOW) and width - len(first) < max(_LEAST, *map(len, text.split())):
        return [first.rstrip(), *_wrapped(text, width, _BELOW, _BELOW)]
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _fitting(table: Table, width: int) -> list[Table]:
    """Split a table into several with as many columns as there is room for, each with the first column."""
    needed = [
        max(len(row[at][0]) for row in [[(name, "") for name in table.columns], *table.rows]) + 2
        for at in range(len(table.columns))
    ]
    parts: list[list[int]] = [[]]
    for at in range(1, len(needed)):
        if parts[-1] and needed[0] + sum(needed[other] for other in (*parts[-1], at)) > width + 2:
            parts.append([])
        parts[-1].append(at)
    return [
        Table(
            table.title,
            [table.columns[at] for at in (0, *part)],
            [[row[at] for at in (0, *part)] for row in table.rows],
            table.legend,
            table.whole,
        )
        for part in parts
    ]


def in_colour(found: Findings, console: Any) -> None:
    """Print the report on a rich console."""
    from rich.table import Table as Drawn
    from rich.text import Text

    for table in tables(found):
        console.print(Text(table.title, style="bold cyan"))
        for part in _fitting(table, console.width) if table.whole else [table]:
            drawn = Drawn(show_header=any(part.columns), header_style="dim", box=None, pad_edge=False)
            for index, column in enumerate(part.columns):
                # Words are whole; only a note, the last column of the other tables, may be broken.
                note = index == len(part.columns) - 1 and not part.whole
                drawn.add_column(column, no_wrap=not note, overflow="fold")
            for row in part.rows:
                drawn.add_row(*(Text(text, style=style) for text, style in row))
            console.print(drawn)
        for text, style in table.legend:
            console.print(Text(f"  {text}", style=style))
        console.print()
    style = "bold red" if found.problems else "bold green"
    for line in verdict(found):
        console.print(Text(line, style=style))
