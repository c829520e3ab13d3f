"""What goes wrong between libraries on a GPU, as small programs: each leaves queued work behind on purpose.

Each is right with the library as it is, and each says which of its guards it needs: `test_mutations` takes those out.
A scenario raises AssertionError where it sees wrong values; the simulated device sees the races.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import numpy as np

import interop
from interop._adapters._shared.host import HostLibrary
from interop._streams import Stream

SIZE = 1 << 14

#: torch looks at each allocation whether the events of freed blocks have completed: a block comes back in the end.
ALLOCATIONS = 8

#: Page-locked memory that copies are queued from and to. cupy reuses it as soon as it is dropped.
_kept: list[Any] = []


def _at_once(_stream: int, _device: int) -> None:
    """Nothing is put before what a scenario queues: the simulated device is late by itself."""


#: Put on a stream, by its handle, before a scenario's own work: on a GPU a kernel that takes long enough for a missing
#: wait to show (`gpu_stages.races`).
before: Callable[[int, int], None] = _at_once


def pinned(cupy: Any, values: Any) -> Any:
    """Page-locked host memory: copies from it and to it are queued."""
    values = np.asarray(values, np.float32)
    memory = cupy.cuda.alloc_pinned_memory(max(values.nbytes, 1))
    array = np.frombuffer(memory, np.float32, values.size)
    array[...] = values
    _kept.append(array)
    return array


def play(name: str, torch: Any, cupy: Any) -> None:
    """Run a scenario, and wait for what it leaves behind."""
    try:
        SCENARIOS[name](torch, cupy)
    finally:
        gc.collect()
        for device in range(torch.cuda.device_count()):
            torch.cuda.synchronize(device)
        _kept.clear()


def numbers(start: float = 0) -> Any:
    return np.arange(start, start + SIZE, dtype=np.float32)


def expect(got: Any, wanted: Any) -> None:
    np.testing.assert_array_equal(np.asarray(got), wanted)


def torch_behind(torch: Any, cupy: Any, stream: Any, values: Any = None, device: int = 0) -> Any:
    """A torch tensor that a copy is still queued to, on a stream."""
    host = torch.from_numpy(pinned(cupy, numbers() if values is None else values))
    with torch.cuda.stream(stream):
        made = torch.empty(SIZE, device=f"cuda:{device}")
        before(stream.cuda_stream, device)
        made.copy_(host, non_blocking=True)
    return made


def cupy_behind(cupy: Any, stream: Any, values: Any = None, device: int = 0) -> Any:
    """A cupy array that a copy is still queued to, on a stream."""
    host = pinned(cupy, numbers() if values is None else values)
    with cupy.cuda.Device(device), stream:
        made = cupy.empty(SIZE, np.float32)
        before(stream.ptr, device)
        made.set(host)
    return made


def streams(torch: Any, cupy: Any, device: int = 0) -> tuple[Any, Any]:
    with cupy.cuda.Device(device):
        return torch.cuda.Stream(device=device), cupy.cuda.Stream(non_blocking=True)


def read_later(cupy: Any, array: Any, stream: Any) -> Any:
    """Queue a read of a cupy array."""
    out = pinned(cupy, np.zeros(SIZE))
    before(stream.ptr, array.device.id)
    with stream:
        array.get(out=out, blocking=False)
    return out


def read_later_by_torch(torch: Any, cupy: Any, tensor: Any, stream: Any) -> Any:
    out = pinned(cupy, np.zeros(SIZE))
    before(stream.cuda_stream, tensor.device.index)
    with torch.cuda.stream(stream):
        torch.from_numpy(out).copy_(tensor, non_blocking=True)
    return out


# -- read too early ----------------------------------------------------------------------------------------------------


def torch_to_cupy(torch: Any, cupy: Any) -> None:
    ours, theirs = streams(torch, cupy)
    t = torch_behind(torch, cupy, ours)
    with torch.cuda.stream(ours), theirs:
        expect(interop.to_cupy(t).get(), numbers())


def cupy_to_torch(torch: Any, cupy: Any) -> None:
    theirs, ours = streams(torch, cupy)
    c = cupy_behind(cupy, ours)
    with torch.cuda.stream(theirs), ours:
        expect(interop.to_torch(c).cpu(), numbers())


class InterfaceOf:
    """An array as the CUDA array interface describes it."""

    def __init__(self, array: Any, **changes: Any) -> None:
        self.array, self.changes = array, changes

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self.array.__cuda_array_interface__, **self.changes}


def interface_with_a_stream(torch: Any, cupy: Any) -> None:
    theirs, ours = streams(torch, cupy)
    c = cupy_behind(cupy, ours)
    with torch.cuda.stream(theirs):
        expect(interop.to_torch(InterfaceOf(c, stream=ours.ptr)).cpu(), numbers())


def old_interface(torch: Any, cupy: Any, target: str = "torch") -> None:
    """Of version 2, which names no stream."""
    theirs, ours = streams(torch, cupy)
    c = cupy_behind(cupy, ours)
    with torch.cuda.stream(theirs), cupy.cuda.Stream(non_blocking=True):
        x = interop.convert(InterfaceOf(c, version=2), target)
        expect(x.cpu() if target == "torch" else x.get(), numbers())


def old_interface_to_cupy(torch: Any, cupy: Any) -> None:
    old_interface(torch, cupy, "cupy")


class Library(HostLibrary):
    """The adapter of a library of its own on CUDA, as warp and tvm_ffi are: it has arrays and a stream."""

    name = "a library"

    def __init__(self, tp: type) -> None:
        self.type = tp

    def claims(self, tp: type, /) -> bool:
        return tp is self.type

    def view(self, x: Any, /) -> interop.View:
        return interop.view(x.tensor).with_owner((x,), ordered=False)


class Ordering:
    """An array whose own ``__dlpack__`` orders it after the library's stream (warp)."""

    def __init__(self, tensor: Any, stream: Any) -> None:
        self.tensor, self.stream = tensor, stream

    def __dlpack__(self, *, stream: int | None = None, **_options: Any) -> Any:
        import torch

        with torch.cuda.stream(self.stream):
            return self.tensor.__dlpack__(stream=stream)


