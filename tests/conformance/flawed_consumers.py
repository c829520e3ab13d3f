"""Consumers that are right but for one thing each, and the checks that each of them fails: those, and no other."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from interop._dtypes import BY_TRIPLE
from interop.testing._capsules import (
    READ_ONLY,
    VERSIONED,
    DLManagedTensorVersioned,
    Fields,
    capsule_name,
    capsule_pointer,
    immortal,
    incref,
    managed_of,
)
from interop.testing.fakes import Consumed, consume


class Right:
    """numpy as a consumer, by the book, and in steps that can each be made wrong."""

    keywords: Mapping[str, Any] = MappingProxyType({"max_version": (1, 3)})

    @classmethod
    def load(cls, x: Any, *, device: Any = None, copy: bool | None = None) -> Any:
        made = cls()
        made.placed(device)
        return made._load(x, copy)

    def placed(self, device: Any) -> None:
        if device not in (None, "cpu"):
            raise ValueError("no such device")
        if device is not None:
            self.keywords = MappingProxyType({**self.keywords, "dl_device": (1, 0)})

    def _load(self, x: Any, copy: bool | None) -> Any:
        capsule = self.ask(x)
        tensor = self.open(capsule)
        try:
            self.judge(tensor.fields)
            array = self.array(tensor)
        except BaseException:
            self.refused(tensor)
            raise
        return self.given(array, copy)

    def ask(self, x: Any) -> Any:
        try:
            return x.__dlpack__(**self.keywords)
        except TypeError:
            return x.__dlpack__()

    def open(self, capsule: Any) -> Consumed:
        return consume(capsule)

    def judge(self, fields: Fields) -> None:
        if fields.version is not None and fields.version[0] != 1:
            raise BufferError("another major version")
        if fields.device != (1, 0):
            raise BufferError("another device")
        row = BY_TRIPLE.get(fields.dtype)
        if row is None or row.bits < 8 or row.numpy is None:
            raise BufferError("another element type")

    def array(self, tensor: Consumed) -> Any:
        return tensor.array()

    def refused(self, tensor: Consumed) -> None:
        tensor.release()

    def given(self, array: Any, copy: bool | None) -> Any:
        return Result.of(array.copy() if copy else array)


class Result(np.ndarray):
    """An array that exports every element type."""

    @property
    def device(self) -> Any:
        return "cpu"

    @classmethod
    def of(cls, array: Any) -> Any:
        return array.view(cls)

    def __dlpack__(self, **_: Any) -> Any:
        from interop.testing.fakes import CapsuleProducer

        return CapsuleProducer(self.view(np.ndarray)).source()


class Legacy(Right):
    keywords = MappingProxyType({})


class Streaming(Right):
    keywords = MappingProxyType({"max_version": (1, 3), "stream": 1})

    def ask(self, x: Any) -> Any:
        try:
            return x.__dlpack__(**self.keywords)
        except (ValueError, RuntimeError):
            return x.__dlpack__(max_version=(1, 3))


class Streamed(Right):
    """Passes a stream and gets it refused."""

    def ask(self, x: Any) -> Any:
        return x.__dlpack__(stream=1, max_version=(1, 3))


class NoRetry(Right):
    def ask(self, x: Any) -> Any:
        return x.__dlpack__(**self.keywords)


class VersionedOnly(Right):
    def open(self, capsule: Any) -> Consumed:
        if capsule_name(capsule) != VERSIONED:
            raise BufferError("a legacy capsule")
        return super().open(capsule)


class Swallowing(Right):
    def ask(self, x: Any) -> Any:
        try:
            return super().ask(x)
        except BufferError as error:
            raise RuntimeError("no export") from error


class SaysTypeError(Right):
    @classmethod
    def load(cls, x: Any, *, device: Any = None, copy: bool | None = None) -> Any:
        if not hasattr(x, "__dlpack__"):
            raise TypeError("no array")
        return super().load(x, device=device, copy=copy)


class CopyIgnorer(Right):
    def given(self, array: Any, copy: bool | None) -> Any:
        return super().given(array, None)


class CopyForcer(Right):
    """Copies whatever is asked."""

    def given(self, array: Any, copy: bool | None) -> Any:
        return super().given(array, True)


class CopiesUnasked(Right):
    def given(self, array: Any, copy: bool | None) -> Any:
        return super().given(array, copy is not False)


class NoKeywords(Right):
    @classmethod
    def load(cls, x: Any, *, copy: bool | None = None) -> Any:  # type: ignore[override]
        return cls()._load(x, copy)


class DeviceIgnorer(Right):
    def placed(self, device: Any) -> None:
        pass


class DeviceKeeper(Right):
    """Knows its devices, and doesn't tell the producer."""

    def placed(self, device: Any) -> None:
        if device not in (None, "cpu"):
            raise ValueError("no such device")


