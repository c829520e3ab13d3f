"""Device memory goes from library to library: the same memory, the right values, on its own device, in stream order."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import types
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cudasim
import interop

Array = np.ndarray[Any, Any]

DTYPES = [
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128", "bfloat16"),
]
#: Views of an array of shape (4, 3, 2) that numpy, torch and cupy spell alike, and all of which each can hold.
LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "C": lambda x: x,
    "transposed": lambda x: x.swapaxes(0, 2),
    "stepped": lambda x: x[::2, :, 1:],
    "offset": lambda x: x[1:, 1],
    "0-d": lambda x: x[2, 1, 0],
    "empty": lambda x: x[:, 3:],
    "one": lambda x: x[1:2],
}
FRAMEWORKS = ("torch", "cupy")
CONVERT: dict[str, Callable[..., Any]] = {"torch": interop.to_torch, "cupy": interop.to_cupy}

given_layouts = given(dtype=st.sampled_from(DTYPES), layout=st.sampled_from(list(LAYOUTS)))


def numbers(dtype: str = "float32") -> Array:
    kind = np.dtype(getattr(ml_dtypes, dtype, dtype))
    return np.arange(24).reshape(4, 3, 2).astype(kind)


def on(framework: str, values: Array, device: int = 0) -> Any:
    return interop.convert(values, framework, device=f"cuda:{device}")


def other(framework: str) -> str:
    return FRAMEWORKS[FRAMEWORKS.index(framework) - 1]


def pointer(x: Any) -> int:
    return int(x.data_ptr()) if hasattr(x, "data_ptr") else int(x.data.ptr)


def index(x: Any) -> int:
    return interop.device(x).index


def bits(x: Array) -> tuple[Any, ...]:
    return (x.shape, x.dtype.name, x.tobytes())


# -- the same memory ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", FRAMEWORKS)
@given_layouts
def test_it_is_the_same_memory_in_every_layout_and_element_type(framework: str, dtype: str, layout: str) -> None:
    values = LAYOUTS[layout](numbers(dtype))
    x = LAYOUTS[layout](on(framework, numbers(dtype)))
    y = CONVERT[other(framework)](x)
    z = CONVERT[framework](y)
    assert interop.explain(x, other(framework)).zero_copy
    assert interop.view(z).strides == interop.view(y).strides == interop.view(x).strides
    if values.size:
        assert pointer(z) == pointer(y) == pointer(x)
        assert interop.shares_memory(x, y)
    assert bits(interop.to_numpy(y, device="cpu")) == bits(values)
    assert bits(interop.to_numpy(x, device="cpu")) == bits(values)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_broadcast_memory_stays_broadcast(framework: str, torch: Any, cupy: Any) -> None:
    x = on(framework, np.arange(3.0))
    wide = x.expand(4, 3) if framework == "torch" else cupy.broadcast_to(x, (4, 3))
    y = CONVERT[other(framework)](wide)
    assert interop.view(y).strides == (0, 1)
    assert pointer(y) == pointer(x)
    np.testing.assert_array_equal(interop.to_numpy(y, device="cpu"), np.broadcast_to(np.arange(3.0), (4, 3)))


@pytest.mark.parametrize("framework", FRAMEWORKS)
@given_layouts
def test_a_hot_route_gives_what_the_plan_gives(framework: str, dtype: str, layout: str) -> None:
    x = LAYOUTS[layout](on(framework, numbers(dtype)))
    convert = CONVERT[other(framework)]
    hot, planned = convert(x), convert(x, writable=True)
    assert type(hot) is type(planned)
    assert interop.view(hot).strides == interop.view(planned).strides
    assert (hot.shape, hot.dtype, hot.device, pointer(hot)) == (
        planned.shape,
        planned.dtype,
        planned.device,
        pointer(planned),
    )


def test_writes_show_on_both_sides(torch: Any, cupy: Any) -> None:
    t = on("torch", np.zeros(4))
    c = interop.to_cupy(t)
    c.set(np.arange(4.0))
    assert t.cpu().tolist() == [0, 1, 2, 3]
    t.copy_(torch.full((4,), 7.0))
    assert c.get().tolist() == [7, 7, 7, 7]


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("options", [{"copy": True}, {"order": "F"}, {"dtype": "float32", "copy": True}])
def test_a_copy_is_on_memory_of_its_own(framework: str, options: dict[str, Any]) -> None:
    x = on(framework, numbers())
    y = CONVERT[other(framework)](x, **options)
    assert not interop.shares_memory(x, y)
    np.testing.assert_array_equal(interop.to_numpy(y, device="cpu"), numbers())


# -- between devices ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", FRAMEWORKS)
@given_layouts
def test_to_the_host_and_back_it_is_the_identity(framework: str, dtype: str, layout: str) -> None:
    values = LAYOUTS[layout](numbers(dtype))
    x = interop.convert(values, framework, device="cuda")
    assert interop.device(x) == "cuda:0"
    assert bits(interop.to_numpy(x, device="cpu")) == bits(np.ascontiguousarray(values).reshape(values.shape))


@pytest.mark.parametrize("source", FRAMEWORKS)
@pytest.mark.parametrize("target", FRAMEWORKS)
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_from_device_to_device(source: str, target: str, layout: str, two_devices: tuple[int, int]) -> None:
    here, there = two_devices
    x = LAYOUTS[layout](on(source, numbers(), there))
    y = interop.convert(x, target, device=f"cuda:{here}")
    assert (index(x), index(y)) == (there, here)
    np.testing.assert_array_equal(interop.to_numpy(y, device="cpu"), LAYOUTS[layout](numbers()))


#: Views of which numpy and cupy hold each, and torch, which has no negative strides, none.
REVERSED: dict[str, Callable[[Any], Any]] = {
    "rows": lambda x: x[::-1],
    "every other column": lambda x: x[:, ::-2],
    "all axes": lambda x: x[::-1, ::-1, ::-1],
    "one row": lambda x: x[:1][::-1],
    "no row": lambda x: x[:0][::-1],
}
WAYS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "cast": {"dtype": "float64"},
    "in order": {"order": "F"},
    "to the host": {"device": "cpu"},
    "to the other device": {"device": "cuda:1"},
    "there and cast": {"device": "cuda:1", "dtype": "float16"},
}


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("layout", list(REVERSED))
def test_torch_gets_the_values_of_negative_strides(layout: str, way: str, two_devices: tuple[int, int]) -> None:
    values = REVERSED[layout](numbers())
    x = REVERSED[layout](on("cupy", numbers()))
    t = interop.to_torch(x, **WAYS[way])
    np.testing.assert_array_equal(interop.to_numpy(t, device="cpu"), values)
    if "cuda" in WAYS[way].get("device", "cuda"):
        options: dict[str, Any] = {"device": "cuda", **WAYS[way]}
        up = interop.to_torch(values, **options)
        np.testing.assert_array_equal(interop.to_numpy(up, device="cpu"), values)
    dst = on("torch", np.zeros(values.shape, "float32"))
    for src in (x, values):
        interop.copyto(dst, src)
        np.testing.assert_array_equal(interop.to_numpy(dst, device="cpu"), values)


def test_torch_reads_memory_in_which_an_axis_runs_backwards(torch: Any) -> None:
    # Of a producer on a device that can't copy by itself; the same code on host memory, since no stand-in flips.
    from interop._adapters._torch import adapter

    for layout in ("rows", "every other column", "all axes"):
        values = REVERSED[layout](numbers())
        got = adapter.read(interop.view(values))
        assert isinstance(got, torch.Tensor)
        np.testing.assert_array_equal(got.numpy(), values)


@pytest.mark.sim_only
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("dtype", [*DTYPES, "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"])
def test_to_the_host_is_one_transfer_and_one_wait_for_every_element_type(
    dtype: str, framework: str, torch: Any
) -> None:
    if framework == "cupy" and "float8" in dtype:
        pytest.skip("cupy has no float8")
    values = (
        np.arange(24, dtype=np.uint8).view(getattr(ml_dtypes, dtype, dtype)) if "float8" in dtype else numbers(dtype)
    )
    x = on(framework, values)
    planned = interop.explain(x, "numpy", device="cpu").transferred_bytes
    with cudasim.counting() as done:
        interop.to_numpy(x, device="cpu")
    assert (done.d2h, done.sync, done.copied_bytes) == (1, 1, planned)


@pytest.mark.parametrize("current", [0, 1])
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_whatever_device_is_current(
    current: int, place: int, framework: str, torch: Any, cupy: Any, two_devices: tuple[int, int]
) -> None:
    with torch.cuda.device(current):
        x = on(framework, numbers(), place)
        y = CONVERT[other(framework)](x)
        copy = CONVERT[other(framework)](x, copy=True)
        assert (index(x), index(y), index(copy)) == (place, place, place)
        np.testing.assert_array_equal(interop.to_numpy(y, device="cpu"), numbers())
        np.testing.assert_array_equal(interop.to_numpy(copy, device="cpu"), numbers())
        for refused in (lambda: interop.to_numpy(x), lambda: CONVERT[framework](x, device="cuda:9")):
            with pytest.raises(interop.DeviceError):
                refused()
        assert torch.cuda.current_device() == cupy.cuda.runtime.getDevice() == current


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_convert_like_and_device_objects(framework: str, torch: Any, cupy: Any, two_devices: tuple[int, int]) -> None:
    reference = on(framework, numbers(), two_devices[1])
    for like in (
        interop.convert_like(numbers(), reference),
        interop.convert(numbers(), framework, device=torch.device("cuda", two_devices[1])),
        interop.convert(numbers(), framework, device=cupy.cuda.Device(two_devices[1])),
        interop.convert(numbers(), framework, device=(2, two_devices[1])),
    ):
        assert interop.framework(like) == framework
        assert interop.device(like) == f"cuda:{two_devices[1]}"


# -- host-accessible memory --------------------------------------------------------------------------------------------


def test_pinned_memory_is_host_memory(torch: Any, cupy: Any) -> None:
    pinned = torch.arange(4.0).pin_memory()
    assert interop.to_numpy(pinned).ctypes.data == pinned.data_ptr()
    with pytest.raises(interop.DeviceError, match="device='cuda:0'"):
        interop.to_cupy(pinned)
    assert interop.to_cupy(pinned, device="cuda").get().tolist() == [0, 1, 2, 3]


def test_managed_memory_is_on_the_device_that_was_named(torch: Any, cupy: Any) -> None:
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("needs two devices")
    managed = cupy.ndarray((4,), "float32", cupy.cuda.malloc_managed(16))
    managed.set(np.arange(4, dtype="float32"))
    home = interop.device(managed).index
    for index in (home, 1 - home):
        there = interop.to_cupy(managed, device=f"cuda:{index}")
        assert interop.device(there).index == index
        assert there.get().tolist() == [0, 1, 2, 3]
        assert interop.shares_memory(there, managed) == (index == home)
    with pytest.raises(interop.CopyError, match=f"cuda:{1 - home}"):
        interop.to_cupy(managed, device=f"cuda:{1 - home}", copy=False)


def test_a_stream_of_another_device_is_refused_inside_one_framework_too(torch: Any) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("needs two devices")
    t = torch.zeros(3, device="cuda:0")
    for copy in (None, True):
        with pytest.raises(interop.DeviceError, match="cuda:1"):
            interop.to_torch(t, stream=torch.cuda.Stream(device=1), copy=copy)
    assert interop.to_torch(t, stream=torch.cuda.Stream(device=0)) is t


def test_managed_memory_is_both(torch: Any, cupy: Any) -> None:
    managed = cupy.ndarray((4,), "float32", cupy.cuda.malloc_managed(16))
    managed.set(np.arange(4, dtype="float32"))
    seen = interop.to_numpy(managed)
    assert seen.ctypes.data == managed.data.ptr
    assert seen.tolist() == [0, 1, 2, 3]
    assert "waits" in str(interop.explain(managed, "numpy"))
    assert interop.to_torch(managed).device.type == "cpu"
    on_device = interop.to_torch(managed, device="cuda")
    assert on_device.device.type == "cuda"
    assert on_device.data_ptr() == managed.data.ptr


def test_from_pinned_memory_the_source_may_be_written_at_once(torch: Any, cupy: Any) -> None:
    for target in FRAMEWORKS:
        pinned = torch.arange(4.0).pin_memory()
        x = interop.convert(interop.to_numpy(pinned), target, device="cuda")
        pinned.fill_(-1)
        assert interop.to_numpy(x, device="cpu").tolist() == [0, 1, 2, 3]


# -- what is known by a protocol only ----------------------------------------------------------------------------------


class Interface:
    """An array as the CUDA array interface describes it, in one of its versions."""

    def __init__(self, array: Any, **changes: Any) -> None:
        self.array, self.changes = array, changes

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {**self.array.__cuda_array_interface__, **self.changes}


class Producer:
    """A tensor as DLPack describes it."""

    def __init__(self, x: Any) -> None:
        self.x = x
        self.asked: list[dict[str, Any]] = []

    def __dlpack__(self, **keywords: Any) -> Any:
        self.asked.append(keywords)
        return self.x.__dlpack__(**keywords)

    def __dlpack_device__(self) -> Any:
        return self.x.__dlpack_device__()


def behind(stream: Any, cupy: Any, values: Array) -> Any:
    """A cupy array that a copy is still queued to, on a stream."""
    pinned = cupy.cuda.alloc_pinned_memory(values.nbytes)
    host = np.frombuffer(pinned, values.dtype, values.size).reshape(values.shape)
    host[...] = values
    with stream:
        array = cupy.empty(values.shape, values.dtype)
        array.set(host)
    return array


@pytest.mark.parametrize("target", FRAMEWORKS)
@pytest.mark.parametrize("version", [2, 3])
def test_a_cuda_array_interface_is_waited_for(target: str, version: int, cupy: Any, cupy_stream: Any) -> None:
    values = np.arange(8.0)
    array = behind(cupy_stream, cupy, values)
    changes = {"version": 3, "stream": cupy_stream.ptr} if version == 3 else {"version": 2}
    x = interop.convert(Interface(array, **changes), target)
    assert pointer(x) == array.data.ptr
    assert interop.to_numpy(x, device="cpu").tolist() == values.tolist()
    moved = interop.to_numpy(Interface(array, **changes), device="cpu")
    assert moved.tolist() == values.tolist()


@pytest.mark.sim_only
def test_for_a_stream_that_is_named_the_consumers_stream_waits_and_not_the_host(cupy: Any, cupy_stream: Any) -> None:
    array = behind(cupy_stream, cupy, np.arange(8.0))
    with cudasim.counting() as done:
        x = interop.to_torch(Interface(array, stream=cupy_stream.ptr))
    assert (done.record, done.wait, done.sync) == (1, 1, 0)
    with cudasim.counting() as done:
        y = interop.to_torch(Interface(array, version=2))
    assert (done.record, done.wait, done.sync) == (0, 0, 1)
    cupy_stream.synchronize()
    with cudasim.counting() as done:
        z = interop.to_torch(Interface(array, stream=None))
    assert (done.record, done.wait, done.sync) == (0, 0, 0)
    del x, y, z


def test_an_interface_is_found_on_its_own_device(cupy: Any, two_devices: tuple[int, int]) -> None:
    array = on("cupy", np.arange(3.0), two_devices[1])
    assert index(interop.to_torch(Interface(array))) == two_devices[1]
    assert index(interop.to_cupy(Interface(array))) == two_devices[1]
    assert interop.to_numpy(Interface(array), device="cpu").tolist() == [0, 1, 2]
    there = f"cuda:{two_devices[1]}"
    alone = Interface(array, stream=None)
    assert interop.device(alone) == interop.view(alone).device == interop.view(alone, stream=1).device == there
    assert interop.view(alone).__dlpack_device__() == (2, two_devices[1])
    assert not interop.view(alone).ordered
    # A View of it orders after the stream that the interface names, whatever the framework that helps works on.
    with cupy.cuda.Device(two_devices[1]):
        late = cupy.cuda.Stream(non_blocking=True)
        behind_it = behind(late, cupy, np.arange(8.0))
        assert cupy.from_dlpack(interop.view(Interface(behind_it, stream=late.ptr))).get().tolist() == list(range(8))


@pytest.mark.parametrize("target", FRAMEWORKS)
@pytest.mark.parametrize("pointer", [0, None])
def test_an_interface_of_no_elements_needs_no_address(target: str, pointer: int | None, cupy: Any) -> None:
    empty = Interface(on("cupy", np.zeros((0, 3))), data=(pointer, False))
    assert interop.convert(empty, target).shape == (0, 3)
    with pytest.raises(interop.UnsupportedError, match="pointer"):
        interop.convert(Interface(on("cupy", np.zeros(3)), data=(None, False)), target)


def test_a_dlpack_producer_gets_our_stream_on_its_own_device(
    torch: Any, cupy: Any, cupy_stream: Any, two_devices: tuple[int, int]
) -> None:
    producer = Producer(on("torch", np.arange(3.0)))
    with cupy_stream:
        c = interop.to_cupy(producer)
    assert producer.asked[-1]["stream"] == cupy_stream.ptr
    assert type(producer.asked[-1]["stream"]) is int
    far = Producer(on("torch", np.arange(3.0), two_devices[1]))
    assert index(interop.to_cupy(far)) == two_devices[1]
    assert interop.to_numpy(far, device="cpu").tolist() == [0, 1, 2]
    assert "stream" not in far.asked[-1]
    assert interop.to_cupy(producer, stream=-1).get().tolist() == [0, 1, 2]
    assert producer.asked[-1]["stream"] == -1
    del c


def test_a_raw_capsule_needs_to_be_told_the_stream(torch: Any) -> None:
    t = on("torch", np.arange(3.0))

    def capsule() -> Any:
        return t.__dlpack__(max_version=(1, 0))

    with pytest.raises(interop.DeviceError, match="stream=-1"):
        interop.to_cupy(capsule())
    assert pointer(interop.to_cupy(capsule(), stream=-1)) == t.data_ptr()
    assert interop.to_numpy(capsule(), device="cpu", stream=-1).tolist() == [0, 1, 2]
    looked = interop.view(capsule())
    assert not looked.ordered
    with pytest.raises(interop.DeviceError, match="stream=-1"):
        interop.to_torch(looked)
    assert pointer(interop.to_torch(interop.view(capsule(), stream=-1))) == t.data_ptr()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_view_orders_through_its_owner(framework: str, torch: Any, cupy: Any, cupy_stream: Any) -> None:
    x = on(framework, np.arange(4.0))
    assert not interop.view(x).ordered
    assert interop.view(x, stream=1).ordered
    assert interop.view(x, stream=-1).ordered
    v = interop.view(x)
    with cupy_stream:
        c = cupy.from_dlpack(v)
        assert c.get().tolist() == [0, 1, 2, 3]
    assert pointer(interop.to_torch(v)) == pointer(interop.to_cupy(v)) == pointer(x)
    assert interop.to_numpy(v, device="cpu").tolist() == [0, 1, 2, 3]
    assert interop.explain(v, "numpy", device="cpu").transferred_bytes == 32


# -- copyto ------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["numpy", "torch", "cupy", "torch host"])
def host_or_device(request: pytest.FixtureRequest) -> Callable[[Array], Any]:
    def make(values: Array) -> Any:
        if request.param == "numpy":
            return values.copy()
        if request.param == "torch host":
            return interop.to_torch(values.copy())
        return on(request.param, values)

    return make


@pytest.mark.parametrize("source", ["numpy", "torch", "cupy"])
def test_copyto_writes_into_memory_that_exists(source: str, host_or_device: Callable[[Array], Any]) -> None:
    dst = host_or_device(np.zeros((2, 3), "float32"))
    src = np.arange(6, dtype="float32").reshape(2, 3)
    before = interop.view(dst).ptr
    version = getattr(dst, "_version", 0)
    interop.copyto(dst, src if source == "numpy" else on(source, src))
    assert interop.view(dst).ptr == before
    np.testing.assert_array_equal(interop.to_numpy(dst, device="cpu"), src)
    if hasattr(dst, "_version"):
        assert dst._version > version
    interop.copyto(dst, src[0] if source == "numpy" else on(source, src[0]))
    np.testing.assert_array_equal(interop.to_numpy(dst, device="cpu"), np.broadcast_to(src[0], (2, 3)))


@pytest.mark.parametrize("layout", ["C", "transposed", "stepped"])
def test_memory_that_becomes_readonly_is_filled_first(layout: str, cupy: Any) -> None:
    """pyarrow's arrays are: their memory is readonly when cupy is to write into it."""
    from interop._adapters import _cupy

    x = LAYOUTS[layout](on("cupy", numbers()))
    memory = np.zeros(x.shape, np.float32)
    _cupy.adapter.assign(interop.view(memory).with_readonly(), x)
    assert memory.tolist() == LAYOUTS[layout](numbers()).tolist()


