"""Objects that only speak a protocol: the right values, or one of our errors; each export ends exactly once."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given

import interop
from interop._native import CalledStreams, make_view
from interop.testing import assert_identical
from interop.testing.fakes import (
    EXCHANGE_TYPES,
    LIARS,
    MALFORMED,
    MALFORMED_EXCHANGE_TYPES,
    PRODUCERS,
    UNUSUAL_FIELDS,
    ArrayInterfaceProducer,
    CapsuleProducer,
    CopyForcer,
    CopyIgnorer,
    CudaArrayInterfaceProducer,
    EitherProducer,
    FakeDeviceArray,
    LegacyProducer,
    MalformedProducer,
    RaisingProducer,
    StreamProducer,
    trapped,
)
from interop.testing.strategies import producers

TARGETS = ["numpy", "torch"]


def released(fake: Any) -> None:
    if fake.live:
        gc.collect()
    fake.assert_released()


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("protocol", PRODUCERS)
def test_every_protocol_gives_the_values(protocol: str, to: str) -> None:
    a = np.arange(12, dtype="f4").reshape(3, 4)
    fake = PRODUCERS[protocol](a)
    result = interop.convert(fake.source(), to, writable=False)
    assert_identical(a, result)
    assert interop.shares_memory(a, result)
    del result
    released(fake)


@pytest.mark.parametrize("protocol", ["versioned DLPack", "the buffer protocol", "the array interface"])
def test_what_a_protocol_says_of_writing_is_kept(protocol: str) -> None:
    for writeable in (True, False):
        a = np.arange(4.0)
        a.flags.writeable = writeable
        fake = PRODUCERS[protocol](a)
        assert interop.to_numpy(fake.source()).flags.writeable == writeable
        t = interop.to_torch(fake.source())
        assert interop.shares_memory(a, t) == writeable


def test_a_legacy_capsule_cant_say_so_and_counts_as_readonly() -> None:
    a = np.arange(4.0)
    assert not interop.to_numpy(LegacyProducer(a)).flags.writeable
    t = interop.to_torch(LegacyProducer(a))
    assert not interop.shares_memory(a, t)
    with pytest.raises(interop.ReadOnlyError, match="writable=False"):
        interop.to_torch(LegacyProducer(a), copy=False)
    assert interop.shares_memory(a, interop.to_torch(LegacyProducer(a), copy=False, writable=False))


@given(fake=producers())
def test_producers_of_every_layout_round_trip(fake: Any) -> None:
    a = interop.to_numpy(fake.source() if hasattr(fake, "source") else fake)
    assert_identical(a, interop.to_numpy(interop.view(a)))


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("what", UNUSUAL_FIELDS)
def test_odd_and_true_exports_are_taken(what: str, to: str) -> None:
    a = np.arange(12, dtype="f4").reshape(3, 4)
    fake = EitherProducer(a, **UNUSUAL_FIELDS[what](a))
    result = interop.convert(fake.source(), to, writable=False)
    assert_identical(a, result)
    del result
    released(fake)


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("name", EXCHANGE_TYPES)
def test_every_exchange_api_is_used(name: str, to: str) -> None:
    a = np.arange(6.0)
    fake = EXCHANGE_TYPES[name](a)
    result = interop.convert(fake.source(), to, writable=False)
    assert_identical(a, result)
    del result
    released(fake)


@pytest.mark.parametrize("to", [*TARGETS, "view"])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("flaw", MALFORMED)
def test_malformed_exports_are_refused(flaw: str, legacy: bool, to: str) -> None:
    fake = MalformedProducer(np.arange(6, dtype="f4"), flaw, legacy=legacy)
    with pytest.raises(interop.InteropError) as caught:
        # A View can describe element types that nobody knows; an array can't.
        interop.to_numpy(interop.view(fake)) if to == "view" else interop.convert(fake, to)
    assert len(str(caught.value)) > 30
    del caught
    released(fake)


@pytest.mark.parametrize("name", MALFORMED_EXCHANGE_TYPES)
def test_malformed_exchange_apis_are_refused(name: str) -> None:
    fake = MALFORMED_EXCHANGE_TYPES[name](np.arange(6, dtype="f4"))
    with pytest.raises(interop.InteropError):
        interop.to_numpy(fake.source())
    released(fake)


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("name", LIARS)
def test_liars_end_in_the_right_values_or_in_an_error(name: str, to: str) -> None:
    a = np.arange(6, dtype="f4")
    every: tuple[dict[str, Any], ...] = ({}, {"copy": True}, {"copy": False, "writable": False})
    for options in every:
        fake = LIARS[name](a)
        try:
            result = interop.convert(fake, to, **options)
        except interop.InteropError:
            pass
        else:
            assert_identical(a, result)
            assert interop.shares_memory(a, result) or options.get("copy") is not False
            if options.get("copy"):
                assert not interop.shares_memory(a, result)
            del result
        released(fake)


def test_a_producer_that_copies_isnt_believed_to_be_a_view() -> None:
    a = np.arange(6.0)
    with pytest.raises(interop.CopyError, match="copy"):
        interop.to_numpy(CopyForcer(a), copy=False)
    assert not interop.shares_memory(a, interop.to_numpy(CopyIgnorer(a), copy=True))


@pytest.mark.parametrize(
    "error", [TypeError, ValueError, KeyError, RuntimeError, AttributeError, BufferError, MemoryError]
)
@pytest.mark.parametrize("method", ["__dlpack__", "__dlpack_device__"])
def test_a_bug_inside_a_producer_is_reported_as_one(error: type[Exception], method: str) -> None:
    fake = RaisingProducer(np.arange(3.0), error("inside"), method=method)
    with pytest.raises(interop.InteropError, match=f"{error.__name__}.*inside") as caught:
        interop.to_numpy(fake)
    assert isinstance(caught.value.__cause__, error)
    # Asked once: a TypeError from inside is no reason to ask again with fewer keywords.
    assert len(fake.calls) <= 1


@pytest.mark.parametrize("error", [RuntimeError, KeyError])
def test_attributes_that_raise_when_looked_at_are_left_alone(error: type[Exception]) -> None:
    for attribute in ("__cuda_array_interface__", "__array_interface__", "shape", "dtype", "__array_namespace__"):
        a = np.arange(3.0)
        fake = trapped(attribute, error("looked at"))(a)
        assert_identical(a, interop.to_numpy(fake))


def test_explain_exports_nothing() -> None:
    for protocol, make in PRODUCERS.items():
        fake = make(np.arange(3.0))
        if "capsule" in protocol:
            # A capsule has been exported, and can be looked at without being consumed.
            capsule = fake.source()
            plan = interop.explain(capsule, "numpy")
            assert plan.certain
            assert interop.dtype(capsule) == "float64"
            assert interop.shares_memory(capsule, fake.array)
            with pytest.raises(interop.CopyError):
                interop.to_numpy(capsule, copy=False, dtype="int8")
            assert interop.to_numpy(capsule, copy=False).tolist() == [0, 1, 2]
            continue
        plan = interop.explain(fake.source(), "torch")
        assert plan.ok
        assert not plan.certain
        assert not plan.zero_copy
        assert "known only after the export" in str(plan)
        assert fake.exports <= 1  # what a buffer producer hands out is an export by itself
        assert len(getattr(fake, "calls", [])) == 0


def test_a_capsule_is_good_for_one_consumer() -> None:
    fake = CapsuleProducer(np.arange(3.0))
    capsule = fake.source()
    a = interop.to_numpy(capsule)
    with pytest.raises(interop.UnsupportedError, match="consumed"):
        interop.to_numpy(capsule)
    assert a.tolist() == [0, 1, 2]
    del a
    released(fake)


def test_device_memory_stays_where_it_is_unless_a_device_is_named() -> None:
    a = np.arange(6, dtype="f4")
    for to in TARGETS:
        fake = FakeDeviceArray(a, (2, 1))
        with pytest.raises(interop.DeviceError, match="device='cpu'"):
            interop.convert(fake, to)
        assert fake.calls == []
        assert isinstance(interop.explain(fake, to).error, interop.DeviceError)
        with pytest.raises(interop.CopyError, match="move"):
            interop.convert(fake, to, device="cpu", copy=False)
        assert_identical(a, interop.convert(fake, to, device="cpu"))
        released(fake)
    assert interop.device(FakeDeviceArray(a, (2, 1))) == "cuda:1"
    v = interop.view(FakeDeviceArray(a, (2, 1)))
    assert (str(v.device), v.ordered) == ("cuda:1", False)
    with pytest.raises(interop.DeviceError, match="device='cpu'"):
        interop.to_numpy(v)


@pytest.mark.parametrize("device", [(3, 0), (11, 0), (13, 0)])
def test_pinned_and_managed_memory_is_host_memory(device: tuple[int, int]) -> None:
    a = np.arange(6, dtype="f4")
    for to in TARGETS:
        result = interop.convert(FakeDeviceArray(a, device), to)
        assert_identical(a, result)
        assert interop.shares_memory(a, result)
        assert interop.shares_memory(a, interop.convert(FakeDeviceArray(a, device), to, device="cpu", copy=False))


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch has a device")
def test_a_torch_without_a_device_isnt_asked_for_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    from interop._adapters import _torch_cuda

    # As the exchange API of a CUDA build does then.
    def fails(_index: int) -> Any:
        raise RuntimeError("no CUDA-capable device is detected")

    monkeypatch.setattr(_torch_cuda, "STREAMS", CalledStreams(fails, "cuda_stream"))
    a = np.arange(6, dtype="f4")
    assert interop.shares_memory(a, interop.to_torch(FakeDeviceArray(a, (13, 0)), copy=False))


def test_a_device_that_cant_copy_to_the_host_says_so() -> None:
    fake = FakeDeviceArray(np.arange(3.0), (14, 0), host_copies=False)
    with pytest.raises(interop.DeviceError, match="cpu"):
        interop.to_numpy(fake, device="cpu")
    released(fake)


def test_interfaces_that_mean_more_than_numbers_are_refused() -> None:
    a = np.arange(4, dtype="f4")
    with pytest.raises(interop.UnsupportedError, match="mask"):
        interop.to_numpy(ArrayInterfaceProducer(a, mask=np.zeros(4, bool)))
    for typestr in ("|O8", "<U4", "<M8", "|V4", "<f16"):
        with pytest.raises(interop.InteropError):
            interop.to_numpy(ArrayInterfaceProducer(a, typestr=typestr))
    fake = CudaArrayInterfaceProducer(a)
    with pytest.raises(interop.DeviceError, match="device='cpu'"):
        interop.to_numpy(fake.source())


def test_an_object_with_only_array_is_told_what_to_pass() -> None:
    class Series:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            raise AssertionError("never called")

    with pytest.raises(interop.UnsupportedError, match=r"numpy\.asarray"):
        interop.to_torch(Series())


def test_old_keywords_are_worked_out_once_a_type() -> None:
    class Old(StreamProducer):
        pass

    for _ in range(3):
        fake = Old(np.arange(3.0))
        interop.to_numpy(fake)
        assert len(fake.calls) == 1
    assert torch.equal(interop.to_torch(Old(np.arange(3.0))), torch.arange(3.0, dtype=torch.float64))


@pytest.mark.parametrize("device", [(10, 0), (14, 0), (8, 0)], ids=["ROCm", "oneAPI", "Metal"])
@pytest.mark.parametrize("target", ["numpy", "torch"])
def test_devices_that_no_loaded_library_works_on_are_described_and_not_entered(
    device: tuple[int, int], target: str
) -> None:
    # Bytes of no device: nothing here may touch them.
    x = make_view(0x1000, (2, 3), None, (2, 32, 1), device, readonly=False, owner=object(), ordered=False)
    assert interop.device(x).dlpack == interop.view(x).__dlpack_device__() == device
    asked: list[dict[str, Any]] = [{}, {"device": "cpu"}, {"copy": True}]
    for options in asked:
        plan = interop.explain(x, target, **options)
        if plan.ok:
            # Who moves it is looked for when it is moved.
            assert "device" in options
        with pytest.raises(interop.DeviceError):
            interop.convert(x, target, **options)
    for attribute in ("__array_interface__", "__cuda_array_interface__"):
        assert not hasattr(x, attribute)
    with pytest.raises(BufferError):
        memoryview(x)
