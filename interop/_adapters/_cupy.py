"""cupy: CUDA and managed memory, every layout; readonly can't be expressed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import cupy
import numpy as np
from cupy import ndarray
from cupy.cuda import MemoryPointer, UnownedMemory

from interop import _layout
from interop._adapters._cuda import Lend, Loan, guard
from interop._adapters._cupy_copies import assign, synchronize
from interop._adapters._cupy_cuda import CupyStreams, device_count, is_device_memory, on_device, runtime, works_on
from interop._devices import CUDA, CUDA_MANAGED, Device, device_of_pair
from interop._dtypes import BY_NUMPY, DType, dtype_of_triple
from interop._native import View, make_view, ndarray_from_view
from interop.errors import UnsupportedError
from interop.protocols import ADAPTER_API, Facts, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from interop._streams import Stream

#: What cupy has kernels for; bfloat16 since it takes ml_dtypes' (cupy#9670), float8 not at all.
_DTYPES: Final = frozenset(
    {"bool", "complex64", "complex128", "bfloat16"}
    | {f"{kind}int{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)}
    | {f"float{bits}" for bits in (16, 32, 64)}
)


class CupyAdapter(CupyStreams):
    """The adapter of cupy arrays."""

    api = ADAPTER_API
    name = "cupy"
    modules = ("cupy",)

    _limits = Limits(dtypes=_DTYPES, max_ndim=32, readonly="drops")

    _on_cuda: Limits | None = None

    def claims(self, tp: type, /) -> bool:
        """Arrays of every subclass."""
        return issubclass(tp, cupy.ndarray)

    def limits(self, device_type: int, /) -> Limits | None:
        """CUDA and managed memory, where there is a device; never the host (cupy#7131)."""
        if device_type not in (CUDA, CUDA_MANAGED):
            return None
        # Asked once that says yes: the devices that CUDA has shown stay the same.
        if self._on_cuda is None and (count := device_count()):
            self._on_cuda = replace(self._limits, devices=count)
        return self._on_cuda

    def describe(self, x: Any, /) -> Facts:
        """Read the facts off the array's own attributes."""
        row = BY_NUMPY.get(np.dtype(x.dtype))
        if row is None:
            msg = f"a cupy array of {x.dtype} is no tensor that other libraries know. Pass x.astype('float32')."
            raise UnsupportedError(msg)
        return Facts(
            framework=self.name,
            dtype=dtype_of_triple(row.code, row.bits, row.lanes),
            device=device_of_pair(*map(int, x.__dlpack_device__())),
            shape=x.shape,
            strides=tuple(step // x.itemsize for step in x.strides),
            ptr=x.data.ptr,
            extent=_layout.extent(x.data.ptr, x.shape, x.strides, x.itemsize),
            readonly=False,
        )

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Wait for what is queued; nothing is ever lazy, and there is no graph to detach from."""
        if "queued" in what:
            synchronize(cupy.cuda.get_current_stream(x.device.id))
        return x

    def export(self, x: Any, facts: Facts, stream: Any, /) -> View:
        """Borrow the memory; the View holds cupy's memory pointer, not the array, whose shape can be assigned."""
        owner = Loan(x.data, facts.device, self)
        if stream is not None:
            owner.order(stream)
        return make_view(
            x.data.ptr,
            facts.shape,
            facts.strides,
            (facts.dtype.code, facts.dtype.bits, facts.dtype.lanes),
            facts.device.dlpack,
            readonly=False,
            owner=owner,
            ordered=stream is not None,
        )

    def wrap(self, view: View, /) -> Any:
        """Make an array on the View's memory."""
        low, high = view.extent
        memory = borrowed(low, high - low, view)
        size = view.itemsize
        strides = tuple([step * size for step in view.strides])
        return ndarray(view.shape, view.dtype.numpy, MemoryPointer(memory, view.ptr - low), strides)

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], device: Device, /) -> Any:
        """Allocate in any dense layout, from the current pool of the device."""
        steps = tuple(step * dtype.itemsize for step in strides)
        with on_device(device.index):
            memory = cupy.cuda.alloc(_layout.nbytes(shape, dtype.itemsize))
            return cupy.ndarray(shape, dtype.numpy, memory, steps)

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write with cupy's own operations: ``set`` from the host, ``get`` to it, assignment between arrays."""
        assign(self._array(dst), self._array(src))

    def _array(self, x: Any) -> Any:
        if not isinstance(x, View):
            return x
        return ndarray_from_view(x) if x.device.is_host and x.device.type_code != CUDA_MANAGED else self.wrap(x)

    def native_dtypes(self) -> Mapping[Any, str]:
        """cupy's dtype objects are numpy's."""
        return {}

    def native_device(self, device: Any, /) -> tuple[int, int] | None:
        """Return the pair of a ``cupy.cuda.Device``."""
        return (CUDA, int(device.id)) if isinstance(device, cupy.cuda.Device) else None

    def fast(self) -> Mapping[tuple[type, str], Callable[[Any], Any]]:
        """Moves to the host; the routes that are shared with another framework on CUDA are :meth:`lends`."""
        return {(ndarray, "numpy@cpu"): _to_host}

    def lends(self) -> Mapping[type, Lend]:
        """Arrays of device memory, not of managed."""
        return {cupy.ndarray: self._lend}

    def _lend(self, x: Any, reader: Callable[[int], Stream]) -> Any:
        memory, row = x.data, _ROWS.get(x.dtype)
        index = memory.device_id
        stream = reader(index)
        if row is None or not works_on(stream, index) or not is_device_memory(memory.ptr):
            return NotImplemented
        size, triple = row
        device, there = device_of_pair(CUDA, index), (stream,)
        return make_view(
            memory.ptr,
            x.shape,
            tuple([step // size for step in x.strides]),
            triple,
            (CUDA, index),
            readonly=False,
            # What retain() would say of the stream that cupy works on itself.
            owner=Loan(memory, device, self, there, there),
        )

    def take(self, view: View, /) -> Any:
        """Make an array on the View's memory."""
        dtype = view.dtype
        return self.wrap(view) if dtype.name in _DTYPES and view.ndim <= self._limits.max_ndim else NotImplemented


def _to_host(x: Any) -> Any:
    """Move an array as cupy does; what needs more than that is the planner's."""
    try:
        memory = x.data
        # get() takes the stream of the device that is current before it makes the array's own device so.
        if memory.device_id != runtime.getDevice() or x.dtype not in _ROWS or not is_device_memory(memory.ptr):
            return NotImplemented
        return x.get() if x.flags.c_contiguous else NotImplemented
    except Exception:  # noqa: BLE001 - a route never raises: the planner knows what is wrong, and says it
        return NotImplemented


@guard
def borrowed(low: int, size: int, view: View) -> Any:
    """cupy's memory object on a View's, which it holds."""
    return UnownedMemory(low, size, view, view.__dlpack_device__()[1])


#: Size and DLPack's triple of each of cupy's dtypes.
_ROWS: Final = {
    row.numpy: (row.numpy.itemsize, (row.code, row.bits, row.lanes))
    for row in BY_NUMPY.values()
    if row.numpy is not None and row.name in _DTYPES
}

adapter: Final = CupyAdapter()
