"""Host memory that every framework takes as it is."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, SupportsIndex

import numpy as np

from interop import _layout
from interop._dtypes import DType, says_swapped
from interop._native import view_from_ndarray
from interop._options import parse_order
from interop._words import exact_int, shown
from interop.errors import DTypeError, UnsupportedError

if TYPE_CHECKING:
    from interop._options import Order
    from interop._typed import DtypeLike

#: jax copies what isn't on a multiple of 64 bytes, and tensorflow ends the process when it computes with it: the widest
#: vector registers are that long. No framework asks for more.
ALIGNMENT: Final = 64


def empty_aligned(
    shape: SupportsIndex | Sequence[SupportsIndex],
    dtype: DtypeLike = "float64",
    *,
    order: Order = "C",
    alignment: int = ALIGNMENT,
) -> np.ndarray[Any, Any]:
    """Make a numpy array that every framework takes without a copy.

    Parameters
    ----------
    shape
        A length, or the lengths of the axes.
    dtype
        A name, or any framework's dtype object, of an element type that numpy has.
    order
        ``"C"`` or ``"F"``. tensorflow takes C order only.
    alignment
        The address is a multiple of so many bytes, a power of two. jax takes memory as it is where that is 64, and
        tensorflow can compute with it only there; numpy's own arrays are seldom so.

    Returns
    -------
    numpy.ndarray
        Writable and uninitialised, contiguous in `order`.

    Raises
    ------
    DTypeError
        numpy has no such element type.
    UnsupportedError
        `shape`, `order` or `alignment` isn't one, or no machine has memory of that shape.

    Examples
    --------
    >>> import interop
    >>> a = interop.empty_aligned((2, 3), "bfloat16")
    >>> a.shape, a.dtype, interop.view(a).ptr % 64
    ((2, 3), dtype(bfloat16), 0)
    """
    wanted = DType(dtype)
    if says_swapped(dtype):
        msg = f"memory that every framework takes is in this machine's byte order. Pass dtype={wanted.name!r}."
        raise DTypeError(msg)
    if wanted.numpy is None:
        msg = f"numpy has no element type {wanted}, so there is no array of it. Pass dtype='uint8' for the raw bytes."
        raise DTypeError(msg)
    sides = sides_of(shape)
    strides = _strides(sides, parse_order(order, "'C' or 'F'"))
    return aligned(sides, wanted, strides, _power_of_two(alignment))


def _strides(shape: tuple[int, ...], order: Literal["C", "F"]) -> tuple[int, ...]:
    return _layout.c_strides(shape) if order == "C" else _layout.f_strides(shape)


def sides_of(shape: object) -> tuple[int, ...]:
    """The lengths of the axes that somebody passed as a shape.

    Raises
    ------
    UnsupportedError
        If it is none.
    """
    try:
        sides = tuple(map(operator.index, shape if isinstance(shape, Sequence) else (shape,)))
    except Exception as err:
        raise UnsupportedError(_no_shape_text(shape)) from err
    if any(side < 0 for side in sides):
        raise UnsupportedError(_no_shape_text(shape))
    return sides


def _no_shape_text(shape: object) -> str:
    return f"shape={shown(shape)} is not a shape: pass a length or a tuple of lengths, such as (2, 3)."


def _power_of_two(alignment: object) -> int:
    number = exact_int(alignment)
    if number is not None and number > 0 and number.bit_count() == 1:
        return number
    msg = f"alignment={shown(alignment)} is not a power of two: pass 64, or the size of a page."
    raise UnsupportedError(msg)


def aligned(
    shape: tuple[int, ...], dtype: DType, strides: tuple[int, ...], alignment: int = ALIGNMENT
) -> np.ndarray[Any, Any]:
    """Allocate on a multiple of `alignment` bytes, in any dense layout (strides in elements)."""
    if dtype.numpy is None:
        msg = f"numpy has no element type {dtype}"
        raise UnsupportedError(msg)
    # Lengths count although an axis is empty: numpy counts so.
    size = math.prod(side or 1 for side in shape) * dtype.itemsize
    if size > sys.maxsize - alignment:
        msg = f"no memory has the shape {shown(shape)} of {dtype}. Pass a smaller shape."
        raise UnsupportedError(msg)
    size = math.prod(shape) * dtype.itemsize
    try:
        memory = np.empty(size + alignment, np.uint8)
    except (ValueError, OverflowError) as err:
        msg = f"no memory is as large as {dtype} {shown(shape)}. Pass a smaller shape."
        raise UnsupportedError(msg) from err
    start = -view_from_ndarray(memory).ptr % alignment
    return np.ndarray(shape, dtype.numpy, memory, start, tuple([step * dtype.itemsize for step in strides]))
