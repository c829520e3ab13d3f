"""The comparisons on a CUDA device, real or simulated: what the host spends on a handoff of device memory."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from benchmarks.rows import Comparison, Source, Way, a_copy, copies, shares

#: The section of the report.
DEVICE: Final = "tensors on a CUDA device"

# Filled on the host: the simulated device runs no kernel that would make random numbers.
_T: Final = Source("t", "torch float32 3x4 on cuda:0, a new one each call", "torch.rand(3, 4).cuda()", fresh=True)
_T_AGAIN: Final = replace(_T, text="torch float32 3x4 on cuda:0, the same each call", fresh=False)
_C: Final = Source("c", "cupy float32 3x4 on cuda:0, a new one each call", "cupy.asarray(an_array)", fresh=True)
_C_AGAIN: Final = replace(_C, text="cupy float32 3x4 on cuda:0, the same each call", fresh=False)
_BIG_T: Final = Source("t", "torch float32 64 MiB on cuda:0", "torch.rand(4096, 4096).cuda()")


def _to_host(ours: str, *others: str) -> tuple[Way, tuple[Way, ...]]:
    return a_copy(ours), copies(*others)


_ROWS: Final = (
    Comparison("cuda to_cupy", _T, Way("to_cupy(t)"), shares("cupy.from_dlpack(t)", "cupy.asarray(t)")),
    Comparison("cuda to_cupy again", _T_AGAIN, Way("to_cupy(t)"), shares("cupy.from_dlpack(t)")),
    Comparison(
        "cuda to_torch", _C, Way("to_torch(c)"), shares("torch.from_dlpack(c)", "torch.as_tensor(c, device='cuda')")
    ),
    Comparison("cuda to_torch again", _C_AGAIN, Way("to_torch(c)"), shares("torch.from_dlpack(c)")),
    Comparison("torch cuda to host", _T, *_to_host("to_numpy(t, device='cpu')", "t.cpu().numpy()")),
    Comparison("cupy to host", _C, *_to_host("to_numpy(c, device='cpu')", "cupy.asnumpy(c)")),
    Comparison("large torch cuda to host", _BIG_T, *_to_host("to_numpy(t, device='cpu')", "t.cpu().numpy()")),
)

DEVICE_COMPARISONS: Final = tuple(replace(comparison, section=DEVICE) for comparison in _ROWS)
