"""Copies and fills: what they read and when, what the host waits for, and in which order they run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest

from cudasim.runtime import D2D, D2H, DEFAULT, H2D, H2H, Error, Runtime

Gate = Callable[[int], AbstractContextManager[None]]


def test_from_pinned_memory_the_bytes_are_read_when_the_copy_runs(rt: Runtime, gate: Gate) -> None:
    stream, memory, source = rt.stream(), rt.memory(), rt.pinned(value=1)
    with gate(stream):
        rt.copy(memory, source, stream)
        source.bytes[:] = 2
    assert rt.read(memory) == [2]


def test_from_pageable_memory_the_bytes_are_read_at_the_call(rt: Runtime, gate: Gate) -> None:
    stream, memory, source = rt.stream(), rt.memory(), np.full(64, 1, np.uint8)
    with gate(stream):
        rt.call("MemcpyAsync", memory, source.ctypes.data, 64, H2D, stream)
        source[:] = 2
    assert rt.read(memory) == [1]


def test_to_pinned_memory_the_call_does_not_wait(rt: Runtime, gate: Gate) -> None:
    stream, memory, target = rt.stream(), rt.memory(value=1), rt.pinned()
    with gate(stream):
        rt.copy(target, memory, stream)
        assert rt.code("StreamQuery", stream) == Error.NOT_READY
        assert not (target.bytes == 1).any()
    rt.call("StreamSynchronize", stream)
    assert (target.bytes == 1).all()


def test_to_pageable_memory_the_bytes_are_there_when_the_call_returns(rt: Runtime) -> None:
    stream, memory, target = rt.stream(), rt.memory(), np.zeros(64, np.uint8)
    rt.fill(memory, 1, stream)
    rt.call("MemcpyAsync", target.ctypes.data, memory, 64, D2H, stream)
    assert (target == 1).all()


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "pageable"])
def test_the_synchronous_copy_to_the_host_is_done_when_it_returns(rt: Runtime, pinned: bool) -> None:
    memory, target = rt.memory(), rt.pinned().bytes if pinned else np.zeros(64, np.uint8)
    rt.fill(memory, 1, 0)
    rt.call("Memcpy", target.ctypes.data, memory, 64, D2H)
    assert (target == 1).all()


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "pageable"])
def test_the_source_of_the_synchronous_copy_can_change_once_it_returns(rt: Runtime, pinned: bool) -> None:
    memory, source = rt.memory(), rt.pinned().bytes if pinned else np.zeros(64, np.uint8)
    source[:] = 1
    rt.call("Memcpy", memory, source.ctypes.data, 64, H2D)
    source[:] = 2
    assert rt.read(memory) == [1]


def test_the_synchronous_copy_does_not_wait_for_non_blocking_streams(rt: Runtime, gate: Gate) -> None:
    stream, memory, target = rt.stream(), rt.memory(value=1), np.zeros(64, np.uint8)
    with gate(stream):
        rt.call("Memcpy", target.ctypes.data, memory, 64, D2H)
        assert not rt.is_ready("StreamQuery", stream)
    assert (target == 1).all()


def test_within_the_device_a_copy_is_ordered_like_all_else(rt: Runtime, gate: Gate) -> None:
    stream, first, second = rt.stream(), rt.memory(), rt.memory()
    with gate(stream):
        rt.fill(first, 1, stream)
        rt.copy(second, first, stream)
        rt.fill(first, 2, stream)
    assert rt.read(second) == [1]
    assert rt.read(first) == [2]


def test_between_host_buffers_the_copy_is_done_when_the_call_returns(rt: Runtime) -> None:
    stream, source, target = rt.stream(), np.full(64, 1, np.uint8), np.zeros(64, np.uint8)
    rt.call("MemcpyAsync", target.ctypes.data, source.ctypes.data, 64, H2H, stream)
    assert (target == 1).all()


def test_a_copy_of_nothing_is_a_copy(rt: Runtime) -> None:
    rt.call("MemcpyAsync", 0, 0, 0, DEFAULT, rt.stream())
    rt.call("MemsetAsync", 0, 0, 0, rt.stream())


def test_rows_at_a_distance(rt: Runtime) -> None:
    stream, memory = rt.stream(), rt.memory(64)
    source = np.arange(64, dtype=np.uint8)
    rt.call("MemcpyAsync", memory, source.ctypes.data, 64, H2D, stream)
    target = np.zeros((4, 5), np.uint8)
    rt.call("Memcpy2DAsync", target.ctypes.data, 5, memory + 2, 16, 3, 4, D2H, stream)
    assert (target[:, :3] == source.reshape(4, 16)[:, 2:5]).all()
    assert (target[:, 3:] == 0).all()


def test_registered_memory_is_pinned(rt: Runtime, gate: Gate) -> None:
    stream, memory = rt.stream(), rt.memory()
    pages = np.zeros(3 * 4096, np.uint8)
    source = pages[-pages.ctypes.data % 4096 :][:4096]
    rt.call("HostRegister", source.ctypes.data, 4096, 0)
    source[:] = 1
    with gate(stream):
        rt.call("MemcpyAsync", memory, source.ctypes.data, 64, H2D, stream)
        source[:] = 2
    rt.call("StreamSynchronize", stream)
    rt.call("HostUnregister", source.ctypes.data)
    assert rt.read(memory) == [2]


def test_managed_memory_is_the_hosts_too(rt: Runtime) -> None:
    stream, memory = rt.stream(), rt.memory()
    managed = rt.managed(64)
    managed.bytes[:] = 1
    rt.copy(memory, managed, stream)
    rt.call("StreamSynchronize", stream)
    managed.bytes[:] = 0
    rt.fill(managed.pointer, 3, stream)
    rt.call("StreamSynchronize", stream)
    assert (managed.bytes == 3).all()
    assert rt.read(memory) == [1]


# -- what only the simulated device can tell ---------------------------------------------------------------------------


@pytest.mark.sim_only
@pytest.mark.finds("misuse")
@pytest.mark.parametrize("kind", [H2H, D2H, D2D])
def test_a_copy_that_names_the_wrong_direction_is_refused(rt: Runtime, kind: int) -> None:
    source = np.zeros(64, np.uint8)
    assert (
        rt.code("MemcpyAsync", rt.memory(), source.ctypes.data, 64, kind, rt.stream()) == Error.INVALID_MEMCPY_DIRECTION
    )


@pytest.mark.sim_only(mode="lazy")
def test_pinned_memory_that_a_copy_is_going_to_write_shows_that_it_is_too_early(rt: Runtime) -> None:
    stream, memory, target = rt.stream(), rt.memory(value=1), rt.pinned()
    rt.copy(target, memory, stream)
    assert (target.bytes == 0xEE).all()
    rt.call("StreamSynchronize", stream)
    assert (target.bytes == 1).all()


@pytest.mark.sim_only(mode="lazy")
def test_pinned_memory_that_is_still_to_be_read_keeps_its_bytes(rt: Runtime) -> None:
    stream, memory, other, buffer = rt.stream(), rt.memory(), rt.memory(value=2), rt.pinned(value=1)
    rt.copy(memory, buffer, stream)
    rt.copy(buffer, other, stream)
    rt.call("StreamSynchronize", stream)
    assert rt.read(memory) == [1]
    assert (buffer.bytes == 2).all()
