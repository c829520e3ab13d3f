"""How fast moves are, by size, against what the bus gives here: page-locked copies by hand are the ceiling."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
import torch

import interop
from gpu_stages import SHORT, tell

Array = np.ndarray[Any, Any]

SIZES = [1 << 10, 1 << 20] if SHORT else [1 << n for n in (10, 14, 18, 20, 22, 24, 26, 28, 30)]


def speed(call: Callable[[], Any], size: int) -> float:
    """GB/s, the best of some repeats: each ends when the host may read, or the device has all of it."""
    least = float("inf")
    for _ in range(3 if size > 1 << 26 else 7):
        torch.cuda.synchronize()
        start = time.perf_counter()
        made = call()
        torch.cuda.synchronize()
        least = min(least, time.perf_counter() - start)
        del made
    return size / least / 1e9


def ways_of(size: int) -> tuple[dict[str, Callable[[], Any]], Array, Any]:
    """Every way to move so many bytes, and the values."""
    host = np.random.default_rng(1).integers(0, 255, size, np.uint8)
    t = torch.from_numpy(host).cuda()
    c = cupy.from_dlpack(t)
    locked = torch.empty(size, dtype=torch.uint8, pin_memory=True)
    locked.copy_(torch.from_numpy(host))
    fresh = torch.empty_like(t)
    ways: dict[str, Callable[[], Any]] = {
        "down, page-locked (ceiling)": lambda: locked.copy_(t, non_blocking=True),
        "down, by hand": t.cpu,
        "down, ours": lambda: interop.to_numpy(t, device="cpu"),
        "down, ours, of cupy": lambda: interop.to_numpy(c, device="cpu"),
        "up, page-locked (ceiling)": lambda: fresh.copy_(locked, non_blocking=True),
        "up, by hand": lambda: torch.from_numpy(host).cuda(),
        "up, ours": lambda: interop.to_torch(host, device="cuda"),
        "up, ours, to cupy": lambda: interop.to_cupy(host, device="cuda"),
    }
    if size >= 1 << 20:
        wide = t.reshape(1024, -1)
        ways["down, strided, by hand"] = wide.T.cpu
        ways["down, strided, ours"] = lambda: interop.to_numpy(wide.T, device="cpu")
    return ways, host, t


def main() -> None:
    for size in SIZES:
        ways, host, t = ways_of(size)
        found = {name: round(speed(call, size), 3) for name, call in ways.items()}
        for name, value in found.items():
            ceiling = found["down, page-locked (ceiling)" if name.startswith("down") else "up, page-locked (ceiling)"]
            tell(bytes=size, way=name, gb_per_s=value, of_ceiling=round(value / ceiling, 3) if ceiling else 0)
        back = interop.to_numpy(t, device="cpu")
        tell(bytes=size, way="values", gb_per_s=0, of_ceiling="right" if (back == host).all() else "WRONG")


if __name__ == "__main__":
    main()
