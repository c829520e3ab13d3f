"""The shared libraries of the simulated device: where they are, and making them when they aren't.

Each part lies in a folder that is named by a digest of all that it is made from. What has changed is made anew and
nothing else is, and two processes at once don't disturb each other.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

from cudasim import headers
from cudasim.making import compiler, cupy_runtime, standins
from cudasim.versions import TABLE, versions

HERE = Path(__file__).parent
SOURCE = HERE / "src"

#: The simulated device itself, in the order in which it has to be loaded.
DEVICE = ("libcudart.so.13", "libcuda.so.1", "libnvrtc.so.13")


@dataclass(frozen=True)
class Libraries:
    """All that is loaded before torch and cupy.

    Attributes
    ----------
    device
        The simulated runtime, driver and compiler, in order.
    standins
        For the CUDA libraries that torch names.
    cupy_runtime
        cupy's module that calls the runtime; None where there is no cupy.
    """

    device: tuple[Path, ...]
    standins: tuple[Path, ...]
    cupy_runtime: Path | None


def cache() -> Path:
    """Where the parts are kept: in the environment, or where CUDASIM_CACHE says."""
    return Path(os.environ.get("CUDASIM_CACHE") or Path(sys.prefix, "cudasim"))


def digest(files: Iterable[Path], *more: str) -> str:
    """Of what a part is made from."""
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(f"{path.name} {path.stat().st_size}\n".encode())
        total.update(path.read_bytes())
    total.update("\n".join(more).encode())
    return total.hexdigest()[:16]


@contextlib.contextmanager
def alone(folder: Path) -> Generator[None]:
    """One process at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def part(name: str, key: str, make: Callable[[Path], object]) -> Path:
    """The folder of a part, made if it isn't there; one made half is never seen."""
    folder = cache() / f"{name}-{key}"
    if folder.exists():
        return folder
    with alone(cache()):
        if not folder.exists():
            unfinished = folder.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            make(unfinished)
            unfinished.rename(folder)
    return folder


def installed(name: str) -> Path | None:
    """The folder of an installed package, found without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def headers_folder() -> Path:
    """CUDA's headers."""
    return headers.headers(cache() / "headers")


def make_device(folder: Path) -> None:
    """Compile the simulator."""
    folder.mkdir(parents=True)
    compiler.run(["make", "-C", str(SOURCE), f"OUT={folder}", f"CUDA_INCLUDE={headers_folder()}"])


def device() -> Path:
    """The simulated runtime and driver."""
    files = [path for path in SOURCE.rglob("*") if path.is_file()]
    return part("device", digest(files, *compiler.CC), make_device)


def standins_of_torch() -> tuple[Path, ...]:
    """The stand-ins for the libraries that the installed torch names."""
    torch = installed("torch")
    if torch is None:
        return ()
    makers = [Path(standins.__file__), Path(compiler.__file__), torch / "version.py"]
    folder = part("torch", digest(makers), lambda folder: standins.build(torch / "lib", folder))
    return tuple(sorted(folder.glob("*.so*")))


class LibrariesError(RuntimeError):
    """They can't be made for what is installed."""


def _only(wanted: str, cupy: Path) -> None:
    """Refuse another cupy than the one whose source is built: its module wouldn't fit the others of the wheel."""
    text = (cupy / "_version.py").read_text(encoding="utf-8")
    found = re.search(r"__version__ = ['\"](.+?)['\"]", text)
    if not found or found[1] != wanted:
        raise LibrariesError(
            f"cupy {found[1] if found else 'of an unknown version'} is installed in {cupy.parent}, and the simulated "
            f"CUDA device is for cupy {wanted}: install that, or change {TABLE.name} and see whether its tests pass"
        )


def runtime_of_cupy() -> Path | None:
    """cupy's rebuilt module."""
    cupy = installed("cupy")
    if cupy is None:
        return None
    _only(versions().cupy, cupy)
    makers = [Path(cupy_runtime.__file__), Path(compiler.__file__), HERE / "versions.toml", cupy / "_version.py"]
    key = digest(makers, sysconfig.get_config_var("EXT_SUFFIX"))
    folder = part("cupy", key, lambda folder: cupy_runtime.build(headers_folder(), folder))
    return next(folder.glob("runtime.*"))


def libraries() -> Libraries:
    """All of them, made if they have to be.

    Raises
    ------
    compiler.CompilerError
        There is no compiler, or it refused.
    LibrariesError
        The installed cupy isn't the one of the table.
    """
    folder = Path(os.environ.get("CUDASIM_DEVICE_LIBRARIES") or device())
    return Libraries(
        tuple(folder / name for name in DEVICE if (folder / name).exists()), standins_of_torch(), runtime_of_cupy()
    )
