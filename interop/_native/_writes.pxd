from cpython.object cimport PyObject

from interop._native._arrays cimport Array
from interop._native._calls cimport Memo
from interop._native._readers cimport Reader


cdef class Writes:
    cdef object plan
    cdef list known
    cdef Memo memo

    cdef Reader reader_of(self, PyObject* x)
    cdef bint write(self, PyObject* dst, PyObject* src, object casting) except -1
    cdef bint written(self, object dst, object src, object casting, Array* into, Array* values) except -1
