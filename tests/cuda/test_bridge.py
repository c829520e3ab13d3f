"""Gradients across the border on a device: functions of cupy inside torch, and what is refused there."""

from __future__ import annotations

from typing import Any

import cupy as cp
import numpy as np
import pytest
import torch

import interop


@interop.via("cupy", grad="bridge", vjp=lambda args, result, ct: ct[::-1].copy())
def turned(x: Any) -> Any:
    assert type(x) is cp.ndarray
    return x[::-1].copy()


def test_cupy_inside_torch_on_the_device() -> None:
    weight = torch.tensor([4.0, 5, 6, 7]).cuda()
    for stream in (torch.cuda.default_stream(), torch.cuda.Stream()):
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            x = torch.tensor([0.0, 1, 2, 3]).cuda().requires_grad_()
            made = turned(x)
            (gradient,) = torch.autograd.grad(made, x, weight)
        torch.cuda.synchronize()
        assert made.device == x.device
        assert made.tolist() == [3, 2, 1, 0]
        assert gradient.tolist() == [7, 6, 5, 4]


def test_numpy_inside_torch_names_the_way_out() -> None:
    twice: Any = interop.via("numpy", grad="bridge", vjp=lambda args, result, ct: ct * 2)(lambda x: np.multiply(x, 2))
    x = torch.ones(3, device="cuda", requires_grad=True)
    with pytest.raises(
        interop.DeviceError, match=r"got a tensor on cuda:0, where numpy can't compute\. Pass x\.cpu\(\)"
    ):
        twice(x)
    twice(x.cpu()).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [2, 2, 2]
