"""Writes results: a table for people, plain lines for a pipe, markdown for the docs, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, Any, Final

from benchmarks.budgets import Result, Verdict

_STYLES: Final = {
    Verdict.NONE: "",
    Verdict.MET: "green",
    Verdict.CLOSE: "yellow",
    Verdict.MISSED: "bold red",
    Verdict.ABSENT: "dim",
    Verdict.REFUSED: "dim",
    Verdict.FAILED: "bold red",
}

#: Rounds that disagree by this much with their minimum were disturbed.
_NOISY: Final = 0.15


@dataclass(frozen=True)
class Line:
    """A result as text."""

    call: str
    against: str
    ours: str
    theirs: str
    figure: str
    limit: str
    verdict: str


HEADINGS: Final = Line("call", "against", "ours", "theirs", "ratio", "at most", "verdict")


def line(result: Result) -> Line:
    """Put a result in words and figures."""
    notes = [str(result.verdict), result.note]
    if result.figure and result.median and abs(result.median / result.figure - 1) > _NOISY:
        notes.append(f"noisy: median {result.median:.2f}")
    return Line(
        call=result.call,
        against=result.against,
        ours=_amount(result.ours, result.unit),
        theirs=_amount(result.theirs, result.unit),
        figure=_figure(result.figure, result.unit),
        limit=_figure(result.limit, result.unit),
        verdict="; ".join(note for note in notes if note),
    )


def _amount(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "ns" and value >= 1e6:
        return f"{value / 1e6:,.2f} ms"
    return f"{value:,.0f} {unit}"


def _figure(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if unit == "ns" else f"{value:+.1f} {unit}"


def sections(results: Iterable[Result]) -> Iterable[tuple[str, str, list[Result]]]:
    """Results that belong together: section, what is handed over, results."""
    for (section, given), group in groupby(results, key=lambda result: (result.section, result.given)):
        yield section, given, list(group)


def summary(results: Sequence[Result]) -> str:
    """How it ended, in a line."""
    judged = [result for result in results if result.limit is not None]
    met, close = (sum(result.verdict is verdict for result in judged) for verdict in (Verdict.MET, Verdict.CLOSE))
    missed, failed = (
        sum(result.verdict is verdict for result in results) for verdict in (Verdict.MISSED, Verdict.FAILED)
    )
    text = f"{len(results)} results, {len(judged)} budgets: {met} met"
    text += f", {close} over by less than the tolerance" if close else ""
    text += f", {missed} MISSED" if missed else ""
    return text + (f"; {failed} FAILED" if failed else "")


def show(results: Sequence[Result], machine: str, out: IO[str]) -> None:
    """Print the table: in colour on a terminal that rich can draw on, else in plain columns."""
    if out.isatty():
        try:
            _show_rich(results, machine, out)
        except ImportError:
            pass
        else:
            return
    out.write(plain(results, machine))


def plain(results: Sequence[Result], machine: str) -> str:
    """The table in plain columns."""
    rows = [HEADINGS, *map(line, results)]
    texts = [tuple(vars(row).values()) for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    align = (str.ljust, str.ljust, str.rjust, str.rjust, str.rjust, str.rjust, str.ljust)

    def columns(texts: Sequence[str]) -> str:
        cells = zip(texts, widths, align, strict=True)
        return "  ".join(put(text, width) for text, width, put in cells).rstrip()

    lines = [machine, "", columns(texts[0])]
    for section, given, group in sections(results):
        lines += ["", f"{section}: {given}"]
        lines += [columns(tuple(vars(line(result)).values())) for result in group]
    return "\n".join([*lines, "", summary(results), ""])


def _show_rich(results: Sequence[Result], machine: str, out: IO[str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, title=machine, title_justify="left", pad_edge=False)
    for name, heading in vars(HEADINGS).items():
        table.add_column(heading, justify="left" if name in ("call", "against", "verdict") else "right")
    for section, given, group in sections(results):
        table.add_section()
        table.add_row(Text(f"{section}: {given}", style="bold"))
        for result in group:
            *cells, verdict = vars(line(result)).values()
            table.add_row(*map(Text, cells), Text(verdict, style=_STYLES[result.verdict]))
    console = Console(file=out)
    console.print(table)
    console.print(Text(summary(results)))


def markdown(results: Sequence[Result], machine: str) -> str:
    """The table for the docs."""
    lines = [f"Measured on {machine}."]
    for section, given, group in sections(results):
        lines += ["", f"**{section}: {given}**", "", _bar(vars(HEADINGS).values()), "|---|---|--:|--:|--:|--:|---|"]
        for result in group:
            cells = list(vars(line(result)).values())
            if result.unit != "MiB":
                cells[:2] = (f"`{code}`" for code in cells[:2])
            lines.append(_bar(cells))
    return "\n".join([*lines, "", summary(results), ""])


def _bar(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write_json(results: Sequence[Result], machine: dict[str, Any], path: Path) -> None:
    """Write everything."""
    ok = not any(result.verdict.fails for result in results)
    whole = {**machine, "ok": ok, "results": [asdict(result) for result in results]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
