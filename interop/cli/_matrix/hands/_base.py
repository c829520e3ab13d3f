"""What hands on a framework are, and the raw memory that most of them reach through ctypes."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.lib.stride_tricks import as_strided

from interop._dtypes import BY_NAME, BY_NUMPY, BY_TRIPLE
from interop.testing._layouts import NUMPY_LAYOUTS
from interop.testing.fakes import LegacyProducer, consume

if TYPE_CHECKING:
    from interop.cli._matrix.cells import Cell

Array = np.ndarray[Any, Any]


class Impossible(Exception):  # noqa: N818 - no error: a cell that doesn't exist
    """A framework has no such array."""


@dataclass(frozen=True, slots=True)
class Read:
    """What an array says that it holds: the element type's name, the shape, and the bytes in C order."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Memory:
    """Where the elements of an array are: the first one's address, and strides in bytes."""

    ptr: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int

    @property
    def extent(self) -> tuple[int, int]:
        """The lowest and the highest address of a byte of it, half-open."""
        if 0 in self.shape:
            return self.ptr, self.ptr
        ends = [stride * (side - 1) for side, stride in zip(self.shape, self.strides, strict=True)]
        low, high = sum(end for end in ends if end < 0), sum(end for end in ends if end > 0)
        return self.ptr + low, self.ptr + high + self.itemsize

    def overlaps(self, other: Memory) -> bool:
        """Tell whether the two could share a byte."""
        (a, b), (c, d) = self.extent, other.extent
        return a < d and c < b

    def bytes(self) -> bytes:
        """Read the elements in C order, past every cache that a framework may have."""
        return b"" if 0 in self.shape else self.elements().tobytes()

    def elements(self) -> Array:
        """A writable array of raw elements on the memory; it doesn't keep the memory alive."""
        low, high = self.extent
        raw: Any = (ctypes.c_uint8 * (high - low)).from_address(low)
        memory: Array = np.frombuffer(raw, np.uint8)
        first = memory[self.ptr - low :][: self.itemsize].view(f"V{self.itemsize}")
        return as_strided(first, self.shape, self.strides)

    def flip(self) -> None:
        """Change the first element, so that it stays a value of its type."""
        ctypes.c_uint8.from_address(self.ptr).value ^= 1


#: Names of the layouts here that the kit's own builders of numpy arrays have under another name.
_BUILDERS: Final = {"1d": "c", "0d": "c", "empty": "c", "broadcast": "zero_stride", "ones": "odd_ones"}
_BUILDERS_SAME: Final = ("c", "fortran", "transposed", "stepped", "negative", "offset", "unaligned")
BUILDERS: Final = {
    **{name: name for name in _BUILDERS_SAME},
    **_BUILDERS,
    "byteorder": "big_endian",
    "field": "field",
}


def laid_out(values: Array, layout: str) -> Array:
    """Lay values out as numpy memory."""
    if layout not in BUILDERS:
        raise Impossible(layout)
    if layout == "unaligned" and values.itemsize == 1:
        raise Impossible("every address is a multiple of one byte")
    if layout == "byteorder" and (values.itemsize == 1 or values.dtype.kind == "V"):
        raise Impossible("one byte has no order")
    built = NUMPY_LAYOUTS[BUILDERS[layout]].build(values)
    return built if layout in ("offset", "unaligned") else on_boundary(built)


#: What jax and tensorflow want of memory that they don't copy, and nobody else does.
_BOUNDARY: Final = 64


def on_boundary(array: Array) -> Array:
    """Copy an array's memory as it is, gaps and all, so that the first element begins at a 64-byte boundary.

    Where an allocation begins is luck: two calls on one cell would be compared by two different throws.
    """
    memory = memory_of_numpy(array)
    low, high = memory.extent
    room = np.empty(high - low + memory.itemsize + _BOUNDARY, np.uint8)
    begins = -(room.ctypes.data + memory.ptr - low) % _BOUNDARY
    room[begins : begins + high - low] = np.frombuffer(ctypes.string_at(low, high - low), np.uint8)
    return np.ndarray(array.shape, array.dtype, room, begins + memory.ptr - low, array.strides)


