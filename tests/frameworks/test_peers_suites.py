"""What the DLPack tests of jax and pyarrow ask of their libraries, and a user would of this one, as laws."""

from __future__ import annotations

import gc
import re
from typing import Any

import numpy as np
import pytest
from frameworks.table import ASKED

import interop
from interop.testing import assert_identical

SHAPES = [(), (4,), (3, 4), (2, 3, 4), (3, 1), (1, 4), (2, 1, 4), (0,), (0, 4), (3, 0)]
NUMBERS = [f"{kind}int{bits}" for kind in ("", "u") for bits in (8, 16, 32, 64)] + ["float16", "float32", "float64"]

jax_here = pytest.mark.skipif("jax" not in ASKED, reason="this run was not asked to test jax")
pyarrow_here = pytest.mark.skipif("pyarrow" not in ASKED, reason="this run was not asked to test pyarrow")


def filled(shape: tuple[int, ...], dtype: str, *, aligned: bool = True) -> np.ndarray[Any, Any]:
    """An array whose memory begins at a multiple of 64 bytes, or certainly doesn't."""
    if aligned:
        made = interop.empty_aligned(shape, dtype)
    else:
        made = interop.empty_aligned((int(np.prod(shape)) + 1,), dtype)[1:].reshape(shape)
    made[...] = np.arange(made.size).reshape(shape)
    return made


@jax_here
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_numpy_to_jax_and_back_with_every_copy(shape: tuple[int, ...], aligned: bool) -> None:
    for dtype in ("int8", "uint16", "int32", "float16", "float32", "complex64"):
        a = filled(shape, dtype, aligned=aligned)
        for copy in (None, True):
            x = interop.to_jax(a, copy=copy)
            assert_identical(a, x)
            assert_identical(a, interop.to_numpy(x))
            assert not interop.shares_memory(a, x)
        if aligned or not a.size:
            assert_identical(a, interop.to_jax(a, copy=False))
        else:
            with pytest.raises(ValueError, match="copy=False"):
                interop.to_jax(a, copy=False)


@jax_here
def test_another_order_of_axes_comes_to_jax_with_its_values() -> None:
    a = filled((2, 2), "float32").T
    assert_identical(a, interop.to_jax(a))
    assert interop.to_numpy(interop.to_jax(a)).tolist() == a.tolist()


@jax_here
def test_a_capsule_of_jax_is_good_once_and_the_array_stays_good() -> None:
    import jax.numpy as jnp

    x = jnp.arange(4, dtype="float32")
    capsule = x.__dlpack__()
    assert interop.to_numpy(capsule).tolist() == [0, 1, 2, 3]
    with pytest.raises(TypeError, match="consumed"):
        interop.to_numpy(capsule)
    assert x.tolist() == [0, 1, 2, 3]
    assert not hasattr(interop.view(x), "__cuda_array_interface__")


@jax_here
def test_jax_never_gets_fewer_bits_without_a_word() -> None:
    import jax

    a = np.array([2**40 + 1])
    with jax.enable_x64(False):
        with pytest.raises(TypeError, match="x64"):
            interop.to_jax(a)
        assert interop.to_jax(a, dtype="nearest").dtype == "int32"
    with jax.enable_x64(True):
        assert interop.to_numpy(interop.to_jax(a)) == a


@pyarrow_here
@pytest.mark.parametrize("dtype", NUMBERS)
def test_arrow_arrays_and_their_slices_go_out_where_they_are(dtype: str) -> None:
    import pyarrow as pa

    before = pa.total_allocated_bytes()
    x = pa.array([1, 2, 3], pa.from_numpy_dtype(np.dtype(dtype)))
    for piece in (x, x.slice(1, 1), x.slice(0, 1), x.slice(1), x.slice(3), x[:0]):
        a = interop.to_numpy(piece)
        assert a.dtype == dtype
        assert a.tolist() == piece.to_pylist()
        assert not a.flags.writeable
        assert interop.view(piece).__dlpack_device__() == (1, 0)
        assert interop.shares_memory(a, x) == bool(len(piece))
    del x, piece
    gc.collect()
    # The last result is empty: it holds nothing that was allocated, or all of it until it goes.
    del a
    assert pa.total_allocated_bytes() == before


@pyarrow_here
@pytest.mark.parametrize(
    ("values", "tp"),
    [([1, None, 3], "int64"), ([[0, 1], [3, 4]], "list<int32>"), (["a"], "string"), ([None], "null")],
    ids=["nulls", "lists", "strings", "the type null"],
)
def test_what_arrow_cant_say_in_dlpack_is_refused(values: list[Any], tp: str) -> None:
    import pyarrow as pa

    types = {"int64": pa.int64(), "list<int32>": pa.list_(pa.int32()), "string": pa.string(), "null": pa.null()}
    x = pa.array(values, types[tp])
    for leave in (interop.to_numpy, interop.view):
        with pytest.raises(TypeError, match=re.compile("pyarrow|null|list|string")) as caught:
            leave(x)
        assert isinstance(caught.value, interop.InteropError)


@pyarrow_here
def test_bits_of_arrow_become_booleans_by_a_copy() -> None:
    import pyarrow as pa

    x = pa.array([True, False, True])
    a = interop.to_numpy(x)
    assert a.dtype == bool
    assert a.tolist() == [True, False, True]
    with pytest.raises(BufferError):
        interop.to_numpy(x, copy=False)
