"""Another distribution installs a package of our name: what is left of ours, and the doctor, say what happened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import interop
from interop._whole import MEND

PACKAGE = Path(interop.__file__).parent

#: What Illumina's interop 1.9.0 has in the place of our own.
THEIRS = '__project__ = "Illumina InterOp"\n__version__ = "1.9.0"\n'


def overwritten(folder: Path, init: str | None) -> Path:
    """A folder with our package, of which another one has taken `__init__.py` over, or away."""
    package = folder / "interop"
    package.mkdir()
    for part in PACKAGE.iterdir():
        if part.name not in ("__init__.py", "__main__.py", "__pycache__"):
            (package / part.name).symlink_to(part)
    if init is not None:
        (package / "__init__.py").write_text(init, encoding="utf-8")
    return folder


#: Where the libraries are; -S leaves out what else a .pth file there names, which may be the whole package.
SITE = Path(np.__file__).parent.parent


def run(code: str, *paths: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (*paths, SITE)))
    environment = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-P", "-S", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.mark.parametrize(("init", "says"), [(THEIRS, "isn't tensor-interop's"), (None, "is gone")])
def test_what_is_left_of_an_overwritten_package_says_what_happened(init: str | None, says: str, tmp_path: Path) -> None:
    folder = overwritten(tmp_path, init)
    command = run("from interop.cli import main; raise SystemExit(main(['doctor']))", folder)
    assert command.returncode == 2
    assert command.stderr.startswith("interop: ")
    assert command.stderr.count("\n") == 1
    assert says in command.stderr
    assert MEND in command.stderr
    for module in ("interop.testing", "interop.errors", "interop.protocols", "interop.integrations.pickle"):
        part = run(f"import {module}", folder)
        assert part.returncode == 1
        last = part.stderr.strip().splitlines()[-1]
        assert last.startswith("ImportError: "), part.stderr
        assert MEND in last


def test_the_whole_package_says_nothing() -> None:
    assert run("import interop, interop.testing, interop.errors", PACKAGE.parent).stderr == ""


def test_the_doctor_finds_the_other_distribution(tmp_path: Path) -> None:
    info = tmp_path / "interop-1.9.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.4\nName: interop\nVersion: 1.9.0\n", encoding="utf-8")
    (info / "top_level.txt").write_text("interop\n", encoding="utf-8")
    code = "from interop.cli import main; raise SystemExit(main(['doctor', 'numpy', '--json']))"
    done = run(code, tmp_path, PACKAGE.parent)
    assert done.returncode == 1, done.stderr
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem.startswith("the distribution interop 1.9.0 installs a package of the same name")
    assert MEND in problem
