"""What is waited for and what isn't, by the device's own counters, and the streams that a caller may name."""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cudasim
import interop

VALUES = np.arange(6, dtype=np.float32)


def on(framework: str) -> Any:
    return interop.convert(VALUES, framework, device="cuda:0")


def hand_over(x: Any, **options: Any) -> Any:
    return interop.convert(x, {"torch": "cupy", "cupy": "torch"}[interop.framework(x)], **options)


@contextlib.contextmanager
def costs(record: int = 0, wait: int = 0, sync: int = 0) -> Generator[None]:
    """So much is recorded and waited for in between."""
    with cudasim.counting() as done:
        yield
    assert (done.record, done.wait, done.sync) == (record, wait, sync), str(done)


@pytest.mark.sim_only
@pytest.mark.parametrize("framework", ["torch", "cupy"])
@pytest.mark.parametrize("options", [{}, {"writable": True}, {"stream": -1}, {"stream": 1}, {"copy": False}])
def test_on_one_stream_nothing_waits(framework: str, options: dict[str, Any]) -> None:
    x = on(framework)
    with costs():
        y = hand_over(x, **options)
    with costs():
        del y


@pytest.mark.sim_only
@pytest.mark.parametrize("framework", ["torch", "cupy"])
def test_on_a_stream_that_both_use_nothing_waits(
    framework: str, side_stream: Any, cupy_stream: Any, torch: Any, cupy: Any
) -> None:
    for stream in (side_stream, cupy_stream, torch.cuda.ExternalStream(cupy_stream.ptr), cupy_stream.ptr):
        with interop.use_stream(stream):
            x = on(framework)
            with costs():
                y = hand_over(x)
                z = hand_over(x, stream=stream)
            assert interop.shares_memory(y, z)
            # Of its own streams torch's allocator knows by itself who reads a block; of others an event tells it.
            events = 2 * (framework == "torch" and stream is not side_stream)
            with costs(record=events, wait=events):
                del y, z
            del x


@pytest.mark.sim_only
@pytest.mark.parametrize("framework", ["torch", "cupy"])
def test_between_two_streams_there_is_one_event(
    framework: str, side_stream: Any, cupy_stream: Any, torch: Any, cupy: Any
) -> None:
    with torch.cuda.stream(side_stream), cupy_stream:
        x = on(framework)
        with costs(record=1, wait=1):
            y = hand_over(x)
    named = side_stream if framework == "cupy" else cupy_stream
    with costs(record=1, wait=1):
        z = hand_over(x, stream=named)
    assert interop.shares_memory(y, z)


@pytest.mark.sim_only
@pytest.mark.parametrize("framework", ["torch", "cupy"])
@pytest.mark.parametrize("layout", ["C", "transposed", "stepped"])
def test_to_the_host_there_is_one_wait_and_one_copy(framework: str, layout: str) -> None:
    x = on(framework).reshape(2, 3)
    x = {"C": x, "transposed": x.T, "stepped": x[:, ::2]}[layout]
    with cudasim.counting() as done:
        interop.to_numpy(x, device="cpu")
    assert (done.sync + done.implicit_sync, done.d2h, done.record) == (1, 1, 0) or (
        done.stream_sync,
        done.d2h,
        done.record,
    ) == (1, 1, 0), str(done)


@pytest.mark.parametrize("framework", ["torch", "cupy"])
def test_every_way_to_name_a_stream(framework: str, side_stream: Any, cupy_stream: Any, torch: Any) -> None:
    class Foreign:
        def __cuda_stream__(self) -> tuple[int, int]:
            return (0, cupy_stream.ptr)

    current = interop.current_stream("torch", "cuda:0")
    for stream in (side_stream, cupy_stream, Foreign(), cupy_stream.ptr, current, 1, -1, torch.cuda.default_stream()):
        x = on(framework)
        y = hand_over(x, stream=stream)
        assert interop.shares_memory(x, y)
        np.testing.assert_array_equal(interop.to_numpy(x, device="cpu", stream=stream), VALUES)
        up = interop.convert(VALUES, framework, device="cuda:0", stream=stream)
        np.testing.assert_array_equal(interop.to_numpy(up, device="cpu", stream=stream), VALUES)
        assert interop.view(x, stream=stream).ordered


