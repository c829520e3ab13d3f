"""The kit itself, as to consumers: a right one passes all, a flaw is caught by the check that names it alone."""

from __future__ import annotations

import subprocess
import sys
from fnmatch import fnmatch

import conformance.flawed_consumers as flawed
import pytest
from conformance.flawed_consumers import FLAWS, RIGHT, Flaw
from conformance.reproducers import not_shown
from patience import PATIENCE

from interop.testing.conformance import CONSUMER_CHECKS, Outcome, Result
from interop.testing.conformance._run import run_checks
from interop.testing.conformance._subject import Subject


def failures(flaw: Flaw) -> list[Result]:
    load = f"{flawed.__name__}.{flaw.load}.load"
    subject = Subject(name=flaw.load, imports=f"import {flawed.__name__}", from_dlpack=load, to_numpy="np.asarray")
    # Risky checks have a process of their own, which takes its time: a flaw meets those that it is about.
    about = flaw.fails + flaw.besides
    checks = [
        check
        for check in CONSUMER_CHECKS
        if not check.risky or not about or matches(check.name.removeprefix("import-"), about)
    ]
    return [result for result in run_checks(subject, checks) if result.broken or result.outcome is Outcome.DISCOURAGED]


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


@pytest.mark.parametrize("flaw", RIGHT, ids=lambda flaw: flaw.load)
def test_a_right_consumer_passes_all(flaw: Flaw) -> None:
    assert failures(flaw) == []


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: flaw.load)
def test_a_flaw_is_caught_by_the_check_that_names_it(flaw: Flaw) -> None:
    found = failures(flaw)
    assert not_shown(found) == {}
    failed = [result.name.removeprefix("import-") for result in found]
    passed = [pattern for pattern in flaw.fails if not any(fnmatch(name, pattern) for name in failed)]
    assert passed == [], failed
    assert [name for name in failed if not matches(name, flaw.fails + flaw.besides)] == []


def test_a_run_that_keeps_exports_to_its_end_ends_well() -> None:
    """As a worker of pytest-xdist ends, nobody sees."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "NoRename", __file__]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_each_check_has_a_flaw_that_fails_it() -> None:
    patterns = tuple(pattern for flaw in FLAWS for pattern in flaw.fails)
    names = [check.name.removeprefix("import-") for check in CONSUMER_CHECKS]
    assert [name for name in names if not matches(name, patterns)] == []