def test_copyto_between_devices(torch: Any, cupy: Any, two_devices: tuple[int, int]) -> None:
    here, there = two_devices
    for source in FRAMEWORKS:
        for target in FRAMEWORKS:
            dst, src = on(target, np.zeros(3), there), on(source, np.arange(3.0), here)
            interop.copyto(dst, src)
            assert interop.to_numpy(dst, device="cpu").tolist() == [0, 1, 2]


# -- what bad input gets -----------------------------------------------------------------------------------------------

BAD: dict[str, tuple[Callable[[Any, Any], Any], type[Exception], str]] = {
    "host to cupy": (lambda t, c: interop.to_cupy(np.ones(2)), interop.DeviceError, "device='cuda:0'"),
    "device to numpy": (lambda t, c: interop.to_numpy(t), interop.DeviceError, "device='cpu'"),
    "cupy to numpy": (lambda t, c: interop.to_numpy(c), interop.DeviceError, "device='cpu'"),
    "no copy": (lambda t, c: interop.to_numpy(t, device="cpu", copy=False), interop.CopyError, "copy=False forbids"),
    "no copy up": (lambda t, c: interop.to_torch(np.ones(2), device="cuda", copy=False), interop.CopyError, "forbids"),
    "stream 0": (lambda t, c: interop.to_cupy(t, stream=0), interop.DeviceError, "Pass 1 for"),
    "no stream": (lambda t, c: interop.to_cupy(t, stream="main"), interop.DeviceError, "is no stream"),
    "a boolean": (lambda t, c: interop.to_torch(c, stream=True), interop.DeviceError, "is no stream"),
    "per-thread": (lambda t, c: interop.to_cupy(t, stream=2), interop.DeviceError, "stream=1"),
    "per-thread to torch": (lambda t, c: interop.to_torch(c, stream=2), interop.DeviceError, "stream=1"),
    "no such device": (lambda t, c: interop.to_cupy(t, device="cuda:9"), interop.DeviceError, "there is no cuda:9"),
    "nor from the host": (lambda t, c: interop.to_torch(np.ones(2), device="cuda:9"), interop.DeviceError, "cuda:0"),
    "no address": (lambda t, c: interop.to_cupy(t, stream=2**70), interop.DeviceError, "no handle of a stream"),
    "no address either": (lambda t, c: interop.use_stream(2**70).__enter__(), interop.DeviceError, "no handle"),
    "nor from an object": (lambda t, c: interop.to_cupy(t, stream=Streamed(2**70)), interop.DeviceError, "no handle"),
    "-1 as a handle": (lambda t, c: interop.to_torch(c, stream=Streamed(-1)), interop.DeviceError, "gives -1"),
    "the stream of no device": (
        lambda t, c: interop.current_stream("cupy", "cuda:9"),
        interop.DeviceError,
        "no cuda:9",
    ),
    "nor torch's": (lambda t, c: interop.current_stream("torch", "cuda:9"), interop.DeviceError, "torch sees"),
    "an interface on the host": (lambda t, c: interop.to_cupy(astray(c)), interop.DeviceError, "on no CUDA device"),
    "nor to torch": (lambda t, c: interop.to_torch(astray(c)), interop.DeviceError, "__array_interface__"),
    "a producer nowhere": (lambda t, c: interop.to_numpy(Lost(), device="cpu"), interop.DeviceError, "its?.* cuda:9"),
    "float8": (lambda t, c: interop.to_cupy(t.byte().view(float8())), interop.DTypeError, "dtype='float32'"),
}


