"""The element type that a message names where a target lacks one: it loses nothing if there is one that doesn't."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from interop._dtypes import BOOL, BY_NUMPY, COMPLEX, HANDLE, INT, UINT, DType, castable
from interop._plan.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What people compute with, before types that are smaller and hold as much.
_USUAL: Final[Mapping[int, tuple[str, ...]]] = {
    BOOL: ("uint8",),
    INT: (),
    UINT: (),
    COMPLEX: ("complex64", "complex128"),
}
_FLOATS: Final = ("float32", "float64")

#: Bits of the integers that float64 doesn't hold.
_WIDEST: Final = 64

#: The element types that numpy has.
OF_NUMPY: Final = frozenset(row.name for row in BY_NUMPY.values())


def stand_in(source: DType, wanted: DType, held: frozenset[str]) -> str:
    """The element type to ask for instead, of those that a target holds.

    Parameters
    ----------
    source
        What is there.
    wanted
        What was asked for, which the target lacks.
    held
        Names of what it can be cast to.

    Returns
    -------
    str
        Its name; empty where nothing stands for it. No number that isn't complex stands for one that is.
    """
    usual = _USUAL.get(source.code, _FLOATS)
    near = (nearest(wanted.name, held), nearest(source.name, held))
    others = () if source.code == COMPLEX else _FLOATS
    last = () if source.code == COMPLEX else ("int64",)
    keeping = (name for name in (*usual, *near, *others, *last) if name in held and _keeps(source, name))
    losing = (name for name in (*near, *reversed(usual), *reversed(others), *last) if name in held)
    return next(keeping, None) or next(losing, None) or ""


def _keeps(source: DType, name: str) -> bool:
    """Whether a type holds every value; of elements that only their framework understands it tells their values."""
    if source.code in (INT, UINT) and source.bits == _WIDEST and name in _FLOATS:
        return False  # numpy calls that safe, and it rounds beyond 2**53
    return source.code == HANDLE or castable(source, DType(name), "safe")


def what_it_does(source: DType, name: str) -> str:
    """What a cast to a type does to the values, in words."""
    if _keeps(source, name):
        return "converts the values"
    if source.code in (INT, UINT) and DType(name).code in (INT, UINT):
        return f"wraps the values that {name} doesn't hold"
    return "rounds the values"
