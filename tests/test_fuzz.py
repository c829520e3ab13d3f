"""Random calls against the oracle of :mod:`fuzz`: some thousand here, more by ``make fuzz``."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fuzz.known import FATAL, KNOWN
from fuzz.running import Cases, Failure, Runner
from fuzz.watching import Report, main, watch

import interop
from interop import _convert
from interop._adapters._numpy import NumpyAdapter
from interop._adapters._torch import TorchAdapter
from interop._native import View, forget_recipes

#: The frameworks that the tests of the fuzzer itself use.
PLAIN = ["numpy", "torch"]


def show(report: Report) -> str:
    return f"\n{report}"


def test_three_thousand_calls() -> None:
    report = watch(20_261_127, 0, 3000)
    assert not report.failures, show(report)


def test_calls_that_nobody_has_made_before() -> None:
    seed = secrets.randbelow(1_000_000)
    report = watch(seed, 0, 1000)
    assert not report.failures, f"seed {seed}{show(report)}"


@pytest.mark.parametrize("name", [name for name in KNOWN if name != FATAL])
@pytest.mark.xfail(strict=True, reason="known to break")
def test_what_is_known_to_break(name: str) -> None:
    report = watch(0, 0, 1, known=name)
    assert not report.failures, show(report)


# The fuzzer itself.


def test_a_process_that_ends_is_a_failure_with_its_program() -> None:
    report = watch(0, 0, 1, known=FATAL)
    assert [(each.law, each.what) for each in report.failures] == [("no call ends the process", "SIGSEGV")]
    assert report.failures[0].program == "import ctypes\nimport interop\nx = ctypes.string_at(0)\ninterop.view(x)"


def test_a_case_depends_on_the_seed_and_its_number_alone() -> None:
    programs = [[str(cases.case(number)) for number in range(50)] for cases in (Cases(3, PLAIN), Cases(3, PLAIN))]
    assert programs[0] == programs[1]
    assert programs[0] != [str(Cases(4, PLAIN).case(number)) for number in range(50)]
    assert str(Cases(3, PLAIN).case(49)) == programs[0][49]


def test_every_program_stands_by_itself() -> None:
    for number in range(60):
        program = str(Cases(5, PLAIN).case(number))
        with warnings.catch_warnings(), suppress(interop.InteropError):
            warnings.simplefilter("ignore")
            exec(program, {"__name__": "__main__"})


def test_the_command_prints_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "3", "--first", "7", "--calls", "1", "--program"]) == 0
    assert capsys.readouterr().out == f"# 7\n{Cases(3, ['numpy', 'torch']).case(7)}\n"


def _without(what: str) -> Callable[[Any, Any], Any]:
    """A look at torch's tensors that doesn't see something pending."""
    true = TorchAdapter.describe

    def describe(self: Any, x: Any) -> Any:
        facts = true(self, x)
        return replace(facts, pending=facts.pending - {what})

    return describe


def _writing(self: Any, x: Any, *rest: Any, export: Any = NumpyAdapter.export) -> View:
    """An export that changes what it exports."""
    if x.size > 3 and x.dtype == "f4" and x.flags.writeable:
        x.flat[0] += 1
    view: View = export(self, x, *rest)
    return view


_held: list[Any] = []


def _keeping(x: Any, *rest: Any, convert: Any = _convert._convert) -> Any:
    """A conversion that now and then lets nothing go."""
    if isinstance(x, np.ndarray) and len(_held) < 5:
        _held.append(x)
    return convert(x, *rest)


def _writable(self: Any, view: View, wrap: Any = NumpyAdapter.wrap) -> Any:
    """A wrap that doesn't heed readonly."""
    return wrap(self, view.with_readonly(False))


#: What could be wrong with the library, and the law that it breaks.
MUTANTS: dict[str, tuple[Any, str, Any, str]] = {
    "negative bits aren't seen": (TorchAdapter, "describe", _without("neg"), "the values are right"),
    "conjugate bits aren't seen": (TorchAdapter, "describe", _without("conj"), "the values are right"),
    "readonly is lost": (NumpyAdapter, "wrap", _writable, "readonly stays readonly"),
    "the source is written": (NumpyAdapter, "export", _writing, "the source's values stay"),
    "references are kept": (_convert, "_convert", _keeping, "references are balanced"),
    "a graph isn't cut": (TorchAdapter, "settle", lambda _self, x, _what: x, "detach=True has no graph"),
}


@pytest.fixture
def mutated(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """What is set here counts for every call, and is gone afterwards."""
    forget_recipes()
    yield monkeypatch
    monkeypatch.undo()
    _held.clear()
    forget_recipes()


@pytest.mark.parametrize("name", MUTANTS)
def test_it_notices(name: str, mutated: pytest.MonkeyPatch) -> None:
    owner, attribute, mutant, law = MUTANTS[name]
    mutated.setattr(owner, attribute, mutant)
    cases = Cases(5, PLAIN)
    failures: list[Failure] = []
    for failure in Runner(PLAIN).run(cases.case(number) for number in range(3000)):
        failures.append(failure)
        if failure.law == law:
            return
    pytest.fail(f"{name}, and it found {[failure.law for failure in failures]}")
