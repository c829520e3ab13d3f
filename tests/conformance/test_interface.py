"""What authors see of the kit: discovery, reports, the pytest classes, the command line, and errors that help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from patience import PATIENCE

from interop.cli import main
from interop.testing import conformance
from interop.testing.conformance import CHECKS, Known, Outcome
from interop.testing.conformance._execute import execute_isolated
from interop.testing.conformance._script import HELPERS, Script, reproducer_of
from interop.testing.conformance._subject import Subject, text_of

HERE = Path(__file__).parent

TOY = '''
import numpy as np


class Array:
    """The least that there is to join: a numpy array inside."""

    def __init__(self, values):
        self.values = np.asarray(values)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        return self.values.__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)

    def __dlpack_device__(self):
        return (1, 0)


def asarray(values):
    return Array(values)


def from_dlpack(x, /, *, device=None, copy=None):
    return Array(np.from_dlpack(x, device=device, copy=copy))
'''


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "toy_arrays.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop("toy_arrays", None)


def test_a_library_is_found_from_the_name_of_its_type(toy: Path) -> None:
    report = conformance.check("toy_arrays:Array")
    assert report.violations == []
    assert {result.check.role.value for result in report} == {"producer", "consumer"}
    # It runs in other processes too, which find it by the import path of this one.
    assert report["export-lifetime"].outcome is Outcome.CONFORMANT
    # Of what can't be sliced, views are made of numpy's.
    assert report["export-negative-strides"].outcome is Outcome.CONFORMANT


@pytest.mark.parametrize(
    ("target", "says"),
    [("no_such_module:X", "can't import"), ("numpy:nothing", "has no type"), ("json", "neither a factory")],
)
def test_what_cant_be_found_is_said(target: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LookupError, match=says):
        conformance.check(target)
    assert main(["conformance", target]) == 2
    assert says in capsys.readouterr().err


def barren(_: Any) -> Any:
    raise TypeError("no array of ours")


def test_a_factory_that_makes_nothing_is_no_clean_report(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"barren makes no array of a numpy array \(TypeError: no array of ours\)"):
        conformance.check_producer(barren, isolate="none")
    assert main(["conformance", "toy_arrays:Array", "--make", "math:sqrt"]) == 2
    assert "math.sqrt makes no array" in capsys.readouterr().err


def test_a_type_that_nothing_makes_is_no_clean_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "fractions:Fraction"]) == 2
    assert "nothing makes a fractions.Fraction of a numpy array" in capsys.readouterr().err


def test_a_type_that_only_an_adapter_speaks_for_is_told_so(toy: Path) -> None:
    (toy / "toy_mute.py").write_text("class Tally:\n    def __init__(self, cells): self.cells = cells\n")
    with pytest.raises(LookupError, match=r"a toy_mute.Tally has no __dlpack__, and that is what is checked"):
        conformance.check("toy_mute:Tally")


class Careless:
    def __init__(self, values: Any) -> None:
        self.values = values

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ) -> Any:
        return self.values.__dlpack__(max_version=max_version)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


class Odd:
    """What answers to everything, with itself."""

    def __init__(self, *_: Any, **__: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        return Odd()

    def __call__(self, *_: Any, **__: Any) -> Any:
        return Odd()

    def __repr__(self) -> str:
        return "odd"


class NoMethod:
    __dlpack__ = 5

    def __init__(self, _: Any) -> None: ...


class Text(Careless):
    def __dlpack__(self, **_: Any) -> Any:
        return "dltensor"


class Ends(Careless):
    def __dlpack__(self, **_: Any) -> Any:
        raise SystemExit(3)

    def __repr__(self) -> str:
        raise ValueError("not even this")


@pytest.mark.parametrize(
    ("make", "seen"),
    [
        (Odd, "odd"),
        (NoMethod, "TypeError: 'int' object is not callable"),
        (Text, "'dltensor'"),
        (Ends, "SystemExit: 3"),
    ],
)
def test_an_odd_producer_gets_the_rule(make: type, seen: str) -> None:
    report = conformance.check_producer(make, isolate="none")
    result = report["export-capsule-name"]
    assert (result.outcome, result.seen) == (Outcome.VIOLATION, seen)
    assert "Traceback" not in str(report)
    assert json.loads(report.to_json())["counts"]["violation"] == len(report.violations)


@pytest.mark.parametrize("made", [None, iter([1])], ids=["none", "iterator"])
def test_what_has_no_dlpack_is_no_array(made: Any) -> None:
    with pytest.raises(ValueError, match="has no __dlpack__"):
        conformance.check_producer(lambda _: made, isolate="none")


def swallows(x: Any, **_: Any) -> None:
    try:
        x.__dlpack__()
    except BaseException:
        return


@pytest.mark.parametrize("consumer", [swallows, lambda *_, **__: Odd(), lambda x, **_: iter([x])])
def test_an_odd_consumer_gets_the_rule(consumer: Any) -> None:
    safe = [check.name for check in conformance.CONSUMER_CHECKS if not check.risky]
    report = conformance.check_consumer(consumer, isolate="none", checks=safe)
    assert report["import-takes"].outcome is Outcome.VIOLATION
    assert report["import-no-protocol"].outcome is Outcome.VIOLATION
    assert not report["import-stream-host"].broken or "stream" in report["import-stream-host"].seen


def test_an_unknown_check_is_an_error() -> None:
    with pytest.raises(ValueError, match="no check is named nonsense"):
        conformance.check_producer(np.asarray, checks=["nonsense"])


def test_known_violations_are_strict() -> None:
    report = conformance.check_producer(careless, checks=["export-copy-true", "export-device"])
    with pytest.raises(AssertionError, match=r"copy=True gives the memory itself(.|\n)*the rule: (.|\n)*to reproduce:"):
        report.assert_conformant()
    report.assert_conformant(known={"export-copy-true": "careless#1"})
    with pytest.raises(AssertionError, match=r"export-device is known to fail .*, and doesn't"):
        report.assert_conformant(known={"export-copy-true": "careless#1", "export-device": "careless#2"})


def careless(values: Any) -> Careless:
    return Careless(values)


def test_a_function_of_a_test_module_reaches_other_processes() -> None:
    report = conformance.check_producer(careless, checks=["export-lifetime"])
    assert report["export-lifetime"].outcome is Outcome.CONFORMANT


def test_a_function_without_a_name_stays_in_this_process() -> None:
    report = conformance.check_producer(partial(Careless), checks=["export-lifetime", "export-copy-true"])
    assert report["export-copy-true"].broken
    assert report["export-lifetime"].outcome is Outcome.NOT_TESTED
    assert "isolate='none'" in report["export-lifetime"].seen
    here = conformance.check_producer(partial(Careless), checks=["export-lifetime"], isolate="none")
    assert here["export-lifetime"].outcome is Outcome.CONFORMANT


def test_texts_of_functions() -> None:
    assert text_of(np.asarray) == ("import numpy", "numpy.asarray")
    assert text_of(lambda x: x) is None
    assert text_of(careless) is not None


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_each_check_names_its_rule_and_fits_into_an_issue(check: conformance.Check) -> None:
    rule = check.rule
    assert "" not in (rule.spec, rule.section, rule.text)
    assert rule.url.startswith("https://")
    subject = Subject(
        name="mine", imports="import mine", make="mine.asarray", from_dlpack="mine.from_dlpack", readonly="mine.frozen"
    )
    # The library exports versioned capsules, as one that is up to date does.
    text = reproducer_of(check, replace(subject, versioned=True))
    compile(text, check.name, "exec")
    assert "interop" not in text
    # What changes a field of a capsule, or calls a deleter, needs ctypes.
    assert len(text.splitlines()) <= (15 if "ctypes" in text else 9), text
    assert max(map(len, text.splitlines())) <= 150


def test_helpers_need_only_those_before_them() -> None:
    names = list(HELPERS)
    for index, (name, text) in enumerate(HELPERS.items()):
        later = [other for other in names[index + 1 :] if f"{other}(" in text.removeprefix(f"def {name}(")]
        assert later == [], name


def test_a_process_that_dies_takes_nobody_with_it() -> None:
    fine = Script("", "", "x = 1")
    dies = Script("import ctypes", "", "ctypes.string_at(0)")
    hangs = Script("import os", "", "os._exit(7)")
    wrong = Script("", "", "assert 0, 'wrong'")
    endings = execute_isolated([fine, dies, wrong, hangs, fine])
    assert [ending.outcome.value for ending in endings] == ["conformant", "crash", "violation", "crash", "conformant"]
    assert endings[1].seen == "the process was killed by SIGSEGV"
    assert endings[2].seen == "wrong"
    assert endings[3].seen == "the process ended with status 7"


def test_what_an_earlier_script_has_broken_is_nobody_elses_fault() -> None:
    breaks = Script("import sys", "", "sys.broken = True")
    meets = Script("import sys", "", "assert not hasattr(sys, 'broken'), 'broken'")
    together = execute_isolated([breaks, meets])
    assert [ending.outcome for ending in together] == [Outcome.CONFORMANT, Outcome.VIOLATION]
    apart = execute_isolated([breaks, meets], corrupting={0})
    assert [ending.outcome for ending in apart] == [Outcome.CONFORMANT, Outcome.CONFORMANT]


FREES_TWICE = """
import os
import numpy as np
import toy_arrays

