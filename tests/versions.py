"""Run the tests in the supported versions: ``python tests/versions.py [LEG ...]``, as versions.toml lists them.

Each leg has an environment of its own in ``.venv-versions``, with a wheel that was built once for its Python.
What a leg that passed has made is removed. One whose Python is missing is left out; asked for by name, it fails.
``--record`` keeps what came of each for the documentation, from which ``docs/refresh.py`` makes its table.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import textwrap
import time
import tomllib
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from cudasim.making import standins

ROOT = Path(__file__).parent.parent
TABLE: dict[str, Any] = tomllib.loads((ROOT / "tests" / "versions.toml").read_text(encoding="utf-8"))
LEGS: dict[str, dict[str, Any]] = TABLE["legs"]
FOLDER = ROOT / ".venv-versions"
SOURCE = FOLDER / "source"
RECORD = ROOT / "docs" / "measured" / "versions.json"

#: What the tests need.
GROUP: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]["test"]

#: Tells what is in an environment, and whether threads run beside each other there, with everything imported.
VERSIONS = """
import json, platform, sys
from importlib import metadata
import interop, torch
found = {each.metadata["Name"].lower().replace("_", "-"): each.version for each in metadata.distributions()}
named = ("numpy", "ml-dtypes", "array-api-compat", "optree", "torch")
gil = getattr(sys, "_is_gil_enabled", lambda: True)()
python = platform.python_version() + ("" if gil else " without the GIL")
print(json.dumps({"python": python} | {each: found[each] for each in named}))
"""


@dataclass
class Outcome:
    """What came of a leg: how it ended, what pytest counted, in which versions, how long it took, when and where."""

    ended: str
    counted: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    seconds: int = 0
    date: str = field(default_factory=lambda: datetime.now(tz=UTC).date().isoformat())
    machine: str = field(default_factory=platform.platform)

    @property
    def line(self) -> str:
        """The rest of its line in the table."""
        counted = ", ".join(f"{number} {what}" for what, number in self.counted.items())
        versions = " ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.ended:28} {counted:40} {self.seconds:5} s  {versions}"


def interpreter(version: str) -> str | None:
    """A Python of this version that runs, without the GIL if that ends with t: on the path, or one of pyenv's."""
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    # A free-threaded one also installs itself as python3.x.
    free = "import sys, sysconfig; sys.exit(bool(sysconfig.get_config_var('Py_GIL_DISABLED')) != (sys.argv[1] == 't'))"
    for found in (shutil.which(f"python{version}"), *sorted(root.glob(f"versions/*/bin/python{version}"))):
        # pyenv's own python3.x is on the path for every version that it knows, and runs for those that are chosen.
        if found and subprocess.run([found, "-c", free, version[-1]], check=False, capture_output=True).returncode == 0:
            return str(found)
    return None


