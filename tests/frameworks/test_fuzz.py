"""Random calls between all the frameworks that this run was asked to test, against the oracle of :mod:`fuzz`."""

from __future__ import annotations

from fuzz.watching import watch


def test_two_thousand_calls() -> None:
    report = watch(20_261_127, 0, 2000)
    assert not report.failures, f"\n{report}"