class Array(toy_arrays.Array):
    pass

def asarray(values):
    return Array(values)

broken = False

def from_dlpack(x, /, *, device=None, copy=None):
    global broken
    if x.__dlpack_device__() == (2, 0):
        broken = True  # what it freed twice is read by all who come after
        if os.environ["LUCK"] == "bad":
            os.abort()
        raise BufferError("no CUDA here")
    made = np.array(np.from_dlpack(x))
    return Array(np.zeros_like(made) if broken else made)
"""


@pytest.fixture
def frees_twice(toy: Path) -> Any:
    (toy / "frees_twice.py").write_text(FREES_TWICE)
    yield toy
    sys.modules.pop("frees_twice", None)


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="the check takes the CUDA device for one that is here")
@pytest.mark.parametrize(("luck", "outcome"), [("bad", Outcome.CRASH), ("good", Outcome.CONFORMANT)])
def test_what_is_undefined_may_end_as_its_row_says(
    frees_twice: Path, monkeypatch: pytest.MonkeyPatch, luck: str, outcome: Outcome
) -> None:
    monkeypatch.setenv("LUCK", luck)
    undefined, later = "import-device-cuda", "import-dtype-float32"
    report = conformance.check("frees_twice:Array", isolate="all", checks=[undefined, later])
    assert report[undefined].outcome is outcome
    # It runs after those that nobody dies of.
    assert report[later].outcome is Outcome.CONFORMANT

    report.assert_conformant(known={undefined: Known("1.0", endings=frozenset({Outcome.CRASH, Outcome.CONFORMANT}))})
    report.assert_conformant(known={undefined: Known("1.0", endings=frozenset({outcome}))})
    if report[undefined].broken:
        report.assert_conformant(known={undefined: "mine#1"})
    others = frozenset(Outcome) - {outcome}
    with pytest.raises(AssertionError, match=f"{undefined} is known to "):
        report.assert_conformant(known={undefined: Known("1.0", endings=others)})

    command = ["conformance", "frees_twice:Array", "--check", undefined]
    assert main([*command, "--flaky", undefined]) == 0
    assert main([*command, "--known", undefined]) == int(outcome is Outcome.CONFORMANT)
    assert main(command) == int(outcome is Outcome.CRASH)


HANGING = """
import threading
import numpy as np
import toy_arrays

