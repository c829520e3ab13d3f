"""torch on the CPU, with the bits that change what memory means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from interop.cli._matrix.hands._base import Array, Hands, Impossible, Memory, Read, on_boundary
from interop.testing._layouts import TORCH_LAYOUTS
from interop.testing.strategies import TORCH_FLAVOURS

if TYPE_CHECKING:
    from interop.cli._matrix.cells import Cell

# Bits travel in integers of the elements' size, so that no arithmetic touches a NaN.
_CARRIERS: Final = {1: np.uint8, 2: np.int16, 4: np.int32, 8: np.int64, 16: np.complex128}

_BUILDERS: Final = {
    **{name: name for name in ("c", "fortran", "transposed", "stepped", "offset")},
    **dict.fromkeys(("1d", "0d", "empty", "neg", "conj"), "c"),
    "broadcast": "zero_stride",
    "ones": "odd_ones",
}


class Torch(Hands):
    """Hands on torch tensors."""

    to = "torch"
    kind = (torch.Tensor,)
    layouts = (*_BUILDERS, "unaligned")

    def build(self, values: Array, cell: Cell) -> Any:
        """Copy the bits to torch's own memory, lay them out, and set the bit."""
        dtype = getattr(torch, cell.dtype, None)
        if not isinstance(dtype, torch.dtype):
            raise Impossible(cell.dtype)
        shape = self.shape(cell.layout)
        raw: Array = np.frombuffer(values.tobytes(), _CARRIERS[dtype.itemsize]).reshape(shape)
        carried = torch.from_numpy(on_boundary(raw))
        if cell.layout == "unaligned":
            return _unaligned(carried, dtype)
        plain = TORCH_LAYOUTS[_BUILDERS[cell.layout]].build(carried).view(dtype)
        if cell.layout not in ("neg", "conj"):
            return plain
        flavour = TORCH_FLAVOURS[cell.layout]
        if cell.dtype not in flavour.names:
            raise Impossible(cell.layout)
        return flavour.apply(plain)

    def meant(self, values: Array, cell: Cell) -> Array:
        """The negative or the conjugate of the memory, as torch itself says."""
        if cell.layout not in ("neg", "conj"):
            return super().meant(values, cell)
        return np.frombuffer(self.read(self.build(values, cell)).data, values.dtype).reshape(values.shape)

    def read(self, x: Any) -> Read:
        """Read a clone, whose bits are resolved; a clone, since .numpy() locks the storage of what it is asked for."""
        plain = x.detach().resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
        return Read(
            str(x.dtype).removeprefix("torch."),
            tuple(x.shape),
            plain.reshape(-1).view(torch.uint8).numpy().tobytes(),
        )

    def memory(self, x: Any) -> Memory:
        """Its own address and strides."""
        return Memory(
            x.data_ptr(), tuple(x.shape), tuple(stride * x.itemsize for stride in x.stride()), x.element_size()
        )

    def poke(self, x: Any) -> bool:
        """Write to the first element, as every in-place operation does: no tensor is readonly."""
        self.memory(x).flip()
        return True

    def use(self, x: Any) -> Any:
        """Clone it."""
        return x.clone()


def _unaligned(carried: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    size = carried.element_size()
    if size == 1:
        raise Impossible("every address is a multiple of one byte")
    memory = np.empty(carried.numel() * size + 1, np.uint8)[1:].view(carried.numpy().dtype)
    return torch.from_numpy(memory.reshape(carried.shape)).copy_(carried).view(dtype)
