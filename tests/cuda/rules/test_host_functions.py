"""Host functions of a stream: their order, and that they run outside every lock."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from ctypes import c_void_p
from typing import Any

import pytest

from cudasim.runtime import Error, HostFunction, Runtime

Gate = Callable[[int], AbstractContextManager[None]]
Host = Callable[[Callable[[int], None]], c_void_p]


@pytest.fixture
def host() -> Iterator[Host]:
    """Makes a host function of a Python function, and keeps it alive."""
    made: list[Any] = []

    def make(function: Callable[[int], None]) -> c_void_p:
        made.append(HostFunction(function))
        return ctypes.cast(made[-1], c_void_p)

    yield make
    made.clear()


def test_it_runs_after_what_came_before_and_before_what_comes_after(rt: Runtime, host: Host, gate: Gate) -> None:
    stream, memory, result = rt.stream(), rt.memory(value=1), rt.pinned()
    seen: list[set[int]] = []

    def look(_argument: int) -> None:
        seen.append(set(result.bytes.tolist()))
        result.bytes[:] = 7

    with gate(stream):
        rt.copy(result, memory, stream)
        rt.call("LaunchHostFunc", stream, host(look), None)
        rt.copy(memory, result, stream)
    assert rt.read(memory) == [7]
    assert seen == [{1}]


def test_it_gets_its_argument(rt: Runtime, host: Host) -> None:
    stream = rt.stream()
    seen: list[int] = []

    def look(argument: int) -> None:
        seen.append(argument)

    rt.call("LaunchHostFunc", stream, host(look), 12345)
    rt.call("StreamSynchronize", stream)
    assert seen == [12345]


def test_it_can_wait_for_a_thread_that_calls_the_runtime(rt: Runtime, host: Host) -> None:
    """Held under a lock of the runtime, it would wait for ever for a thread that waits for the lock."""
    stream, other, memory = rt.stream(), rt.stream(), rt.memory()
    running, done = threading.Event(), threading.Event()

    def wait(_argument: int) -> None:
        running.set()
        assert done.wait(20)

    def work() -> None:
        assert running.wait(20)
        rt.fill(memory, 1, other)
        rt.call("StreamSynchronize", other)
        done.set()

    thread = threading.Thread(target=work)
    thread.start()
    rt.call("LaunchHostFunc", stream, host(wait), None)
    rt.call("StreamSynchronize", stream)
    thread.join()
    assert done.is_set()
    assert rt.read(memory) == [1]


def test_it_can_need_the_interpreter_while_others_use_the_runtime(rt: Runtime, host: Host) -> None:
    """Python functions in one stream, and threads that submit to others without giving up Python's lock for long."""
    stream, memory, calls = rt.stream(), rt.memory(), list[int]()

    def count(_argument: int) -> None:
        calls.append(1)

    def work() -> None:
        own = rt.made("StreamCreateWithFlags", 1)
        target = rt.made("Malloc", 64)
        for _ in range(200):
            rt.fill(target, 1, own)
        rt.call("StreamSynchronize", own)
        rt.call("Free", target)
        rt.call("StreamDestroy", own)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        rt.call("LaunchHostFunc", stream, host(count), None)
        rt.fill(memory, 1, stream)
    rt.call("StreamSynchronize", stream)
    for thread in threads:
        thread.join()
    assert len(calls) == 200


def test_another_stream_waits_for_it_by_an_event(rt: Runtime, host: Host) -> None:
    first, second, event, memory, result = rt.stream(), rt.stream(), rt.event(), rt.memory(), rt.pinned(value=1)

    def write(_argument: int) -> None:
        result.bytes[:] = 2

    rt.call("LaunchHostFunc", first, host(write), None)
    rt.call("EventRecord", event, first)
    rt.call("StreamWaitEvent", second, event, 0)
    rt.copy(memory, result, second)
    assert rt.read(memory) == [2]


def test_its_end_is_what_the_host_waits_for(rt: Runtime, host: Host) -> None:
    stream, done = rt.stream(), list[int]()

    def slow(_argument: int) -> None:
        done.append(sum(range(100_000)))

    rt.call("LaunchHostFunc", stream, host(slow), None)
    rt.call("StreamSynchronize", stream)
    assert len(done) == 1


@pytest.mark.sim_only
@pytest.mark.finds("misuse")
def test_it_may_not_call_the_runtime(rt: Runtime, host: Host) -> None:
    stream, codes = rt.stream(), list[Error]()

    def call(_argument: int) -> None:
        codes.append(rt.code("StreamQuery", stream))

    rt.call("LaunchHostFunc", stream, host(call), None)
    rt.call("StreamSynchronize", stream)
    assert codes == [Error.NOT_PERMITTED]
