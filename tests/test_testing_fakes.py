"""The fakes: what they export is true, unless it is meant not to be, and every export ends exactly once."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
import torch
import torch.utils.dlpack

from interop.testing import assert_identical, fakes
from interop.testing._capsules import DLManagedTensor, DLManagedTensorVersioned, DLPackExchangeAPI, DLTensor
from interop.testing.fakes import _ledger

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]
CYCLES = 10_000

DLPACK = [name for name in fakes.PRODUCERS if "DLPack" in name]
CAPSULES = [name for name in fakes.PRODUCERS if "capsule" in name]
FLAWS = [
    pytest.param(flaw, legacy, id=f"{flaw}{', legacy' * legacy}")
    for flaw in fakes.MALFORMED
    for legacy in (False, True)
]


@pytest.fixture
def array() -> Array:
    return np.arange(12, dtype="float32").reshape(3, 4)


def test_the_structs_have_the_sizes_of_dlpack_h() -> None:
    sizes = [
        ctypes.sizeof(struct) for struct in (DLTensor, DLManagedTensor, DLManagedTensorVersioned, DLPackExchangeAPI)
    ]
    assert sizes == [48, 64, 80, 56]


#: What lives when the interpreter ends, in the hands of somebody who lets go of it last.
LEFT_OVER = {
    "an unconsumed capsule": "fake.__dlpack__()",
    "an unconsumed versioned capsule": "fake.__dlpack__(max_version=(1, 0))",
    "numpy's array": "np.from_dlpack(fake)",
    "torch's tensor": "torch.from_dlpack(fake)",
    "a consumed tensor": "fakes.consume(fake.__dlpack__())",
}


@pytest.mark.parametrize("what", LEFT_OVER)
@pytest.mark.parametrize("holder", ["builtins", "torch"])
def test_an_interpreter_ends_well_with_an_export_in_somebodys_hands(what: str, holder: str) -> None:
    code = f"""
import builtins, sys
import numpy as np, torch
from interop.testing import fakes
fake = fakes.EitherProducer(np.zeros(3))
sys.modules[{holder!r}].left_over = {LEFT_OVER[what]}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", DLPACK)
@pytest.mark.parametrize("view", [np.s_[:], np.s_[::2, ::-1], np.s_[1:, 1:2], np.s_[0], np.s_[0, 0], np.s_[:0]])
def test_numpy_reads_what_dlpack_producers_export(name: str, view: Any, array: Array) -> None:
    source = array[view] if view != np.s_[0, 0] else array[0, 0, ...]
    fake = fakes.PRODUCERS[name](source)
    result = np.from_dlpack(fake.source())
    assert_identical(result, source)
    assert result.strides == source.strides or not source.size
    assert source.size == 0 or np.shares_memory(result, source)
    assert fake.live == 1
    del result
    fake.assert_released()


@pytest.mark.parametrize("name", [*DLPACK, *CAPSULES])
def test_torch_reads_what_dlpack_producers_export(name: str, array: Array) -> None:
    fake = fakes.PRODUCERS[name](array.T)
    result = torch.utils.dlpack.from_dlpack(fake.source())
    assert_identical(result, array.T)
    result[0, 1] = 99
    assert array[1, 0] == 99
    del result
    fake.assert_released()


