"""Sources that wrap arrays: pandas, polars, xarray; and scipy's sparse arrays, which are none."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
import xarray as xr
from refusals import refused

import interop
from interop.testing import assert_identical

NUMBERS = ["int8", "uint16", "int64", "float32", "float64"]


@pytest.mark.parametrize("dtype", [*NUMBERS, "float16", "bool", "complex64"])
def test_a_pandas_series_is_a_readonly_view(dtype: str) -> None:
    x = pd.Series(np.ones(5, dtype))
    plan = interop.explain(x, "numpy")
    a = interop.to_numpy(x)
    assert (plan.certain, plan.zero_copy, plan.source) == (True, True, "pandas")
    assert_identical(a, x.to_numpy())
    assert a.ctypes.data == x.to_numpy().ctypes.data
    assert not a.flags.writeable
    assert interop.framework(x) == "pandas"
    assert interop.dtype(x) == dtype


@pytest.mark.parametrize(
    "x",
    [
        pd.Series([1, 2], dtype="Int64"),
        pd.Series([1.5, 2], dtype="Float32"),
        pd.Series([True, False], dtype="boolean"),
        pd.Series([1, 2], dtype="int32[pyarrow]"),
        pd.Series(np.arange(6)[::2]),
        pd.Series([1, 2, 3])[1:],
        pd.Index([1, 2]),
        pd.RangeIndex(3),
        pd.Series([1, 2]).array,
    ],
    ids=lambda x: f"{type(x).__name__} {x.dtype}",
)
def test_other_kinds_of_pandas_are_views_too(x: Any) -> None:
    a = interop.to_numpy(x)
    assert_identical(a, np.asarray(x.to_numpy()))
    assert not a.flags.writeable
    assert interop.explain(x, "numpy").zero_copy


REFUSED: list[tuple[Any, str, Any]] = [
    (pd.Series([1, None], dtype="Int64"), r"x\.fillna\(0\)", lambda x: x.fillna(0)),
    (pd.Series([1, None], dtype="int32[pyarrow]"), "has nulls", None),
    (pd.Series(["a"]), "as numbers first", None),
    (pd.Series([1, 2], dtype=object), r"x\.to_numpy\(\)\.astype\('int64'\)", lambda x: x.astype("int64")),
    (pd.Series(["a"], dtype="category"), r"x\.cat\.codes", lambda x: x.cat.codes),
    (pd.Series(["2020-01-01"], dtype="datetime64[s]"), r"x\.astype\('int64'\)", lambda x: x.astype("int64")),
    (pd.Series([1], dtype="datetime64[ns, UTC]"), r"x\.astype\('int64'\)", lambda x: x.astype("int64")),
    (pd.Series([1], dtype="timedelta64[ns]"), r"x\.astype\('int64'\)", lambda x: x.astype("int64")),
    (pd.Series(pd.arrays.SparseArray([0, 1])), r"x\.sparse\.to_dense\(\)", lambda x: x.sparse.to_dense()),
    (pd.DataFrame({"a": [1], "b": [1.0]}), r"x\.to_numpy\(\) or x\.iloc\[:, 0\]", lambda x: x["a"]),
    (pd.MultiIndex.from_tuples([(1, 2)]), r"x\.get_level_values\(0\)", lambda x: x.get_level_values(0)),
    (pl.Series([1, None]), r"x\.fill_null\(0\)", lambda x: x.fill_null(0)),
    (pl.Series([1, None]), r"x\.drop_nulls\(\)", lambda x: x.drop_nulls()),
    (pl.Series(["a"]), "as numbers first", None),
    (pl.Series(["a"], dtype=pl.Categorical), r"x\.to_physical\(\)", lambda x: x.to_physical()),
    (pl.Series(["a"], dtype=pl.Enum(["a"])), r"x\.to_physical\(\)", lambda x: x.to_physical()),
    (pl.Series([1], dtype=pl.Datetime), r"x\.to_physical\(\)", lambda x: x.to_physical()),
    (pl.Series([1], dtype=pl.Decimal), r"x\.cast\(polars\.Float64\)", lambda x: x.cast(pl.Float64)),
    (pl.Series([1], dtype=pl.Int128), r"x\.cast\(polars\.Int64\)", lambda x: x.cast(pl.Int64)),
    (pl.Series([[1, 2]]), r"x\.list\.to_array\(2\)", lambda x: x.list.to_array(2)),
    (
        pl.Series([[1.0, None]], dtype=pl.Array(pl.Float32, 2)),
        r"x\.explode\(\)\.fill_null\(0\)",
        lambda x: x.explode().fill_null(0),
    ),
    (pl.DataFrame({"a": [1], "b": [1.0]}), r"x\.to_numpy\(\) or x\['a'\]", lambda x: x["a"]),
    (pl.LazyFrame({"a": [1]}), r"x\.collect\(\)", lambda x: x.collect()["a"]),
    (xr.Dataset({"a": ("x", [1])}), r"x\['a'\]", lambda x: x["a"]),
    (sp.csr_array(np.eye(2)), r"x\.toarray\(\).*x\.indptr", lambda x: x.toarray()),
    (sp.coo_matrix(np.eye(2)), r"x\.toarray\(\).*x\.data", lambda x: x.data),
    (sp.lil_array(np.eye(2)), r"x\.tocoo\(\)\.data", lambda x: x.tocoo().data),
]


@pytest.mark.parametrize(("x", "fix", "call"), REFUSED, ids=lambda value: type(value).__name__)
def test_what_is_no_array_of_numbers_is_refused_with_a_call_that_works(x: Any, fix: str, call: Any) -> None:
    assert re.search(fix, refused(x))
    if call is not None:
        assert interop.to_numpy(call(x)).size


@pytest.mark.parametrize("dtype", [pl.Int8, pl.UInt32, pl.Int64, pl.Float16, pl.Float32, pl.Float64], ids=str)
def test_a_polars_series_is_a_readonly_view(dtype: Any) -> None:
    x = pl.Series([1, 2, 3], dtype=dtype)
    for piece in (x, x[1:], x[3:]):
        a = interop.to_numpy(piece)
        assert a.tolist() == piece.to_list()
        assert not a.flags.writeable
        assert interop.explain(piece, "numpy").zero_copy
    assert interop.to_numpy(x).ctypes.data == x.to_numpy(allow_copy=False).ctypes.data


def test_a_polars_series_of_arrays_is_one_tensor() -> None:
    x = pl.Series([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], dtype=pl.Array(pl.Int16, (2, 2)))
    assert_identical(interop.to_numpy(x), np.arange(1, 9, dtype="int16").reshape(2, 2, 2))


def test_an_xarray_is_what_it_holds() -> None:
    a = np.arange(6.0).reshape(2, 3)
    x = xr.DataArray(a, dims=("y", "x"), coords={"x": [1, 2, 3]})
    got = interop.to_numpy(x)
    got[0, 0] = 7
    assert a[0, 0] == 7
    assert interop.explain(x.T, "numpy").zero_copy
    assert interop.to_numpy(x.variable).ctypes.data == a.ctypes.data
    assert interop.to_numpy(x.x).tolist() == [1, 2, 3]
    interop.copyto(x, np.ones(3))
    assert (a == 1).all()


def test_an_xarray_of_another_library_goes_that_librarys_way() -> None:
    xp = pytest.importorskip("array_api_strict")
    x = xr.DataArray(xp.asarray([1.0, 2.0], device=xp.Device("device1")), dims="x")
    assert str(interop.device(x)) == "ext_dev:1"
    with pytest.raises(interop.DeviceError):
        interop.to_numpy(x)
    assert interop.to_numpy(x, device="cpu").tolist() == [1, 2]


def test_what_an_xarray_has_not_computed_is_not_computed() -> None:
    class Lazy(xr.backends.BackendArray):  # type: ignore[misc]  # Any, where xarray is not installed
        shape = (3,)
        dtype = np.dtype("float64")
        reads = 0

        def __getitem__(self, key: Any) -> Any:
            Lazy.reads += 1
            return np.zeros(3)[key.tuple]

    data = xr.core.indexing.LazilyIndexedArray(Lazy())
    x = xr.DataArray(xr.Variable("x", data))
    with pytest.raises(interop.UnsupportedError, match=r"x\.load\(\)"):
        interop.to_numpy(x)
    assert not interop.explain(x, "numpy").ok
    assert Lazy.reads == 0
    assert interop.to_numpy(x.load()).tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", ["pandas", "polars", "xarray", "scipy"])
def test_sources_only_say_what_to_call_instead(name: str) -> None:
    a = np.eye(2)
    with pytest.raises(interop.UnsupportedError, match=r"converted from, not to.*Call .*interop\.to_numpy"):
        interop.convert(a, name)
    assert not interop.adapters()[name].target
    assert interop.adapters()["numpy"].target


def test_another_byte_order_is_swapped_by_the_framework_of_what_is_wrapped() -> None:
    x = xr.DataArray(np.array([1, 2], ">i4"))
    assert_identical(interop.to_numpy(x), np.array([1, 2], "int32"))
    assert interop.explain(x, "numpy").reasons == ("the elements are in the other byte order",)


def test_arrow_in_pandas_is_arrow() -> None:
    x = pd.Series(pa.chunked_array([[1], [2]]), dtype="int64[pyarrow]")
    assert interop.to_numpy(x).tolist() == [1, 2]
    with pytest.raises(interop.CopyError, match="several blocks"):
        interop.to_numpy(x, copy=False)


APART = [
    (pl.Series([True, False, True]), "encoded", [True, False, True]),
    (pl.concat([pl.Series([True]), pl.Series([False])], rechunk=False), "encoded", [True, False]),
    (pl.concat([pl.Series([1, 2]), pl.Series([3])], rechunk=False), "several blocks", [1, 2, 3]),
    (pl.concat([pl.Series([1.5]), pl.Series([2.5])], rechunk=False)[1:], None, [2.5]),
]


@pytest.mark.parametrize(("x", "why", "values"), APART, ids=["bool", "bools", "chunks", "sliced"])
def test_what_polars_keeps_apart_is_copied(x: Any, why: str | None, values: list[Any]) -> None:
    for to in ("numpy", "torch"):
        made = interop.convert(x, to)
        assert made.tolist() == values
        assert interop.convert(x, to, dtype="float16").tolist() == [float(value) for value in values]
        assert interop.dtype(made) == interop.dtype(x)
    if why is None:
        return
    plan = interop.explain(x, "numpy")
    assert plan.certain
    assert plan.copied_bytes == interop.to_numpy(x).nbytes
    for call in (lambda: interop.to_numpy(x, copy=False), lambda: interop.view(x)):
        with pytest.raises(interop.CopyError, match=r"interop\.(view\(interop\.)?to_numpy\(x"):
            call()


@pytest.mark.parametrize("x", [pl.Series([1]), pl.Series([True])], ids=["plain", "bool"])
def test_a_series_is_called_polars_where_it_cannot_be_written(x: Any) -> None:
    with pytest.raises(interop.ReadOnlyError, match="a polars tensor"):
        interop.copyto(x, np.zeros(1, interop.dtype(x).numpy))


def matrices() -> dict[str, Any]:
    """Tables of one element type, each of the same numbers; how they lie in memory differs."""
    columns = {"a": np.array([1.0, 2.0, 3.0], "f4"), "b": np.array([4.0, 5.0, 6.0], "f4")}
    grown = pd.DataFrame({"a": columns["a"]})
    grown["b"] = columns["b"]
    whole = np.asfortranarray(np.stack(list(columns.values()), 1))
    parts = [pl.DataFrame({name: column[rows] for name, column in columns.items()}) for rows in (slice(2), slice(2, 3))]
    return {
        "pandas": pd.DataFrame(whole),
        "pandas, columns added one by one": grown,
        "polars": pl.DataFrame(columns),
        "polars, on one block": pl.from_numpy(whole, schema=["a", "b"]),
        "polars, in chunks": pl.concat(parts, rechunk=False),
    }


@pytest.mark.parametrize("kind", matrices())
def test_a_table_of_one_element_type_is_a_matrix(kind: str) -> None:
    x = matrices()[kind]
    wanted = np.array([[1, 4], [2, 5], [3, 6]], "f4")
    plan = interop.explain(x, "numpy")
    assert (plan.ok, plan.certain, plan.source) == (True, True, kind.split(",", maxsplit=1)[0])
    a = interop.to_numpy(x)
    assert_identical(a, wanted)
    if plan.zero_copy:
        assert not a.flags.writeable
        assert interop.shares_memory(a, interop.to_numpy(x))
        assert interop.view(x).readonly
    else:
        assert plan.copied_bytes == a.nbytes
        assert not interop.shares_memory(a, interop.to_numpy(x))
        for call in (interop.view, lambda x: interop.to_numpy(x, copy=False)):
            with pytest.raises(interop.CopyError):
                call(x)
    assert interop.to_torch(x).tolist() == wanted.tolist()
    assert interop.to_torch(x, dtype="float64", copy=True).tolist() == wanted.tolist()
    assert (str(interop.dtype(x)), str(interop.device(x))) == ("float32", "cpu")


def test_how_tables_lie_is_told_right() -> None:
    shared = {kind: interop.explain(x, "numpy").zero_copy for kind, x in matrices().items()}
    assert [kind for kind in ("pandas", "polars, on one block") if not shared[kind]] == []
    assert [kind for kind in ("pandas, columns added one by one", "polars, in chunks") if shared[kind]] == []


def test_a_table_with_nulls_or_without_columns_is_no_matrix() -> None:
    for x in (pl.DataFrame({"a": [1, None]}), pl.DataFrame(), pd.DataFrame(), pd.DataFrame({"a": ["x"]})):
        refused(x)


def test_chunks_of_arrays_are_joined() -> None:
    x = pl.concat([pl.Series([[[1, 2], [3, 4]]], dtype=pl.Array(pl.Int16, (2, 2)))] * 3, rechunk=False)
    assert x.n_chunks() == 3
    plan = interop.explain(x, "numpy")
    assert (plan.certain, plan.copied_bytes) == (True, 24)
    assert_identical(interop.to_numpy(x), np.array([[[1, 2], [3, 4]]] * 3, "i2"))
    holed = pl.concat([x, pl.Series([[[1, None], [3, 4]]], dtype=x.dtype)], rechunk=False)
    assert "inside of its arrays" in refused(holed)
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(12.0).reshape(3, 2, 2))
    chunked = pa.chunked_array([tensors, tensors[1:]])
    wanted = np.concatenate([tensors.to_numpy_ndarray(), tensors[1:].to_numpy_ndarray()])
    assert_identical(interop.to_numpy(chunked), wanted)
    assert interop.to_torch(chunked).shape == (5, 2, 2)


def test_an_element_of_an_array_of_tensors_is_a_readonly_view_of_its_shape() -> None:
    tensors = pa.FixedShapeTensorArray.from_numpy_ndarray(np.arange(12.0).reshape(3, 2, 2))
    x = tensors[1]
    a = interop.to_numpy(x)
    assert a.tolist() == [[4, 5], [6, 7]]
    assert not a.flags.writeable
    assert interop.shares_memory(x, tensors)
    null = pa.ExtensionArray.from_storage(tensors.type, pa.array([None], tensors.type.storage_type))[0]
    refused(null)
    holed = pa.ExtensionArray.from_storage(tensors.type, pa.array([[1, 2, 3, None]], tensors.type.storage_type))[0]
    assert "has nulls inside" in refused(holed)


@pytest.mark.parametrize(
    ("ref", "framework"),
    [
        (pd.Series([1.0]), "numpy"),
        (pd.Index([1]), "numpy"),
        (pd.Series([1], dtype="int64[pyarrow]"), "pyarrow"),
        (pd.DataFrame({"a": [1.0]}), "numpy"),
        (pl.Series([1.0]), "numpy"),
        (pl.Series([True]), "numpy"),
        (xr.DataArray(np.ones(2)), "numpy"),
        (xr.Variable("x", np.ones(2)), "numpy"),
    ],
    ids=["series", "index", "arrow series", "frame", "polars", "polars booleans", "xarray", "variable"],
)
def test_like_a_wrapper_is_like_what_is_behind_it(ref: Any, framework: str) -> None:
    made = interop.convert_like(np.arange(3), ref)
    assert interop.framework(made) == framework
    assert interop.to_numpy(made).tolist() == [0, 1, 2]
