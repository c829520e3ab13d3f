"""Packing what is on a device: brought to the host in stream order, once for what is the same there."""

from __future__ import annotations

import cupy
import numpy as np
import pytest
import torch

import interop


def test_a_tree_on_a_device_arrives_on_the_host_and_goes_back_where_that_is_said() -> None:
    expected = np.arange(6.0, dtype="float32").reshape(2, 3)
    w = torch.from_numpy(expected).cuda()
    c = cupy.asarray(np.arange(4, dtype="float32"))
    small = torch.from_numpy(expected).bfloat16().cuda()
    header, buffers = interop.pack({"w": w, "turned": w.T, "again": w.view(2, 3), "c": c, "bf16": small})
    # The two that are the same there are one buffer; a permutation of them is another array.
    assert sorted(len(buffer) for buffer in buffers) == [12, 16, 24, 24]
    got = interop.unpack(header, buffers, "numpy")
    assert np.array_equal(got["w"], expected)
    assert np.array_equal(got["turned"], expected.T)
    assert got["again"] is got["w"]
    assert got["c"].tolist() == [0, 1, 2, 3]
    assert got["bf16"].astype("f4").tolist() == expected.tolist()
    back = interop.unpack(header, buffers, device="cuda")
    assert back["w"].device.type == "cuda"
    assert isinstance(back["c"], cupy.ndarray)
    assert back["c"].get().tolist() == [0, 1, 2, 3]
    with pytest.raises(interop.DeviceError, match="device="):
        interop.unpack(header, buffers)["c"]
    assert b'"device":"cuda:0"' in header


def test_a_stream_is_waited_for() -> None:
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        x = torch.full((1000,), 5.0).cuda()
        header, buffers = interop.pack(x)
    assert interop.unpack(header, buffers, "numpy").sum() == 5000
