"""warp: up to four dimensions and no fewer than one, any strides; vectors and matrices are trailing axes.

Arrays are made from the address, not by warp's own ``from_dlpack``, which forgets the byte offset (warp#1573).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import warp as wp

from interop import _layout
from interop._adapters._shared.host import HostLibrary
from interop._adapters._shared.native import HostNative
from interop._contract import Limits
from interop._devices import CPU, CUDA
from interop._dtypes import BY_NAME, BY_NUMPY
from interop._native import View, make_view, view_from_ndarray
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

#: warp's scalar types by our names; bfloat16 is there since 1.11.
_SCALARS: Final[dict[str, Any]] = {
    name: getattr(wp, name)
    for name in BY_NAME
    if name.startswith(("int", "uint", "float", "bfloat", "bool")) and isinstance(getattr(wp, name, None), type)
}
_NAMES: Final = {scalar: name for name, scalar in _SCALARS.items()}


def _show(x: Any) -> Any:
    if not x.device.is_cpu:
        return NotImplemented
    a = x.numpy()
    return a if a.dtype in BY_NUMPY else NotImplemented


def _take(a: np.ndarray[Any, Any]) -> Any:
    # It raises for what the core has no name for, and for strides of half an element.
    view = view_from_ndarray(a)
    fits = view.dtype.name in _SCALARS and 1 <= view.ndim <= adapter.room.max_ndim
    return adapter.wrap(view) if fits and not view.readonly and view.ptr % view.itemsize == 0 else NotImplemented


class WarpAdapter(HostLibrary):
    """The adapter of warp arrays."""

    name = "warp"
    modules = ("warp",)
    native = HostNative({wp.array: _show}, take=_take)
    room = Limits(dtypes=frozenset(_SCALARS), alignment=0, min_ndim=1, max_ndim=4, readonly="drops")

    def claims(self, tp: type, /) -> bool:
        """Arrays, and the indexed ones, which are refused by name."""
        return issubclass(tp, (wp.array, wp.indexedarray))

    def view(self, x: Any, /) -> View:
        """Read the array's own attributes; a vector's or a matrix's components are the last axes."""
        if not isinstance(x, wp.array):
            msg = f"a warp.{type(x).__name__} {tuple(x.shape)} gathers its elements by index. Pass x.contiguous()."
            raise UnsupportedError(msg)
        name = _NAMES.get(getattr(x.dtype, "_wp_scalar_type_", x.dtype))
        if name is None:
            msg = (
                f"a warp.array of {x.dtype.__name__} {tuple(x.shape)} holds structures, or handles, which no other "
                "library has. Pass x.numpy(), and one field of it."
            )
            raise UnsupportedError(msg)
        row = BY_NAME[name]
        size = row.bits // 8
        inner = tuple(getattr(x.dtype, "_shape_", ()))
        if any(step % size for step in x.strides):
            msg = f"a warp.array of {name} with strides of {x.strides} bytes is a field's. Pass x.contiguous()."
            raise UnsupportedError(msg)
        strides = (*(step // size for step in x.strides), *_layout.c_strides(inner))
        device = self.native_device(x.device) or (CPU, 0)
        return make_view(
            x.ptr or 0,
            (*x.shape, *inner),
            strides,
            (row.code, row.bits, row.lanes),
            device,
            readonly=False,
            owner=x,
        )

    def wrap(self, view: View, /) -> Any:
        """Make an array of scalars on the View's memory; its deleter holds the View, and slices of it hold it."""
        return wp.array(
            ptr=view.ptr if view.size else None,
            dtype=_SCALARS[view.dtype.name],
            shape=view.shape,
            strides=tuple(step * view.itemsize for step in view.strides) if view.size else None,
            capacity=math.prod(view.shape) * view.itemsize,
            device="cpu",
            deleter=_Holder(view),
        )

    def native_dtypes(self) -> Mapping[Any, str]:
        """Return warp's scalar types."""
        return _NAMES

    def native_device(self, device: Any, /) -> tuple[int, int] | None:
        """Return the pair of a ``warp.Device``."""
        if not isinstance(device, wp.Device):
            return None
        return (CPU, 0) if device.is_cpu else (CUDA, int(device.ordinal))


class _Holder:
    """A deleter that has nothing to delete: it holds the View for as long as warp holds it."""

    def __init__(self, view: View) -> None:
        self.view = view

    def __call__(self, _ptr: int, _size: int) -> None:
        """The View dies with this."""


adapter: Final = WarpAdapter()
