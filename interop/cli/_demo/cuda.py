"""Where there is a CUDA device: from torch to cupy to the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import interop
from interop.cli._demo.libraries import load

if TYPE_CHECKING:
    from interop.cli._demo.stage import Stage


def act(stage: Stage) -> None:
    """Hand a tensor over on the device, and to the host because it is asked for."""
    stage.act("On a CUDA device: torch -> cupy -> host")
    torch = load("torch")
    missing = _missing(torch)
    if missing:
        stage.say(f"Left out: {missing}.")
        return
    cupy = load("cupy")
    host = torch.arange(1 << 20, dtype=torch.float32)
    t = host.to("cuda")
    stage.say(f"t is {t.dtype} {tuple(t.shape)} on {t.device}: {torch.cuda.get_device_name(t.device)}.")
    names = {"t": t, "torch": torch, "cupy": cupy}
    c = stage.hop("torch cuda -> cupy", "t", "cupy", by_hand="cupy.from_dlpack(t)", names=names).result
    _written_by_cupy(stage, t, c)
    names["c"] = c
    stage.hop("cupy -> torch cuda", "c", "torch", by_hand="torch.from_dlpack(c)", names=names)
    stage.say("To the host only when it is asked for:")
    stage.refused("c", "numpy", interop.DeviceError, way="device='cpu'", x=c)
    stage.hop("cupy -> numpy, to the host", "c", "numpy", by_hand="c.get()", names=names, device="cpu")


def _written_by_cupy(stage: Stage, t: Any, c: Any) -> None:
    values = np.linspace(0, 1, t.numel(), dtype="float32")
    stage.say("cupy writes into it, and torch reads:")
    stage.code("c.set(np.linspace(0, 1, c.size, dtype='float32'))")
    c.set(values)
    stage.check(np.array_equal(t.cpu().numpy(), values), "torch sees what cupy wrote")


def _missing(torch: Any) -> str:
    """What is missing for this act, in words; empty where nothing is."""
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} sees no CUDA device"
    try:
        load("cupy")
    except ImportError as err:
        return f"cupy can't be imported ({err})"
    return ""
