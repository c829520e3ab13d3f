"""Pickles of arrays: in band and out of band, tied, by every pickler that lets others override."""

from __future__ import annotations

import copy
import copyreg
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import interop
from interop.errors import NotInstalledError
from interop.integrations import pickle as pickles
from interop.testing import assert_identical
from interop.testing.strategies import numpy_arrays, torch_tensors

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")

tensors = st.one_of(numpy_arrays(), torch_tensors(flavours=["plain", "conj"]))


def in_band(x: Any, **options: Any) -> Any:
    return pickle.loads(pickles.dumps(x, **options))


def out_of_band(as_what: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def through(x: Any) -> Any:
        buffers: list[pickle.PickleBuffer] = []
        stream = pickles.dumps(x, buffer_callback=buffers.append)
        return pickle.loads(stream, buffers=[as_what(buffer.raw()) for buffer in buffers])

    return through


WAYS: dict[str, Callable[[Any], Any]] = {
    "in band": in_band,
    "itself": out_of_band(lambda raw: raw),
    "bytes": out_of_band(bytes),
    "bytearray": out_of_band(bytearray),
    "misaligned": out_of_band(lambda raw: memoryview(b"x" + bytes(raw))[1:]),
}


@pytest.mark.parametrize("way", WAYS)
@given(x=tensors)
def test_an_array_arrives_as_it_was(way: str, x: Any) -> None:
    got = WAYS[way]({"x": [x]})["x"][0]
    assert type(got) is type(x)
    native = x.astype(x.dtype.newbyteorder("=")) if isinstance(x, np.ndarray) else x
    assert_identical(got, native)


@pytest.mark.parametrize("x", [torch.ones(25_000), torch.ones(25_000, dtype=torch.bfloat16).view(5, 5000).T])
def test_out_of_band_is_the_memory_itself(x: torch.Tensor) -> None:
    buffers: list[pickle.PickleBuffer] = []
    stream = pickles.dumps(x, buffer_callback=buffers.append)
    assert len(stream) <= 200
    assert [buffer.raw().nbytes for buffer in buffers] == [x.nbytes]
    got = pickle.loads(stream, buffers=buffers)
    assert got.data_ptr() == x.data_ptr()
    assert got.stride() == x.stride()


@pytest.mark.parametrize("way", WAYS)
def test_tied_arrays_stay_tied(way: str) -> None:
    w = torch.arange(12.0)
    a = np.arange(4)
    tree = {"w": w, "part": w[4:8], "turned": w.view(3, 4).T, "again": w, "a": a, "across": torch.from_numpy(a)}
    got = WAYS[way](tree)
    assert got["again"] is got["w"]
    assert interop.shares_memory(got["w"], got["part"])
    assert interop.shares_memory(got["w"], got["turned"])
    got["part"].fill_(9)
    assert got["w"][4] == got["turned"][0, 1] == 9
    if way not in ("bytes", "misaligned"):
        assert interop.shares_memory(got["a"], got["across"])
    assert got["a"].tolist() == got["across"].tolist() == [0, 1, 2, 3]


def test_copies_that_are_made_on_the_way_are_no_ties() -> None:
    # Each is a copy that could lie where the last one lay.
    sent = [torch.full((1000,), n + 1j).conj() for n in range(20)]
    got = in_band(sent)
    assert [x[0].item() for x in got] == [n - 1j for n in range(20)]


def test_a_module_carries_its_weights_out_of_band_and_tied() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(64, 64, bias=False), torch.nn.Linear(64, 64, bias=False))
    module[1].weight = module[0].weight
    buffers: list[pickle.PickleBuffer] = []
    stream = pickles.dumps(module, buffer_callback=buffers.append)
    assert [buffer.raw().nbytes for buffer in buffers] == [64 * 64 * 4]
    got = pickle.loads(stream, buffers=[bytearray(buffer) for buffer in buffers])
    assert type(got[0].weight) is torch.nn.Parameter
    assert got[0].weight is got[1].weight
    assert got[0].weight.requires_grad
    there, here = (interop.to_numpy(each[0].weight, detach=True) for each in (got, module))
    assert np.array_equal(there, here)


def test_what_is_no_plain_array_goes_as_it_always_did() -> None:
    class Ordinary:
        pass

    for x in (
        {1, 2},
        np.array([{}, None], dtype=object),
        np.array(["a"]),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.ma.masked_array([1.0, 2.0], mask=[True, False]),
        np.float32(1.5),
        torch.float32,
        range(3),
    ):
        assert repr(in_band(x)) == repr(x)
    assert pickles.reducer_override(Ordinary()) is NotImplemented


class Odd(type):
    """A metaclass that takes its types for torch's tensor."""

    def __eq__(cls, other: object) -> bool:
        return True

    def __hash__(cls) -> int:
        return hash(torch.Tensor)


