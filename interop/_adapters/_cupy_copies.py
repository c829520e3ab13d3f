"""Copies with cupy's own operations: from the host and to it, between devices, between layouts and element types."""

from __future__ import annotations

from typing import Any

import cupy
import numpy as np

from interop._adapters._cupy_cuda import on_device, record, wait
from interop._adapters._shared.cuda import guard
from interop._adapters._shared.host import copy_values
from interop._streams import LEGACY


def assign(dst: Any, src: Any) -> None:
    """Write one array into another, each cupy's or numpy's; what is on the host is read or written on return."""
    if isinstance(dst, np.ndarray):
        with on_device(src.device.id):
            _get(dst, src)
    elif isinstance(src, np.ndarray):
        with on_device(dst.device.id):
            _set(dst, src)
            # From page-locked memory the copy is still queued, and the caller may write there next.
            synchronize(cupy.cuda.get_current_stream())
    elif dst.device.id == src.device.id:
        with on_device(dst.device.id):
            dst[...] = src
    else:
        _copy_across(dst, src)


@guard
def synchronize(stream: Any) -> None:
    """Have the host wait for a stream."""
    stream.synchronize()


def _in_memory_order(array: Any) -> tuple[int, ...]:
    """The axes from the widest stride to the narrowest: so transposed a dense array is in C order."""
    return tuple(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))


def _same(dst: Any, src: Any) -> bool:
    return bool(dst.dtype == src.dtype and dst.shape == src.shape)


def _get(dst: np.ndarray[Any, Any], src: Any) -> None:
    axes = _in_memory_order(dst)
    turned = dst.transpose(axes)
    if not _same(dst, src) or not turned.flags.c_contiguous:
        copy_values(dst, src.get())
        return
    # In the order of the destination, if need be by a copy on the device; ascontiguousarray makes 0-d 1-d.
    cupy.asarray(src.transpose(axes), order="C").get(out=turned)


def _set(dst: Any, src: np.ndarray[Any, Any]) -> None:
    axes = _in_memory_order(dst)
    turned = dst.transpose(axes)
    if dst.shape != src.shape or not turned.flags.c_contiguous:
        dst[...] = cupy.asarray(src)
        return
    values = src.transpose(axes)
    if dst.dtype != src.dtype or not values.flags.c_contiguous:
        ordered = np.empty(turned.shape, dst.dtype)
        copy_values(ordered, values)
        values = ordered
    turned.set(values)


def _copy_across(dst: Any, src: Any) -> None:
    """Copy on the source's device, after what the destination's stream has queued and before what it queues next."""
    here, there = src.device.id, dst.device.id
    axes = _in_memory_order(dst)
    turned = dst.transpose(axes)
    if dst.shape != src.shape or not turned.flags.c_contiguous:
        with on_device(there):
            fresh = cupy.empty(src.shape, dst.dtype)
        _copy_across(fresh, src)
        assign(dst, fresh)
        return
    with on_device(here):
        values = cupy.asarray(src.astype(dst.dtype, copy=False).transpose(axes), order="C")
    _wait_across(there, here)
    with on_device(here):
        turned.data.copy_from_device_async(values.data, values.nbytes, cupy.cuda.get_current_stream())
    _wait_across(here, there)


def _wait_across(before: int, after: int) -> None:
    """Have the current stream of one device wait for that of another."""
    with on_device(before):
        event = record(cupy.cuda.get_current_stream(before).ptr or LEGACY)
    with on_device(after):
        wait(cupy.cuda.get_current_stream(after).ptr or LEGACY, event)
