"""dpnp: memory of a SYCL device, here one that the host can read by pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dpnp
import numpy as np

from interop.cli._matrix.hands._base import Array, Hands, Impossible, Memory, Read

if TYPE_CHECKING:
    from interop.cli._matrix.cells import Cell


class Dpnp(Hands):
    """Hands on dpnp arrays."""

    to = "dpnp"
    kind = (dpnp.ndarray,)
    device = "oneapi"
    forks = False
    layouts = ("c", "1d", "0d", "empty", "fortran", "stepped", "negative", "broadcast", "offset")

    def build(self, values: Array, cell: Cell) -> Any:
        """Copy them to the device, and take a view that is laid out as wanted."""
        if cell.layout == "fortran":
            return dpnp.asarray(values, order="F")
        if cell.layout == "stepped":
            return dpnp.asarray(np.repeat(np.repeat(values, 2, 0), 2, 1))[::2, ::2]
        if cell.layout == "negative":
            return dpnp.asarray(np.ascontiguousarray(values[::-1]))[::-1]
        if cell.layout == "offset":
            return dpnp.asarray(np.concatenate([values[:1], values]))[1:]
        if cell.layout == "broadcast":
            if not values.size:
                raise Impossible(cell.layout)
            return dpnp.broadcast_to(dpnp.asarray(values[:1]), values.shape)
        return dpnp.asarray(values)

    def read(self, x: Any) -> Read:
        """Read a copy on the host."""
        return Read(str(x.dtype), tuple(x.shape), np.ascontiguousarray(dpnp.asnumpy(x)).tobytes())

    def memory(self, x: Any) -> Memory:
        """Its USM pointer, which the host can follow where the device is a CPU."""
        inner = x.get_array()
        size = inner.itemsize
        return Memory(inner._pointer, tuple(x.shape), tuple(step * size for step in inner.strides), size)  # noqa: SLF001

    def poke(self, x: Any) -> bool:
        """Write to the first element, unless it is readonly."""
        if not x.flags.writable:
            return False
        self.memory(x).flip()
        return True

    def readonly(self, x: Any) -> bool:
        """Its flag."""
        return not x.flags.writable

    def use(self, x: Any) -> Any:
        """Copy it."""
        return x.copy()