class Naming:
    """An array whose library tells the stream that it works on, and orders nothing (tvm_ffi, paddle)."""

    def __init__(self, tensor: Any, stream: Any) -> None:
        self.tensor, self.stream = tensor, stream


class NamingLibrary(Library):
    """The stream is that of the last array: one at a time is enough here."""

    stream: Any = None

    def view(self, x: Any, /) -> interop.View:
        self.stream = x.stream
        return super().view(x)

    def export(self, x: Any, _facts: Any, stream: Any, /) -> interop.View:
        return self.view(x).with_owner((x,), ordered=stream == -1)

    def current_stream(self, _device: Any, /) -> int:
        return int(self.stream.cuda_stream)


@cache
def libraries() -> None:
    """Make both known."""
    interop.register(Library(Ordering))
    naming = NamingLibrary(Naming)
    naming.name = "another library"
    interop.register(naming)


def a_library_that_orders_by_itself(torch: Any, cupy: Any, kind: type[Ordering | Naming] = Ordering) -> None:
    libraries()
    ours, theirs = streams(torch, cupy)
    other, third = streams(torch, cupy)
    t = torch_behind(torch, cupy, ours)
    with theirs:
        expect(interop.to_cupy(kind(t, ours)).get(), numbers())
    t = torch_behind(torch, cupy, ours)
    with torch.cuda.stream(other), theirs:
        expect(interop.to_numpy(kind(t, ours), device="cpu"), numbers())
    t = torch_behind(torch, cupy, ours)
    v = interop.view(kind(t, ours), stream=theirs)
    assert v.ordered
    assert not interop.view(kind(t, ours)).ordered
    with third:
        # By its interface, which names the stream that it is ordered on.
        expect(cupy.asarray(v).get(), numbers())
    t = torch_behind(torch, cupy, ours)
    with third:
        expect(cupy.from_dlpack(interop.view(kind(t, ours))).get(), numbers())


