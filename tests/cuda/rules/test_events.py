"""What an event stands for, and who waits for what."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from ctypes import byref, c_float

import pytest

from cudasim.runtime import BLOCKING, Error, Runtime

Gate = Callable[[int], AbstractContextManager[None]]

DISABLE_TIMING = 2


def test_a_stream_waits_for_what_came_before_the_record(rt: Runtime, gate: Gate) -> None:
    first, second, event, memory, result = rt.stream(), rt.stream(), rt.event(), rt.memory(), rt.pinned()
    with gate(first):
        rt.fill(memory, 1, first)
        rt.call("EventRecord", event, first)
        rt.call("StreamWaitEvent", second, event, 0)
        rt.copy(result, memory, second)
        assert not rt.is_ready("StreamQuery", second)
    rt.call("StreamSynchronize", second)
    assert (result.bytes == 1).all()


def test_it_does_not_wait_for_what_came_after_the_record(rt: Runtime, gate: Gate) -> None:
    first, second, event, memory = rt.stream(), rt.stream(), rt.event(), rt.memory()
    rt.call("EventRecord", event, first)
    with gate(first):
        rt.call("StreamWaitEvent", second, event, 0)
        rt.fill(memory, 1, second)
        rt.call("StreamSynchronize", second)
        assert not rt.is_ready("StreamQuery", first)
    rt.call("StreamSynchronize", first)


def test_waiting_orders_only_what_is_submitted_afterwards(rt: Runtime, gate: Gate) -> None:
    first, second, event, early, memory = rt.stream(), rt.stream(), rt.event(), rt.event(), rt.memory()
    with gate(first):
        rt.call("EventRecord", event, first)
        rt.fill(memory, 1, second)
        rt.call("EventRecord", early, second)
        rt.call("StreamWaitEvent", second, event, 0)
        rt.call("EventSynchronize", early)
        assert not rt.is_ready("StreamQuery", second)
    rt.call("StreamSynchronize", second)


def test_waiting_passes_on_through_other_streams(rt: Runtime, gate: Gate) -> None:
    first, between, last = rt.stream(), rt.stream(), rt.stream()
    memory, result = rt.memory(), rt.pinned()
    events = rt.event(), rt.event()
    with gate(first):
        rt.fill(memory, 1, first)
        rt.call("EventRecord", events[0], first)
        rt.call("StreamWaitEvent", between, events[0], 0)
        rt.call("EventRecord", events[1], between)
        rt.call("StreamWaitEvent", last, events[1], 0)
        rt.copy(result, memory, last)
        assert not rt.is_ready("StreamQuery", last)
    rt.call("StreamSynchronize", last)
    assert (result.bytes == 1).all()


def test_waiting_for_an_event_that_was_never_recorded_does_nothing(rt: Runtime) -> None:
    stream, event, memory = rt.stream(), rt.event(), rt.memory()
    rt.call("StreamWaitEvent", stream, event, 0)
    rt.fill(memory, 1, stream)
    rt.call("StreamSynchronize", stream)
    rt.call("EventSynchronize", event)
    assert rt.code("EventQuery", event) == Error.SUCCESS


def test_a_record_after_the_wait_does_not_bind_it(rt: Runtime, gate: Gate) -> None:
    held, stream, event, memory = rt.stream(), rt.stream(), rt.event(), rt.memory()
    with gate(held):
        rt.call("StreamWaitEvent", stream, event, 0)  # never recorded yet
        rt.call("EventRecord", event, held)
        rt.fill(memory, 1, stream)
        rt.call("StreamSynchronize", stream)
        assert not rt.is_ready("EventQuery", event)
    rt.call("StreamSynchronize", held)


def test_a_wait_keeps_the_record_that_it_found(rt: Runtime, gate: Gate) -> None:
    """The event is recorded again, in a stream that is idle, while the first record is still waited for."""
    held, idle, waiting, event = rt.stream(), rt.stream(), rt.stream(), rt.event()
    memory, result = rt.memory(), rt.pinned()
    with gate(held):
        rt.fill(memory, 1, held)
        rt.call("EventRecord", event, held)
        rt.call("StreamWaitEvent", waiting, event, 0)
        rt.call("EventRecord", event, idle)
        rt.call("EventSynchronize", event)  # the new record, and so at once
        rt.copy(result, memory, waiting)
        assert not rt.is_ready("StreamQuery", waiting)
    rt.call("StreamSynchronize", waiting)
    assert (result.bytes == 1).all()


def test_a_new_record_replaces_the_old_one(rt: Runtime, gate: Gate) -> None:
    held, idle, waiting, event, memory = rt.stream(), rt.stream(), rt.stream(), rt.event(), rt.memory()
    with gate(held):
        rt.call("EventRecord", event, held)
        rt.call("EventRecord", event, idle)
        rt.call("StreamWaitEvent", waiting, event, 0)
        rt.fill(memory, 1, waiting)
        rt.call("StreamSynchronize", waiting)
        assert not rt.is_ready("StreamQuery", held)
    rt.call("StreamSynchronize", held)


def test_an_event_can_be_destroyed_while_it_is_waited_for(rt: Runtime, gate: Gate) -> None:
    held, waiting, memory, result = rt.stream(), rt.stream(), rt.memory(), rt.pinned()
    event = rt.made("EventCreateWithFlags", DISABLE_TIMING)
    with gate(held):
        rt.fill(memory, 1, held)
        rt.call("EventRecord", event, held)
        rt.call("StreamWaitEvent", waiting, event, 0)
        rt.call("EventDestroy", event)
        rt.copy(result, memory, waiting)
        assert not rt.is_ready("StreamQuery", waiting)
    rt.call("StreamSynchronize", waiting)
    assert (result.bytes == 1).all()


def test_an_event_of_the_default_stream_stands_for_the_blocking_streams_too(rt: Runtime, gate: Gate) -> None:
    blocking, other, event, memory, result = rt.stream(BLOCKING), rt.stream(), rt.event(), rt.memory(), rt.pinned()
    with gate(blocking):
        rt.fill(memory, 1, blocking)
        rt.call("EventRecord", event, 0)
        rt.call("StreamWaitEvent", other, event, 0)
        rt.copy(result, memory, other)
        assert not rt.is_ready("StreamQuery", other)
    rt.call("StreamSynchronize", other)
    assert (result.bytes == 1).all()


def test_the_host_waits_for_an_event(rt: Runtime, gate: Gate) -> None:
    stream, event, memory, result = rt.stream(), rt.event(), rt.memory(value=1), rt.pinned()
    with gate(stream):
        rt.copy(result, memory, stream)
        rt.call("EventRecord", event, stream)
        assert not rt.is_ready("EventQuery", event)
    rt.call("EventSynchronize", event)
    assert (result.bytes == 1).all()
    assert rt.code("EventQuery", event) == Error.SUCCESS


def test_a_query_completes_in_the_end(rt: Runtime) -> None:
    stream, event, memory = rt.stream(), rt.event(), rt.memory()
    rt.fill(memory, 1, stream)
    rt.call("EventRecord", event, stream)
    assert rt.completes("EventQuery", event)


def test_the_time_between_two_events(rt: Runtime, gate: Gate) -> None:
    stream, start, end = rt.stream(), rt.event(), rt.event()
    milliseconds = c_float(-1)
    assert rt.code("EventElapsedTime", byref(milliseconds), start, end) == Error.INVALID_RESOURCE_HANDLE  # not recorded
    rt.call("EventRecord", start, stream)
    with gate(stream):
        rt.call("EventRecord", end, stream)
        assert rt.code("EventElapsedTime", byref(milliseconds), start, end) == Error.NOT_READY
    rt.call("EventSynchronize", end)
    rt.call("EventElapsedTime", byref(milliseconds), start, end)
    assert milliseconds.value >= 0


def test_an_event_without_timing_has_no_time(rt: Runtime) -> None:
    stream, start, end = rt.stream(), rt.event(DISABLE_TIMING), rt.event()
    rt.call("EventRecord", start, stream)
    rt.call("EventRecord", end, stream)
    rt.call("StreamSynchronize", stream)
    assert rt.code("EventElapsedTime", byref(c_float()), start, end) == Error.INVALID_RESOURCE_HANDLE


@pytest.mark.sim_only
@pytest.mark.finds("misuse")
@pytest.mark.parametrize("call", ["EventQuery", "EventSynchronize", "EventDestroy"])
def test_a_destroyed_event_is_refused(rt: Runtime, call: str) -> None:
    event = rt.made("EventCreateWithFlags", 0)
    rt.call("EventDestroy", event)
    assert rt.code(call, event) == Error.INVALID_RESOURCE_HANDLE
