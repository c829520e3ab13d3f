"""Nothing reads too early, nothing is reused too early, nothing happens on another device: the scenarios."""

from __future__ import annotations

from typing import Any

import pytest
from cuda_scenarios import FINDS, SCENARIOS, SIMULATED_ONLY, TWO_DEVICES, play

import cudasim

MARKED = [pytest.param(name, marks=[pytest.mark.finds(FINDS[name])] if name in FINDS else []) for name in SCENARIOS]


@pytest.mark.parametrize("name", MARKED)
def test_a_scenario(name: str, torch: Any, cupy: Any, devices: range) -> None:
    if name in TWO_DEVICES and len(devices) < 2:
        pytest.skip("needs two CUDA devices, and here is one")
    if name in SIMULATED_ONLY and not cudasim.booted():
        pytest.skip("sim_only: it reads what only the simulated CUDA device can tell")
    play(name, torch, cupy)
