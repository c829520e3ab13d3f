"""CUDA graphs with a handoff inside: captured once, replayed a hundred times, right each time."""

from __future__ import annotations

import cupy
import numpy as np
import torch
from torch.utils.dlpack import from_dlpack as from_torchs_dlpack

import interop
from gpu_stages import SHORT, tell

REPLAYS = 3 if SHORT else 100


def main() -> None:
    side = torch.cuda.Stream()
    t = torch.zeros(1 << 12).cuda()
    c = cupy.zeros(1 << 12, np.float32)
    values = cupy.zeros(1 << 12, np.float32)
    torch.cuda.synchronize()
    with interop.use_stream(side):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=side):
            handed = interop.to_cupy(t)
            handed.data.copy_from_device_async(values.data, values.nbytes)
            interop.to_torch(c).copy_(t)
            del handed
        wrong = 0
        for number in range(REPLAYS):
            values.set(np.full(1 << 12, number, np.float32))
            graph.replay()
            wrong += bool((t.cpu() != number).any()) + bool((c.get() != number).any())
    tell(what="handoffs inside of a graph", replays=REPLAYS, wrong=wrong)
    dropped = interop.to_cupy(torch.ones(1 << 12).cuda())
    with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=side):
        del dropped
        t.copy_(t)
    tell(what="dropped while a graph is captured", replays=0, wrong=0)
    view = interop.view(t)
    with torch.cuda.graph(torch.cuda.CUDAGraph(), stream=side):
        from_torchs_dlpack(view.__dlpack__()).copy_(t)
    tell(what="exported without a stream while a graph is captured", replays=0, wrong=0)
    cupy_stream = cupy.cuda.Stream(non_blocking=True)
    refused = 0
    with cupy_stream, torch.cuda.graph(torch.cuda.CUDAGraph(), stream=side):
        try:
            interop.to_cupy(t)
        except interop.DeviceError:
            refused = 1
        t.copy_(t)
    tell(what="refused across a capture, which goes on", replays=0, wrong=1 - refused)


if __name__ == "__main__":
    main()
