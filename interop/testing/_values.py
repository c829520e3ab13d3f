"""Element values as bit patterns: random ones, mixed with those that conversions get wrong."""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Any, Final

import numpy as np

from interop._dtypes import BOOL, BY_NAME, COMPLEX, INT, UINT, Row

# Exponent and fraction bits of the floats that are too large to meet every pattern by chance.
_FLOATS: Final = {"float16": (5, 10), "bfloat16": (8, 7), "float32": (8, 23), "float64": (11, 52)}
_PART_OF_COMPLEX: Final = {"complex32": "float16", "complex64": "float32", "complex128": "float64"}


def random_bits(name: str, count: int, seed: int) -> np.ndarray[Any, Any]:
    """Return `count` elements as unsigned integers, two for each element of a complex type.

    Parameters
    ----------
    name
        The element type; of a bool only 0 and 1 are made, of a sub-byte type only its own bits are set.
    count
        How many elements.
    seed
        0 gives small numbers in order, which read well in a failing test; any other a mixture of random patterns,
        signed zeros, infinities, quiet and signalling NaNs with payloads, subnormals and extreme integers.
    """
    row = BY_NAME[name]
    parts = 2 if row.code == COMPLEX else 1
    carrier = np.dtype(f"u{max(row.bits // parts, 8) // 8}")
    if seed == 0 and row.numpy is not None:
        return _counted(row, count).view(carrier)
    generator = np.random.Generator(np.random.PCG64(seed))
    length = count * parts
    bits = np.frombuffer(generator.bytes(length * carrier.itemsize), carrier)
    special = _special(_PART_OF_COMPLEX.get(name, name), carrier)
    pick = generator.integers(0, 3 * len(special), length)
    mixed: np.ndarray[Any, Any] = np.where(pick < len(special), special[pick % len(special)], bits)
    mixed &= _mask(row, carrier)
    return mixed


def random_values(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray[Any, Any]:
    """Return an array in C order of an element type that numpy has; see :func:`random_bits`."""
    dtype = BY_NAME[name].numpy
    if dtype is None:
        msg = f"numpy has no element type {name!r}"
        raise ValueError(msg)
    return random_bits(name, prod(shape), seed).view(dtype).reshape(shape)


def _counted(row: Row, count: int) -> np.ndarray[Any, Any]:
    # So few that each is exact, and counts upwards, in every element type that has room for it.
    most = 1 << min(row.bits - 1, 4) if row.code in (INT, UINT) else 16
    numbers = np.arange(count) % (2 if row.code == BOOL else most)
    with np.errstate(all="ignore"):
        return numbers.astype(np.float32).astype(row.numpy)


def _mask(row: Row, carrier: np.dtype[Any]) -> Any:
    if row.code == BOOL:
        return carrier.type(1)
    return carrier.type((1 << min(row.bits, carrier.itemsize * 8)) - 1)


@cache
def _special(name: str, carrier: np.dtype[Any]) -> np.ndarray[Any, Any]:
    width = carrier.itemsize * 8
    sign, ones = 1 << (width - 1), (1 << width) - 1
    if name not in _FLOATS:
        return np.array([0, ones, sign, sign - 1, 1], carrier)
    exponent, fraction = _FLOATS[name]
    infinity, quiet = ((1 << exponent) - 1) << fraction, 1 << (fraction - 1)
    one = ((1 << (exponent - 1)) - 1) << fraction
    positive = (
        *(0, one, infinity),
        *(infinity | quiet, infinity | quiet | 5, infinity | 5),  # NaN: quiet, with a payload, signalling
        *(1, (1 << fraction) - 1, 1 << fraction, infinity - 1),  # subnormals, the least normal, the greatest
    )
    return np.array([*positive, *(pattern | sign for pattern in positive)], carrier)
