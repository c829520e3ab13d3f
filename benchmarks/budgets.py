"""Reads the file of budgets, and judges what was measured by it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).with_name("budgets.toml")


class Verdict(StrEnum):
    """What a budget says of a result."""

    NONE = ""
    MET = "met"
    CLOSE = "over, within the tolerance"
    MISSED = "MISSED"
    ABSENT = "not installed"
    REFUSED = "can't run"
    FAILED = "FAILED"

    @property
    def fails(self) -> bool:
        """Whether the run fails."""
        return self in (Verdict.MISSED, Verdict.FAILED)


@dataclass(frozen=True)
class Result:
    """One line of the report.

    Attributes
    ----------
    section, name, given
        Which part of the report, which comparison, and what is handed over, in words.
    call, against
        Our code, and the other.
    unit
        Of `ours` and `theirs`, what each of the two takes.
    ours, theirs
        None where it couldn't be measured.
    figure
        What the budget limits: a ratio, added milliseconds, MiB above what is needed.
    median
        Of the ratios within each round: the noise check.
    limit, verdict, note
        Of the budget, if there is one.
    """

    section: str
    name: str
    given: str
    call: str
    against: str
    unit: str
    ours: float | None = None
    theirs: float | None = None
    figure: float | None = None
    median: float | None = None
    limit: float | None = None
    verdict: Verdict = Verdict.NONE
    note: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Budgets:
    """The file of budgets: see there."""

    tolerance: float
    ratios: Mapping[str, Mapping[str, float]]
    imports: Mapping[str, Mapping[str, float]]
    memory: Mapping[str, float]

    def judge(self, figure: float | None, limit: float | None) -> Verdict:
        """Compare a figure with its limit; what has a budget must be measured."""
        if limit is None:
            return Verdict.NONE
        if figure is None:
            return Verdict.MISSED
        if figure <= limit:
            return Verdict.MET
        return Verdict.CLOSE if figure <= limit * (1 + self.tolerance) else Verdict.MISSED


def load(path: Path = FILE) -> Budgets:
    """Read a file of budgets."""
    return Budgets(**tomllib.loads(path.read_text(encoding="utf-8")))
