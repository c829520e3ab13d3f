"""What is handed over in each cell: element types and layouts by name, and the values that fill them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from interop._dtypes import ROWS
from interop.testing._values import random_bits

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from interop.cli._matrix.hands import Hands

Array = np.ndarray[Any, Any]

#: Element types in the order of tables: what everybody has, then what fewer and fewer have.
DTYPES: Final = (
    *("float32", "float64", "float16", "bfloat16"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool"),
    *("complex64", "complex128", "complex32"),
    *(row.name for row in ROWS if row.name.startswith("float8_")),
    *(row.name for row in ROWS if row.bits < 8),  # noqa: PLR2004 - what fills no byte
)

#: Types that every framework which has them treats as bytes: they are measured in the layouts that differ in kind, and
#: readonly in the first two.
SMALL: Final = frozenset(row.name for row in ROWS if row.name.startswith("float8_") or row.bits < 8)  # noqa: PLR2004
SMALL_LAYOUTS: Final = ("c", "1d", "stepped", "negative", "offset", "0d", "empty")

#: The seed of the values: any but 0, which gives small numbers that a cast to fewer bits leaves as they are.
_SEED: Final = 20


@dataclass(frozen=True, slots=True)
class Layout:
    """A way of laying an array out: its name, what it is in words, and the shape of the arrays that have it."""

    name: str
    words: str
    shape: tuple[int, ...] = (4, 6)


#: The columns of the matrix. What a framework can't be laid out as is no cell of it.
LAYOUTS: Final = {
    layout.name: layout
    for layout in (
        Layout("c", "rows one after the other"),
        Layout("1d", "one dimension", (24,)),
        Layout("fortran", "columns one after the other"),
        Layout("transposed", "three axes, permuted", (2, 3, 4)),
        Layout("stepped", "every second element of each axis"),
        Layout("negative", "backwards: negative strides"),
        Layout("broadcast", "one row repeated: a stride of 0"),
        Layout("offset", "begins inside its allocation, off any 64-byte boundary"),
        Layout("unaligned", "begins at an odd address"),
        Layout("ones", "sides of 1, with strides that mean nothing", (1, 6, 1)),
        Layout("0d", "no dimension: one value", ()),
        Layout("empty", "no element", (0, 6)),
        Layout("byteorder", "the other byte order"),
        Layout("field", "a field of records: strides that are no multiple of the element"),
        Layout("neg", "torch's negative bit: the memory holds the negative of the values"),
        Layout("conj", "torch's conjugate bit: the memory holds the conjugate of the values"),
    )
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One thing to hand over: an element type in a layout, readonly or not."""

    dtype: str
    layout: str
    readonly: bool

    @property
    def column(self) -> str:
        """The cell's place in a row of its element type."""
        return f"{self.layout} readonly" if self.readonly else self.layout


def values(dtype: str, shape: tuple[int, ...]) -> Array:
    """Return the bits of the elements, in C order: a mixture of random patterns, signed zeros, NaNs and extremes.

    They come as an array of the element type where numpy has it, else of whole bytes with one more axis; as fresh
    memory, whatever was done to what was returned before.
    """
    return _values(dtype, shape).copy()


@cache
def _values(dtype: str, shape: tuple[int, ...]) -> Array:
    row = next(row for row in ROWS if row.name == dtype)
    bits = random_bits(dtype, max(prod(shape), 1), _SEED)[: prod(shape) * (2 if row.code == 5 else 1)]  # noqa: PLR2004
    if row.numpy is not None:
        return bits.view(row.numpy).reshape(shape)
    return bits.view(np.uint8).reshape((*shape, -1) if prod(shape) else (*shape, 1))


def cells_of(
    hands: Hands, dtypes: Collection[str] | None = None, layouts: Collection[str] | None = None
) -> Iterator[Cell]:
    """Yield the cells that a source has: those that it can be made in."""
    for dtype in DTYPES:
        if dtypes is not None and dtype not in dtypes:
            continue
        for layout in LAYOUTS:
            if layouts is not None and layout not in layouts:
                continue
            for readonly in hands.readonlies:
                cell = Cell(dtype, layout, readonly)
                if (dtype not in SMALL or _tells(cell, hands)) and hands.can_make(cell):
                    yield cell


def _tells(cell: Cell, hands: Hands) -> bool:
    """Whether a cell of a small type says more than another one."""
    chosen = cell.readonly and len(hands.readonlies) > 1
    return cell.layout in (SMALL_LAYOUTS[:2] if chosen else SMALL_LAYOUTS)
