"""What `tests/cuda/on_gpu.py` runs on a machine with a GPU, a module a stage.

Each prints a JSON object for each thing that it has found, as soon as it has: it may be stopped any time.
"""

from __future__ import annotations

import json
import os
from typing import Any

#: Whether this is a rehearsal in which each stage shows only that it runs.
SHORT = bool(os.environ.get("ON_GPU_SHORT"))


def tell(**row: Any) -> None:
    """Say what was found."""
    print(json.dumps(row), flush=True)


def simulated() -> bool:
    """Whether the device is the simulated one."""
    import cudasim

    return cudasim.booted()


#: Cycles of a GPU's clock, about a hundredth of a second.
SPIN = 20_000_000


def spin(torch: Any, stream: Any, cycles: int = SPIN) -> None:
    """Keep a stream busy by a kernel; the simulated device runs none, and in lazy mode nothing before it has to."""
    if not simulated():
        with torch.cuda.stream(stream):
            torch.cuda._sleep(cycles)
