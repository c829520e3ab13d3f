"""A door gives what the planner gives, at the first call of a kind and at those that a recipe is applied to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import array_api_strict as xp
import jax
import mlx.core as mx
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import tvm_ffi
import warp as wp
import xarray as xr
from frames import is_planned
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import interop
from interop import _options
from interop._convert import _convert
from interop._registry.targets import target_adapter
from interop.testing import assert_identical
from interop.testing.strategies import numpy_arrays

#: What takes memory as it is, and what copies it where it may be written.
TAKERS = ["pyarrow", "tvm_ffi", "warp", "array_api_strict"]
COPIERS = ["jax", "mlx"]

options = st.sampled_from(
    [{}, {"copy": False}, {"copy": True}, {"writable": False}, {"writable": True}, {"order": "C"}, {"device": "cpu"}]
)


def described(x: Any) -> tuple[Any, ...]:
    try:
        v = interop.view(x)
    except interop.InteropError:  # what a framework packs has no View
        return (type(x), interop.dtype(x))
    # Along an axis of length 1 no stride counts.
    strides = tuple(step for step, n in zip(v.strides, v.shape, strict=True) if n > 1)
    return (type(x), v.shape, strides if v.size else (), v.dtype, v.device, v.readonly)


def outcome(call: Callable[[], Any]) -> tuple[Any, interop.InteropError | None]:
    try:
        return call(), None
    except interop.InteropError as error:
        return None, error


def planned(x: Any, to: str, chosen: dict[str, Any]) -> Any:
    return _convert(x, target_adapter(to), _options.parse(**chosen))


def check(x: Any, to: str, chosen: dict[str, Any]) -> None:
    """Call three times: what is learned at the first call is applied at the others."""
    by_plan, refused = outcome(lambda: planned(x, to, chosen))
    for _ in range(3):
        result, error = outcome(lambda: interop.convert(x, to, **chosen))
        assert (type(error), str(error)) == (type(refused), str(refused))
        if error is not None:
            continue
        assert described(result) == described(by_plan)
        assert_identical(result, by_plan)
        shared = interop.shares_memory(result, x)
        assert shared == interop.shares_memory(by_plan, x)
        # copy=False is never answered by a copy.
        assert chosen.get("copy") is not False or shared or 0 in interop.view(x).shape
        assert not (chosen.get("copy") and shared)


@pytest.mark.parametrize("to", [*TAKERS, *COPIERS])
@given(a=numpy_arrays(), chosen=options)
def test_from_numpy(to: str, a: np.ndarray[Any, Any], chosen: dict[str, Any]) -> None:
    check(a, to, chosen)


@pytest.mark.parametrize("to", [*TAKERS, *COPIERS])
@pytest.mark.parametrize("a", [np.zeros(3, "float32"), np.zeros((2, 3), "int32")], ids=str)
def test_an_ordinary_array_isnt_planned_again(to: str, a: np.ndarray[Any, Any]) -> None:
    every: list[dict[str, Any]] = [{}, {"copy": False}, {"device": "cpu"}]
    for chosen in every if to in TAKERS else [{}]:
        interop.convert(a, to, **chosen)
        result: Any = interop.convert(a, to, **chosen)
        assert interop.shares_memory(a, result) == (to in TAKERS)
        assert not is_planned(partial(interop.convert, a, to, **chosen))


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


@pytest.mark.parametrize("to", ["numpy", "torch"])
@pytest.mark.parametrize("chosen", [{}, {"copy": False}, {"copy": True}, {"writable": False}], ids=str)
@pytest.mark.parametrize("x", OBJECTS, ids=lambda x: f"{type(x).__module__}.{type(x).__name__}")
def test_to_another(x: Any, to: str, chosen: dict[str, Any]) -> None:
    check(x, to, chosen)


#: What its framework lays out as numpy does.
ORDINARY: list[Any] = [
    pa.array(A),
    tvm_ffi.from_dlpack(A),
    wp.array(A, dtype=wp.float64, device="cpu"),
    xp.asarray(A),
    pd.Series(A),
    pl.Series(A),
    xr.DataArray(A),
    Image.new("RGB", (3, 2)),
    jax.numpy.zeros(3),
    mx.zeros(3),
]


@pytest.mark.parametrize("x", ORDINARY, ids=lambda x: f"{type(x).__module__}.{type(x).__name__}")
def test_an_ordinary_object_isnt_planned_for_again(x: Any) -> None:
    targets = ["numpy", "torch"] if not interop.view(x).readonly else ["numpy"]
    every: tuple[dict[str, Any], ...] = ({}, {"copy": False}, {"device": "cpu"})
    for to in targets:
        for chosen in every:
            for _ in range(2):
                assert interop.shares_memory(x, interop.convert(x, to, **chosen))
            assert not is_planned(partial(interop.convert, x, to, **chosen))
