"""dpnp, and dpctl's arrays below it: memory of a SYCL device, which the host can't read by pointer, even on a CPU.

Nothing comes to the host unless it is asked for. dpnp's own ``from_dlpack`` makes a numpy array of what is on the host
(dpctl#1917), so what goes to a device is copied there by an assignment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import dpctl
import dpnp
import numpy as np

from interop import _layout
from interop._adapters._shared.host import HostOnly, copy_values, without_odd_strides
from interop._changes import changed, is_unchanged
from interop._contract import ADAPTER_API, Facts, Limits
from interop._devices import ONEAPI, Device, device_of_pair
from interop._dtypes import BY_NUMPY, DType, dtype_of_triple
from interop._native import View, make_view, ndarray_from_view
from interop._words import text_of
from interop.errors import DeviceError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_DTYPES: Final = frozenset(
    {"bool", "complex64", "float32"} | {f"{kind}int{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)}
)

#: What only some devices compute with, and how a device says so.
_ASPECTS: Final = {"float16": "has_aspect_fp16", "float64": "has_aspect_fp64", "complex128": "has_aspect_fp64"}

#: The array below a ``dpnp.ndarray``: dpctl.tensor's until 0.21, dpnp.tensor's since.
_Usm: Final = type(dpnp.empty(0, dtype="int8").get_array()) if dpctl.get_num_devices() else dpnp.ndarray


class DpnpAdapter(HostOnly):
    """The adapter of dpnp arrays, and of the arrays of dpctl that they are made of."""

    name = "dpnp"
    api = ADAPTER_API
    modules = ("dpnp",)

    def claims(self, tp: type, /) -> bool:
        """Arrays of both kinds."""
        return issubclass(tp, (dpnp.ndarray, _Usm))

    def limits(self, device_type: int, /) -> Limits | None:
        """SYCL devices, and no host; which floats there are is the default device's to say."""
        if device_type != ONEAPI or not dpctl.get_num_devices():
            return None
        device = dpctl.select_default_device()
        floats = {name for name, aspect in _ASPECTS.items() if getattr(device, aspect)}
        return Limits(dtypes=_DTYPES | floats, devices=dpctl.get_num_devices())

    def describe(self, x: Any, /) -> Facts:
        """Read the facts off the SYCL array interface."""
        array = _usm(x)
        dtype = np.dtype(array.dtype)
        row = BY_NUMPY[dtype]
        try:
            device = device_of_pair(*map(int, array.__dlpack_device__()))
        except Exception as err:  # a sub-device has no number (dpctl#1397)
            why = f"a dpnp array on {array.sycl_device} has no DLPack device: {text_of(err)}"
            msg = f"{why}. Pass it through x.to_device(...)."
            raise UnsupportedError(msg) from err
        # SYCL's interface counts the offset in elements, and gives the address of the allocation.
        interface = array.__sycl_usm_array_interface__
        ptr = interface["data"][0] + interface.get("offset", 0) * dtype.itemsize
        strides = tuple(array.strides)
        return Facts(
            framework=self.name,
            dtype=dtype_of_triple(row.code, row.bits, row.lanes),
            device=device,
            shape=tuple(array.shape),
            strides=strides,
            ptr=ptr,
            extent=_layout.extent(ptr, array.shape, tuple(step * dtype.itemsize for step in strides), dtype.itemsize),
            readonly=not array.flags.writable,
        )

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Mark a copy readonly; nothing is ever lazy, and there is no graph to detach from."""
        return self.wrap(self.export(x, self.describe(x), None).with_readonly()) if "readonly" in what else x

    def export(self, x: Any, facts: Facts, _stream: Any, /) -> View:
        """Borrow the memory, once what its queue was given has been done: DLPack has no streams for SYCL."""
        array = _usm(x)
        array.sycl_queue.wait()
        if not is_unchanged(facts, self.describe(array)):
            raise changed(facts)
        dtype = facts.dtype
        return make_view(
            facts.ptr or 0,
            facts.shape,
            facts.strides,
            (dtype.code, dtype.bits, dtype.lanes),
            facts.device.dlpack,
            readonly=facts.readonly,
            owner=array,
        )

    def wrap(self, view: View, /) -> Any:
        """Make an array on the View's memory, of the same device.

        dpnp holds negative strides, and imports none: what runs backwards is imported forwards, and turned.
        """
        backwards = [step < 0 and n > 1 for n, step in zip(view.shape, view.strides, strict=True)]
        if view.size == 0 or not any(backwards):
            return dpnp.from_dlpack(without_odd_strides(view))
        dtype = view.dtype
        forwards = make_view(
            view.extent[0],
            view.shape,
            tuple(map(abs, view.strides)),
            (dtype.code, dtype.bits, dtype.lanes),
            view.device.dlpack,
            readonly=view.readonly,
            owner=view,
        )
        return dpnp.from_dlpack(forwards)[tuple(slice(None, None, -1 if back else 1) for back in backwards)]

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], device: Device, /) -> Any:
        """Allocate in any dense layout, by transposing a C contiguous one."""
        order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
        made = dpnp.empty(tuple(shape[axis] for axis in order), dtype=dtype.numpy, device=_sycl_device(device))
        return made.transpose([order.index(axis) for axis in range(len(shape))]) if order else made

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write by an assignment on the device, or by a copy from or to the host."""
        if isinstance(dst, View) and dst.device.is_host:
            # A target whose arrays are readonly has them filled first: pyarrow.
            _to_host(ndarray_from_view(dst.with_readonly(False)), self._array(src))
        elif isinstance(src, View) and src.device.is_host:
            _to_device(self._array(dst), ndarray_from_view(src))
        else:
            self._array(dst)[...] = self._array(src)

    def _array(self, x: Any) -> Any:
        return _usm(self.wrap(x) if isinstance(x, View) else x)

    def current_device(self, device_type: int, /) -> int:
        """The default device of SYCL's choice."""
        return int(dpctl.select_default_device().get_device_id()) if device_type == ONEAPI else 0

    def native_dtypes(self) -> Mapping[Any, str]:
        """dpnp's dtype objects are numpy's."""
        return {}

    def native_device(self, device: Any, /) -> tuple[int, int] | None:
        """Return the pair of a ``dpctl.SyclDevice``, a ``dpctl.SyclQueue`` or an array's own device."""
        found = getattr(device, "sycl_device", device)
        return (ONEAPI, int(found.get_device_id())) if isinstance(found, dpctl.SyclDevice) else None


