"""numpy: every layout, readonly or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from interop.cli._matrix.hands._base import BUILDERS, Array, Hands, Memory, Read, laid_out, memory_of_numpy, read_numpy

if TYPE_CHECKING:
    from interop.cli._matrix.cells import Cell


class Numpy(Hands):
    """Hands on numpy arrays, ml_dtypes' among them."""

    to = "numpy"
    kind = (np.ndarray,)
    readonlies = (False, True)
    layouts = tuple(BUILDERS)

    def build(self, values: Array, cell: Cell) -> Any:
        """Lay them out, and lock them."""
        array = laid_out(values, cell.layout)
        array.flags.writeable = not cell.readonly
        return array

    def read(self, x: Any) -> Read:
        """Read it by tobytes."""
        return read_numpy(x)

    def memory(self, x: Any) -> Memory:
        """Its own address and strides."""
        return memory_of_numpy(x)

    def readonly(self, x: Any) -> bool:
        """Its flag."""
        return not x.flags.writeable

    def poke(self, x: Any) -> bool:
        """Write to the first element, as anybody may whose array is writable."""
        if not x.flags.writeable:
            return False
        self.memory(x).flip()
        return True

    def use(self, x: Any) -> Any:
        """Copy it."""
        return x.copy()
