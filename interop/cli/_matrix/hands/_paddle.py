"""paddle on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import paddle

from interop.cli._matrix.hands._base import Array, Hands, Memory, Read, from_capsule, itemsize_of

if TYPE_CHECKING:
    from interop.cli._matrix.cells import Cell


class Paddle(Hands):
    """Hands on paddle tensors."""

    to = "paddle"
    kind = (paddle.Tensor,)
    layouts = tuple(name for name in Hands.layouts if name != "negative")

    def build(self, values: Array, cell: Cell) -> Any:
        """Take a capsule."""
        return from_capsule(paddle.from_dlpack, values, cell.layout)

    def read(self, x: Any) -> Read:
        """Read what it makes for numpy; a bfloat16 comes as the integers of its bits."""
        return Read(_name(x), tuple(x.shape), np.asarray(x.numpy()).tobytes())

    def memory(self, x: Any) -> Memory:
        """Its own address and strides."""
        size = itemsize_of(_name(x))
        return Memory(x.data_ptr(), tuple(x.shape), tuple(stride * size for stride in x.strides), size)

    def poke(self, x: Any) -> bool:
        """Write to the first element, as every in-place operation does: no tensor is readonly."""
        self.memory(x).flip()
        return True

    def use(self, x: Any) -> Any:
        """Clone it."""
        return x.clone()


def _name(x: Any) -> str:
    # A uint16 prints as bfloat16, and is none.
    return "uint16" if x.dtype == paddle.uint16 else str(x.dtype).removeprefix("paddle.")
