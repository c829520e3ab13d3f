"""mpi4py: what its calls are handed, and two real ranks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from patience import PATIENCE

import interop
from interop.integrations import mpi

MPI = pytest.importorskip("mpi4py.MPI")

TESTS = Path(__file__).parent.parent


def launcher() -> str:
    """The launcher of the MPI that this Python's mpi4py was given."""
    beside = Path(sys.executable).parent / "mpiexec"
    found = str(beside) if beside.exists() else shutil.which("mpiexec")
    if found is None:
        pytest.skip("no mpiexec here")
    return found


def test_two_ranks() -> None:
    path = os.pathsep.join([str(TESTS.parent), str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [launcher(), "-n", "2", sys.executable, "-m", "mpi4py", str(TESTS / "ranks.py")],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


@pytest.mark.parametrize("x", [torch.ones(3), np.ones(3, "f8"), torch.ones(2, dtype=torch.bfloat16)])
def test_a_message_is_the_memory_itself(x: Any) -> None:
    data, count, datatype = mpi.message(x)
    assert interop.view(data).ptr == interop.view(x).ptr
    assert count == len(x)
    assert datatype.Get_size() == interop.dtype(x).itemsize
    assert not mpi.message(x, receive=True)[0].readonly


def test_what_can_not_be_written_is_not_received_into() -> None:
    fixed = np.ones(3)
    fixed.flags.writeable = False
    with pytest.raises(interop.ReadOnlyError, match="readonly"):
        mpi.message(fixed, receive=True)
    for x in (torch.ones(3, 4).T, torch.ones(6)[::2], torch.tensor([1j]).conj()):
        with pytest.raises(interop.CopyError):
            mpi.message(x, receive=True)
    with pytest.raises(interop.GradientError):
        mpi.message(torch.ones(2, requires_grad=True))
    assert mpi.message(torch.ones(2, requires_grad=True), detach=True)[1] == 2
    with pytest.raises(interop.UnsupportedError, match="complex32"), pytest.warns(UserWarning, match="ComplexHalf"):
        mpi.message(torch.ones(2, dtype=torch.float32).to(torch.complex32))


def test_there_are_four_operations() -> None:
    assert all(isinstance(getattr(mpi, name), MPI.Op) for name in ("SUM", "PROD", "MIN", "MAX"))
    assert mpi.SUM is mpi.SUM
    with pytest.raises(AttributeError):
        mpi.NEITHER  # noqa: B018
