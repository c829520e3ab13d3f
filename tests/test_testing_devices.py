"""Make-believe devices: what they export, and what they write down of streams and devices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from interop.testing import assert_identical
from interop.testing.fakes import FakeCudaArray, FakeDeviceArray, FakeRuntime, LegacyProducer, consume, read

DEVICES = [(2, 0), (2, 1), (3, 0), (10, 0), (11, 0), (13, 2), (14, 0)]

Array = np.ndarray[Any, Any]


@pytest.fixture
def array() -> Array:
    return np.arange(6, dtype="float32").reshape(2, 3)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("max_version", [None, (1, 3)])
def test_the_capsule_says_the_device(
    device: tuple[int, int], max_version: tuple[int, int] | None, array: Array
) -> None:
    fake = FakeDeviceArray(array, device)
    fields = read(fake.__dlpack__(max_version=max_version))
    assert fields.device == fake.__dlpack_device__() == device
    assert (fields.version is None) == (max_version is None)
    fake.assert_released()


@pytest.mark.parametrize("max_version", [None, (1, 3)])
def test_a_copy_on_the_host_waits_for_the_stream_that_wrote(max_version: tuple[int, int] | None, array: Array) -> None:
    fake = FakeDeviceArray(array, stream=7)
    with consume(fake.__dlpack__(dl_device=(1, 0), max_version=max_version)) as tensor:
        assert tensor.fields.device == (1, 0)
        assert_identical(tensor.array(), array)
        assert not np.shares_memory(tensor.array(), array)
    assert fake.runtime.synchronised == [7]
    fake.assert_released()


def test_numpy_brings_it_to_the_host(array: Array) -> None:
    with FakeDeviceArray(array) as fake:
        assert_identical(np.from_dlpack(fake, device="cpu"), array)


def test_the_consumers_stream_waits_unless_it_is_the_producers_or_none_is_to(array: Array) -> None:
    fake = FakeDeviceArray(array, stream=7)
    for stream in (9, 7, -1, None):
        fake.__dlpack__(stream=stream)
    assert fake.streams == [9, 7, -1, None]
    assert fake.runtime.waits == [(9, 7), (1, 7)]


@pytest.mark.parametrize(
    ("device", "allowed", "refused"),
    [
        ((2, 0), (None, -1, 1, 2, 99), (0, -2, "7")),
        ((10, 0), (None, -1, 0, 99), (1, 2, -2)),
        ((3, 0), (None,), (-1, 1)),
        ((13, 0), (None, -1, 1), (0,)),
        ((14, 0), (None, object()), ()),
    ],
)
def test_streams_are_those_of_the_standard(device: tuple[int, int], allowed: Any, refused: Any, array: Array) -> None:
    fake = FakeDeviceArray(array, device)
    for stream in allowed:
        fake.__dlpack__(stream=stream)
    for stream in refused:
        with pytest.raises(ValueError, match="stream"):
            fake.__dlpack__(stream=stream)
    fake.assert_released()


def test_what_cant_be_is_refused(array: Array) -> None:
    fake = FakeDeviceArray(array, host_copies=False)
    with pytest.raises(BufferError, match="device"):
        fake.__dlpack__(dl_device=(1, 0))
    with pytest.raises(BufferError, match="device"):
        fake.__dlpack__(dl_device=(2, 1))
    with pytest.raises(ValueError, match="copy is False"):
        FakeDeviceArray(array).__dlpack__(dl_device=(1, 0), copy=False)
    with pytest.raises(ValueError, match="stream has to be None"):
        FakeDeviceArray(array).__dlpack__(dl_device=(1, 0), stream=7)


def test_an_export_needs_its_device_to_be_current(array: Array) -> None:
    runtime = FakeRuntime()
    fake = FakeDeviceArray(array, (2, 1), runtime=runtime)
    with pytest.raises(BufferError, match="device 0 is current"):
        fake.__dlpack__()
    with runtime.device(1):
        fake.__dlpack__()
    assert runtime.current_device == 0


def test_current_streams_are_per_device_and_restored() -> None:
    runtime = FakeRuntime()
    with runtime.stream(1, 7), pytest.raises(KeyError), runtime.stream(1, 8):
        assert (runtime.current_stream(0), runtime.current_stream(1)) == (1, 8)
        raise KeyError
    assert runtime.current_stream(1) == 1


def test_cuda_arrays_speak_both_protocols(array: Array) -> None:
    fake = FakeCudaArray(array[:, ::2], (2, 0), stream=7)
    interface = fake.__cuda_array_interface__
    assert interface["stream"] == 7
    assert interface["strides"] == (12, 8)
    assert interface["data"] == (array.ctypes.data, False)
    assert FakeCudaArray(array[:0]).__cuda_array_interface__["data"][0] == 0
    assert not hasattr(FakeDeviceArray(array), "__cuda_array_interface__")


def test_a_host_producer_takes_no_stream(array: Array) -> None:
    with pytest.raises(ValueError, match="on the host"):
        LegacyProducer(array).__dlpack__(stream=-1)