def test_the_current_stream(torch: Any, cupy: Any, side_stream: Any, cupy_stream: Any, devices: range) -> None:
    assert interop.current_stream("torch") == interop.current_stream("cupy") == 1
    with torch.cuda.stream(side_stream):
        found = interop.current_stream("torch", "cuda:0")
    assert found.__cuda_stream__() == (0, side_stream.cuda_stream)
    with cupy_stream:
        kept = interop.current_stream("cupy")
    assert kept.__cuda_stream__() == (0, cupy_stream.ptr)
    for framework in ("torch", "cupy"):
        for index in devices:
            assert interop.current_stream(framework, f"cuda:{index}").device == f"cuda:{index}"
    with pytest.raises(interop.DeviceError, match="numpy has no streams"):
        interop.current_stream("numpy")
    with pytest.raises(interop.DeviceError, match="torch has no streams on cpu"):
        interop.current_stream("torch", "cpu")


def test_use_stream_restores_whatever_happens(torch: Any, cupy: Any, side_stream: Any, cupy_stream: Any) -> None:
    def now() -> tuple[int, int, int]:
        return (
            torch.cuda.current_device(),
            torch.cuda.current_stream(0).cuda_stream,
            cupy.cuda.get_current_stream(0).ptr,
        )

    before = now()
    for stream, handle in ((side_stream, side_stream.cuda_stream), (cupy_stream, cupy_stream.ptr)):
        with pytest.raises(KeyError), interop.use_stream(stream) as used:
            assert now() == (0, handle, handle)
            assert used == handle
            with interop.use_stream(side_stream):
                assert now()[1:] == (side_stream.cuda_stream,) * 2
            assert now() == (0, handle, handle)
            raise KeyError
        assert now() == before
    if torch.cuda.device_count() > 1:
        with interop.use_stream(side_stream):
            torch.cuda.set_device(1)
        assert now() == before
    for wrong in (0, -1, None, "main"):
        with pytest.raises(interop.DeviceError), interop.use_stream(wrong):
            pass
    assert now() == before


def test_torchs_streams_of_the_general_kind_are_streams(torch: Any, cupy: Any) -> None:
    general = torch.Stream(device="cuda")
    t = torch.arange(3.0).cuda()
    with interop.use_stream(general) as used:
        assert used == cupy.cuda.get_current_stream().ptr == torch.cuda.current_stream().cuda_stream
        assert used.device == "cuda:0"
        c = interop.to_cupy(t, stream=torch.accelerator.current_stream())
    assert interop.to_numpy(c, device="cpu").tolist() == [0, 1, 2]
    with pytest.raises(interop.DeviceError, match="is no stream"):
        interop.to_cupy(t, stream=torch.Stream(device="cpu"))


def test_each_thread_has_streams_of_its_own(torch: Any, cupy: Any) -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        try:
            with cupy.cuda.Device(0):
                theirs = cupy.cuda.Stream(non_blocking=True)
            ours = torch.cuda.Stream(device=0)
            with torch.cuda.stream(ours), theirs:
                for step in range(20):
                    values = np.full(256, number * 100 + step, np.float32)
                    t = interop.to_torch(values, device="cuda:0")
                    c = interop.to_cupy(t)
                    back = interop.to_torch(c)
                    del t, c
                    got = interop.to_numpy(back, device="cpu")
                    if not (got == values).all():
                        wrong.append((number, step, got[:3]))
        except Exception as err:
            wrong.append(err)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# -- what a View says of its stream -----------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", ["torch", "cupy"])
def test_an_ordered_view_names_the_stream_that_it_is_ordered_on(
    framework: str, side_stream: Any, cupy_stream: Any, cupy: Any
) -> None:
    x = on(framework)
    for stream in (side_stream, cupy_stream, 1):
        named = interop.view(x, stream=stream).__cuda_array_interface__["stream"]
        assert named == getattr(stream, "ptr", getattr(stream, "cuda_stream", stream))
    # Nobody need wait: the caller said so.
    assert interop.view(x, stream=-1).__cuda_array_interface__["stream"] is None
    with pytest.raises(AttributeError, match="isn't ordered"):
        _ = interop.view(x).__cuda_array_interface__
    v = interop.view(x, stream=cupy_stream)
    # Whoever else it is ordered on, that one stays true; and through another View of it too.
    v.__dlpack__(stream=1)
    for view in (v, interop.view(v), v.with_readonly()):
        assert view.__cuda_array_interface__["stream"] == cupy_stream.ptr
    with pytest.raises(BufferError, match=r"stream=0 is ambiguous on cuda:0.*pass 1"):
        interop.view(x).__dlpack__(stream=0)


