"""Programs of handoffs, moves, drops and captures on three streams and two devices: no race, and every value right."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import interop

SIZE = 1024
VERBS = ["produce", "hand over", "move", "to the host", "from the host", "drop", "read", "capture"]
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(VERBS), st.integers(0, 1), st.integers(0, 2), st.integers(0, 2)), min_size=4, max_size=20
)


class Held:
    """An array, the number that it is full of, and the place of the stream that its library has it on."""

    def __init__(self, array: Any, value: int, stream: int) -> None:
        self.array, self.value, self.stream = array, value, stream

    @property
    def device(self) -> int:
        return int(interop.device(self.array).index)

    @property
    def is_torchs(self) -> bool:
        return interop.framework(self.array) == "torch"


class Program:
    """Both libraries on each device, with a default stream and two of their own."""

    def __init__(self, torch: Any, cupy: Any) -> None:
        self.torch, self.cupy = torch, cupy
        self.ours, self.theirs = [], []
        for device in range(2):
            with cupy.cuda.Device(device):
                side = [cupy.cuda.Stream(non_blocking=True) for _ in range(2)]
            self.ours.append([torch.cuda.default_stream(device), *(torch.cuda.Stream(device) for _ in range(2))])
            self.theirs.append([cupy.cuda.Stream.null, *side])
        self.held: list[Held] = []
        self.pinned: list[Any] = []
        self.reads: list[tuple[Any, int]] = []
        self.count = 0

    @contextlib.contextmanager
    def on(self, device: int, a: int, b: int) -> Generator[None]:
        """torch works on its stream `a` of both devices, cupy on its `b`; and one device is current."""
        with contextlib.ExitStack() as stack:
            for each in (1 - device, device):
                stack.enter_context(self.torch.cuda.stream(self.ours[each][a]))
                stack.enter_context(self.cupy.cuda.Device(each))
                stack.enter_context(self.theirs[each][b])
            yield

    def host(self, value: float) -> Any:
        memory = self.cupy.cuda.alloc_pinned_memory(4 * SIZE)
        array = np.frombuffer(memory, np.float32, SIZE)
        array[...] = value
        self.pinned.append(array)
        return array

    def some(self, n: int) -> Held | None:
        return self.held[n % len(self.held)] if self.held else None

    def add(self, array: Any, value: int, a: int, b: int) -> None:
        self.held.append(Held(array, value, a if interop.framework(array) == "torch" else b))

    def play(self, verb: str, device: int, a: int, b: int) -> None:
        with self.on(device, a, b):
            getattr(self, verb.replace(" ", "_"))(device, a, b)

    def produce(self, device: int, a: int, b: int) -> None:
        self.count += 1
        source = self.host(self.count)
        if self.count % 2:
            made = self.torch.empty(SIZE, device=f"cuda:{device}")
            made.copy_(self.torch.from_numpy(source), non_blocking=True)
        else:
            made = self.cupy.empty(SIZE, np.float32)
            made.set(source)
        self.add(made, self.count, a, b)

    def at_home(self, x: Held, a: int, b: int) -> contextlib.AbstractContextManager[None]:
        """The library that has an array works where it has it: that is the rule of both."""
        return self.on(x.device, x.stream, b) if x.is_torchs else self.on(x.device, a, x.stream)

    def hand_over(self, device: int, a: int, b: int) -> None:
        if (x := self.some(device + a + b)) is not None:
            with self.at_home(x, a, b):
                self.add(interop.convert(x.array, "cupy" if x.is_torchs else "torch"), x.value, a, b)

    def move(self, device: int, a: int, b: int) -> None:
        if (x := self.some(device + 2 * a + b)) is not None:
            target = ("torch", "cupy")[(a + b) % 2]
            with self.at_home(x, a, b):
                made = interop.convert(x.array, target, device=f"cuda:{1 - x.device}")
            same = target == interop.framework(x.array)
            self.held.append(Held(made, x.value, x.stream if same else a if target == "torch" else b))

    def to_the_host(self, device: int, a: int, b: int) -> None:
        if (x := self.some(device + a + 2 * b)) is not None:
            with self.at_home(x, a, b):
                assert (interop.to_numpy(x.array, device="cpu") == x.value).all()

    def from_the_host(self, device: int, a: int, b: int) -> None:
        self.count += 1
        values = np.full(SIZE, self.count, np.float32)
        self.add(interop.convert(values, ("torch", "cupy")[(a + b) % 2], device=f"cuda:{device}"), self.count, a, b)
        values[...] = -1

    def drop(self, device: int, a: int, b: int) -> None:
        if self.held:
            del self.held[(3 * a + b + device) % len(self.held)]

    def read(self, device: int, a: int, b: int) -> None:
        """Queue a read, where the array is; nobody waits for it yet."""
        if (x := self.some(a + 3 * b + device)) is None:
            return
        out = self.host(-1)
        with self.at_home(x, a, b):
            if x.is_torchs:
                self.torch.from_numpy(out).copy_(x.array, non_blocking=True)
            else:
                x.array.get(out=out, blocking=False)
        self.reads.append((out, x.value))

    def capture(self, device: int, a: int, b: int) -> None:
        """Hand over on the captured stream, fail to from another one, and drop: none of it ends the capture."""
        stream = self.theirs[device][1 + b % 2]
        stream.begin_capture()
        try:
            for x in [each for each in self.held if each.device == device][:3]:
                with interop.use_stream(stream):
                    made = interop.convert(x.array, "cupy" if x.is_torchs else "torch", stream=-1)
                    # Nothing is done with it: the graph is thrown away, and with it whatever would be.
                    del made
                if x.is_torchs and not stream.is_capturing():
                    raise AssertionError("the capture has ended")
                with self.on(device, x.stream, 1 + b % 2), contextlib.suppress(interop.DeviceError):
                    if x.is_torchs:
                        interop.to_cupy(x.array)
                        raise AssertionError("a captured stream was made to wait for another")
            if self.held:
                del self.held[a % len(self.held)]
        finally:
            stream.end_capture()

    def finish(self) -> None:
        self.held.clear()
        gc.collect()
        # What was dropped during a capture goes back with the next handoff.
        interop.to_cupy(self.torch.empty(1, device="cuda:0"))
        for device in range(2):
            self.torch.cuda.synchronize(device)
        for out, value in self.reads:
            assert (out == value).all()


@given(program=PROGRAMS)
def test_no_program_reads_or_reuses_too_early(program: Any, torch: Any, cupy: Any, two_devices: Any) -> None:
    run = Program(torch, cupy)
    for step in program:
        run.play(*step)
    run.finish()


@pytest.mark.sim_only(mode="lazy")
@pytest.mark.finds("race")
def test_a_program_without_a_handoffs_order_is_found(torch: Any, cupy: Any, two_devices: Any) -> None:
    """The law can fail: with ``stream=-1``, which isn't true, it would."""
    run = Program(torch, cupy)
    run.play("produce", 0, 1, 2)
    x = run.held[0]
    with run.at_home(x, 1, 2):
        run.add(interop.convert(x.array, "cupy" if x.is_torchs else "torch", stream=-1), x.value, 1, 2)
    run.play("read", 0, 1, 0)
    run.reads.clear()
    run.finish()
