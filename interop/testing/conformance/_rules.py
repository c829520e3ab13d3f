"""The rules that are checked, each with the place where it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_HEADER: Final = "DLPack 1.3, dlpack.h"
_HEADER_URL: Final = "https://github.com/dmlc/dlpack/blob/v1.3/include/dlpack/dlpack.h"
_PYTHON: Final = "DLPack, Python specification"
_PYTHON_URL: Final = "https://dmlc.github.io/dlpack/latest/python_spec.html"
_ARRAY: Final = "Python array API standard 2024.12"
_ARRAY_URL: Final = "https://data-apis.org/array-api/2024.12/API_specification/generated/array_api."


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a specification.

    Parameters
    ----------
    spec
        The document and its version.
    section
        Where in it.
    url
        The same as a link.
    text
        What it asks for, in our words.
    """

    spec: str
    section: str
    url: str
    text: str

    def __str__(self) -> str:
        return f"{self.spec}, {self.section}"


def _header(section: str, text: str) -> Rule:
    return Rule(_HEADER, section, _HEADER_URL, text)


def _python(section: str, text: str) -> Rule:
    return Rule(_PYTHON, section, f"{_PYTHON_URL}#{section.lower()}", text)


def _array(name: str, section: str, text: str) -> Rule:
    return Rule(_ARRAY, f"{name.removeprefix('array.')}, {section}", f"{_ARRAY_URL}{name}.html", text)


