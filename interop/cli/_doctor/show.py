"""The findings for people: tables in colour on a terminal, the same in plain text elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from interop.cli._doctor.findings import Findings

#: How a route is written in the table of pairs, and its colour.
_ROUTES: Final = {
    "zero-copy": ("view", "green"),
    "copy": ("copy", "yellow"),
    "transfer": ("move", "magenta"),
    "refused": ("no", "dim"),
    "no device": ("-", "dim"),
    "failed": ("FAILED", "bold red"),
    "crashed": ("CRASHED", "bold red"),
}
_STATES: Final = {"works": "green", "missing": "dim", "broken": "bold red"}

#: One table: its title, its columns, its rows of cells, each a text and a style.
Cell = tuple[str, str]
Table = tuple[str, list[str], list[list[Cell]]]


def tables(found: Findings) -> list[Table]:
    """Return everything that is shown."""
    libraries: list[list[Cell]] = []
    for one in found.libraries:
        note = one.error or (one.mend if one.state == "missing" else f"imported in {one.seconds:.1f} s")
        libraries.append(
            [(one.name, "bold"), (one.version, ""), (one.state, _STATES[one.state]), (one.origin, "dim"), (note, "")]
        )
    shown = [("here", ["", ""], [[(name, "bold"), (text, "")] for name, text in found.here.items()])]
    shown.append(("libraries", ["name", "version", "state", "adapter", ""], libraries))
    if found.pairs:
        shown.append(_pairs(found))
    shown.append(("GPU", ["", ""], _gpu(found)))
    return shown


def _pairs(found: Findings) -> Table:
    targets = list(dict.fromkeys(one["target"] for one in found.pairs))
    sources = list(dict.fromkeys(one["source"] for one in found.pairs))
    at = {(one["source"], one["target"]): one for one in found.pairs}
    rows: list[list[Cell]] = []
    for source in sources:
        row: list[Cell] = [(source, "bold")]
        for target in targets:
            one = at.get((source, target), {"route": ""})
            word, style = _ROUTES.get(one["route"], ("", ""))
            row.append((word + ("*" if one.get("hot") else ""), style))
        rows.append(row)
    title = (
        "float32, from (down) to (across): view is zero-copy, copy, move is to a device that was named, no is refused, "
        "- has no device here; * is a call without planning"
    )
    return (title, ["", *targets], rows)


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
    checked = sum(one["route"] in {"zero-copy", "copy", "transfer"} for one in found.pairs)
    if not found.problems:
        return [f"All is well: {checked} conversions made, and every value came out as it went in."]
    count = len(found.problems)
    return [f"{count} problem{'s' * (count != 1)}:", *(f"  - {problem}" for problem in found.problems)]


def plain(found: Findings) -> str:
    """Return the report as text, for a pipe or a file."""
    lines: list[str] = []
    for title, columns, rows in tables(found):
        lines += [title, "-" * len(title)]
        cells = [[text for text, _ in row] for row in rows]
        if any(columns):
            cells.insert(0, columns)
        widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
        lines += [
            "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in cells
        ]
        lines.append("")
    return "\n".join([*lines, *verdict(found)])


def in_colour(found: Findings, console: Any) -> None:
    """Print the report on a rich console."""
    from rich.table import Table as Drawn
    from rich.text import Text

    for title, columns, rows in tables(found):
        drawn = Drawn(title=title, title_justify="left", title_style="bold cyan", show_header=any(columns), box=None)
        for column in columns:
            drawn.add_column(column, no_wrap=column != "", overflow="fold")
        for row in rows:
            drawn.add_row(*(Text(text, style=style) for text, style in row))
        console.print(drawn)
        console.print()
    style = "bold red" if found.problems else "bold green"
    for line in verdict(found):
        console.print(Text(line, style=style))
