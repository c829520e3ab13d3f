"""The supported versions: pyproject.toml, the legs of `make versions`, the README and the docs say one thing."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LEGS: dict[str, Any] = tomllib.loads((ROOT / "tests" / "versions.toml").read_text(encoding="utf-8"))["legs"]
RECORD = ROOT / "docs" / "measured" / "versions.json"
CLASSIFIED = [
    found[1]
    for line in PROJECT["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
]

pytestmark = pytest.mark.skipif(not RECORD.exists(), reason="the documentation was left behind")


def bounds() -> dict[str, str]:
    extras = PROJECT["optional-dependencies"]
    required = [*PROJECT["dependencies"], *extras["namespace"], *extras["torch"]]
    return dict(line.partition(",")[0].split(">=") for line in required)


def recorded() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


def test_the_oldest_leg_is_every_lower_bound() -> None:
    oldest = LEGS["oldest"]
    pinned = dict(line.split("==") for line in (*oldest["packages"], oldest["torch"]))
    assert {name: version.removesuffix(".0") for name, version in pinned.items()} == bounds()
    assert oldest["python"] == PROJECT["requires-python"].removeprefix(">=") == CLASSIFIED[0]


def test_each_python_has_a_leg() -> None:
    assert sorted({leg["python"].removesuffix("t") for leg in LEGS.values()}) == CLASSIFIED
    threads = [line for line in PROJECT["classifiers"] if "Free Threading" in line]
    assert bool(threads) == any(leg["python"].endswith("t") for leg in LEGS.values())


def test_what_was_recorded_is_what_the_legs_say() -> None:
    for name, found in recorded().items():
        leg = LEGS[name]
        assert found["ended"] == "passed", name
        assert found["counted"]["passed"] > 1000, name
        assert found["counted"]["failed"] == 0, name
        python = (
            leg["python"].removesuffix("t") + r"\.\d+\S*" + (" without the GIL" if leg["python"].endswith("t") else "")
        )
        assert re.fullmatch(python, found["versions"]["python"]), name
        for line in (*leg["packages"], leg["torch"]):
            package, _, version = line.partition("==")
            assert found["versions"][package].startswith(version.removesuffix("*").removesuffix(".0")), name


def test_the_page_is_what_was_recorded() -> None:
    spec = importlib.util.spec_from_file_location("refresh", ROOT / "docs" / "refresh.py")
    assert spec is not None
    assert spec.loader is not None
    refresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(refresh)
    page = (ROOT / "docs" / "measured" / "versions.md").read_text(encoding="utf-8")
    assert refresh.version_table(recorded()) == page


def test_the_readme_says_what_is_supported() -> None:
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    asked = bounds()
    assert f"Python {CLASSIFIED[0]} to {CLASSIFIED[-1]}, numpy {asked['numpy']} or newer" in text
    assert f"torch {asked['torch']} or newer" in text
    table = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    for name, version in asked.items():
        assert re.search(rf"^\| {name.replace('-', '_')}\b[^|]*\| {version} \|", table, re.MULTILINE), name
