"""Element types: one table from DLPack's codes to names and to numpy's dtypes.

Every other spelling (a framework's own dtype object) is translated by that framework's adapter, so this
table is the only place where a name is tied to a DLPack code.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final, NamedTuple, final

import ml_dtypes
import numpy as np

from interop._foreign import FOREIGN
from interop._words import exact_str, is_a, module_of, shown
from interop.errors import DTypeError, UnsupportedError


class Row(NamedTuple):
    """One element type: its name, its DLPack triple, and numpy's dtype where numpy can hold it."""

    name: str
    code: int
    bits: int
    lanes: int
    numpy: np.dtype[Any] | None


# DLDataTypeCode, dlpack.h 1.3.
INT, UINT, FLOAT, HANDLE, BFLOAT, COMPLEX, BOOL = range(7)

_NUMPY_NATIVE: Final = (
    *((f"int{bits}", INT, bits) for bits in (8, 16, 32, 64)),
    *((f"uint{bits}", UINT, bits) for bits in (8, 16, 32, 64)),
    *((f"float{bits}", FLOAT, bits) for bits in (16, 32, 64)),
    *((f"complex{bits}", COMPLEX, bits) for bits in (64, 128)),
    ("bool", BOOL, 8),
)

# Names as ml_dtypes spells them; a version of ml_dtypes that lacks one leaves that row without a numpy dtype.
_ML_DTYPES: Final = (
    ("bfloat16", BFLOAT, 16),
    ("float8_e3m4", 7, 8),
    ("float8_e4m3", 8, 8),
    ("float8_e4m3b11fnuz", 9, 8),
    ("float8_e4m3fn", 10, 8),
    ("float8_e4m3fnuz", 11, 8),
    ("float8_e5m2", 12, 8),
    ("float8_e5m2fnuz", 13, 8),
    ("float8_e8m0fnu", 14, 8),
    ("float6_e2m3fn", 15, 6),
    ("float6_e3m2fn", 16, 6),
    ("float4_e2m1fn", 17, 4),
    ("int4", INT, 4),
    ("uint4", UINT, 4),
    ("int2", INT, 2),
    ("uint2", UINT, 2),
)

# Held by some framework, never by numpy.
_FOREIGN: Final = (
    ("complex32", COMPLEX, 32, 1),
    ("float4_e2m1fn_x2", 17, 4, 2),
)


def _ml_dtype(name: str) -> np.dtype[Any] | None:
    scalar = getattr(ml_dtypes, name, None)
    return None if scalar is None else np.dtype(scalar)


ROWS: Final[tuple[Row, ...]] = (
    *(Row(name, code, bits, 1, np.dtype(name)) for name, code, bits in _NUMPY_NATIVE),
    *(Row(name, code, bits, 1, _ml_dtype(name)) for name, code, bits in _ML_DTYPES),
    *(Row(name, code, bits, lanes, None) for name, code, bits, lanes in _FOREIGN),
)

BY_NAME: Final = {row.name: row for row in ROWS}
BY_TRIPLE: Final = {(row.code, row.bits, row.lanes): row for row in ROWS}
BY_NUMPY: Final = {row.numpy: row for row in ROWS if row.numpy is not None}

#: numpy's own short spellings: the kind, and the size in bytes.
_SHORT: Final = re.compile("[=|<>]?([iu][1248]|f[248]|c(8|16)|b1)")

_PYTHON: Final[dict[object, str]] = {bool: "bool", int: "int64", float: "float64", complex: "complex128"}


