"""Switching the simulated device on, in this process or in one that it starts."""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

from cudasim import control, headers
from cudasim.libraries import HERE, Libraries, cache, libraries
from cudasim.making.cupy_runtime import NAME as CUPY_RUNTIME

Mode = Literal["eager", "lazy", "thread"]
MODES: tuple[Mode, ...] = get_args(Mode)

#: Those that bind to whichever CUDA there is when they are imported, and to no other afterwards.
BINDING = ("torch", "cupy", "cupy_backends")

#: Says which mode a process boots in; set by `environment` for the processes that a test starts.
VARIABLE = "CUDASIM"


class BootError(RuntimeError):
    """The simulated device can't be switched on here any more, or mustn't be."""


class _CupyRuntime:
    """Finds cupy's rebuilt module in place of the wheel's own; everything else is found as ever."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self._path) if name == CUPY_RUNTIME else None


def booted() -> bool:
    """Whether this process has the simulated device."""
    return control.loaded()


def boot(mode: Mode = "lazy") -> None:
    """Switch the simulated device on, for the rest of this process.

    Called before torch and cupy are imported. What isn't built yet is built first.

    Parameters
    ----------
    mode
        "eager" runs each operation at once; "lazy" only when the host waits for it, which shows every missing
        synchronisation; "thread" a little later, on a thread.

    Raises
    ------
    BootError
        torch or cupy has been imported already, a real device was asked for (CUDASIM=off), or this isn't Linux on
        x86-64.
    """
    if mode not in MODES:
        raise BootError(f"mode {mode!r} is none of {', '.join(MODES)}")
    if not booted():
        if os.environ.get(VARIABLE) == "off":
            raise BootError("CUDASIM=off: this run was to use a real CUDA device, so the simulated one stays off")
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            raise BootError(f"the simulated CUDA device runs on Linux on x86-64; this is {platform.platform()}")
        imported = [name for name in BINDING if name in sys.modules]
        if imported:
            raise BootError(
                f"{imported[0]} has been imported already, and has bound to the CUDA that it found then: "
                "call cudasim.boot() before it is imported"
            )
        _load(libraries())
    control.set_mode(mode)


def _load(found: Libraries) -> None:
    # Before anything of torch's is loaded: a library of the same name that is there already wins over its RPATH.
    loaded = [ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL) for path in found.device]
    for path in found.standins:
        if path.name not in {library.name for library in found.device}:
            ctypes.CDLL(str(path), mode=ctypes.RTLD_LOCAL)
    if found.cupy_runtime:
        sys.meta_path.insert(0, _CupyRuntime(found.cupy_runtime))
    control.bind(loaded[0])


def environment(mode: Mode | None = None) -> dict[str, str]:
    """The environment for a process that is to have the simulated device, whatever Python program it runs.

    Parameters
    ----------
    mode
        As this process has it, if None.

    Examples
    --------
    >>> import subprocess
    >>> program = "import torch; print(torch.cuda.device_count())"
    >>> subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, text=True).stdout
    '2\\n'
    """
    path = [str(HERE / "site"), str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**_toolkit(), **os.environ, VARIABLE: mode or control.mode(), "PYTHONPATH": os.pathsep.join(path)}


def _toolkit() -> dict[str, str]:
    """Say where CUDA's headers are, unless that is said already.

    cupy asks cuda.pathfinder for them when it compiles a kernel, which starts a process to see where the runtime is. In
    this environment that process has the simulated one, beside which there are no headers.
    """
    found = None if {"CUDA_HOME", "CUDA_PATH"} & set(os.environ) else headers.find(cache() / "headers")
    return {"CUDA_PATH": str(found.parent)} if found else {}


def boot_from_environment() -> None:
    """Switch it on if `environment` made this process's environment."""
    mode = os.environ.get(VARIABLE)
    for each in MODES:
        if each == mode:
            boot(each)
