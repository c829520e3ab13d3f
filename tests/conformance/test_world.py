"""Every library that this run was asked to test goes through the kit: it breaks the rules that are known, and no other.

A rule that a newer version keeps is a failure here: take it out of interop/testing/conformance/_known.py. Where a
library does something undefined, the ending differs from run to run, and has to be one of those that its row has.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from conftest import FRAMEWORKS
from patience import PATIENCE

from interop.testing.conformance import CHECKS, KNOWN, WORLD, Known, Outcome
from interop.testing.conformance._check import BROKEN
from interop.testing.conformance._known import is_expected

HERE = [name for name in WORLD if name.partition(".")[0] in FRAMEWORKS and name != "cupy"]

#: Every run has numpy and torch: where others were asked for, they have been tested already.
ASKED = [name for name in HERE if name not in ("numpy", "torch")] or HERE

if not ASKED:
    pytest.skip("this run was asked to test no library that the kit knows", allow_module_level=True)

#: Runs programs, each in a namespace of its own, and writes how each ended: a library is imported once for them all.
#: They stay in memory until the end, which comes at once: what they broke may be called by it.
RUNNER = """
import json, os, sys
sys.modules["interop"] = None  # a reproducer does without it
out = os.dup(1)
os.dup2(2, 1)
kept = []
for program in json.load(sys.stdin):
    kept.append({"__name__": "__main__"})
    try:
        exec(compile(program, "<reproducer>", "exec"), kept[-1])
        ending = ""
    except BaseException as error:
        ending = f"{type(error).__name__}: {error}"
    os.write(out, f"\\n@ending {json.dumps(ending)}\\n".encode())
os._exit(0)
"""


def conformance(name: str) -> dict[str, Any]:
    """Return a report, from a process of its own: libraries switch things on for all who come after."""
    command = [sys.executable, "-m", "interop", "conformance", name, "--json", "--timeout", "300"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode in (0, 1), done.stderr
    (only,) = json.loads(done.stdout)
    return dict(only)


def python(program: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a program where interop isn't on the path."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command,
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=PATIENCE,
        env=environment,
    )


def shows(seen: str, errors: str) -> bool:
    # The end of the message may be addresses and the like.
    return seen[:25] in " ".join(errors.split())


def endings(programs: list[str]) -> list[str]:
    """Run programs in one process; return the error of each, or nothing, as far as it came."""
    done = python(RUNNER, json.dumps(programs))
    lines = done.stdout.splitlines()
    return [json.loads(line.removeprefix("@ending ")) for line in lines if line.startswith("@ending ")]


def surprises(results: list[dict[str, Any]], known: Mapping[str, Known]) -> dict[str, str]:
    """Return the checks that ended as no row says: a rule that is newly broken, or kept, or broken in another way."""
    return {
        each["check"]: f"{each['outcome']}: {each['seen']}"
        for each in results
        if not is_expected(Outcome(each["outcome"]), known.get(each["check"]))
    }


def shown(seen: str, outcome: Outcome, status: int, errors: str) -> set[Outcome]:
    """Return the endings of a check that a reproducer has shown, which ended with this status and these errors.

    Parameters
    ----------
    seen, outcome
        How the check itself ended: its reproducer is written for that.
    """
    if status not in (0, 1):
        return {Outcome.CRASH}
    if status == 0:
        return {Outcome.CONFORMANT}
    if shows(seen, errors) if outcome is Outcome.VIOLATION else "AssertionError: " in errors:
        return {Outcome.VIOLATION}
    # A refusal, which a check takes and its reproducer doesn't.
    return set() if "AssertionError: " in errors else {Outcome.CONFORMANT}


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_a_library_breaks_the_rules_that_are_known_and_each_reproducer_shows_it(name: str) -> None:
    report, known = conformance(name), KNOWN.get(name, {})
    library = f"{name} {report['version']}"
    assert surprises(report["results"], known) == {}, f"{library} doesn't do what KNOWN says"
    assert set(known) <= {each["check"] for each in report["results"]}

    found = {each["check"]: each for each in report["results"] if Outcome(each["outcome"]) in BROKEN}
    told = [each for each in found.values() if each["outcome"] == "violation"]
    at_once = endings([each["reproducer"] for each in told])
    # What didn't show among others is shown alone, as its reader has it: what ends the process, or comes at its end.
    among = {each["check"] for each, ending in zip(told, at_once, strict=False) if shows(each["seen"], ending)}
    for check, each in found.items():
        if check in among:
            continue
        done = python(f"import sys; sys.modules['interop'] = None\n{each['reproducer']}")
        ended = shown(each["seen"], Outcome(each["outcome"]), done.returncode, done.stderr)
        assert ended & known[check].endings, f"{check} ended with {done.returncode}: {done.stderr}"


RESULT = {"check": "import-device-cuda", "seen": "the process was killed by SIGSEGV"}
ALWAYS = Known("1.0", endings=frozenset({Outcome.CRASH}))
BY_LUCK = Known("1.0", endings=frozenset({Outcome.CRASH, Outcome.CONFORMANT}))


@pytest.mark.parametrize("outcome", Outcome)
def test_only_an_ending_that_varies_may_vary(outcome: Outcome) -> None:
    def accepted(known: Known | None) -> bool:
        rows = {} if known is None else {RESULT["check"]: known}
        return surprises([{**RESULT, "outcome": outcome.value}], rows) == {}

    assert accepted(BY_LUCK) == (outcome in (Outcome.CRASH, Outcome.CONFORMANT))
    assert accepted(ALWAYS) == (outcome is Outcome.CRASH)
    assert accepted(Known("1.0")) == (outcome is Outcome.VIOLATION)
    assert accepted(None) == (outcome not in BROKEN)


@pytest.mark.parametrize(
    ("outcome", "status", "errors", "ended"),
    [
        (Outcome.CRASH, -11, "", Outcome.CRASH),
        (Outcome.CRASH, 0, "", Outcome.CONFORMANT),
        (Outcome.CRASH, 1, "InvalidArgumentError: GPU:0 unknown device.", Outcome.CONFORMANT),
        (Outcome.CRASH, 1, "AssertionError: taken for the host's", Outcome.VIOLATION),
        (Outcome.VIOLATION, 1, "AssertionError: the process was\nkilled by SIGSEGV", Outcome.VIOLATION),
        (Outcome.VIOLATION, 1, "TypeError: the process was killed by another", Outcome.VIOLATION),
        (Outcome.VIOLATION, 1, "AssertionError: something else", None),
    ],
)
def test_what_a_reproducer_shows(outcome: Outcome, status: int, errors: str, ended: Outcome | None) -> None:
    assert shown(RESULT["seen"], outcome, status, errors) == (set() if ended is None else {ended})


def test_what_is_known_is_about_checks_and_libraries_that_there_are() -> None:
    names = {check.name for check in CHECKS}
    assert set(KNOWN) <= set(WORLD)
    assert {check for rows in KNOWN.values() for check in rows} <= names
