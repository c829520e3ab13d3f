"""What every command has in common: it names what is nearest to a wrong argument, fits 60 columns, and gives JSON."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from interop.cli import COMMANDS, main
from interop.cli._doctor import findings, show

MEASURED = Path(__file__).parent.parent / "docs" / "measured" / "matrix.json"

#: Command lines that are wrong, and what is said: the argument, and the nearest right one.
WRONG = {
    "docter": r"invalid choice: 'docter' .* Did you mean doctor?",
    "doctor --jsn": "--jsn. Did you mean --json?",
    "doctor nunpy": "no library nunpy has an adapter. Did you mean numpy?",
    "doctor --timeout soon": "--timeout: 'soon' is not a number of seconds above 0",
    "doctor --timeout -1": "--timeout: '-1' is not a number of seconds above 0",
    "doctor --timeout nan": "--timeout: 'nan' is not a number of seconds above 0",
    "doctor numpy --svg /nowhere/a.svg": "can't write /nowhere/a.svg",
    "matrix --only nunpy": "no kind of array nunpy. Did you mean numpy?",
    "matrix --only numpy --dtypes flaot32": "no element type flaot32. Did you mean float32?",
    "matrix --only numpy --layouts negtive": "no layout negtive. Did you mean negative?",
    "matrix --jobs 0": "--jobs: '0' is not a number of 1 or more",
    "matrix --fersh": "--fersh. Did you mean --fresh?",
    "matrix --merge /nowhere.json": "/nowhere.json",
    "conformance numpyy": "Did you mean numpy?",
    "conformance numpy --check export-keyword": "--check export-keyword: .* Did you mean export-keywords?",
    "conformance numpy --known export-keyword": "--known export-keyword: .* Did you mean export-keywords?",
    "conformance numpy --isolate al": "invalid choice: 'al' .* Did you mean all?",
    "conformance --timeout 0": "--timeout: '0' is not a number of seconds above 0",
    "demo --seconds -1": "--seconds: '-1' is not a number of seconds",
    "demo --ot x": "--ot x. Did you mean --out?",
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_argument_is_named_with_the_nearest_right_one(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    if line.split(maxsplit=1)[0] in ("doctor", "matrix") and ("svg" in line or "matrix" in line):
        pytest.importorskip("rich")
    try:
        status: Any = main(line.split())
    except SystemExit as ended:
        status = ended.code
    assert status == 2
    said = capsys.readouterr().err
    for part in WRONG[line].split(" .* "):
        assert part in said, said


@pytest.mark.parametrize("row", COMMANDS, ids=lambda row: row.name)
def test_every_command_takes_json(row: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([row.name, "--help"])
    assert "--json" in capsys.readouterr().out


def test_the_list_of_checks_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["conformance", "--list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"name", "rule", "where"} == set(rows[0])


def test_the_demo_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("rich", "matplotlib", "PIL", "torch"):
        pytest.importorskip(name)
    assert main(["demo", "--json", "--seconds", "0", "--out", str(tmp_path)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["checks"] > 20
    assert {hop["kind"] for hop in told["hops"]} == {"view", "copy"}
    assert all(Path(path).is_file() for path in told["files"])


# --- 60 columns


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")


@pytest.mark.usefixtures("narrow")
def test_the_matrix_fits_a_narrow_pipe_and_gives_its_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich")
    assert main(["matrix", "--merge", str(MEASURED)]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 60
    assert "…" not in said
    # Every exception that covers a cell, with its reason in full.
    assert "are excepted, for these reasons:" in " ".join(said.split())
    assert "The target's compiled kernels take every element to be aligned" in " ".join(said.split())
    assert said.count(" cells): ") + said.count("\n    cells): ") >= 2


def report() -> findings.Findings:
    names = [f"library_{number}" for number in range(9)]
    libraries = [
        findings.Library("works_well", "built-in", "works", "1.2", 0.5),
        findings.Library("a_library_with_a_name", "built-in", "missing", mend="pip install a-very-long-name-indeed"),
        findings.Library("sick", "entry point of their-package", "broken", error="it says " + "so much " * 20),
    ]
    pairs = [
        {"source": x, "target": y, "route": "zero-copy", "hot": True, "ok": True} for x in names for y in names
    ] + [{"source": "library_0", "target": "library_9", "route": "refused", "ok": True}]
    return findings.Findings({"interop": "1"}, libraries, pairs, {"driver": ""}, ["sick: it says so much"])


def test_the_doctor_fits_a_narrow_pipe_and_breaks_no_word() -> None:
    said = show.plain(report(), 60)
    assert max(map(len, said.splitlines())) <= 60
    assert said.count("view*") == 81
    assert "pip install a-very-long-name-indeed" in " ".join(said.split())
    # Without a width every line is as long as it is, for grep.
    assert max(map(len, show.plain(report()).splitlines())) > 150


def test_the_doctor_says_what_its_words_mean() -> None:
    said = show.plain(report())
    for word in ("works", "missing", "broken", "view", "refused", "*"):
        assert f"\n  {word}: " in said, word
    assert "\n  copy: " not in said


# --- where nothing is wrong, one process looks at everything


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    ran: list[str] = []
    real = subprocess.run

    def run(command: list[str], **options: Any) -> Any:
        if findings._PROBE in command:  # and not platform's uname
            ran.append(command[command.index(findings._PROBE) + 1])
        return real(command, **options)

    monkeypatch.setattr(subprocess, "run", run)
    return ran


def test_one_process_is_enough_where_nothing_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = counted(monkeypatch)
    found = findings.examine(["numpy"], 60, lambda _: None)
    assert ran == ["together"]
    assert not found.problems
    assert [(one.name, one.state) for one in found.libraries] == [("numpy", "works")]
    assert [pair["route"] for pair in found.pairs] == ["zero-copy"]


def test_what_takes_too_long_together_is_looked_at_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = counted(monkeypatch)
    late = findings._Ran('{"library": "numpy", "seconds": 0.1}\n{"next": ["numpy", "numpy"]}\n', 1, "late", late=True)
    together = findings._together

    def slow(names: list[str], timeout: float) -> Any:
        return {**together(names, timeout)[0]}, late

    monkeypatch.setattr(findings, "_together", slow)
    found = findings.examine(["numpy"], 60, lambda _: None)
    assert ran == ["together", "library", "pairs"]
    assert not found.problems
