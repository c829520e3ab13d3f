"""What has to hold of Views, of writing into memory, and of questions."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, Final

import numpy as np
import torch

import interop
from fuzz import casts, reading
from fuzz.laws import Broken, Seen, need, overlap, short
from fuzz.reading import Found

# Views.


def viewed(seen: Seen) -> None:
    """A View says what its object's own framework says, and every protocol that it speaks gives the same values."""
    view, truth = seen.result, seen.truth
    need(type(view) is interop.View, "view gives a View", f"{type(view)}")
    need(truth is not None and not seen.case.source.opaque, "what has no values has no View", lambda: f"{view}")
    assert truth is not None
    need(view.shape == truth.shape, "a View has the shape", lambda: f"{view} and not {truth.shape}")
    need(view.dtype.name == truth.dtype, "a View has the element type", lambda: f"{view} and not {truth.dtype}")
    need(view.size == prod(truth.shape), "a View counts", lambda: f"{view.size}")
    need(view.nbytes == view.size * view.itemsize, "a View counts bytes", lambda: f"{view.nbytes}")
    need(view.device.type == "cpu", "a View knows the device", lambda: f"{view.device}")
    if truth.data and truth.ptr is not None and truth.extent is not None and seen.case.source.placed:
        need(view.ptr == truth.ptr, "a View is on the memory", lambda: f"{view.ptr:#x} and not {truth.ptr:#x}")
        need(view.extent == truth.extent, "a View knows its extent", lambda: f"{view.extent} and not {truth.extent}")
        told = truth.strides is None or _same_strides(view, truth.strides)
        need(told, "a View has the strides", lambda: f"{view} and not {truth.strides} bytes")
    if not seen.case.source.unsaid and truth.readonly is not None:
        need(view.readonly == truth.readonly, "a View knows readonly", lambda: f"{view} and not {truth.readonly}")
    _handed_on(view, truth)


def _same_strides(view: Any, strides: tuple[int, ...]) -> bool:
    steps = zip(view.shape, view.strides, strides, strict=True)
    return all(length <= 1 or step * view.itemsize == wanted for length, step, wanted in steps)


def _handed_on(view: Any, truth: Found) -> None:
    """By the consumers' own means."""
    for means, take in _MEANS.items():
        try:
            a = take(view)
        except (BufferError, RuntimeError, AttributeError, TypeError, ValueError):
            # A protocol that lacks the element type says so in one of these.
            continue
        right = (a.shape, a.tobytes()) == (truth.shape, truth.data)
        need(right, "every protocol gives the values", f"{means} gave others")
        shared = not truth.data or a.__array_interface__["data"][0] == view.ptr
        need(shared, "every protocol gives the memory", f"{means} copied")
        need(not view.readonly or not a.flags.writeable, "readonly is handed on", f"{means} made it writable")


_MEANS: Final[dict[str, Callable[[Any], Any]]] = {
    "the buffer protocol": lambda view: np.asarray(memoryview(view)),
    "DLPack": np.from_dlpack,
    "the array interface": lambda view: np.asarray(_Interface(view.__array_interface__, view)),
}


class _Interface:
    def __init__(self, described: Any, owner: Any) -> None:
        self.__array_interface__ = described
        self.owner = owner


# Writing.


def copied_into(seen: Seen) -> None:
    """What was written is what numpy writes, and a refused call writes nothing."""
    into, before = seen.names["into"], seen.names["into_before"]
    casting = seen.case.call.options.get("casting", "'same_kind'").strip("'")
    after = reading.read(_readable(into))
    need(seen.result is None, "copyto returns nothing", f"{seen.result!r}")
    truth = seen.truth
    if truth is None or seen.case.source.opaque:
        need(False, "what has no values is written nowhere", f"{after}")
        return
    need(not before.readonly, "readonly memory isn't written", lambda: f"{into!r:.100}")
    shape = np.broadcast_shapes(truth.shape, after.shape)
    need(shape == after.shape, "what doesn't broadcast isn't written", lambda: f"{truth.shape} into {after.shape}")
    source = reading.array(truth)
    if source is None or reading.dtype_named(after.dtype) is None:
        return
    if seen.case.call.writes and _overlaps_itself(into):
        # Whatever was written last.
        return
    spread = np.broadcast_to(source, after.shape)
    wide = Found(truth.dtype, after.shape, spread.tobytes())
    wrong = casts.difference(wide, after, signs=not seen.case.source.signless)
    need(wrong is None, "the values are written", f"{wrong}")
    _allowed(source, reading.dtype_named(after.dtype), casting)


