"""Frameworks that don't go together with the others' tests, each in a process of its own.

jax starts threads, and then warns of every fork of the process; other tests here fork.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import PATIENCE

import cudasim

HERE = Path(__file__).parent / "apart"
FILES = {"jax": "jax_on_cuda.py"}


@pytest.mark.parametrize("framework", FILES)
def test_in_a_process_of_its_own(framework: str, cuda: str) -> None:
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} isn't installed")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / FILES[framework])]
    environment = dict(os.environ)
    if cuda != "real":
        # The plugin switches it on, in the mode of this run.
        command.append(f"--simulate-cuda={cudasim.mode()}")
        environment.pop("CUDASIM", None)
    done = subprocess.run(
        command,
        cwd=HERE.parents[2],
        env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
