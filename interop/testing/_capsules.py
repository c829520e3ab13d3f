"""DLPack's structs and CPython's capsule calls in ctypes: the one place of the kit that knows their layout.

Nothing here touches the native core of the library, so what is built on it is an independent check of that core.
"""

from __future__ import annotations

import ctypes
from ctypes import (
    POINTER,
    Structure,
    c_char_p,
    c_int,
    c_int32,
    c_int64,
    c_uint8,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, Unpack

import numpy as np

from interop._dtypes import BY_NUMPY, BY_TRIPLE

if TYPE_CHECKING:
    from typing_extensions import CapsuleType

T = TypeVar("T")

READ_ONLY, IS_COPIED, SUBBYTE_PADDED = 1, 2, 4

LEGACY: Final = b"dltensor"
VERSIONED: Final = b"dltensor_versioned"
EXCHANGE: Final = b"dlpack_exchange_api"

# No library has more; a number beyond it is none of dimensions.
_MOST_DIMS: Final = 4096


class DLDevice(Structure):
    _fields_ = (("type", c_int32), ("id", c_int32))


class DLDataType(Structure):
    _fields_ = (("code", c_uint8), ("bits", c_uint8), ("lanes", c_uint16))


class DLTensor(Structure):
    _fields_ = (
        ("data", c_void_p),
        ("device", DLDevice),
        ("ndim", c_int32),
        ("dtype", DLDataType),
        ("shape", POINTER(c_int64)),
        ("strides", POINTER(c_int64)),
        ("byte_offset", c_uint64),
    )


class DLPackVersion(Structure):
    _fields_ = (("major", c_uint32), ("minor", c_uint32))


class DLManagedTensor(Structure):
    _fields_ = (("dl_tensor", DLTensor), ("manager_ctx", c_void_p), ("deleter", c_void_p))


class DLManagedTensorVersioned(Structure):
    _fields_ = (
        ("version", DLPackVersion),
        ("manager_ctx", c_void_p),
        ("deleter", c_void_p),
        ("flags", c_uint64),
        ("dl_tensor", DLTensor),
    )


class DLPackExchangeAPIHeader(Structure):
    _fields_ = (("version", DLPackVersion), ("prev_api", c_void_p))


class DLPackExchangeAPI(Structure):
    _fields_ = (
        ("header", DLPackExchangeAPIHeader),
        ("managed_tensor_allocator", c_void_p),
        ("managed_tensor_from_py_object_no_sync", c_void_p),
        ("managed_tensor_to_py_object_no_sync", c_void_p),
        ("dltensor_from_py_object_no_sync", c_void_p),
        ("current_work_stream", c_void_p),
    )


Managed = DLManagedTensor | DLManagedTensorVersioned

DELETER: Final = ctypes.CFUNCTYPE(None, c_void_p)
DESTRUCTOR: Final = ctypes.PYFUNCTYPE(None, c_void_p)


def _python(name: str, result: Any, *arguments: Any) -> Any:
    # A prototype of our own: argtypes set on ctypes.pythonapi's functions would be shared with the whole process.
    return ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))


capsule_new: Final = _python("PyCapsule_New", ctypes.py_object, c_void_p, c_char_p, c_void_p)
capsule_pointer: Final = _python("PyCapsule_GetPointer", c_void_p, ctypes.py_object, c_char_p)
capsule_name: Final = _python("PyCapsule_GetName", c_char_p, ctypes.py_object)
capsule_rename: Final = _python("PyCapsule_SetName", c_int, ctypes.py_object, c_char_p)
# For capsules that are being destroyed: making a py_object of one would revive it.
dying_pointer: Final = _python("PyCapsule_GetPointer", c_void_p, c_void_p, c_char_p)
dying_name: Final = _python("PyCapsule_GetName", c_char_p, c_void_p)
incref: Final = _python("Py_IncRef", None, ctypes.py_object)
decref: Final = _python("Py_DecRef", None, ctypes.py_object)


