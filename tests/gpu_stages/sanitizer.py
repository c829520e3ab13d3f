"""compute-sanitizer's memory check of a few handoffs, where it is installed."""

from __future__ import annotations

import shutil
import subprocess
import sys

from gpu_stages import simulated, tell

PROGRAM = """
import cupy, numpy as np, torch, interop
side = torch.cuda.Stream()
for _ in range(5):
    t = torch.arange(1000.0, device="cuda")
    c = interop.to_cupy(t)
    c += 1
    with torch.cuda.stream(side):
        u = interop.to_torch(c)
        u.mul_(2)
    v = interop.to_numpy(u, device="cpu")
    del t, c, u
torch.cuda.synchronize()
print("ended", v[:3])
"""


def main() -> int:
    tool = shutil.which("compute-sanitizer")
    if tool is None or simulated():
        tell(what="compute-sanitizer", found="not here" if tool is None else "nothing to check on the simulated device")
        return 0
    command = [tool, "--tool", "memcheck", "--leak-check", "no", sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    tell(what="memcheck", found=" / ".join(lines[-6:])[:600], status=done.returncode)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
