"""What :mod:`stress` does with threads, each in a process of its own; INTEROP_STRESS=50 makes it 50 times as long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from stress import STRESSES

SCRIPT = Path(__file__).with_name("stress.py")
TIMES = os.environ.get("INTEROP_STRESS", "1")


@pytest.mark.parametrize("name", STRESSES)
def test_threads_under_stress(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), name, TIMES],
        capture_output=True,
        text=True,
        timeout=600 * int(TIMES),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr)