def immortal(x: T) -> T:
    """Keep an object to the end of the process: C may call it when the modules have gone, and what they held."""
    incref(x)
    return x


# CPython keeps the pointer to a capsule's name, so names live as long as the process.
_names: Final[dict[bytes, c_char_p]] = immortal({})


def static_name(name: bytes | None) -> c_char_p | None:
    """Return `name` as a C string that is never freed."""
    return None if name is None else _names.setdefault(name, c_char_p(name))


class Overrides(TypedDict, total=False):
    """The fields of a managed tensor that a fake can be told to fill differently; see :class:`Fields`."""

    data: int
    shape: tuple[int, ...] | None
    strides: tuple[int, ...] | None
    dtype: tuple[int, int, int]
    device: tuple[int, int]
    ndim: int | None
    byte_offset: int
    version: tuple[int, int] | None
    flags: int
    deleter: bool
    name: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What a managed tensor says, field by field, true or not.

    Parameters
    ----------
    data
        The data pointer; 0 for NULL.
    shape, strides
        In elements; None for NULL.
    dtype
        DLPack's ``(code, bits, lanes)``.
    device
        DLPack's ``(type, index)``.
    ndim
        None for the length of `shape`.
    byte_offset
        Bytes from `data` to the first element.
    version
        ``(major, minor)``, or None for the legacy struct, which has neither version nor flags.
    flags
        1 readonly, 2 copied, 4 sub-byte types padded.
    deleter
        Whether there is one.
    name
        The capsule's name; None for the right one.
    """

    data: int
    shape: tuple[int, ...] | None
    strides: tuple[int, ...] | None
    dtype: tuple[int, int, int]
    device: tuple[int, int] = (1, 0)
    ndim: int | None = None
    byte_offset: int = 0
    version: tuple[int, int] | None = (1, 3)
    flags: int = 0
    deleter: bool = True
    name: bytes | None = None

    @property
    def capsule_name(self) -> bytes:
        """The name that the capsule gets."""
        return self.name or (LEGACY if self.version is None else VERSIONED)


def describe(array: np.ndarray[Any, Any], /, **overrides: Unpack[Overrides]) -> Fields:
    """Return the fields that describe `array` truly, then overridden.

    A ``byte_offset`` alone stays true: the data pointer moves back by as much.

    Raises
    ------
    BufferError
        If DLPack can't describe the array: other byte order, strides that are no multiple of the item size along an
        axis longer than 1, an element type without a code.
    """
    row = BY_NUMPY.get(array.dtype) if array.dtype.isnative else None
    itemsize = array.itemsize
    # Along an axis of length 1 no stride is ever taken.
    if row is None or any(stride % itemsize for n, stride in zip(array.shape, array.strides, strict=True) if n != 1):
        msg = f"DLPack can't describe {array.dtype.str} with strides {array.strides}"
        raise BufferError(msg)
    fields = Fields(
        data=array.ctypes.data - overrides.get("byte_offset", 0),
        shape=array.shape,
        strides=tuple(stride // itemsize for stride in array.strides),
        dtype=(row.code, row.bits, row.lanes),
        flags=(0 if array.flags.writeable else READ_ONLY) | (SUBBYTE_PADDED if row.bits % 8 else 0),
    )
    return replace(fields, **overrides)


def _int64s(array: Any) -> Any:
    return ctypes.cast(array, POINTER(c_int64))


def fill_tensor(tensor: DLTensor, fields: Fields) -> list[Any]:
    """Write `fields` into `tensor`; return what has to live as long as the tensor is read."""
    shape = None if fields.shape is None else (c_int64 * len(fields.shape))(*fields.shape)
    strides = None if fields.strides is None else (c_int64 * len(fields.strides))(*fields.strides)
    tensor.data = fields.data
    tensor.device = DLDevice(*fields.device)
    tensor.ndim = len(fields.shape or ()) if fields.ndim is None else fields.ndim
    tensor.dtype = DLDataType(*fields.dtype)
    # A NULL of the pointer type, since ctypes takes no None for a typed pointer field.
    tensor.shape, tensor.strides = _int64s(shape), _int64s(strides)
    tensor.byte_offset = fields.byte_offset
    return [shape, strides]


def new_managed(fields: Fields, deleter: int | None) -> tuple[Managed, list[Any]]:
    """Return a managed tensor that says `fields`, and what has to live as long as it."""
    managed: Managed
    if fields.version is None:
        managed = DLManagedTensor()
    else:
        managed = DLManagedTensorVersioned()
        managed.version = DLPackVersion(*fields.version)
        managed.flags = fields.flags
    managed.deleter = deleter
    return managed, fill_tensor(managed.dl_tensor, fields)


def read_tensor(tensor: DLTensor) -> Fields:
    """Return what an unmanaged tensor says; of a number of dimensions that can't be true no shape is read."""
    ndim = tensor.ndim if 0 <= tensor.ndim <= _MOST_DIMS else 0
    return Fields(
        data=tensor.data or 0,
        shape=tuple(tensor.shape[:ndim]) if tensor.shape else None if tensor.ndim else (),
        strides=tuple(tensor.strides[:ndim]) if tensor.strides else None,
        dtype=(tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes),
        device=(tensor.device.type, tensor.device.id),
        ndim=tensor.ndim,
        byte_offset=tensor.byte_offset,
        version=None,
    )


