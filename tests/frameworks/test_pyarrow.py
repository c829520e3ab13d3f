"""pyarrow: what is an array and what a tensor, and everything in Arrow that is no strided memory."""

from __future__ import annotations

import gc
import re
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from refusals import refused

import interop
from interop.testing import assert_identical
from interop.testing.strategies import numpy_arrays

NUMBERS = [pa.int8(), pa.uint16(), pa.int32(), pa.uint64(), pa.float16(), pa.float32(), pa.float64()]


def pointer(x: Any) -> int:
    return interop.view(x).ptr


@pytest.mark.parametrize("tp", NUMBERS, ids=str)
def test_an_array_is_a_readonly_view(tp: pa.DataType) -> None:
    x = pa.array(np.arange(6, dtype=tp.to_pandas_dtype()))
    plan = interop.explain(x, "numpy")
    a = interop.to_numpy(x)
    assert plan.certain
    assert plan.zero_copy
    assert a.dtype == tp.to_pandas_dtype()
    assert a.tolist() == x.to_pylist()
    assert a.ctypes.data == x.buffers()[1].address
    assert not a.flags.writeable


def test_a_slice_begins_where_it_begins() -> None:
    x = pa.array(range(10), pa.int16())
    for piece in (x[3:], x[2:5][1:], x[10:]):
        assert interop.to_numpy(piece).tolist() == piece.to_pylist()
    assert interop.to_numpy(x[3:]).ctypes.data == pointer(x) + 6
    assert interop.shares_memory(x, x[3:])
    assert not interop.shares_memory(x[:3], x[3:])


def test_a_slice_without_the_nulls_of_the_whole_is_taken() -> None:
    x = pa.array([None, 1.0, 2.0])
    assert interop.to_numpy(x[1:]).tolist() == [1.0, 2.0]


def test_arrows_constants_reach_torch_as_a_copy_or_on_a_promise() -> None:
    torch = pytest.importorskip("torch")
    x = pa.array([1.0, 2.0])
    t = interop.to_torch(x)
    t.fill_(7)
    assert x.to_pylist() == [1.0, 2.0]
    with pytest.raises(interop.ReadOnlyError, match="writable=False"):
        interop.to_torch(x, copy=False)
    assert interop.to_torch(x, writable=False).data_ptr() == pointer(x)
    assert torch.equal(interop.to_torch(x[1:]), torch.tensor([2.0], dtype=torch.float64))


REFUSED: list[tuple[Any, str]] = [
    (pa.array([1, None]), r"x\.fill_null\(0\)"),
    (pa.array(["a"]), "as numbers first"),
    (pa.array([b"a"]), "as numbers first"),
    (pa.array([1], pa.timestamp("s")), r"x\.cast\('int64'\)"),
    (pa.array([1], pa.date32()), r"x\.cast\('int32'\)"),
    (pa.array([1], pa.time64("us")), r"x\.cast\('int64'\)"),
    (pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "several numbers"),
    (pa.array([1], pa.decimal128(3)), r"x\.cast\('float64'\)"),
    (pa.array([[1]]), r"x\.flatten\(\)"),
    (pa.array([[1]], pa.list_(pa.int8(), 1)), r"x\.flatten\(\)"),
    (pa.array([{"a": 1}]), r"x\.field\(0\)"),
    (pa.array(["a"]).dictionary_encode(), r"x\.indices"),
    (pa.array([None]), r"x\.cast\('float64'\)"),
    (pa.chunked_array([["a"], ["b"]]), "as numbers first"),
    (pa.chunked_array([[1], [None]]), r"x\.fill_null\(0\)"),
    (pa.table({"a": [1]}), r"x\['a'\]"),
    (pa.record_batch({"a": pa.array([1])}), r"x\.to_tensor\(\)"),
    (pa.scalar(1), r"pyarrow\.array\(\[x\]\)"),
    (pa.py_buffer(b"ab"), r"numpy\.frombuffer\(x, 'uint8'\)"),
    (pa.SparseCOOTensor.from_dense_numpy(np.eye(2)), r"x\.to_tensor\(\)"),
    (pa.array([1], pa.int64()).cast(pa.int64()).dictionary_encode(), r"x\.dictionary_decode\(\)"),
]