# -- interleavings -----------------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["produce", "hand over", "hand back", "drop", "read", "view"]),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    min_size=4,
    max_size=24,
)


class Players:
    """Arrays of both libraries over several streams, and what each ought to hold."""

    def __init__(self, torch: Any, cupy: Any) -> None:
        self.torch, self.cupy = torch, cupy
        self.ours = [torch.cuda.default_stream(0), *(torch.cuda.Stream(device=0) for _ in range(2))]
        with cupy.cuda.Device(0):
            self.theirs = [cupy.cuda.Stream.null, *(cupy.cuda.Stream(non_blocking=True) for _ in range(2))]
        self.held: list[tuple[Any, Any, int]] = []
        self.pinned: list[Any] = []
        self.reads: list[tuple[Any, Any]] = []
        self.count = 0

    def host(self, value: float) -> Any:
        memory = self.cupy.cuda.alloc_pinned_memory(4096)
        array = np.frombuffer(memory, np.float32, 1024)
        array[...] = value
        self.pinned.append(array)
        return array

    def play(self, verb: str, a: int, b: int) -> None:
        with self.torch.cuda.stream(self.ours[a]), self.theirs[b]:
            getattr(self, verb.replace(" ", "_"))(a, b)

    def produce(self, a: int, b: int) -> None:
        self.count += 1
        source = self.host(self.count)
        if self.count % 2:
            made = self.torch.empty(1024, device="cuda")
            made.copy_(self.torch.from_numpy(source), non_blocking=True)
        else:
            made = self.cupy.empty(1024, np.float32)
            made.set(source)
        self.held.append((made, self.count, a if self.count % 2 else b))

    def hand_over(self, a: int, b: int) -> None:
        """On the stream that its library has it on: that is the rule of both."""
        if not self.held:
            return
        x, value, home = self.held[-1 - (a + b) % len(self.held)]
        torch_has_it = interop.framework(x) == "torch"
        stream = self.torch.cuda.stream(self.ours[home]) if torch_has_it else self.theirs[home]
        with stream:
            self.held.append((hand_over(x), value, b if torch_has_it else a))

    hand_back = hand_over

    def view(self, a: int, b: int) -> None:
        """Through a View, which orders by its owner."""
        if not self.held:
            return
        x, value, home = self.held[-1 - a % len(self.held)]
        torch_has_it = interop.framework(x) == "torch"
        with self.torch.cuda.stream(self.ours[home]) if torch_has_it else self.theirs[home]:
            self.held.append((self.cupy.from_dlpack(interop.view(x)), value, home if not torch_has_it else b))

    def drop(self, a: int, b: int) -> None:
        if self.held:
            del self.held[(3 * a + b) % len(self.held)]

    def read(self, a: int, b: int) -> None:
        """Queue a read, where the array is; nobody waits for it yet."""
        if not self.held:
            return
        x, value, home = self.held[(a + 3 * b) % len(self.held)]
        out = self.host(-1)
        if interop.framework(x) == "torch":
            with self.torch.cuda.stream(self.ours[home]):
                self.torch.from_numpy(out).copy_(x, non_blocking=True)
        else:
            with self.theirs[home]:
                x.get(out=out, blocking=False)
        self.reads.append((out, value))

    def finish(self) -> None:
        self.held.clear()
        gc.collect()
        self.torch.cuda.synchronize(0)
        for out, value in self.reads:
            assert (out == value).all()


@given(steps=STEPS)
def test_whatever_the_order_nothing_is_read_or_reused_too_early(steps: Any, torch: Any, cupy: Any) -> None:
    players = Players(torch, cupy)
    for step in steps:
        players.play(*step)
    players.finish()
