"""What an import costs: fresh interpreters, in turns, the fastest of each."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from benchmarks.budgets import Budgets, Result, Verdict

SECTION: Final = "imports"

#: What is imported, and what a user of it has imported anyway.
IMPORTS: Final = (("import interop", "import numpy, ml_dtypes"),)

_TIMED: Final = "import time; start = time.perf_counter(); {code}; print(time.perf_counter() - start)"


def import_costs(budgets: Budgets, code: str, base: str, repeats: int) -> Iterator[Result]:
    """Measure one import; the first run, which may compile bytecode, doesn't count."""
    result = Result(SECTION, code, "fresh interpreters", code, base, "ms")
    try:
        runs = [(_milliseconds(base), _milliseconds(f"{base}; {code}")) for _ in range(repeats + 1)][1:]
    except subprocess.CalledProcessError as err:
        note = err.stderr.strip().rpartition("\n")[2]
        yield replace(result, verdict=Verdict.FAILED, note=note)
        return
    theirs, ours = (min(column) for column in zip(*runs, strict=True))
    limit = budgets.imports.get(code, {}).get(base)
    added = max(ours - theirs, 0.0)
    verdict = budgets.judge(added, limit)
    yield replace(
        result, ours=ours, theirs=theirs, figure=added, limit=limit, verdict=verdict, details={"rounds": repeats}
    )


def _milliseconds(code: str) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    run = subprocess.run(
        [sys.executable, "-c", _TIMED.format(code=code)], env=environment, capture_output=True, text=True, check=True
    )
    return 1000 * float(run.stdout)