class Streamed:
    """An object whose stream is a number that we choose."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def __cuda_stream__(self) -> tuple[int, int]:
        return (0, self.handle)


class Lost:
    """A producer on a device that isn't there."""

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 9)

    def __dlpack__(self, **_keywords: Any) -> Any:
        raise AssertionError


ON_THE_HOST = np.zeros(4)


def astray(c: Any) -> Interface:
    return Interface(c, data=(ON_THE_HOST.ctypes.data, False))


def test_an_interface_on_the_object_itself_is_spoken(cupy: Any) -> None:
    c = on("cupy", np.arange(4.0))
    x = types.SimpleNamespace(__cuda_array_interface__=c.__cuda_array_interface__)
    made = interop.to_cupy(x)
    assert made.data.ptr == c.data.ptr
    assert cupy.asnumpy(made).tolist() == [0, 1, 2, 3]


def float8() -> Any:
    import torch

    return torch.float8_e4m3fn


@pytest.mark.parametrize("name", list(BAD))
def test_bad_input_gets_the_call_that_works(name: str, torch: Any, cupy: Any) -> None:
    call, error, text = BAD[name]
    t, c = torch.zeros(4, dtype=torch.uint8).cuda(), on("cupy", np.arange(4.0))
    streams = (torch.cuda.current_stream(), cupy.cuda.get_current_stream())
    with pytest.raises(error, match=text) as caught:
        call(t, c)
    assert isinstance(caught.value, interop.InteropError)
    assert (torch.cuda.current_stream(), cupy.cuda.get_current_stream()) == streams


