"""Whether values were cast as numpy casts them, as far as that is defined anywhere."""

from __future__ import annotations

from typing import Any, Final

import ml_dtypes
import numpy as np

from fuzz.reading import Found, array, dtype_named

#: Of its own element types and numpy's; it has no annotations.
_LIMITS: Final[Any] = ml_dtypes

Array = np.ndarray[Any, Any]

#: Element types whose rounding and overflow differ from library to library.
_SMALL: Final = ("float8", "float6", "float4", "int4", "uint4", "int2", "uint2")


def difference(before: Found, after: Found, *, signs: bool = True) -> str | None:
    """What is wrong with the values that became others, or None; the signs of zeros don't count where that is said."""
    if before.dtype == after.dtype and signs:
        if before.data == after.data:
            return None
        return f"{array(after)!r} of {array(before)!r}"
    source, target = array(before), dtype_named(after.dtype)
    if source is None or target is None:
        return None
    got = array(after)
    assert got is not None
    with np.errstate(all="ignore"):
        defined = _defined(source, target)
        expected = _cast(source, target)
        same = _equal(expected, got)
        if _is_float(source.dtype) and source.dtype.itemsize == 8 and target.itemsize < 4:
            # By way of float32, which rounds twice, as some do.
            same |= _equal(_cast(source.astype(np.float32), target), got)
        wrong = defined & ~same
    if not wrong.any():
        return None
    first, now, wanted = (each[wrong].ravel()[:3] for each in (source, got, expected))
    return f"{first} became {now}, and is {wanted} as numpy casts"


def _is_float(dtype: np.dtype[Any]) -> bool:
    return "float" in dtype.name


def _cast(source: Array, target: np.dtype[Any]) -> Array:
    if not np.can_cast(source.dtype, target, "unsafe"):
        # ml_dtypes has no casts between some of its types.
        source = source.astype(np.float32)
    if source.dtype.kind == "c" and target.kind != "c" and target.kind != "b":
        source = source.real
    return source.astype(target)


def _equal(expected: Array, got: Array) -> Any:
    if expected.dtype.kind == "V" or expected.dtype.itemsize == 1:
        expected, got = expected.astype(np.float64), got.astype(np.float64)
    return (expected == got) | ((expected != expected) & (got != got))


def _defined(source: Array, target: np.dtype[Any]) -> Any:
    """Where a cast means the same everywhere."""
    everywhere = np.ones(source.shape, bool)
    if target.kind == "b":
        return everywhere
    values = source.astype(np.float64) if source.dtype.kind in "Vb" or source.dtype.itemsize == 1 else source
    small = target.name.startswith(_SMALL)
    if target.kind in "iu" or target.name.startswith(("int", "uint")):
        if values.dtype.kind in "iu" and not small:
            return everywhere  # wraps
        low, high = _range(target)
        parts = values.real
        # Beyond the range it is what the hardware gives; the bounds themselves are hard to say in floats.
        return np.isfinite(parts) & (parts > low - 1) & (parts < high)
    if small or (target.kind == "V" and target.name != "bfloat16"):
        most = float(_LIMITS.finfo(target).max)
        return np.isfinite(values.real) & (abs(values.real) <= most) & _representable(values.real, target)
    return everywhere


def _range(target: np.dtype[Any]) -> tuple[float, float]:
    info = _LIMITS.iinfo(target)
    return float(info.min), float(info.max)


def _representable(values: Array, target: np.dtype[Any]) -> Any:
    """What a small type holds exactly: of the rest not everyone rounds alike."""
    return values.astype(np.float32).astype(target).astype(np.float64) == values.astype(np.float64)
