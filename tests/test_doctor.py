"""interop doctor: what works, what is broken, and why, however badly a library behaves."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from test_plugins import ADAPTER, install

from interop.cli._doctor import show
from interop.cli._doctor.findings import Findings

TESTS = Path(__file__).parent


def doctor(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([*([str(folder)] if folder else []), str(TESTS.parent)])
    return subprocess.run(
        [sys.executable, "-m", "interop", "doctor", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def findings(*arguments: str, folder: Path | None = None) -> tuple[int, dict[str, Any]]:
    done = doctor("--json", *arguments, folder=folder)
    assert not done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, told


def test_a_healthy_library() -> None:
    status, told = findings("numpy")
    assert status == 0
    assert told["problems"] == []
    assert [(one["name"], one["state"]) for one in told["libraries"]] == [("numpy", "works")]
    (pair,) = told["pairs"]
    assert (pair["route"], pair["hot"], pair["ok"]) == ("zero-copy", True, True)
    assert set(told) == {"here", "libraries", "pairs", "gpu", "problems"}


def test_a_pipe_gets_plain_text(tmp_path: Path) -> None:
    install(tmp_path, "mine", ADAPTER + "adapter = Mine()", "mine:adapter")
    done = doctor("numpy", "mine", folder=tmp_path)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "entry point of their-package" in done.stdout
    assert done.stdout.rstrip().endswith("All is well: 4 conversions made, and every value came out as it went in.")


def report(routes: Sequence[tuple[str, str, str]], problems: Sequence[str] = ()) -> Findings:
    pairs = [{"source": x, "target": y, "route": route, "hot": True, "ok": True} for x, y, route in routes]
    return Findings({"interop": "1"}, [], pairs, {"driver": ""}, list(problems))


def test_the_words_of_the_pairs_are_explained_where_they_occur() -> None:
    said = show.plain(report([("a", "a", "zero-copy"), ("a", "b", "refused")]))
    row = next(line for line in said.splitlines() if line.startswith("a"))
    # What is refused has no way without planning.
    assert row.split() == ["a", "view*", "refused"]
    assert "  view: the result is on the same memory" in said
    assert "copy:" not in said
    assert said.endswith("All is well: 1 conversion made, and every value came out as it went in.")
    assert show.plain(report([], ["a: it broke"])).endswith("1 problem:\n  - a: it broke")


def test_a_narrow_terminal_breaks_no_word() -> None:
    console = pytest.importorskip("rich.console").Console(width=60, record=True, file=io.StringIO())
    names = [f"library_{n}" for n in range(12)]
    show.in_colour(report([(x, y, "zero-copy") for x in names for y in names]), console)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 60
    assert sum(line.count("view*") for line in lines) == len(names) ** 2
    assert all(any(name in line.split() for line in lines) for name in names)


def test_no_color_is_heeded() -> None:
    pytest.importorskip("rich")
    code = "import sys; sys.stdout.isatty = lambda: True; from interop.cli import main; main(['doctor', 'numpy'])"
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent), "TERM": "xterm-256color", "FORCE_COLOR": "1"}
    for variables, coloured in (({"NO_COLOR": "1"}, False), ({}, True)):
        env = {**environment, **variables}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
        assert ("\x1b[1;36m" in done.stdout) == coloured


def test_what_isnt_installed_isnt_broken(tmp_path: Path) -> None:
    install(tmp_path, "mine", "", "mine_interop:adapter")
    (tmp_path / "mine.py").unlink()
    status, told = findings("mine", folder=tmp_path)
    assert status == 0
    assert told["libraries"][0]["state"] == "missing"
    assert told["libraries"][0]["mend"] == "pip install their-package"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import os; os.abort()", "SIGABRT"),
        ("import os; os._exit(0)", "exit status 0"),
        ("raise SystemExit(4)", "SystemExit: 4"),
        ("print('noise on its way')\n" + ADAPTER + "Mine.api = 99\nadapter = Mine()", "version 99"),
        (ADAPTER + "Mine.claims = lambda self, tp: 1 / 0\nadapter = Mine()", "ZeroDivisionError"),
    ],
)
def test_a_broken_library_is_named_and_the_rest_is_looked_at(text: str, says: str, tmp_path: Path) -> None:
    if "abort" in says.lower() and sys.platform == "win32":
        pytest.skip("signals are Unix's")
    install(tmp_path, "mine", text, "mine:adapter")
    status, told = findings("numpy", "mine", folder=tmp_path)
    assert status == 1
    states = {one["name"]: one for one in told["libraries"]}
    assert states["mine"]["state"] == "broken"
    assert says in states["mine"]["error"]
    assert states["numpy"]["state"] == "works"
    assert any(problem.startswith("mine: ") for problem in told["problems"])


@pytest.mark.parametrize(
    ("verb", "route", "says"),
    [
        ("def from_numpy(self, array): import os; os.abort()", "crashed", "SIGABRT"),
        ("def from_numpy(self, array): return Array(array.reshape(-1, 1))", "failed", "bug of its adapter"),
        ("def from_numpy(self, array): return Array(array.copy())", "failed", "asked for a view"),
    ],
)
def test_a_conversion_that_fails_is_named(verb: str, route: str, says: str, tmp_path: Path) -> None:
    text = ADAPTER + "class Worse(Mine):\n    " + verb + "\nadapter = Worse()"
    install(tmp_path, "mine", text, "mine:adapter")
    status, told = findings("numpy", "mine", folder=tmp_path)
    assert status == 1
    by_pair = {(one["source"], one["target"]): one for one in told["pairs"]}
    assert by_pair["numpy", "numpy"]["ok"]
    assert by_pair["numpy", "mine"]["route"] == route
    assert says in by_pair["numpy", "mine"]["error"]
    assert len(by_pair) == 4


def test_a_library_nobody_knows() -> None:
    done = doctor("nosuch")
    assert done.returncode == 2
    assert "no library nosuch" in done.stderr


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("rich")
    picture = tmp_path / "doctor.svg"
    assert doctor("numpy", "--svg", str(picture)).returncode == 0
    assert "All" in picture.read_text(encoding="utf-8")


def test_an_adapter_that_never_works_is_told_once(tmp_path: Path) -> None:
    install(tmp_path, "mine", ADAPTER + "Mine.room = {'float32'}\nadapter = Mine()", "mine:adapter")
    status, told = findings("numpy", "mine", folder=tmp_path)
    assert status == 1
    assert {one["name"]: one["state"] for one in told["libraries"]} == {"numpy": "works", "mine": "broken"}
    (problem,) = told["problems"]
    assert "no Limits" in problem
