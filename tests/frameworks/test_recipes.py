"""A hot route gives what the plan for the same object gives, or leaves it to the plan."""

from __future__ import annotations

from typing import Any

import array_api_strict as xp
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import tvm_ffi
import warp as wp
import xarray as xr
from hypothesis import given
from PIL import Image

import interop
from interop._convert import _convert
from interop._native import CallRoute, hot_routes
from interop._options import DEFAULT
from interop._targets import target_adapter
from interop.testing import assert_identical
from interop.testing.strategies import numpy_arrays

TARGETS = ["pyarrow", "tvm_ffi", "warp", "array_api_strict"]


def described(x: Any) -> tuple[Any, ...]:
    v = interop.view(x)
    strides = tuple(step for step, n in zip(v.strides, v.shape, strict=True) if n > 1)
    return (type(x), v.ptr if v.size else 0, v.shape, strides if v.size else (), v.dtype, v.device, v.readonly)


@pytest.mark.parametrize("to", TARGETS)
@given(a=numpy_arrays())
def test_from_numpy(to: str, a: np.ndarray[Any, Any]) -> None:
    target_adapter(to)
    by_route = hot_routes(to)[np.ndarray](a)
    if by_route is NotImplemented:
        return
    assert described(by_route) == described(_convert(a, target_adapter(to), DEFAULT))


def copying(to: str) -> CallRoute:
    route = hot_routes(to)[np.ndarray]
    assert isinstance(route, CallRoute)
    return route


@pytest.mark.parametrize("to", ["jax", "mlx"])
@given(a=numpy_arrays())
def test_a_copy_from_numpy(to: str, a: np.ndarray[Any, Any]) -> None:
    target = target_adapter(to)
    by_route = copying(to).copy(a)
    if by_route is NotImplemented:
        return
    plan = interop.explain(a, to)
    assert plan.ok
    assert not plan.zero_copy
    assert_identical(by_route, _convert(a, target, DEFAULT))
    assert not interop.shares_memory(by_route, a)
    made = interop.convert(a, to, copy=True)
    assert_identical(made, by_route)
    assert not interop.shares_memory(made, a)
    # copy=False is never answered by a copy.
    view = hot_routes(to)[np.ndarray](a)
    assert view is NotImplemented or interop.shares_memory(view, a) or not a.size


@pytest.mark.parametrize("to", ["jax", "mlx"])
def test_an_ordinary_array_is_copied_by_the_route(to: str) -> None:
    target_adapter(to)
    for a in (np.zeros(3, "float32"), np.zeros((2, 3), "int32")):
        assert copying(to).copy(a) is not NotImplemented


@pytest.mark.parametrize("to", TARGETS)
def test_an_ordinary_array_takes_the_route(to: str) -> None:
    target_adapter(to)
    route = hot_routes(to)[np.ndarray]
    for a in (np.zeros(3), np.zeros((2, 3), "int32"), np.zeros((2, 3), "float32").T):
        assert described(route(a))[1] == a.ctypes.data


A = np.arange(24.0)
OBJECTS: list[Any] = [
    pa.array(A),
    pa.array(A)[3:],
    pa.array([1, None]),
    pa.array([], pa.int8()),
    pa.array([1.5], pa.float16()),
    pa.Tensor.from_numpy(A.reshape(4, 6)),
    pa.Tensor.from_numpy(A.reshape(4, 6).T),
    pa.Tensor.from_numpy(np.frombuffer(b"abcd", "u1")),
    tvm_ffi.from_dlpack(A.reshape(4, 6)[:, ::-2]),
    interop.to_tvm_ffi(np.zeros(3, interop.DType("bfloat16").numpy)),
    interop.to_tvm_ffi(np.zeros(3, "complex64")),
    wp.array(A, dtype=wp.float64, device="cpu"),
    wp.zeros((2, 3), dtype=wp.vec3, device="cpu")[:, 1:],
    wp.zeros((2, 0), dtype=wp.float32, device="cpu"),
    wp.zeros(4, dtype=wp.bfloat16, device="cpu"),
    xp.asarray(A),
    xp.asarray(np.frombuffer(b"abcd", "u1"), copy=False),
    xp.asarray(A, device=xp.Device("device1")),
    pd.Series(A),
    pd.Series(A)[::2],
    pd.Series([1], dtype="Int64"),
    pd.Series(["a"], dtype="category"),
    pd.Series(["2020-01-01"], dtype="datetime64[s]"),
    pd.Index([1, 2]),
    pl.Series(A),
    pl.Series(A)[5:],
    pl.Series([], dtype=pl.Int8),
    pl.Series([1, None]),
    pl.Series([1], dtype=pl.Datetime),
    pl.Series([True]),
    pl.concat([pl.Series(A), pl.Series(A)], rechunk=False),
    xr.DataArray(A.reshape(4, 6)).T,
    xr.DataArray(np.zeros(2, ">i4")),
    xr.DataArray(np.array(["a"])),
    xr.DataArray(xp.asarray(A)),
    Image.new("RGB", (3, 2)),
    Image.new("1", (3, 2)),
    Image.new("LA", (3, 2)),
]


def outcome(call: Any, x: Any) -> Any:
    try:
        return described(call(x))
    except interop.InteropError as error:
        return type(error), str(error)


@pytest.mark.parametrize("to", ["numpy", "torch"])
@pytest.mark.parametrize("x", OBJECTS, ids=lambda x: f"{type(x).__module__}.{type(x).__name__}")
def test_to_another(x: Any, to: str) -> None:
    target = target_adapter(to)
    planned = outcome(lambda y: _convert(y, target, DEFAULT), x)
    door = outcome(lambda y: interop.convert(y, to), x)
    route = hot_routes(to).get(type(x))
    by_route = NotImplemented if route is None else route(x)
    if by_route is not NotImplemented:
        assert described(by_route) == planned == door
    # A copy is somewhere else each time.
    assert door == planned or (door[0], door[2:]) == (planned[0], planned[2:])


@pytest.mark.parametrize("x", [tvm_ffi.from_dlpack(A), wp.array(A, dtype=wp.float64, device="cpu"), xp.asarray(A)])
def test_what_is_writable_gets_to_torch_by_two_routes(x: Any) -> None:
    target_adapter("torch")
    assert hot_routes("torch")[type(x)](x) is not NotImplemented
