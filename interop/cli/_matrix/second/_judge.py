"""What the second judge finds, whether it is what the first found, and of which calls it is asked."""

from __future__ import annotations

import re
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from interop.cli._matrix.second._kernel import CAN_ASK
from interop.cli._matrix.second._readings import READINGS, Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: What it may find; None where it can't say.
VIEW, COPY, EMPTY, ERROR, OTHER = "a view", "a copy", "no element", "an error", "something else than was handed over"
TORN: Final = "memory that is partly the source's"
NOWHERE: Final = "an address at which nothing is mapped"

#: What the first judge calls each of them, by the letters of its outcomes. Of what can't be computed with, and of what
#: changes when the source goes, the second knows nothing.
_SAME: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        VIEW: frozenset("ZRS"),
        COPY: frozenset("C"),
        EMPTY: frozenset("o"),
        ERROR: frozenset("EN"),
        OTHER: frozenset("DW"),
        TORN: frozenset("W"),
        NOWHERE: frozenset(),
    }
)
_UNKNOWN: Final = frozenset("UFXH")

#: Every so manieth call of a pair is looked at again, besides the first cell of each way. A prime: the numbers of
#: cells are products.
_EVERY: Final = 11

#: Elements that share a byte, or may.
_SMALL: Final = re.compile(r"u?int[124]|float[46]_.*")


def is_sampled(attempt: int, place: int, dtype: str, letter: str) -> bool:
    """Tell whether the second judge looks at a call.

    Parameters
    ----------
    attempt
        Its number among the calls of the pair.
    place
        The number of its cell.
    dtype
        The element type.
    letter
        The outcome by the first judge: what ends a process, or is on freed memory, isn't tried again.
    """
    chosen = place == 0 or attempt % _EVERY == 0
    return CAN_ASK and chosen and letter not in _UNKNOWN and not _SMALL.fullmatch(dtype)


@cache
def _reading(name: str) -> Reading:
    return READINGS[name]()


def look(source: str, target: str, x: Any, call: Callable[[Any], Any]) -> str | None:
    """Hand an array over, and say what became of it.

    Parameters
    ----------
    source, target
        Kinds of arrays.
    x
        The array.
    call
        The conversion.

    Returns
    -------
    str or None
        None where the framework has no copy of such an array, or no address.
    """
    giving, taking = _reading(source), _reading(target)
    try:
        meant = giving.copied(x)
    except Exception:  # noqa: BLE001 - whatever a framework says that can't copy this
        return None
    try:
        y = call(x)
    except Exception:  # noqa: BLE001 - whatever is raised is an error
        return ERROR
    if not isinstance(y, taking.kinds):
        return OTHER
    try:
        got = taking.copied(y)
    except Exception:  # noqa: BLE001 - as above
        return None
    if got != meant:
        return OTHER
    return EMPTY if 0 in got.shape else _shared(giving, taking, x, y)


def _shared(giving: Reading, taking: Reading, x: Any, y: Any) -> str | None:
    """Say whether two arrays are on one memory: whether each bit of the one is inverted with those of the other."""
    try:
        ours, theirs = giving.placed(x), taking.placed(y)
    except Exception:  # noqa: BLE001 - whatever a framework says that has no address of this
        return None
    if ours is None or theirs is None:
        return None
    try:
        before = theirs.elements()
        with ours.inverted():
            during = theirs.elements()
    except OSError:
        return NOWHERE
    inverted = [bytes(each ^ 0xFF for each in element) for element in before]
    return VIEW if during == inverted else COPY if during == before else TORN


def objection(found: str | None, letter: str) -> str:
    """Say how the second judge differs from the first; nothing where it doesn't.

    Parameters
    ----------
    found
        What the second found.
    letter
        The outcome by the first.
    """
    if found is None or letter in _UNKNOWN or letter in _SAME[found]:
        return ""
    return f"the second judge finds {found}"
