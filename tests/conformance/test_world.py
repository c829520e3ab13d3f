"""Every library that this run was asked to test goes through the kit: it breaks the rules that are known, and no other.

A rule that a newer version keeps is a failure here: take it out of interop/testing/conformance/_known.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from conftest import FRAMEWORKS

from interop.testing.conformance import CHECKS, KNOWN, WORLD

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
    command = [sys.executable, "-m", "interop", "conformance", name, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
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
        timeout=300,
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


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_a_library_breaks_the_rules_that_are_known_and_each_reproducer_shows_it(name: str) -> None:
    report, known = conformance(name), KNOWN.get(name, {})
    library = f"{name} {report['version']}"
    found = {each["check"]: each for each in report["results"] if each["outcome"] in ("violation", "crash")}
    new = {check: each["seen"] for check, each in found.items() if check not in known}
    assert new == {}, f"{library} breaks rules that no row of KNOWN has"
    mended = {check: row.version for check, row in known.items() if check not in found}
    assert mended == {}, f"{library} keeps these now: take them out of KNOWN"

    told = [each for each in found.values() if each["outcome"] == "violation"]
    at_once = endings([each["reproducer"] for each in told])
    # What didn't show among others is shown alone, as its reader has it: what ends the process, or comes at its end.
    shown = {each["check"] for each, ending in zip(told, at_once, strict=False) if shows(each["seen"], ending)}
    for check, each in found.items():
        if check in shown:
            continue
        done = python(f"import sys; sys.modules['interop'] = None\n{each['reproducer']}")
        if each["outcome"] == "crash":
            assert done.returncode not in (0, 1), f"{check}: {done.stderr}"
        else:
            assert done.returncode == 1, f"{check} ended with {done.returncode}"
            assert shows(each["seen"], done.stderr), f"{check}: {done.stderr}"


def test_what_is_known_is_about_checks_and_libraries_that_there_are() -> None:
    names = {check.name for check in CHECKS}
    assert set(KNOWN) <= set(WORLD)
    assert {check for rows in KNOWN.values() for check in rows} <= names