@final
class DType:
    """An element type: DLPack's code, bits and lanes, under one name.

    Parameters
    ----------
    dtype
        A name (``"bfloat16"``, or numpy's short ``"f4"`` in the machine's byte order), a numpy dtype or scalar type,
        Python's ``bool``, ``int``, ``float`` or ``complex`` (which mean numpy's), a ``(code, bits, lanes)`` triple, or
        the dtype object of any loaded framework.

    Raises
    ------
    DTypeError
        If it isn't an element type that DLPack can name.

    Notes
    -----
    It prints as its name, and it equals and hashes as that string only; use :meth:`matches` to compare with a
    framework's own dtype object.

    Examples
    --------
    >>> import numpy as np
    >>> DType(np.float32)
    DType('float32')
    >>> DType("bfloat16").bits, DType("bfloat16").code
    (16, 4)
    >>> DType(float) == "float64"
    True
    """

    __slots__ = ("bits", "code", "lanes", "name")

    name: str
    code: int
    bits: int
    lanes: int

    def __new__(cls, dtype: object, /) -> DType:
        if is_a(dtype, DType):
            return dtype
        try:
            found = _parse(dtype)
        except Exception as err:
            raise DTypeError(_no_dtype_text(dtype)) from err
        if found is None:
            raise DTypeError(_no_dtype_text(dtype))
        return found

    @property
    def itemsize(self) -> int:
        """Bytes from one element to the next; a lone sub-byte element takes a whole byte, as in ml_dtypes."""
        return (self.bits * self.lanes + 7) // 8

    @property
    def numpy(self) -> np.dtype[Any] | None:
        """The numpy dtype of the same elements (ml_dtypes' for the small floats), or None."""
        row = BY_NAME.get(self.name)
        return None if row is None else row.numpy

    def matches(self, other: object, /) -> bool:
        """Tell whether `other`, in any framework's spelling, is this element type."""
        return parse_dtype(other) is self

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"DType({self.name!r})"

    def __eq__(self, other: object) -> bool:
        if is_a(other, DType):
            return self.name == other.name
        return self.name == other if is_a(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return (dtype_of_triple, (self.code, self.bits, self.lanes))


_interned: Final[dict[tuple[int, int, int], DType]] = {}


def dtype_of_triple(code: int, bits: int, lanes: int = 1) -> DType:
    """The one DType of a DLPack triple; codes that this version doesn't know get a descriptive name."""
    triple = (code, bits, lanes)
    found = _interned.get(triple)
    if found is None:
        made = object.__new__(DType)
        row = BY_TRIPLE.get(triple)
        made.name = row.name if row else f"dlpack({code},{bits},{lanes})"
        made.code, made.bits, made.lanes = triple
        # setdefault, so that two threads that meet a new triple at once end with one object.
        found = _interned.setdefault(triple, made)
    return found


def opaque_dtype(name: str, bits: int) -> DType:
    """A DType for elements that only their own framework understands (quantized, packed): a name to refuse them by."""
    made = object.__new__(DType)
    made.name, made.code, made.bits, made.lanes = name, HANDLE, bits, 1
    return made


def _no_dtype_text(dtype: object) -> str:
    name = exact_str(dtype)
    swapped = name is not None and _SHORT.fullmatch(name)
    return (
        f"{shown(dtype)} is not an element type that tensors can be exchanged in. Pass a name such as 'float32' or "
        "'bfloat16', or the dtype object of numpy or of a framework that is loaded."
        + (f" numpy.dtype({name!r}) asks a conversion to numpy for the other byte order." if swapped else "")
    )


def parse_dtype(dtype: object) -> DType | None:
    """The DType that `dtype` spells, or None where it spells none; never raises."""
    try:
        return _parse(dtype)
    except Exception:  # noqa: BLE001 - what can't be hashed or compared is no spelling of a dtype
        return None


def _parse(dtype: object) -> DType | None:
    """The same, but for what an object raises that is asked."""
    if is_a(dtype, DType):
        return dtype
    name = exact_str(dtype)
    if name is not None and _SHORT.fullmatch(name):
        name = _numpy_name(np.dtype(name)) if np.dtype(name).isnative else None
        if name is None:
            return None
    if is_a(dtype, tuple):
        row = BY_TRIPLE.get(dtype)
    else:
        if name is None:
            name = _python_name(dtype) or _numpy_name(dtype) or FOREIGN.dtype(dtype)
        row = BY_NAME.get(name) if name is not None else None
    return None if row is None else dtype_of_triple(row.code, row.bits, row.lanes)


def _python_name(dtype: object) -> str | None:
    # Not looked up: what isn't one of them may raise when it is hashed.
    return next((name for tp, name in _PYTHON.items() if tp is dtype), None)


def _numpy_name(dtype: object) -> str | None:
    if is_a(dtype, np.dtype):
        row = BY_NUMPY.get(dtype if dtype.isnative else dtype.newbyteorder("="))
        return None if row is None else row.name
    if is_a(dtype, type) and _is_scalar_type(dtype):
        try:
            row = BY_NUMPY.get(np.dtype(dtype))
        except TypeError:  # an abstract scalar type such as np.floating
            row = None
        return None if row is None else row.name
    return None


def _is_scalar_type(tp: type) -> bool:
    return issubclass(tp, np.generic) or module_of(tp).startswith("ml_dtypes")


def says_swapped(dtype: object) -> bool | None:
    """Whether the spelling of an element type names the other byte order, True, or the machine's; None for neither.

    numpy's dtype objects name one, and so do its scalar types and Python's, which mean such; a name doesn't.
    """
    if is_a(dtype, np.dtype):
        return None if dtype.itemsize == 1 else not dtype.isnative
    if is_a(dtype, type):
        named = _python_name(dtype) is not None or _is_scalar_type(dtype)
        return says_swapped(np.dtype(dtype)) if named else None
    text = exact_str(dtype)
    return says_swapped(np.dtype(text)) if text and text[0] in "=<>" else None


#: The kinds in numpy's order of "same_kind": a cast to the same or a later one keeps the kind of number.
_RANK: Final = {BOOL: 0, UINT: 1, INT: 2, FLOAT: 3, BFLOAT: 3, COMPLEX: 4}


#: numpy's rules of casting.
RULES: Final = ("no", "equiv", "safe", "same_kind", "unsafe")


def parse_casting(casting: object) -> str:
    """The rule that is named.

    Of a type of ml_dtypes "safe" means that every value is held exactly. numpy's own answer there means nothing: it
    calls the casts of int8 to a float of four bits, and of that to an integer of two, safe.

    Raises
    ------
    UnsupportedError
        If it is none of numpy's rules.
    """
    rule = exact_str(casting)
    if rule not in RULES:
        msg = f"casting={shown(casting)} is not a rule: pass 'no', 'equiv', 'safe', 'same_kind' or 'unsafe'."
        raise UnsupportedError(msg)
    return rule


def castable(source: DType, target: DType, casting: str) -> bool:
    """Tell whether numpy's rule `casting` allows a cast; complex to real is never allowed."""
    if source.name == target.name:
        return True
    if casting in ("no", "equiv") or (source.code == COMPLEX and target.code != COMPLEX):
        return False
    if casting == "unsafe":
        return True
    if casting == "safe":
        return _is_safe(source.name, target.name)
    # The small floats' codes (7 and up) are floats.
    return _RANK.get(source.code, 3) <= _RANK.get(target.code, 3)


_OWN: Final = frozenset(name for name, _, _ in _NUMPY_NATIVE)

#: No element type that isn't numpy's own has more bits.
_SMALL_BITS: Final = 16


@cache
def _is_safe(source_name: str, target_name: str) -> bool:
    source, target = BY_NAME.get(source_name), BY_NAME.get(target_name)
    if source is None or target is None:
        return False
    if source.code == target.code == COMPLEX:
        return source.bits <= target.bits
    if target.code == COMPLEX:
        return _is_safe(source_name, f"float{target.bits // 2}")
    own = {source_name, target_name} <= _OWN
    if source.numpy is None or target.numpy is None or (source.bits > _SMALL_BITS and not own):
        return False
    if own:
        return np.can_cast(source.numpy, target.numpy, "safe")
    # Every value, and both zeros, of a type of so few bits can be tried.
    patterns = np.arange(2 if source.code == BOOL else 1 << source.bits).astype(f"u{(source.bits + 7) // 8}")
    with np.errstate(all="ignore"):
        held = patterns.view(source.numpy).astype(np.float64)
        back = held.astype(target.numpy).astype(np.float64)
    same = (back == held) & (np.signbit(back) == np.signbit(held))
    return bool(np.all(same | (np.isnan(back) & np.isnan(held))))
