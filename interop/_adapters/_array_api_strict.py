"""array_api_strict: numpy's memory behind exactly the standard's namespace, on devices that only pretend.

Its devices beside ``CPU_DEVICE`` are there to find code that forgets about devices, so they are told apart here too:
they are DLPack's "extension device", and nothing leaves them unless a move is asked for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import array_api_strict as xp
import numpy as np

from interop._adapters._shared.host import HostLibrary
from interop._adapters._shared.native import HostNative
from interop._contract import Limits
from interop._devices import CPU, EXT_DEV
from interop._dtypes import BY_NAME
from interop._native import View, lasting, make_view, ndarray_from_view, view_from_ndarray

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interop._devices import Device
    from interop._dtypes import DType

_DEVICES: Final = tuple(xp.__array_namespace_info__().devices())
_CPU: Final = _DEVICES[0]

_NAMES: Final[dict[Any, str]] = {dtype: name for name in BY_NAME if (dtype := getattr(xp, name, None)) is not None}

_OURS: Final = frozenset(_NAMES.values())

_Array: Final = type(xp.empty(0))


def _take(a: np.ndarray[Any, Any]) -> Any:
    # It raises for what the core has no name for, and for strides of half an element.
    view = view_from_ndarray(a)
    return xp.asarray(lasting(a), copy=False) if view.dtype.name in _OURS else NotImplemented


class StrictAdapter(HostLibrary):
    """The adapter of array_api_strict's arrays."""

    name = "array_api_strict"
    modules = ("array_api_strict",)
    native = HostNative({_Array: lambda x: lasting(np.asarray(x))}, take=_take)
    room = Limits(dtypes=_OURS)
    _elsewhere = replace(room, devices=len(_DEVICES))

    def claims(self, tp: type, /) -> bool:
        """Arrays."""
        return issubclass(tp, _Array)

    def limits(self, device_type: int, /) -> Limits | None:
        """The host, and the devices that pretend to be others."""
        return {CPU: self.room, EXT_DEV: self._elsewhere}.get(device_type)

    def view(self, x: Any, /) -> View:
        """Look at numpy's array, under the device that it pretends to be on."""
        if x.device == _CPU:
            return view_from_ndarray(np.asarray(x))
        # numpy.asarray refuses these, and the protocol doesn't.
        return _at(view_from_ndarray(np.from_dlpack(x)).with_owner(x), (EXT_DEV, _DEVICES.index(x.device)))

    def wrap(self, view: View, /) -> Any:
        """Make an array on the View's memory."""
        device = _DEVICES[view.device.index if view.device.type_code == EXT_DEV else 0]
        return xp.asarray(ndarray_from_view(_at(view, (CPU, 0))), copy=False, device=device)

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], device: Device, /) -> Any:
        """Allocate with numpy."""
        made = super().empty(dtype, shape, strides, device)
        return made if device.is_host else self.wrap(_at(self.view(made), device.dlpack))

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write with numpy: all of its devices are host memory."""
        into, values = (x if isinstance(x, View) else self.view(x) for x in (dst, src))
        super().assign(_at(into, (CPU, 0)), _at(values, (CPU, 0)))

    def native_dtypes(self) -> Mapping[Any, str]:
        """Return its dtype objects."""
        return _NAMES

    def native_device(self, device: Any, /) -> tuple[int, int] | None:
        """Return the pair of one of its device objects."""
        if device not in _DEVICES:
            return None
        return (CPU, 0) if device == _CPU else (EXT_DEV, _DEVICES.index(device))


def _at(view: View, device: tuple[int, int]) -> View:
    """The same memory under another device's name: these are names only."""
    triple = (view.dtype.code, view.dtype.bits, view.dtype.lanes)
    return make_view(view.ptr, view.shape, view.strides, triple, device, readonly=view.readonly, owner=view)


adapter: Final = StrictAdapter()