@pytest.mark.parametrize(("x", "fix"), REFUSED, ids=lambda value: type(value).__name__)
def test_what_is_no_tensor_is_refused_with_what_makes_one(x: Any, fix: str) -> None:
    assert re.search(fix, refused(x, calls=(interop.to_numpy,)))
    # The framework's own objects are the framework's own, whatever they hold.
    assert interop.to_pyarrow(x) is x


@pytest.mark.parametrize(
    ("x", "call"),
    [
        (pa.array([1, None]), lambda x: x.fill_null(0)),
        (pa.array([1, None]), lambda x: x.drop_null()),
        (pa.array([1], pa.timestamp("s")), lambda x: x.view("int64")),
        (pa.array([1], pa.date32()), lambda x: x.view("int32")),
        (pa.array([1], pa.decimal128(3)), lambda x: x.cast("float64")),
        (pa.array([[1, 2]]), lambda x: x.flatten()),
        (pa.array([{"a": 1}]), lambda x: x.field(0)),
        (pa.array(["a"]).dictionary_encode(), lambda x: x.indices),
        (pa.array([None]), lambda x: x.cast("float64").fill_null(0)),
        (pa.chunked_array([[1], [2]]), lambda x: x.combine_chunks()),
        (pa.table({"a": [1]}), lambda x: x["a"].combine_chunks()),
        (pa.record_batch({"a": pa.array([1])}), lambda x: x.to_tensor()),
        (pa.scalar(1), lambda x: np.asarray(x.as_py())),
        (pa.SparseCOOTensor.from_dense_numpy(np.eye(2)), lambda x: x.to_tensor()),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_refusal_names_works(x: Any, call: Any) -> None:
    assert interop.to_numpy(call(x)).size


CHUNKED = [
    (pa.chunked_array([[1, 2], [], [3]]), [1, 2, 3]),
    (pa.chunked_array([pa.array([0, 1.5])[1:], pa.array([2.5])]), [1.5, 2.5]),
    (pa.chunked_array([], pa.int8()), []),
    (pa.chunked_array([[True], [False, True]]), [True, False, True]),
]


@pytest.mark.parametrize(("x", "values"), CHUNKED, ids=lambda value: str(len(value)))
def test_chunks_are_copied_one_after_the_other(x: Any, values: list[Any]) -> None:
    name = interop.dtype(x).name
    for to in ("numpy", "torch", "mlx"):
        plan = interop.explain(x, to)
        assert plan.certain
        assert not plan.zero_copy
        assert plan.copied_bytes == interop.view(interop.to_numpy(x)).nbytes
        made = interop.convert(x, to)
        assert (interop.dtype(made).name, made.tolist()) == (name, values)
        assert interop.convert(x, to, dtype="float32").tolist() == [float(value) for value in values]
    if name != "bool":
        assert interop.to_torch(x, dtype="bfloat16").tolist() == [float(value) for value in values]
    assert interop.to_pyarrow(x) is x
    copied = interop.to_pyarrow(x, copy=True)
    assert (copied.type, copied.to_pylist()) == (x.type, values)
    for call in (lambda: interop.to_numpy(x, copy=False), lambda: interop.view(x)):
        with pytest.raises(interop.CopyError, match=r"interop\.(view\(interop\.)?to_numpy\(x"):
            call()


def test_a_chunked_array_of_one_chunk_is_its_chunk() -> None:
    chunk = pa.array([1, 2, 3])
    assert pointer(pa.chunked_array([chunk])) == pointer(chunk)
    assert interop.to_numpy(pa.chunked_array([chunk])).tolist() == [1, 2, 3]


def test_a_tensor_is_as_readonly_as_what_it_was_made_of() -> None:
    a = np.arange(6.0).reshape(2, 3)
    x = pa.Tensor.from_numpy(a)
    interop.to_numpy(x)[0, 0] = 7
    assert a[0, 0] == 7
    a.flags.writeable = False
    assert not interop.to_numpy(pa.Tensor.from_numpy(a)).flags.writeable
    assert interop.to_numpy(pa.Tensor.from_numpy(a.T)).strides == a.T.strides


@pytest.mark.parametrize("to", ["numpy", "torch"])
def test_bits_are_unpacked_and_packed_again(to: str) -> None:
    pytest.importorskip(to)
    flags = [True, False, False, True] * 5
    for x in (pa.array(flags), pa.array(flags)[3:], pa.chunked_array([flags]), pa.array([], pa.bool_())):
        plan = interop.explain(x, to)
        assert (plan.certain, plan.zero_copy, plan.copied_bytes) == (True, False, len(x))
        a = interop.convert(x, to)
        assert a.tolist() == x.to_pylist()
        back = interop.to_pyarrow(a)
        assert back.type == pa.bool_()
        assert back.to_pylist() == x.to_pylist()
        back.validate(full=True)
        with pytest.raises((interop.CopyError, interop.ReadOnlyError)):
            interop.convert(x, to, copy=False)
        with pytest.raises(interop.CopyError):
            interop.to_pyarrow(a, copy=False)
    assert interop.to_numpy(pa.array(flags), dtype="float32").tolist() == [float(flag) for flag in flags]
    assert interop.to_pyarrow(pa.array(flags), copy=True).to_pylist() == flags
    assert interop.to_pyarrow(np.array([0, 2]), dtype="bool").to_pylist() == [False, True]
    assert interop.to_pyarrow(pa.array(flags), dtype="int8").to_pylist() == [int(flag) for flag in flags]


def test_bits_with_nulls_are_refused() -> None:
    with pytest.raises(interop.UnsupportedError, match="fill_null"):
        interop.to_numpy(pa.array([True, None]))


def test_a_tensor_of_booleans_never_becomes_one_of_integers() -> None:
    flags = np.array([[True, False], [False, True]])
    with pytest.raises(interop.DTypeError, match="dtype='uint8'"):
        interop.to_pyarrow(flags)
    assert interop.to_pyarrow(flags, dtype="uint8").type == pa.uint8()


def test_arrays_of_tensors_are_one_tensor() -> None:
    a = np.arange(24.0).reshape(4, 2, 3)
    x = pa.FixedShapeTensorArray.from_numpy_ndarray(a)
    got = interop.to_numpy(x)
    assert_identical(got, a)
    assert not got.flags.writeable
    assert_identical(interop.to_numpy(x[1:3]), a[1:3])
    assert pointer(x[1:]) == pointer(x) + a[0].nbytes
    nulls = pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.float64(), [2]), pa.array([[1.0, None]], pa.list_(pa.float64(), 2))
    )
    with pytest.raises(interop.UnsupportedError, match="nulls inside"):
        interop.to_numpy(nulls)
    missing = pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.float64(), [2]), pa.array([None, [1.0, 2.0]], pa.list_(pa.float64(), 2))
    )
    with pytest.raises(interop.UnsupportedError, match="nulls"):
        interop.to_numpy(missing)


