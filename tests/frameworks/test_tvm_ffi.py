"""tvm_ffi: tensors without operations, in any layout."""

from __future__ import annotations

import gc
import re
from typing import Any

import numpy as np
import pytest
import tvm_ffi
from hypothesis import given
from layouts import steps_of

import interop
from interop.protocols import make_view
from interop.testing import assert_identical
from interop.testing.strategies import numpy_arrays


@given(a=numpy_arrays())
def test_a_round_trip_keeps_memory_and_layout(a: np.ndarray[Any, Any]) -> None:
    plan = interop.explain(a, "tvm_ffi")
    assert plan.certain
    if not plan.ok:
        with pytest.raises(interop.DTypeError, match=re.escape(str(plan.error))):
            interop.to_tvm_ffi(a)
        # Packed there and padded here: int4 and its like.
        assert interop.dtype(a).bits < 8
        return
    x = interop.to_tvm_ffi(a)
    back = interop.to_numpy(x)
    assert_identical(back, a)
    if a.size:
        assert (back.ctypes.data == a.ctypes.data) == plan.zero_copy
        plain = a.dtype.isnative and not any(step % a.itemsize for step in steps_of(a))
        assert plan.zero_copy == (plain and a.flags.writeable and a.ctypes.data % a.itemsize == 0)


def test_what_has_no_name_there_is_handed_over_all_the_same() -> None:
    a = np.array([1 + 2j, 3], "complex64")
    x = interop.to_tvm_ffi(a)
    with pytest.raises(ValueError, match="type_code=5"):
        x.dtype  # noqa: B018 - tvm_ffi can't say it
    assert interop.dtype(x) == "complex64"
    assert interop.to_numpy(x).ctypes.data == a.ctypes.data


def test_readonly_memory_is_copied_or_promised() -> None:
    data = bytes(range(16))
    a = np.frombuffer(data, "uint8")
    with pytest.raises(interop.ReadOnlyError, match="writable=False"):
        interop.to_tvm_ffi(a, copy=False)
    interop.copyto(interop.to_tvm_ffi(a), np.full(16, 255, "uint8"))
    assert data == bytes(range(16))
    assert interop.to_tvm_ffi(a, writable=False).data_ptr() == a.ctypes.data


def test_a_byte_offset_is_counted() -> None:
    a = np.arange(6.0)
    offset = make_view(a.ctypes.data, (4,), (1,), (2, 64, 1), (1, 0), readonly=False, owner=a, byte_offset=16)
    x = tvm_ffi.from_dlpack(offset)
    assert interop.to_numpy(x).tolist() == [2, 3, 4, 5]
    assert interop.view(x).ptr == a.ctypes.data + 16


def test_its_objects_are_known() -> None:
    x = interop.to_tvm_ffi(np.zeros((2, 3), "float32"))
    assert interop.framework(x) == "tvm_ffi"
    assert interop.DType(x.dtype) == "float32"
    assert interop.Device(x.device) == "cpu"
    assert interop.convert(x, tvm_ffi) is x


def test_memory_lives_as_long_as_either_end() -> None:
    a = np.arange(100_000.0)
    x = interop.to_tvm_ffi(a.copy())
    gc.collect()
    rubbish = [np.full(a.shape, np.nan) for _ in range(4)]
    y = interop.to_numpy(x)
    del x, rubbish
    gc.collect()
    rubbish = [np.full(a.shape, np.nan) for _ in range(4)]
    assert_identical(y, a)
    del rubbish