def a_library_that_names_its_stream(torch: Any, cupy: Any) -> None:
    a_library_that_orders_by_itself(torch, cupy, Naming)


def managed_memory_on_the_host(torch: Any, cupy: Any) -> None:
    _, stream = streams(torch, cupy)
    source = cupy_behind(cupy, stream)
    with stream:
        managed = cupy.ndarray((SIZE,), np.float32, cupy.cuda.malloc_managed(4 * SIZE))
        managed.data.copy_from_device_async(source.data, source.nbytes, stream)
        expect(interop.to_numpy(managed), numbers())


def a_pinned_source_is_written_at_once(torch: Any, cupy: Any) -> None:
    host = pinned(cupy, numbers())
    with cupy.cuda.Stream(non_blocking=True):
        c = interop.to_cupy(host, device="cuda")
        host[...] = -1
        expect(c.get(), numbers())


def a_named_stream_for_a_transfer(torch: Any, cupy: Any) -> None:
    ours, theirs = streams(torch, cupy)
    t = torch_behind(torch, cupy, ours)
    with torch.cuda.stream(ours):
        expect(interop.to_numpy(t, device="cpu", stream=torch.cuda.Stream(device=0)), numbers())
    c = cupy_behind(cupy, theirs)
    with theirs:
        expect(interop.to_numpy(c, device="cpu", stream=cupy.cuda.Stream(non_blocking=True)), numbers())


# -- reused too early --------------------------------------------------------------------------------------------------


def a_dropped_torch_tensor(torch: Any, cupy: Any) -> None:
    ours, theirs = streams(torch, cupy)
    t = torch_behind(torch, cupy, ours)
    with torch.cuda.stream(ours), theirs:
        c = interop.to_cupy(t)
        got = read_later(cupy, c, theirs)
        del c, t
        again = [torch_behind(torch, cupy, ours, -numbers(1)) for _ in range(ALLOCATIONS)]
    theirs.synchronize()
    expect(got, numbers())
    ours.synchronize()
    del again


def a_dropped_cupy_array(torch: Any, cupy: Any) -> None:
    theirs, ours = streams(torch, cupy)
    c = cupy_behind(cupy, ours)
    with torch.cuda.stream(theirs), ours:
        t = interop.to_torch(c)
        got = read_later_by_torch(torch, cupy, t, theirs)
        del c, t
        again = cupy_behind(cupy, ours, -numbers(1))
    theirs.synchronize()
    expect(got, numbers())
    ours.synchronize()
    del again


def a_cupy_array_of_the_default_stream(torch: Any, cupy: Any) -> None:
    """Allocated on the default stream, handed over while cupy works on another."""
    theirs, ours = streams(torch, cupy)
    c = cupy_behind(cupy, cupy.cuda.Stream.null)
    cupy.cuda.Stream.null.synchronize()
    with torch.cuda.stream(theirs), ours:
        t = interop.to_torch(c)
        got = read_later_by_torch(torch, cupy, t, theirs)
        del c, t
    again = cupy_behind(cupy, cupy.cuda.Stream.null, -numbers(1))
    theirs.synchronize()
    expect(got, numbers())
    cupy.cuda.Stream.null.synchronize()
    del again


class Producer:
    """A tensor as DLPack describes it, and nothing else."""

    def __init__(self, x: Any) -> None:
        self.x = x

    def __dlpack__(self, **keywords: Any) -> Any:
        return self.x.__dlpack__(**keywords)

    def __dlpack_device__(self) -> Any:
        return self.x.__dlpack_device__()


