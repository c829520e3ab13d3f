"""dpnp, on a real device that isn't the host: SYCL on an OpenCL runtime for CPUs (make test-frameworks)."""

from __future__ import annotations

import gc
import re
from typing import Any

import dpctl
import dpnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import interop
from interop._adapters import _dpnp
from interop.testing import assert_identical
from interop.testing.strategies import numpy_arrays


def test_the_device_is_none_that_the_host_can_read() -> None:
    x = dpnp.arange(6, dtype="float32").reshape(2, 3)
    assert interop.device(x) == "oneapi:0"
    assert interop.dtype(x) == "float32"
    with pytest.raises(interop.DeviceError, match=r"to_numpy\(x, device='cpu'\) asks for the move"):
        interop.to_numpy(x)
    v = interop.view(x)
    assert (str(v.device), v.strides) == ("oneapi:0", (3, 1))
    with pytest.raises(BufferError):
        memoryview(v)
    with pytest.raises(interop.DeviceError):
        interop.to_numpy(v)


def test_what_is_on_the_host_goes_to_a_device_on_request_only() -> None:
    a = np.arange(6.0).reshape(2, 3)
    with pytest.raises(interop.DeviceError, match=r"to_dpnp\(x, device='oneapi:0'\) asks for the move"):
        interop.to_dpnp(a)
    x = interop.to_dpnp(a, device="oneapi")
    assert isinstance(x, dpnp.ndarray)
    a[0, 0] = 7
    assert dpnp.asnumpy(x)[0, 0] == 0
    with pytest.raises(interop.DeviceError, match="device='oneapi:0'"):
        interop.to_dpnp(a, device="oneapi:7")
    with pytest.raises(interop.DeviceError):
        interop.to_dpnp(a, device="cuda:0")
    with pytest.raises(interop.CopyError):
        interop.to_dpnp(a, device="oneapi", copy=False)


def test_no_cuda_device_is_made_of_it() -> None:
    """dpnp's __dlpack__ takes dl_device=(2, 0) without a word and exports its own memory."""
    x = dpnp.zeros(3)
    for target in ("numpy", "dpnp"):
        with pytest.raises(interop.DeviceError):
            interop.convert(x, target, device="cuda:0")


@settings(max_examples=60)
@given(a=numpy_arrays(), order=st.sampled_from([None, "C", "F"]))
def test_there_and_back_is_the_identity_and_the_plan_is_exact(a: np.ndarray[Any, Any], order: Any) -> None:
    plan = interop.explain(a, "dpnp", device="oneapi", order=order)
    assert plan.certain
    if not plan.ok:
        with pytest.raises(interop.DTypeError, match=re.escape(str(plan.error))):
            interop.to_dpnp(a, device="oneapi", order=order)
        return
    x = interop.to_dpnp(a, device="oneapi", order=order)
    assert plan.transferred_bytes == a.nbytes
    back = interop.explain(x, "numpy", device="cpu")
    assert (back.certain, back.transferred_bytes, back.copied_bytes) == (True, a.nbytes, 0)
    assert_identical(interop.to_numpy(x, device="cpu"), a)
    if order is not None:
        assert x.flags.c_contiguous if order == "C" else x.flags.f_contiguous


@pytest.mark.parametrize(
    "cut",
    [lambda x: x[1:], lambda x: x[:, 1], lambda x: x.T, lambda x: x[::-1, ::2], lambda x: x[1:1]],
    ids=["rows", "a column", "transposed", "stepped, from the end", "nothing"],
)
def test_pieces_are_where_they_are(cut: Any) -> None:
    a = np.arange(24, dtype="int32").reshape(4, 6)
    x = dpnp.asarray(a)
    assert_identical(interop.to_numpy(cut(x), device="cpu"), cut(a))
    v = interop.view(cut(x))
    if v.size:
        assert v.ptr - interop.view(x).ptr == cut(a).ctypes.data - a.ctypes.data
        assert interop.shares_memory(x, cut(x))
    same = interop.to_dpnp(v)
    assert_identical(dpnp.asnumpy(same), cut(a))


def test_memory_of_the_same_device_is_shared() -> None:
    x = dpnp.zeros((2, 3))
    y = interop.to_dpnp(interop.view(x))
    y[0] = 1
    assert dpnp.asnumpy(x)[0].tolist() == [1, 1, 1]
    assert interop.to_dpnp(x) is x
    assert interop.to_dpnp(x.get_array()) is x.get_array()
    assert not interop.to_dpnp(interop.view(x).with_readonly()).flags.writable
    assert not interop.to_dpnp(x, writable=False).flags.writable
    assert not interop.shares_memory(interop.to_dpnp(x, copy=True), x)


def test_what_runs_backwards_is_marked_readonly_without_a_copy() -> None:
    x = dpnp.arange(24, dtype="float32").reshape(4, 6)[::-1]
    for each in (x, interop.to_dpnp(x, writable=False)):
        y = interop.to_dpnp(each, copy=False, writable=False)
        assert (y.flags.writable, y.strides) == (False, x.strides)
        assert interop.shares_memory(x, y)
        assert_identical(dpnp.asnumpy(y), dpnp.asnumpy(x))


def test_casts_happen_on_the_side_that_can() -> None:
    x = dpnp.arange(4, dtype="float32")
    assert interop.to_numpy(x, device="cpu", dtype="bfloat16").tolist() == [0, 1, 2, 3]
    assert interop.to_numpy(x, device="cpu", dtype="int16").dtype == np.int16
    assert interop.to_dpnp(np.arange(4), device="oneapi", dtype="float32").dtype == np.float32
    with pytest.raises(interop.DTypeError, match="dtype='float32'"):
        interop.to_dpnp(np.zeros(2, interop.DType("bfloat16").numpy), device="oneapi")


def test_values_are_written_across() -> None:
    x = dpnp.zeros((2, 3))
    interop.copyto(x, np.arange(3.0))
    a = np.zeros((2, 3))
    interop.copyto(a, x)
    assert a.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_memory_that_becomes_readonly_is_filled_first() -> None:
    """pyarrow's arrays are: a copy by the queue into one of these was refused."""
    memory = np.zeros(6, "float32")
    _dpnp.adapter.assign(interop.view(memory).with_readonly(), dpnp.arange(6, dtype="float32"))
    assert memory.tolist() == [0, 1, 2, 3, 4, 5]


def test_its_device_objects_are_known() -> None:
    x = dpnp.zeros(1)
    for device in (x.device, x.sycl_device, x.sycl_queue, dpctl.select_default_device()):
        assert interop.Device(device) == "oneapi:0"
    assert interop.convert_like(np.ones(2), x).sycl_device == x.sycl_device


def test_what_is_queued_is_done_before_it_leaves() -> None:
    x = dpnp.ones((512, 512), dtype="float32")
    for _ in range(8):
        x = dpnp.matmul(x, x) / 512
    assert (interop.to_numpy(x, device="cpu") == 1).all()


def test_a_view_keeps_the_allocation() -> None:
    v = interop.view(dpnp.full(100_000, 3.0))
    gc.collect()
    rubbish = [dpnp.zeros(100_000) for _ in range(4)]
    assert (dpnp.asnumpy(interop.to_dpnp(v)) == 3).all()
    del rubbish
