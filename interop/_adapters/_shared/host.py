"""What adapters of frameworks in host memory share: no streams, and numpy as the copier of any two layouts."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from interop import _layout
from interop._adapters._shared.cuda import has_streams, ordered_by_producer
from interop._contract import ADAPTER_API, Facts, Limits
from interop._devices import CPU
from interop._native import View, fill_ndarray, make_view, ndarray_from_view, view_from_ndarray
from interop.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from interop._devices import Device
    from interop._dtypes import DType


class HostOnly:
    """The verbs of a framework that has no devices beside the host and no streams."""

    def current_device(self, _device_type: int, /) -> int:
        """The host is device 0."""
        return 0

    def current_stream(self, _device: Device, /) -> int | None:
        """The host has no streams."""
        return None

    def native_stream(self, _stream: object, /) -> int | None:
        """The host has no streams."""
        return None

    def using(self, _device: Device, _stream: int | None, /) -> AbstractContextManager[None]:
        """There is nothing to make current."""
        return nullcontext()

    def order(self, _device: Device, _before: int | None, /, *_after: int) -> None:
        """The host has no streams."""

    def capturing(self, _device: Device, _stream: int, /) -> bool:
        """The host has no streams."""
        return False

    def retain(self, _memory: Any, _stream: int, /) -> tuple[int, ...]:
        """Host memory lives as long as its owner."""
        return ()

    def locate(self, _ptr: int, /) -> int | None:
        """Nothing is known of device memory here."""
        return None


class HostLibrary(HostOnly):
    """A library whose arrays are strided memory of the host: what one looks like as a View says all about it.

    A library of its own says its name, which types are its own, what it can hold, how to look at an array and how to
    make one on memory that is there.
    """

    api = ADAPTER_API
    name = ""
    modules: tuple[str, ...] = ()
    room = Limits(dtypes=frozenset())

    def view(self, x: Any, /) -> View:
        """Look at an array without copying, or refuse it with what to call instead; the View holds it."""
        raise NotImplementedError

    def wrap(self, view: View, /) -> Any:
        """Make an array on the View's memory."""
        raise NotImplementedError

    def limits(self, device_type: int, /) -> Limits | None:
        """Host memory."""
        return self.room if device_type == CPU else None

    def describe(self, x: Any, /) -> Facts:
        """Read the facts off the View."""
        view = self.view(x)
        return Facts(
            framework=self.name,
            dtype=view.dtype,
            device=view.device,
            shape=view.shape,
            strides=view.strides,
            ptr=view.ptr,
            extent=view.extent,
            readonly=view.readonly,
        )

    def settle(self, x: Any, what: frozenset[str], /) -> Any:
        """Make it readonly, where that can be said; nothing is ever lazy, and there is no graph to detach from."""
        return self.wrap(self.view(x).with_readonly()) if "readonly" in what else x

    def export(self, x: Any, _facts: Facts, stream: Any, /) -> View:
        """Borrow the memory; on a device the array's own ``__dlpack__`` orders it, which knows its library's stream."""
        view = self.view(x)
        return ordered_by_producer(view, x, stream) if has_streams(view.device) else view

    def empty(self, dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...], _device: Device, /) -> Any:
        """Allocate with numpy."""
        return self.wrap(view_from_ndarray(empty_ndarray(dtype, shape, strides)))

    def assign(self, dst: Any, src: Any, /) -> None:
        """Write with numpy."""
        into, values = (x if isinstance(x, View) else self.view(x) for x in (dst, src))
        copy_on_host(into, values)

    def native_dtypes(self) -> Mapping[Any, str]:
        """None of its own."""
        return {}

    def native_device(self, _device: object, /) -> tuple[int, int] | None:
        """None of its own."""
        return None


#: As numpy does for its own arrays of this size and more: without huge pages the kernel clears 4 KiB at a time, which
#: was measured to take five times as long as the copy itself.
_HUGE: Final = 1 << 22
_MADV_HUGEPAGE: Final = 14


@cache
def _madvise() -> Callable[[int, int, int], int] | None:
    if sys.platform != "linux":
        return None
    import ctypes

    function = ctypes.CDLL(None).madvise
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    advise: Callable[[int, int, int], int] = function
    return advise


def use_huge_pages(ptr: int, size: int) -> None:
    """Ask for huge pages under fresh memory that is about to be written; a wish that the kernel may not grant."""
    advise = _madvise() if size >= _HUGE else None
    if advise is not None:
        page = mmap.PAGESIZE
        start = -(-ptr // page) * page
        advise(start, (ptr + size - start) // page * page, _MADV_HUGEPAGE)


def empty_ndarray(dtype: DType, shape: tuple[int, ...], strides: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """Allocate an ndarray in any dense layout."""
    if dtype.numpy is None:
        msg = f"numpy has no element type {dtype}"
        raise UnsupportedError(msg)
    if strides == _layout.c_strides(shape):
        return np.empty(shape, dtype.numpy)
    order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
    memory: np.ndarray[Any, Any] = np.empty([shape[axis] for axis in order], dtype.numpy)
    return memory.transpose(np.argsort(order)) if order else memory


def copy_values(dst: np.ndarray[Any, Any], src: np.ndarray[Any, Any]) -> None:
    """Write `src` into `dst` in one pass, cast as numpy casts.

    The core's own loops come first: of a transposed array numpy reads each line of the cache once per element (up to 25
    times the time, numpy#32672), and it casts bfloat16 and float16 one by one.

    A cast that overflows or meets NaN gives what the hardware gives, without a warning: the caller asked for
    the element type by name.
    """
    if fill_ndarray(dst, src):
        return
    if src.dtype == dst.dtype:
        np.copyto(dst, src)
        return
    with np.errstate(all="ignore"):
        if not np.can_cast(src.dtype, dst.dtype, "unsafe"):
            # ml_dtypes has no casts between some of its small types; float32 holds the values of each exactly.
            src = src.astype(np.float32)
        np.copyto(dst, src, casting="unsafe")


def copy_on_host(dst: View, src: View) -> None:
    """Write one View of host memory into another, whatever their layouts and element types."""
    copy_values(ndarray_from_view(dst.with_readonly(False)), ndarray_from_view(src))


def without_odd_strides(view: View) -> View:
    """Give axes of length 1, whose stride means nothing, a stride that a library's size arithmetic takes.

    torch refuses a negative stride even there, or ends the process (pytorch#188023, numpy#23349); pyarrow refuses it.
    """
    if all(step >= 0 for step in view.strides):
        return view
    dtype = view.dtype
    return make_view(
        view.ptr,
        view.shape,
        _layout.c_strides(view.shape) if view.size == 0 else tuple(max(step, 0) for step in view.strides),
        (dtype.code, dtype.bits, dtype.lanes),
        view.device.dlpack,
        readonly=view.readonly,
        owner=view,
    )
