"""Whether we are as good as the best that anybody can write by hand, cell by cell, and what we are excused from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from interop.cli._matrix import outcomes
from interop.cli._matrix.exceptions import EXCEPTIONS, Excused

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from interop.cli._matrix.results import Matrix, Pair

#: Kinds of issues: what we did that nobody may; a copy where a view is right; an error where a result is right.
FAULT, COPIES, REFUSES = "fault", "copies", "refuses"


@dataclass(frozen=True, slots=True)
class Issue:
    """One cell in which we are at fault, or do less than the best call by hand.

    Attributes
    ----------
    kind
        ``"fault"``, ``"copies"`` or ``"refuses"``.
    source, target, dtype, column
        Where.
    text
        What happened, and what by hand.
    """

    kind: str
    source: str
    target: str
    dtype: str
    column: str
    text: str


def issues(pair: Pair) -> Iterator[Issue]:
    """Compare our calls with what they promise and with the best call by hand, in every cell of a pair."""
    for broken in pair.broken:
        yield Issue(FAULT, pair.source, pair.target, broken.dtype, broken.column, f"{broken.way}: {broken.text}")
    default = pair.found[pair.ours[0]]
    for (dtype, column), found in default.items():
        right = {way: pair.found[way][dtype, column].letter for way in pair.by_hand}
        views = [way for way, letter in right.items() if letter == outcomes.VIEW.letter]
        results = [way for way, letter in right.items() if letter in outcomes.RIGHT]
        if found.letter == outcomes.COPY.letter and views:
            text = f"{views[0]} is a view; we copy: {found.why}"
            yield Issue(COPIES, pair.source, pair.target, dtype, column, text)
        refused = found.letter in (outcomes.ERROR.letter, outcomes.NONE.letter)
        if refused and (results or found.letter == outcomes.ERROR.letter):
            best = f"{results[0]} gives the right values" if results else f"{pair.target} has such arrays"
            yield Issue(REFUSES, pair.source, pair.target, dtype, column, f"{best}; we refuse: {found.why}")


@dataclass(frozen=True, slots=True)
class Account:
    """Every issue of a matrix: those that nothing excuses, those that an exception does, and exceptions for nothing."""

    open: list[Issue]
    excused: dict[Excused, list[Issue]]
    stale: list[Excused]


def account(matrix: Matrix, exceptions: Sequence[Excused] = EXCEPTIONS) -> Account:
    """Hold a matrix against the table of exceptions."""
    left: list[Issue] = []
    excused: dict[Excused, list[Issue]] = {}
    for pair in matrix.pairs.values():
        for issue in issues(pair):
            found = next((each for each in exceptions if each.covers(issue)), None)
            if found is None:
                left.append(issue)
            else:
                excused.setdefault(found, []).append(issue)
    stale = [each for each in exceptions if each not in excused and each.was_measured(matrix)]
    return Account(left, excused, stale)


def count(pairs: Iterable[Pair], *, ours: bool, dtype: str | None = None) -> Counter[str]:
    """Count outcomes by letter, of one element type or of all: of our default call, or of every call by hand."""
    total: Counter[str] = Counter()
    for pair in pairs:
        for way in pair.ours[:1] if ours else pair.by_hand:
            cells = pair.found[way].items()
            total.update(found.letter for (name, _), found in cells if dtype is None or name == dtype)
    return total


#: From the worst to the best, for what the best call by hand does in a cell.
_BEST: Final = ("Z", "o", "C", "N", "E", "D", "R", "S", "U", "W", "F", "X", "H")


def best_by_hand(pair: Pair, cell: tuple[str, str]) -> str:
    """The letter of the best call by hand in a cell."""
    return min((pair.found[way][cell].letter for way in pair.by_hand), key=_BEST.index)