class NoRename(Right):
    def open(self, capsule: Any) -> Consumed:
        _immortal.append(capsule)
        return Borrowed(managed_of(capsule))


_immortal: list[Any] = immortal([])


class Borrowed(Consumed):
    """A tensor whose deleter is called here, though the capsule still is unconsumed."""


class Twice(Right):
    """Takes used capsules too."""

    def open(self, capsule: Any) -> Consumed:
        name = capsule_name(capsule)
        if name.startswith(b"used_"):
            return Consumed(DLManagedTensorVersioned.from_address(capsule_pointer(capsule, name)))
        return super().open(capsule)


class AnyName(Right):
    def open(self, capsule: Any) -> Consumed:
        return super().open(np.zeros(3).__dlpack__() if capsule_name(capsule) == b"tensor" else capsule)


class NeverDeletes(Right):
    def array(self, tensor: Consumed) -> Any:
        _immortal.append(tensor)
        return tensor.array()


class DeletesEarly(Right):
    """The result is on memory that was given back."""

    def array(self, tensor: Consumed) -> Any:
        array = tensor.array()
        fields = tensor.fields
        tensor.release()
        if not array.size or not array.flags.c_contiguous:
            return array.copy()
        memory: Any = (ctypes.c_char * array.nbytes).from_address(fields.data + fields.byte_offset)
        return np.ndarray(array.shape, array.dtype, buffer=memory)


class NeedsDeleter(Right):
    def open(self, capsule: Any) -> Consumed:
        if not managed_of(capsule).deleter:
            raise BufferError("no deleter")
        return super().open(capsule)


class LeaksRefused(Right):
    def refused(self, tensor: Consumed) -> None:
        tensor._managed = None


class Leaking(Right):
    def given(self, array: Any, copy: bool | None) -> Any:
        incref(array)
        return super().given(array, copy)


class OneAtATime(Right):
    def array(self, tensor: Consumed) -> Any:
        if threading.current_thread() is threading.main_thread():
            return tensor.array()
        if _first.acquire(blocking=False):
            _second.wait(20)
            return tensor.array()
        _second.set()
        return np.full(6, 9, "float32")


_first, _second = threading.Lock(), threading.Event()


class MainThreadOnly(Right):
    """Frees in the main thread only."""

    def array(self, tensor: Consumed) -> Any:
        return MainOnly(tensor._taken()).array()  # type: ignore[arg-type]


class MainOnly(Consumed):
    def release(self) -> None:
        if threading.current_thread() is threading.main_thread():
            super().release()


class AnyMajor(Right):
    def open(self, capsule: Any) -> Consumed:
        managed = managed_of(capsule)
        if capsule_name(capsule) == VERSIONED and managed.version.major == 2:
            managed.version.major = 1
        return super().open(capsule)


class OneMinor(Right):
    def judge(self, fields: Fields) -> None:
        if fields.version is not None and fields.version[1] > 3:
            raise BufferError("a newer minor version")
        super().judge(fields)


class NoCopied(Right):
    def judge(self, fields: Fields) -> None:
        if fields.version is not None and fields.flags & 2:
            raise BufferError("a copy")
        super().judge(fields)


