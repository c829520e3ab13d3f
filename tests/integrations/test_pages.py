"""The complete programs of the engines' pages, run as a reader runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

ROOT = Path(__file__).parent.parent.parent
PAGES = ("dask", "ray", "mpi")
ENGINES = ("pickle", "dask", "ray", "mpi", "torch_data", "shared_memory", "safetensors")

#: What the program of a page is started by, where it isn't Python alone.
STARTED_BY = {"mpi": (str(Path(sys.executable).parent / "mpiexec"), "-n", "2")}


@pytest.mark.parametrize("page", PAGES)
def test_the_program_of_a_page_runs_and_prints_its_figures(page: str, tmp_path: Path) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    (program,) = (
        found for found in re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE) if "__main__" in found
    )
    path = tmp_path / "program.py"
    path.write_text(program)
    done = subprocess.run(
        [*STARTED_BY.get(page, ()), sys.executable, str(path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if re.search(r"\d ms", line)]
    assert len(lines) >= 2, done.stdout + done.stderr
    print(*lines, sep="\n")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_module_imports_no_engine_before_it_is_asked(engine: str) -> None:
    engines = ("distributed", "dask", "ray", "mpi4py", "safetensors", "torch", "jax", "cloudpickle", "joblib")
    script = f"import sys, interop.integrations.{engine}; print(*(set({engines!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.split() == []
