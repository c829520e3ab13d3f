"""The Cython core: the one that is there if it is whole, else compiled in place."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from gpu_stages import tell

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "interop" / "_native"


def stale() -> list[str]:
    """The modules of the core that aren't compiled for this Python."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    return [path.stem for path in sorted(CORE.glob("*.pyx")) if not path.with_name(path.stem + suffix).exists()]


def main() -> int:
    missing = stale()
    tell(what="modules to compile", value=", ".join(missing) or "none")
    if missing:
        command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            print(done.stdout[-3000:] + done.stderr[-3000:])
            return 1
    code = "import interop, torch, cupy; t = torch.arange(3.0).cuda(); print(interop.to_cupy(t), interop.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    tell(what="import and one handoff", value=done.stdout.strip() or done.stderr.strip()[-600:])
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
