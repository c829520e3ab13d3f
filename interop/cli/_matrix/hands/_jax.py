"""jax on the CPU: made with 64-bit types switched on, asked with the switch as it is by default."""

from __future__ import annotations

import ctypes
from math import prod
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from interop.cli._matrix.hands._base import Array, Hands, Impossible, Memory, Read, laid_out, memory_of_capsule
from interop.testing.fakes import LegacyProducer

if TYPE_CHECKING:
    from interop.cli._matrix.cells import Cell


class Jax(Hands):
    """Hands on jax arrays."""

    to = "jax"
    kind = (jax.Array,)
    readonlies = (True,)
    constant = True
    layouts = ("c", "1d", "0d", "empty", "fortran", "transposed", "ones")

    def build(self, values: Array, cell: Cell) -> Any:
        """Let jax copy them; a permuted layout comes by DLPack, as no function of jax makes one."""
        with jax.enable_x64(True):
            if cell.layout in ("fortran", "transposed"):
                return jax.dlpack.from_dlpack(LegacyProducer(_aligned(laid_out(values, cell.layout))))
            return jax.block_until_ready(jnp.array(values))

    def holds(self, dtype: str, shape: tuple[int, ...]) -> bool:
        """Tell by the switch as it is: without it there is no 64-bit type."""
        wide = dtype in ("int64", "uint64", "float64", "complex128")
        return (not wide or bool(jax.config.jax_enable_x64)) and super().holds(dtype, shape)

    def read(self, x: Any) -> Read:
        """Read what it hands to numpy; it keeps that, so only :meth:`memory` shows a later change."""
        return Read(str(x.dtype), tuple(x.shape), np.asarray(x).tobytes())

    def memory(self, x: Any) -> Memory | None:
        """The buffer's address; strides by its capsule, where there is one."""
        try:
            return memory_of_capsule(x)
        except Exception:  # noqa: BLE001 - sub-byte types have no capsule
            return None

    def use(self, x: Any) -> Any:
        """Copy it: by a compiled operation where that is compiled once a type, else by the runtime."""
        return jnp.copy(x) if x.ndim == 1 else jax.device_put(x, may_alias=False)


def _aligned(array: Array) -> Array:
    """The same array in memory that begins at a multiple of 64 bytes, which jax takes without a copy."""
    if 0 in array.shape:
        raise Impossible("nothing to lay out")
    size = prod(array.shape) * array.itemsize
    memory = np.empty(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    ctypes.memmove(memory.ctypes.data + start, array.ctypes.data, size)
    order = sorted(range(array.ndim), key=lambda axis: -array.strides[axis])
    dense = memory[start : start + size].view(array.dtype).reshape([array.shape[axis] for axis in order])
    return dense.transpose(np.argsort(order))