class Array(toy_arrays.Array):
    def __dlpack__(self, *, copy=None, **keywords):
        if copy:
            never()
        return super().__dlpack__(copy=copy, **keywords)

def never():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()

def asarray(values):
    return Array(values)

def from_dlpack(x, /, *, device=None, copy=None):
    if copy is False:
        never()
    return Array(np.from_dlpack(x, device=device, copy=copy))
"""


@pytest.fixture
def hanging(toy: Path) -> Any:
    (toy / "hanging.py").write_text(HANGING)
    yield toy
    sys.modules.pop("hanging", None)


def test_a_library_that_hangs_hangs_nobody(hanging: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ["export-copy-false", "export-copied-flag", "export-device", "import-copy-false", "import-takes"]
    checks = [part for name in wanted for part in ("--check", name)]
    assert main(["conformance", "hanging:Array", "--json", "--timeout", "3", *checks]) == 1
    (report,) = json.loads(capsys.readouterr().out)
    seen = {each["check"]: (each["outcome"], each["seen"]) for each in report["results"]}
    late = ("violation", "it does not return within 3 s")
    assert seen == {
        "export-copied-flag": late,
        "export-copy-false": ("conformant", ""),
        "export-device": ("conformant", ""),
        "import-copy-false": late,
        "import-takes": ("conformant", ""),
    }


def test_where_all_hangs_the_rest_isnt_waited_for(hanging: Path) -> None:
    hangs = Script("import hanging", "", "hanging.never()")
    endings = execute_isolated([hangs] * 5, 0.5)
    assert [ending.outcome.value for ending in endings] == [*["violation"] * 3, *["not tested"] * 2]
    assert endings[4].seen == "3 checks before it didn't return"


class TestTheSuite(conformance.ProducerSuite):
    """The class as authors use it, on what ignores most of what it is asked."""

    make = staticmethod(careless)
    known = dict.fromkeys(("export-copy-true", "export-dl-device-unknown", "export-stream-1"), "careless#1")


SUITE = """
from interop.testing import conformance
import toy_arrays