# Calls.
KEYWORDS: Final = _array(
    "array.__dlpack__", "signature", "__dlpack__ takes the keywords stream, max_version, dl_device and copy"
)
LEGACY: Final = _array(
    "array.__dlpack__",
    "notes on versions",
    "a consumer that names no max_version, or one below 1.0, gets a legacy capsule, or a BufferError",
)
MAX_VERSION: Final = _array(
    "array.__dlpack__",
    "max_version",
    "max_version is what the consumer knows at most: the answer is a capsule of it, or of another version",
)
VERSIONED: Final = _array(
    "array.__dlpack__", "max_version", "a producer is recommended to answer with the version that it was asked for"
)
STREAM_HOST: Final = _array("array.__dlpack__", "stream", "on the host only stream=None is accepted")
STREAM_ZERO: Final = _array("array.__dlpack__", "stream", "on CUDA stream=0 is disallowed, for it is ambiguous")
DL_DEVICE: Final = _array(
    "array.__dlpack__", "dl_device", "a device that the producer can't export to is a BufferError"
)
DL_HOST: Final = _array(
    "array.__dlpack__", "dl_device", "with dl_device=(kDLCPU, 0) the capsule is on the host, if the producer can do it"
)
COPY: Final = _array(
    "array.__dlpack__",
    "copy",
    "True always copies; False never does, and is a BufferError where a copy is needed",
)
REFUSAL: Final = _array(
    "array.__dlpack__", "raises", "what can't be exported (its dtype, strides or device) is a BufferError"
)
DEVICE_QUERY: Final = _array(
    "array.__dlpack_device__", "returns", "__dlpack_device__ returns a device type and index, an enum member and an int"
)
# from_dlpack.
TAKES: Final = _array("from_dlpack", "parameters", "from_dlpack takes any object with __dlpack__ and __dlpack_device__")
ASKS_VERSION: Final = _array(
    "array.__dlpack__",
    "max_version",
    "a consumer tells the highest version that it knows, and gets more than the deprecated legacy struct",
)
OLD_PRODUCER: Final = _array(
    "array.__dlpack__",
    "notes on versions",
    "a consumer may meet a producer without max_version: it retries on TypeError, and takes the legacy capsule",
)
VERIFY: Final = _array(
    "array.__dlpack__",
    "max_version",
    "the producer may return another version than max_version, so the consumer looks at what it got",
)
CONSUMER_COPY: Final = _array(
    "from_dlpack",
    "copy",
    "True always copies; False never does, and is a BufferError (or ValueError) where a copy is needed",
)
CONSUMER_DEVICE: Final = _array("from_dlpack", "device", "the result is on the device that was asked for, or an error")
PASSES_DEVICE: Final = _array(
    "array.__dlpack__", "dl_device", "a consumer that was asked for another device passes it to the producer"
)
PROPAGATES: Final = _array("from_dlpack", "raises", "the errors of the producer's __dlpack__ are propagated")
NO_PROTOCOL: Final = _array("from_dlpack", "raises", "an object without __dlpack__ is an AttributeError")
CONSUMER_STREAM: Final = _array("array.__dlpack__", "stream", "on the host the consumer passes no stream but None")
# Capsules and ownership.
CAPSULE: Final = _python(
    "Implementation",
    "an unconsumed capsule is named dltensor or dltensor_versioned, after the struct in it, and is fresh in each call",
)
DESTRUCTOR: Final = _python(
    "Implementation", "the destructor of a capsule that nobody consumed calls the deleter, that of a used one doesn't"
)
RENAMES: Final = _python(
    "Implementation", "the consumer renames the capsule to used_dltensor or used_dltensor_versioned"
)
CONSUMED_ONCE: Final = _python("Implementation", "a capsule is consumed exactly once")
GIL: Final = _python(
    "Implementation", "the deleter acquires the GIL itself, for whoever calls it may be no Python thread"
)
FINALIZED: Final = _python("Implementation", "the deleter does nothing once the interpreter is finalized")
TRUE_VALUES: Final = _python(
    "Semantics", "the result has the data of the array: what its memory doesn't say is resolved, or refused"
)
ZERO_COPY: Final = _python("Semantics", "if possible the exchange is zero-copy")
UNSUPPORTED_DEVICE: Final = _python(
    "Semantics", "memory on a device that the consumer doesn't know is refused, at best by a BufferError"
)
DELETER: Final = _header(
    "DLManagedTensorVersioned.deleter", "the deleter frees all that an export holds, and is called once"
)
NULL_DELETER: Final = _header("DLManagedTensorVersioned.deleter", "the deleter may be NULL")
LIFETIME: Final = _header(
    "DLManagedTensorVersioned", "the memory stays as it is until the deleter is called, whatever else is gone"
)
# Versions and flags.
MAJOR: Final = _header(
    "DLPackVersion", "of another major version the consumer calls the deleter and touches nothing else"
)
MINOR: Final = _header("DLPackVersion", "another minor version may be used: it only adds values of enums")
VERSION_FIELD: Final = _header("DLPackVersion", "the struct's version is that of the header it was built with")
READ_ONLY: Final = _header("DLPACK_FLAG_BITMASK_READ_ONLY", "readonly memory is exported with the flag READ_ONLY")
READ_ONLY_LEGACY: Final = _header(
    "DLManagedTensor", "the legacy struct has no flags, so readonly memory in it looks writable"
)
HONOURS_READ_ONLY: Final = _header("DLPACK_FLAG_BITMASK_READ_ONLY", "what is flagged READ_ONLY isn't written to")
IS_COPIED: Final = _header(
    "DLPACK_FLAG_BITMASK_IS_COPIED", "the flag is set when, and only when, the consumer is the memory's sole owner"
)
PADDED: Final = _header(
    "DLPACK_FLAG_BITMASK_IS_SUBBYTE_TYPE_PADDED",
    "elements below a byte are packed, unless the flag says that they are padded",
)
FLAGS: Final = _header("DLManagedTensorVersioned.flags", "flags without a meaning are 0")
# The tensor.
DEVICE: Final = _header("DLTensor.device", "the capsule's device is the one that __dlpack_device__ told")
HOST_INDEX: Final = _header("DLDevice.device_id", "host, pinned and managed memory have device_id 0")
SHAPE: Final = _header("DLTensor.shape", "shape and ndim are the array's")
STRIDES: Final = _header("DLTensor.strides", "strides count elements, not bytes, and may be 0 or negative")
ONE_SIDE: Final = _header("DLTensor.strides", "along an axis of length 1 no stride is ever taken: it may be any number")
STRIDES_GIVEN: Final = _header("DLTensor.strides", "since version 1.2 strides aren't NULL unless ndim is 0")
STRIDES_NULL: Final = _python("Implementation", "strides that are NULL mean C order")
BYTE_OFFSET: Final = _header("DLTensor.byte_offset", "the first element is byte_offset bytes behind data")
EMPTY: Final = _header("DLTensor.data", "an array of size 0 is exported like another; its data may be NULL")
NDIM: Final = _header("DLTensor.ndim", "there may be any number of dimensions that the library's own arrays can have")
SCALAR: Final = _header("DLTensor.ndim", "an array of no dimensions has ndim 0 and one element")
DTYPE: Final = _header("DLDataType", "code, bits and lanes are those of the element type")
BYTE_ORDER: Final = _header("DLDataType", "elements are in native byte order, and others are refused")
LANES: Final = _header("DLDataType.lanes", "lanes above 1 are vectors, and no scalars")
UNKNOWN_DTYPE: Final = _header(
    "DLDataTypeCode", "an element type that the consumer doesn't know is refused, never read as another"
)
# The C exchange API.
EXCHANGE: Final = _header(
    "DLPackExchangeAPI", "type(x).__dlpack_c_exchange_api__ is a capsule named dlpack_exchange_api"
)
EXCHANGE_SPELLING: Final = _header(
    "DLPackExchangeAPI",
    "the attribute's name since 1.3 is __dlpack_c_exchange_api__, no longer __c_dlpack_exchange_api__",
)
EXCHANGE_HEADER: Final = _header(
    "DLPackExchangeAPIHeader", "versions go down along prev_api, which ends in NULL; one of them has major version 1"
)
EXCHANGE_REQUIRED: Final = _header("DLPackExchangeAPI", "no function but dltensor_from_py_object_no_sync may be NULL")
EXCHANGE_EXPORT: Final = _header(
    "DLPackManagedTensorFromPyObjectNoSync", "the exported tensor is the one that __dlpack__ exports"
)
EXCHANGE_LEND: Final = _header(
    "DLPackDLTensorFromPyObjectNoSync", "the lent tensor is the exported one, and lending changes nothing"
)
EXCHANGE_RECEIVE: Final = _header(
    "DLPackManagedTensorToPyObjectNoSync", "the tensor becomes an object of the library's type, on the same memory"
)
EXCHANGE_ALLOCATE: Final = _header(
    "DLPackManagedTensorAllocator", "the tensor has the prototype's shape, dtype and device"
)
EXCHANGE_STREAM: Final = _header("DLPackCurrentWorkStream", "the host's current stream is NULL")
EXCHANGE_REFUSAL: Final = _header(
    "DLPackManagedTensorFromPyObjectNoSync",
    "what DLPack can't describe is refused, as __dlpack__ refuses it, at best by a BufferError",
)
# Other protocols.
ARRAY_INTERFACE: Final = Rule(
    "NumPy, the array interface protocol, version 3",
    "__array_interface__",
    "https://numpy.org/doc/stable/reference/arrays.interface.html#object.__array_interface__",
    "data, shape, typestr and strides (in bytes) tell of the same memory as DLPack",
)
BUFFER: Final = Rule(
    "Python, the buffer protocol",
    "Py_buffer",
    "https://docs.python.org/3/c-api/buffer.html#buffer-structure",
    "buf, shape, itemsize and strides (in bytes) tell of the same memory as DLPack",
)
BUFFER_READONLY: Final = Rule(
    "Python, the buffer protocol",
    "Py_buffer.readonly",
    "https://docs.python.org/3/c-api/buffer.html#c.Py_buffer.readonly",
    "memory that the buffer protocol calls readonly is so for DLPack too",
)
CUDA_ARRAY_INTERFACE: Final = Rule(
    "CUDA array interface, version 3",
    "__cuda_array_interface__",
    "https://nvidia.github.io/numba-cuda/user/cuda_array_interface.html",
    "data, shape and strides (in bytes) tell of the same memory as DLPack; stream is never 0",
)
