"""Arrays on the buffers that arrived, in the framework that is asked for or the one that they were sent from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from interop._aligned import aligned
from interop._convert import convert
from interop._devices import CPU
from interop._dtypes import BY_NAME, DType
from interop._layout import c_strides, compact_strides
from interop._native import View, make_view, view_from_ndarray
from interop._pack._header import bad
from interop._pack._landing import compact
from interop._registry import frameworks
from interop._registry.lookup import loaded
from interop._registry.targets import target_adapter
from interop._words import said, shown
from interop.errors import NotInstalledError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from interop._pack._header import Header, Leaf
    from interop._typed import ConvertOptions

Absent = Literal["numpy", "refuse"]

_HOST: Final = (1, 0)

#: Bytes of the widest element, on a multiple of which every allocator gives memory.
_WIDEST: Final = 16


class Memory:
    """A buffer that arrived, held by an export of it: it can't be resized, closed or freed under the arrays."""

    def __init__(self, buffer: Any, size: int, number: int) -> None:
        try:
            data = memoryview(buffer).cast("B")
        except (TypeError, ValueError, BufferError) as err:
            bad(f"buffer {number} is no bytes in a row ({said(err)})")
        if data.nbytes != size:
            bad(f"buffer {number} should have {size} bytes and has {data.nbytes}")
        # Not by ndarray(buffer=data): that takes the memory out of a memoryview and holds no export (numpy#18294).
        self.array = np.frombuffer(data, np.uint8) if size else np.empty(0, np.uint8)
        self.address = view_from_ndarray(self.array).ptr
        self.readonly = not self.array.flags.writeable

    def copy(self, *, readonly: bool) -> None:
        """Go over to memory of one's own, which is aligned for every element type."""
        copied = aligned(self.array.shape, DType("uint8"), (1,))
        copied[:] = self.array
        self.array = copied
        self.address, self.readonly = view_from_ndarray(self.array).ptr, readonly


def memories(header: Header, buffers: Iterable[Any]) -> list[Memory]:
    """Take the buffers that belong to a header.

    Raises
    ------
    UnsupportedError
        If they are others.
    """
    try:
        given = list(buffers)
    except TypeError:
        bad(f"the buffers are {shown(buffers)}, which is no list of them")
    if len(given) != len(header.sizes):
        bad(f"it has {len(header.sizes)} buffers, and {len(given)} came")
    return [Memory(buffer, size, n) for n, (buffer, size) in enumerate(zip(given, header.sizes, strict=True))]


def array_on(leaf: Leaf, memory: Memory) -> np.ndarray[Any, Any] | View:
    """The array that a leaf says: on its buffer, or copied where that doesn't lie as elements must.

    A View, where numpy has no such element type.
    """
    row = BY_NAME[leaf.dtype]
    readonly = memory.readonly or leaf.readonly
    itemsize = (row.bits * row.lanes + 7) // 8
    strides = c_strides(leaf.shape) if leaf.strides is None else leaf.strides
    if row.numpy is None:
        address = memory.address + leaf.offset
        triple = (row.code, row.bits, row.lanes)
        found = make_view(address, leaf.shape, strides, triple, _HOST, readonly=readonly, owner=memory.array)
        return compact(found).with_readonly(readonly) if address % itemsize else found
    try:
        if 0 in leaf.shape:
            array = np.empty(leaf.shape, row.numpy)
        else:
            array = np.ndarray(
                leaf.shape, row.numpy, memory.array, leaf.offset, tuple([step * itemsize for step in strides])
            )
    except (ValueError, TypeError, OverflowError, MemoryError) as err:
        bad(f"{leaf.dtype} {leaf.shape} can't be ({said(err)})")
    if not array.flags.aligned:
        array = _aligned_copy(array, leaf)
    if readonly:
        array.flags.writeable = False
    return array


def _aligned_copy(array: np.ndarray[Any, Any], leaf: Leaf) -> np.ndarray[Any, Any]:
    """A copy that nobody has to copy again."""
    copied = aligned(leaf.shape, DType(leaf.dtype), compact_strides(leaf.shape, leaf.strides or c_strides(leaf.shape)))
    copied[...] = array
    return copied


def framework_for(leaf: Leaf, absent: Absent) -> str:
    """The framework that a leaf was sent from, where that is loaded here; a header makes nobody import anything.

    Raises
    ------
    UnsupportedError
        If it isn't loaded and ``absent="refuse"``.
    """
    name = leaf.framework
    row = next((row for row in frameworks.ROWS if row.name == name), None)
    here = loaded(name) is not None if row is None else row.module in sys.modules and not row.instead
    if here:
        return name
    if absent == "numpy":
        return "numpy"
    msg = f"a tensor of {shown(name)} came, and {shown(name)} isn't imported here"
    if row is not None:
        msg += f": install it (pip install {row.install}) and import {row.module}, or"
    else:
        msg += ":"
    raise NotInstalledError(f"{msg} pass absent='numpy' to have it in numpy, or to= to have it elsewhere.", name=name)


def realign(header: Header, found: list[Memory]) -> None:
    """Copy a buffer at once that doesn't lie on a multiple of its elements' size; its leaves stay on one memory."""
    for leaf in header.leaves:
        memory = found[leaf.buffer]
        itemsize = DType(leaf.dtype).itemsize
        if 0 not in leaf.shape and (memory.address + leaf.offset) % itemsize and memory.address % _WIDEST:
            memory.copy(readonly=memory.readonly)


def keep_ties(header: Header, found: list[Memory], to: list[str | ModuleType], writable: object) -> None:
    """Copy at once what several leaves share and each would copy on its own, and come apart.

    Those are leaves on readonly memory, for a framework that can't express readonly.
    """
    leaves: dict[int, set[Any]] = {}
    for leaf, target in zip(header.leaves, to, strict=True):
        if writable is not False and _drops_readonly(target):
            leaves.setdefault(leaf.buffer, set()).add((leaf.shape, leaf.strides, leaf.offset, leaf.dtype))
    for number, distinct in leaves.items():
        if len(distinct) > 1 and found[number].readonly:
            found[number].copy(readonly=False)


def _drops_readonly(to: str | ModuleType) -> bool:
    limits = target_adapter(to).limits(CPU)
    return limits is not None and limits.readonly == "drops"


def handed_over(array: np.ndarray[Any, Any] | View, to: str | ModuleType, options: ConvertOptions) -> Any:
    """The array in its framework."""
    if to == "numpy" and not options and type(array) is np.ndarray:
        return array
    return convert(array, to, **options)
