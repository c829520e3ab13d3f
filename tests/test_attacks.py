"""What :mod:`attacks` tries: each attack in a process of its own, which has to end well and without a word."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from attacks import ATTACKS

SCRIPT = Path(__file__).with_name("attacks.py")


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_succeeds(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(SCRIPT), name],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), (done.returncode, done.stderr)