def a_producer_whose_memory_is_dropped(torch: Any, cupy: Any) -> None:
    """Known by DLPack alone: its deleter is called while torch's read is queued."""
    for export in (Producer, lambda x: x.__dlpack__(stream=1)):
        theirs, _ = streams(torch, cupy)
        c = cupy_behind(cupy, cupy.cuda.Stream.null)
        cupy.cuda.Stream.null.synchronize()
        t = interop.to_torch(export(c), stream=theirs)
        got = read_later_by_torch(torch, cupy, t, theirs)
        del c, t
        again = cupy_behind(cupy, cupy.cuda.Stream.null, -numbers(1))
        theirs.synchronize()
        expect(got, numbers())
        cupy.cuda.Stream.null.synchronize()
        del again


def a_reader_that_went_on_to_another_stream(torch: Any, cupy: Any) -> None:
    ours, theirs = streams(torch, cupy)
    later = cupy.cuda.Stream(non_blocking=True)
    t = torch_behind(torch, cupy, ours)
    with torch.cuda.stream(ours), theirs:
        c = interop.to_cupy(t)
        later.wait_event(theirs.record())
    with torch.cuda.stream(ours), later:
        got = read_later(cupy, c, later)
        del c, t
        again = [torch_behind(torch, cupy, ours, -numbers(1)) for _ in range(ALLOCATIONS)]
    later.synchronize()
    expect(got, numbers())
    ours.synchronize()
    del again


def on_one_stream_and_then_on_another(torch: Any, cupy: Any) -> None:
    """The same stream at the handoff, and another one at the end."""
    ours, theirs = streams(torch, cupy)
    with interop.use_stream(ours):
        t = torch_behind(torch, cupy, ours)
        c = interop.to_cupy(t)
        theirs.wait_event(cupy.cuda.get_current_stream().record())
        with theirs:
            got = read_later(cupy, c, theirs)
            del c, t
        again = [torch_behind(torch, cupy, ours, -numbers(1)) for _ in range(ALLOCATIONS)]
    theirs.synchronize()
    expect(got, numbers())
    ours.synchronize()
    del again


def a_tensor_of_one_stream_used_on_another(torch: Any, cupy: Any) -> None:
    """Allocated on one of torch's streams, handed over while both libraries work on another: no event, and no reuse."""
    ours, _ = streams(torch, cupy)
    shared = torch.cuda.Stream(device=0)
    t = torch_behind(torch, cupy, ours)
    shared.wait_stream(ours)
    with interop.use_stream(shared):
        c = interop.to_cupy(t)
        got = read_later(cupy, c, cupy.cuda.get_current_stream())
        del c, t
    again = [torch_behind(torch, cupy, ours, -numbers(1)) for _ in range(ALLOCATIONS)]
    shared.synchronize()
    expect(got, numbers())
    ours.synchronize()
    del again


def there_and_back_again(torch: Any, cupy: Any) -> None:
    """From torch to cupy and back to torch: the last reader counts, through both."""
    ours, theirs = streams(torch, cupy)
    third = torch.cuda.Stream(device=0)
    t = torch_behind(torch, cupy, ours)
    with torch.cuda.stream(ours), theirs:
        c = interop.to_cupy(t)
        with torch.cuda.stream(third):
            back = interop.to_torch(c)
            got = read_later_by_torch(torch, cupy, back, third)
            del back
        del c, t
        again = [torch_behind(torch, cupy, ours, -numbers(1)) for _ in range(ALLOCATIONS)]
    third.synchronize()
    expect(got, numbers())
    ours.synchronize()
    del again


def a_view_handed_on(torch: Any, cupy: Any) -> None:
    """A View that a third library takes by DLPack, on a stream that only DLPack tells."""
    ours, theirs = streams(torch, cupy)
    t = torch_behind(torch, cupy, ours)
    with torch.cuda.stream(ours), theirs:
        c = cupy.from_dlpack(interop.view(t))
        got = read_later(cupy, c, theirs)
        del c, t
        again = [torch_behind(torch, cupy, ours, -numbers(1)) for _ in range(ALLOCATIONS)]
    theirs.synchronize()
    expect(got, numbers())
    ours.synchronize()
    del again


