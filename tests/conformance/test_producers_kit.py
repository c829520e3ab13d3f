"""The kit itself, as to producers: a right one passes all, a flaw is caught by the check that names it alone."""

from __future__ import annotations

import os
import subprocess
import sys
from fnmatch import fnmatch

import conformance.flawed_producers as flawed
import pytest
from conformance.flawed_producers import FLAWS, RIGHT, Flaw
from conformance.reproducers import not_shown

from interop.testing.conformance import PRODUCER_CHECKS, Outcome, Result
from interop.testing.conformance._run import run_checks
from interop.testing.conformance._subject import Subject

#: No deleter that is written in Python survives the interpreter: numpy has one that is right, the fakes a wrong one.
AT_EXIT = "export-deleter-after-exit"
#: One of each family of scripts.
SHOWN_AGAIN = ("keywords", "copy-true", "used-capsule", "deleter-thread", "lifetime", "stepped", "shape", "api-export")
NAMES = [check.name for check in PRODUCER_CHECKS if check.name != AT_EXIT]


def subject_of(flaw: Flaw) -> Subject:
    module = flawed.__name__
    return Subject(
        name=flaw.make,
        imports=f"import {module}",
        make=f"{module}.{flaw.make}",
        readonly=f"{module}.{flaw.readonly}" if flaw.readonly else "",
        refused=flaw.refused,
        tricky=flaw.tricky,
    )


def results(flaw: Flaw) -> list[Result]:
    # Risky checks have a process of their own, which takes its time: a flaw meets those that it is about.
    about = flaw.fails + flaw.besides
    checks = [
        check
        for check in PRODUCER_CHECKS
        if check.name in NAMES and (not check.risky or not about or matches(check.name.removeprefix("export-"), about))
    ]
    return run_checks(subject_of(flaw), checks)


def failures(flaw: Flaw) -> list[str]:
    return [short(result) for result in results(flaw) if failed_in(result)]


def failed_in(result: Result) -> bool:
    return result.broken or result.outcome is Outcome.DISCOURAGED


def short(result: Result) -> str:
    return result.name.removeprefix("export-")


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


@pytest.mark.parametrize("flaw", RIGHT, ids=lambda flaw: flaw.make)
def test_a_right_producer_passes_all(flaw: Flaw) -> None:
    assert failures(flaw) == []


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: f"{flaw.make}-{flaw.fails[0]}")
def test_a_flaw_is_caught_by_the_check_that_names_it(flaw: Flaw) -> None:
    found = {short(result): result for result in results(flaw) if failed_in(result)}
    failed = list(found)
    for pattern in flaw.fails:
        assert any(fnmatch(name, pattern) for name in failed), f"{pattern} passes: {failed}"
    unexpected = [name for name in failed if not matches(name, flaw.fails + flaw.besides)]
    assert {name: found[name].seen for name in unexpected} == {}
    assert not_shown(list(found.values())) == {}


def test_each_check_has_a_flaw_that_fails_it() -> None:
    patterns = tuple(pattern for flaw in FLAWS for pattern in flaw.fails)
    untestable = [name for name in NAMES if not matches(name.removeprefix("export-"), patterns)]
    assert untestable == []


@pytest.mark.parametrize("flaw", [flaw for flaw in FLAWS if flaw.fails[0] in SHOWN_AGAIN], ids=lambda flaw: flaw.make)
def test_a_reproducer_shows_the_flaw_by_itself(flaw: Flaw) -> None:
    # One of each family; those of real libraries are all run where the libraries are.
    shown = [result for result in results(flaw) if short(result) in SHOWN_AGAIN and failed_in(result)]
    assert shown
    for result in shown:
        status, errors = run_alone(result.reproducer)
        died = result.outcome is Outcome.CRASH
        assert status not in (0, 1) if died else status == 1, errors
        assert died or result.seen[:25] in errors


def run_alone(text: str) -> tuple[int, str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False, env=environment)
    return done.returncode, " ".join(done.stderr.split())
