"""Allocating and freeing: what waits, what is queued, and what is said of an address."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from ctypes import byref, c_size_t, c_void_p

import numpy as np
import pytest

import cudasim
from cudasim.runtime import DEVICE, HOST, MANAGED, UNREGISTERED, Attributes, Error, Runtime

Gate = Callable[[int], AbstractContextManager[None]]


def attributes(rt: Runtime, address: int) -> Attributes:
    out = Attributes()
    rt.call("PointerGetAttributes", byref(out), address)
    return out


# -- freeing -----------------------------------------------------------------------------------------------------------


def test_free_waits_for_the_device(rt: Runtime, gate: Gate) -> None:
    stream, result, seen = rt.stream(), rt.pinned(), list[set[int]]()
    memory = rt.made("Malloc", 64)

    def free() -> None:
        rt.call("Free", memory)
        seen.append(set(result.bytes.tolist()))

    thread = threading.Thread(target=free)
    with gate(stream):
        rt.fill(memory, 1, stream)
        rt.copy(result, memory, stream)
        thread.start()
    thread.join()
    assert seen == [{1}]


def test_free_async_is_queued(rt: Runtime, gate: Gate) -> None:
    stream, result = rt.stream(), rt.pinned()
    memory = rt.made("MallocAsync", 64, stream)
    with gate(stream):
        rt.fill(memory, 1, stream)
        rt.copy(result, memory, stream)
        rt.call("FreeAsync", memory, stream)
        assert rt.code("StreamQuery", stream) == Error.NOT_READY
    rt.call("StreamSynchronize", stream)
    assert (result.bytes == 1).all()


def test_memory_of_one_stream_can_be_used_and_freed_in_another_that_waits(rt: Runtime) -> None:
    first, second, event, result = rt.stream(), rt.stream(), rt.event(), rt.pinned()
    memory = rt.made("MallocAsync", 64, first)
    rt.call("EventRecord", event, first)
    rt.call("StreamWaitEvent", second, event, 0)
    rt.fill(memory, 1, second)
    rt.copy(result, memory, second)
    rt.call("FreeAsync", memory, second)
    rt.call("StreamSynchronize", second)
    assert (result.bytes == 1).all()


def test_stream_ordered_memory_can_be_freed_by_free_once_the_host_has_waited(rt: Runtime) -> None:
    stream = rt.stream()
    memory = rt.made("MallocAsync", 64, stream)
    rt.fill(memory, 1, stream)
    rt.call("StreamSynchronize", stream)
    rt.call("Free", memory)


def test_freeing_nothing_is_fine(rt: Runtime) -> None:
    rt.call("Free", 0)
    rt.call("FreeHost", 0)


def test_an_allocation_of_nothing_is_null(rt: Runtime) -> None:
    assert rt.made("Malloc", 0) == 0


@pytest.mark.finds("misuse")
def test_free_of_host_memory_is_an_error(rt: Runtime) -> None:
    assert rt.library.cudaFree(np.zeros(4096, np.uint8).ctypes.data) == Error.INVALID_VALUE
    assert rt.code("PeekAtLastError") == Error.INVALID_VALUE
    assert rt.code("GetLastError") == Error.INVALID_VALUE
    assert rt.code("GetLastError") == Error.SUCCESS


# -- addresses ---------------------------------------------------------------------------------------------------------


def test_what_an_address_is(rt: Runtime) -> None:
    device, pinned, managed, pageable = rt.memory(), rt.pinned(), rt.managed(64), np.zeros(64, np.uint8)
    for address, kind in (
        (device, DEVICE),
        (device + 63, DEVICE),
        (pinned.pointer, HOST),
        (managed.pointer, MANAGED),
        (pageable.ctypes.data, UNREGISTERED),
    ):
        assert attributes(rt, address).type == kind
    assert attributes(rt, device).device == 0
    assert attributes(rt, device).device_pointer == device
    assert attributes(rt, pinned.pointer).host_pointer == pinned.pointer


def test_the_device_of_an_address(rt: Runtime, two_devices: tuple[int, int]) -> None:
    _, second = two_devices
    rt.call("SetDevice", second)
    memory = rt.memory()
    rt.call("SetDevice", 0)
    assert attributes(rt, memory).device == second


def test_registering_what_is_registered_is_an_error(rt: Runtime) -> None:
    pages = np.zeros(3 * 4096, np.uint8)
    start = pages.ctypes.data + -pages.ctypes.data % 4096
    rt.call("HostRegister", start, 4096, 0)
    assert rt.code("HostRegister", start, 4096, 0) == Error.HOST_MEMORY_ALREADY_REGISTERED
    assert attributes(rt, start).type == HOST
    rt.call("HostUnregister", start)
    assert attributes(rt, start).type == UNREGISTERED


# -- how much there is -------------------------------------------------------------------------------------------------


def test_more_than_there_is_is_refused_and_leaves_all_as_it_was(rt: Runtime) -> None:
    available, total = c_size_t(), c_size_t()
    rt.call("MemGetInfo", byref(available), byref(total))
    assert 0 < available.value <= total.value
    assert rt.code("Malloc", byref(c_void_p()), 2 * total.value) == Error.MEMORY_ALLOCATION
    memory = rt.memory()
    assert rt.read(memory) == [0]


@pytest.mark.sim_only
def test_the_memory_of_a_device_can_be_made_small(rt: Runtime, small_memory: Callable[[int], None]) -> None:
    small_memory(1 << 20)
    memory = rt.made("Malloc", 600 << 10)
    assert rt.code("Malloc", byref(c_void_p()), 600 << 10) == Error.MEMORY_ALLOCATION
    rt.call("Free", memory)
    rt.call("Free", rt.made("Malloc", 600 << 10))


@pytest.mark.sim_only
def test_a_queued_free_gives_its_memory_back_in_time(rt: Runtime, small_memory: Callable[[int], None]) -> None:
    stream = rt.stream()
    small_memory(1 << 20)
    memory = rt.made("MallocAsync", 600 << 10, stream)
    rt.call("FreeAsync", memory, stream)
    again = rt.made("MallocAsync", 600 << 10, stream)
    rt.call("FreeAsync", again, stream)


# -- what only the simulated device can tell ---------------------------------------------------------------------------


@pytest.mark.sim_only
@pytest.mark.finds("use after free")
def test_a_copy_from_freed_memory_is_found(rt: Runtime) -> None:
    stream, target = rt.stream(), rt.memory()
    memory = rt.made("Malloc", 64)
    rt.call("Free", memory)
    assert rt.code("MemcpyAsync", target, memory, 64, 4, stream) == Error.INVALID_VALUE
    assert attributes(rt, memory).type == UNREGISTERED


@pytest.mark.sim_only
@pytest.mark.finds("use after free")
def test_a_second_free_is_found(rt: Runtime) -> None:
    memory = rt.made("Malloc", 64)
    rt.call("Free", memory)
    assert rt.code("Free", memory) == Error.INVALID_VALUE


@pytest.mark.sim_only
@pytest.mark.finds("use after free")
def test_what_is_submitted_after_a_queued_free_is_found(rt: Runtime) -> None:
    stream = rt.stream()
    memory = rt.made("MallocAsync", 64, stream)
    rt.call("FreeAsync", memory, stream)
    assert rt.code("MemsetAsync", memory, 1, 64, stream) == Error.INVALID_VALUE


@pytest.mark.sim_only
@pytest.mark.finds("race")
def test_a_queued_free_that_nothing_orders_after_the_use_is_found(rt: Runtime) -> None:
    stream, other = rt.stream(), rt.stream()
    memory, target = rt.made("MallocAsync", 64, stream), rt.memory()
    rt.call("StreamSynchronize", stream)
    rt.copy(target, memory, other)
    rt.call("FreeAsync", memory, stream)
    rt.call("StreamSynchronize", other)


@pytest.mark.sim_only
@pytest.mark.finds("race")
def test_free_of_stream_ordered_memory_without_waiting_is_found(rt: Runtime) -> None:
    stream = rt.stream()
    memory = rt.made("MallocAsync", 64, stream)
    rt.fill(memory, 1, stream)
    cudasim.run()  # it has run, as it happens, but nobody has waited for it
    rt.call("Free", memory)


@pytest.mark.sim_only
@pytest.mark.finds("out of bounds")
@pytest.mark.parametrize(("offset", "size"), [(0, 65), (60, 5), (64, 1), (512, 1)])
def test_an_overrun_is_found(rt: Runtime, offset: int, size: int) -> None:
    assert rt.code("MemsetAsync", rt.memory(64) + offset, 1, size, rt.stream()) == Error.INVALID_VALUE


@pytest.mark.sim_only
@pytest.mark.finds("out of bounds")
def test_an_overrun_of_the_last_row_is_found(rt: Runtime) -> None:
    memory, target = rt.memory(64), np.zeros(64, np.uint8)
    rt.call("Memcpy2DAsync", target.ctypes.data, 12, memory, 16, 12, 4, 2, rt.stream())
    assert (
        rt.code("Memcpy2DAsync", target.ctypes.data, 12, memory + 8, 16, 12, 4, 2, rt.stream()) == Error.INVALID_VALUE
    )
