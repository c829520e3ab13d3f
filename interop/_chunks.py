"""Something big in pieces, in the memory of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from interop._convert import convert
from interop._inspect import dtype as dtype_of
from interop._registry import frameworks
from interop._registry.lookup import adapter_for, framework_of
from interop._to import to_numpy
from interop._words import exact_int, shown
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from interop._typed import ConvertOptions


def chunks(x: Any, nbytes: int, /, to: str | ModuleType, **options: Unpack[ConvertOptions]) -> Iterator[Any]:
    """Hand a big array, or a memory map, over in pieces along its first axis.

    Parameters
    ----------
    x
        An array of any framework, a memory map, or what else has a buffer; it has an axis at least.
    nbytes
        How many bytes of `x` a piece may have. One index of the first axis is the least that it has.
    to
        The framework of the pieces.
    **options
        As in :func:`convert`, for each piece.

    Returns
    -------
    iterator
        Of arrays of `to`, in order. Where a piece is a copy, no more than that piece is copied, when it is asked for:
        let it go before the next one, and a map of any size goes through the memory of one piece.

    Raises
    ------
    UnsupportedError
        If `nbytes` is no positive number, or `x` has no axis.
    InteropError
        As :func:`convert` raises them, at the first piece.

    Examples
    --------
    >>> import numpy as np, interop
    >>> big = np.arange(10, dtype="int32").reshape(5, 2)
    >>> [piece.sum().item() for piece in interop.chunks(big, 16, "torch")]
    [6, 22, 17]
    """
    most = exact_int(nbytes)
    if most is None or most <= 0:
        msg = f"nbytes={shown(nbytes)} is no number of bytes: pass a positive integer, such as 1 << 26."
        raise UnsupportedError(msg)
    row = frameworks.row_of(framework_of(adapter_for(x), x))
    # What only speaks a protocol can't be sliced as arrays are.
    source = x if row is not None else to_numpy(x, writable=False)
    shape = tuple(source.shape)
    if not shape:
        msg = f"{dtype_of(source)} without an axis has no pieces. Pass interop.convert(x, to) for the whole."
        raise UnsupportedError(msg)
    return _pieces(source, shape, most, to, options)


def _pieces(x: Any, shape: tuple[int, ...], most: int, to: str | ModuleType, options: ConvertOptions) -> Iterator[Any]:
    each = dtype_of(x).itemsize
    for side in shape[1:]:
        each *= side
    step = max(most // each, 1) if each else max(shape[0], 1)
    for start in range(0, shape[0], step):
        yield convert(x[start : start + step], to, **options)