@pytest.mark.parametrize(
    "dtype", ["bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "complex64", "bool", "uint64"]
)
def test_torch_reads_every_element_type(dtype: str) -> None:
    array = np.array([0, 1, 1, 0]).astype(getattr(ml_dtypes, dtype, None) or dtype)
    with fakes.VersionedProducer(array) as fake:
        assert_identical(torch.utils.dlpack.from_dlpack(fake), array)


def test_the_array_interface_and_the_buffer_are_numpys(array: Array) -> None:
    strided = array[::2, ::-1]
    for fake in (fakes.ArrayInterfaceProducer(strided), fakes.BufferProducer(strided)):
        result = np.asarray(fake.source())
        assert_identical(result, strided)
        assert np.shares_memory(result, array)
    result = np.asarray(fakes.ArrayInterfaceProducer(array[1:], form="buffer"))
    assert_identical(result, array[1:])
    assert np.shares_memory(result, array)
    with pytest.raises(BufferError):
        fakes.ArrayInterfaceProducer(strided, form="buffer")


@pytest.mark.parametrize("name", ["versioned DLPack", "the array interface", "the buffer protocol"])
def test_readonly_is_said(name: str, array: Array) -> None:
    array.flags.writeable = False
    source = fakes.PRODUCERS[name](array).source()
    result = np.from_dlpack(source) if "DLPack" in name else np.asarray(source)
    assert not result.flags.writeable


def test_a_producer_of_either_version_wont_say_writable_of_readonly_memory(array: Array) -> None:
    array.flags.writeable = False
    fake = fakes.EitherProducer(array)
    with pytest.raises(BufferError, match="readonly"):
        fake.__dlpack__()
    fakes.consume(fake.__dlpack__(copy=True)).release()
    fake.assert_released()


@pytest.mark.parametrize("name", DLPACK)
def test_keywords_are_taken_or_refused_by_the_call_itself(name: str, array: Array) -> None:
    keywords = {
        "DLPack without dl_device and copy": {"stream", "max_version"},
        "DLPack with stream only": {"stream"},
        "DLPack without keywords": set(),
    }.get(name, {"stream", "max_version", "dl_device", "copy"})
    fake: Any = fakes.PRODUCERS[name](array)
    for keyword, value in {"stream": None, "max_version": (1, 0), "dl_device": (1, 0), "copy": False}.items():
        version = {"max_version": (1, 0)} if "max_version" in keywords else {}
        if keyword in keywords:
            fake.__dlpack__(**{**version, keyword: value})
        else:
            with pytest.raises(TypeError) as info:
                fake.__dlpack__(**{**version, keyword: value})
            # Raised by the call, not inside it: a consumer may tell the two apart by this.
            assert info.traceback[-1].path == info.traceback[0].path
    fake.assert_released()


def test_calls_are_written_down(array: Array) -> None:
    fake = fakes.EitherProducer(array)
    fake.__dlpack__(max_version=(1, 0), copy=True)
    fake.__dlpack__()
    assert fake.calls == [fakes.Call(max_version=(1, 0), copy=True), fakes.Call()]
    fake.assert_released()


def test_what_the_host_cant_do_is_refused(array: Array) -> None:
    fake = fakes.EitherProducer(array)
    with pytest.raises(ValueError, match="stream"):
        fake.__dlpack__(stream=7)
    with pytest.raises(BufferError, match="device"):
        fake.__dlpack__(dl_device=(2, 0))
    with pytest.raises(BufferError, match="max_version"):
        fakes.VersionedProducer(array).__dlpack__()
    with pytest.raises(BufferError, match=r"can't describe"):
        fakes.VersionedProducer(array.astype(">f4"))
    assert fake.exports == 0


def test_a_copy_is_one_and_says_so(array: Array) -> None:
    fake = fakes.VersionedProducer(array.T)
    with fakes.consume(fake.__dlpack__(max_version=(1, 0), copy=True)) as tensor:
        assert tensor.fields.flags == fakes.IS_COPIED
        copy = tensor.array()
        assert_identical(copy, array.T)
        assert not np.shares_memory(copy, array)
        del copy
    fake.assert_released()


# --- counting


@pytest.mark.parametrize("name", [*DLPACK, *CAPSULES, "the buffer protocol"])
def test_nothing_is_left_of_many_exports(name: str) -> None:
    array = np.zeros(100)
    fake = fakes.PRODUCERS[name](array)
    read: Callable[[Any], object] = np.asarray if name == "the buffer protocol" else torch.utils.dlpack.from_dlpack
    references = sys.getrefcount(array)
    _ledger.sweep()
    # What other tests of this process left behind, and somebody holds.
    before = len(_ledger._capsules)
    for _ in range(CYCLES):
        read(fake.source())
    fake.assert_released()
    assert fake.exports == CYCLES
    assert sys.getrefcount(array) == references
    assert not any(export.tally is fake._tally for export in _ledger._live.values())
    assert len(_ledger._capsules) < before + 10


def test_exports_that_nobody_consumes_end() -> None:
    array = np.zeros(100)
    fake = fakes.VersionedProducer(array)
    references = sys.getrefcount(array)
    for _ in range(CYCLES):
        fake.__dlpack__(max_version=(1, 0))
    assert fake.live == 0
    assert fake.exports == CYCLES
    assert sys.getrefcount(array) == references


def test_a_held_capsule_is_alive_and_its_memory_with_it() -> None:
    fake = fakes.CapsuleProducer(np.arange(5))
    memory = weakref.ref(fake.array)
    capsule = fake.source()
    tally = fake._tally
    del fake
    gc.collect()
    assert memory() is not None
    with fakes.consume(capsule) as tensor:
        assert tensor.array().tolist() == [0, 1, 2, 3, 4]
    assert memory() is None
    assert tally.deleted == tally.exports == 1


def test_a_live_export_is_told() -> None:
    fake = fakes.EitherProducer(np.zeros(2))
    result = np.from_dlpack(fake)
    with pytest.raises(AssertionError, match=r"1 of 1 exports of EitherProducer\(float64 \(2,\), strides"):
        fake.assert_released()
    assert result.shape == (2,)


def test_a_second_call_of_a_deleter_is_told() -> None:
    fake = fakes.EitherProducer(np.zeros(2))
    tensor = fakes.consume(fake.capsule())
    managed: Any = tensor._managed
    tensor.release()
    fakes.Consumed(managed).release()
    with pytest.raises(AssertionError, match="1 times too often"):
        fake.assert_released()


def test_a_deleted_tensor_reads_as_nonsense() -> None:
    fake = fakes.EitherProducer(np.zeros(2))
    tensor = fakes.consume(fake.capsule())
    managed: Any = tensor._managed
    tensor.release()
    assert managed.dl_tensor.ndim == -1
    assert managed.dl_tensor.data is None


def test_a_consumer_that_raises_keeps_its_exception() -> None:
    # numpy lets go of the capsule while its exception is on the way.
    fake = fakes.LegacyProducer(np.zeros(2), dtype=(99, 8, 1))
    with pytest.raises((BufferError, RuntimeError), match=r"(?i)dtype"):
        np.from_dlpack(fake)
    fake.assert_released()


def test_threads_may_export_and_delete() -> None:
    fake = fakes.EitherProducer(np.zeros(3))

    def cycle(_: int) -> None:
        result = np.from_dlpack(fake)
        thread = threading.Thread(target=lambda held: held.clear(), args=([result],))
        del result
        thread.start()
        thread.join()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(cycle, range(500)))
    fake.assert_released()
    assert fake.exports == 500