class NoReadonly(Right):
    def judge(self, fields: Fields) -> None:
        if fields.version is not None and fields.flags & READ_ONLY:
            raise BufferError("readonly")
        super().judge(fields)


class WritesReadonly(Right):
    def array(self, tensor: Consumed) -> Any:
        tensor.fields = replace(tensor.fields, flags=0)
        return tensor.array()


def changing(**changes: Any) -> type[Right]:
    """Return a consumer that reads a field of a tensor as something else."""

    class Changing(Right):
        def array(self, tensor: Consumed) -> Any:
            for field, change in changes.items():
                tensor.fields = replace(tensor.fields, **{field: change(tensor.fields)})
            return tensor.array()

    return Changing


def _size(fields: Fields) -> int:
    return int(np.prod(fields.shape or ()))


NoOffset = changing(byte_offset=lambda _: 0)
CompactStrides = changing(strides=lambda _: None)
NegativeAsZero = changing(strides=lambda fields: fields.strides and tuple(max(stride, 0) for stride in fields.strides))


def refusing(what: Any) -> type[Right]:
    class Refusing(Right):
        def judge(self, fields: Fields) -> None:
            if what(fields):
                raise BufferError("not that")
            super().judge(fields)

    return Refusing


NoNullStrides = refusing(lambda fields: fields.strides is None and fields.ndim)
NoOddOnes = refusing(lambda fields: _size(fields) == 1 and fields.strides and fields.strides != (1,))
NoOddColumn = refusing(lambda fields: fields.shape == (2, 1) and fields.strides[1] != 1)
EightDimensions = refusing(lambda fields: len(fields.shape or ()) > 8)
FirstEight = changing(
    shape=lambda fields: fields.shape and fields.shape[:8], strides=lambda fields: fields.strides and fields.strides[:8]
)
NoScalar = refusing(lambda fields: fields.ndim == 0)
NoEmpty = refusing(lambda fields: 0 in (fields.shape or ()))
NoNull = refusing(lambda fields: not fields.data)


class NoNullShape(Right):
    def open(self, capsule: Any) -> Consumed:
        managed = managed_of(capsule)
        if not managed.dl_tensor.shape:
            raise BufferError("shape is NULL")
        return super().open(capsule)


class ZeroStrideAsOne(Right):
    def array(self, tensor: Consumed) -> Any:
        array = tensor.array()
        return np.zeros(array.shape, array.dtype) if 0 in array.strides and array.size > 1 else array


def mistaking(*triples: tuple[int, int, int], row: tuple[int, int, int] = (2, 32, 1)) -> type[Right]:
    class Mistaking(Right):
        def open(self, capsule: Any) -> Consumed:
            tensor = super().open(capsule)
            if tensor.fields.dtype in triples:
                tensor.fields = replace(tensor.fields, dtype=row)
            return tensor

    return Mistaking


NoLanes = mistaking((2, 32, 2))
AnyCode = mistaking((99, 32, 1))
Handles = mistaking((3, 32, 1))
AnyBits = mistaking((2, 24, 1))
BoolBits = mistaking((6, 1, 1), row=(6, 8, 1))
Unpacked = mistaking((0, 4, 1), row=(0, 8, 1))


class AnyDevice(Right):
    def open(self, capsule: Any) -> Consumed:
        tensor = super().open(capsule)
        if tensor.fields.device == (99, 0):
            tensor.fields = replace(tensor.fields, device=(1, 0))
        return tensor


class CudaAsHost(Right):
    def open(self, capsule: Any) -> Consumed:
        tensor = super().open(capsule)
        if tensor.fields.device == (2, 0):
            tensor.fields = replace(tensor.fields, device=(1, 0))
        return tensor


class DeviceValueError(Right):
    def judge(self, fields: Fields) -> None:
        if fields.device == (99, 0):
            raise ValueError("no such device")
        super().judge(fields)


