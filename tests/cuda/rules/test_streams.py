"""What orders the operations of streams, and what doesn't."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from cudasim.runtime import BLOCKING, LEGACY, NON_BLOCKING, PER_THREAD, Error, Runtime

Gate = Callable[[int], AbstractContextManager[None]]

KINDS = pytest.mark.parametrize("flags", [BLOCKING, NON_BLOCKING], ids=["blocking", "non-blocking"])
DEFAULTS = pytest.mark.parametrize("default", [0, LEGACY], ids=["null", "legacy"])


@KINDS
def test_a_stream_runs_in_order(rt: Runtime, gate: Gate, flags: int) -> None:
    stream, memory, before, after = rt.stream(flags), rt.memory(), rt.pinned(), rt.pinned()
    with gate(stream):
        rt.fill(memory, 1, stream)
        rt.copy(before, memory, stream)
        rt.fill(memory, 2, stream)
        rt.copy(after, memory, stream)
    rt.call("StreamSynchronize", stream)
    assert (before.bytes == 1).all()
    assert (after.bytes == 2).all()


@KINDS
def test_streams_do_not_wait_for_each_other(rt: Runtime, gate: Gate, flags: int) -> None:
    held, free, memory = rt.stream(flags), rt.stream(flags), rt.memory()
    with gate(held):
        rt.fill(memory, 1, free)
        rt.call("StreamSynchronize", free)
        assert rt.code("StreamQuery", held) == Error.NOT_READY
    rt.call("StreamSynchronize", held)
    assert rt.read(memory) == [1]


def test_a_query_completes_in_the_end(rt: Runtime) -> None:
    stream, memory = rt.stream(), rt.memory()
    rt.fill(memory, 1, stream)
    assert rt.completes("StreamQuery", stream)


def test_a_held_stream_stays_not_ready(rt: Runtime, gate: Gate) -> None:
    stream, memory = rt.stream(), rt.memory()
    with gate(stream):
        rt.fill(memory, 1, stream)
        assert not rt.is_ready("StreamQuery", stream)
    rt.call("StreamSynchronize", stream)


# -- the legacy default stream -----------------------------------------------------------------------------------------


@DEFAULTS
def test_the_default_stream_waits_for_blocking_streams(rt: Runtime, gate: Gate, default: int) -> None:
    stream, memory, result = rt.stream(BLOCKING), rt.memory(), rt.pinned()
    with gate(stream):
        rt.fill(memory, 1, stream)
        rt.copy(result, memory, default)
        assert not rt.is_ready("StreamQuery", default)
    rt.call("StreamSynchronize", default)
    assert (result.bytes == 1).all()


@DEFAULTS
def test_blocking_streams_wait_for_the_default_stream(rt: Runtime, gate: Gate, default: int) -> None:
    stream, memory, result = rt.stream(BLOCKING), rt.memory(), rt.pinned()
    with gate(default):
        rt.fill(memory, 1, default)
        rt.copy(result, memory, stream)
        assert not rt.is_ready("StreamQuery", stream)
    rt.call("StreamSynchronize", stream)
    assert (result.bytes == 1).all()


@DEFAULTS
def test_the_default_stream_does_not_wait_for_non_blocking_streams(rt: Runtime, gate: Gate, default: int) -> None:
    stream, memory = rt.stream(NON_BLOCKING), rt.memory()
    with gate(stream):
        rt.fill(memory, 1, default)
        rt.call("StreamSynchronize", default)
        assert not rt.is_ready("StreamQuery", stream)
    rt.call("StreamSynchronize", stream)


@DEFAULTS
def test_non_blocking_streams_do_not_wait_for_the_default_stream(rt: Runtime, gate: Gate, default: int) -> None:
    stream, memory = rt.stream(NON_BLOCKING), rt.memory()
    with gate(default):
        rt.fill(memory, 1, stream)
        rt.call("StreamSynchronize", stream)
        assert not rt.is_ready("StreamQuery", default)
    rt.call("StreamSynchronize", default)


def test_the_default_stream_orders_two_blocking_streams(rt: Runtime, gate: Gate) -> None:
    first, second, memory, other, result = (
        rt.stream(BLOCKING),
        rt.stream(BLOCKING),
        rt.memory(),
        rt.memory(),
        rt.pinned(),
    )
    with gate(first):
        rt.fill(memory, 1, first)
        rt.fill(other, 1, 0)
        rt.copy(result, memory, second)
        assert not rt.is_ready("StreamQuery", second)
    rt.call("StreamSynchronize", second)
    assert (result.bytes == 1).all()


def test_synchronizing_the_default_stream_waits_for_blocking_streams(rt: Runtime, gate: Gate) -> None:
    stream, memory, result = rt.stream(BLOCKING), rt.memory(value=1), rt.pinned()
    with gate(stream):
        rt.copy(result, memory, stream)
        rt.fill(memory, 2, 0)
    rt.call("StreamSynchronize", 0)
    assert (result.bytes == 1).all()


def test_synchronizing_the_default_stream_waits_for_them_also_where_nothing_was_submitted_to_it(
    rt: Runtime, gate: Gate
) -> None:
    stream, memory, result = rt.stream(BLOCKING), rt.memory(value=1), rt.pinned()
    with gate(stream):
        rt.copy(result, memory, stream)
    rt.call("StreamSynchronize", 0)
    assert (result.bytes == 1).all()


# -- the default stream of a thread ------------------------------------------------------------------------------------


def test_the_stream_of_a_thread_is_a_blocking_stream(rt: Runtime, gate: Gate) -> None:
    memory, result = rt.memory(), rt.pinned()
    with gate(PER_THREAD):
        rt.fill(memory, 1, PER_THREAD)
        rt.copy(result, memory, 0)
        assert not rt.is_ready("StreamQuery", LEGACY)
    rt.call("StreamSynchronize", 0)
    assert (result.bytes == 1).all()


def test_each_thread_has_its_own(rt: Runtime, gate: Gate) -> None:
    memory = rt.memory()
    done: list[Error] = []

    def other() -> None:
        rt.fill(memory, 1, PER_THREAD)
        rt.call("StreamSynchronize", PER_THREAD)
        done.append(rt.code("StreamQuery", PER_THREAD))

    with gate(PER_THREAD):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert not rt.is_ready("StreamQuery", PER_THREAD)
    assert done == [Error.SUCCESS]
    assert rt.read(memory) == [1]


# -- the device as a whole ---------------------------------------------------------------------------------------------


@KINDS
def test_synchronizing_the_device_waits_for_every_stream(rt: Runtime, gate: Gate, flags: int) -> None:
    stream, memory, result = rt.stream(flags), rt.memory(value=1), rt.pinned()
    with gate(stream):
        rt.copy(result, memory, stream)
    rt.call("DeviceSynchronize")
    assert (result.bytes == 1).all()
    assert rt.code("StreamQuery", stream) == Error.SUCCESS


@KINDS
def test_what_is_pending_on_a_destroyed_stream_still_runs(rt: Runtime, gate: Gate, flags: int) -> None:
    stream = rt.made("StreamCreateWithFlags", flags)
    memory = rt.memory()
    with gate(stream):
        rt.fill(memory, 1, stream)
        rt.call("StreamDestroy", stream)
    assert rt.read(memory) == [1]


def test_a_wait_for_a_destroyed_streams_work_holds(rt: Runtime, gate: Gate) -> None:
    stream, other = rt.made("StreamCreateWithFlags", NON_BLOCKING), rt.stream()
    event, memory, result = rt.event(), rt.memory(), rt.pinned()
    with gate(stream):
        rt.fill(memory, 1, stream)
        rt.call("EventRecord", event, stream)
        rt.call("StreamDestroy", stream)
        rt.call("StreamWaitEvent", other, event, 0)
        rt.copy(result, memory, other)
        assert not rt.is_ready("StreamQuery", other)
    rt.call("StreamSynchronize", other)
    assert (result.bytes == 1).all()


@pytest.mark.parametrize("default", [0, LEGACY, PER_THREAD])
@pytest.mark.finds("misuse")
def test_default_streams_cannot_be_destroyed(rt: Runtime, default: int) -> None:
    assert rt.code("StreamDestroy", default) == Error.INVALID_RESOURCE_HANDLE
