"""The other frameworks on CUDA, as far as they are here: each takes a tensor and gives it on, behind a long kernel."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import cupy
import numpy as np
import torch

import interop
from gpu_stages import simulated, spin, tell

SIZE = 1 << 20


def late(stream: Any) -> Any:
    """A tensor that is written behind a long kernel."""
    host = torch.arange(float(SIZE)).pin_memory()
    with torch.cuda.stream(stream):
        made = torch.empty(SIZE, device="cuda")
        spin(torch, stream)
        made.copy_(host, non_blocking=True)
    return made


def there_and_back(name: str) -> str:
    side, theirs = torch.cuda.Stream(), cupy.cuda.Stream(non_blocking=True)
    with torch.cuda.stream(side):
        t = late(side)
        x = interop.convert(t, name)
        shared = interop.shares_memory(x, t)
    with theirs:
        back = interop.to_cupy(x, writable=False).get()
    copied = "the same memory" if shared else "a copy"
    return f"{copied}, {'right' if (back == np.arange(SIZE)).all() else 'WRONG'}; {interop.device(x)}"


def numba() -> str:
    cuda: Any = importlib.import_module("numba.cuda")
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        t = late(side)
        array = cuda.as_cuda_array(interop.view(t, stream=cuda.default_stream().handle.value or 1))
    return "right" if (array.copy_to_host() == np.arange(SIZE)).all() else "WRONG"


def cuda_core() -> str:
    device: Any = importlib.import_module("cuda.core").Device(0)
    device.set_current()
    stream = device.create_stream()
    t = torch.arange(4.0).cuda()
    with interop.use_stream(stream):
        c = interop.to_cupy(t, stream=stream)
    return "right" if c.get().tolist() == [0, 1, 2, 3] else "WRONG"


def main() -> None:
    ways: dict[str, Callable[[], str]] = {
        **{name: partial(there_and_back, name) for name in ("jax", "warp", "tvm_ffi")},
        "numba.cuda": numba,
        "cuda.core": cuda_core,
    }
    for name, call in ways.items():
        try:
            importlib.import_module(name)
        except ImportError as err:
            tell(framework=name, found=f"not here: {str(err)[:100]}")
            continue
        try:
            found = call()
        except Exception as err:
            found = f"{type(err).__name__}: {str(err)[:300]}"
        tell(framework=name, found=found + (" (it finds no device here)" if simulated() else ""))


if __name__ == "__main__":
    main()