def a_stream_that_is_dropped_first(torch: Any, cupy: Any) -> None:
    """cupy destroys a stream with its last reference, and the memory is given back after that."""
    ours, theirs = streams(torch, cupy)
    t = torch_behind(torch, cupy, ours)
    with torch.cuda.stream(ours), theirs:
        c = interop.to_cupy(t)
        got = read_later(cupy, c, theirs)
    del theirs
    gc.collect()
    del c
    gc.collect()
    del t
    gc.collect()
    again = [torch_behind(torch, cupy, ours, -numbers(1)) for _ in range(ALLOCATIONS)]
    cupy.cuda.Device(0).synchronize()
    expect(got, numbers())
    del again


def a_named_stream_that_is_dropped_first(torch: Any, cupy: Any) -> None:
    ours, theirs = streams(torch, cupy)
    t = torch_behind(torch, cupy, ours)
    with torch.cuda.stream(ours):
        c = interop.to_cupy(t, stream=theirs)
        got = read_later(cupy, c, theirs)
    del theirs
    gc.collect()
    del c, t
    gc.collect()
    cupy.cuda.Device(0).synchronize()
    expect(got, numbers())


def the_owner_alone_keeps_it(torch: Any, cupy: Any) -> None:
    for target in ("cupy", "torch"):
        x = _on_default(torch, cupy, target, numbers())
        y = interop.convert(x, target)
        planned = interop.convert(x, target, writable=True)
        del x
        gc.collect()
        again = [_on_default(torch, cupy, target, -numbers(1)) for _ in range(4)]
        expect(interop.to_numpy(y, device="cpu"), numbers())
        expect(interop.to_numpy(planned, device="cpu"), numbers())
        del again, y, planned


def _on_default(torch: Any, cupy: Any, target: str, values: Any) -> Any:
    """What is going to be handed to `target`."""
    if target == "cupy":
        return torch_behind(torch, cupy, torch.cuda.default_stream(0), values)
    return cupy_behind(cupy, cupy.cuda.Stream.null, values)


# -- on the wrong device -----------------------------------------------------------------------------------------------


def another_device_is_current(torch: Any, cupy: Any) -> None:
    here, there = 0, 1
    for target in ("cupy", "torch"):
        t, c = streams(torch, cupy, there)
        x = torch_behind(torch, cupy, t, device=there) if target == "cupy" else cupy_behind(cupy, c, device=there)
        with cupy.cuda.Device(there), torch.cuda.stream(t), c:
            with torch.cuda.device(here):
                y = interop.convert(x, target)
                copy = interop.convert(x, target, copy=True)
                moved = interop.convert(x, target, device=f"cuda:{here}")
                host = interop.to_numpy(y, device="cpu")
                assert torch.cuda.current_device() == here == cupy.cuda.runtime.getDevice()
                assert interop.device(copy) == f"cuda:{there}"
                assert interop.device(moved) == f"cuda:{here}"
            expect(host, numbers())
            expect(interop.to_numpy(copy, device="cpu"), numbers())
            expect(interop.to_numpy(moved, device="cpu"), numbers())
            with torch.cuda.device(here):
                del x, y, copy, moved
    fresh = interop.to_cupy(np.ones(3, np.float32), device=f"cuda:{there}")
    assert fresh.data.mem.device_id == there
    assert cupy.cuda.runtime.pointerGetAttributes(fresh.data.ptr).device == there


def between_devices(torch: Any, cupy: Any) -> None:
    """Work is queued on both sides of a copy between devices."""
    _, theirs = streams(torch, cupy, 1)
    with cupy.cuda.Device(1):
        c = cupy_behind(cupy, theirs, device=1)
        with theirs:
            x = interop.to_cupy(c, device="cuda:0")
            del c
            again = cupy_behind(cupy, theirs, -numbers(1), device=1)
    expect(x.get(), numbers())
    del again


