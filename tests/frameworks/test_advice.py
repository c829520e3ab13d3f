"""The calls that messages name, of every library that can be refused: run on the very object that was passed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import jax
import jax.numpy as jnp
import mlx.core as mx
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import scipy.sparse as sp
import torch
import xarray as xr
from advice import calls, follow
from hypothesis import given
from hypothesis import strategies as st
from jax.experimental.sparse import BCOO
from PIL import Image

import interop

DAY = dt.datetime(2020, 1, 1)  # noqa: DTZ001 - as columns hold them
PAIRS = pa.list_(pa.int64(), 2)


def tensors(*values: Any) -> Any:
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.int64(), [2]), pa.array(values, PAIRS))


ARROW: dict[str, Any] = {
    "booleans with nulls": pa.array([True, None]),
    "ints with nulls": pa.array([1, None]),
    "large ints with nulls": pa.array([2**60 + 1, None]),
    "floats with nulls": pa.array([1.5, None]),
    "tensors with nulls": tensors([1, 2], None),
    "tensors with nulls inside": tensors([1, None], [1, 2]),
    "times": pa.array([DAY, None]),
    "days": pa.array([DAY.date()]),
    "times of a day": pa.array([DAY.time()], pa.time32("s")),
    "durations": pa.array([dt.timedelta(1)]),
    "a dictionary": pa.array(["a", "b"]).dictionary_encode(),
    "a dictionary of numbers": pa.array([5, 7]).dictionary_encode(),
    "a dictionary with nulls": pa.array(["a", None]).dictionary_encode(),
    "lists": pa.array([[1, 2], [3]]),
    "lists with nulls": pa.array([[1, None], None]),
    "lists of lists": pa.array([[[1], [2]]]),
    "lists of one length": pa.array([[1, 2], None], PAIRS),
    "views of lists": pa.array([[1, 2]], pa.list_view(pa.int64())),
    "structures": pa.array([{"a": "s", "b": 2}]),
    "structures in lists": pa.array([[{"a": [DAY.date()]}]]),
    "maps": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
    "runs": pc.run_end_encode(pa.array([1, 1, 2])),
    "nothing": pa.nulls(2),
    "decimals": pa.array([Decimal("1.5"), None]),
}


def arrow() -> dict[str, Any]:
    found = dict(ARROW)
    for name, x in ARROW.items():
        found[f"{name}, in a chunk"] = pa.chunked_array([x])
        found[f"{name}, in chunks"] = pa.chunked_array([x, x])
    found["nulls in a later chunk"] = pa.chunked_array([[1], [None]])
    found["no chunks of lists"] = pa.chunked_array([], pa.list_(pa.int8()))
    table = pa.table({"a": ["x"], "b": [1]})
    found["a table"], found["a batch"] = table, table.to_batches()[0]
    found["a matrix"] = pa.record_batch({"a": [1], "b": [2.5]})
    found["equal names"] = pa.Table.from_arrays([pa.array(["x"]), pa.array([1])], ["a", "a"])
    found["a scalar of lists"], found["a day"] = pa.scalar([1, 2]), pa.scalar(DAY.date())
    found["a buffer"] = pa.py_buffer(b"abc")
    found["sparse, of Arrow"] = pa.SparseCOOTensor.from_dense_numpy(np.eye(2))
    return found


POLARS: dict[str, Any] = {
    "ints with nulls": pl.Series([1, None]),
    "floats with nulls": pl.Series([1.5, None]),
    "booleans with nulls": pl.Series([True, None]),
    "arrays with nulls": pl.Series([[1, 2], None], dtype=pl.Array(pl.Int64, 2)),
    "arrays with nulls inside": pl.Series([[1, None]], dtype=pl.Array(pl.Int64, 2)),
    "arrays of arrays with nulls": pl.Series([[[1, 2], [3, None]]], dtype=pl.Array(pl.Int16, (2, 2))),
    "arrays of booleans": pl.Series([[True, False]], dtype=pl.Array(pl.Boolean, 2)),
    "arrays of days": pl.Series([[DAY.date(), None]], dtype=pl.Array(pl.Date, 2)),
    "days": pl.Series([DAY.date(), None]),
    "lists of one length": pl.Series([[1, 2], [3, 4]]),
    "lists": pl.Series([[1, 2], [3], None, []]),
    "lists of days": pl.Series([[DAY.date(), None]]),
    "lists of lists": pl.Series([[[1], [2]]]),
    "structures": pl.Series([{"a": "x", "b": 1}]),
    "nothing": pl.Series([None]),
    "wide ints": pl.Series([1], dtype=pl.Int128),
    "very wide ints": pl.Series([2**100], dtype=pl.Int128),
    "decimals": pl.Series([Decimal("1.5"), None]),
    "categories": pl.Series(["a", None], dtype=pl.Categorical),
    "a frame": pl.DataFrame({"a": ["x"], "b": [1]}),
    "a frame of numbers": pl.DataFrame({"a": [1, None], "b": [2.5, 1]}),
    "a query": pl.LazyFrame({"a": ["x"], "b": [1]}),
}

PANDAS: dict[str, Any] = {
    "ints with nulls": pd.Series([1, None], dtype="Int64"),
    "booleans with nulls": pd.Series([True, None], dtype="boolean"),
    "floats with nulls": pd.Series([1.5, None], dtype="Float64"),
    "ints of Arrow with nulls": pd.Series([1, None], dtype="int64[pyarrow]"),
    "booleans of Arrow with nulls": pd.Series([True, None], dtype="bool[pyarrow]"),
    "chunks of Arrow with nulls": pd.Series(pa.chunked_array([[1], [None]]), dtype="int64[pyarrow]"),
    "decimals of Arrow": pd.Series([Decimal(1)], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
    "decimals of Arrow with nulls": pd.Series([Decimal(1), None], dtype=pd.ArrowDtype(pa.decimal128(5, 2))),
    "times of Arrow": pd.Series([DAY, None], dtype="timestamp[ns][pyarrow]"),
    "days of Arrow": pd.Series([DAY.date(), None], dtype=pd.ArrowDtype(pa.date32())),
    "lists of Arrow": pd.Series([[1, 2]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))),
    "pairs of Arrow": pd.Series([[1, 2], None], dtype=pd.ArrowDtype(PAIRS)),
    "a dictionary of Arrow": pd.Series(["a"], dtype=pd.ArrowDtype(pa.dictionary(pa.int32(), pa.string()))),
    "categories": pd.Series(["a", None], dtype="category"),
    "times": pd.Series([DAY, None]),
    "times in a zone": pd.Series([DAY, None]).dt.tz_localize("UTC"),
    "durations": pd.Series([dt.timedelta(1), None]),
    "periods": pd.Series(pd.PeriodIndex(["2020-01", None], freq="M")),
    "sparse": pd.Series(pd.arrays.SparseArray([0, 1])),
    "intervals": pd.Series(pd.interval_range(0, 2)),
    "intervals of times": pd.Series(pd.interval_range(pd.Timestamp(DAY), periods=2)),
    "arrays": pd.Series([np.ones(3), np.zeros(3)]),
    "arrays of several shapes": pd.Series([np.ones(3), np.zeros(2)]),
    "tensors": pd.Series([torch.ones(2), torch.ones(2)]),
    "lists": pd.Series([[1, 2], [3, 4]]),
    "objects that are numbers": pd.Series([1, None], dtype=object),
}


def pandas() -> dict[str, Any]:
    found = dict(PANDAS)
    for name, x in PANDAS.items():
        found[f"{name}, an Index"] = pd.Index(x)
        found[f"{name}, an array"] = x.array
    found["a frame"] = pd.DataFrame({"b": ["x"], "a": [DAY]})
    found["a frame of numbers"] = pd.DataFrame({"a": [1], "b": [2.5]})
    found["a frame of equal names"] = pd.DataFrame([[1, "x"]], columns=["a", "a"])
    found["levels"] = pd.MultiIndex.from_tuples([("a", 2)])
    return found


def objects() -> np.ndarray[Any, Any]:
    made = np.empty(2, object)
    made[:] = [np.ones(3), np.zeros(3)]
    return made


XARRAY: dict[str, Any] = {
    "times": xr.DataArray(np.zeros(2, "M8[ns]")),
    "a variable of times": xr.Variable("x", np.zeros(2, "M8[ns]")),
    "arrays": xr.DataArray(objects()),
    "long doubles": xr.DataArray(np.ones(2, "g")),
    "a set": xr.Dataset({"a": ("x", ["s"]), "b": ("x", [1])}),
    "a set of times": xr.Dataset({"a": ("x", np.zeros(2, "M8[ns]"))}),
}

OTHERS: dict[str, Any] = {
    "rows": sp.csr_array(np.eye(2)),
    "coordinates": sp.coo_matrix(np.eye(2)),
    "lists of rows": sp.lil_array(np.eye(2)),
    "keys": sp.dok_array(np.eye(2)),
    "BCOO": BCOO.fromdense(jnp.eye(2)),
    "keys of jax": jax.random.key(0),
    "a list of jax arrays": [jnp.ones(2), jnp.zeros(2)],
    "a list of mlx arrays": [mx.ones(2), mx.zeros(2)],
    "an image of a palette and more": Image.new("PA", (2, 2)),
}

REFUSED = {
    f"{library}: {name}": x
    for library, made in (
        ("pyarrow", arrow()),
        ("polars", POLARS),
        ("pandas", pandas()),
        ("xarray", XARRAY),
        ("others", OTHERS),
    )
    for name, x in made.items()
}


@pytest.mark.parametrize("to", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_tensor_is_refused_with_a_call_that_makes_one(kind: str, to: str) -> None:
    x = REFUSED[kind]
    error = interop.explain(x, to).error
    if error is None:
        interop.convert(x, to)
        return
    assert follow(x, to, {}, error), error


NOTHING: dict[str, Any] = {
    "strings of Arrow": pa.array(["a"]),
    "strings in chunks": pa.chunked_array([["a"], ["b"]]),
    "lists of strings": pa.array([["a"]]),
    "intervals": pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
    "a table of strings": pa.table({"a": ["x"]}),
    "strings of polars": pl.Series(["a"]),
    "lists of strings of polars": pl.Series([["a"]]),
    "a frame of strings": pl.DataFrame({"a": ["x"]}),
    "strings of pandas": pd.Series(["a"]),
    "strings of Arrow in pandas": pd.Series(["a"], dtype=pd.ArrowDtype(pa.string())),
    "objects of pandas": pd.Series([{"a": 1}]),
    "an empty frame": pd.DataFrame(),
    "strings of xarray": xr.DataArray(["a"]),
    "an empty set": xr.Dataset(),
}


@pytest.mark.parametrize("kind", NOTHING)
def test_where_no_call_helps_none_is_named(kind: str) -> None:
    error = interop.explain(NOTHING[kind], "torch").error
    assert isinstance(error, interop.UnsupportedError)
    assert not [*calls(str(error))]


def test_nulls_are_named_with_zero_and_with_nan() -> None:
    text = str(interop.explain(pd.Series([1, None], dtype="Int64"), "torch").error)
    assert [*calls(text)] == ["x.fillna(0)", "x.to_numpy('float64', na_value=numpy.nan)", "x.dropna()"]


def test_names_of_fields_and_columns_are_no_part_of_the_advice() -> None:
    for name in ("x.y", "x", " x.", "it's x", 'a "x.b"', "x)"):
        for x in (xr.Dataset({name: ("d", [1])}), xr.DataArray(np.zeros(2, [(name, "i4")])), pa.table({name: [1]})):
            assert follow(x, "torch", {})


def test_sparse_arrays_of_pydata_are_made_dense() -> None:
    sparse = pytest.importorskip("sparse")
    assert follow(sparse.COO.from_numpy(np.eye(2)), "numpy", {})


def readonly() -> np.ndarray[Any, Any]:
    made = np.ones((2, 3))
    made.flags.writeable = False
    return made


SOURCES: dict[str, Callable[[], Any]] = {
    "numpy": lambda: np.ones((2, 3), "f8"),
    "readonly": readonly,
    "transposed": lambda: np.ones((2, 3), "i8").T,
    "complex": lambda: np.ones((2, 3), "c16"),
    "float8": lambda: np.ones((2, 3), interop.dtype(jnp.ones(1, jnp.float8_e8m0fnu)).numpy),
    "a parameter": lambda: torch.ones(2, 3, dtype=torch.float64, requires_grad=True),
    "jax": lambda: jnp.ones((2, 3)),
    "jax int4": lambda: jnp.ones((2, 3), jnp.int4),
    "mlx": lambda: mx.ones((2, 3), mx.bfloat16),
    "pandas": lambda: pd.Series([1, 2]),
    "polars": lambda: pl.Series([True, False]),
    "chunks": lambda: pa.chunked_array([[1], [2]]),
    "pyarrow": lambda: pa.array([1, 2]),
    "xarray": lambda: xr.DataArray(np.ones((2, 3))),
    "an image": lambda: Image.new("RGB", (2, 3)),
}

OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["float32", "float64", "int64", "bool", "bfloat16", "int4", "complex128", "nearest"]),
        "order": st.sampled_from("CF"),
        "copy": st.booleans(),
        "writable": st.booleans(),
        "detach": st.booleans(),
    },
)


@pytest.mark.parametrize("kind", SOURCES)
@given(st.sampled_from(["numpy", "torch", "jax", "mlx", "pyarrow"]), OPTIONS)
def test_every_call_that_a_refusal_names_works(kind: str, to: str, options: dict[str, Any]) -> None:
    x, error = SOURCES[kind](), None
    try:
        interop.convert(x, to, **options)
    except interop.InteropError as refused:
        error = refused
    assert error is None or follow(x, to, options, error), error
