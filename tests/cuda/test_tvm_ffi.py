"""tvm_ffi on CUDA: genuine tensors on device memory, ordered after the stream that its functions work on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cuda_scenarios import SIZE, expect, numbers, streams, torch_behind

import cudasim
import interop

tvm_ffi = pytest.importorskip("tvm_ffi")


@pytest.mark.parametrize("target", ["torch", "cupy"])
def test_what_is_queued_on_its_stream_is_waited_for(target: str, torch: Any, cupy: Any) -> None:
    ours, theirs = streams(torch, cupy)
    other = torch.cuda.Stream(device=0)
    t = torch_behind(torch, cupy, ours)
    x = tvm_ffi.from_dlpack(interop.view(t))
    with tvm_ffi.use_raw_stream(tvm_ffi.device("cuda", 0), ours.cuda_stream), torch.cuda.stream(other), theirs:
        made = interop.convert(x, target)
        assert interop.view(made).ptr == t.data_ptr()
        expect(made.cpu() if target == "torch" else made.get(), numbers())


def test_a_view_says_whether_it_is_ordered(torch: Any, cupy: Any) -> None:
    ours, theirs = streams(torch, cupy)
    t = torch_behind(torch, cupy, ours)
    x = tvm_ffi.from_dlpack(interop.view(t))
    with tvm_ffi.use_raw_stream(tvm_ffi.device("cuda", 0), ours.cuda_stream):
        assert not interop.view(x).ordered
        v = interop.view(x, stream=theirs)
    assert v.ordered
    assert v.__cuda_array_interface__["stream"] == theirs.ptr
    with cupy.cuda.Stream(non_blocking=True):
        expect(cupy.asarray(v).get(), numbers())


@pytest.mark.parametrize("source", ["torch", "cupy"])
def test_it_takes_device_memory(source: str, torch: Any, cupy: Any) -> None:
    ours, _ = streams(torch, cupy)
    x = torch_behind(torch, cupy, ours)
    with interop.use_stream(ours):
        if source == "cupy":
            x = interop.to_cupy(x)
        made = interop.convert(x, "tvm_ffi")
        assert interop.explain(x, "tvm_ffi").zero_copy
    assert (made.data_ptr(), tuple(made.shape)) == (interop.view(x).ptr, (SIZE,))
    assert interop.device(made) == "cuda:0"
    with cupy.cuda.Stream(non_blocking=True):
        # Its own stream waited.
        expect(interop.to_cupy(made).get(), numbers())


@pytest.mark.sim_only
def test_on_one_stream_nothing_waits(torch: Any) -> None:
    t = torch.arange(4.0).cuda()
    with cudasim.counting() as done:
        x = interop.convert(t, "tvm_ffi")
        back = interop.to_torch(x)
    assert (done.record, done.wait, done.sync) == (0, 0, 0), str(done)
    np.testing.assert_array_equal(back.cpu(), [0, 1, 2, 3])


def test_a_copy_is_made_before_it_is_handed_over(torch: Any) -> None:
    t = torch.arange(4.0).cuda()
    made = interop.convert(t, "tvm_ffi", copy=True)
    assert not interop.shares_memory(made, t)
    np.testing.assert_array_equal(interop.to_numpy(made, device="cpu"), [0, 1, 2, 3])
    with pytest.raises(interop.DeviceError):
        interop.to_numpy(made)
