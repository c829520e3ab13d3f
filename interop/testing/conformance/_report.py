"""What a run of the checks gives: data first, then text and JSON."""

from __future__ import annotations

import json
import platform
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from interop.testing.conformance._check import Outcome, Result
from interop.testing.conformance._known import contradiction, is_expected, reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from interop.testing.conformance._known import Known


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The results of checks of one library.

    Parameters
    ----------
    subject
        The library's name.
    version
        Its version, where that is known.
    results
        In the order in which the checks are listed.

    Examples
    --------
    >>> import numpy as np
    >>> from interop.testing import conformance
    >>> report = conformance.check_producer(np.asarray, checks=["export-capsule-name", "export-device"])
    >>> report.ok
    True
    >>> print(report)
    numpy.asarray ...: 2 conformant
    """

    subject: str
    version: str = ""
    results: Sequence[Result] = field(repr=False)

    @property
    def violations(self) -> list[Result]:
        """The results in which a rule is broken."""
        return [result for result in self.results if result.broken]

    @property
    def ok(self) -> bool:
        """Whether no rule is broken."""
        return not self.violations

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __getitem__(self, name: str) -> Result:
        return next(result for result in self.results if result.name == name)

    def assert_conformant(self, known: Mapping[str, Known | str] | None = None) -> None:
        """Fail where a rule is broken, with the rule and a program that shows it.

        Parameters
        ----------
        known
            Checks that are known to fail, each with the reason: they have to fail, so that one that is mended is
            noticed. Where that ends otherwise from run to run, a :class:`Known` says how.

        Raises
        ------
        AssertionError
            Naming each broken rule that isn't known, and each known one that isn't broken, or ends otherwise.
        """
        expected = dict(known or {})
        texts = [
            str(result)
            if result.name not in expected
            else f"{self.subject}: {contradiction(result.name, result.outcome, result.seen, expected[result.name])}"
            for result in self.results
            if not is_expected(result.outcome, expected.get(result.name))
        ]
        ran = {result.name for result in self.results}
        texts += [
            f"{self.subject}: {name} is known to fail ({reason_of(each)}), and no such check is among those that ran"
            for name, each in expected.items()
            if name not in ran
        ]
        if texts:
            raise AssertionError("\n\n".join(texts))

    def counts(self) -> dict[Outcome, int]:
        """Return how many checks ended in which way."""
        counted = Counter(result.outcome for result in self.results)
        return {outcome: counted[outcome] for outcome in Outcome if counted[outcome]}

    @property
    def title(self) -> str:
        """One line: the library and the counts."""
        counted = ", ".join(f"{count} {outcome.value}" for outcome, count in self.counts().items())
        return f"{' '.join(filter(None, (self.subject, self.version)))}: {counted or 'no checks'}"

    def __str__(self) -> str:
        shown = [result for result in self.results if result.broken or result.outcome is Outcome.DISCOURAGED]
        return "\n\n".join([self.title, *(str(result) for result in shown)])

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {
            "subject": self.subject,
            "version": self.version,
            "python": platform.python_version(),
            "platform": sys.platform,
            "counts": {outcome.value: count for outcome, count in self.counts().items()},
            "results": [result.as_dict() for result in self.results],
        }

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(self.as_dict(), indent=1)