def test_a_stream_of_another_device_is_refused(torch: Any, cupy: Any, two_devices: tuple[int, int]) -> None:
    here, there = two_devices
    with cupy.cuda.Device(there):
        far = [cupy.cuda.Stream(non_blocking=True), torch.cuda.Stream(device=there)]
    for stream in (*far, interop.current_stream("torch", f"cuda:{there}")):
        for x in (on("torch", np.ones(2), here), on("cupy", np.ones(2), here)):
            with pytest.raises(
                interop.DeviceError, match=rf"is a stream of cuda:{there} and the memory is on cuda:{here}"
            ):
                CONVERT[other(interop.framework(x))](x, stream=stream)


@pytest.mark.sim_only
@pytest.mark.finds("misuse")
def test_a_bare_handle_of_another_device_or_of_a_freed_stream_is_refused(
    torch: Any, cupy: Any, two_devices: tuple[int, int]
) -> None:
    here, there = two_devices
    with cupy.cuda.Device(there):
        far = cupy.cuda.Stream(non_blocking=True)
    with cupy.cuda.Device(here):
        freed = cupy.cuda.Stream(non_blocking=True).ptr
    for handle in (far.ptr, freed):
        for x in (on("torch", np.ones(2), here), on("cupy", np.ones(2), here)):
            with pytest.raises(interop.DeviceError, match="can't be worked with on cuda:0"):
                CONVERT[other(interop.framework(x))](x, stream=handle)
            with pytest.raises(interop.DeviceError):
                interop.view(x, stream=handle)
            for target in FRAMEWORKS:
                for moved in (x, np.ones(2)):
                    with pytest.raises(interop.DeviceError, match="can't be worked with on cuda:"):
                        interop.convert(moved, target, device="cuda:1" if moved is x else "cuda:0", stream=freed)
        with pytest.raises(interop.DeviceError, match="can't be worked with"), interop.use_stream(handle):
            pass
    assert torch.cuda.current_device() == here


