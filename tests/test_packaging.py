"""The distributions: what they hold, and that each works in an environment that has nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
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
SMOKE = ROOT / "tests" / "wheel.py"


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
    where = Path(run(python, "-I", "-W", "error", SMOKE, cwd=tmp_path).strip())
    assert where.is_relative_to(distributions.source if kind == "editable" else environment)


# --- how a release is made

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_hash_and_start_without_permissions(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (.*)", text)
    assert used
    for each in used:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", each), each
    assert "\npermissions: {}\n" in text
    # Code of the project runs where nothing can be written.
    for job in text.partition("\njobs:\n")[2].split("\n\n"):
        assert ("checkout@" in job) <= ("contents: read" in job and "write" not in job), job
    assert text.count("checkout@") == text.count("persist-credentials: false")


def test_wheels_are_built_for_every_python_that_is_claimed() -> None:
    claimed = {
        line.rpartition(" ")[2]
        for line in PROJECT["project"]["classifiers"]
        if re.fullmatch(r"Programming Language :: Python :: 3\.\d+", line)
    }
    built = {re.sub(r"cp3(\d+)(t?)-\*", r"3.\1\2", each) for each in PROJECT["tool"]["cibuildwheel"]["build"]}
    assert built == claimed | {"3.14t"}
    tested = re.search(r"python: \[(.*)\]", (ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))
    assert tested is not None
    assert set(re.findall(r'"(.*?)"', tested[1])) == built


def test_the_page_of_installing_names_every_extra_and_every_image() -> None:
    page = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    assert [extra for extra in PROJECT["project"]["optional-dependencies"] if f"`{extra}`" not in page] == []
    linux = PROJECT["tool"]["cibuildwheel"]["linux"]
    assert [image for image in linux.values() if image not in page] == []


def test_the_citation_is_of_this_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {interop.__version__}\n" in citation
    assert f'repository-code: "{PROJECT["project"]["urls"]["Source"]}"' in citation


@pytest.mark.packaging
def test_a_wheel_is_small_enough_to_install_without_a_thought(distributions: Distributions) -> None:
    assert distributions.wheel.stat().st_size < 2_000_000
