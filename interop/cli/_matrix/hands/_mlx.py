"""mlx on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import mlx.core as mx
import numpy as np

from interop.cli._matrix.hands._base import Array, Hands, Impossible, Memory, Read, memory_of_capsule

if TYPE_CHECKING:
    from collections.abc import Callable

    from interop.cli._matrix.cells import Cell

#: How the values are put into mlx's own memory, and the view of it that is laid out as wanted.
_LAYOUTS: Final[dict[str, tuple[Callable[[Array], Array], Callable[[Any], Any]]]] = {
    "c": (lambda a: a, lambda x: x),
    "1d": (lambda a: a, lambda x: x),
    "0d": (lambda a: a, lambda x: x),
    "empty": (lambda a: a, lambda x: x),
    "ones": (lambda a: a, lambda x: x),
    "fortran": (lambda a: a.T, lambda x: x.T),
    "transposed": (lambda a: np.moveaxis(a, 0, -1), lambda x: mx.moveaxis(x, -1, 0)),
    "stepped": (lambda a: np.repeat(np.repeat(a, 2, 0), 2, 1), lambda x: x[::2, ::2]),
    "negative": (lambda a: a[::-1], lambda x: x[::-1]),
    "broadcast": (lambda a: a[:1], lambda x: mx.broadcast_to(x, (4, 6))),
    "offset": (lambda a: np.concatenate([a[:1], a]), lambda x: x[1:]),
}

_CARRIERS: Final = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


class Mlx(Hands):
    """Hands on mlx arrays."""

    to = "mlx"
    kind = (mx.array,)
    layouts = tuple(_LAYOUTS)

    def build(self, values: Array, cell: Cell) -> Any:
        """Copy the bits to mlx's own memory, and take a view that is laid out as wanted."""
        dtype = getattr(mx, "bool_" if cell.dtype == "bool" else cell.dtype, None)
        if not isinstance(dtype, mx.Dtype) or values.itemsize not in _CARRIERS:
            raise Impossible(cell.dtype)
        before, after = _LAYOUTS[cell.layout]
        if cell.layout == "broadcast":
            values = np.repeat(values[:1], 4, 0)
        laid = np.ascontiguousarray(before(values))
        raw = mx.array(laid.reshape(-1).view(_CARRIERS[values.itemsize])).view(dtype)
        made = after(raw.reshape(before(values).shape))
        mx.eval(made)
        return made

    def read(self, x: Any) -> Read:
        """Read a copy in C order; as integers, since numpy knows no bfloat16 of mlx."""
        name = str(x.dtype).removeprefix("mlx.core.")
        if not x.size:
            return Read(name, tuple(x.shape), b"")
        flat = mx.contiguous(x).reshape(-1).view(mx.uint8)
        return Read(name, tuple(x.shape), np.array(flat).tobytes())

    def memory(self, x: Any) -> Memory:
        """Where its capsule says."""
        return memory_of_capsule(x)

    def poke(self, x: Any) -> bool:
        """Write through its buffer, which it hands out as writable."""
        memory_of_capsule(x).flip()
        return True

    def use(self, x: Any) -> Any:
        """Concatenate it with nothing, which copies."""
        return mx.contiguous(mx.concatenate([x.reshape(-1), x.reshape(-1)])[: x.size].reshape(x.shape))
