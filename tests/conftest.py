"""What every test run has: its hypothesis profile, the frameworks it was asked to test, and an account of its skips."""

from __future__ import annotations

import importlib
import os
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

#: The frameworks that this run has to test: one that can't be imported fails it, where a skip would pass unseen.
FRAMEWORKS = tuple(
    name
    for name in (part.strip() for part in os.environ.get("INTEROP_TEST_FRAMEWORKS", "numpy,torch").split(","))
    if name
)

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "regular")

settings.register_profile(
    "regular",
    max_examples=200,
    deadline=None,
    derandomize=False,
    print_blob=True,
    # How fast examples come is a property of the machine and of what else runs there.
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("regular"), max_examples=5000)
settings.load_profile(PROFILE)


def pytest_sessionstart() -> None:
    """Fail the whole run where a framework that it was asked to test can't be imported."""
    missing: list[str] = []
    for name in FRAMEWORKS:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever an import raises, it says why there is nothing to test
            missing.append(f"{name} ({type(error).__name__}: {error})")
    if missing:
        message = (
            f"this run was asked to test {', '.join(FRAMEWORKS)} (INTEROP_TEST_FRAMEWORKS), and it can't import "
            f"{'; '.join(missing)}"
        )
        raise pytest.UsageError(message)


def pytest_report_header() -> list[str]:
    """Say what is tested here, in which versions."""
    versions = ", ".join(f"{name} {importlib.import_module(name).__version__}" for name in FRAMEWORKS)
    return [f"frameworks: {versions}", f"hypothesis profile: {PROFILE}, {settings().max_examples} examples a law"]


def _reasons(reports: list[pytest.TestReport | pytest.CollectReport]) -> Iterator[str]:
    for report in reports:
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        yield text.removeprefix("Skipped: ")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what was skipped, and why."""
    reasons = Counter(_reasons(terminalreporter.getreports("skipped")))
    if not reasons:
        return
    terminalreporter.section(f"skipped: {reasons.total()}")
    for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        terminalreporter.line(f"{count:5} x {reason}")