def _usm(x: Any) -> Any:
    return x.get_array() if isinstance(x, dpnp.ndarray) else x


def _sycl_device(device: Device) -> Any:
    try:
        # A number alone selects among all root devices, which is what DLPack numbers.
        return dpctl.SyclDevice(str(device.index))
    except dpctl.SyclDeviceCreationError as err:
        known = ", ".join(f"oneapi:{index}" for index in range(dpctl.get_num_devices()))
        msg = (
            f"there is no SYCL device {device} on this machine, only {known}. Pass device='{known.partition(',')[0]}'."
        )
        raise DeviceError(msg) from err


def _to_host(into: np.ndarray[Any, Any], array: Any) -> None:
    if into.dtype == array.dtype and into.flags.c_contiguous and array.flags.c_contiguous and _is_whole(array):
        array.sycl_queue.wait()
        array.sycl_queue.memcpy(into, array.usm_data, into.nbytes)
    else:
        copy_values(into, dpnp.asnumpy(array))


def _is_whole(array: Any) -> bool:
    """Whether the array is at the start of its allocation, from which a copy by address begins."""
    return bool(array.size) and not array.__sycl_usm_array_interface__.get("offset", 0)


def _to_device(into: Any, array: np.ndarray[Any, Any]) -> None:
    if array.dtype != into.dtype:
        cast = np.empty_like(array, dtype=into.dtype)
        copy_values(cast, array)
        array = cast
    into[...] = array


adapter: Final = DpnpAdapter()
