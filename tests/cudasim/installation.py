"""The environment in which torch and cupy meet the simulated device, kept until what it is made from changes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from cudasim.libraries import HERE
from cudasim.versions import TABLE, requirements, versions


class InstallationError(RuntimeError):
    """The folder holds something else."""


def _recipe(python: str) -> str:
    """What an environment is made from, kept in it."""
    version = subprocess.run([python, "-VV"], check=True, capture_output=True, text=True).stdout
    return f"{version}{TABLE.read_text(encoding='utf-8')}"


def make(folder: Path, python: str = sys.executable) -> Path:
    """Make the environment in `folder`, or anew if its Python or the table of versions has changed.

    Parameters
    ----------
    folder
        Where; a folder that holds something else isn't touched.
    python
        The Python that it is made with.

    Returns
    -------
    pathlib.Path
        The environment's Python.
    """
    stamp, interpreter = folder / "cudasim" / "recipe", folder / "bin" / "python"
    recipe = _recipe(python)
    if stamp.exists() and stamp.read_text(encoding="utf-8") == recipe:
        return interpreter
    if folder.exists() and not (folder / "pyvenv.cfg").exists():
        raise InstallationError(f"{folder} is there and is no virtual environment: choose another folder")
    start = time.monotonic()
    _say(f"an environment for the simulated CUDA device: {folder}")
    subprocess.run([python, "-m", "venv", "--clear", str(folder)], check=True)
    table = versions()
    # The frameworks last and without what they ask for, which is gigabytes of CUDA libraries: what they need is in the
    # table, and pip would complain of the rest with every package that came after them.
    _install(interpreter, requirements(table.packages | table.build))
    _install(interpreter, requirements(table.frameworks), "--no-deps")
    _reach(interpreter, HERE.parent)
    build(interpreter)
    stamp.write_text(recipe, encoding="utf-8")
    _say(f"ready after {time.monotonic() - start:.0f} s")
    return interpreter


def _install(interpreter: Path, packages: list[str], *options: str) -> None:
    _say(", ".join(packages))
    # Byte code is made when a module is imported: most of torch's never is.
    pip = [str(interpreter), "-m", "pip", "install", "-qq", "--no-input", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*pip, *options, *packages], check=True, env=_plain(), stdin=subprocess.DEVNULL)


def build(interpreter: Path) -> None:
    """Build the libraries of the simulated device for an environment."""
    _say("the simulated device's libraries")
    subprocess.run([str(interpreter), "-m", "cudasim", "build"], check=True, env=_plain())


def _reach(interpreter: Path, folder: Path) -> None:
    """Let the environment import `cudasim` from where it is."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = subprocess.run([str(interpreter), "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    Path(packages, "cudasim.pth").write_text(f"{folder}\n", encoding="utf-8")


def _plain() -> dict[str, str]:
    """Without what would lead the environment's Python to another's packages, or to a device."""
    return {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME", "CUDASIM"}}


def _say(text: str) -> None:
    print(f"-- {text}", file=sys.stderr, flush=True)