def copy_source() -> None:
    """Copy what git knows or would take up: nothing that was compiled elsewhere, and the same for every leg."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    for line in subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines():
        if (ROOT / line).is_file():
            (SOURCE / line).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / line, SOURCE / line)


def pip(python: Path, *arguments: str | Path) -> None:
    """Run pip in an environment."""
    # The newest that has a wheel for this Python: a source distribution of numpy may be newer, and takes long to build.
    options = ["-qq", "--disable-pip-version-check", "--no-input", "--prefer-binary"]
    subprocess.run([python, "-m", "pip", *arguments, *options], check=True, stdin=subprocess.DEVNULL)


def wheel(python: Path, version: str) -> Path:
    """The wheel for this Python, built by the first leg that needs it."""
    folder = FOLDER / "wheels" / version
    if not folder.exists():
        pip(python, "wheel", "--no-deps", "--wheel-dir", folder, SOURCE)
    return next(folder.glob("*.whl"))


def torch_beside(python: Path, version: str, torch: str) -> Path:
    """A folder with torch alone, which the legs of a Python share, and stand-ins for the libraries that it asks for."""
    folder = FOLDER / "torch" / f"{version}-{torch}"
    if not folder.exists():
        pip(python, "install", "--no-deps", "--no-compile", "--target", folder, torch)
        libraries = folder / "torch" / "lib"
        if (libraries / "libtorch_cuda.so").exists():
            standins.build(libraries, folder / "standins", simulated=set())
    return folder


def environment(folder: Path, found: str, leg: dict[str, Any]) -> tuple[Path, dict[str, str]]:
    """Make the environment of a leg; its Python, and what it needs to be told."""
    subprocess.run([found, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    pip(python, "install", *leg["packages"], *GROUP, *TABLE["torch-imports"], wheel(python, leg["python"]))
    torch = torch_beside(python, leg["python"], leg["torch"])
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "torch_beside.pth").write_text(f"{torch}\n", encoding="utf-8")
    profile = {"HYPOTHESIS_PROFILE": "brief", "INTEROP_TEST_FRAMEWORKS": "numpy,torch"}
    settings = {**os.environ, **profile, "LD_LIBRARY_PATH": str(torch / "standins")}
    # Many tests start a process that imports torch, which takes seconds where it is compiled each time.
    settings.pop("PYTHONDONTWRITEBYTECODE", None)
    return python, settings


def run(name: str, leg: dict[str, Any], workers: str) -> Outcome:
    """Make the environment of a leg, and test the wheel in it."""
    found = interpreter(leg["python"])
    if found is None:
        return Outcome(f"left out: no Python {leg['python']} here")
    print(f"\n== {name}: {found}", flush=True)
    folder, start = FOLDER / name, time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    python, settings = environment(folder / "environment", found, leg)
    # Without the package's own folder: what is tested is the wheel.
    copy_tests(folder / "source")
    report = folder / "report.xml"
    options = ["-q", "-n", workers, "-p", "no:cacheprovider", f"--junitxml={report}"]
    tests = [f"tests/{each}" for each in TABLE["tests"]]
    source = folder / "source"
    done = subprocess.run([python, "-m", "pytest", *options, *tests], cwd=source, env=settings, check=False)
    command: list[Path | str] = [python, "-c", VERSIONS]
    versions = subprocess.run(command, cwd=source, env=settings, check=True, stdout=subprocess.PIPE, text=True).stdout
    ended = f"failed ({done.returncode})" if done.returncode else "passed"
    outcome = Outcome(ended, counts(report), json.loads(versions), round(time.monotonic() - start))
    if ended == "passed":
        shutil.rmtree(folder)
    return outcome


def copy_tests(into: Path) -> None:
    """The tests and their configuration."""
    unwanted = shutil.ignore_patterns("__pycache__", ".hypothesis")
    shutil.copytree(SOURCE / "tests", into / "tests", ignore=unwanted)
    shutil.copy2(SOURCE / "pyproject.toml", into)


def counts(report: Path) -> dict[str, int]:
    """What pytest counted."""
    suite = ET.parse(report).getroot().find("testsuite") if report.exists() else None
    if suite is None:
        return {}
    tests, failures, errors, skipped = (int(suite.attrib[key]) for key in ("tests", "failures", "errors", "skipped"))
    return {"passed": tests - failures - errors - skipped, "failed": failures + errors, "skipped": skipped}


def record(leg: str, came: Outcome) -> None:
    """Keep what came of a leg, beside what came of others before."""
    kept: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}
    kept[leg] = asdict(came)
    text = json.dumps({name: kept[name] for name in LEGS if name in kept}, indent=1)
    RECORD.write_text(text + "\n", encoding="utf-8")


def main() -> int:
    """Run the legs that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("legs", nargs="*", metavar="LEG", help=f"one of {', '.join(LEGS)}; all of them by default")
    parser.add_argument("--workers", default="2", help="how many tests at a time")
    parser.add_argument("--record", action="store_true", help=f"keep what came of them in {RECORD.relative_to(ROOT)}")
    asked = parser.parse_args()
    if unknown := sorted({*asked.legs} - {*LEGS}):
        parser.error(f"no such leg: {', '.join(unknown)}")
    for made in ("wheels", "torch"):
        shutil.rmtree(FOLDER / made, ignore_errors=True)
    copy_source()
    outcomes: dict[str, Outcome] = {}
    for name in asked.legs or LEGS:
        try:
            outcomes[name] = run(name, LEGS[name], asked.workers)
        except subprocess.CalledProcessError as error:
            command = textwrap.shorten(" ".join(map(str, error.cmd)), 100, placeholder=" ...")
            outcomes[name] = Outcome(f"failed: {command} ended with {error.returncode}")
        if asked.record and outcomes[name].versions:
            record(name, outcomes[name])
    shutil.rmtree(SOURCE)
    print(f"\n== the supported versions, on {platform.platform()}")
    for name, came in outcomes.items():
        print(f"{name:20} {came.line}")
    number = {
        word: sum(came.ended.startswith(word) for came in outcomes.values()) for word in ("passed", "failed", "left")
    }
    print(f"legs: {number['passed']} passed, {number['failed']} failed, {number['left']} left out")
    return 1 if number["failed"] or (asked.legs and number["left"]) else 0


if __name__ == "__main__":
    sys.exit(main())
