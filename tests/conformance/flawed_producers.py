"""Producers that are right but for one thing each, and the checks that each of them fails: those, and no other."""

from __future__ import annotations

import ctypes
import threading
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from interop.testing._capsules import (
    DELETER,
    DESTRUCTOR,
    IS_COPIED,
    READ_ONLY,
    VERSIONED,
    DLManagedTensor,
    DLManagedTensorVersioned,
    capsule_new,
    capsule_pointer,
    dying_name,
    dying_pointer,
    immortal,
    incref,
    static_name,
)
from interop.testing.fakes import (
    Call,
    DeviceLiar,
    EitherProducer,
    ExchangeFake,
    FakeDeviceArray,
    LegacyProducer,
    _ledger,
)
from interop.testing.fakes._exchange import _install

Capsule = Any


def said(fields: Any) -> Any:
    """Return fields that a capsule says; which are there depends on the flaw, and types can't tell."""
    return fields


class Viewed:
    """What the checks look at besides the protocol: shape, dtype and views."""

    array: Any

    @property
    def shape(self) -> Any:
        return self.array.shape

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def T(self) -> Any:
        return type(self)(self.array.T)  # type: ignore[call-arg]

    def __getitem__(self, index: Any) -> Any:
        return type(self)(self.array[index])  # type: ignore[call-arg]


class Right(Viewed, EitherProducer):
    """DLPack as it should be."""


class RightInterface(Right):
    """The same with NumPy's array interface."""

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return dict(self.array.__array_interface__)


class RightExchange(Right, ExchangeFake):  # type: ignore[misc]  # each has a list of calls of its own kind
    """The same with the C exchange API."""


_install(RightExchange)


class RightArray(np.ndarray):
    """numpy's own, which has the buffer protocol."""

    @classmethod
    def make(cls, values: Any) -> Any:
        return values.copy().view(cls)


