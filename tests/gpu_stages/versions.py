"""What is here: versions, the device, its driver, and the bus that it is on."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess

from gpu_stages import simulated, tell

PACKAGES = (
    *("torch", "cupy-cuda13x", "jax", "jaxlib", "jax-cuda13-plugin", "numpy", "ml-dtypes", "cython", "hypothesis"),
    *("pytest", "pytest-timeout", "pytest-xdist", "cuda-core", "numba-cuda", "warp-lang", "apache-tvm-ffi", "triton"),
)
BUS = "name,driver_version,pcie.link.gen.current,pcie.link.gen.max,pcie.link.width.current,memory.total"


def main() -> None:
    tell(what="python", value=platform.python_version())
    for package in PACKAGES:
        try:
            tell(what=package, value=importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            tell(what=package, value="not here")
    if not simulated() and shutil.which("nvidia-smi"):
        command = ["nvidia-smi", f"--query-gpu={BUS}", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=15)
        tell(what=BUS, value=done.stdout.strip() or done.stderr.strip())
    import torch

    for index in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(index)
        tell(what=f"device {index}", value=f"{found.name}, {found.total_memory >> 20} MiB, {found.major}.{found.minor}")


if __name__ == "__main__":
    main()
