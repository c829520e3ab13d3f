"""Calls beside streams, events, copies and capture: pools, fills of rows, peers, callbacks, what the driver says."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int, c_size_t, c_uint, c_uint64, c_void_p

import numpy as np
import pytest

from cudasim.runtime import BLOCKING, DEFAULT, NON_BLOCKING, Runtime

PEER_ENABLED, PEER_NOT_ENABLED = 704, 705
RELEASE_THRESHOLD, USED = 4, 7

Callback = ctypes.CFUNCTYPE(None, c_void_p, c_int, c_void_p)


class Pointer:
    """cuPointerGetAttribute."""

    MEMORY_TYPE, DEVICE_POINTER, IS_MANAGED, DEVICE_ORDINAL, RANGE_START = 2, 3, 8, 9, 11


@pytest.mark.parametrize("flags", [BLOCKING, NON_BLOCKING])
def test_a_stream_knows_its_flags(rt: Runtime, flags: int) -> None:
    out = c_uint(7)
    rt.call("StreamGetFlags", rt.stream(flags), byref(out))
    assert out.value == flags


def test_rows_at_a_distance_are_filled(rt: Runtime) -> None:
    memory, stream = rt.memory(64), rt.stream()
    arguments = c_void_p(memory + 2), c_size_t(16), c_int(5), c_size_t(3), c_size_t(4)
    assert rt.library.cudaMemset2DAsync(*arguments, c_void_p(stream)) == 0
    rt.call("StreamSynchronize", stream)
    out = np.zeros((4, 16), np.uint8)
    rt.call("Memcpy", out.ctypes.data, memory, 64, DEFAULT)
    expected = np.zeros((4, 16), np.uint8)
    expected[:, 2:5] = 5
    assert (out == expected).all()


def test_a_callback_runs_in_its_place_in_the_stream(rt: Runtime) -> None:
    stream, memory, result = rt.stream(), rt.memory(value=1), rt.pinned()
    seen: list[tuple[int, int, int]] = []
    function = Callback(lambda handle, status, argument: seen.append((handle, status, int(result.bytes[0]) + argument)))
    rt.copy(result, memory, stream)
    assert rt.library.cudaStreamAddCallback(c_void_p(stream), function, c_void_p(10), c_uint(0)) == 0
    rt.call("StreamSynchronize", stream)
    assert seen == [(stream, 0, 11)]


def test_access_to_a_peer_is_enabled_once(rt: Runtime, two_devices: tuple[int, int]) -> None:
    first, second = two_devices
    can = c_int(-1)
    assert rt.library.cudaDeviceCanAccessPeer(byref(can), first, first) == 0
    assert can.value == 0
    assert rt.library.cudaDeviceCanAccessPeer(byref(can), first, second) == 0
    if not can.value:
        pytest.skip("these two devices can't reach each other's memory")
    enabled = rt.library.cudaDeviceEnablePeerAccess(second, 0)
    assert enabled in (0, PEER_ENABLED)  # torch may have been first
    assert rt.library.cudaDeviceEnablePeerAccess(second, 0) == PEER_ENABLED
    if enabled == 0:
        assert rt.library.cudaDeviceDisablePeerAccess(second) == 0
        assert rt.library.cudaDeviceDisablePeerAccess(second) == PEER_NOT_ENABLED
    rt.library.cudaGetLastError()


def test_the_host_side_of_pinned_memory_is_its_device_side(rt: Runtime) -> None:
    pinned, out = rt.pinned(64), c_void_p()
    assert rt.library.cudaHostGetDevicePointer(byref(out), c_void_p(pinned.pointer), 0) == 0
    assert out.value == pinned.pointer


def test_a_pool_keeps_what_it_is_told_and_counts(rt: Runtime) -> None:
    pool, stream, threshold, used = c_void_p(), rt.stream(), c_uint64(1 << 20), c_uint64()
    assert rt.library.cudaDeviceGetDefaultMemPool(byref(pool), 0) == 0
    before = c_uint64()
    assert rt.library.cudaMemPoolGetAttribute(pool, RELEASE_THRESHOLD, byref(before)) == 0
    assert rt.library.cudaMemPoolSetAttribute(pool, RELEASE_THRESHOLD, byref(threshold)) == 0
    assert rt.library.cudaMemPoolGetAttribute(pool, RELEASE_THRESHOLD, byref(threshold)) == 0
    assert threshold.value == 1 << 20
    memory = c_void_p()
    assert rt.library.cudaMallocFromPoolAsync(byref(memory), c_size_t(4096), pool, c_void_p(stream)) == 0
    assert rt.library.cudaMemPoolGetAttribute(pool, USED, byref(used)) == 0
    assert used.value >= 4096
    rt.fill(memory.value or 0, 1, stream)
    rt.call("FreeAsync", memory.value, stream)
    rt.call("StreamSynchronize", stream)
    assert rt.library.cudaMemPoolTrimTo(pool, c_size_t(0)) == 0
    assert rt.library.cudaMemPoolSetAttribute(pool, RELEASE_THRESHOLD, byref(before)) == 0


def test_the_driver_says_the_same_of_an_address(rt: Runtime) -> None:
    driver = ctypes.CDLL("libcuda.so.1")
    memory, pinned, managed = rt.memory(), rt.pinned().pointer, rt.managed().pointer

    def attribute(which: int, address: int) -> int:
        out = c_uint64()
        assert driver.cuPointerGetAttribute(byref(out), which, c_uint64(address)) == 0
        return out.value

    assert [attribute(Pointer.MEMORY_TYPE, each) for each in (memory, pinned, managed)] == [2, 1, 2]
    assert [attribute(Pointer.IS_MANAGED, each) & 0xFF for each in (memory, pinned, managed)] == [0, 0, 1]
    assert attribute(Pointer.DEVICE_ORDINAL, memory) == 0
    assert attribute(Pointer.DEVICE_POINTER, memory + 8) == memory + 8
    assert attribute(Pointer.RANGE_START, memory + 8) <= memory
    assert driver.cuPointerGetAttribute(byref(c_uint64()), Pointer.MEMORY_TYPE, c_uint64(8)) == 1


def test_names_of_errors(rt: Runtime) -> None:
    for name in ("cudaGetErrorName", "cudaGetErrorString"):
        getattr(rt.library, name).restype = ctypes.c_char_p
    assert rt.library.cudaGetErrorName(700) == b"cudaErrorIllegalAddress"
    assert rt.library.cudaGetErrorName(0) == b"cudaSuccess"
    assert rt.library.cudaGetErrorString(2) == b"out of memory"