def _allowed(source: Any, target: Any, casting: Any) -> None:
    """numpy says which casts are allowed; of ml_dtypes' types (one says that it is of kind "f") it doesn't know all."""
    need(casting != "wrong", "casting is one of numpy's words", casting)
    if source.dtype.isbuiltin == target.isbuiltin == 1:
        need(np.can_cast(source.dtype, target, casting), "casting is heeded", f"{source.dtype} to {target}, {casting}")


def written_nothing(seen: Seen) -> None:
    """A call that was refused leaves what it would have written."""
    if seen.error is None or "into" not in seen.names:
        return
    after = reading.read(_readable(seen.names["into"]))
    need(after == seen.names["into_before"], "a refused call writes nothing", short(seen.error))


def must_write(seen: Seen) -> None:
    """What fits is written."""
    call, source, into = seen.case.call, seen.case.source, seen.names.get("into")
    if seen.error is None or call.kind != "copyto" or seen.truth is None or not source.plain or source.graph:
        return
    before = seen.names["into_before"]
    if before.readonly or (before.dtype, before.shape) != (seen.truth.dtype, seen.truth.shape):
        return
    if call.options.get("casting") == "'wrong'" or not isinstance(into, (np.ndarray, torch.Tensor)):
        return
    # Where torch writes nothing: outside of the mode, and where several indices are one element.
    if isinstance(into, torch.Tensor) and (into.is_inference() or into.requires_grad or _overlaps_itself(into)):
        return
    raise Broken("what fits is written", short(seen.error))


def _overlaps_itself(into: np.ndarray[Any, Any] | torch.Tensor) -> bool:
    """Whether several indices are one element."""
    strides = into.stride() if isinstance(into, torch.Tensor) else into.strides
    places = np.zeros((), np.int64)
    for length, step in zip(into.shape, strides, strict=True):
        places = np.add.outer(places, np.arange(length) * step)
    return np.unique(places).size < places.size


def _readable(into: Any) -> Any:
    """What is written into, as its framework reads it."""
    if isinstance(into, interop.View):
        return into.owner
    return np.frombuffer(into, "u1") if isinstance(into, bytearray) else into


def read_into(names: dict[str, Any]) -> Found:
    """What is in the memory that is going to be written."""
    return reading.read(_readable(names["into"]))


# Questions.


def shared(seen: Seen) -> None:
    """By the addresses that both frameworks tell."""
    truth = seen.truth
    if truth is None or truth.extent is None or not seen.case.source.placed or seen.case.source.encoded:
        return
    x, other = seen.names["x"], seen.names["other"]
    there = truth if other is x else reading.read(other)
    if there.extent is None:
        return
    wanted = bool(truth.data) and bool(there.data) and overlap(truth.extent, there.extent)
    need(seen.result == wanted, "shares_memory tells", f"{seen.result}: {truth.extent} and {there.extent}")


def framework(seen: Seen) -> None:
    """The name that a conversion takes."""
    source = seen.case.source
    if source.framework:
        need(seen.result == source.framework, "framework tells", f"{seen.result!r} and not {source.framework!r}")


def device(seen: Seen) -> None:
    """Where it is."""
    if not seen.case.source.opaque:
        need(str(seen.result) == "cpu", "device tells", f"{seen.result}")


def dtype(seen: Seen) -> None:
    """The element type."""
    if seen.truth is not None and not seen.case.source.encoded:
        need(seen.result.name == seen.truth.dtype, "dtype tells", f"{seen.result} and not {seen.truth.dtype}")


def aligned(seen: Seen) -> None:
    """An array of the shape and the order, on the multiple that was asked for."""
    a, options = seen.result, seen.case.call.options
    need(type(a) is np.ndarray and a.flags.writeable, "empty_aligned makes an array", f"{type(a)}")
    multiple = int(options.get("alignment", "64"))
    need(not a.size or a.__array_interface__["data"][0] % multiple == 0, "empty_aligned is aligned", f"{multiple}")
    right = a.flags.f_contiguous if options.get("order") == "'F'" else a.flags.c_contiguous
    need(right, "empty_aligned is in order", f"{a.strides}")
