"""Run the tests in the supported versions: ``python tests/versions.py [LEG ...]``, as versions.toml lists them.

Each leg has an environment of its own in ``.venv-versions``. A leg whose Python isn't here is said to be left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LEGS: dict[str, Any] = tomllib.loads((ROOT / "tests" / "versions.toml").read_text(encoding="utf-8"))["legs"]


def run(name: str, leg: dict[str, Any]) -> str:
    """Make the environment, build the core in a copy of the source, test; what came of it."""
    python = shutil.which(f"python{leg['python']}")
    if python is None:
        return f"left out: no python{leg['python']} on the path"
    folder = ROOT / ".venv-versions" / name
    source, environment = folder / "source", folder / "environment"
    shutil.rmtree(source, ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for line in listed.stdout.splitlines():
        if (ROOT / line).is_file():
            (source / line).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / line, source / line)
    subprocess.run([python, "-m", "venv", str(environment)], check=True)
    inside = str(environment / "bin" / "python")
    pip = [inside, "-m", "pip", "-q", "install", *leg["packages"]]
    subprocess.run([*pip, "pip>=25.1"], check=True)
    subprocess.run(
        [*pip, "--group", "build", "--group", "test", "--editable", ".[cli,testing]"], cwd=source, check=True
    )
    with_torch = any(package.startswith("torch") for package in leg["packages"])
    settings = {**os.environ, "INTEROP_TEST_FRAMEWORKS": "numpy,torch" if with_torch else "numpy"}
    done = subprocess.run([inside, "-m", "pytest", "-q", "-n", "2"], cwd=source, env=settings, check=False)
    return "passed" if done.returncode == 0 else f"failed ({done.returncode})"


def main(names: list[str]) -> int:
    """Run the legs that are named, or all."""
    came = {name: run(name, LEGS[name]) for name in names or LEGS}
    for name, what in came.items():
        print(f"{name:14} {what}")
    return 1 if any(what.startswith("failed") for what in came.values()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