def read_managed(managed: Managed) -> Fields:
    """Return what a managed tensor says; of another major version, what comes after the flags isn't read."""
    deleter = bool(managed.deleter)
    if isinstance(managed, DLManagedTensor):
        return replace(read_tensor(managed.dl_tensor), deleter=deleter)
    version, flags = (managed.version.major, managed.version.minor), managed.flags
    if version[0] != 1:
        return Fields(data=0, shape=None, strides=None, dtype=(0, 0, 0), version=version, flags=flags, deleter=deleter)
    return replace(read_tensor(managed.dl_tensor), version=version, flags=flags, deleter=deleter)


_STRUCTS: Final[dict[bytes, type[Managed]]] = {LEGACY: DLManagedTensor, VERSIONED: DLManagedTensorVersioned}


def managed_of(capsule: CapsuleType) -> Managed:
    """Return the struct inside an unconsumed capsule."""
    name = capsule_name(capsule)
    if name not in _STRUCTS:
        msg = f"the capsule's name is {name!r}, which no unconsumed DLPack capsule has"
        raise ValueError(msg)
    return _STRUCTS[name].from_address(capsule_pointer(capsule, name))


def array_on(fields: Fields, owner: object) -> np.ndarray[Any, Any]:
    """Return a numpy array on the host memory that `fields` describe, which keeps `owner` alive."""
    row = BY_TRIPLE.get(fields.dtype)
    if row is None or row.numpy is None or fields.shape is None:
        msg = f"numpy has no array for {fields}"
        raise BufferError(msg)
    if fields.dtype[1] < 8 and not (fields.version is not None and fields.flags & SUBBYTE_PADDED):
        # numpy gives each a byte: it would read behind the memory's end.
        msg = f"numpy has no array for elements that are packed, as {row.name} is here"
        raise BufferError(msg)
    strides = fields.strides
    readonly = fields.version is not None and bool(fields.flags & READ_ONLY)
    itemsize = row.numpy.itemsize
    empty = 0 in fields.shape
    described = _Described()
    described.owner = owner
    described.__array_interface__ = {
        "version": 3,
        # An interface's NULL means something else to older numpy; an empty array never looks at its pointer.
        "data": (1 if empty else fields.data + fields.byte_offset, readonly),
        "shape": fields.shape,
        "strides": None if strides is None else tuple(stride * itemsize for stride in strides),
        "typestr": f"|V{itemsize}",
    }
    if empty:
        return np.empty(fields.shape, row.numpy)
    return np.asarray(described).view(row.numpy)


class _Described:
    """An object that numpy finds memory through, and keeps."""

    owner: object
    __array_interface__: dict[str, Any]