class Hands:
    """Hands on one kind of array; a subclass says what its framework does differently.

    Attributes
    ----------
    name
        As in the matrix.
    to
        As :func:`interop.convert` takes it.
    kind
        The types of its arrays.
    readonlies
        What its arrays can be as sources: writable, readonly.
    constant
        Whether the framework assumes that memory it was given never changes.
    forks
        Whether a process that has imported it, and not used it, can go on in a forked child.
    device
        The ``device=`` that data has to be moved to for it; None for what lives in host memory.
    """

    name: str = ""
    to: str = ""
    kind: tuple[type, ...]
    readonlies: tuple[bool, ...] = (False,)
    constant: bool = False
    forks: bool = True
    device: str | None = None
    #: The layouts that its arrays come in.
    layouts: tuple[str, ...] = (*_BUILDERS_SAME, *_BUILDERS)

    def __init__(self) -> None:
        self._made: dict[tuple[str, str, bool], bool] = {}
        self._held: dict[tuple[str, tuple[int, ...]], bool] = {}
        self._works: dict[str, bool] = {}
        self._expected: dict[Cell, Read] = {}

    # How one is made.

    def build(self, values: Array, cell: Cell) -> Any:
        """Make an array of values that come in C order; Impossible, or whatever it raises, if there is none."""
        raise NotImplementedError

    def shape(self, layout: str) -> tuple[int, ...]:
        """The shape of the arrays of a layout."""
        from interop.cli._matrix.cells import LAYOUTS

        return LAYOUTS[layout].shape

    def make(self, cell: Cell) -> Any:
        """Make a source."""
        from interop.cli._matrix.cells import values

        if cell.layout not in self.layouts:
            raise Impossible(cell.layout)
        return self.build(values(cell.dtype, self.shape(cell.layout)), cell)

    def can_make(self, cell: Cell) -> bool:
        """Tell whether a source can be made that holds, by its own words, what it was made of."""
        key = (cell.dtype, cell.layout, cell.readonly)
        if key not in self._made:
            self._made[key] = self._proves(cell)
        return self._made[key]

    def expected(self, cell: Cell) -> Read:
        """What a source of a cell, and every right copy of it, has to say that it holds."""
        from interop.cli._matrix.cells import values

        found = self._expected.get(cell)
        if found is None:
            shape = self.shape(cell.layout)
            found = Read(cell.dtype, shape, self.meant(values(cell.dtype, shape), cell).tobytes())
            self._expected[cell] = found
        return found

    def _proves(self, cell: Cell) -> bool:
        if cell.layout == "empty" and not self.can_make(replace(cell, layout="1d")):
            return False  # some types exist in name only: nothing of them can be made but nothing
        try:
            x = self.make(cell)
            return self.read(x) == self.expected(cell) and bool(self.readonly(x)) == cell.readonly
        except Exception:  # noqa: BLE001 - whatever a framework says to an element type it lacks
            return False

    def meant(self, values: Array, cell: Cell) -> Array:
        """The values that an array of a cell means, from those that it was made of."""
        return np.repeat(values[:1], len(values), 0) if cell.layout == "broadcast" else values

    def holds(self, dtype: str, shape: tuple[int, ...]) -> bool:
        """Tell whether the framework, as it is, has arrays of an element type in some layout at all."""
        from interop.cli._matrix.cells import Cell

        key = (dtype, shape)
        if key not in self._held:
            found = [layout for layout in self.layouts if self.shape(layout) == shape]
            cells = [Cell(dtype, layout, readonly) for layout in found for readonly in self.readonlies]
            self._held[key] = any(self._proves(cell) for cell in cells)
        return self._held[key]

    # How one is read and written.

    def read(self, x: Any) -> Read:
        """Read an array by its framework's own words."""
        raise NotImplementedError

    def memory(self, x: Any) -> Memory | None:
        """Where its elements are; None where it doesn't say."""
        return memory_of_capsule(x)

    def readonly(self, _x: Any) -> bool:
        """Tell whether its framework refuses to write to it, or must never."""
        return self.readonlies == (True,)

    def poke(self, _x: Any) -> bool:
        """Change its first element by the framework's own means; False where there are none."""
        return False

    def use(self, x: Any) -> Any:
        """Have the framework compute a copy of it, by an operation that reads every element."""
        raise NotImplementedError

    def works(self, dtype: str) -> bool:
        """Tell whether that operation exists for an element type: whether it works on an array of its own."""
        from interop.cli._matrix.cells import Cell

        if dtype not in self._works:
            try:
                own = self.make(Cell(dtype, "1d", self.readonlies[0]))
                self._works[dtype] = self.read(self.use(own)) == self.read(own)
            except Exception:  # noqa: BLE001 - as above
                self._works[dtype] = False
        return self._works[dtype]


def memory_of_numpy(array: Array) -> Memory:
    """Where the elements of a numpy array are."""
    return Memory(array.__array_interface__["data"][0], array.shape, array.strides, array.itemsize)


def read_numpy(array: Array) -> Read:
    """Read a numpy array by its own words, in the machine's byte order."""
    native = array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
    row = BY_NUMPY.get(native.dtype)
    return Read(str(native.dtype) if row is None else row.name, array.shape, native.tobytes())


def memory_of_capsule(x: Any) -> Memory:
    """Where the elements are by the array's own DLPack capsule, taken apart in ctypes."""
    with consume(capsule_of(x)) as tensor:
        fields = tensor.fields
        itemsize = (fields.dtype[1] * fields.dtype[2] + 7) // 8
        shape = fields.shape or ()
        strides = c_strides(shape, 1) if fields.strides is None else fields.strides
        return Memory(
            (fields.data or 0) + fields.byte_offset, shape, tuple(stride * itemsize for stride in strides), itemsize
        )


def read_capsule(x: Any) -> Read:
    """Read an array that has no words of its own by its capsule."""
    with consume(capsule_of(x)) as tensor:
        name = BY_TRIPLE[tensor.fields.dtype].name
    memory = memory_of_capsule(x)
    return Read(name, memory.shape, memory.bytes())


def capsule_of(x: Any) -> Any:
    """Ask for a capsule, of the newest version that the producer makes."""
    try:
        return x.__dlpack__(max_version=(1, 3))
    except TypeError:  # a producer from before DLPack 1
        return x.__dlpack__()


def from_capsule(take: Any, values: Array, layout: str) -> Any:
    """Hand numpy memory to a framework's ``from_dlpack`` in a legacy capsule of ctypes, which every one takes."""
    if BY_NUMPY[values.dtype].bits < 8:  # noqa: PLR2004 - what fills no byte
        raise Impossible("a legacy capsule means packed elements, and numpy has one in a byte")
    return take(LegacyProducer(laid_out(values, layout)))


def c_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Strides in C order, in bytes."""
    return tuple(prod(shape[axis + 1 :]) * itemsize for axis in range(len(shape)))


def itemsize_of(dtype: str) -> int:
    """Bytes of an element."""
    row = BY_NAME[dtype]
    return (row.bits * row.lanes + 7) // 8