@pytest.mark.sim_only
@pytest.mark.parametrize("target", FRAMEWORKS)
def test_out_of_memory_is_our_error(target: str, torch: Any, cupy: Any) -> None:
    values = np.zeros(1 << 24, np.uint8)
    torch.cuda.empty_cache()
    cupy.get_default_memory_pool().free_all_blocks()
    cudasim.set_memory(0, 1 << 23)
    try:
        with pytest.raises(interop.CopyError, match="not enough memory to hand a numpy tensor"):
            interop.convert(values, target, device="cuda:0")
    finally:
        cudasim.set_memory(0, 0)
    gc.collect()
    assert interop.to_numpy(interop.convert(values[:4], target, device="cuda:0"), device="cpu").tolist() == [0] * 4


@pytest.mark.sim_only
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_out_of_memory_on_the_way_names_the_device_and_a_call_that_works(framework: str, torch: Any, cupy: Any) -> None:
    # More than the blocks that torch keeps at hand.
    x = on(framework, np.zeros((1 << 12, 1 << 13), np.uint8))
    y = on(other(framework), np.zeros((1 << 11, 1 << 13), np.uint8))
    torch.cuda.empty_cache()
    cupy.get_default_memory_pool().free_all_blocks()
    cudasim.set_memory(0, 1 << 20)
    try:
        with pytest.raises(interop.CopyError, match=r"not enough memory.*Free memory on cuda:0 or cpu"):
            interop.to_numpy(x[:, ::2], device="cpu")
        with pytest.raises(interop.CopyError, match=r"not enough memory.*Free memory on cuda:0"):
            CONVERT[other(framework)](x, dtype="float64")
        with pytest.raises(interop.CopyError, match=r"copy=False\) takes no memory"):
            CONVERT[other(framework)](x, copy=True)
        with pytest.raises(interop.CopyError, match=r"not enough memory.*Free memory on cuda:0"):
            interop.copyto(y, np.zeros((1 << 11, 1 << 13), np.uint8))
    finally:
        cudasim.set_memory(0, 0)
        gc.collect()


