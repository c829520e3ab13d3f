"""The element type of a target that is nearest to one: what a result goes back as that its caller's framework lacks."""

from __future__ import annotations

from functools import cache
from typing import Final

from interop._dtypes import BOOL, BY_NAME, COMPLEX, HANDLE, INT, UINT, DType, castable, dtype_of_triple

#: Which kinds may stand for a kind: an unsigned integer fits a wider signed one.
_KINDS: Final = {BOOL: (BOOL,), INT: (INT,), UINT: (UINT, INT), COMPLEX: (COMPLEX,)}

_FLOATS: Final = frozenset(row.code for row in BY_NAME.values()) - {BOOL, INT, UINT, COMPLEX, HANDLE}


@cache
def nearest(dtype: str, held: frozenset[str]) -> str | None:
    """The element type among those held that is nearest to one.

    Parameters
    ----------
    dtype
        A name.
    held
        The names of the types that the target has.

    Returns
    -------
    str or None
        The same name where it is held, else the smallest that holds every value of it, else the widest of its kind;
        None where there is none of its kind, or the name is no element type that is known here.
    """
    row = BY_NAME.get(dtype)
    if dtype in held or row is None:
        return dtype if dtype in held else None
    kinds = _KINDS.get(row.code, tuple(_FLOATS))
    of_its_kind = [BY_NAME[name] for name in held if name in BY_NAME and BY_NAME[name].code in kinds]
    if not of_its_kind:
        return None
    whole = [each for each in of_its_kind if castable(_dtype(dtype), _dtype(each.name), "safe")]
    if whole:
        return min(whole, key=lambda each: (each.bits, each.code != row.code, each.code)).name
    # Of its very kind before another one of the same width.
    return max(of_its_kind, key=lambda each: (each.bits, each.code == row.code, each.name)).name


def _dtype(name: str) -> DType:
    row = BY_NAME[name]
    return dtype_of_triple(row.code, row.bits, row.lanes)
