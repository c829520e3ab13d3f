"""array_api_strict: the standard's namespace and no more, and devices that pretend."""

from __future__ import annotations

import re
from typing import Any

import array_api_strict as xp
import numpy as np
import pytest
from hypothesis import given
from layouts import steps_of

import interop
from interop.testing import assert_identical
from interop.testing.strategies import numpy_arrays

ELSEWHERE = xp.Device("device1")


@given(a=numpy_arrays())
def test_a_round_trip_keeps_memory_layout_and_readonly(a: np.ndarray[Any, Any]) -> None:
    plan = interop.explain(a, "array_api_strict")
    assert plan.certain
    if not plan.ok:
        with pytest.raises(interop.DTypeError, match=re.escape(str(plan.error))):
            interop.to_array_api_strict(a)
        assert not hasattr(xp, str(interop.dtype(a)))
        return
    x = interop.to_array_api_strict(a)
    assert x.__array_namespace__() is xp
    back = interop.to_numpy(x)
    assert_identical(back, a)
    assert steps_of(back) == steps_of(a) or plan.reasons or not a.size
    if a.size:
        assert (back.ctypes.data == a.ctypes.data) == plan.zero_copy
        assert plan.zero_copy or not a.dtype.isnative or any(step % a.itemsize for step in steps_of(a))
        assert back.flags.writeable == (a.flags.writeable or not plan.zero_copy)


def test_half_precision_is_not_in_the_standard() -> None:
    with pytest.raises(interop.DTypeError, match="dtype='float32'"):
        interop.to_array_api_strict(np.zeros(2, "float16"))
    assert interop.to_array_api_strict(np.zeros(2, "float16"), dtype=xp.float64).dtype == xp.float64


def test_nothing_leaves_a_device_unless_it_is_asked_for() -> None:
    """Its __dlpack_device__ says CPU on every device: code that forgets a device goes unnoticed."""
    x = xp.asarray([1.0, 2.0], device=ELSEWHERE)
    assert str(interop.device(x)) == "ext_dev:1"
    with pytest.raises(interop.DeviceError, match="device='cpu'"):
        interop.to_numpy(x)
    a = interop.to_numpy(x, device="cpu")
    assert a.tolist() == [1, 2]
    assert not interop.shares_memory(a, x)
    plan = interop.explain(x, "numpy", device="cpu")
    assert (plan.certain, plan.transferred_bytes, plan.copied_bytes) == (True, 16, 0)


@pytest.mark.parametrize("device", [ELSEWHERE, "ext_dev:1", (12, 1)], ids=str)
def test_its_devices_are_named_by_its_own_objects(device: Any) -> None:
    x = interop.to_array_api_strict(np.arange(3.0), device=device)
    assert x.device == ELSEWHERE
    assert interop.to_array_api_strict(x, device="cpu").device == xp.Device("CPU_DEVICE")
    assert interop.to_array_api_strict(x, device=device) is x
    assert interop.convert_like(np.zeros(2), x).device == ELSEWHERE
    assert interop.to_array_api_strict(x, copy=True).device == ELSEWHERE


def test_a_view_says_which_device_and_is_no_host_memory() -> None:
    x = xp.asarray([1.0, 2.0], device=ELSEWHERE)
    v = interop.view(x)
    assert v.device == "ext_dev:1"
    with pytest.raises(BufferError):
        memoryview(v)
    assert interop.to_array_api_strict(v).device == ELSEWHERE
    assert interop.shares_memory(interop.to_array_api_strict(v), x)


def test_writing_goes_through() -> None:
    x = xp.zeros((2, 3))
    interop.copyto(x, np.arange(3.0))
    interop.to_numpy(x)[1] = 7
    assert_identical(interop.to_numpy(x), np.array([[0, 1, 2], [7, 7, 7]], "float64"))
