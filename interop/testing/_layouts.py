"""Memory layouts by name: each takes an array in plain C order and gives the same values, laid out another way."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import numpy as np
from numpy.lib.stride_tricks import as_strided

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

A = TypeVar("A")
Array = np.ndarray[Any, Any]

# What lies between elements that aren't neighbours: reading it by mistake shows.
_GAP: Final = 0x5A


@dataclass(frozen=True, slots=True)
class Layout(Generic[A]):
    """A way of laying out an array in memory.

    Parameters
    ----------
    name
        What it is called, and printed as.
    build
        From an array in C order that nobody else holds to one of the same values in this layout, as far as its
        shape allows: a 0-d array has one layout only.
    dlpack
        Whether DLPack can describe it.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing.strategies import NUMPY_LAYOUTS
    >>> NUMPY_LAYOUTS["negative"].build(np.arange(3, dtype="int8")).strides
    (-1,)
    """

    name: str
    build: Callable[[A], A] = field(repr=False)
    dlpack: bool = True

    def __repr__(self) -> str:
        return f"Layout({self.name!r})"


def _memory(count: int, dtype: np.dtype[Any], before: int = 0) -> Array:
    memory = np.full(before + count * dtype.itemsize, _GAP, np.uint8)
    return memory[before:].view(dtype)


def _sliced(values: Array, slices: tuple[slice, ...]) -> Array:
    """Lay `values` out as these slices of twice as much memory along each axis that they step over."""
    steps = [abs(one.step or 1) for one in slices]
    sides = tuple(side * step for side, step in zip(values.shape, steps, strict=True))
    # With an Ellipsis a 0-d array stays an array.
    index: Any = (..., *slices)
    laid: Array = _memory(prod(sides), values.dtype).reshape(sides)[index]
    laid[...] = values
    return laid


def _strided(base: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    # By way of raw bytes, since as_strided takes no element type of ml_dtypes.
    return as_strided(base.view(f"V{base.itemsize}"), shape, strides).view(base.dtype)


def _numpy_fortran(values: Array) -> Array:
    return np.asfortranarray(values) if values.ndim > 1 else values


def _numpy_transposed(values: Array) -> Array:
    if values.ndim < 2:
        return values
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(values, 0, -1)), -1, 0)


def _numpy_stepped(values: Array) -> Array:
    return _sliced(values, (slice(1, None, 2),) * values.ndim)


def _numpy_negative(values: Array) -> Array:
    return _sliced(values, (slice(None, None, -1),) * values.ndim)


def _numpy_mixed(values: Array) -> Array:
    kinds = (slice(None), slice(None, None, -2), slice(None, None, 2), slice(None, None, -1))
    return _sliced(values, tuple(kinds[(axis + 1) % 4] for axis in range(values.ndim)))


def _zero_strides(values: Array, axes: tuple[int, ...]) -> Array:
    # A side of 0 has nothing to repeat.
    kept = tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(values.ndim))
    base = values[kept].copy()
    strides = tuple(0 if axis in axes else stride for axis, stride in enumerate(base.strides))
    return _strided(base, values.shape, strides)


def _numpy_zero_stride(values: Array) -> Array:
    return _zero_strides(values, (0,) if values.ndim else ())


def _numpy_zero_strides(values: Array) -> Array:
    return _zero_strides(values, tuple(range(values.ndim)))


def _numpy_offset(values: Array) -> Array:
    laid = _memory(3 + values.size, values.dtype)[3:].reshape(values.shape)
    laid[...] = values
    return laid


def _numpy_odd_ones(values: Array) -> Array:
    odd = (977 * (axis + 1) * values.itemsize for axis in range(values.ndim))
    strides = tuple(new if side == 1 else old for side, old, new in zip(values.shape, values.strides, odd, strict=True))
    return _strided(values, values.shape, strides)


def _numpy_unaligned(values: Array) -> Array:
    laid = _memory(values.size, values.dtype, before=1).reshape(values.shape)
    laid[...] = values
    return laid


def _numpy_readonly(values: Array) -> Array:
    values.flags.writeable = False
    return values


def _numpy_big_endian(values: Array) -> Array:
    # ml_dtypes' element types have one byte order only.
    return values if values.dtype.kind == "V" else values.astype(values.dtype.newbyteorder(">"))


def _numpy_field(values: Array) -> Array:
    size = values.itemsize
    record = np.dtype({"names": ["x"], "formats": [values.dtype], "offsets": [1], "itemsize": size + 1})
    laid: Array = np.zeros(values.shape, record)["x"]
    laid[...] = values
    return laid


def _table(*layouts: Layout[A]) -> Mapping[str, Layout[A]]:
    return MappingProxyType({layout.name: layout for layout in layouts})


#: The layouts of numpy arrays, the plainest first.
NUMPY_LAYOUTS: Final[Mapping[str, Layout[Array]]] = _table(
    Layout("c", lambda values: values),
    Layout("fortran", _numpy_fortran),
    Layout("transposed", _numpy_transposed),
    Layout("stepped", _numpy_stepped),
    Layout("negative", _numpy_negative),
    Layout("mixed", _numpy_mixed),
    Layout("zero_stride", _numpy_zero_stride),
    Layout("zero_strides", _numpy_zero_strides),
    Layout("offset", _numpy_offset),
    Layout("odd_ones", _numpy_odd_ones),
    Layout("unaligned", _numpy_unaligned),
    Layout("readonly", _numpy_readonly),
    Layout("big_endian", _numpy_big_endian, dlpack=False),
    Layout("field", _numpy_field, dlpack=False),
)


def _torch_fortran(values: torch.Tensor) -> torch.Tensor:
    axes = tuple(range(values.ndim))[::-1]
    return values.permute(axes).contiguous().permute(axes)


def _torch_transposed(values: torch.Tensor) -> torch.Tensor:
    return values.movedim(0, -1).contiguous().movedim(-1, 0) if values.ndim else values


def _torch_stepped(values: torch.Tensor) -> torch.Tensor:
    laid = values.new_zeros([2 * side for side in values.shape])
    odd: list[Any] = [slice(1, None, 2)] * values.ndim
    return laid[(..., *odd)].copy_(values)


def _torch_zero_stride(values: torch.Tensor) -> torch.Tensor:
    return values[:1].clone().expand(values.shape) if values.ndim and values.shape[0] else values


def _torch_zero_strides(values: torch.Tensor) -> torch.Tensor:
    return values.flatten()[0].clone().expand(values.shape) if values.numel() else values


def _torch_offset(values: torch.Tensor) -> torch.Tensor:
    return values.new_zeros(3 + values.numel())[3:].view(values.shape).copy_(values)


def _torch_odd_ones(values: torch.Tensor) -> torch.Tensor:
    strides = [977 * (axis + 1) if side == 1 else values.stride(axis) for axis, side in enumerate(values.shape)]
    return values.as_strided(values.shape, strides)


#: The layouts of torch tensors, the plainest first.
TORCH_LAYOUTS: Final[Mapping[str, Layout[torch.Tensor]]] = _table(
    Layout("c", lambda values: values),
    Layout("fortran", _torch_fortran),
    Layout("transposed", _torch_transposed),
    Layout("stepped", _torch_stepped),
    Layout("zero_stride", _torch_zero_stride),
    Layout("zero_strides", _torch_zero_strides),
    Layout("offset", _torch_offset),
    Layout("odd_ones", _torch_odd_ones),
)
