"""From the array interfaces and the buffer protocol to a View."""

from cpython.memoryview cimport PyMemoryView_GET_BUFFER
from libc.stdint cimport uintptr_t

import operator
import re
import sys

import numpy as np

from interop._native._making import make_view
from interop._native._ndarray import ndarray_from_view
from interop._words import exact_int, exact_str, is_a, name_of, said, shown, text_of
from interop.errors import DTypeError, UnsupportedError

cdef extern from "Python.h":
    ctypedef struct PyBufferProcs:
        void* bf_getbuffer
    ctypedef struct BufferType "PyTypeObject":
        PyBufferProcs* tp_as_buffer

_CODES = {"b": 6, "i": 0, "u": 1, "f": 2, "c": 5}
_KINDS = {code: kind for kind, code in _CODES.items()}
_SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8), "c": (8, 16)}
# Without an order it is this machine's, as numpy takes it.
_TYPESTR = re.compile(r"([<>|=]?)([a-zA-Z])(\d+)")
_OTHER_ORDER = ">" if sys.byteorder == "little" else "<"

# Formats of PEP 3118 by kind; sizes are the buffer's own itemsize, since native sizes vary.
_FORMAT_KINDS = {"?": "b", "e": "f", "f": "f", "d": "f", "Zf": "c", "Zd": "c"}
_FORMAT_KINDS.update(dict.fromkeys("bhilqn", "i"))
_FORMAT_KINDS.update(dict.fromkeys("BHILQN", "u"))
_CHARACTERS = ("c", "u", "w")
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
    """Borrow the memory of an object with the buffer protocol; what is returned holds the buffer.

    Returns
    -------
    View
        Or an ndarray on the memory, where no View can say how the elements lie: in the other byte order, or apart by
        what is no multiple of their size.
    """
    name = f"the buffer of a {name_of(type(x))}"
    memory = memory_of(x, name)
    match = _FORMAT.fullmatch(memory.format)
    kind = None if match is None else _FORMAT_KINDS.get(match[2])
    if kind is None or memory.itemsize not in _SIZES[kind]:
        raise DTypeError(f"{name} has elements of format {memory.format!r}, which are no numbers. {instead_of(memory)}")
    if any([offset >= 0 for offset in memory.suboffsets]):
        raise UnsupportedError(f"{name} is a table of pointers. Copy it to one block first.")
    swapped = match[1] in (_OTHER_ORDER, "!") and not (match[1] == "!" and _OTHER_ORDER == "<")
    return elements_at(
        start_of(memory),
        memory.shape or (),
        memory.strides or (),
        (_CODES[kind], memory.itemsize, swapped and memory.itemsize > 1),
        (1, 0),
        memory.readonly,
        memory,
    )


cdef str instead_of(memory):
    """What to pass instead of a buffer whose elements are no numbers; numpy reads more formats than there are tensors."""
    if memory.format[-1:] in _CHARACTERS and memory.c_contiguous and memory.itemsize in (1, 2, 4):
        return f"Pass numpy.frombuffer(x, 'uint{8 * memory.itemsize}'), the numbers of its characters."
    try:
        dtype = np.asarray(memory).dtype
    except Exception:
        return "Make an array of numbers of it first."
    if dtype.names:
        return f"Pass one field of its structures, such as numpy.asarray(x)[{dtype.names[0]!r}]."
    return "Pass numpy.asarray(x).astype('float64')." if dtype.kind == "f" else "Make an array of numbers of it first."


cdef object elements_at(ptr, tuple shape, tuple strides, tuple elements, tuple device, readonly, owner):
    """Describe memory by a View; where none can say how its elements lie, by an ndarray. Strides are in bytes."""
    code, itemsize, swapped = elements
    if 0 in shape or strides is None:
        apart = False
        swapped = swapped and 0 not in shape
    else:
        # The stride of an axis of length 1 means nothing.
        apart = any([step % itemsize and length > 1 for length, step in zip(shape, strides)])
    if swapped or apart:
        return ndarray_from_view(bytes_at(ptr, shape, strides, itemsize, readonly, owner)).view(
            np.dtype(f"{_OTHER_ORDER if swapped else '='}{_KINDS[code]}{itemsize}")
        )[..., 0]
    if strides is not None:
        strides = tuple([1 if step % itemsize else step // itemsize for step in strides])
    return make_view(
        ptr, shape, strides, (code, 8 * itemsize, 1), device, readonly=readonly, owner=owner, ordered=device[0] == 1
    )


cdef object bytes_at(ptr, tuple shape, tuple strides, itemsize, readonly, owner):
    """The same memory with an axis more: the bytes of each element."""
    strides = None if strides is None else (*strides, 1)
    return make_view(ptr, (*shape, itemsize), strides, (1, 8, 1), (1, 0), readonly=readonly, owner=owner)


def view_from_array_interface(x, /):
    """Take the word of ``__array_interface__``; what is returned holds the object, since the interface owns nothing.

    Returns
    -------
    View
        Or an ndarray, as of :func:`view_from_buffer`.
    """
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
        start = start_of(buffer) + parts.offset
        view = parts.view(start, buffer.readonly, (1, 0), (x, described, buffer))
        low, high = bytes_at(start, parts.shape, parts.strides, parts.itemsize, True, buffer).extent
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
    if parts.swapped:
        raise DTypeError(f"the {name} is in the other byte order ({parts.fields['typestr']!r}). Swap it first.")
    if any([step % parts.itemsize and length > 1 for length, step in zip(parts.shape, parts.strides or ())]):
        raise UnsupportedError(f"the strides of the {name}, {parts.strides} bytes, are no multiple of its element's {parts.itemsize}. Copy it first.")
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
        self.code, self.itemsize, self.swapped = self.parse(fields["typestr"])
        self.data = fields.get("data")
        self.offset = self.integers((fields.get("offset", 0),), "offset")[0]
        strides = fields.get("strides")
        self.strides = None if strides is None else self.integers(strides, "strides")

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
        return _CODES[kind], size, order == _OTHER_ORDER and size > 1

    def view(self, ptr, readonly, device, owner):
        elements = (self.code, self.itemsize, self.swapped)
        try:
            return elements_at(ptr, self.shape, self.strides, elements, device, readonly, owner)
        except UnsupportedError as err:
            raise UnsupportedError(f"the {self.name} can't be taken: {text_of(err)}") from None
