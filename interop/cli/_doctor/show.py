"""The findings for people: tables in colour on a terminal, the same in plain text elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from interop.cli._doctor.findings import Findings, Library

#: How a route is written in the table of pairs, its colour, and what the word means.
_ROUTES: Final = {
    "zero-copy": ("view", "green", "the result is on the same memory"),
    "copy": ("copy", "yellow", "the result is a copy"),
    "transfer": ("move", "magenta", "to another device, which has to be named"),
    "refused": ("refused", "dim", "can't be; interop.explain says why"),
    "no device": ("-", "dim", "one of them has no device here"),
    "failed": ("FAILED", "bold red", "see below"),
    "crashed": ("CRASHED", "bold red", "see below"),
}
_MADE: Final = frozenset({"zero-copy", "copy", "transfer"})
_STATES: Final = {"works": "green", "missing": "dim", "broken": "bold red"}

#: One cell: a text and a style.
Cell = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its title, its columns (without headings where these are empty), its rows, and what its words mean."""

    title: str
    columns: list[str]
    rows: list[list[Cell]]
    legend: list[Cell] = field(default_factory=list)


def tables(found: Findings) -> list[Table]:
    """Return everything that is shown."""
    shown = [
        Table("this installation", ["", ""], [[(name, "bold"), (text, "")] for name, text in found.here.items()]),
        Table("libraries", ["name", "version", "state", "note"], [_library(one) for one in found.libraries]),
    ]
    if found.pairs:
        shown.append(_pairs(found))
    shown.append(Table("GPU", ["", ""], _gpu(found)))
    return shown


def _library(one: Library) -> list[Cell]:
    note = one.error or (one.mend if one.state == "missing" else f"imported in {one.seconds:.1f} s")
    if one.state == "broken" and one.mend:
        note = f"{note.rstrip('.')}. Try: {one.mend}"
    if one.origin != "built-in":
        note = f"adapter: {one.origin}; {note}"
    return [(one.name, "bold"), (one.version, ""), (one.state, _STATES[one.state]), (note, "")]


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
        legend.append(("*: without planning", ""))
    return Table("pairs, of float32: from (down) to (across)", ["", *targets], rows, legend)


def _fast(one: dict[str, Any]) -> bool:
    return bool(one.get("hot")) and one["route"] in _MADE


def _gpu(found: Findings) -> list[list[Cell]]:
    rows: list[list[Cell]] = [
        [("driver", "bold"), (f"CUDA {found.gpu['driver']}" if found.gpu["driver"] else "none", "")]
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


def plain(found: Findings) -> str:
    """Return the report as text, for a pipe or a file."""
    lines: list[str] = []
    for table in tables(found):
        lines += [table.title, "-" * len(table.title)]
        cells = [[text for text, _ in row] for row in table.rows]
        if any(table.columns):
            cells.insert(0, table.columns)
        widths = [max(len(row[place]) for row in cells) for place in range(len(table.columns))]
        lines += [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        lines += [f"  {text}" for text, _ in table.legend]
        lines.append("")
    return "\n".join([*lines, *verdict(found)])


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
        )
        for part in parts
    ]


def in_colour(found: Findings, console: Any) -> None:
    """Print the report on a rich console."""
    from rich.table import Table as Drawn
    from rich.text import Text

    for table in tables(found):
        console.print(Text(table.title, style="bold cyan"))
        for part in _fitting(table, console.width) if table.legend else [table]:
            drawn = Drawn(show_header=any(part.columns), header_style="dim", box=None, pad_edge=False)
            for index, column in enumerate(part.columns):
                # Words are whole; only a note, the last column of the other tables, may be broken.
                note = index == len(part.columns) - 1 and not part.legend
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
