"""The distributions: what they hold, and that each works in an environment that has nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email import message_from_string
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from packaging.requirements import Requirement
from patience import PATIENCE

import interop

if TYPE_CHECKING:
    from email.message import Message

ROOT = Path(__file__).parent.parent

#: What a fresh clone doesn't have.
MADE = shutil.ignore_patterns(
    ".git",
    ".venv*",
    "build",
    "dist",
    "out",
    "_build",
    "*.egg-info",
    "*.so",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
)

#: The main job, in an environment that has the package and what it needs, and nothing else.
SMOKE = """
import sys
import numpy as np
import ml_dtypes
import interop

a = np.arange(6.0).reshape(2, 3)
v = interop.view(a)
assert (v.ptr, v.shape, str(v.dtype), str(v.device)) == (a.ctypes.data, (2, 3), "float64", "cpu")
b = interop.to_numpy(v)
b[0, 0] = 7
assert a[0, 0] == 7
w = a.astype(ml_dtypes.bfloat16)
assert interop.to_numpy(interop.view(w)).dtype == w.dtype
assert interop.explain(a, "numpy").ok
try:
    interop.convert(a, "torch")
except interop.UnsupportedError as error:
    assert isinstance(error, ImportError)
else:
    raise AssertionError("torch was found in an empty environment")
print(interop.__file__)
"""


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; its whole output is the failure's message."""
    done = subprocess.run(
        [str(part) for part in command],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        cwd=cwd,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}"
    return done.stdout


class Distributions(NamedTuple):
    source: Path
    sources: frozenset[str]
    sdist: Path
    wheel: Path

    def names_in_sdist(self) -> set[str]:
        with tarfile.open(self.sdist) as archive:
            return {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}

    def names_in_wheel(self) -> set[str]:
        with zipfile.ZipFile(self.wheel) as archive:
            return set(archive.namelist())

    def metadata(self) -> Message:
        with zipfile.ZipFile(self.wheel) as archive:
            (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            return message_from_string(archive.read(name).decode())


@pytest.fixture(scope="session")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    """An sdist of what a fresh clone has, and a wheel that was built from that sdist."""
    folder = tmp_path_factory.mktemp("distributions")
    source = folder / "source"
    shutil.copytree(ROOT, source, ignore=MADE)
    for made in (*source.glob("interop/**/*.c"), *source.glob("interop/**/*.html")):
        made.unlink()
    sources = frozenset(path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
    run(sys.executable, "-m", "build", "--outdir", folder, source, cwd=folder)
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*.whl")
    return Distributions(source, sources, sdist, wheel)


def test_version_is_the_installed_one() -> None:
    assert metadata.version("tensor-interop") == interop.__version__


def test_version_has_its_entry_in_the_changelog() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## [{interop.__version__}] - " in changelog


def test_type_information_is_installed() -> None:
    package = resources.files("interop")
    assert package.joinpath("py.typed").is_file()
    assert package.joinpath("_native", "__init__.pyi").is_file()


@pytest.mark.packaging
def test_sdist_holds_every_source_and_nothing_built(distributions: Distributions) -> None:
    names = distributions.names_in_sdist()
    wanted = {name for name in distributions.sources if name.startswith(("interop/", "tests/", "benchmarks/", "docs/"))}
    wanted |= {"CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml", "setup.py"}
    assert wanted - names == set()
    assert not [name for name in names if name.endswith((".cpp", ".so", ".pyd", ".pyc"))]
    assert not [name for name in names if name.endswith(".c") and name.startswith("interop/")]


@pytest.mark.packaging
def test_wheel_holds_the_package_its_types_and_nothing_else(distributions: Distributions) -> None:
    names = distributions.names_in_wheel()
    assert {name.partition("/")[0] for name in names} == {"interop", f"tensor_interop-{interop.__version__}.dist-info"}
    package = {name for name in distributions.sources if name.startswith("interop/")}
    assert {name for name in package if name.endswith((".py", ".pyi", ".pxd", "py.typed"))} <= names
    assert [name for name in names if name.startswith("interop/_native/") and name.endswith((".so", ".pyd"))]
    assert not [name for name in names if name.endswith((".c", ".cpp", ".pyx", ".pyc"))]


@pytest.mark.packaging
def test_metadata(distributions: Distributions) -> None:
    fields = distributions.metadata()
    assert fields["Name"] == "tensor-interop"
    assert fields["License-Expression"] == "Apache-2.0"
    assert fields["Requires-Python"] == ">=3.11"
    assert sorted(each.name for each in required(fields)) == ["ml-dtypes", "numpy"]
    # A package index shows the README and has no other file of ours.
    targets = re.findall(r"\]\(([^)]+)\)", str(fields.get_payload()))
    assert len(targets) > 30
    assert [target for target in targets if not target.startswith("https://")] == []


def required(fields: Message) -> list[Requirement]:
    """What the package asks for without an extra."""
    found = map(Requirement, fields.get_all("Requires-Dist", []))
    return [each for each in found if each.marker is None]


def oldest(fields: Message) -> list[str]:
    """Every requirement of the package, at the oldest version that it allows."""
    bounds = [(each.name, part) for each in required(fields) for part in each.specifier if part.operator == ">="]
    return [f"{name}=={part.version}" for name, part in bounds]


@pytest.mark.packaging
@pytest.mark.parametrize("kind", ["sdist", "wheel", "editable", "oldest"])
def test_works_in_an_empty_environment(kind: str, distributions: Distributions, tmp_path: Path) -> None:
    if kind == "oldest" and sys.version_info >= (3, 13):
        pytest.skip("the oldest numpy that is supported has no wheel for this Python")
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True)
    python = environment / "bin" / "python"
    arguments: dict[str, list[str | Path]] = {
        "sdist": [distributions.sdist],
        "wheel": [distributions.wheel],
        "editable": ["-e", distributions.source],
        "oldest": [distributions.wheel, *oldest(distributions.metadata())],
    }
    run(python, "-m", "pip", "install", "--quiet", *arguments[kind], cwd=tmp_path)
    run(python, "-m", "pip", "check", cwd=tmp_path)
    assert run(environment / "bin" / "interop", "--version", cwd=tmp_path).split() == ["interop", interop.__version__]
    where = Path(run(python, "-I", "-W", "error", "-c", SMOKE, cwd=tmp_path).strip())
    assert where.is_relative_to(distributions.source if kind == "editable" else environment)
