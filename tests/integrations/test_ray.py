"""ray's object store, and two real actors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clusters
import ml_dtypes
import numpy as np
import pytest
import torch

import interop
from interop.integrations import ray as ours
from interop.testing import assert_identical

ray = pytest.importorskip("ray")

ROOT = Path(__file__).parent.parent.parent

# ray opens sockets and files that it leaves to the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def started() -> Iterator[None]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    ray.init(
        num_cpus=2,
        object_store_memory=300_000_000,
        include_dashboard=False,
        logging_level="ERROR",
        log_to_driver=False,
        runtime_env={
            "worker_process_setup_hook": ours.hook("torch", writable=False),
            "env_vars": {"PYTHONPATH": path, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"},
        },
    )
    yield
    ray.shutdown()


@pytest.fixture
def registered() -> Iterator[None]:
    ours.register()
    yield
    ours.unregister()


class Maker:
    """An actor that makes tensors, and looks at those of another one."""

    def made(self, dtype: str) -> Any:
        return clusters.made(dtype)

    def look(self, x: Any) -> dict[str, Any]:
        return clusters.peek(x) | {"sum": float(x.float().sum()), "shared": not x.untyped_storage().resizable()}


@pytest.mark.parametrize(
    "x",
    [
        torch.arange(6.0).reshape(2, 3).T,
        torch.arange(6).bfloat16(),
        torch.tensor([1 + 2j]).conj(),
        torch.ones(3).to(torch.float8_e5m2),
        torch.zeros(0, 3),
        torch.tensor(3),
        np.arange(3).astype(ml_dtypes.bfloat16),
        np.arange(6).reshape(2, 3).T,
    ],
)
def test_what_is_put_is_what_is_got(registered: None, x: Any) -> None:
    got = ray.get(ray.put({"x": [x]}))["x"][0]
    assert type(got) is type(x)
    assert_identical(got, x)


def test_arrays_that_can_say_readonly_lie_in_the_store(registered: None) -> None:
    reference = ray.put(np.ones(1_000_000, ml_dtypes.bfloat16))
    one, other = ray.get(reference), ray.get(reference)
    assert not one.flags.writeable
    assert interop.shares_memory(one, other)
    with pytest.raises(ValueError, match="read-only"):
        one[0] = 2


def test_torch_is_copied_unless_it_is_promised_not_to_write(registered: None) -> None:
    reference = ray.put(torch.ones(1_000_000, dtype=torch.bfloat16))
    one, other = ray.get(reference), ray.get(reference)
    assert not interop.shares_memory(one, other)
    one.fill_(3)
    assert other.sum() == ray.get(reference).sum()
    ours.register(writable=False)
    assert interop.shares_memory(ray.get(reference), ray.get(reference))


def test_jax_lies_in_the_store(registered: None) -> None:
    jax = pytest.importorskip("jax")
    ours.register("jax")
    x = jax.numpy.ones(1_000_000, "bfloat16")
    reference = ray.put(x)
    one, other = ray.get(reference), ray.get(reference)
    assert type(one) is type(x)
    assert float(one[0]) == 1
    assert interop.view(one).ptr % 64 != 0 or interop.shares_memory(one, other)


def test_what_is_no_number_goes_as_it_always_did(registered: None) -> None:
    for x in (
        np.array(["a", None], dtype=object),
        np.array(["a"]),
        np.array([(1, 2.0)], dtype="i4,f8"),
        np.array(["2020"], "M8[D]"),
        np.ma.masked_array([1.0], mask=[True]),
    ):
        assert repr(ray.get(ray.put(x))) == repr(x)
    fortran = np.array([["a", "b"]], dtype=object, order="F")
    assert ray.get(ray.put(fortran)).tolist() == fortran.tolist()


def test_a_gradient_is_refused(registered: None) -> None:
    with pytest.raises(interop.GradientError):
        ray.put(torch.ones(2, requires_grad=True))


def test_two_actors_hand_tensors_to_each_other(registered: None) -> None:
    actor = ray.remote(num_cpus=1)(Maker)
    first, second = actor.remote(), actor.remote()
    for dtype in ("float32", "bfloat16", "float8_e5m2"):
        made = first.made.remote(dtype)
        seen = ray.get(second.look.remote(made))
        assert seen["dtype"] == f"torch.{dtype}"
        assert seen["sum"] == 15
        assert seen["process"] != os.getpid()
        assert_identical(ray.get(made), clusters.made(dtype))
    seen = ray.get([each.look.remote(first.made.remote("float32")) for each in (first, second)])
    assert len({each["process"] for each in seen}) == 2


def test_a_killed_actor_leaves_what_it_put(registered: None) -> None:
    actor = ray.remote(num_cpus=1, max_restarts=0)(Maker).remote()
    reference = actor.made.remote("bfloat16")
    got = ray.get(reference)
    ray.kill(actor)
    assert_identical(got, clusters.made("bfloat16"))


def test_unregister_gives_it_back() -> None:
    ours.register(writable=False)
    reference = ray.put(torch.ones(2, dtype=torch.bfloat16))
    ours.unregister()
    assert ray.get(reference).tolist() == [1, 1]
    with pytest.raises(interop.UnsupportedError, match="isn't installed"):
        ours.register("no_such_framework")
