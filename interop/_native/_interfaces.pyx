"""From the array interfaces and the buffer protocol to a View."""

from cpython.memoryview cimport PyMemoryView_GET_BUFFER
from libc.stdint cimport uintptr_t

import operator
import re
import sys

from interop._native._making import make_view
from interop._words import exact_int, exact_str, is_a, name_of, said, shown, text_of
from interop.errors import DTypeError, UnsupportedError

cdef extern from "Python.h":
    ctypedef struct PyBufferProcs:
        void* bf_getbuffer
    ctypedef struct BufferType "PyTypeObject":
        PyBufferProcs* tp_as_buffer

_CODES = {"b": 6, "i": 0, "u": 1, "f": 2, "c": 5}
_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8), "c": (8, 16)}
_TYPESTR = re.compile(r"([<>|=])([a-zA-Z])(\d+)")
_OTHER_ORDER = ">" if sys.byteorder == "little" else "<"

# Formats of PEP 3118 by kind; sizes are the buffer's own itemsize, since native sizes vary.
_FORMAT_KINDS = {"?": "b", "e": "f", "f": "f", "d": "f", "Zf": "c", "Zd": "c"}
_FORMAT_KINDS.update(dict.fromkeys("bhilqn", "i"))
_FORMAT_KINDS.update(dict.fromkeys("BHILQN", "u"))
_FORMAT = re.compile(r"([@=<>!]?)(Z?[a-zA-Z?])")


def has_buffer(tp, /):
    """Tell whether objects of a type have the buffer protocol."""
    cdef PyBufferProcs* procs = (<BufferType*> <void*> tp).tp_as_buffer
    return procs != NULL and procs.bf_getbuffer != NULL


cdef memory_of(x, name):
    # Through a memoryview, so that what can be resized (bytearray) can't while a View looks at it.
    try:
        return memoryview(x)
    except Exception as err:
        raise UnsupportedError(f"{name} can't be had: {said(err)}") from err


cdef start_of(memory):
    return <uintptr_t> PyMemoryView_GET_BUFFER(memory).buf


def view_from_buffer(x, /):
    """Borrow the memory of an object with the buffer protocol; the View holds the buffer."""
    name = f"the buffer of a {name_of(type(x))}"
    memory = memory_of(x, name)
    match = _FORMAT.fullmatch(memory.format)
    kind = None if match is None else _FORMAT_KINDS.get(match[2])
    if kind is None or memory.itemsize not in _SIZES[kind]:
        raise DTypeError(f"{name} has elements of format {memory.format!r}, which are no numbers.")
    if match[1] in (_OTHER_ORDER, "!") and memory.itemsize > 1 and not (match[1] == "!" and _OTHER_ORDER == "<"):
        raise DTypeError(f"{name} is in the other byte order ({memory.format!r}). Swap it first.")
    if any([offset >= 0 for offset in memory.suboffsets]):
        raise UnsupportedError(f"{name} is a table of pointers. Copy it to one block first.")
    return make_view(
        start_of(memory),
        memory.shape or (),
        element_strides(memory.strides or (), memory.itemsize, name),
        (_CODES[kind], 8 * memory.itemsize, 1),
        (1, 0),
        readonly=memory.readonly,
        owner=memory,
    )


def view_from_array_interface(x, /):
    """Take the word of ``__array_interface__``; the View holds the object, since the interface owns nothing."""
    name = f"__array_interface__ of a {name_of(type(x))}"
    try:
        described = x.__array_interface__
    except Exception as err:
        raise UnsupportedError(f"the {name} failed: {said(err)}") from err
    parts = Parts(described, name)
    data = parts.data
    if not is_a(data, tuple):
        # An object with a buffer, or the exporting object's own; `offset` counts there only.
        buffer = memory_of(x if data is None else data, name)
        if not buffer.contiguous:
            raise UnsupportedError(f"the {name} counts on a buffer in one piece, and it's not. Copy it first.")
        view = parts.view(start_of(buffer) + parts.offset, buffer.readonly, (1, 0), (x, described, buffer))
        low, high = view.extent
        if low < start_of(buffer) or high > start_of(buffer) + buffer.nbytes:
            raise UnsupportedError(f"the {name} describes memory outside of its buffer of {buffer.nbytes} bytes. This is its bug.")
        return view
    return parts.view(*parts.pointer(), (1, 0), (x, described))


