"""The part of an ndarray's layout that says where its elements are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np


def steps_of(a: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """The strides that count: along an axis of length 1 no step is ever taken."""
    return tuple(step for n, step in zip(a.shape, a.strides, strict=True) if n > 1)