def errors_leave_no_trace(torch: Any, cupy: Any) -> None:
    before = (torch.cuda.current_device(), torch.cuda.current_stream().cuda_stream, cupy.cuda.get_current_stream().ptr)
    t = torch.zeros(3).cuda()
    with torch.cuda.device(1):
        with suppress(interop.DeviceError):
            interop.to_cupy(t, stream=torch.cuda.Stream(device=1))
        with suppress(KeyError), interop.use_stream(torch.cuda.Stream(device=0)):
            assert torch.cuda.current_device() == 0
            raise KeyError
        assert torch.cuda.current_device() == 1
    after = (torch.cuda.current_device(), torch.cuda.current_stream().cuda_stream, cupy.cuda.get_current_stream().ptr)
    assert before == after


def a_producer_on_another_device(torch: Any, cupy: Any) -> None:
    """torch refuses to export while another device is current."""

    class Producer:
        def __init__(self, x: Any) -> None:
            self.x = x

        def __dlpack__(self, **keywords: Any) -> Any:
            return self.x.__dlpack__(**keywords)

        def __dlpack_device__(self) -> Any:
            return self.x.__dlpack_device__()

    for target in ("torch", "cupy"):
        t = torch.from_numpy(numbers()).to("cuda:1")
        expect(interop.to_numpy(interop.convert(Producer(t), target), device="cpu"), numbers())
        assert torch.cuda.current_device() == 0


def a_bare_handle_of_another_device(torch: Any, cupy: Any) -> None:
    with cupy.cuda.Device(1):
        far = cupy.cuda.Stream(non_blocking=True)
    t = torch.from_numpy(numbers()).cuda()
    try:
        interop.to_cupy(t, stream=far.ptr)
    except interop.DeviceError:
        return
    raise AssertionError("a stream of another device was taken")


# -- during capture ----------------------------------------------------------------------------------------------------


@contextmanager
def capturing(stream: Any) -> Generator[list[Any]]:
    """Capture a graph, and end that whatever happens."""
    graphs: list[Any] = []
    stream.begin_capture()
    try:
        yield graphs
    finally:
        graphs.append(stream.end_capture())


def given_back_during_capture(torch: Any, cupy: Any) -> None:
    """Memory that another stream has read is dropped while a graph is captured: the graph must not see it."""
    ours, theirs = streams(torch, cupy)
    t = torch_behind(torch, cupy, ours)
    with torch.cuda.stream(ours), theirs:
        c = interop.to_cupy(t)
        source, result = cupy.zeros(SIZE, np.float32), cupy.zeros(SIZE, np.float32)
        with capturing(theirs) as graphs:
            result.data.copy_from_device_async(source.data, source.nbytes, theirs)
            del c, t
        graph = graphs[0]
        graph.launch(theirs)
        theirs.synchronize()
    u = torch_behind(torch, cupy, ours)
    with torch.cuda.stream(ours), theirs:
        interop.to_cupy(u)


def given_back_by_cupy_during_capture(torch: Any, cupy: Any) -> None:
    theirs, ours = streams(torch, cupy)
    c = cupy_behind(cupy, ours)
    with torch.cuda.stream(theirs), ours:
        t = interop.to_torch(c)
        source, result = cupy.zeros(SIZE, np.float32), cupy.zeros(SIZE, np.float32)
        with capturing(ours) as graphs:
            result.data.copy_from_device_async(source.data, source.nbytes, ours)
            del c, t
        graph = graphs[0]
        graph.launch(ours)
        ours.synchronize()
    d = cupy_behind(cupy, ours)
    with torch.cuda.stream(theirs), ours:
        interop.to_torch(d)