def test_a_permuted_array_of_tensors_has_its_axes_where_it_says() -> None:
    a = np.arange(24.0).reshape(4, 2, 3)
    tp = pa.fixed_shape_tensor(pa.float64(), [2, 3], permutation=[1, 0])
    x = pa.ExtensionArray.from_storage(tp, pa.FixedSizeListArray.from_arrays(pa.array(a.ravel()), 6))
    assert_identical(interop.to_numpy(x), x.to_numpy_ndarray())


def test_booleans_of_a_byte_each_are_a_view() -> None:
    x = pa.array([1, 0, 1], pa.int8()).cast(pa.bool8())
    a = interop.to_numpy(x)
    assert a.tolist() == [True, False, True]
    assert interop.explain(x, "numpy").zero_copy


@given(a=numpy_arrays())
def test_one_dimension_is_an_array_and_every_other_number_a_tensor(a: np.ndarray[Any, Any]) -> None:
    plan = interop.explain(a, "pyarrow")
    assert plan.certain
    if not plan.ok:
        with pytest.raises(interop.DTypeError, match=re.escape(str(plan.error))):
            interop.to_pyarrow(a)
        return
    x = interop.to_pyarrow(a)
    assert isinstance(x, pa.Array if a.ndim == 1 else pa.Tensor)
    assert interop.dtype(x) == interop.dtype(a)
    assert_identical(interop.to_numpy(x), a)
    if a.size:
        assert interop.shares_memory(a, x) == plan.zero_copy
    if a.ndim != 1:
        assert x.is_mutable == (a.flags.writeable or bool(plan.reasons))
    if isinstance(x, pa.Array):
        x.validate(full=True)


