"""What is peculiar to mlx: laziness, byte offsets, narrow 64-bit types, memory that may be written."""

from __future__ import annotations

import gc
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

import interop

torch = pytest.importorskip("torch")


def test_a_plan_evaluates_nothing_and_says_so() -> None:
    x = mx.ones((3, 4)) * 2
    plan = interop.explain(x, "numpy")
    assert plan.ok
    assert not plan.certain
    assert [step.do for step in plan.steps] == ["settle", "export", "wrap"]
    assert "known only after its evaluation" in plan.cautions[-1]
    assert interop.to_numpy(x).tolist() == [[2.0] * 4] * 3


def test_what_is_known_of_a_lazy_array_is_decided_already() -> None:
    plan = interop.explain(mx.ones(3), "numpy", device="cuda:0")
    assert isinstance(plan.error, interop.DeviceError)


def test_inside_mlx_arrays_stay_lazy_and_in_the_graph() -> None:
    x = mx.array([1.0, 2.0])
    assert interop.to_mlx(x) is x

    def loss(x: Any) -> Any:
        # Evaluating here would be an error.
        return (interop.to_mlx(x, copy=True) * interop.to_mlx(x, dtype="float32", copy=True)).sum()

    assert mx.grad(loss)(x).tolist() == [2.0, 4.0]
    assert mx.compile(loss)(x).item() == 5


@pytest.mark.parametrize("transform", [mx.grad, mx.compile], ids=["grad", "compile"])
def test_what_cannot_be_evaluated_is_refused_by_name(transform: Any) -> None:
    seen: list[BaseException] = []

    def function(x: Any) -> Any:
        y = x * 2
        try:
            interop.to_numpy(y)
        except interop.UnsupportedError as error:
            seen.append(error)
        return y.sum()

    transform(function)(mx.array([1.0, 2.0]))
    if transform is mx.compile:
        assert "outside of the transformed function" in str(seen[0])


def test_what_comes_in_is_copied() -> None:
    a = np.arange(3, dtype="float32")
    x = interop.to_mlx(a)
    a[:] = 7
    assert x.tolist() == [0, 1, 2]
    plan = interop.explain(a, "mlx")
    assert plan.certain
    assert "mlx keeps float32 in memory of its own only" in plan.reasons
    a.flags.writeable = False
    with pytest.raises(interop.CopyError, match="memory of its own only"):
        interop.to_mlx(a, copy=False)


@pytest.mark.parametrize("value", [0.1, 1e300, 5e-324])
def test_float64_stays_float64(value: float) -> None:
    """mx.array makes float32 of it: 1e300 is infinite then."""
    x = interop.to_mlx(np.array([value]))
    assert x.dtype == mx.float64
    assert interop.to_numpy(x).tolist() == [value]


def test_types_that_it_lacks_are_refused() -> None:
    with pytest.raises(interop.DTypeError, match="dtype='complex64'"):
        interop.to_mlx(np.ones(2, complex))
    assert interop.to_mlx(np.ones(2, complex), dtype="complex64").dtype == mx.complex64


def test_offsets_are_honoured() -> None:
    """Its capsules have a byte offset, which paddle, dpnp and warp ignore."""
    x = mx.arange(24, dtype=mx.float32).reshape(4, 6)
    for y in (x[1:, ::2], x[2], x[1, 1], x[::-1], x.T[1:]):
        wanted = np.array(y)
        assert interop.to_numpy(y).tolist() == wanted.tolist()
        assert interop.to_torch(y).tolist() == wanted.tolist()
        assert interop.to_numpy(interop.view(y)).tolist() == wanted.tolist()


def test_memory_is_shared_and_may_be_written() -> None:
    """As its documentation of numpy views says."""
    x = mx.zeros(4)
    a = interop.to_numpy(x)
    t = interop.to_torch(x, copy=False)
    a[0], t[1] = 1, 2
    assert x.tolist() == [1, 2, 0, 0]
    assert a.flags.writeable


def test_memory_that_was_handed_over_is_not_reused() -> None:
    x = mx.ones(1000)
    a = interop.to_numpy(x)
    y = x + 1
    del x
    gc.collect()
    mx.eval(y)
    mx.eval(mx.zeros(1000) + 7)
    assert a.tolist() == [1.0] * 1000


def test_devices() -> None:
    assert interop.Device(mx.cpu) == "cpu"
    assert interop.Device(mx.default_device()).type in ("cpu", "metal")
    assert interop.to_mlx(np.ones(2, np.float32), device=mx.cpu).tolist() == [1, 1]


def test_an_order_is_kept_by_a_cast() -> None:
    x = mx.arange(6).reshape(2, 3)
    a = interop.to_numpy(x, dtype="float32", order="F")
    assert a.strides == (4, 8)
    assert a.tolist() == [[0, 1, 2], [3, 4, 5]]
    strict = pytest.importorskip("array_api_strict")
    b = interop.to_array_api_strict(x.astype(mx.bfloat16), dtype="float32", order="F")
    assert b.dtype == strict.float32
    assert interop.view(b).strides == (1, 2)
    assert "the strides aren't known" in str(interop.explain(x, "numpy", order="F"))
