"""Stream capture: what goes into the graph, what is illegal meanwhile, and what that does to the capture."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator
from ctypes import byref, c_int, c_size_t, c_ulonglong, c_void_p
from typing import Any, TypeVar

import pytest

from cudasim.runtime import BLOCKING, GLOBAL, NON_BLOCKING, RELAXED, THREAD_LOCAL, Error, Runtime

T = TypeVar("T")

NONE, ACTIVE, INVALIDATED = range(3)
MODES = pytest.mark.parametrize("mode", [GLOBAL, THREAD_LOCAL, RELAXED], ids=["global", "thread-local", "relaxed"])

#: An illegal call is an error on every device; the simulated one reports it as well.
ILLEGAL = pytest.mark.finds("capture")


def status(rt: Runtime, stream: int) -> int:
    out = c_int(-1)
    rt.call("StreamIsCapturing", stream, byref(out))
    return out.value


def begin(rt: Runtime, flags: int = NON_BLOCKING, mode: int = GLOBAL) -> int:
    stream = rt.stream(flags)
    rt.call("StreamBeginCapture", stream, mode)
    return stream


def end(rt: Runtime, stream: int) -> tuple[Error, int]:
    graph = c_void_p()
    code = rt.code("StreamEndCapture", stream, byref(graph))
    return code, graph.value or 0


@contextlib.contextmanager
def executable(rt: Runtime, graph: int) -> Generator[int]:
    made = rt.made("GraphInstantiate", graph, 0)
    try:
        yield made
    finally:
        rt.call("GraphExecDestroy", made)
        rt.call("GraphDestroy", graph)


def end_invalid(rt: Runtime, stream: int) -> None:
    """The capture has become invalid: it ends, once, without a graph, and the stream is as it was before."""
    assert status(rt, stream) == INVALIDATED
    assert end(rt, stream) == (Error.CAPTURE_INVALIDATED, 0)
    assert status(rt, stream) == NONE
    memory = rt.memory()
    rt.fill(memory, 1, stream)
    assert rt.read(memory) == [1]


# -- what is captured


@MODES
def test_captured_work_runs_when_the_graph_is_launched(rt: Runtime, mode: int) -> None:
    memory, other, result = rt.memory(), rt.memory(value=1), rt.pinned()
    stream = begin(rt, mode=mode)
    rt.copy(memory, other, stream)
    rt.copy(result, memory, stream)
    code, graph = end(rt, stream)
    assert code == Error.SUCCESS
    assert rt.read(memory) == [0]
    with executable(rt, graph) as launchable:
        rt.call("GraphLaunch", launchable, stream)
        rt.call("StreamSynchronize", stream)
        assert (result.bytes == 1).all()
        rt.fill(other, 2, stream)
        rt.call("GraphLaunch", launchable, stream)
        rt.call("StreamSynchronize", stream)
    assert (result.bytes == 2).all()


def test_the_number_of_nodes(rt: Runtime) -> None:
    memory, stream = rt.memory(), begin(rt)
    rt.fill(memory, 1, stream)
    _, graph = end(rt, stream)
    count = c_size_t()
    rt.call("GraphGetNodes", graph, None, byref(count))
    assert count.value == 1
    rt.call("GraphDestroy", graph)


def test_whether_a_stream_is_captured(rt: Runtime) -> None:
    stream = rt.stream()
    assert status(rt, stream) == NONE
    rt.call("StreamBeginCapture", stream, GLOBAL)
    assert status(rt, stream) == ACTIVE
    state, number, graph = c_int(), c_ulonglong(), c_void_p()
    rt.call("StreamGetCaptureInfo", stream, byref(state), byref(number), byref(graph), None, None, None)
    assert (state.value, bool(number.value), bool(graph.value)) == (ACTIVE, True, True)
    _, captured = end(rt, stream)
    assert captured == graph.value
    assert status(rt, stream) == NONE
    rt.call("GraphDestroy", captured)


def test_another_stream_joins_by_an_event_and_has_to_come_back(rt: Runtime) -> None:
    memory, result, other, fork, back = rt.memory(value=1), rt.pinned(), rt.stream(), rt.event(), rt.event()
    stream = begin(rt)
    rt.call("EventRecord", fork, stream)
    rt.call("StreamWaitEvent", other, fork, 0)
    assert status(rt, other) == ACTIVE
    rt.copy(result, memory, other)
    rt.call("EventRecord", back, other)
    rt.call("StreamWaitEvent", stream, back, 0)
    code, graph = end(rt, stream)
    assert code == Error.SUCCESS
    assert status(rt, other) == NONE
    with executable(rt, graph) as launchable:
        rt.call("GraphLaunch", launchable, stream)
        rt.call("StreamSynchronize", stream)
    assert (result.bytes == 1).all()


def test_a_captured_host_function_runs_at_each_launch(rt: Runtime, counted: tuple[c_void_p, Callable[[], int]]) -> None:
    function, calls = counted
    stream = begin(rt)
    rt.call("LaunchHostFunc", stream, function, None)
    code, graph = end(rt, stream)
    assert (code, calls()) == (Error.SUCCESS, 0)
    with executable(rt, graph) as launchable:
        for _ in range(3):
            rt.call("GraphLaunch", launchable, stream)
        rt.call("StreamSynchronize", stream)
    assert calls() == 3


def test_other_streams_are_free_meanwhile(rt: Runtime) -> None:
    memory, other, event = rt.memory(), rt.stream(), rt.event()
    stream = begin(rt)
    rt.fill(memory, 1, other)
    rt.call("EventRecord", event, other)
    rt.call("StreamWaitEvent", other, event, 0)
    code, graph = end(rt, stream)
    assert code == Error.SUCCESS
    rt.call("GraphDestroy", graph)
    assert rt.read(memory) == [1]


def test_the_default_stream_is_free_while_a_non_blocking_stream_is_captured(rt: Runtime) -> None:
    memory, stream = rt.memory(), begin(rt, NON_BLOCKING)
    rt.fill(memory, 1, 0)
    code, graph = end(rt, stream)
    assert code == Error.SUCCESS
    rt.call("GraphDestroy", graph)
    assert rt.read(memory) == [1]


# -- what is illegal


@ILLEGAL
@MODES
@pytest.mark.parametrize("call", ["StreamSynchronize", "StreamQuery"])
def test_waiting_for_a_captured_stream(rt: Runtime, call: str, mode: int) -> None:
    stream = begin(rt, mode=mode)
    assert rt.code(call, stream) == Error.CAPTURE_UNSUPPORTED
    end_invalid(rt, stream)


@ILLEGAL
@MODES
def test_waiting_for_the_device(rt: Runtime, mode: int) -> None:
    stream = begin(rt, mode=mode)
    assert rt.code("DeviceSynchronize") == Error.CAPTURE_UNSUPPORTED
    end_invalid(rt, stream)


@ILLEGAL
@MODES
@pytest.mark.parametrize("call", ["EventSynchronize", "EventQuery"])
def test_waiting_for_a_captured_event(rt: Runtime, call: str, mode: int) -> None:
    event, stream = rt.event(), begin(rt, mode=mode)
    rt.call("EventRecord", event, stream)
    assert rt.code(call, event) == Error.CAPTURED_EVENT
    end_invalid(rt, stream)


@ILLEGAL
def test_the_default_stream_while_a_blocking_stream_is_captured(rt: Runtime) -> None:
    memory, stream = rt.memory(), begin(rt, BLOCKING)
    assert rt.code("MemsetAsync", memory, 1, 64, 0) == Error.CAPTURE_IMPLICIT
    end_invalid(rt, stream)


@ILLEGAL
def test_an_event_of_the_default_stream_while_a_blocking_stream_is_captured(rt: Runtime) -> None:
    event, stream = rt.event(), begin(rt, BLOCKING)
    assert rt.code("EventRecord", event, 0) == Error.CAPTURE_IMPLICIT
    end_invalid(rt, stream)


def test_asking_whether_the_default_stream_is_captured_is_an_error_that_does_no_harm(rt: Runtime) -> None:
    stream = begin(rt, BLOCKING)
    assert rt.code("StreamIsCapturing", 0, byref(c_int())) == Error.CAPTURE_IMPLICIT
    assert status(rt, stream) == ACTIVE
    code, graph = end(rt, stream)
    assert code == Error.SUCCESS
    rt.call("GraphDestroy", graph)


@ILLEGAL
@pytest.mark.parametrize("mode", [GLOBAL, THREAD_LOCAL], ids=["global", "thread-local"])
def test_allocating_in_the_thread_that_captures(rt: Runtime, mode: int) -> None:
    stream = begin(rt, mode=mode)
    assert rt.code("Malloc", byref(c_void_p()), 64) == Error.CAPTURE_UNSUPPORTED
    end_invalid(rt, stream)


def test_allocating_is_legal_in_relaxed_mode(rt: Runtime) -> None:
    stream = begin(rt, mode=RELAXED)
    memory = rt.made("Malloc", 64)
    code, graph = end(rt, stream)
    assert code == Error.SUCCESS
    rt.call("GraphDestroy", graph)
    rt.call("Free", memory)


def test_a_thread_can_relax_its_mode_for_a_while(rt: Runtime) -> None:
    stream = begin(rt, mode=GLOBAL)
    mode = c_int(RELAXED)
    rt.call("ThreadExchangeStreamCaptureMode", byref(mode))
    memory = rt.made("Malloc", 64)
    assert mode.value == GLOBAL
    rt.call("ThreadExchangeStreamCaptureMode", byref(mode))
    assert mode.value == RELAXED
    code, graph = end(rt, stream)
    assert code == Error.SUCCESS
    rt.call("GraphDestroy", graph)
    rt.call("Free", memory)


def elsewhere(call: Callable[[], T]) -> T:
    """What a call gives in another thread."""
    out: list[T] = []
    thread = threading.Thread(target=lambda: out.append(call()))
    thread.start()
    thread.join()
    return out[0]


@ILLEGAL
def test_allocating_in_another_thread_during_a_global_capture(rt: Runtime) -> None:
    stream = begin(rt, mode=GLOBAL)
    assert elsewhere(lambda: rt.code("Malloc", byref(c_void_p()), 64)) == Error.CAPTURE_UNSUPPORTED
    end_invalid(rt, stream)


@pytest.mark.parametrize("mode", [THREAD_LOCAL, RELAXED], ids=["thread-local", "relaxed"])
def test_allocating_in_another_thread_during_other_captures(rt: Runtime, mode: int) -> None:
    stream, memory = begin(rt, mode=mode), c_void_p()
    assert elsewhere(lambda: rt.code("Malloc", byref(memory), 64)) == Error.SUCCESS
    code, graph = end(rt, stream)
    assert code == Error.SUCCESS
    rt.call("GraphDestroy", graph)
    rt.call("Free", memory.value)


@ILLEGAL
def test_waiting_for_an_event_from_outside(rt: Runtime) -> None:
    event, other = rt.event(), rt.stream()
    rt.call("EventRecord", event, other)
    stream = begin(rt)
    assert rt.code("StreamWaitEvent", stream, event, 0) == Error.CAPTURE_ISOLATION
    end_invalid(rt, stream)


@ILLEGAL
def test_waiting_for_an_event_of_another_capture(rt: Runtime) -> None:
    event, first, second = rt.event(), begin(rt), begin(rt)
    rt.call("EventRecord", event, first)
    assert rt.code("StreamWaitEvent", second, event, 0) == Error.CAPTURE_MERGE
    for stream in (first, second):
        end(rt, stream)
        assert status(rt, stream) == NONE


@ILLEGAL
def test_ending_while_a_stream_has_not_come_back(rt: Runtime) -> None:
    memory, other, fork = rt.memory(), rt.stream(), rt.event()
    stream = begin(rt)
    rt.call("EventRecord", fork, stream)
    rt.call("StreamWaitEvent", other, fork, 0)
    rt.fill(memory, 1, other)
    assert end(rt, stream) == (Error.CAPTURE_UNJOINED, 0)
    assert status(rt, stream) == NONE
    assert status(rt, other) == NONE


@ILLEGAL
def test_ending_in_a_stream_that_joined(rt: Runtime) -> None:
    other, fork = rt.stream(), rt.event()
    stream = begin(rt)
    rt.call("EventRecord", fork, stream)
    rt.call("StreamWaitEvent", other, fork, 0)
    assert end(rt, other) == (Error.CAPTURE_UNMATCHED, 0)
    end(rt, stream)


@ILLEGAL
def test_ending_in_another_thread(rt: Runtime) -> None:
    stream = begin(rt, mode=GLOBAL)
    assert elsewhere(lambda: end(rt, stream)) == (Error.CAPTURE_WRONG_THREAD, 0)
    end(rt, stream)


def test_a_relaxed_capture_can_be_ended_in_another_thread(rt: Runtime) -> None:
    stream = begin(rt, mode=RELAXED)
    code, graph = elsewhere(lambda: end(rt, stream))
    assert code == Error.SUCCESS
    rt.call("GraphDestroy", graph)


@ILLEGAL
def test_everything_fails_once_the_capture_is_invalid(rt: Runtime) -> None:
    memory, event, stream = rt.memory(), rt.event(), begin(rt)
    rt.code("StreamSynchronize", stream)
    assert rt.code("MemsetAsync", memory, 1, 64, stream) == Error.CAPTURE_INVALIDATED
    assert rt.code("EventRecord", event, stream) == Error.CAPTURE_INVALIDATED
    end_invalid(rt, stream)


@pytest.mark.finds("misuse")
def test_ending_what_has_not_begun(rt: Runtime) -> None:
    assert end(rt, rt.stream()) == (Error.ILLEGAL_STATE, 0)


@pytest.mark.finds("misuse")
def test_the_default_stream_cannot_be_captured(rt: Runtime) -> None:
    assert rt.code("StreamBeginCapture", 0, GLOBAL) == Error.CAPTURE_UNSUPPORTED


@pytest.mark.sim_only
@ILLEGAL
def test_a_copy_from_pageable_memory(rt: Runtime) -> None:
    memory, stream = rt.memory(), begin(rt)
    assert rt.code("MemcpyAsync", memory, byref(c_int()), 4, 4, stream) == Error.CAPTURE_UNSUPPORTED
    end_invalid(rt, stream)


# -- the libraries' own


def test_torch_captures(torch: Any) -> None:
    source, target = torch.arange(4.0).cuda(), torch.zeros(4, device="cuda")
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        target.copy_(source)
    assert target.tolist() == [0, 0, 0, 0]
    source.copy_(torch.arange(4.0) + 1)
    graph.replay()
    assert target.tolist() == [1, 2, 3, 4]


def test_cupy_captures(cupy: Any, cupy_stream: Any) -> None:
    source, target = cupy.asarray([1.0, 2.0]), cupy.zeros(2)
    cupy.cuda.Device().synchronize()
    with cupy_stream as stream:
        stream.begin_capture()
        target.data.copy_from_device_async(source.data, source.nbytes, stream)
        graph = stream.end_capture()
        graph.launch(stream)
        stream.synchronize()
    assert target.tolist() == [1, 2]