class Widening(Right):
    """Every element type becomes another of the same size."""

    def array(self, tensor: Consumed) -> Any:
        array = tensor.array()
        if array.shape != (4,):
            return array
        other = "u1" if array.dtype != np.uint8 else "i1"
        return array.view(other)


@dataclass(frozen=True)
class Flaw:
    """One flawed consumer, and what it fails."""

    load: str
    fails: tuple[str, ...]
    besides: tuple[str, ...] = ()


RIGHT = (Flaw("Right", ()),)
FLAWS = (
    Flaw("Streamed", ("takes",), besides=("*",)),
    Flaw("Legacy", ("asks-version",)),
    Flaw("Streaming", ("stream-host",), besides=("old-producer",)),
    Flaw("NoRetry", ("old-producer",)),
    Flaw("VersionedOnly", ("legacy-answer",), besides=("old-producer",)),
    Flaw("Swallowing", ("error-propagates",)),
    Flaw("SaysTypeError", ("no-protocol",)),
    Flaw("CopyIgnorer", ("copy-true",)),
    Flaw("CopyForcer", ("copy-false", "zero-copy")),
    Flaw("CopiesUnasked", ("zero-copy",)),
    Flaw("NoKeywords", ("copy-keyword",)),
    Flaw("DeviceIgnorer", ("device-unknown-name",), besides=("device-passed-on",)),
    Flaw("DeviceKeeper", ("device-passed-on",)),
    Flaw("NoRename", ("renames-capsule",), besides=("used-capsule",)),
    Flaw("Twice", ("used-capsule",)),
    Flaw("AnyName", ("other-capsule",)),
    Flaw("NeverDeletes", ("deleter-once", "dropped-in-thread"), besides=("leaks",)),
    Flaw("DeletesEarly", ("deleter-not-early", "lifetime"), besides=("threads", "readonly-honoured")),
    Flaw("NeedsDeleter", ("deleter-null",)),
    Flaw("LeaksRefused", ("deleter-refused", "major-version")),
    Flaw("Leaking", ("leaks",), besides=("deleter-once", "dropped-in-thread")),
    Flaw("OneAtATime", ("threads",)),
    Flaw("MainThreadOnly", ("dropped-in-thread",)),
    Flaw("AnyMajor", ("major-version",)),
    Flaw("OneMinor", ("minor-version",)),
    Flaw("NoCopied", ("copied-flag",)),
    Flaw("NoReadonly", ("readonly-taken",)),
    Flaw("WritesReadonly", ("readonly-honoured",)),
    Flaw("NoOffset", ("byte-offset",)),
    Flaw("CompactStrides", ("transposed", "stepped", "sliced-rows", "negative-strides", "zero-strides")),
    Flaw("NegativeAsZero", ("negative-strides",)),
    Flaw("ZeroStrideAsOne", ("zero-strides",)),
    Flaw("NoNullStrides", ("strides-null",)),
    Flaw("NoOddOnes", ("one-side-strides",)),
    Flaw("NoOddColumn", ("one-column-strides",)),
    Flaw("EightDimensions", ("nine-dimensions",)),
    Flaw("FirstEight", ("nine-dimensions",)),
    Flaw("NoScalar", ("scalar", "scalar-null")),
    Flaw("NoNullShape", ("scalar-null",), besides=("scalar",)),
    Flaw("NoEmpty", ("empty", "empty-null")),
    Flaw("NoNull", ("empty-null",)),
    Flaw("NoLanes", ("lanes",)),
    Flaw("AnyCode", ("dtype-unknown",)),
    Flaw("Handles", ("dtype-handle",)),
    Flaw("AnyBits", ("dtype-bits",)),
    Flaw("BoolBits", ("bool-bits",)),
    Flaw("Unpacked", ("packed",)),
    Flaw("AnyDevice", ("device-unknown",)),
    Flaw("CudaAsHost", ("device-cuda",)),
    Flaw("DeviceValueError", ("device-error",)),
    Flaw("Widening", ("dtype-*",)),
)
