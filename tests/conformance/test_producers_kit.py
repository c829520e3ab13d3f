"""The kit itself, as to producers: a right one passes all, a flaw is caught by the check that names it alone."""

from __future__ import annotations

from fnmatch import fnmatch

import conformance.flawed_producers as flawed
import pytest
from conformance.flawed_producers import FLAWS, RIGHT, Flaw

from interop.testing.conformance import PRODUCER_CHECKS, Outcome, Report
from interop.testing.conformance._run import run_checks
from interop.testing.conformance._subject import Subject

#: No deleter that is written in Python survives the interpreter: numpy has one that is right, the fakes a wrong one.
AT_EXIT = "export-deleter-after-exit"
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


def failures(flaw: Flaw) -> list[str]:
    # Risky checks have a process of their own, which takes its time: a flaw meets those that it is about.
    about = flaw.fails + flaw.besides
    checks = [
        check
        for check in PRODUCER_CHECKS
        if check.name in NAMES and (not check.risky or not about or matches(check.name.removeprefix("export-"), about))
    ]
    report = Report(subject=flaw.make, results=run_checks(subject_of(flaw), checks))
    return [
        result.name.removeprefix("export-")
        for result in report
        if result.broken or result.outcome is Outcome.DISCOURAGED
    ]


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)


@pytest.mark.parametrize("flaw", RIGHT, ids=lambda flaw: flaw.make)
def test_a_right_producer_passes_all(flaw: Flaw) -> None:
    assert failures(flaw) == []


@pytest.mark.parametrize("flaw", FLAWS, ids=lambda flaw: f"{flaw.make}-{flaw.fails[0]}")
def test_a_flaw_is_caught_by_the_check_that_names_it(flaw: Flaw) -> None:
    failed = failures(flaw)
    for pattern in flaw.fails:
        assert any(fnmatch(name, pattern) for name in failed), f"{pattern} passes: {failed}"
    unexpected = [name for name in failed if not matches(name, flaw.fails + flaw.besides)]
    assert unexpected == []


def test_each_check_has_a_flaw_that_fails_it() -> None:
    patterns = tuple(pattern for flaw in FLAWS for pattern in flaw.fails)
    untestable = [name for name in NAMES if not matches(name.removeprefix("export-"), patterns)]
    assert untestable == []