def a_move_during_capture(torch: Any, cupy: Any) -> None:
    """A move waits for the stream, which ends a capture: it is refused first, and the capture goes on."""
    stream = torch.cuda.Stream(device=0)
    host = np.ones(SIZE, np.float32)
    with interop.use_stream(stream):
        x, y = torch.zeros(SIZE, device="cuda"), torch.ones(SIZE, device="cuda")
        captured = cupy.cuda.get_current_stream()
        c, d = interop.to_cupy(x), interop.to_cupy(y)
        with capturing(captured) as graphs:
            for call in (
                lambda: interop.to_numpy(x, device="cpu"),
                lambda: interop.to_numpy(c, device="cpu"),
                lambda: interop.to_numpy(x, device="cpu", dtype="float64"),
                lambda: interop.to_torch(host, device="cuda"),
                lambda: interop.to_cupy(host, device="cuda"),
                lambda: interop.to_torch(c, device="cpu"),
            ):
                try:
                    call()
                except interop.DeviceError as error:
                    if "captured into a CUDA graph" not in str(error) or "before the capture" not in str(error):
                        raise
                else:
                    raise AssertionError("a move was queued while a graph is captured")
            c.data.copy_from_device_async(d.data, d.nbytes, captured)
        graph = graphs[0]
        graph.launch(captured)
        expect(x.cpu(), np.ones(SIZE))


def freed_by_torch_while_another_library_captures(torch: Any, cupy: Any) -> None:
    """torch's allocator mustn't record an event on a stream that cupy captures: it would refuse every call then."""
    _, theirs = streams(torch, cupy)
    t = torch.from_numpy(numbers()).cuda()
    with interop.use_stream(theirs):
        c = interop.to_cupy(t)
        del c
    theirs.synchronize()
    with capturing(theirs):
        del t
    torch.cuda.synchronize()
    made = [torch.empty(SIZE, device="cuda") for _ in range(ALLOCATIONS)]
    del made


def a_handoff_across_a_capture(torch: Any, cupy: Any) -> None:
    """What isn't captured can't be ordered with what is: it is refused first, and the capture goes on."""
    other, theirs = streams(torch, cupy)
    t = torch.from_numpy(numbers()).cuda()
    c = cupy.asarray(numbers(1))
    source = cupy.asarray(numbers(2))
    cupy.cuda.get_current_stream().synchronize()
    with torch.cuda.stream(other), theirs:
        looked = interop.view(c)
        with capturing(theirs) as graphs:
            for call in (
                lambda: interop.to_cupy(t),
                lambda: interop.to_torch(c),
                lambda: interop.view(c, stream=other),
                lambda: interop.to_cupy(InterfaceOf(c, stream=other.cuda_stream)),
                lambda: interop.to_cupy(InterfaceOf(c, version=2)),
            ):
                try:
                    call()
                except interop.DeviceError as error:
                    if "captured into a CUDA graph" not in str(error) or "stream=-1" not in str(error):
                        raise
                else:
                    raise AssertionError("two streams were ordered of which one is captured")
            for stream in (1, other.cuda_stream):
                with suppress(BufferError):
                    looked.__dlpack__(stream=stream)
                    raise AssertionError("a captured stream was waited for from outside")
            # None stands for no stream: the capture goes on (pytorch#163242).
            taken = cupy.from_dlpack(interop.to_cupy(t, stream=-1))
            asked = torch.utils.dlpack.from_dlpack(looked.__dlpack__())
            c.data.copy_from_device_async(source.data, source.nbytes, theirs)
        (graph,) = graphs
        graph.launch(theirs)
        theirs.synchronize()
        expect(c.get(), numbers(2))
        expect(asked.cpu(), numbers(2))
        expect(taken.get(), numbers())


def a_handoff_during_capture(torch: Any, cupy: Any) -> None:
    """On one stream a handoff is legal while it is captured, and so is dropping what was handed over."""
    stream = torch.cuda.Stream(device=0)
    with interop.use_stream(stream):
        x, y = torch.zeros(SIZE, device="cuda"), torch.ones(SIZE, device="cuda")
        captured = cupy.cuda.get_current_stream()
        with capturing(captured) as graphs:
            a, b = interop.to_cupy(x), interop.to_cupy(y)
            a.data.copy_from_device_async(b.data, b.nbytes, captured)
            del a, b
        graph = graphs[0]
        graph.launch(captured)
        expect(x.cpu(), np.ones(SIZE))