class TestExports(conformance.ProducerSuite):
    make = staticmethod(toy_arrays.asarray)
    known = {"export-device": "not true"}


class TestImports(conformance.ConsumerSuite):
    from_dlpack = staticmethod(toy_arrays.from_dlpack)
"""


def test_the_suite_fails_where_a_known_failure_is_mended(toy: Path) -> None:
    (toy / "test_suite.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rf", str(toy / "test_suite.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=toy, timeout=PATIENCE)
    assert "export-device is known to fail (not true), and doesn't" in done.stdout, done.stdout + done.stderr
    assert "1 failed" in done.stdout, done.stdout


def test_the_command_writes_json_and_text(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "toy_arrays:Array", "--check", "export-device", "--json"]) == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report["counts"] == {"conformant": 1}
    assert main(["conformance", "toy_arrays:Array", "--check", "export-tricky-values", "-v"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("toy_arrays.Array: 1 not tested\n")
    assert "no tricky= was given" in out
    assert "\x1b[" not in out


LOUD = """
import os, toy_arrays
def asarray(values):
    print("made by Python"); os.write(1, b"made by C")
    return toy_arrays.asarray(values)
"""


def test_the_json_is_alone_on_stdout(toy: Path) -> None:
    (toy / "loud.py").write_text(LOUD)
    command = [sys.executable, "-m", "interop", "conformance", "loud", "--check", "export-device", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": path()})
    assert json.loads(done.stdout)[0]["counts"] == {"conformant": 1}
    assert "made by Python" in done.stderr
    assert "made by C" in done.stderr


def path() -> str:
    return os.pathsep.join(each for each in sys.path if each)


def test_the_command_tells_what_is_broken_and_what_is_mended(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = [
        "conformance",
        "numpy",
        "--make",
        "conformance.flawed_producers:CopyIgnorer",
        "--check",
        "export-copy-true",
    ]
    assert main(wrong) == 1
    out = capsys.readouterr().out
    assert "copy=True gives the memory itself" in out
    assert "the rule: True always copies" in out
    assert main([*wrong, "--known", "export-copy-true"]) == 0
    assert main([*wrong, "--flaky", "export-copy-true"]) == 0
    assert main(["conformance", "numpy", "--check", "export-device", "--known", "export-device"]) == 1
    assert "is known to be broken, and isn't" in capsys.readouterr().err


def test_the_command_lists_its_checks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--list"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CHECKS)
    assert main(["conformance"]) == 2
