"""What adapters of frameworks in host memory share: no streams, and numpy as the copier of any two layouts."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from interop._native import ndarray_from_view

if TYPE_CHECKING:
    from interop._devices import Device
    from interop._native import View


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


def copy_values(dst: np.ndarray[Any, Any], src: np.ndarray[Any, Any]) -> None:
    """Write `src` into `dst` in one pass, cast as numpy casts.

    A cast that overflows or meets NaN gives what the hardware gives, without a warning: the caller asked for
    the element type by name.
    """
    with np.errstate(all="ignore"):
        if not np.can_cast(src.dtype, dst.dtype, "unsafe"):
            # ml_dtypes has no casts between some of its small types; float32 holds the values of each exactly.
            src = src.astype(np.float32)
        np.copyto(dst, src, casting="unsafe")


def copy_on_host(dst: View, src: View) -> None:
    """Write one View of host memory into another, whatever their layouts and element types."""
    copy_values(ndarray_from_view(dst.with_readonly(False)), ndarray_from_view(src))
