"""What a handoff costs the host, against the frameworks' own calls: interleaved, the least of the repeats."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
import torch
from torch.utils.dlpack import from_dlpack as from_torchs_dlpack

import interop
from gpu_stages import SHORT, tell

CALLS, REPEATS = (20, 3) if SHORT else (500, 15)


def batch(call: Callable[[], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def compare(what: str, goal: float, ours: Callable[[], Any], by_hand: Callable[[], Any], calls: int = CALLS) -> None:
    """Measure two ways in turn; the first of each warms up."""
    least = [float("inf")] * 2
    for repeat in range(REPEATS + 1):
        for place, call in enumerate((ours, by_hand)):
            took = batch(call, calls)
            if repeat:
                least[place] = min(least[place], took)
        torch.cuda.synchronize()
    mine, theirs = least
    tell(
        what=what,
        ours_us=round(mine * 1e6, 2),
        by_hand_us=round(theirs * 1e6, 2),
        ratio=round(mine / theirs, 3),
        goal=goal,
    )


def main() -> None:
    from_dlpack: Callable[[Any], Any] = from_torchs_dlpack
    t = torch.arange(16.0).cuda()
    c = cupy.asarray(np.arange(16, dtype=np.float32))
    h = np.arange(16, dtype=np.float32)
    compare("to_cupy(t) | cupy.from_dlpack(t)", 0.20, lambda: interop.to_cupy(t), lambda: cupy.from_dlpack(t))
    compare("to_torch(c) | torch.from_dlpack(c)", 0.25, lambda: interop.to_torch(c), lambda: from_dlpack(c))
    side = torch.cuda.Stream()
    with interop.use_stream(side):
        compare("the same on a side stream", 0.20, lambda: interop.to_cupy(t), lambda: cupy.from_dlpack(t))
    few = max(CALLS // 10, 5)
    compare(
        'to_numpy(t, device="cpu") | t.cpu().numpy()',
        1.10,
        lambda: interop.to_numpy(t, device="cpu"),
        lambda: t.cpu().numpy(),
        few,
    )
    compare('to_numpy(c, device="cpu") | c.get()', 1.10, lambda: interop.to_numpy(c, device="cpu"), c.get, few)
    compare(
        'to_torch(a, device="cuda") | torch.from_numpy(a).cuda()',
        1.10,
        lambda: interop.to_torch(h, device="cuda"),
        lambda: torch.from_numpy(h).cuda(),
        few,
    )


if __name__ == "__main__":
    main()