def view_from_cuda_array_interface(x, /, *, int device_index=0):
    """Take the word of ``__cuda_array_interface__``; returns the View, unordered, and the stream to wait for or None."""
    name = f"__cuda_array_interface__ of a {name_of(type(x))}"
    try:
        described = x.__cuda_array_interface__
    except Exception as err:
        raise UnsupportedError(f"the {name} failed: {said(err)}") from err
    parts = Parts(described, name)
    stream = parts.fields.get("stream")
    if stream is not None and (exact_int(stream) or 0) <= 0:
        raise UnsupportedError(f"the {name} names the stream {shown(stream)}, which the protocol disallows.")
    return parts.view(*parts.pointer(), (2, device_index), (x, described)), stream


class Parts:
    """The fields of an array interface, checked."""

    def __init__(self, described, name):
        if not is_a(described, dict):
            raise UnsupportedError(f"the {name} is no dictionary with a shape and a typestr: {shown(described)}.")
        # As a plain one: a subclass may answer anything.
        self.fields = fields = dict.copy(described)
        if not {"shape", "typestr"} <= fields.keys():
            raise UnsupportedError(f"the {name} is no dictionary with a shape and a typestr: {shown(described)}.")
        if fields.get("mask") is not None:
            raise UnsupportedError(f"the {name} has a mask, which no other library would see. Fill in the masked values first.")
        self.name = name
        self.shape = self.integers(fields["shape"], "shape")
        if any([length < 0 for length in self.shape]):
            raise UnsupportedError(f"the {name} has the shape {self.shape}.")
        self.code, self.itemsize = self.parse(fields["typestr"])
        self.data = fields.get("data")
        self.offset = self.integers((fields.get("offset", 0),), "offset")[0]
        strides = fields.get("strides")
        self.strides = None if strides is None else element_strides(self.integers(strides, "strides"), self.itemsize, f"the {name}")

    def integers(self, values, field):
        try:
            # Of any integer type, numpy's too.
            return tuple([operator.index(value) for value in values])
        except Exception as err:
            raise UnsupportedError(f"the {self.name} has the {field} {shown(values)}, which are no integers.") from err

    def pointer(self):
        """The address and whether it's readonly."""
        try:
            address, readonly = self.data
            readonly = bool(readonly)
        except Exception as err:
            raise UnsupportedError(f"the {self.name} has no pair of a pointer and readonly: {shown(self.data)}.") from err
        if address is None and 0 in self.shape:
            # Of no elements there is no address (cupy#2104).
            address = 0
        return self.integers((address,), "pointer")[0], readonly

    def parse(self, typestr):
        text = exact_str(typestr)
        match = None if text is None else _TYPESTR.fullmatch(text)
        if match is None:
            raise UnsupportedError(f"the {self.name} has the typestr {shown(typestr)}.")
        order, kind, size = match[1], match[2], int(match[3])
        if size not in _SIZES.get(kind, ()):
            raise DTypeError(f"the {self.name} has elements of type {text!r}, which no tensor has.")
        if order == _OTHER_ORDER and size > 1:
            raise DTypeError(f"the {self.name} is in the other byte order ({text!r}). Swap it first, or pass numpy.asarray(x).")
        return _CODES[kind], size

    def view(self, ptr, readonly, device, owner):
        try:
            return make_view(
                ptr,
                self.shape,
                self.strides,
                (self.code, 8 * self.itemsize, 1),
                device,
                readonly=readonly,
                owner=owner,
                ordered=device[0] == 1,
            )
        except UnsupportedError as err:
            raise UnsupportedError(f"the {self.name} can't be taken: {text_of(err)}") from None


cdef tuple element_strides(tuple strides, itemsize, name):
    if any([step % itemsize for step in strides]):
        raise UnsupportedError(f"the strides of {name}, {strides} bytes, are no multiple of its element's {itemsize}. Copy it first.")
    return tuple([step // itemsize for step in strides])
