"""What a test run is on: the simulated CUDA device, a real one, or none."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

import cudasim
from cudasim.real import real_devices


@dataclass(frozen=True)
class Run:
    """What this run is on.

    Attributes
    ----------
    simulated
        Whether it is the simulated device.
    name
        Of the device, for people: always with the word "simulated" where it is.
    """

    simulated: bool
    name: str


RUN = pytest.StashKey[Run | None]()


def find() -> Run | None:
    """Look which device this process has."""
    if cudasim.booted():
        return Run(True, f"simulated CUDA, {cudasim.devices()} devices, {cudasim.mode()} mode, race check on")
    names = real_devices()
    return Run(False, f"CUDA on {', '.join(names)}") if names else None


def running_on(config: pytest.Config) -> Run | None:
    """What this run is on: None without any CUDA device."""
    return config.stash.get(RUN, None)
