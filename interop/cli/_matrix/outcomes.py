"""What one call can do to one cell: a letter each, a word, a sentence, and whether it is a fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way that a call can end.

    Parameters
    ----------
    letter
        As it is written down.
    word, words
        As it is shown, and what it means.
    group
        As it is drawn: ``"view"``, ``"copy"``, ``"error"``, ``"none"``, ``"bad"`` or ``"empty"``.
    """

    letter: str
    word: str
    words: str
    group: str


VIEW = Outcome("Z", "zero-copy", "on the same memory, and that is right", "view")
COPY = Outcome("C", "copy", "right values in memory of their own", "copy")
EMPTY = Outcome("o", "empty", "no element, and nothing wrong", "empty")
ERROR = Outcome("E", "error", "an exception, though a right result exists", "error")
NONE = Outcome("N", "no such array", "an exception, and rightly: the target has no such element type or shape", "none")
WRITABLE = Outcome("R", "readonly memory writable", "a write through the result changed readonly memory", "bad")
UNSTABLE = Outcome(
    "S", "alias under a cache", "the target takes memory for constant that the source may still write to", "bad"
)
DTYPE = Outcome("D", "dtype changed", "another element type than was handed over, without a word", "bad")
WRONG = Outcome("W", "wrong", "other values, another shape or no array of the target, without a word", "bad")
UNUSABLE = Outcome("U", "unusable", "a result that can't be read or computed with", "bad")
DANGLING = Outcome("F", "freed memory", "the values change when the source goes", "bad")
CRASH = Outcome("X", "crash", "the process dies", "bad")
HANG = Outcome("H", "hang", "the call never ends, or the release of what it returned", "bad")

#: By letter, in the order of tables.
OUTCOMES: Final = {
    outcome.letter: outcome
    for outcome in (
        *(VIEW, COPY, EMPTY, NONE, ERROR),
        *(DTYPE, WRITABLE, UNSTABLE, WRONG, UNUSABLE, DANGLING, CRASH, HANG),
    )
}

#: A cell that doesn't exist.
ABSENT: Final = "."

BAD: Final = frozenset(outcome.letter for outcome in OUTCOMES.values() if outcome.group == "bad")

#: A result whose values can be relied on.
RIGHT: Final = frozenset((VIEW.letter, COPY.letter, EMPTY.letter))