class RightCuda(FakeDeviceArray):
    """An array on a make-believe CUDA device."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"version": 3, "shape": self.array.shape, "data": (self.array.ctypes.data, False), "stream": 1}


class OldSignature(Right):
    def __dlpack__(self, *, stream: Any = None) -> Capsule:  # type: ignore[override]
        return self.answer(Call(stream))


class OtherName(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        return super().respond(call, **said(overrides | {"version": None, "name": b"tensor"}))


class OneCapsule(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        if call != Call(max_version=(1, 3)):
            return super().respond(call, **overrides)
        if not hasattr(self, "kept"):
            self.kept = super().respond(call, **overrides)
        return self.kept


class VersionedForNone(Right):
    def answer(self, call: Call) -> Capsule:
        return self.respond(call) if call.max_version is None else super().answer(call)


class VersionedForOld(Right):
    def answer(self, call: Call) -> Capsule:
        return self.respond(call) if call.max_version == (0, 8) else super().answer(call)


def refusing(asked: tuple[int, int]) -> type[Right]:
    class Refusing(Right):
        def respond(self, call: Call, **overrides: Any) -> Capsule:
            if call.max_version == asked:
                raise ValueError("not this version")
            return super().respond(call, **overrides)

    return Refusing


RefusesOne, RefusesTwo, RefusesNew = refusing((1, 0)), refusing((2, 0)), refusing((99, 0))


class Legacy(Viewed, LegacyProducer):
    pass


class Minor200(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        return super().respond(call, **said({"version": (1, 200)} | overrides))


class UnknownFlag(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        flags = self.fields.flags | 256 | (IS_COPIED if call.copy else 0)
        return super().respond(call, **said(overrides | {"flags": flags}))


class NoStreamKeyword(Right):
    def __dlpack__(self, **keywords: Any) -> Capsule:
        if keywords.get("stream", self) is None:
            raise ValueError("a stream, None")
        return super().__dlpack__(**keywords)


class StreamIgnorer(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        return super().respond(replace(call, stream=None), **overrides)


class MinusOneTaker(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        return super().respond(replace(call, stream=None) if call.stream == -1 else call, **overrides)


class CudaZero(RightCuda):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        return super().respond(replace(call, stream=1) if call.stream == 0 else call, **overrides)


class UnknownDeviceIgnorer(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        return super().respond(replace(call, dl_device=None) if call.dl_device == (99, 0) else call, **overrides)


class OwnDeviceRefuser(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        if call.dl_device is not None:
            raise BufferError("any device but mine")
        return super().respond(call, **overrides)


class HostIgnorer(RightCuda):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        return super().respond(replace(call, dl_device=None) if call.dl_device == (1, 0) else call, **overrides)


class Refused:
    """What is refused, by the wrong error."""

    def __dlpack__(self, **_: Any) -> Capsule:
        raise TypeError("a lazy array")


class RefusedByDLPackOnly(RightExchange):
    def __dlpack__(self, **_: Any) -> Capsule:
        raise BufferError("a lazy array")


_install(RefusedByDLPackOnly)


class CopyIgnorer(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        return super().respond(replace(call, copy=None), **overrides)


class CopyNeedsVersion(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        if call.copy and call.max_version is None:
            raise BufferError("a copy in a legacy capsule")
        return super().respond(call, **overrides)


class CopyNeedsNoDevice(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        if call.copy and call.dl_device is not None:
            raise BufferError("a copy or a device")
        return super().respond(call, **overrides)


class CopyOfOld(Right):
    """Copies in versioned capsules only, and without a word."""

    def respond(self, call: Call, **overrides: Any) -> Capsule:
        return super().respond(replace(call, copy=None) if call.max_version is None else call, **overrides)


class CopyForcer(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        return super().respond(replace(call, copy=True), **overrides)


class CopyUnflagged(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        return super().respond(call, **said(overrides | {"flags": 0} if call.copy else overrides))


class CopyPretender(Right):
    def __init__(self, array: Any, **overrides: Any) -> None:
        super().__init__(array, **said({"flags": IS_COPIED} | overrides))


def readonly(values: Any) -> Right:
    return Right(frozen(values))


def frozen(values: Any) -> Any:
    values = values.copy()
    values.flags.writeable = False
    return values


class ReadonlyUnflagged(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        if self.fields.flags & READ_ONLY and "version" not in overrides:
            overrides["flags"] = 0
        return super().respond(call, **overrides)

    @classmethod
    def readonly(cls, values: Any) -> Any:
        return cls(frozen(values))


class ReadonlyInLegacy(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        legacy = self.fields.flags & READ_ONLY and "version" in overrides
        return self.capsule(**overrides) if legacy else super().respond(call, **overrides)

    @classmethod
    def readonly(cls, values: Any) -> Any:
        return cls(frozen(values))


class OwnCapsule(Right):
    """Capsules that are made here, so that they can be made wrong."""

    destructor: int | None = None

    def capsule(self, **overrides: Any) -> Capsule:
        fields = replace(self.fields, **overrides)
        return capsule_new(self.export(fields), static_name(fields.capsule_name), self.destructor)

    def export(self, fields: Any) -> int:
        return _ledger.export(fields, self.array, self._tally)


def _always_delete(capsule: int) -> None:
    name = dying_name(capsule)
    struct = DLManagedTensorVersioned if name.endswith(b"versioned") else DLManagedTensor
    managed = struct.from_address(dying_pointer(capsule, name))
    DELETER(managed.deleter)(ctypes.addressof(managed))


_ALWAYS = immortal(DESTRUCTOR(_always_delete))


class DeletesUsed(OwnCapsule):
    destructor = ctypes.cast(_ALWAYS, ctypes.c_void_p).value


class NoDestructor(OwnCapsule):
    """Nothing frees a capsule that nobody consumed."""


_NOTHING = immortal(DELETER(lambda _: None))
# A function of CPython that takes no GIL, and dies without one; ctypes callbacks all take it.
_NO_GIL = ctypes.pythonapi.PyDict_New


def deleting_by(callback: Any) -> type[Right]:
    class Deleting(Right):
        def capsule(self, **overrides: Any) -> Capsule:
            capsule = super().capsule(**overrides)
            if overrides.get("version", self) is not None:
                managed = DLManagedTensorVersioned.from_address(capsule_pointer(capsule, VERSIONED))
                managed.deleter = ctypes.cast(callback, ctypes.c_void_p).value
            return capsule

    return Deleting


DeletesNothing, DeletesWithoutGIL = deleting_by(_NOTHING), deleting_by(_NO_GIL)


class ReferenceLeaker(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        incref(self)
        return super().respond(call, **overrides)


class Dangling(Right):
    def capsule(self, **overrides: Any) -> Capsule:
        return _ledger.new_capsule(replace(self.fields, **overrides), None, self._tally)


class OneAtATime(Right):
    """Two threads that export at once get what neither asked for."""

    def __init__(self, array: Any, **overrides: Any) -> None:
        super().__init__(array, **overrides)
        self.first, self.second = threading.Lock(), threading.Event()

    def respond(self, call: Call, **overrides: Any) -> Capsule:
        if threading.current_thread() is threading.main_thread():
            return super().respond(call, **overrides)
        if self.first.acquire(blocking=False):
            self.second.wait(20)
            return super().respond(call, **overrides)
        self.second.set()
        return self.capsule(data=np.full(6, 9, "float32").ctypes.data)


class SaysNone(Right):
    def __dlpack_device__(self) -> Any:
        return (1, None)


class SaysCuda(Viewed, DeviceLiar):
    pass


class HostThree(Right):
    def __init__(self, array: Any, **overrides: Any) -> None:
        super().__init__(array, **said({"device": (1, 3)} | overrides))


class Misplaced(Right):
    """The memory of another array."""

    def __init__(self, array: Any, **overrides: Any) -> None:
        self.other = np.full(64, 5, "uint8")
        super().__init__(array, **said({"data": self.other.ctypes.data} | overrides))


class CompactStrides(Right):
    """Strides as though the array were in C order."""

    def __init__(self, array: Any, **overrides: Any) -> None:
        sides = array.shape
        strides = tuple(int(np.prod(sides[axis + 1 :])) for axis in range(len(sides)))
        super().__init__(array, **said({"strides": strides} | overrides))


class StridesInBytes(Right):
    def __init__(self, array: Any, **overrides: Any) -> None:
        # Only of views that go back or stand still, so that nothing outside of the array is read.
        if any(stride <= 0 for stride in array.strides):
            overrides.setdefault("strides", tuple(0 if stride > 0 else 1 for stride in array.strides))
            overrides.setdefault("data", np.full(16, 5, "float32").ctypes.data)
        super().__init__(array, **overrides)


class OffsetIgnorer(Right):
    """The first element of the memory instead of the first of the view."""

    def __init__(self, array: Any, **overrides: Any) -> None:
        base = array.base if isinstance(array.base, np.ndarray) else array
        super().__init__(array, **said({"data": min(base.ctypes.data, array.ctypes.data)} | overrides))


class CompactOnly(Right):
    """Whoever asks whether an array is in C order by all its strides."""

    def respond(self, call: Call, **overrides: Any) -> Capsule:
        if self.array.shape == (1,) and self.array.strides[0] > 2 * self.array.itemsize:
            raise BufferError("not in C order")
        return super().respond(call, **overrides)


class MultiplesOnly(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        if any(stride % self.array.itemsize for stride in self.array.strides):
            raise BufferError("a stride that is no multiple of an element")
        return super().respond(call, **overrides)


class EightDimensions(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        if self.array.ndim > 8:
            raise BufferError("more than eight dimensions")
        return super().respond(call, **overrides)


class EightSides(Right):
    """The first eight."""

    def __init__(self, array: Any, **overrides: Any) -> None:
        first = {"shape": array.shape[:8]} | ({"strides": (1,) * 8} if array.ndim > 8 else {})
        super().__init__(array, **said(first | overrides))


class ShapeReverser(Right):
    def __init__(self, array: Any, **overrides: Any) -> None:
        super().__init__(array, **said({"shape": array.shape[::-1]} | overrides))


class NullStrides(Right):
    def __init__(self, array: Any, **overrides: Any) -> None:
        super().__init__(array, **said({"strides": None} | overrides if array.flags.c_contiguous else overrides))


class ScalarAsVector(Right):
    def __init__(self, array: Any, **overrides: Any) -> None:
        super().__init__(array, **said(overrides if array.ndim else {"shape": (1,), "strides": (1,)} | overrides))


class EmptyFlattener(Right):
    def __init__(self, array: Any, **overrides: Any) -> None:
        super().__init__(array, **said(overrides if array.size else {"shape": (0,), "strides": (1,)} | overrides))


class WrongDtype(Right):
    def __init__(self, array: Any, **overrides: Any) -> None:
        super().__init__(array, **said({"dtype": (99, 8 * array.itemsize, 1)} | overrides))


class PaddedUnflagged(Right):
    """One element below a byte in each byte, and no flag that says so."""

    def respond(self, call: Call, **overrides: Any) -> Capsule:
        small = self.fields.dtype[1] < 8
        return super().respond(call, **said({"flags": 0} | overrides if small else overrides))


class TypeErrorOfDtype(Right):
    def respond(self, call: Call, **overrides: Any) -> Capsule:
        if self.array.dtype == np.float16:
            raise TypeError("no float16")
        return super().respond(call, **overrides)


class Swapped(Right):
    def __init__(self, array: Any, **overrides: Any) -> None:
        super().__init__(array if array.dtype.isnative else array.view(array.dtype.newbyteorder("=")), **overrides)
        self.array = array


class OtherInterface(Right):
    @property
    def __array_interface__(self) -> dict[str, Any]:
        self.other = self.array.copy()
        return dict(self.other.__array_interface__)


class Twin(RightArray):
    """A buffer and an array interface of its own, and DLPack of another memory."""

    def __dlpack__(self, **keywords: Any) -> Capsule:
        if not hasattr(self, "twin"):
            self.twin = np.array(self)
        return self.twin.__dlpack__(**keywords)


class FrozenBuffer(np.ndarray):
    """A readonly buffer, on memory that DLPack exports."""

    writable: Any

    @classmethod
    def make(cls, values: Any) -> Any:
        made = frozen(values).view(cls)
        made.writable = np.array(values)
        return made

    def __getitem__(self, index: Any) -> Any:
        made: Any = super().__getitem__(index)
        made.writable = self.writable[index]
        return made


class FrozenBufferOnly(FrozenBuffer):
    def __dlpack__(self, *, max_version: Any = None, **keywords: Any) -> Capsule:
        if max_version is None:
            raise BufferError("readonly")
        return self.writable.__dlpack__(max_version=max_version, **keywords)


class FrozenBufferInLegacy(FrozenBuffer):
    def __dlpack__(self, *, max_version: Any = None, **keywords: Any) -> Capsule:
        source = self.writable if max_version is None else self.view(np.ndarray)
        return source.__dlpack__(max_version=max_version, **keywords)


class CudaStreamZero(RightCuda):
    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return super().__cuda_array_interface__ | {"stream": 0}


def exchange(name: str, methods: dict[str, Any] | None = None, **options: Any) -> type[Any]:
    made = type(name, (Right, ExchangeFake), methods or {})
    _install(made, **options)
    return made


def _elsewhere(self: Any) -> int:
    return _ledger.export(replace(self.fields, ndim=0), self.array, self._tally)


def _lend_elsewhere(self: Any, tensor: Any) -> None:
    ExchangeFake.lend(self, tensor)
    tensor.dtype.bits = 64


def _allocate_vector(_like: int, out: int, _context: int, _error: int) -> int:
    memory = np.empty(6, "float32")
    fields = Right(memory).fields
    ctypes.c_void_p.from_address(out).value = _ledger.export(fields, memory, _ledger.Tally())
    return 0


_ALLOCATE_VECTOR = immortal(ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 4)(_allocate_vector))


def _with_function(tp: type[Any], index: int, function: Any) -> type[Any]:
    api = capsule_pointer(tp.__dlpack_c_exchange_api__, b"dlpack_exchange_api")
    ctypes.c_void_p.from_address(api + 16 + 8 * index).value = ctypes.cast(function, ctypes.c_void_p).value
    return tp


ApiAddress = exchange("ApiAddress", form=int)
ApiOldName = exchange("ApiOldName", spelling="__c_dlpack_exchange_api__")
ApiMajorTwo = exchange("ApiMajorTwo", versions=((2, 0),), missing=("dltensor_from_py_object_no_sync",))
ApiGoesUp = exchange("ApiGoesUp", versions=((1, 2), (1, 3)))
ApiNoAllocator = exchange("ApiNoAllocator", missing=("managed_tensor_allocator",))
ApiOtherTensor = exchange("ApiOtherTensor", {"give": _elsewhere})
ApiOtherLoan = exchange("ApiOtherLoan", {"lend": _lend_elsewhere})
ApiStream = exchange("ApiStream", {"work_stream": 7})
ApiOtherType = exchange("ApiOtherType", {"received": classmethod(lambda _, array: Right(array))})
ApiOtherShape = _with_function(exchange("ApiOtherShape"), 0, _ALLOCATE_VECTOR)


@dataclass(frozen=True)
class Flaw:
    """One flawed producer, and what it fails."""

    make: str
    fails: tuple[str, ...]
    readonly: str | None = None
    refused: tuple[str, ...] = ()
    tricky: tuple[tuple[str, str], ...] = ()
    #: Checks that die of it too, by way of what it is wrong in.
    besides: tuple[str, ...] = ()


HERE = __name__
_LAYOUTS = "stepped", "sliced-rows", "transposed", "negative-strides", "zero-strides"
# A legacy capsule can't say that elements below a byte are padded.
_UNSAID = "dtype-int*", "dtype-uint*", "dtype-float*"
_API = "versions", "functions", "export", "lend", "receive", "allocate", "stream"

#: The right ones, each with what else the checks need.
RIGHT = (
    Flaw("Right", (), readonly="readonly", refused=(f"{HERE}.Right(np.ones(2)).missing",)),
    Flaw("RightInterface", ()),
    Flaw("RightExchange", ()),
    Flaw("RightArray.make", ()),
    Flaw("RightCuda", ()),
)

FLAWS = (
    Flaw("OldSignature", ("keywords",), besides=_UNSAID),
    Flaw("OtherName", ("capsule-name",), besides=(*_UNSAID, "versioned")),
    Flaw("OneCapsule", ("capsule-fresh",)),
    Flaw("VersionedForNone", ("no-max-version",)),
    Flaw("VersionedForOld", ("max-version-0.8",)),
    Flaw("RefusesOne", ("max-version-1.0",)),
    Flaw("RefusesTwo", ("max-version-2.0",)),
    Flaw("RefusesNew", ("max-version-99.0",)),
    Flaw("Legacy", ("versioned",), besides=_UNSAID),
    Flaw("Minor200", ("version-field",)),
    Flaw("UnknownFlag", ("flags-known",)),
    Flaw("NoStreamKeyword", ("stream-none", "keywords")),
    Flaw("StreamIgnorer", ("stream-1", "stream-minus-1")),
    Flaw("MinusOneTaker", ("stream-minus-1",)),
    Flaw("CudaZero", ("stream-0",)),
    Flaw("UnknownDeviceIgnorer", ("dl-device-unknown",)),
    Flaw("OwnDeviceRefuser", ("dl-device-own",)),
    Flaw("HostIgnorer", ("dl-device-host",)),
    Flaw("Right", ("refusal",), refused=(f"{HERE}.Refused()",)),
    Flaw("RightExchange", ("api-refusal",), refused=(f"{HERE}.RefusedByDLPackOnly(np.ones(2))",)),
    Flaw("CopyIgnorer", ("copy-true",)),
    Flaw("CopyNeedsVersion", ("copy-true-legacy",)),
    Flaw("CopyOfOld", ("copy-true-legacy",)),
    Flaw("CopyNeedsNoDevice", ("copy-true-device",)),
    Flaw("CopyForcer", ("copy-false",)),
    Flaw("CopyUnflagged", ("copied-flag",)),
    Flaw("CopyPretender", ("copied-flag-true",), besides=_UNSAID),
    Flaw("ReadonlyUnflagged", ("readonly-flag",), readonly="ReadonlyUnflagged.readonly"),
    Flaw("ReadonlyInLegacy", ("readonly-legacy",), readonly="ReadonlyInLegacy.readonly"),
    Flaw("DeletesUsed", ("used-capsule",), besides=("deleter-frees",)),
    Flaw("NoDestructor", ("unconsumed-capsule",)),
    Flaw("DeletesNothing", ("deleter-frees",)),
    Flaw("DeletesWithoutGIL", ("deleter-thread",), besides=("deleter-frees",)),
    Flaw("ReferenceLeaker", ("references",), besides=("unconsumed-capsule", "deleter-frees")),
    Flaw("Dangling", ("lifetime",)),
    Flaw("OneAtATime", ("threads",)),
    Flaw("SaysNone", ("device-types",)),
    Flaw("SaysCuda", ("device",)),
    Flaw("HostThree", ("device-index",)),
    Flaw("CompactStrides", _LAYOUTS),
    Flaw("StridesInBytes", ("negative-strides", "zero-strides")),
    Flaw("OffsetIgnorer", ("offset", "sliced-rows"), besides=("negative-strides",)),
    Flaw("CompactOnly", ("one-side-strides",)),
    Flaw("MultiplesOnly", ("one-side-field",)),
    Flaw("EightDimensions", ("nine-dimensions",)),
    Flaw("EightSides", ("nine-dimensions",)),
    Flaw("ShapeReverser", ("shape",), besides=("values", "sliced-rows", "transposed", "empty", "nine-dimensions")),
    Flaw("NullStrides", ("strides-given",)),
    Flaw("ScalarAsVector", ("scalar",)),
    Flaw("EmptyFlattener", ("empty",)),
    Flaw("WrongDtype", ("dtype-*",)),
    Flaw(
        "PaddedUnflagged",
        tuple(f"dtype-{name}" for name in ("int4", "uint4", "int2", "uint2")),
        besides=("dtype-float*",),
    ),
    Flaw("TypeErrorOfDtype", ("dtype-refusal",)),
    Flaw("Swapped", ("byte-order",)),
    Flaw("Right", ("tricky-values",), tricky=((f'{HERE}.Right(np.ones(2, "float32"))', "[-1.0, -1.0]"),)),
    Flaw("OtherInterface", ("array-interface",)),
    Flaw("Twin.make", ("buffer", "array-interface")),
    Flaw("FrozenBufferOnly.make", ("buffer-readonly",), besides=("buffer", "array-interface")),
    Flaw("FrozenBufferInLegacy.make", ("buffer-readonly-legacy",)),
    Flaw("CudaStreamZero", ("cuda-array-interface",)),
    Flaw(
        "Misplaced",
        ("values",),
        besides=(*_LAYOUTS, "offset", "one-side-*", "nine-dimensions", "scalar", "dtype-*", "copy-true"),
    ),
    Flaw("ApiAddress", ("api-capsule",)),
    Flaw("ApiOldName", ("api-spelling",)),
    Flaw("ApiMajorTwo", ("api-versions",), besides=tuple(f"api-{name}" for name in _API)),
    Flaw("ApiGoesUp", ("api-versions",)),
    Flaw("ApiNoAllocator", ("api-functions",)),
    Flaw("ApiOtherTensor", ("api-export",), besides=("api-receive",)),
    Flaw("ApiOtherLoan", ("api-lend",)),
    Flaw("ApiStream", ("api-stream",)),
    Flaw("ApiOtherType", ("api-receive",)),
    Flaw("ApiOtherShape", ("api-allocate",)),
)
