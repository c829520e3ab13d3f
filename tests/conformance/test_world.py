"""Every library that this run was asked to test goes through the kit: it breaks the rules that are known, and no other.

A rule that a newer version keeps is a failure here: take it out of interop/testing/conformance/_known.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from conftest import FRAMEWORKS

from interop.testing.conformance import CHECKS, KNOWN, WORLD

ASKED = [name for name in WORLD if name.partition(".")[0] in FRAMEWORKS and name != "cupy"]

if not ASKED:
    pytest.skip("this run was asked to test no library that the kit knows", allow_module_level=True)


@pytest.fixture(scope="module")
def reports() -> dict[str, dict[str, Any]]:
    """Return the reports, each from a process of its own: libraries switch things on for all who come after."""

    def report(name: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "interop", "conformance", name, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode in (0, 1), done.stderr
        (only,) = json.loads(done.stdout)
        return dict(only)

    return {name: report(name) for name in ASKED}


def broken(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    results = report["results"]
    return {each["check"]: each for each in results if each["outcome"] in ("violation", "crash")}


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_a_library_breaks_the_rules_that_are_known(name: str, reports: dict[str, dict[str, Any]]) -> None:
    found, known = broken(reports[name]), KNOWN.get(name, {})
    new = {check: each["seen"] for check, each in found.items() if check not in known}
    assert new == {}, f"{name} {reports[name]['version']} breaks rules that no row of KNOWN has"
    mended = {check: row.version for check, row in known.items() if check not in found}
    assert mended == {}, f"{name} {reports[name]['version']} keeps these now: take them out of KNOWN"


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_each_reproducer_shows_the_violation(name: str, reports: dict[str, dict[str, Any]]) -> None:
    def run(text: str) -> tuple[int, str]:
        # Without this library: it must not be importable.
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        blocked = f"import sys; sys.modules['interop'] = None\n{text}"
        command = [sys.executable, "-c", blocked]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
        return done.returncode, done.stderr

    found = broken(reports[name])
    with ThreadPoolExecutor(2) as pool:
        endings = dict(zip(found, pool.map(run, [each["reproducer"] for each in found.values()]), strict=True))
    for check, (status, errors) in endings.items():
        if found[check]["outcome"] == "crash":
            assert status not in (0, 1), f"{check}: {errors}"
        else:
            assert status == 1, f"{check} ended with {status}"
            # The end of the message may be addresses and the like.
            assert found[check]["seen"][:25] in " ".join(errors.split()), f"{check}: {errors}"


def test_what_is_known_is_about_checks_and_libraries_that_there_are() -> None:
    names = {check.name for check in CHECKS}
    assert set(KNOWN) <= set(WORLD)
    assert {check for rows in KNOWN.values() for check in rows} <= names