KEPT_UNTIL_THE_END = """
import colorsys, sys, builtins, numpy as np, torch, cupy, interop
c, side = cupy.asarray(np.ones(3)), cupy.cuda.Stream(non_blocking=True)
for module in (colorsys, sys, builtins, np, torch, cupy, interop):
    with side:
        other = interop.to_torch(c)
    module.kept = [interop.to_torch(c), interop.to_cupy(torch.ones(3).cuda()), interop.view(c, stream=1), other]
"""


def test_what_is_kept_until_the_process_ends_ends_without_a_word(cuda: str) -> None:
    environment = dict(os.environ) if cuda == "real" else cudasim.environment()
    done = subprocess.run(
        [sys.executable, "-c", KEPT_UNTIL_THE_END], env=environment, check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("framework", FRAMEWORKS)
@given_layouts
def test_a_hot_route_to_the_host_gives_what_the_plan_gives(framework: str, dtype: str, layout: str) -> None:
    x = LAYOUTS[layout](on(framework, numbers(dtype)))
    hot, planned = interop.to_numpy(x, device="cpu"), interop.to_numpy(x, device="cpu", writable=True)
    assert bits(hot) == bits(planned)
    assert (hot.strides, hot.flags.writeable) == (planned.strides, planned.flags.writeable)
