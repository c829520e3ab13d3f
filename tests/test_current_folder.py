"""The commands run libraries in processes of their own: what lies in the current folder doesn't take their place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE

ROOT = Path(__file__).parent.parent

#: Names that the commands, the libraries and their processes import.
NAMES = ("interop", "json", "ml_dtypes", "numpy", "runpy", "subprocess", "torch", "typing")

HOSTILE = """
import os, pathlib
pathlib.Path(__file__).with_suffix(".ran").touch()
os._exit(99)
"""

#: A check that is run as its reader runs it: as a text, in a new process.
AT_EXIT = "export-deleter-after-exit"

COMMANDS: dict[str, tuple[str, ...]] = {
    "doctor": ("doctor", "numpy", "torch", "--json"),
    "matrix": ("matrix", "--only", "numpy", "--with", "numpy", "--json", "--dtypes", "float32", "--layouts", "c"),
    "conformance": ("conformance", "numpy", "--json", *("--check", "export-device", "--check", AT_EXIT)),
}


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(HOSTILE)
    return tmp_path


def ran(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.ran"))


def interop(*arguments: str, folder: Path, path: str = str(ROOT), flags: tuple[str, ...] = ("-P",)) -> Any:
    """Run the command in a folder, started as the installed command is: without that folder on its path."""
    done = subprocess.run(
        [sys.executable, *flags, "-m", "interop", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", COMMANDS)
def test_what_lies_in_the_current_folder_is_not_run(command: str, hostile: Path, tmp_path: Path) -> None:
    if command == "matrix":
        pytest.importorskip("rich")
    cache = ("--cache", str(tmp_path / "cache")) if command == "matrix" else ()
    interop(*COMMANDS[command], *cache, folder=hostile)
    assert ran(hostile) == []


def test_what_the_callers_path_names_is_imported(hostile: Path) -> None:
    """An empty part of PYTHONPATH is the current folder, by the caller's own word."""
    library = hostile / "library"
    library.mkdir()
    (library / "toy.py").write_text("import numpy\nfrom numpy import ndarray as Array, asarray, from_dlpack\n")
    where = os.pathsep.join((str(ROOT), str(library)))
    (report,) = interop("conformance", "toy:Array", "--json", "--check", "export-device", folder=hostile, path=where)
    assert report["counts"] == {"conformant": 1}
    for name in NAMES:
        (hostile / f"{name}.py").unlink()
    (report,) = interop(
        "conformance", "toy:Array", "--json", "--check", "export-device", folder=library, path=f"{ROOT}{os.pathsep}"
    )
    assert report["counts"] == {"conformant": 1}


def test_python_m_has_the_current_folder_and_so_have_the_checks(tmp_path: Path) -> None:
    (tmp_path / "toy.py").write_text("from numpy import ndarray as Array, asarray, from_dlpack\n")
    (report,) = interop("conformance", "toy:Array", "--json", "--check", "export-lifetime", folder=tmp_path, flags=())
    assert report["counts"] == {"conformant": 1}
    code = "from interop.testing import conformance; assert conformance.check('toy:Array', isolate='all').ok"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
