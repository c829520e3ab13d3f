"""The oracle: what an object holds and where, by the calls of its own framework. Nothing is read by the library."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cache
from typing import Any, Final, NamedTuple

import ml_dtypes
import numpy as np
import torch

from fuzz.texts import PACKED


class Found(NamedTuple):
    """What an object holds.

    Parameters
    ----------
    dtype
        The name of the element type.
    shape
        Of the whole.
    data
        Its bytes in C order and the machine's byte order, nothing pending.
    ptr
        The address of its first element; None where its framework doesn't say.
    extent
        Its lowest and highest address, half-open.
    strides
        In bytes.
    readonly
        Whether it can't be written; None where that is nothing to ask.
    """

    dtype: str
    shape: tuple[int, ...]
    data: bytes
    ptr: int | None = None
    extent: tuple[int, int] | None = None
    strides: tuple[int, ...] | None = None
    readonly: bool | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return len(self.data)


def root(x: Any) -> str:
    """The library that an object is of."""
    return type(x).__module__.partition(".")[0]


def _numpy(x: Any) -> Found:
    a = np.asarray(x)
    native = a if a.dtype.isnative else a.byteswap()
    interface = a.__array_interface__
    ptr = interface["data"][0]
    low, high = np.lib.array_utils.byte_bounds(a) if a.size else (ptr, ptr)
    return Found(a.dtype.name, a.shape, native.tobytes(), ptr, (low, high), a.strides, not a.flags.writeable)


def _scalar(x: Any) -> Found:
    # Its own memory is nobody's to borrow, and asarray copies it.
    a = np.asarray(x)
    return Found(a.dtype.name, (), a.tobytes(), readonly=True)


def _torch(x: Any) -> Found:
    plain = x.detach().resolve_conj().resolve_neg()
    # A copy: numpy() would forbid the storage of the tensor itself to be resized.
    copy = plain.clone(memory_format=torch.contiguous_format)
    data = copy.reshape(-1).view(torch.uint8).numpy().tobytes() if copy.numel() else b""
    if x._is_zerotensor():
        return Found(str(x.dtype)[6:], tuple(x.shape), data, readonly=False)
    size, ptr = x.element_size(), x.data_ptr()
    shape, strides = tuple(x.shape), tuple(step * size for step in x.stride())
    reach = sum((length - 1) * step for length, step in zip(shape, strides, strict=True)) + size
    extent = (ptr, ptr + reach if x.numel() else ptr)
    return Found(str(x.dtype)[6:], shape, data, ptr, extent, strides, readonly=False)


def _guest(x: Any) -> Found:
    from frameworks.table import FRAMEWORKS

    name = _GUESTS.get(root(x), root(x))
    a = FRAMEWORKS[name].read(x)
    found = Found(a.dtype.name, a.shape, a.tobytes())
    # What is packed lies in memory that is its own library's secret.
    told = name in _PLACES and a.size and a.dtype.name not in PACKED
    ptr = _PLACES[name](x) if told else None
    return found if ptr is None else found._replace(ptr=ptr, extent=(ptr, ptr + a.nbytes))


def _arrow(x: Any) -> Found:
    a = x.to_numpy(zero_copy_only=False) if hasattr(x, "null_count") else x.to_numpy()
    return Found(a.dtype.name, a.shape, a.tobytes())


def _column(x: Any) -> Found:
    a = x.to_numpy()
    return Found(a.dtype.name, a.shape, a.tobytes())


_GUESTS: Final = {"jaxlib": "jax"}
#: Where those keep an array that is always dense.
_PLACES: Final[dict[str, Callable[[Any], int]]] = {"jax": lambda x: int(x.unsafe_buffer_pointer())}
_READERS: Final[dict[str, Callable[[Any], Found]]] = {
    "numpy": _numpy,
    "torch": _torch,
    "fuzz": lambda x: _torch(x) if isinstance(x, torch.Tensor) else _numpy(x),
    "pyarrow": _arrow,
    "pandas": _column,
    "polars": _column,
}


def read(x: Any) -> Found:
    """Read an array."""
    if isinstance(x, np.generic):
        return _scalar(x)
    return _READERS.get(root(x), _guest)(x)


def _state_of_torch(x: Any) -> Hashable:
    if x.layout != torch.strided or x.is_nested or x.is_quantized or x.device.type != "cpu":
        return (x.layout, x.dtype, x.requires_grad)
    if type(x) not in _PLAIN:
        return (type(x), x.dtype, x.requires_grad)
    version = None if x.is_inference() else x._version
    bits = (x.is_conj(), x.is_neg(), x.requires_grad, x.is_leaf, x.is_inference())
    if x._is_zerotensor():
        return (x.dtype, bits, version)
    place = (x.data_ptr(), tuple(x.shape), x.stride(), x.storage_offset())
    return (x.dtype, place, bits, version, x.untyped_storage().data_ptr(), x.untyped_storage().nbytes())


_PLAIN: Final = frozenset({torch.Tensor, torch.nn.Parameter, torch.nn.Buffer})


def _state_of_numpy(x: Any) -> Hashable:
    if isinstance(x, np.generic):
        return None
    return (x.dtype.str, x.shape, x.strides, x.__array_interface__["data"], x.flags.num, id(x.base))


def state(x: Any) -> Hashable:
    """What no call may change of an object, beside what it holds."""
    if isinstance(x, torch.Tensor):
        return _state_of_torch(x)
    if isinstance(x, (np.ndarray, np.generic)):
        return _state_of_numpy(x)
    return None


def resizable(x: Any) -> bool | None:
    """Whether torch may resize the storage of a tensor; None for what has none."""
    if not isinstance(x, torch.Tensor) or type(x) not in _PLAIN or x.layout != torch.strided:
        return None
    return bool(x.untyped_storage().resizable())


@cache
def dtype_named(name: str) -> np.dtype[Any] | None:
    """numpy's dtype of a name, with those of ml_dtypes; None where neither has it."""
    found = getattr(ml_dtypes, name, None)
    try:
        return np.dtype(found or name)
    except TypeError:
        return None


def array(found: Found) -> np.ndarray[Any, Any] | None:
    """The values as an array of numpy's; None where it has no such element type."""
    dtype = dtype_named(found.dtype)
    return None if dtype is None else np.frombuffer(found.data, dtype).reshape(found.shape)
