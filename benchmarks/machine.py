"""What the figures were measured on, and with."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

#: The library, and whatever a row may name.
_DISTRIBUTIONS: Final = (
    "tensor-interop",
    "numpy",
    "ml-dtypes",
    "torch",
    "cupy-cuda13x",
    "apache-tvm-ffi",
    "cuda-core",
    "arraybridge",
    "array-api-strict",
    "dpnp",
    "jax",
    "mlx",
    "paddlepaddle",
    "pandas",
    "pillow",
    "polars",
    "pyarrow",
    "tensorflow-cpu",
    "warp-lang",
    "xarray",
)

#: What runs beside the benchmarks: from here on the figures of large tensors and imports mean little.
_BUSY: Final = 1.0


def machine(device: str = "") -> dict[str, Any]:
    """Describe this machine and its software, and the device whose memory is handed over."""
    return {
        **({"device": device} if device else {}),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in _DISTRIBUTIONS},
    }


def one_line(facts: dict[str, Any]) -> str:
    """The same in a line."""
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items() if number)
    busy = f"; BUSY: a load of {facts['load']} before the first block" if facts["load"] > _BUSY else ""
    device = f"host-side cost with {facts['device']}; " if "device" in facts else ""
    where = f"{device}{facts['cpu']}, {facts['cores']} cores"
    return f"{where}, Python {facts['python']}; {versions}; {facts['date'][:10]}{busy}"


def cuda_device() -> str:
    """Name the CUDA device, as torch does: a simulated one says that it is.

    Raises
    ------
    RuntimeError
        torch finds none.
    """
    import torch

    return str(torch.cuda.get_device_name(0))


def _cpu() -> str:
    table = Path("/proc/cpuinfo")
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _version(distribution: str) -> str | None:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
