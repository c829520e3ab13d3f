"""A small matrix of the frameworks that this run has to test: through interop nothing bad happens in any cell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from patience import PATIENCE

from interop.cli._matrix import outcomes, verdict
from interop.cli._matrix.hands import ROWS, installed
from interop.cli._matrix.results import Matrix

if TYPE_CHECKING:
    from pathlib import Path

ASKED = {name.strip() for name in os.environ.get("INTEROP_TEST_FRAMEWORKS", "numpy,torch").split(",")}
KINDS = [name for name in installed() if ROWS[name].needs in ASKED | {"numpy"}]
CELLS = ("--dtypes", "float32,float64,bfloat16,bool", "--layouts", "c,1d,fortran,negative,offset,0d,empty")


@pytest.mark.slow
def test_to_and_from_numpy_nothing_bad_happens(tmp_path: Path) -> None:
    pytest.importorskip("rich")
    command = [sys.executable, "-m", "interop", "matrix", "--only", ",".join(KINDS), "--with", "numpy", "--json"]
    done = subprocess.run(
        [*command, *CELLS, "--cache", str(tmp_path)], check=False, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode in (0, 1), done.stderr
    found = Matrix.from_json(json.loads(done.stdout))
    assert found.absent == {}
    targets = {name for name in KINDS if ROWS[name].is_target}
    assert set(found.pairs) == {(name, "numpy") for name in KINDS} | {("numpy", name) for name in targets}
    assert verdict.account(found).open == []
    assert not verdict.count(found.pairs.values(), ours=True).keys() & outcomes.BAD
