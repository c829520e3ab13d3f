"""What people read: progress while it runs, the tables of a terminal, and the page of the documentation."""

from __future__ import annotations

import textwrap
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final, Self

from interop.cli._matrix import outcomes, verdict
from interop.cli._matrix.cells import DTYPES, LAYOUTS, SMALL_LAYOUTS
from interop.cli._matrix.runner import LONGEST
from interop.cli._width import console_width

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from interop.cli._matrix.exceptions import Excused
    from interop.cli._matrix.results import Matrix, Pair
    from interop.cli._matrix.runner import Event

#: The most lines of one kind that a terminal is given.
_MOST: Final = 40

#: So many names are listed before it is "and more".
_FEW: Final = 6


class Progress:
    """A bar that says how many pairs are measured, and which are being; on standard error, and none in a pipe.

    Parameters
    ----------
    total, kept
        How many pairs there are, and how many were measured before.
    """

    def __init__(self, total: int, kept: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        self._console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = Bars(*columns, console=self._console, transient=True)
        self._all = self._bars.add_task(f"pairs ({kept} kept)", total=total, completed=kept)
        self._tasks: dict[tuple[str, str], Any] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def tell(self, event: Event) -> None:
        """Show that something happened."""
        key = (event.source, event.target)
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(f"  {event.source} to {event.target}", total=100)
        self._bars.update(self._tasks[key], completed=round(100 * event.part))
        if event.pair is not None or event.why:
            self._bars.update(self._tasks[key], visible=False)
            self._bars.advance(self._all)
        if event.why:
            self._console.print(
                f"{event.source} to {event.target}: left out: {event.why}", style="yellow", markup=False
            )


def summary(pairs: Sequence[Pair]) -> Iterator[tuple[outcomes.Outcome, int, int, int]]:
    """Each outcome with its cells: of every call by hand, of the best one of each cell, of ours."""
    every, ours = verdict.count(pairs, ours=False), verdict.count(pairs, ours=True)
    best = Counter(verdict.best_by_hand(pair, cell) for pair in pairs for cell in pair.cells())
    for letter, outcome in outcomes.OUTCOMES.items():
        yield outcome, every[letter], best[letter], ours[letter]


def show(matrix: Matrix) -> None:
    """Print the tables of a terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=console_width(110))
    table = Table(title="what happens to a tensor", title_justify="left", box=None, pad_edge=False)
    for heading in ("outcome", "every call by hand", "the best of each cell", "interop"):
        table.add_column(heading, justify="left" if heading == "outcome" else "right")
    for outcome, every, best, ours in summary(list(matrix.pairs.values())):
        style = "red" if outcome.group == "bad" and ours else None
        table.add_row(outcome.word, f"{every:,}", f"{best:,}", f"{ours:,}", style=style)
    console.print(table)
    for part in _grids(matrix, console.width):
        console.print(part)
    found = verdict.account(matrix)
    lines = list(grouped(found.open))
    for line in lines[:_MOST]:
        console.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
    if len(lines) > _MOST:
        console.print(f"and {len(lines) - _MOST} more such lines", style="red")
    for each in found.stale:
        console.print(f"an exception for nothing: {each}", style="red", markup=False, soft_wrap=True)
    excused = sum(map(len, found.excused.values()))
    looked = sum(pair.looked for pair in matrix.pairs.values())
    console.print(f"A second judge looked at {looked:,} calls; where it finds something else, the cell is at fault.")
    ends = ", for these reasons:" if excused else "."
    console.print(f"{len(found.open)} cells are not as they should be; {excused} are excepted{ends}", highlight=False)
    for each, cells in found.excused.items():
        text = textwrap.fill(
            _excuse(each, len(cells)),
            console.width,
            initial_indent="  ",
            subsequent_indent="    ",
            break_on_hyphens=False,
        )
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def grouped(issues: Iterable[verdict.Issue]) -> Iterator[str]:
    """Issues in lines: those of one pair that say the same stand together."""
    found: dict[tuple[str, str, str, str], list[verdict.Issue]] = defaultdict(list)
    for issue in issues:
        found[issue.kind, issue.source, issue.target, _general(issue.text)].append(issue)
    for (kind, source, target, text), cells in found.items():
        dtypes = _listed({each.dtype for each in cells})
        layouts = _listed({each.column for each in cells})
        yield f"{kind}: {source} to {target}: {text} ({len(cells)} cells: {dtypes}; {layouts})"


def _excuse(each: Excused, cells: int) -> str:
    """One exception, in words."""
    what = "copies" if each.kind == verdict.COPIES else "refuses"
    where = f"{_worded(each.sources)} to {_worded(each.targets)}"
    which = [
        f"{name} {_worded(text)}" for name, text in (("of", each.dtypes), ("laid out", each.columns)) if text != "*"
    ]
    return f"{what}: {' '.join([where, *which])} ({cells} cells): {each.reason}"


def _worded(patterns: str) -> str:
    return "any" if patterns == "*" else patterns.replace(",", ", ")


def _grids(matrix: Matrix, width: int) -> Iterator[Any]:
    """How much of each pair is zero-copy, in tables of a terminal, of as many columns as there is room for."""
    from rich.table import Table

    names, targets = matrix.names(), matrix.targets()
    first = max(map(len, names), default=0)
    while targets:
        taken = 1
        while taken < len(targets) and first + sum(len(name) + 2 for name in targets[: taken + 1]) <= width:
            taken += 1
        table = Table(title="zero-copy, % of cells (from, to)", title_justify="left", box=None, pad_edge=False)
        table.add_column("", no_wrap=True)
        for name in targets[:taken]:
            table.add_column(name, justify="right", no_wrap=True)
        for source in names:
            table.add_row(source, *(_share(matrix.pairs.get((source, target))) for target in targets[:taken]))
        yield table
        targets = targets[taken:]


def _share(pair: Pair | None) -> str:
    if pair is None:
        return ""
    found = verdict.count([pair], ours=True)
    total = found.total() - found["o"] - found["N"]
    return f"{100 * found['Z'] / total:.0f}" if total else "-"


def markdown(matrix: Matrix) -> str:
    """The page of the documentation, without its title and pictures."""
    pairs = list(matrix.pairs.values())
    parts = (
        _where(matrix),
        _totals(pairs),
        "## Each pair\n",
        "Cells that are zero-copy, copied and refused through interop, beside what the calls by hand do.\n",
        _pairs(matrix),
        "## Why interop copies, and why it refuses\n",
        _reasons(pairs),
        "## Where a call by hand does more\n",
        _exceptions(matrix),
        "## What goes wrong by hand\n",
        _wrongs(pairs),
        "## What was measured\n",
        _legend(),
    )
    return "\n".join(parts)


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _where(matrix: Matrix) -> str:
    lines = []
    for number, each in enumerate(matrix.environments, 1):
        versions = ", ".join(f"{name} {version}" for name, version in each["versions"].items())
        pairs = sum(pair.environment == number - 1 for pair in matrix.pairs.values())
        lines.append(
            f"{number}. {pairs} pairs in {each['date']}'s run: interop {each['interop']}, Python {each['python']}, "
            f"{each['machine']}; {versions}."
        )
    cells = sum(len(pair.found[pair.ways[0]]) for pair in matrix.pairs.values())
    calls = sum(len(found) for pair in matrix.pairs.values() for found in pair.found.values())
    head = f"{len(matrix.pairs)} pairs, {cells:,} cells, {calls:,} calls, in these environments:\n"
    looked = sum(pair.looked for pair in matrix.pairs.values())
    again = [f"\nA second judge looked at {looked:,} of these calls.\n"] if looked else []
    return "\n".join((head, *lines, *again, ""))


def _totals(pairs: Sequence[Pair]) -> str:
    lines = [
        _row("what happens", "", "every call by hand", "the best call by hand of each cell", "interop"),
        _row("---", "---", "--:", "--:", "--:"),
    ]
    rows = list(summary(pairs))
    for outcome, every, best, ours in rows:
        name = f"**{outcome.word}**" if outcome.group == "bad" else outcome.word
        lines.append(_row(name, outcome.words, f"{every:,}", f"{best:,}", f"{ours:,}"))
    totals = [sum(column) for column in zip(*((every, best, ours) for _, every, best, ours in rows), strict=True)]
    lines.append(_row("all", "", *(f"{total:,}" for total in totals)))
    return "\n".join((*lines, ""))


def _pairs(matrix: Matrix) -> str:
    headings = ("from", "to", "cells", "zero-copy", "copy", "refused", "no such array", "by hand: zero-copy", "copy",
                "error", "at fault")  # fmt: skip
    lines = [_row(*headings), _row("---", "---", *["--:"] * (len(headings) - 2))]
    names = matrix.names()
    for source in names:
        for target in matrix.targets():
            pair = matrix.pairs.get((source, target))
            if pair is None:
                continue
            ours, hand = verdict.count([pair], ours=True), verdict.count([pair], ours=False)
            bad = sum(hand[letter] for letter in outcomes.BAD)
            mine = (ours.total(), ours["Z"], ours["C"], ours["E"], ours["N"])
            numbers = (*mine, hand["Z"], hand["C"], hand["E"], bad)
            lines.append(_row(source, target, *(f"{number:,}" for number in numbers)))
    return "\n".join((*lines, ""))


def _reasons(pairs: Iterable[Pair]) -> str:
    found: Counter[tuple[str, str]] = Counter()
    for pair in pairs:
        for each in pair.found[pair.ours[0]].values():
            if each.why and each.letter in ("C", "E", "N"):
                for why in _whole(each.why) if each.letter == "C" else (each.why,):
                    found["C" if each.letter == "C" else "E", _general(why)] += 1
    lines = [_row("", "why", "cells"), _row("---", "---", "--:")]
    for letter, word in ((outcomes.COPY.letter, "copy"), (outcomes.ERROR.letter, "refused")):
        rows = sorted(((why, n) for (kind, why), n in found.items() if kind == letter), key=lambda row: -row[1])
        lines += [_row(word, why, f"{n:,}") for why, n in rows]
    return "\n".join((*lines, ""))


def _whole(why: str) -> list[str]:
    """The reasons of a copy, but for a last one that was cut off when it was written down."""
    reasons = why.split("; ")
    whole = reasons[:-1] if len(why) == LONGEST and len(reasons) > 1 else reasons
    # That one says more of the reason before it.
    return [each for each in whole if not each.startswith("few allocators")]


def _general(why: str) -> str:
    """A reason without what differs from cell to cell: strides, addresses and element types."""
    import re

    text = re.sub(r"such as \([-\d, ]*\)", "such as these", why)
    # What was handed over, where a device was named: its own colon hid where that ends.
    text = re.sub(r"can't hand an? .*: (?=\w+ has no )", "", text)
    # 64 is what jax and tensorflow want of every element type.
    text = re.sub(r"multiple of (?!64 )\d+ bytes", "multiple of the element's size", text)
    text = re.sub(r"keeps \w+ in memory", "keeps this element type in memory", text)
    return re.sub(r"no element type [\w.]+", "no such element type", text)


def _exceptions(matrix: Matrix) -> str:
    found = verdict.account(matrix)
    if not found.excused:
        return "In no cell.\n"
    lines = [_row("from", "to", "element types", "layouts", "what", "cells", "reason")]
    lines.append(_row(*["---"] * 5, "--:", "---"))
    for each, cells in found.excused.items():
        places = (each.sources, each.targets, each.dtypes, each.columns)
        what = "we copy" if each.kind == verdict.COPIES else "we refuse"
        lines.append(_row(*map(_plain, places), what, len(cells), each.reason))
    return "\n".join((*lines, ""))


def _plain(patterns: str) -> str:
    return "any" if patterns == "*" else patterns.replace(",", ", ").replace("*", "\\*")


def _wrongs(pairs: Iterable[Pair]) -> str:
    found: dict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)
    for pair in pairs:
        for way in pair.by_hand:
            for cell, each in pair.found[way].items():
                if each.letter in outcomes.BAD:
                    found[way, pair.source, each.letter].append(cell)
    lines = [_row("call", "from", "what", "layouts", "element types", "cells")]
    lines.append(_row(*["---"] * 5, "--:"))
    order = list(outcomes.OUTCOMES)
    for (way, source, letter), cells in sorted(found.items(), key=lambda item: (-order.index(item[0][2]), item[0])):
        layouts, dtypes = _listed({column for _, column in cells}), _listed({dtype for dtype, _ in cells})
        lines.append(_row(f"`{way}`", source, outcomes.OUTCOMES[letter].word, layouts, dtypes, len(cells)))
    return "\n".join((*lines, ""))


def _listed(names: set[str]) -> str:
    order = [*DTYPES, *LAYOUTS, *(f"{name} readonly" for name in LAYOUTS)]
    listed = sorted(names, key=order.index)
    return ", ".join(listed) if len(listed) <= _FEW else f"{', '.join(listed[:_FEW])} and {len(listed) - _FEW} more"


def _legend() -> str:
    lines = [_row("layout", "what it is", "shape"), _row("---", "---", "---")]
    lines += [_row(layout.name, layout.words, layout.shape) for layout in LAYOUTS.values()]
    lines += ["", "A layout followed by *readonly* is the same in memory that may not be written to.", ""]
    lines += [f"The float8 types and those of fewer than 8 bits are measured in {', '.join(SMALL_LAYOUTS)}.", ""]
    return "\n".join(lines)


_START: Final = "<!-- measured: docs/refresh.py writes this table -->"
_END: Final = "<!-- end -->"

_NOTES: Final = """
A plain tensor, C order, of an element type that both have{blank}. ¹ `copy=False` gives a view of memory that begins at
a multiple of 64 bytes. ² `copy=False, writable=False`, a promise not to write, gives a view.
"""
_BLANK: Final = "; what is blank isn't measured yet"


def in_readme(text: str, matrix: Matrix) -> str:
    """The README with its table of what is zero-copy as it was measured."""
    before, _, rest = text.partition(_START)
    _, _, after = rest.partition(_END)
    notes = _NOTES.format(blank=_BLANK if matrix.blanks() else "")
    return f"{before}{_START}\n{plain(matrix)}{notes}{_END}{after}"


def plain(matrix: Matrix) -> str:
    """A small table of pairs: what becomes of a plain tensor."""
    names, targets = matrix.names(), matrix.targets()
    lines = [_row("from", *(f"to {name}" for name in targets)), _row(*["---"] * (len(targets) + 1))]
    lines += [
        _row(source, *(_plain_word(matrix.pairs.get((source, target))) for target in targets)) for source in names
    ]
    return "\n".join((*lines, ""))


def _plain_word(pair: Pair | None) -> str:
    if pair is None:
        return ""
    default, view, promise, _ = pair.ours
    cell = next(cell for cell in pair.cells() if pair.found[default][cell].letter != outcomes.NONE.letter)
    letters = [pair.found[way][cell].letter for way in (default, view, promise)]
    if letters[0] == outcomes.VIEW.letter:
        return "itself" if pair.source == pair.target else "**view**"
    word = {outcomes.COPY.letter: "copy"}.get(letters[0], "refused")
    if letters[1] == outcomes.VIEW.letter:
        return f"{word} ¹"
    return f"{word} ²" if letters[2] == outcomes.VIEW.letter else word
