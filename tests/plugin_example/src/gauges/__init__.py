"""Readings of a measuring instrument: what it sent, and the gain that makes values of it."""

from __future__ import annotations

import numpy as np

__all__ = ["Reading"]


class Reading:
    """A series of samples that all have one gain.

    Parameters
    ----------
    samples
        What the instrument sent; kept, not copied.
    gain
        What a sample is multiplied with to give a value.
    sealed
        Whether it may no longer be changed.
    """

    def __init__(self, samples: np.ndarray, gain: float = 1.0, *, sealed: bool = False) -> None:
        self.samples = samples
        self.gain = gain
        self.sealed = sealed or not samples.flags.writeable

    def values(self) -> np.ndarray:
        """Return the values, computed where the gain isn't 1."""
        return self.samples if self.gain == 1 else self.samples * self.samples.dtype.type(self.gain)

    def __len__(self) -> int:
        return len(self.samples)
