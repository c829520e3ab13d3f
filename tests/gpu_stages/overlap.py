"""What a handoff does to work elsewhere: neither waits the host for a busy stream, nor does another stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cupy
import numpy as np
import torch

import interop
from gpu_stages import SPIN, spin, tell

LONG = 50 * SPIN


def main() -> None:
    busy, free = torch.cuda.Stream(), torch.cuda.Stream()
    theirs = cupy.cuda.Stream(non_blocking=True)
    t = torch.arange(1024.0).cuda()
    c = cupy.asarray(np.arange(1024, dtype=np.float32))
    side = torch.arange(1024.0).cuda()
    torch.cuda.synchronize()
    spin(torch, busy, LONG)
    start = time.perf_counter()
    busy.synchronize()
    tell(what="the kernel alone", host_ms=round((time.perf_counter() - start) * 1e3, 3), other_ms="")

    def on_busy(call: Callable[[], Any]) -> Callable[[], Any]:
        def made() -> Any:
            with torch.cuda.stream(busy), theirs:
                return call()

        return made

    ways: dict[str, Callable[[], Any]] = {
        "to_cupy on one stream": lambda: interop.to_cupy(t),
        "to_cupy, from the busy stream to another": on_busy(lambda: interop.to_cupy(t)),
        "to_torch, from another to the busy stream": on_busy(lambda: interop.to_torch(c)),
        "dropped, read on the busy stream": on_busy(lambda: (interop.to_torch(c), None)[1]),
        "view, ordered on the busy stream": lambda: interop.view(c, stream=busy),
    }
    for what, call in ways.items():
        kept = call()
        del kept
        torch.cuda.synchronize()
        spin(torch, busy, LONG)
        start = time.perf_counter()
        kept = call()
        host = time.perf_counter() - start
        with torch.cuda.stream(free):
            side.copy_(side)
        free.synchronize()
        other = time.perf_counter() - start
        torch.cuda.synchronize()
        tell(what=what, host_ms=round(host * 1e3, 3), other_ms=round(other * 1e3, 3))
        del kept


if __name__ == "__main__":
    main()
