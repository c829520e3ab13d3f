"""dask.distributed: its serializers as a process has them, and a real cluster of processes over tcp."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import clusters
import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import given

import interop
from interop.integrations import dask as ours
from interop.testing import assert_identical
from interop.testing.strategies import torch_tensors

distributed = pytest.importorskip("distributed")
protocol = pytest.importorskip("distributed.protocol")

pytestmark = pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")


@pytest.fixture
def registered() -> Iterator[None]:
    ours.register()
    yield
    ours.unregister()


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    ours.register()
    # A task whose worker dies isn't tried again.
    dask = pytest.importorskip("dask")
    dask.config.set({"distributed.scheduler.allowed-failures": 0})
    cluster = distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, protocol="tcp", dashboard_address=None, memory_limit=0
    )
    with cluster, distributed.Client(cluster) as client:
        client.register_plugin(ours.WorkerPlugin())
        yield client
    ours.unregister()


def through(x: Any) -> Any:
    """What a cluster does with an object, without one: header through msgpack, frames as bytearrays."""
    header, _ = protocol.serialize(x)
    assert header["serializer"] == "dask"
    data = protocol.serialize_bytes(x)
    return protocol.deserialize_bytes(bytearray(data))


@given(x=torch_tensors(flavours=["plain", "conj"]))
def test_every_tensor_arrives_as_it_was(x: Any) -> None:
    ours.register()
    try:
        got = through(x)
    finally:
        ours.unregister()
    assert type(got) is torch.Tensor
    assert_identical(got, x)


def test_the_frames_are_the_memory_itself(registered: None) -> None:
    t = torch.ones(1000, dtype=torch.bfloat16)
    _, frames = protocol.serialize(t)
    assert interop.view(frames[0]).ptr == t.data_ptr()
    j = torch.ones(4, 5).T
    header, frames = protocol.serialize(j)
    assert protocol.deserialize(header, frames).stride() == (1, 5)


def test_arrays_of_others(registered: None) -> None:
    small = np.arange(3).astype(ml_dtypes.bfloat16)
    got = through(small)
    assert got.dtype == small.dtype
    assert got.flags.writeable
    small.flags.writeable = False
    assert not through(small).flags.writeable
    # numpy's own stay distributed's.
    header, _ = protocol.serialize(np.arange(3))
    assert "interop" not in header["sub-header"]
    for x in (
        np.arange(3),
        np.array(["a", None], dtype=object),
        np.array([(1, 2.0)], dtype="i4,f8"),
        np.ones((2, 3)).T,
    ):
        assert repr(through(x)) == repr(x)
    jax = pytest.importorskip("jax")
    x = jax.numpy.arange(3, dtype="bfloat16")
    got = through(x)
    assert type(got) is type(x)
    assert got.tolist() == [0, 1, 2]


@pytest.mark.parametrize("requires_grad", [True, False])
def test_what_distributed_keeps_of_a_tensor_is_kept(registered: None, requires_grad: bool) -> None:
    t = torch.arange(4.0, requires_grad=requires_grad)
    t.grad = torch.zeros_like(t) + 1
    got = through(t)
    assert got.requires_grad == requires_grad
    assert got.grad.tolist() == [1, 1, 1, 1]
    parameter = through(torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16)))
    assert type(parameter) is torch.nn.Parameter
    assert parameter.dtype == torch.bfloat16
    assert through(torch.nn.Parameter(torch.ones(2, dtype=torch.int8), requires_grad=False)).requires_grad is False


def test_a_history_is_refused_and_not_lost(registered: None) -> None:
    x = torch.ones(2, requires_grad=True) * 2
    header, frames = protocol.serialize(x)
    with pytest.raises(TypeError, match=r"Send x\.detach\(\)"):
        protocol.deserialize(header, frames)


def test_unregister_gives_everything_back() -> None:
    before = [dict(dispatch._lookup) for dispatch in ours._dispatches()]
    ours.register()
    ours.register()
    ours.unregister()
    after = [dict(dispatch._lookup) for dispatch in ours._dispatches()]
    for was, now in zip(before, after, strict=True):
        assert all(now[kind] is was[kind] for kind in was)
        assert not [kind for kind, function in now.items() if "interop" in repr(function)]
    header, _ = protocol.serialize(torch.ones(2))
    assert "interop" not in header["sub-header"]


def test_a_tensor_is_known_by_its_values_and_as_large_as_it_is(registered: None) -> None:
    tokenize, sizeof = (pytest.importorskip(f"dask.{name}") for name in ("tokenize", "sizeof"))
    a = torch.arange(1000).bfloat16()
    assert sizeof.sizeof(a) == 2000
    assert tokenize.tokenize(a) == tokenize.tokenize(a.clone())
    others = [a + 1, a.reshape(10, 100), a.half(), a.reshape(10, 100).T, np.arange(1000)]
    assert len({tokenize.tokenize(x) for x in (a, *others)}) == 6


LATER = """
import sys
from interop.integrations import dask
dask.register()
assert "torch" not in sys.modules and "jax" not in sys.modules
from distributed.protocol import deserialize, serialize
import torch
x = torch.ones(2, dtype=torch.bfloat16)
parameter = torch.nn.Parameter(x)
header, frames = serialize(parameter)
assert header["sub-header"]["sub-header"]["serializer"] == "dask"
assert deserialize(header, frames).dtype == torch.bfloat16
header, frames = serialize(x)
assert "interop" in header["sub-header"]
dask.unregister()
header, _ = serialize(torch.ones(2))
assert "interop" not in header["sub-header"]
"""


def test_a_framework_that_is_imported_later_counts() -> None:
    subprocess.run([sys.executable, "-c", LATER], check=True)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e5m2", "complex64"])
def test_a_cluster_carries_tensors_both_ways(client: Any, dtype: str) -> None:
    t = torch.arange(6).to(getattr(torch, dtype)).reshape(2, 3).T
    there = client.scatter(t)
    workers = [list(client.scheduler_info()["workers"])[n] for n in (0, 1)]
    same = [client.submit(torch.clone, there, workers=worker, pure=False).result() for worker in workers]
    for got in same:
        assert_identical(got, t)
    got = client.submit(clusters.made, dtype, pure=False).result()
    assert_identical(got, t)


def test_work_is_done_in_other_processes_on_the_same_types(client: Any) -> None:
    twice, kind, process = client.submit(clusters.double, torch.ones(3, dtype=torch.bfloat16), pure=False).result()
    assert kind == "torch.Tensor"
    assert process != os.getpid()
    assert twice.tolist() == [2, 2, 2]
    conjugate = client.scatter(torch.tensor([1 + 2j]).conj())
    assert client.submit(clusters.double, conjugate, pure=False).result()[0].tolist() == [2 - 4j]
    assert client.submit(clusters.peek, client.scatter(torch.ones(2, requires_grad=True))).result()["grad"] is True


def test_a_cluster_carries_jax(client: Any) -> None:
    jax = pytest.importorskip("jax")
    x = jax.numpy.ones(100_000, "bfloat16")
    twice, kind, _ = client.submit(clusters.double, client.scatter(x), pure=False).result()
    assert kind.endswith("ArrayImpl")
    assert float(twice.sum()) == 200_000 or twice.dtype == "bfloat16"


def test_many_tensors_of_one_collection(client: Any) -> None:
    tree = {f"k{n}": torch.full((1000,), float(n)).bfloat16() for n in range(50)}
    got = client.submit(lambda tree: {name: x + 1 for name, x in tree.items()}, client.scatter(tree)).result()
    assert all(got[f"k{n}"][0] == n + 1 for n in range(50))


def test_a_worker_that_is_killed_leaves_nothing(client: Any) -> None:
    before = clusters.segments()
    with pytest.raises(distributed.KilledWorker):
        client.submit(clusters.die, pure=False, retries=0).result()
    assert [name for name in clusters.segments() if name not in before and "interop" in name] == []
    client.wait_for_workers(1)
    # The one that takes its place has registered too.
    got = client.submit(torch.clone, client.scatter(torch.ones(2, dtype=torch.bfloat16)), pure=False).result()
    assert got.tolist() == [1, 1]