class Strange(metaclass=Odd):
    """An object whose type answers for others."""

    def __reduce__(self) -> Any:
        return list, ([1],)


def test_a_type_that_answers_for_others_is_not_asked() -> None:
    assert pickles.reducer_override(Strange()) is NotImplemented
    assert in_band([torch.ones(1), Strange()])[1] == [1]


def test_a_gradient_is_cut_only_where_that_is_said() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(interop.GradientError, match="detach=True"):
        pickles.dumps([x])
    got = in_band([x], detach=True)[0]
    assert not got.requires_grad
    assert got.tolist() == [1, 1]


def test_nothing_is_registered_for_others() -> None:
    before = dict(copyreg.dispatch_table)
    x = torch.ones(2)
    pickles.dumps(x)
    pickles.dispatch_table()
    assert copyreg.dispatch_table == before
    assert copy.copy(x).data_ptr() == x.data_ptr()


def test_a_table_of_reducers_serves_any_pickler() -> None:
    stream = io.BytesIO()
    mine = pickle.Pickler(stream, 5)
    mine.dispatch_table = pickles.dispatch_table()
    sent = [torch.ones(2, dtype=torch.float8_e5m2), np.arange(3), np.array(["x"], dtype=object), {1}]
    mine.dump(sent)
    got = pickle.loads(stream.getvalue())
    assert got[0].dtype == torch.float8_e5m2
    assert got[1].tolist() == [0, 1, 2]
    assert got[2].tolist() == ["x"]
    assert b"interop" in stream.getvalue()


def test_everything_can_arrive_in_another_framework() -> None:
    w = torch.arange(4.0)
    stream = pickles.dumps({"w": w, "tied": w[1:], "b": torch.ones(1, dtype=torch.bfloat16)})
    got = pickles.loads(stream, to="numpy")
    assert all(type(x) is np.ndarray for x in got.values())
    assert interop.shares_memory(got["w"], got["tied"])
    assert pickles.loads(stream, to="numpy", dtype="float64")["b"].dtype == np.float64
    buffers: list[pickle.PickleBuffer] = []
    stream = pickles.dumps(w, buffer_callback=buffers.append)
    arrived = [bytes(buffer) for buffer in buffers]
    assert not interop.shares_memory(pickles.loads(stream, buffers=arrived), arrived[0])
    assert interop.shares_memory(pickles.loads(stream, buffers=arrived, writable=False), arrived[0])


def test_a_buffer_that_is_another_is_refused() -> None:
    buffers: list[pickle.PickleBuffer] = []
    for x in (torch.ones(4), torch.ones(2, 3).T, torch.ones(4, dtype=torch.complex32)):
        stream = pickles.dumps(x, buffer_callback=buffers.append)
        for wrong in (b"", bytes(3), bytes(1000)):
            with pytest.raises(interop.UnsupportedError):
                pickle.loads(stream, buffers=[wrong])


LACKS = """
import pickle, sys
sys.modules["torch"] = None
from interop.errors import NotInstalledError
from interop.integrations import pickle as pickles
stream = bytes.fromhex(sys.argv[1])
try:
    pickle.loads(stream)
except NotInstalledError as error:
    assert "torch" in str(error), error
else:
    raise AssertionError
assert pickles.loads(stream, to="numpy").tolist() == [1, 1]
"""


def test_a_receiver_without_the_framework_is_told_what_to_install() -> None:
    stream = pickles.dumps(torch.ones(2, dtype=torch.bfloat16))
    subprocess.run([sys.executable, "-c", LACKS, stream.hex()], check=True)
    assert issubclass(NotInstalledError, ImportError)


def test_cloudpickle() -> None:
    cloudpickle = pytest.importorskip("cloudpickle")
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    w = torch.ones(1000, dtype=torch.bfloat16)
    carrier = pickles.pickler(cloudpickle.CloudPickler)(stream, 5, buffer_callback=buffers.append)
    carrier.dump((lambda x: x + w, w))
    function, got = pickle.loads(stream.getvalue(), buffers=buffers)
    assert [buffer.raw().nbytes for buffer in buffers] == [2000]
    assert got.data_ptr() == w.data_ptr()
    assert function(w).sum() == 2000


def test_joblib_by_its_processes() -> None:
    loky = pytest.importorskip("joblib.externals.loky")
    reducers = pickles.reducers()
    with loky.ProcessPoolExecutor(1, job_reducers=reducers, result_reducers=reducers) as pool:
        got = pool.submit(torch.neg, torch.tensor([1 + 2j]).conj()).result()
    assert got.tolist() == [-1 + 2j]
    assert got.is_conj() is False
