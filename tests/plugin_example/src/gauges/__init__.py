"""Readings of a measuring instrument: what it sent, and the gain that makes values of it."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Reading", "Trace", "asarray", "from_dlpack"]


class Reading:
    """A series of samples that all have one gain.

    Parameters
    ----------
    samples
        What the instrument sent; kept, not copied.
    gain
        What a sample is multiplied with to give a value.
    unit
        What the values are measured in.
    sealed
        Whether it may no longer be changed.
    """

    def __init__(self, samples: np.ndarray, gain: float = 1.0, *, unit: str = "", sealed: bool = False) -> None:
        self.samples = samples
        self.gain = gain
        self.unit = unit
        self.sealed = sealed or not samples.flags.writeable

    def values(self) -> np.ndarray:
        """Return the values, computed where the gain isn't 1."""
        return self.samples if self.gain == 1 else self.samples * self.samples.dtype.type(self.gain)

    def __len__(self) -> int:
        return len(self.samples)


class Trace:
    """Plain samples: memory that speaks DLPack, and so needs no adapter."""

    def __init__(self, samples: np.ndarray) -> None:
        self.samples = samples

    def __dlpack__(self, **how: Any) -> Any:
        """Export the samples, as numpy does."""
        return self.samples.__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        """Say where they lie: on the host."""
        return self.samples.__dlpack_device__()


def asarray(samples: np.ndarray) -> Trace:
    """Make a trace of samples, on their memory."""
    return Trace(samples)


def from_dlpack(x: Any, **how: Any) -> Trace:
    """Make a trace of what another library exports, on its memory."""
    return Trace(np.from_dlpack(x, **how))
