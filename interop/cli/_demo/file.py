"""A file that numpy maps readonly becomes a torch tensor that can't corrupt it."""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

import interop
from interop.cli._demo.libraries import load

if TYPE_CHECKING:
    from interop.cli._demo.stage import Stage

_SHAPE: Final = (2048, 1024)


def act(stage: Stage) -> None:
    """Ask for a mapped file's tensor in the three ways there are."""
    stage.act("A file mapped readonly by numpy becomes a torch tensor that can't corrupt it")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "samples.f32")
        path.write_bytes(np.random.default_rng(0).standard_normal(_SHAPE, "float32").tobytes())
        _three_ways(stage, path)


def _three_ways(stage: Stage, path: Path) -> None:
    torch, before = load("torch"), _digest(path)
    mapped = np.memmap(path, "float32", "r", shape=_SHAPE)
    stage.say(f"mapped = np.memmap({path.name!r}, mode='r'): {mapped.nbytes:,} bytes. torch can't express readonly.")
    names = {"mapped": mapped, "torch": torch, "np": np}
    by_hand = "torch.from_numpy(np.array(mapped))"
    copy = stage.hop("mapped file -> torch", "mapped", "torch", by_hand=by_hand, names=names).result
    total = float(copy.sum())
    copy.zero_()
    stage.check(_digest(path) == before, f"torch zeroed its tensor, the file is as before (SHA-256 {before[:12]}...)")
    stage.say("Without a copy? The answer names the way.")
    stage.refused("mapped", "torch", interop.ReadOnlyError, way="writable=False", x=mapped, copy=False)
    stage.say("The promise not to write gives the file's own pages:")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the by-hand way warns that a write would be undefined behaviour
        title, by_hand = "mapped file -> torch, by promise", "torch.from_numpy(mapped)"
        alias = stage.hop(title, "mapped", "torch", by_hand=by_hand, names=names, writable=False).result
    stage.check(float(alias.sum()) == total, "torch computes with the file's numbers")
    stage.check(_digest(path) == before, "after all of it the file is as before, byte for byte")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
