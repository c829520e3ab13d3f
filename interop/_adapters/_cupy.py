"""cupy: CUDA and managed memory, every layout; readonly can't be expressed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import cupy
import numpy as np
from cupy import ndarray
from cupy.cuda import MemoryPointer, UnownedMemory

from interop import _layout
from interop._adapters import _cupy_cuda
from interop._adapters._cupy_copies import assign, synchronize
from interop._adapters._cupy_cuda import CupyStreams, device_count, on_device, runtime
from interop._adapters._shared.cuda import Loan, guard, refuse_forked
from interop._adapters._shared.native import HostNative
from interop._changes import changed, is_unchanged
from interop._contract import ADAPTER_API, Facts, Limits
from interop._devices import CPU, CUDA, CUDA_MANAGED, Device, device_of_pair
from interop._dtypes import BY_NUMPY, DType, dtype_of_triple
from interop._native import (
    ArrayLender,
    ArrayMove,
    ArrayTaker,
    Named,
    PlainArrays,
    View,
    make_view,
    ndarray_from_view,
)
from interop._options import Options
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interop._contract import Adapter
    from interop._native import Shortcut

#: What cupy has kernels for; bfloat16 since it takes ml_dtypes' (cupy#9670), float8 not at all.
_DTYPES: Final = frozenset(
    {"bool", "complex64", "complex128", "bfloat16"}
    | {f"{kind}int{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)}
    | {f"float{bits}" for bits in (16, 32, 64)}
)


@guard
def borrowed(low: int, size: int, owner: object, index: int) -> Any:
    """cupy's memory object on memory that `owner` keeps alive."""
    return UnownedMemory(low, size, owner, index)


#: Size and DLPack's triple of each of cupy's dtypes.
_ROWS: Final = {
    row.numpy: (row.numpy.itemsize, (row.code, row.bits, row.lanes))
    for row in BY_NUMPY.values()
    if row.numpy is not None and row.name in _DTYPES
}

#: Arrays of device memory, which managed memory isn't.
_PLAIN: Final = PlainArrays(
    memory=ndarray.data,
    shape=ndarray.shape,
    strides=ndarray.strides,
    dtype=ndarray.dtype,
    ptr=MemoryPointer.ptr,
    index=MemoryPointer.device_id,
    dtypes=_ROWS,
    kind=runtime.pointerGetMemoryType,
    device_kind=runtime.memoryTypeDevice,
)


def _get(a: Any) -> Any:
    # A stream that is captured can't be waited for: the planner says so before anything is queued.
    if runtime.streamIsCapturing(_cupy_cuda.STREAMS(runtime.getDevice())):
        return NotImplemented
    return a.get()


class _CupyNative(HostNative):
    """Moves to the host; what is shared with another framework on CUDA is :meth:`CupyAdapter.lends`."""

    def shortcuts(self, _tp: type, to: Adapter, options: Options) -> tuple[Shortcut, ...]:
        """A move that says no more than where to."""
        # get() takes the stream of the device that is current before it makes the array's own device so.
        moves = to.name == "numpy" and options == Options(device=(CPU, 0))
        return (ArrayMove(_PLAIN, device=runtime.getDevice, move=_get),) if moves else ()


class CupyAdapter(CupyStreams):
    """The adapter of cupy arrays."""

    api = ADAPTER_API
    native = _CupyNative({ndarray: None})
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
        try:
            place = device_of_pair(*map(int, x.__dlpack_device__()))
        except runtime.CUDARuntimeError as err:
            refuse_forked(self, err)
            raise
        if row is None:
            msg = f"a cupy array of {x.dtype} is no tensor that other libraries know. Pass x.astype('float32')."
            raise UnsupportedError(msg)
        return Facts(
            framework=self.name,
            dtype=dtype_of_triple(row.code, row.bits, row.lanes),
            device=place,
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
        memory = x.data
        if not is_unchanged(facts, self.describe(x)) or memory.ptr != facts.ptr:
            raise changed(facts)
        owner = Loan(memory, facts.device, self)
        if stream is not None:
            owner.order(stream)
        return make_view(
            memory.ptr,
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
        memory = borrowed(low, high - low, view, view.device.index)
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
        # A target whose arrays are readonly has them filled first: pyarrow.
        assign(self._array(dst.with_readonly(False) if isinstance(dst, View) else dst), self._array(src))

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

    def lends(self) -> Mapping[type, ArrayLender]:
        """Arrays of device memory, not of managed."""
        works_on = Named(vars(_cupy_cuda), "works_on")
        return {ndarray: ArrayLender(_PLAIN, loan=Loan, lender=self, streams=_cupy_cuda.STREAMS, works_on=works_on)}

    #: Its half of the handovers that end here.
    take = ArrayTaker(
        borrowed=Named(globals(), "borrowed"),
        pointer=MemoryPointer,
        array=ndarray,
        dtypes={triple: dtype for dtype, (_, triple) in _ROWS.items()},
        max_ndim=_limits.max_ndim,
    )


adapter: Final = CupyAdapter()
