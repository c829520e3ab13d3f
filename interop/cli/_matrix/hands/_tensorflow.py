"""tensorflow on the CPU: immutable and contiguous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from interop.cli._matrix.hands._base import Array, Hands, Memory, Read, memory_of_capsule

if TYPE_CHECKING:
    from interop.cli._matrix.cells import Cell


class Tensorflow(Hands):
    """Hands on eager tensors of tensorflow."""

    to = "tensorflow"
    kind = (tf.Tensor,)
    readonlies = (True,)
    constant = True
    layouts = ("c", "1d", "0d", "empty", "ones")

    def build(self, values: Array, cell: Cell) -> Any:  # noqa: ARG002 - every layout it has is the same memory
        """Let tensorflow copy them."""
        return tf.constant(values.copy())

    def read(self, x: Any) -> Read:
        """Read what it hands to numpy."""
        return Read(x.dtype.name, tuple(x.shape), np.asarray(x.numpy()).tobytes())

    def memory(self, x: Any) -> Memory | None:
        """Where its capsule says; some types have none."""
        try:
            return memory_of_capsule(x)
        except Exception:  # noqa: BLE001 - whatever it says to a type that DLPack lacks
            return None

    def use(self, x: Any) -> Any:
        """Stack it, which copies, and take it out again."""
        return tf.stack([x, x])[0]
