"""pyarrow: arrays, which are one-dimensional and immutable, and tensors, which are what their memory is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from interop.cli._matrix.hands._base import (
    Array,
    Hands,
    Impossible,
    Memory,
    Read,
    itemsize_of,
    laid_out,
    memory_of_capsule,
)

if TYPE_CHECKING:
    from interop.cli._matrix.cells import Cell

_NAMES: Final = {"halffloat": "float16", "float": "float32", "double": "float64"}


def _name(kind: Any) -> str:
    return _NAMES.get(str(kind), str(kind))


class ArrowArray(Hands):
    """Hands on pyarrow arrays; as a target whatever pyarrow has for the shape."""

    to = "pyarrow"
    kind: tuple[type, ...] = (pa.Array, pa.ChunkedArray, pa.Tensor)
    readonlies: tuple[bool, ...] = (True,)
    layouts: tuple[str, ...] = ("1d", "offset", "empty")

    def shape(self, layout: str) -> tuple[int, ...]:
        """One dimension in every layout."""
        return (0,) if layout == "empty" else (24,)

    def build(self, values: Array, cell: Cell) -> Any:
        """Have pyarrow take them; the offset is that of a slice."""
        if cell.layout != "offset":
            return pa.array(laid_out(values, "1d"))
        return pa.array(np.concatenate([values[:3], values]))[3:]

    def holds(self, dtype: str, shape: tuple[int, ...]) -> bool:
        """Arrays of one dimension, and tensors of any."""
        try:
            kind = pa.from_numpy_dtype(np.dtype(dtype))
        except (pa.ArrowException, TypeError):
            return False
        return kind != pa.bool_() or len(shape) == 1

    def read(self, x: Any) -> Read:
        """Read what pyarrow makes of it for numpy."""
        if isinstance(x, pa.Tensor):
            return Read(_name(x.type), tuple(x.shape), x.to_numpy().tobytes())
        return Read(_name(x.type), (len(x),), x.to_numpy(**_copying(x)).tobytes())

    def memory(self, x: Any) -> Memory | None:
        """The address of its buffer of values; a bool's bits have none."""
        if isinstance(x, pa.Tensor):
            return memory_of_capsule(x)
        if isinstance(x, pa.ChunkedArray) or x.type == pa.bool_():
            return None
        size = itemsize_of(_name(x.type))
        values = x.buffers()[1]
        return Memory((values.address if values else 0) + x.offset * size, (len(x),), (size,), size)

    def readonly(self, x: Any) -> bool:
        """An array always is; a tensor if its memory is."""
        return not (isinstance(x, pa.Tensor) and x.is_mutable)

    def poke(self, x: Any) -> bool:
        """Write to a tensor that says it may be written to."""
        if self.readonly(x):
            return False
        memory_of_capsule(x).flip()
        return True

    def use(self, x: Any) -> Any:
        """Concatenate an array with itself, and take it back; a tensor has no operation, so its bytes are copied."""
        if isinstance(x, pa.Tensor):
            return pa.Tensor.from_numpy(x.to_numpy().copy())
        return pa.concat_arrays([x, x])[: len(x)]


class ArrowTensor(ArrowArray):
    """Hands on pyarrow tensors."""

    kind = (pa.Tensor,)
    readonlies = (False, True)
    layouts = Hands.layouts

    def shape(self, layout: str) -> tuple[int, ...]:
        """As everybody's."""
        return Hands.shape(self, layout)

    def build(self, values: Array, cell: Cell) -> Any:
        """Take numpy memory as it is."""
        array = laid_out(values, cell.layout)
        if cell.dtype == "bool":
            raise Impossible("a tensor of bool says uint8")
        array.flags.writeable = not cell.readonly
        return pa.Tensor.from_numpy(array)

    def holds(self, dtype: str, shape: tuple[int, ...]) -> bool:
        """Tell by making one."""
        return Hands.holds(self, dtype, shape)


def _copying(x: Any) -> dict[str, Any]:
    return {} if isinstance(x, pa.ChunkedArray) else {"zero_copy_only": False}