def a_stream_that_was_destroyed(torch: Any, cupy: Any) -> None:
    """Of a bare handle, which keeps nothing alive: the memory goes back all the same, after what is queued there."""
    ours = torch.cuda.Stream(device=0)
    before = torch.cuda.memory_allocated()
    with torch.cuda.stream(ours):
        t = torch_behind(torch, cupy, ours)
    handle = cupy.cuda.runtime.streamCreateWithFlags(cupy.cuda.runtime.streamNonBlocking)
    with torch.cuda.stream(ours):
        c = interop.to_cupy(t, stream=handle)
    out = read_later(cupy, c, cupy.cuda.Stream.from_external(Stream(handle)))
    cupy.cuda.runtime.streamDestroy(handle)
    del c, t
    assert torch.cuda.memory_allocated() == before
    with torch.cuda.stream(ours):
        again = [torch_behind(torch, cupy, ours, np.zeros(SIZE)) for _ in range(ALLOCATIONS)]
    torch.cuda.synchronize()
    expect(out, numbers())
    del again


# -- in a forked child -------------------------------------------------------------------------------------------------


def dropped_in_a_forked_child(torch: Any, cupy: Any) -> None:
    ours, theirs = streams(torch, cupy)
    t = torch_behind(torch, cupy, ours)
    with torch.cuda.stream(ours), theirs:
        c = interop.to_cupy(t)
        view = interop.view(cupy.zeros(SIZE, np.float32), stream=ours)
    ours.synchronize()
    theirs.synchronize()
    child = os.fork()
    if child == 0:
        # CUDA refuses every call there; what a finalizer raises goes here.
        refused: list[Any] = []
        sys.unraisablehook = refused.append
        del c, t, view
        gc.collect()
        os._exit(len(refused))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


SCENARIOS: dict[str, Callable[[Any, Any], None]] = {
    scenario.__name__: scenario
    for scenario in (
        torch_to_cupy,
        cupy_to_torch,
        interface_with_a_stream,
        old_interface,
        old_interface_to_cupy,
        managed_memory_on_the_host,
        a_pinned_source_is_written_at_once,
        a_named_stream_for_a_transfer,
        a_dropped_torch_tensor,
        a_dropped_cupy_array,
        a_cupy_array_of_the_default_stream,
        a_producer_whose_memory_is_dropped,
        a_library_that_orders_by_itself,
        a_library_that_names_its_stream,
        a_reader_that_went_on_to_another_stream,
        on_one_stream_and_then_on_another,
        a_tensor_of_one_stream_used_on_another,
        there_and_back_again,
        a_view_handed_on,
        a_stream_that_is_dropped_first,
        a_named_stream_that_is_dropped_first,
        the_owner_alone_keeps_it,
        another_device_is_current,
        between_devices,
        a_producer_on_another_device,
        a_bare_handle_of_another_device,
        errors_leave_no_trace,
        given_back_during_capture,
        given_back_by_cupy_during_capture,
        a_move_during_capture,
        a_handoff_during_capture,
        a_handoff_across_a_capture,
        freed_by_torch_while_another_library_captures,
        a_stream_that_was_destroyed,
        dropped_in_a_forked_child,
    )
}
#: What only a process without a real device survives.
SIMULATED_ONLY = {"dropped_in_a_forked_child", "a_stream_that_was_destroyed"}
TWO_DEVICES = {
    *("another_device_is_current", "between_devices", "errors_leave_no_trace"),
    *("a_producer_on_another_device", "a_bare_handle_of_another_device"),
}
#: What the simulated device finds although all is well: CUDA itself is what refuses the stream.
FINDS = {"a_bare_handle_of_another_device": "misuse", "a_stream_that_was_destroyed": "misuse"}
