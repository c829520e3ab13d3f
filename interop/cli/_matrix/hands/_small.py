"""Those whose arrays are a pointer and little more: tvm_ffi, warp, array-api-strict."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from interop.cli._matrix.hands._base import (
    Array,
    Hands,
    Memory,
    Read,
    from_capsule,
    laid_out,
    memory_of_capsule,
    read_capsule,
    read_numpy,
)

if TYPE_CHECKING:
    from interop.cli._matrix.cells import Cell


class Tvm(Hands):
    """Hands on tensors of apache-tvm-ffi, which has no words for their values but a capsule."""

    to = "tvm_ffi"

    def __init__(self) -> None:
        super().__init__()
        self._tvm = importlib.import_module("tvm_ffi")
        self.kind = (self._tvm.Tensor,)

    def build(self, values: Array, cell: Cell) -> Any:
        """Take a capsule."""
        return from_capsule(self._tvm.from_dlpack, values, cell.layout)

    def read(self, x: Any) -> Read:
        """Read its capsule."""
        return read_capsule(x)

    def poke(self, x: Any) -> bool:
        """Write through its pointer, as every kernel does that is given one."""
        memory_of_capsule(x).flip()
        return True

    def use(self, x: Any) -> Any:
        """There is no operation: take it again."""
        return self._tvm.from_dlpack(x)


class Warp(Hands):
    """Hands on warp arrays in host memory."""

    to = "warp"

    def __init__(self) -> None:
        super().__init__()
        self._wp = importlib.import_module("warp")
        self._wp.config.quiet = True
        self._wp.init()
        self.kind = (self._wp.array, *(getattr(self._wp, name) for name in ("indexedarray",)))

    def build(self, values: Array, cell: Cell) -> Any:
        """Take a capsule."""
        return from_capsule(self._wp.from_dlpack, values, cell.layout)

    def read(self, x: Any) -> Read:
        """Read what it makes for numpy."""
        return Read(x.dtype.__name__, tuple(x.shape), np.ascontiguousarray(x.numpy()).tobytes())

    def memory(self, x: Any) -> Memory:
        """Its own address and strides."""
        return Memory(x.ptr or 0, tuple(x.shape), tuple(x.strides), self._wp.types.type_size_in_bytes(x.dtype))

    def poke(self, x: Any) -> bool:
        """Write through its pointer, as every kernel does that is given one."""
        self.memory(x).flip()
        return True

    def use(self, x: Any) -> Any:
        """Clone it."""
        return self._wp.clone(x)


class Strict(Hands):
    """Hands on arrays of array-api-strict, which are numpy's underneath."""

    to = "array_api_strict"
    readonlies = (False, True)

    def __init__(self) -> None:
        super().__init__()
        self._xs = importlib.import_module("array_api_strict")
        self.kind = (type(self._xs.asarray(0.0)),)

    def build(self, values: Array, cell: Cell) -> Any:
        """Wrap a numpy array."""
        array = laid_out(values, cell.layout)
        array.flags.writeable = not cell.readonly
        return self._xs.asarray(array, copy=False)

    def _array(self, x: Any) -> Array:
        return np.asarray(x)

    def read(self, x: Any) -> Read:
        """Read numpy's array."""
        return read_numpy(self._array(x))

    def memory(self, x: Any) -> Memory:
        """That of numpy's array."""
        array = self._array(x)
        return Memory(array.__array_interface__["data"][0], array.shape, array.strides, array.itemsize)

    def readonly(self, x: Any) -> bool:
        """The flag of numpy's array."""
        return not self._array(x).flags.writeable

    def poke(self, x: Any) -> bool:
        """Write to the first element, unless it is readonly."""
        if self.readonly(x):
            return False
        self.memory(x).flip()
        return True

    def use(self, x: Any) -> Any:
        """Copy it."""
        return self._xs.asarray(x, copy=True)
