"""The one command for a machine with a GPU: it runs here, and no test can take the others' results with it."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from patience import PATIENCE

PROGRAM = Path(__file__).parent / "on_gpu.py"

#: A rehearsal of the others is `make rehearse-gpu`; these three stand on everything that it does.
STAGES = ("versions", "races", "captures")

TROUBLE = """
import os, time
import pytest

def test_first(): pass
def test_wrong(): assert 1 == 2
def test_hangs(): time.sleep(1000)
def test_after_the_hang(): pass
def test_crash(): os._exit(7)
def test_host_function(): pytest.skip("not here")
"""


@pytest.fixture(scope="module")
def on_gpu() -> ModuleType:
    spec = importlib.util.spec_from_file_location("on_gpu", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["on_gpu"] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.sim_only(mode="lazy")
def test_a_rehearsal_finds_every_guard_and_no_race(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(PROGRAM),
        "--out",
        str(tmp_path),
        "--simulate",
        "--short",
        "--only",
        ",".join(STAGES),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert done.returncode == 0, page + done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["on"] == "simulated CUDA, lazy mode"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.json", "report.md"]
    found = {stage["name"]: stage["rows"] for stage in report["stages"]}
    assert found.keys() == set(STAGES)
    verdicts = {(bool(row["without"]), row["verdict"]) for row in found["races"]}
    assert verdicts == {(False, "right"), (True, "shown")}
    assert [row["wrong"] for row in found["captures"]] == [0, 0, 0, 0]


@pytest.mark.sim_only(mode="lazy")
def test_a_hang_a_crash_and_a_failure_cost_one_test_each(
    tmp_path: Path, on_gpu: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = on_gpu.Run(tmp_path / "out", PATIENCE, simulate="lazy", short=False)
    trouble = tmp_path / "cuda" / "rules"
    trouble.mkdir(parents=True)
    (trouble / "test_trouble.py").write_text(TROUBLE, encoding="utf-8")
    monkeypatch.setattr(on_gpu, "TESTS", tmp_path)
    monkeypatch.setattr(on_gpu, "PATIENCE", 2.0)
    run.stage(on_gpu.Stage("rules", PATIENCE, ("rules",)))
    (outcome,) = run.outcomes
    results = {row["test"].rpartition("::")[2]: row["result"] for row in outcome.rows}
    assert results == {
        "test_first": "passed",
        "test_wrong": "failed",
        "test_hangs": "hung",
        "test_after_the_hang": "passed",
        "test_crash": "crashed",
        "test_host_function": "skipped",
    }
    page = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    counts = {"2 confirmed", "1 refuted", "1 hung", "1 crashed", "1 not asked here"}
    assert counts <= set(page.replace("\n", ", ").split(", "))


def test_a_stage_that_is_stopped_leaves_what_it_has_found(tmp_path: Path, on_gpu: ModuleType) -> None:
    run = on_gpu.Run(tmp_path, 60, simulate=None, short=True)
    outcome = on_gpu.Outcome("x")
    package = tmp_path / "gpu_stages"
    package.mkdir()
    # Before the tests' own, which may be on the path.
    (package / "__init__.py").touch()
    (package / "x.py").write_text("import time; print('{\"seen\": 1}', flush=True); time.sleep(1000)", encoding="utf-8")
    run.environment = {"PYTHONPATH": str(tmp_path)}
    run.program(on_gpu.Stage("x", 2), outcome, 2)
    assert (outcome.status, outcome.rows) == ("stopped", [{"seen": 1}])
    run.outcomes.append(on_gpu.Outcome("late", tail="no time was left"))
    run.write()
    assert "no time was left" in (tmp_path / "report.md").read_text(encoding="utf-8")
