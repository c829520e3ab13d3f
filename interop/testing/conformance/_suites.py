"""The checks as tests: a class to derive from, one test for each check."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from interop.testing.conformance._api import check_consumer, check_producer
from interop.testing.conformance._check import Outcome
from interop.testing.conformance._execute import TIMEOUT
from interop.testing.conformance._known import Known, contradiction, is_expected, reason_of
from interop.testing.conformance._run import CONSUMER_CHECKS, PRODUCER_CHECKS, Isolation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pytest

    from interop.testing.conformance._check import Check, Result
    from interop.testing.conformance._report import Report


class _Suite:
    """What the two suites share: one run of all checks, told to pytest one by one."""

    #: Checks that are known to fail, each with its reason: expected failures, and strict ones. Where that ends
    #: otherwise from run to run, a :class:`Known` says how.
    known: ClassVar[Mapping[str, Known | str]] = {}
    #: Which checks run in other processes: ``"risky"`` ones, ``"all"`` or ``"none"``.
    isolate: ClassVar[Isolation] = "risky"
    #: Seconds that a check in another process may take.
    timeout: ClassVar[float] = TIMEOUT

    _report: ClassVar[Report | None] = None
    _checks: ClassVar[Sequence[Check]] = ()

    @classmethod
    def report(cls) -> Report:
        """Return the results, from the one run that the tests share."""
        if "_report" not in cls.__dict__ or cls._report is None:
            cls._report = cls._run()
        return cls._report

    @classmethod
    def _run(cls) -> Report:
        raise NotImplementedError

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make one test of each check."""
        if "check" in metafunc.fixturenames:
            names = [check.name for check in self._checks]
            metafunc.parametrize("check", names)

    def test_conformance(self, check: str) -> None:
        """Fail where the rule is broken, and where a known failure is mended."""
        _judge(type(self).report()[check], self.known.get(check))


def _judge(result: Result, known: Known | str | None) -> None:
    import pytest

    if not is_expected(result.outcome, known):
        text = str(result) if known is None else contradiction(result.name, result.outcome, result.seen, known)
        pytest.fail(text, pytrace=False)
    if result.broken and known is not None:
        pytest.xfail(reason_of(known))
    if result.outcome in (Outcome.NOT_APPLICABLE, Outcome.NOT_TESTED):
        pytest.skip(result.seen)


class ProducerSuite(_Suite):
    """Tests of what a library exports, for pytest.

    Derive from it and say how to make an array; the parameters of :func:`check_producer` are class attributes.

    Examples
    --------
    ::

        class TestExports(conformance.ProducerSuite):
            make = staticmethod(mylib.asarray)
            known = {"export-copied-flag": "mylib#12"}
    """

    make: ClassVar[Callable[..., Any] | str]
    readonly: ClassVar[Callable[..., Any] | str | None] = None
    refused: ClassVar[Sequence[str]] = ()
    tricky: ClassVar[Mapping[str, Sequence[float]] | None] = None
    imports: ClassVar[str] = ""
    _checks = PRODUCER_CHECKS

    @classmethod
    def _run(cls) -> Report:
        return check_producer(
            cls.make,
            readonly=cls.readonly,
            refused=cls.refused,
            tricky=cls.tricky,
            imports=cls.imports,
            isolate=cls.isolate,
            timeout=cls.timeout,
        )


class ConsumerSuite(_Suite):
    """Tests of what a library imports, for pytest.

    Derive from it and say how it imports; the parameters of :func:`check_consumer` are class attributes.

    Examples
    --------
    ::

        class TestImports(conformance.ConsumerSuite):
            from_dlpack = staticmethod(mylib.from_dlpack)
            to_numpy = staticmethod(mylib.to_numpy)
    """

    from_dlpack: ClassVar[Callable[..., Any] | str]
    to_numpy: ClassVar[Callable[..., Any] | str | None] = None
    ndims: ClassVar[Sequence[int] | None] = None
    _checks = CONSUMER_CHECKS

    @classmethod
    def _run(cls) -> Report:
        return check_consumer(
            cls.from_dlpack, to_numpy=cls.to_numpy, ndims=cls.ndims, isolate=cls.isolate, timeout=cls.timeout
        )
