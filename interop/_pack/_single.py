"""One array as a few plain values and a buffer: what engines send that have a form of their own for the rest."""

from __future__ import annotations

import math
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from interop._convert import convert
from interop._dtypes import BY_NAME, DType
from interop._inspect import device as device_of
from interop._inspect import view
from interop._native import View, make_view, view_from_ndarray
from interop._pack._arrival import Memory, array_on
from interop._pack._header import Leaf
from interop._pack._landing import compact, is_whole, landed, span
from interop._registry import frameworks
from interop._registry.lookup import adapter_for_type, adapters, framework_of
from interop._to import to_numpy
from interop._words import said
from interop.errors import InteropError, UnsupportedError

if TYPE_CHECKING:
    from interop._typed import ConvertOptions

_lock: Final = threading.Lock()
# With the type's identity: a metaclass may say that its types are equal to others.
_homes: Final[weakref.WeakKeyDictionary[type, tuple[str, int]]] = weakref.WeakKeyDictionary()


class Sent(NamedTuple):
    """An array that is on its way: `memory` is where it lies, and whole where the buffer is that memory."""

    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...] | None
    data: memoryview
    memory: View
    whole: bool
    readonly: bool


def home_of(x: Any) -> str | None:
    """The framework whose plain array `x` is, so that it comes back as the type that it was; else None.

    A subclass (torch's Parameter, numpy's matrix) is none: the engine's own way keeps what else it has.
    """
    kind = type(x)
    found = _homes.get(kind)
    if found is not None and found[1] == id(kind):
        return found[0] or None
    name = _home(x)
    if found is None:
        with _lock:
            _homes[kind] = (name, id(kind))
    return name or None


def _home(x: Any) -> str:
    adapter = adapter_for_type(type(x))
    if adapter is None:
        return ""
    try:
        name = framework_of(adapter, x)
        row = frameworks.row_of(name)
        if row is None or row.instead:
            return ""
        made = convert(np.zeros(1, np.uint8), name, device=device_of(x))
    except InteropError:
        return ""
    return name if type(made) is type(x) else ""


def home_type(framework: str) -> type | None:
    """The type of a framework's plain arrays; None where it can have none here, for lack of a device."""
    for device in (None, "cuda"):
        try:
            made = convert(np.zeros(1, np.uint8), framework, device=device)
        except InteropError:
            continue
        return type(made)
    return None


def home_types() -> dict[str, type]:
    """The types of plain arrays, of the frameworks that are imported."""
    here = [row.name for row in frameworks.ROWS if row.module in sys.modules and not row.instead]
    others = [info.name for info in adapters().values() if info.origin != "built-in" and info.loaded and info.target]
    found = ((name, home_type(name)) for name in (*here, *others))
    return {name: kind for name, kind in found if kind is not None}


def carries(x: Any) -> bool:
    """Whether an array's elements are numbers; numpy's may be objects, structures, texts or dates, and are numpy's."""
    return type(x) is not np.ndarray or x.dtype in _NUMBERS


_NUMBERS: Final = frozenset(row.numpy for row in BY_NAME.values() if row.numpy is not None)


def sent(x: Any, *, detach: bool = False) -> Sent:
    """Take an array apart.

    Raises
    ------
    InteropError
        As :func:`interop.pack` raises them.
    """
    memory = _as_it_is(x)
    if memory is None:
        found = landed(x, detach=detach)
        memory, readonly = found.view, found.readonly
    else:
        readonly = memory.readonly
    # Not by the name of each field: half of what a small array costs here.
    if memory.contiguous:
        return Sent(memory.dtype.name, memory.shape, None, memory.bytes, memory, True, readonly)
    if is_whole(memory):
        data = span(*memory.extent, [memory])
        return Sent(memory.dtype.name, memory.shape, memory.strides, data, memory, whole=True, readonly=readonly)
    copied = compact(memory)
    return Sent(memory.dtype.name, memory.shape, None, copied.bytes, copied, whole=False, readonly=readonly)


def _as_it_is(x: Any) -> View | None:
    """The memory of what needs nothing to be done, which is most; None of all else, which takes longer."""
    try:
        return view_from_ndarray(x if type(x) is np.ndarray else to_numpy(x))
    except InteropError:
        return None


def arrived(
    framework: str,
    dtype: str,
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    data: Any,
    *,
    readonly: bool = False,
    options: ConvertOptions | None = None,
) -> Any:
    """Put an array together again, on the memory that arrived; `readonly` is what it was.

    Raises
    ------
    UnsupportedError
        If the buffer isn't what the rest says, or the framework isn't installed.
    InteropError
        As :func:`interop.convert` raises them.
    """
    array: Any = None
    row = BY_NAME.get(dtype)
    if strides is None and row is not None and row.numpy is not None:
        try:
            array = np.frombuffer(data, row.numpy).reshape(shape)
        except (ValueError, TypeError) as err:
            if memoryview(data).nbytes:
                raise _bad(dtype, shape, said(err)) from err
            array = None
        if array is not None and not array.flags.aligned:
            array = None
        elif array is not None and readonly:
            array.flags.writeable = False
    if array is None:
        size = memoryview(data).nbytes
        leaf = Leaf.checked(dtype, shape, strides, size, readonly=readonly)
        if math.prod(leaf.shape) * DType(leaf.dtype).itemsize != size:
            raise _bad(dtype, shape, f"it has {size} bytes")
        array = array_on(leaf, Memory(data, size, 0))
    if framework == "numpy" and not options and type(array) is np.ndarray:
        return array
    return convert(array, framework, **(options or {}))


def _bad(dtype: str, shape: tuple[int, ...], why: str) -> UnsupportedError:
    return UnsupportedError(f"a buffer that isn't {dtype} {shape} arrived ({why}). Send the array again.")


def within(base: Any, framework: str, dtype: str, shape: tuple[int, ...], layout: tuple[tuple[int, ...], int]) -> Any:
    """An array on the memory of another one: one that was tied to it where both were sent.

    `layout` is its strides and its offset, in bytes from the lowest address of the other one.

    Raises
    ------
    UnsupportedError
        If it would reach beyond that memory.
    """
    memory = view(base)
    low, high = memory.extent
    strides, offset = layout
    leaf = Leaf.checked(dtype, shape, strides, high - low, offset)
    row = BY_NAME[leaf.dtype]
    triple = (row.code, row.bits, row.lanes)
    found = make_view(
        low + offset, shape, strides, triple, memory.device.dlpack, readonly=memory.readonly, owner=memory
    )
    return convert(found, framework)