def test_a_consumer_has_to_keep_what_speaks_an_interface() -> None:
    fake = fakes.ArrayInterfaceProducer(np.arange(3))
    alive = weakref.ref(fake)
    result = np.asarray(fake)
    assert fake.reads
    del fake
    assert alive() is not None
    del result
    assert alive() is None


# --- what is unusual, malformed or a lie


@pytest.mark.parametrize("name", fakes.UNUSUAL_FIELDS)
@pytest.mark.parametrize("shape", [(3, 4), (), (0, 4)])
def test_numpy_takes_what_is_unusual(name: str, shape: tuple[int, ...]) -> None:
    source = np.arange(np.prod(shape, dtype=int), dtype="int16").reshape(shape)
    fake = fakes.VersionedProducer(source, **fakes.UNUSUAL_FIELDS[name](source))
    assert_identical(np.from_dlpack(fake), source)
    fake.assert_released()


@pytest.mark.parametrize(("flaw", "legacy"), FLAWS)
def test_malformed_exports_end_once_consumed_or_not(flaw: str, legacy: bool, array: Array) -> None:
    fake = fakes.MalformedProducer(array, flaw, legacy=legacy)
    unconsumed = fake.__dlpack__(max_version=(1, 0))
    del unconsumed
    fake.assert_released()
    answer = fake.__dlpack__(max_version=(1, 0))
    if flaw in fakes.MALFORMED_ANSWERS:
        with pytest.raises((ValueError, TypeError)):
            fakes.consume(answer)
    else:
        fakes.consume(answer).release()
    del answer
    fake.assert_released()
    assert len(fake.calls) == 2


@pytest.mark.parametrize("flaw", fakes.MALFORMED_FIELDS)
def test_malformed_exports_say_what_their_name_says(flaw: str, array: Array) -> None:
    said = fakes.read(fakes.MalformedProducer(array, flaw).__dlpack__())
    for field, value in fakes.MALFORMED_FIELDS[flaw].items():
        assert getattr(said, field) == value
    assert said.version == (1, 3)


@pytest.mark.parametrize("flaw", fakes.MALFORMED_VERSIONS)
def test_beyond_another_major_version_nothing_is_read(flaw: str, array: Array) -> None:
    said = fakes.read(fakes.MalformedProducer(array, flaw).__dlpack__())
    assert said.version == fakes.MALFORMED_VERSIONS[flaw].get("version")
    assert said.shape is None


