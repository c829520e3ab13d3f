"""Reads objects that speak the buffer protocol alone, such as bytes and memory maps."""

cimport cython
from cpython.buffer cimport PyBUF_FULL_RO, PyBuffer_Release, PyObject_GetBuffer
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t

from interop._native._arrays cimport READONLY, Array, measured, sign
from interop._native._calls cimport Py_INCREF
from interop._native._readers cimport PLAIN, UNUSUAL, Reader
from interop._native._layouts cimport MAX_AXES, c_order
from interop._native.dlpack cimport DLTensor, kDLBool, kDLCPU, kDLFloat, kDLInt, kDLUInt

cdef enum:
    NO_FORMAT = 255

cdef extern from *:
    """
    #if PY_LITTLE_ENDIAN
    #define INTEROP_NATIVE_ORDER '<'
    #else
    #define INTEROP_NATIVE_ORDER '>'
    #endif
    """
    char NATIVE_ORDER "INTEROP_NATIVE_ORDER"
    # "@" and "=" are this machine's order too.
    char NATIVE "'@'"
    char STANDARD "'='"
    const char* BYTES "\"B\""


# Not cleared by the garbage collector: the pointer would dangle for whatever finalizer still sees the memory.
@cython.final
@cython.no_gc_clear
@cython.freelist(16)
cdef class Buffer:
    """An export of an object's buffer: while it is held the object can't be closed or resized."""

    cdef Py_buffer buffer
    cdef bint exported

    def __dealloc__(self):
        if self.exported:
            PyBuffer_Release(&self.buffer)

    @property
    def exporter(self):
        """Whose buffer it is."""
        return <object> self.buffer.obj if self.exported else None


# By format of one character: DLPack's code. How wide an element is the buffer says itself, since native sizes vary.
cdef uint8_t[128] _formats
for _number in range(128):
    _formats[_number] = NO_FORMAT
for _characters, _code in ((b"bhilqn", kDLInt), (b"BHILQN", kDLUInt), (b"efd", kDLFloat), (b"?", kDLBool)):
    for _number in _characters:
        _formats[_number] = _code


@cython.final
cdef class BufferReader(Reader):
    """Reads objects with the buffer protocol, of numbers in this machine's byte order."""

    def __cinit__(self):
        self.exports = True

    cdef int read(self, PyObject* x, Array* array) except -1:
        cdef Buffer held = Buffer.__new__(Buffer)
        cdef Py_buffer* buffer = &held.buffer
        cdef int64_t below, above
        cdef int axis
        try:
            PyObject_GetBuffer(<object> x, buffer, PyBUF_FULL_RO)
        except Exception:
            return UNUSUAL
        held.exported = True
        if not describe_buffer(buffer, array) or not measured(array, &below, &above):
            return UNUSUAL
        sign(array, READONLY if buffer.readonly else 0)
        Py_INCREF(<PyObject*> held)
        array.owner = <PyObject*> held
        array.stays = True
        return PLAIN


cdef bint describe_buffer(const Py_buffer* buffer, Array* array) noexcept:
    """Describe the memory of a buffer; False where it isn't plain numbers."""
    # What has no format is bytes.
    cdef const char* format = BYTES if buffer.format == NULL else <const char*> buffer.format
    cdef DLTensor* tensor = &array.tensor
    cdef int axis
    if format[0] == NATIVE or format[0] == STANDARD or format[0] == NATIVE_ORDER:
        format += 1
    if <uint8_t> format[0] > 127 or format[0] == 0 or format[1] != 0 or _formats[<uint8_t> format[0]] == NO_FORMAT:
        return False
    if buffer.ndim > MAX_AXES or buffer.ndim < 0 or buffer.suboffsets != NULL:
        return False
    tensor.dtype.code = _formats[<uint8_t> format[0]]
    tensor.dtype.bits = <uint8_t> (8 * buffer.itemsize)
    tensor.dtype.lanes = 1
    if not is_a_width(tensor.dtype.code, buffer.itemsize):
        return False
    tensor.ndim = buffer.ndim
    tensor.shape = array.shape
    tensor.strides = array.strides
    tensor.data = buffer.buf
    tensor.byte_offset = 0
    tensor.device.device_type = kDLCPU
    tensor.device.device_id = 0
    for axis in range(buffer.ndim):
        array.shape[axis] = buffer.shape[axis]
    if buffer.strides == NULL:
        c_order(buffer.ndim, array.shape, array.strides)
        return True
    for axis in range(buffer.ndim):
        array.strides[axis] = buffer.strides[axis] // buffer.itemsize
        if buffer.strides[axis] % buffer.itemsize:
            if array.shape[axis] > 1:
                return False
            array.strides[axis] = 1
    return True


cdef inline bint is_a_width(int code, Py_ssize_t itemsize) noexcept:
    if code == kDLBool:
        return itemsize == 1
    return itemsize == 2 or itemsize == 4 or itemsize == 8 or itemsize == 1 and code != kDLFloat
