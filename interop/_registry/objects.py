"""What makes one tensor of Python objects: numbers, nested lists, arrays of a framework.

Only objects of exactly these kinds are looked at, and no more of them than a message is worth: what others of their
types might do is nothing that an error should find out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from itertools import chain, islice
from typing import Any, Final

import numpy as np

from interop._registry import frameworks
from interop._words import module_of

#: More objects than these are taken to be like the first.
_MOST: Final = 100_000

#: Nested deeper than numpy holds.
_DEEPEST: Final = 32

# By identity: a metaclass of somebody else's may refuse to hash its types, or to compare them.
_BOOLS: Final = frozenset(map(id, (bool, np.bool_)))
_INTS: Final = _BOOLS | frozenset(map(id, (int, *(np.dtype(code).type for code in "bBhHiIlLqQ"))))
_FLOATS: Final = frozenset(map(id, (float, np.float16, np.float32, np.float64)))
_COMPLEXES: Final = frozenset(map(id, (complex, np.complex64, np.complex128)))
#: What numpy makes numbers of when it is told to.
_TOLD: Final = frozenset(map(id, (Decimal, Fraction, type(None))))
_READ: Final = _INTS | _FLOATS | _COMPLEXES
_INT64: Final = range(-(2**63), 2**63)


def number_type(values: Iterable[Any]) -> str:
    """The element type that holds numbers, by its name; empty where they aren't all numbers, or no type holds them."""
    values = list(islice(values, _MOST))
    kinds = {id(type(value)) for value in values}
    if not kinds <= _READ | _TOLD:
        return ""
    if kinds <= _INTS:
        if kinds <= _BOOLS and kinds:
            return "bool"
        if all(int(value) in _INT64 for value in values):
            return "int64"
    try:
        for value in values:
            complex(math.nan if value is None else value)
    except (OverflowError, ValueError):
        return ""
    if kinds & _COMPLEXES:
        return "" if kinds & _TOLD else "complex128"
    return "float64"


def stacking_call(values: Iterable[Any], text: str) -> str:
    """What stacks arrays of one framework into one; empty where they are of several, or of several kinds.

    Parameters
    ----------
    values
        The objects.
    text
        What spells a sequence of them.
    """
    first = next(iter(values), None)
    row = frameworks.row_of_types(module_of(type(first)).partition(".")[0])
    if row is None or not row.stack or issubclass(type(first), np.generic):
        return ""
    try:
        kinds = {(id(type(each)), tuple(each.shape), each.dtype) for each in islice(values, _MOST)}
    except Exception:  # noqa: BLE001 - a type of its module that is no array
        return ""
    return f"{row.stack}({text})" if len(kinds) == 1 else ""


def holds_arrays(values: Iterable[Any]) -> bool:
    """Whether arrays of frameworks are among the first objects."""
    return any(frameworks.row_of_types(module_of(type(each)).partition(".")[0]) for each in islice(values, _MOST))


def is_sequence(x: Any) -> bool:
    """Whether it is a list or a tuple, and no subclass, which may be anything."""
    return type(x) is list or type(x) is tuple


def is_numbers(x: Any, depth: int = _DEEPEST) -> bool:
    """Whether it is a number, or lists of the same length of such, which numpy reads as one array."""
    if _shape_of(x, depth) is None:
        return False
    return all(id(type(each)) not in _INTS or int(each) in _INT64 for each in islice(_leaves(x), _MOST))


def _leaves(x: Any) -> Iterable[Any]:
    return chain.from_iterable(map(_leaves, x)) if is_sequence(x) else (x,)


def _shape_of(x: Any, depth: int) -> tuple[int, ...] | None:
    if not is_sequence(x):
        return () if id(type(x)) in _READ else None
    shapes = {_shape_of(each, depth - 1) for each in islice(x, _MOST)} if depth else {None}
    if len(shapes) > 1 or None in shapes:
        return None
    return (len(x), *(next(iter(shapes), None) or ()))