@given(a=numpy_arrays(), order=st.sampled_from([None, "C", "F"]), writable=st.sampled_from([None, False]))
def test_a_copy_is_fresh(a: np.ndarray[Any, Any], order: Any, writable: bool | None) -> None:
    try:
        x = interop.to_pyarrow(a, copy=True, order=order, writable=writable)
    except interop.DTypeError:
        return
    assert_identical(interop.to_numpy(x), a)
    assert not interop.shares_memory(a, x)
    assert isinstance(x, pa.Array) or x.is_mutable == (writable is None)


def test_a_view_is_no_copy_where_pyarrow_makes_none() -> None:
    a = np.arange(24.0).reshape(4, 6)
    for x in (a, a.T, a[:, ::2], a[1:, 1:], np.broadcast_to(a[0], (4, 6))):
        assert interop.explain(x, pa).zero_copy
    assert interop.explain(a[0], pa).zero_copy
    reasons = interop.explain(a[:, 0], pa).reasons
    assert reasons == ("pyarrow can't hold strides with gaps or overlap such as (6,)",)
    assert interop.explain(a[::-1], pa).reasons == ("pyarrow can't hold negative strides such as (-6, 1)",)


def test_memory_lives_as_long_as_either_end() -> None:
    a = np.arange(100_000.0)
    for shape in ((100_000,), (100, 1000)):
        x: Any = interop.to_pyarrow(a.copy().reshape(shape))
        gc.collect()
        rubbish = [np.full(a.shape, np.nan) for _ in range(4)]
        assert_identical(interop.to_numpy(x).ravel(), a)
        y = interop.to_numpy(x)
        del x, rubbish
        gc.collect()
        rubbish = [np.full(a.shape, np.nan) for _ in range(4)]
        assert_identical(y.ravel(), a)
        del rubbish


def test_an_array_can_not_be_written() -> None:
    x = pa.array([1.0, 2.0])
    with pytest.raises(interop.ReadOnlyError):
        interop.copyto(x, np.zeros(2))
    a = np.zeros((2, 2))
    interop.copyto(pa.Tensor.from_numpy(a), np.ones(2))
    assert a.tolist() == [[1, 1], [1, 1]]


def test_pyarrows_types_name_element_types() -> None:
    assert interop.DType(pa.float32()) == "float32"
    assert interop.DType(pa.bool_()) == "bool"
    assert interop.to_numpy(np.ones(2), dtype=pa.float16()).dtype == np.float16
    with pytest.raises(interop.DTypeError):
        interop.DType(pa.string())


def test_a_view_of_bits_is_refused_with_the_call_that_works() -> None:
    x = pa.array([True, False])
    with pytest.raises(interop.CopyError, match=re.escape("interop.view(interop.to_numpy(x, copy=True)) copies")):
        interop.view(x)
    assert interop.view(interop.to_numpy(x, copy=True)).dtype == "bool"
    assert_identical(x, np.array([True, False]))
