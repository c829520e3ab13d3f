"""tvm_ffi: any layout, and readonly can't be expressed; a tensor there is memory with a shape, without operations."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import tvm_ffi

from interop._adapters._shared.cuda import has_streams
from interop._adapters._shared.host import HostLibrary
from interop._adapters._shared.native import HostNative
from interop._contract import Limits
from interop._devices import CUDA
from interop._dtypes import ROWS
from interop._native import View, lasting, make_view, ndarray_from_view, view_from_dlpack
from interop._streams import ORDERED, Stream

if TYPE_CHECKING:
    from interop._contract import Facts
    from interop._devices import Device

_BYTE: Final = 8


def _show(x: Any) -> Any:
    try:
        if _TRUE_TO_FLAGS:
            return np.from_dlpack(x)
    except (BufferError, RuntimeError):  # an element type of ml_dtypes
        pass
    return ndarray_from_view(view_from_dlpack(x))


def _take(a: np.ndarray[Any, Any]) -> Any:
    # It raises for what is readonly, and for what DLPack can't express.
    made = tvm_ffi.from_dlpack(lasting(a))
    return made if made.data_ptr() % a.itemsize == 0 else NotImplemented


class TvmFfiAdapter(HostLibrary):
    """The adapter of tvm_ffi tensors."""

    name = "tvm_ffi"
    modules = ("tvm_ffi",)
    native = HostNative({tvm_ffi.Tensor: _show}, take=_take)
    room = Limits(
        # Whatever DLPack has a number for, but for types of less than a byte: packed there, padded in ml_dtypes.
        dtypes=frozenset(row.name for row in ROWS if row.bits >= _BYTE and row.numpy is not None),
        alignment=0,
        readonly="drops",
    )

    _on_cuda = replace(room, fills="nothing")

    def claims(self, tp: type, /) -> bool:
        """Tensors of every subclass."""
        return issubclass(tp, tvm_ffi.Tensor)

    def view(self, x: Any, /) -> View:
        """Read the tensor's own attributes, none of which can be assigned."""
        try:
            dtype = x.dtype
        except ValueError:  # it holds complex numbers, and has no name for them
            return view_from_dlpack(x)
        kind, index = map(int, x.__dlpack_device__())
        return make_view(
            x.data_ptr(),
            tuple(x.shape),
            tuple(x.strides),
            (dtype.type_code, dtype.bits, dtype.lanes),
            (kind, index),
            readonly=False,
            owner=x,
        )

    def export(self, x: Any, _facts: Facts, stream: Any, /) -> View:
        """Borrow the memory; the tensor's own ``__dlpack__`` takes a stream and orders nothing."""
        view = self.view(x)
        # Not the tensor itself as the owner: it would be asked for the order.
        return view.with_owner((x,), ordered=stream == ORDERED) if has_streams(view.device) else view

    def current_stream(self, device: Device, /) -> Stream | None:
        """The stream that functions of tvm_ffi work on, on a CUDA device: others are made to wait for it."""
        if not has_streams(device):
            return None
        return Stream(tvm_ffi.get_raw_stream(tvm_ffi.device("cuda", device.index)), device)

    def limits(self, device_type: int, /) -> Limits | None:
        """Host memory, and CUDA memory that somebody else has filled."""
        return self._on_cuda if device_type == CUDA else super().limits(device_type)

    def wrap(self, view: View, /) -> Any:
        """Make a tensor on the View's memory."""
        return tvm_ffi.from_dlpack(view if view.device.is_host else _Ready(view))

    def native_device(self, device: Any, /) -> tuple[int, int] | None:
        """Return the pair of a ``tvm_ffi.Device``; its element types are strings, spelled as ours."""
        if not isinstance(device, tvm_ffi.Device):
            return None
        return int(device.dlpack_device_type()), int(device.index)


class _Ready:
    """Device memory that is ordered already: tvm_ffi asks for no stream, which would stand for the default one."""

    def __init__(self, view: View) -> None:
        self.view = view

    def __dlpack__(self, **options: Any) -> Any:
        return self.view.__dlpack__(stream=ORDERED, max_version=options.get("max_version"))

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.view.__dlpack_device__()


#: Before 2.2.5 all that numpy imports is readonly.
_TRUE_TO_FLAGS: Final = np.from_dlpack(np.empty(0)).flags.writeable


adapter: Final = TvmFfiAdapter()
