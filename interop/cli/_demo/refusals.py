"""What would come out wrong is put right, or refused with the call that works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import interop
from interop.cli._demo.libraries import load

if TYPE_CHECKING:
    from interop.cli._demo.stage import Stage


def act(stage: Stage) -> None:
    """Show a wrong sign put right, and two refusals."""
    stage.act("What would come out wrong is put right, or refused")
    torch = load("torch")
    _negated(stage, torch)
    stage.say("A masked array means more than its numbers.")
    masked = np.ma.masked_array(np.array([1.0, 2.0, -999.0]), mask=[False, False, True])
    stage.refused("masked", "torch", interop.UnsupportedError, way="x.filled", x=masked)
    stage.say("A weight in training would lose its gradient without a word.")
    weight = torch.nn.Linear(3, 2).weight
    stage.refused("weight", "numpy", interop.GradientError, way="detach=True", x=weight)


def _negated(stage: Stage, torch: Any) -> None:
    z = torch.arange(4096, dtype=torch.float32) + 1
    x = torch.complex(z, z).conj().imag
    stage.say("x = z.conj().imag: torch keeps the sign as a flag on the tensor; the memory has the numbers without it.")
    by_hand = "x.resolve_neg().numpy()"
    hop = stage.hop("torch, negative bit -> numpy", "x", "numpy", by_hand=by_hand, names={"x": x})
    stage.show("torch", f"x[:3] = {x[:3].tolist()}")
    stage.show("interop", f"{hop.call}[:3] = {hop.result[:3].tolist()}")
    stage.show("numpy", f"np.from_dlpack(x)[:3] {_by_numpy(x)}")
    stage.check(hop.result.tolist() == x.tolist(), "interop's numbers are torch's")


def _by_numpy(x: Any) -> str:
    """What numpy's own import makes of it: a wrong sign, in the versions where this was seen."""
    try:
        found = np.from_dlpack(x)[:3].tolist()
    except Exception as err:  # noqa: BLE001 - whatever it raises is what is to be shown
        return f"raises {type(err).__name__}: {err}"
    return f"= {found}" + ("" if found == x[:3].tolist() else ": the wrong sign, and no error")
