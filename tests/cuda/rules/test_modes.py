"""When the simulated device runs an operation, and how a test takes that into its own hands."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import cudasim
from cudasim.boot import MODES
from cudasim.runtime import PER_THREAD, Error, Runtime

pytestmark = pytest.mark.sim_only


@pytest.fixture
def lazy() -> Iterator[None]:
    """In lazy mode, whatever mode the run is in."""
    with cudasim.in_mode("lazy"):
        yield


def texts() -> list[str]:
    return [operation.text for operation in cudasim.operations()]


def test_eager_runs_at_once(rt: Runtime) -> None:
    stream, memory = rt.stream(), rt.memory()
    with cudasim.in_mode("eager"):
        rt.fill(memory, 1, stream)
        assert cudasim.pending() == 0
        assert cudasim.peek(memory, 1) == b"\1"


@pytest.mark.usefixtures("lazy")
def test_lazy_runs_what_the_host_waits_for_and_what_that_needs_and_no_more(rt: Runtime) -> None:
    one, two, three, event = rt.stream(), rt.stream(), rt.stream(), rt.event()
    first, second, third = rt.memory(), rt.memory(), rt.memory()
    rt.fill(first, 1, one)
    rt.call("EventRecord", event, one)
    rt.fill(first, 2, one)
    rt.call("StreamWaitEvent", two, event, 0)
    rt.fill(second, 1, two)
    rt.fill(third, 1, three)
    rt.call("StreamSynchronize", two)
    assert [cudasim.peek(each, 1) for each in (first, second, third)] == [b"\1", b"\1", b"\0"]
    rt.call("DeviceSynchronize")
    assert cudasim.pending() == 0


@pytest.mark.usefixtures("lazy")
def test_lazy_queries_complete_after_some_polls(rt: Runtime) -> None:
    stream, memory = rt.stream(), rt.memory()
    rt.fill(memory, 1, stream)
    codes = [rt.code("StreamQuery", stream) for _ in range(6)]
    assert codes == [Error.NOT_READY] * 4 + [Error.SUCCESS] * 2
    cudasim.set_polls(0)
    try:
        rt.fill(memory, 1, stream)
        assert rt.code("StreamQuery", stream) == Error.SUCCESS
    finally:
        cudasim.set_polls(4)


def test_thread_runs_it_without_anybody_waiting(rt: Runtime) -> None:
    stream, memory = rt.stream(), rt.memory()
    with cudasim.in_mode("thread"):
        rt.fill(memory, 1, stream)
        assert rt.completes("StreamQuery", stream)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_pending_runs_before_the_mode_changes(rt: Runtime, mode: str) -> None:
    stream, memory = rt.stream(), rt.memory()
    with cudasim.in_mode("lazy"):
        rt.fill(memory, 1, stream)
        with cudasim.in_mode(mode):
            assert cudasim.pending() == 0
            assert cudasim.peek(memory, 1) == b"\1"


@pytest.mark.parametrize("mode", MODES)
def test_a_held_stream_holds_back_what_waits_for_it(rt: Runtime, mode: str) -> None:
    one, two, event, memory, other = rt.stream(), rt.stream(), rt.event(), rt.memory(), rt.memory()
    with cudasim.in_mode(mode):
        with cudasim.held(one):
            rt.fill(memory, 1, one)
            rt.call("EventRecord", event, one)
            rt.fill(other, 1, two)
            rt.call("StreamWaitEvent", two, event, 0)
            rt.fill(memory, 2, two)
            cudasim.run()
            assert cudasim.peek(other, 1) == b"\1"
            assert cudasim.peek(memory, 1) == b"\0"
            assert [operation.held for operation in cudasim.operations()].count(True) == 2
        rt.call("StreamSynchronize", two)
        assert cudasim.peek(memory, 1) == b"\2"


@pytest.mark.usefixtures("lazy")
def test_a_stream_step_by_step(rt: Runtime) -> None:
    stream, memory = rt.stream(), rt.memory()
    with cudasim.held(stream):
        for value in (1, 2, 3):
            rt.fill(memory, value, stream)
        for value in (1, 2, 3):
            assert cudasim.step(stream)
            assert cudasim.peek(memory, 1) == bytes([value])
        assert not cudasim.step(stream)


@pytest.mark.usefixtures("lazy")
def test_pending_operations_say_what_they_are(rt: Runtime) -> None:
    stream, memory, host = rt.stream(), rt.memory(64), rt.pinned(64)
    number = cudasim.last_allocation() - 1
    rt.fill(memory, 1, stream)
    rt.copy(host, memory, stream)
    assert "cudaMemsetAsync(" in texts()[0]
    assert f"cudaMemcpyAsync(#{number + 1}+0 <- #{number}+0, 64 bytes)" in texts()[1]


@pytest.mark.usefixtures("lazy")
def test_a_destroyed_streams_work_is_not_forgotten(rt: Runtime) -> None:
    stream, memory = rt.made("StreamCreateWithFlags", 1), rt.memory()
    rt.fill(memory, 1, stream)
    rt.call("StreamDestroy", stream)
    assert cudasim.pending() == 1
    cudasim.run()
    assert cudasim.peek(memory, 1) == b"\1"


def test_new_memory_is_poisoned(rt: Runtime) -> None:
    memory = rt.made("Malloc", 64)
    assert cudasim.peek(memory, 64) == b"\xcb" * 64
    rt.call("Free", memory)


def test_memory_can_be_changed_from_outside(rt: Runtime) -> None:
    memory = rt.memory(64)
    cudasim.poke(memory + 1, b"\5\6")
    assert cudasim.peek(memory, 4) == b"\0\5\6\0"


@pytest.mark.usefixtures("lazy")
def test_a_queue_has_an_end(rt: Runtime) -> None:
    stream, memory = rt.stream(), rt.memory()
    for _ in range(3000):
        rt.fill(memory, 1, stream)
    assert 1000 < cudasim.pending() < 1100


@pytest.mark.usefixtures("lazy")
def test_pending_operations_are_listed_in_the_order_of_their_submission(rt: Runtime) -> None:
    streams, memories = [rt.stream() for _ in range(3)], [rt.memory() for _ in range(3)]
    for stream, memory in [*zip(streams, memories, strict=True)] * 2:
        rt.fill(memory, 1, stream)
    operations = cudasim.operations()
    assert [operation.stream for operation in operations] == streams * 2
    assert sorted(operation.id for operation in operations) == [operation.id for operation in operations]


def test_the_default_stream_of_a_thread_ends_with_it(rt: Runtime) -> None:
    memory = rt.memory()

    def work() -> None:
        rt.fill(memory, 1, PER_THREAD)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert rt.read(memory) == [1]
