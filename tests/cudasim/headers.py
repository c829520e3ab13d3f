"""CUDA's headers: an installed toolkit's, or those that the package index has."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from cudasim.versions import requirements, versions


class HeadersError(RuntimeError):
    """There are no headers of the version that the table names."""


def fits(folder: Path) -> bool:
    """Whether `folder` has the headers of the table's version."""
    try:
        text = (folder / "cuda.h").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    defined = re.search(r"^#define CUDA_VERSION (\d+)", text, re.MULTILINE)
    runtime = (folder / "cuda_runtime_api.h").exists() and (folder / "crt" / "host_defines.h").exists()
    return runtime and defined is not None and int(defined[1]) == versions().cuda_number


def candidates(own: Path) -> list[Path]:
    """Where they may be: in a toolkit, or where `install` puts them."""
    named = [Path(os.environ[name]) for name in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(name)]
    toolkits = [*named, Path(f"/usr/local/cuda-{versions().cuda}"), Path("/usr/local/cuda")]
    return [*(toolkit / "include" for toolkit in toolkits), *sorted(own.glob("nvidia/*/include"))]


def find(own: Path) -> Path | None:
    """The folder of the headers, if it is anywhere."""
    return next((folder for folder in candidates(own) if fits(folder)), None)


def install(own: Path) -> Path:
    """Fetch the headers' packages into the folder `own`.

    A folder of its own: torch looks for libraries beside itself, and these packages hold the real runtime too.
    """
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps", "--no-compile", "--target", str(own)]
    subprocess.run([*pip, *requirements(versions().headers)], check=True, stdin=subprocess.DEVNULL)
    found = find(own)
    if found is None:
        raise HeadersError(
            f"{', '.join(requirements(versions().headers))}: no headers of CUDA {versions().cuda} in {own}"
        )
    return found


def headers(own: Path) -> Path:
    """The folder of the headers, fetched if it has to be."""
    return find(own) or install(own)
