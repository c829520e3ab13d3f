"""Tensors as memory of the host: whatever their framework, element type, device and layout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from interop._convert import convert
from interop._inspect import dtype as dtype_of
from interop._inspect import view
from interop._layout import is_dense, overlaps
from interop._native import View, make_view, ndarray_from_view, view_from_ndarray
from interop._registry import frameworks
from interop._registry.lookup import adapter_for, describe, framework_of
from interop._to import to_numpy
from interop._words import with_article
from interop.errors import DeviceError, DTypeError, GradientError, UnsupportedError, call_text, message

if TYPE_CHECKING:
    from collections.abc import Hashable

    from interop._dtypes import DType

_HOST = (1, 0)
_BYTE = (1, 8, 1)


class Landed(NamedTuple):
    """A tensor in host memory: on its own where that is possible, else on a copy.

    `view` says what the memory means, `readonly` and `device` are the tensor's, which a copy's needn't be.
    """

    view: View
    framework: str
    device: str
    readonly: bool
    grad: bool = False


def landed(x: Any, *, detach: bool = False, moved: dict[Hashable, Landed] | None = None) -> Landed:
    """Bring a tensor into host memory, with the strides that it has there; it isn't made dense.

    `moved` is what came from devices before: what is the same there is moved once.

    Raises
    ------
    InteropError
        As :func:`interop.to_numpy` with ``device="cpu"`` raises it; what has no type in numpy goes by its own View.
    """
    if type(x) is np.ndarray:
        return Landed(_view_of(x), "numpy", "cpu", not x.flags.writeable)
    framework = _name_of(x)
    try:
        found = _on_host(x)
    except (DeviceError, GradientError):
        # What costs more is asked only where it is needed.
        return _detached_or_moved(x, framework, detach=detach, moved={} if moved is None else moved)
    return Landed(found, framework, "cpu", found.readonly)


def _detached_or_moved(x: Any, framework: str, *, detach: bool, moved: dict[Hashable, Landed]) -> Landed:
    facts = describe(adapter_for(x), x)
    # Two copies on the host don't tell any more that they are of one memory.
    key = (facts.framework, facts.device, facts.ptr, facts.shape, facts.strides, facts.dtype.name, facts.pending)
    if key in moved:
        return moved[key]
    view = _on_host(x, device="cpu", detach=detach)
    found = Landed(view, framework, str(facts.device), facts.readonly, facts.grad != "none")
    if facts.ptr is not None and not facts.device.is_host:
        moved[key] = found
    return found


def _on_host(x: Any, **options: Any) -> View:
    try:
        return _view_of(to_numpy(x, **options))
    except DTypeError:
        dtype = dtype_of(x)
        if dtype.numpy is not None:
            raise
    # torch's complex32 and its pairs of float4: numpy has no such type. A copy settles what is pending.
    try:
        return view(x)
    except (DeviceError, GradientError):
        raise
    except Exception:  # noqa: BLE001 - whatever it is, the copy meets it too
        return view(convert(x, framework_of(adapter_for(x), x), order="C", copy=True, **options))


def _view_of(array: np.ndarray[Any, Any]) -> View:
    try:
        return view_from_ndarray(array)
    except DTypeError:
        # Another byte order, or strides that are no multiple of the element; or no element type at all, which raises.
        dtype = dtype_of(array).numpy
        return view_from_ndarray(array.astype(dtype, order="C")).with_readonly(not array.flags.writeable)


def _name_of(x: Any) -> str:
    """The framework that a leaf can come back in."""
    name = framework_of(adapter_for(x), x)
    row = frameworks.row_of(name)
    if row is not None and row.instead:
        what = f"{with_article(type(x).__name__)} of {name} can't be packed"
        why = "it is more than its elements (labels, an index, a mode), and would arrive without it"
        raise UnsupportedError(message(what, why, f"{call_text('numpy')} gives the elements alone."))
    return name


def is_whole(memory: View) -> bool:
    """Whether a layout is a permutation of C order: its extent is its elements, each once."""
    return memory.contiguous or is_dense(memory.shape, memory.strides)


def repeats(memory: View) -> bool:
    """Whether one element is at several indices, as of a broadcast or of sliding windows."""
    return not is_whole(memory) and overlaps(memory.shape, memory.strides)


def compact(memory: View) -> View:
    """The same elements in C order, copied, whether numpy has their type or not."""
    dtype: DType = memory.dtype
    if dtype.numpy is not None:
        return view_from_ndarray(np.ascontiguousarray(ndarray_from_view(memory)).reshape(memory.shape))
    bits = (1, 8 * dtype.itemsize, 1)
    raw = make_view(memory.ptr, memory.shape, memory.strides, bits, _HOST, readonly=True, owner=memory)
    copied = np.ascontiguousarray(ndarray_from_view(raw)).reshape(memory.shape)
    triple = (dtype.code, dtype.bits, dtype.lanes)
    return make_view(view_from_ndarray(copied).ptr, memory.shape, None, triple, _HOST, readonly=False, owner=copied)


def span(low: int, high: int, memories: list[View]) -> memoryview:
    """The bytes from one address to another, of the memory that is all in there; it is kept alive."""
    readonly = all(memory.readonly for memory in memories)
    owner: Any = memories[0] if len(memories) == 1 else tuple(memories)
    return memoryview(make_view(low, (high - low,), None, _BYTE, _HOST, readonly=readonly, owner=owner))