def test_malformed_exports_need_an_array_to_show_on() -> None:
    with pytest.raises(ValueError, match=r"not of shape \(0,\)"):
        fakes.MalformedProducer(np.zeros(0), "NULL data")


@pytest.mark.parametrize("name", fakes.LIARS)
def test_the_memory_of_liars_is_good(name: str, array: Array) -> None:
    fake = fakes.LIARS[name](array)
    with fakes.consume(fake.__dlpack__(max_version=(1, 3))) as tensor:
        assert_identical(tensor.array(), array)
    fake.assert_released()


def test_liars_lie(array: Array) -> None:
    assert fakes.DeviceLiar(array, says=(1, None)).__dlpack_device__() == (1, None)
    for fake in (fakes.CopyIgnorer(array), fakes.CopyPretender(array)):
        assert np.shares_memory(np.from_dlpack(fake, copy=True), array)
    assert fakes.read(fakes.CopyPretender(array).__dlpack__(max_version=(1, 0))).flags == fakes.IS_COPIED
    assert not np.shares_memory(np.from_dlpack(fakes.CopyForcer(array), copy=False), array)


@pytest.mark.parametrize(
    "error", [TypeError("inside"), ValueError("inside"), KeyError("inside"), SystemError("inside")]
)
def test_errors_are_raised_inside(error: Exception, array: Array) -> None:
    fake = fakes.RaisingProducer(array, error, calls_before=1)
    np.from_dlpack(fake)
    with pytest.raises(type(error), match="inside") as info:
        fake.__dlpack__(max_version=(1, 0))
    assert info.value is not error
    assert error.__traceback__ is None
    assert fake.__dlpack_device__() == (1, 0)
    fake.assert_released()
    with pytest.raises(type(error), match="inside"):
        fakes.RaisingProducer(array, error, method="__dlpack_device__").__dlpack_device__()


@pytest.mark.parametrize("max_version", [None, (1, 0)])
def test_liars_lie_in_both_versions_and_write_down_what_was_asked(
    max_version: tuple[int, int] | None, array: Array
) -> None:
    with pytest.raises(KeyError, match="inside"):
        fakes.RaisingProducer(array, KeyError("inside")).__dlpack__(max_version=max_version)
    for tp, copy, aliases in ((fakes.CopyIgnorer, True, True), (fakes.CopyForcer, False, False)):
        fake = tp(array)
        with fakes.consume(fake.__dlpack__(max_version=max_version, copy=copy)) as tensor:
            assert (tensor.fields.version is None) == (max_version is None)
            assert (tensor.fields.data == array.ctypes.data) == aliases
        assert fake.calls == [fakes.Call(max_version=max_version, copy=copy)]
        fake.assert_released()


@pytest.mark.parametrize(
    "name", ["DLPack of either version", "DLPack behind **keywords", "DLPack without dl_device and copy"]
)
def test_the_version_is_the_newest_that_the_caller_knows(name: str, array: Array) -> None:
    fake: Any = fakes.PRODUCERS[name](array)
    assert fakes.read(fake.__dlpack__()).version is None
    assert fakes.read(fake.__dlpack__(max_version=(0, 8))).version is None
    assert fakes.read(fake.__dlpack__(max_version=(1, 0))).version == (1, 3)


def test_a_trap_springs_on_hasattr(array: Array) -> None:
    fake = fakes.trapped("__cuda_array_interface__", RuntimeError("requires grad"))(array)
    with pytest.raises(RuntimeError, match="requires grad"):
        hasattr(fake, "__cuda_array_interface__")
    assert_identical(np.from_dlpack(fake), array)


# --- the consumer


@pytest.mark.parametrize("max_version", [None, (1, 0)])
def test_the_consumer_reads_numpys_and_torchs_capsules(max_version: tuple[int, int] | None, array: Array) -> None:
    for source in (array[:, ::2], torch.from_numpy(array)[:, ::2]):
        capsule = source.__dlpack__(max_version=max_version)
        assert fakes.read(capsule) == fakes.read(capsule)
        with fakes.consume(capsule) as tensor:
            assert_identical(tensor.array(), array[:, ::2])
        with pytest.raises(ValueError, match="used_dltensor"):
            fakes.consume(capsule)


def test_the_consumer_owns_what_it_took(array: Array) -> None:
    source = array.copy()
    alive = weakref.ref(source)
    held = fakes.consume(source.__dlpack__()).array()
    del source
    assert alive() is not None
    assert_identical(held, array)
    del held
    assert alive() is None
