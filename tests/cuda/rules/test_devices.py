"""Streams, events and memory of a device that isn't the current one: which calls are legal, and which are errors."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from ctypes import byref, c_float, c_int

import pytest

from cudasim.runtime import Error, Runtime

Gate = Callable[[int], AbstractContextManager[None]]


@pytest.fixture
def other(rt: Runtime, two_devices: tuple[int, int]) -> int:
    """A second device; the first one is current."""
    return two_devices[1]


def on(rt: Runtime, device: int, make: Callable[[], int]) -> int:
    """What `make` makes, on a device; the first one is current afterwards."""
    rt.call("SetDevice", device)
    made = make()
    rt.call("SetDevice", 0)
    return made


def test_a_stream_knows_its_device(rt: Runtime, other: int) -> None:
    device = c_int(-1)
    rt.call("StreamGetDevice", on(rt, other, rt.stream), byref(device))
    assert device.value == other


@pytest.mark.finds("misuse")
def test_recording_an_event_of_another_device_is_an_error(rt: Runtime, other: int) -> None:
    event, stream = rt.event(), on(rt, other, rt.stream)
    assert rt.code("EventRecord", event, stream) == Error.INVALID_RESOURCE_HANDLE


@pytest.mark.finds("misuse")
def test_the_default_stream_is_the_current_devices(rt: Runtime, other: int) -> None:
    event = on(rt, other, rt.event)
    assert rt.code("EventRecord", event, 0) == Error.INVALID_RESOURCE_HANDLE
    rt.call("SetDevice", other)
    rt.call("EventRecord", event, 0)
    rt.call("SetDevice", 0)


def test_waiting_for_an_event_of_another_device_is_legal(rt: Runtime, gate: Gate, other: int) -> None:
    there, here, result = on(rt, other, rt.stream), rt.stream(), rt.pinned()
    event, memory = on(rt, other, rt.event), on(rt, other, rt.memory)
    with gate(there):
        rt.fill(memory, 1, there)
        rt.call("EventRecord", event, there)
        rt.call("StreamWaitEvent", here, event, 0)
        rt.copy(result, memory, here)
        assert not rt.is_ready("StreamQuery", here)
    rt.call("StreamSynchronize", here)
    assert (result.bytes == 1).all()


def test_the_host_can_wait_for_another_device(rt: Runtime, other: int) -> None:
    stream, event, memory, result = on(rt, other, rt.stream), on(rt, other, rt.event), rt.memory(value=1), rt.pinned()
    rt.copy(result, memory, stream)
    rt.call("EventRecord", event, stream)
    rt.call("EventSynchronize", event)
    assert rt.code("EventQuery", event) == Error.SUCCESS
    rt.call("StreamSynchronize", stream)
    assert rt.code("StreamQuery", stream) == Error.SUCCESS
    assert (result.bytes == 1).all()


def test_a_copy_in_a_stream_of_another_device_is_legal(rt: Runtime, other: int) -> None:
    stream, source, target = on(rt, other, rt.stream), rt.memory(value=1), on(rt, other, rt.memory)
    rt.copy(target, source, stream)
    rt.call("StreamSynchronize", stream)
    rt.call("SetDevice", other)
    assert rt.read(target) == [1]
    rt.call("SetDevice", 0)


def test_a_copy_between_devices(rt: Runtime, other: int) -> None:
    stream, source, target = rt.stream(), rt.memory(value=1), on(rt, other, rt.memory)
    rt.call("MemcpyPeerAsync", target, other, source, 0, 64, stream)
    rt.call("StreamSynchronize", stream)
    rt.call("SetDevice", other)
    assert rt.read(target) == [1]
    rt.call("SetDevice", 0)


def test_synchronizing_a_device_does_not_wait_for_another(rt: Runtime, gate: Gate, other: int) -> None:
    stream = on(rt, other, rt.stream)
    with gate(stream):
        rt.call("DeviceSynchronize")
        assert not rt.is_ready("StreamQuery", stream)
    rt.call("StreamSynchronize", stream)


def test_the_default_streams_of_two_devices_do_not_wait_for_each_other(rt: Runtime, gate: Gate, other: int) -> None:
    memory = on(rt, other, rt.memory)
    with gate(0):
        rt.call("SetDevice", other)
        rt.fill(memory, 1, 0)
        rt.call("StreamSynchronize", 0)
        rt.call("SetDevice", 0)
        assert not rt.is_ready("StreamQuery", 0)
    rt.call("StreamSynchronize", 0)


def test_memory_of_another_device_can_be_freed(rt: Runtime, other: int) -> None:
    rt.call("Free", on(rt, other, lambda: rt.made("Malloc", 64)))


def test_there_is_no_time_between_events_of_two_devices(rt: Runtime, other: int) -> None:
    here, there = rt.event(), on(rt, other, rt.event)
    rt.call("EventRecord", here, 0)
    rt.call("SetDevice", other)
    rt.call("EventRecord", there, 0)
    rt.call("SetDevice", 0)
    rt.call("EventSynchronize", here)
    rt.call("EventSynchronize", there)
    assert rt.code("EventElapsedTime", byref(c_float()), here, there) == Error.INVALID_RESOURCE_HANDLE


@pytest.mark.finds("misuse")
@pytest.mark.parametrize("device", [-1, 1000])
def test_a_device_that_is_not_there_is_an_error_and_changes_nothing(rt: Runtime, device: int) -> None:
    assert rt.code("SetDevice", device) == Error.INVALID_DEVICE
    current = c_int(-1)
    rt.call("GetDevice", byref(current))
    assert current.value == 0
