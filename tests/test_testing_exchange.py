"""The fakes of the C exchange API, against torch's own, and the client that tests call such APIs with."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest
import torch

from interop.testing import assert_identical, fakes
from interop.testing.fakes import ExchangeClient, ExchangeProducer

OFFERED = [name for name, tp in fakes.EXCHANGE_TYPES.items() if hasattr(tp, "__dlpack_c_exchange_api__")]

Array = np.ndarray[Any, Any]


@pytest.fixture
def array() -> Array:
    return np.arange(6, dtype="int16").reshape(2, 3)


def needs_torchs() -> None:
    if not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"):
        pytest.skip("this torch has no exchange API")


def test_the_client_reads_torch(array: Array) -> None:
    needs_torchs()
    client = ExchangeClient(torch.Tensor)
    tensor = torch.from_numpy(array).clone().t()
    assert client.versions[0][0] == 1
    assert client.current_stream((1, 0)) == 0
    with client.export(tensor) as exported:
        assert_identical(exported.array(), tensor)
        assert exported.fields.data == tensor.data_ptr()
    assert client.lend(tensor).strides == tensor.stride()


def test_torch_takes_what_the_fake_gives_and_the_other_way_round(array: Array) -> None:
    needs_torchs()
    theirs, ours = ExchangeClient(torch.Tensor), ExchangeClient(ExchangeProducer)
    fake = ExchangeProducer(array.T)
    tensor = theirs.receive(ours.export(fake))
    assert type(tensor) is torch.Tensor
    assert_identical(tensor, array.T)
    assert fake.live == 1
    received = ours.receive(theirs.export(tensor))
    assert np.shares_memory(received.array, array)
    del tensor
    assert fake.live == 1
    del received
    fake.assert_released()


@pytest.mark.parametrize("name", OFFERED)
def test_each_type_has_a_version_that_works(name: str, array: Array) -> None:
    tp = fakes.EXCHANGE_TYPES[name]
    client = ExchangeClient(tp)
    assert any(version[0] == 1 for version in client.versions)
    if client.versions[0][0] != 1:
        with pytest.raises(TypeError, match="fileno"):
            client.export(tp(array))


def test_spellings_are_apart() -> None:
    for name, tp in fakes.EXCHANGE_TYPES.items():
        assert hasattr(tp, "__c_dlpack_exchange_api__") == name.startswith("older spelling")
        assert hasattr(tp, "__dlpack_c_exchange_api__") != name.startswith("older spelling")


def test_an_api_is_the_types_for_good() -> None:
    assert ExchangeProducer.__dlpack_c_exchange_api__ is ExchangeProducer(np.zeros(1)).__dlpack_c_exchange_api__


def test_many_exports_leave_nothing(array: Array) -> None:
    client = ExchangeClient(ExchangeProducer)
    fake = ExchangeProducer(array)
    for _ in range(10_000):
        client.export(fake).release()
    for _ in range(1_000):
        client.receive(client.export(fake))
    fake.assert_released()
    assert fake.exports == 11_000


def test_what_is_received_owns_its_tensor(array: Array) -> None:
    client = ExchangeClient(ExchangeProducer)
    source = ExchangeProducer(array.copy())
    alive = weakref.ref(source.array)
    made = client.receive(client.export(source))
    del source
    assert alive() is not None
    assert_identical(made.array, array)
    del made
    assert alive() is None


def test_lending_leaves_the_owner_alone(array: Array) -> None:
    fake = ExchangeProducer(array)
    said = ExchangeClient(ExchangeProducer).lend(fake)
    assert (said.data, said.shape, said.strides) == (array.ctypes.data, (2, 3), (3, 1))
    assert fake.exports == 0
    assert fake.calls == ["dltensor_from_py_object_no_sync"]


def test_memory_is_allocated(array: Array) -> None:
    tensor = ExchangeClient(ExchangeProducer).allocate(fakes.describe(array))
    assert tensor.array().shape == array.shape
    assert tensor.array().dtype == array.dtype


def test_a_stream_is_the_types(array: Array) -> None:
    tp = fakes.exchange_type("Streaming")
    tp.work_stream = 7
    assert ExchangeClient(tp).current_stream((2, 0)) == 7
    assert ExchangeClient(ExchangeProducer).current_stream((2, 0)) == 0


def test_a_failing_export_raises_its_error(array: Array) -> None:
    tp = fakes.exchange_type("Failing", raises=KeyError("not today"))
    for call in (ExchangeClient(tp).export, ExchangeClient(tp).lend):
        with pytest.raises(KeyError, match="not today"):
            call(tp(array))
