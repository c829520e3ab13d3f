"""CUDA in forked children: one forked before CUDA started has its own, one forked later is told in our error."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from patience import PATIENCE

import cudasim

PROGRAM = """
import os, sys, traceback
import numpy as np, torch, cupy, interop

def child(call):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            call()
            print("fine")
        except interop.DeviceError as err:
            print("refused" if "forked" in str(err) and "spawn" in str(err) else err)
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(pid, 0)

def explained():
    plan = interop.explain(t, "cupy")
    assert not plan.ok
    raise plan.error

def round_trip():
    t = torch.arange(5.0).cuda()
    assert interop.to_numpy(interop.to_cupy(t), device="cpu").tolist() == [0, 1, 2, 3, 4]
"""

BEFORE = """
child(round_trip)
round_trip()
t = torch.arange(5.0).cuda()
torch.cuda.synchronize()
"""

AFTER = """
t, c = torch.arange(3.0).cuda(), cupy.asarray(np.ones(3))
if {lent}:
    interop.to_cupy(t)
for call in (
    lambda: interop.to_cupy(t),
    lambda: interop.to_torch(c),
    lambda: interop.to_cupy(t, copy=True),
    lambda: interop.to_numpy(t, device="cpu"),
    lambda: interop.to_numpy(c, device="cpu"),
    lambda: interop.to_torch(np.ones(3), device="cuda"),
    lambda: interop.to_cupy(np.ones(3), device="cuda:0"),
    lambda: interop.view(t, stream=1),
    lambda: interop.copyto(t, np.ones(3, np.float32)),
    explained,
):
    child(call)
round_trip()
"""


def lines(program: str) -> list[str]:
    environment = cudasim.environment() if cudasim.booted() else dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([environment.get("PYTHONPATH", ""), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_child_forked_before_the_first_call_has_its_own_cuda(torch: Any, cupy: Any) -> None:
    assert lines(BEFORE) == ["fine"]


@pytest.mark.parametrize("lent", [True, False], ids=["lent before", "lent nothing"])
def test_a_child_forked_later_is_refused_in_words(lent: bool, torch: Any, cupy: Any) -> None:
    found = lines(AFTER.replace("{lent}", str(lent)))
    assert found == ["refused"] * len(found)
    assert len(found) == 10
