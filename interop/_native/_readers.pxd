"""What finds out about an object of one exact type, without a Python frame."""

from cpython.object cimport PyObject

from interop._native._arrays cimport Array

cdef enum:
    # What a reader found: an object like others, or one for the planner, which knows why.
    UNUSUAL = 0
    PLAIN = 1


cdef class Reader:
    # Whether to read is to evaluate or to export, which explain doesn't do.
    cdef readonly bint exports

    cdef int read(self, PyObject* x, Array* array) except -1
    cdef bint lock(self, PyObject* x, Array* array) noexcept
    cdef int glance(self, PyObject* x, Array* array) noexcept
    cdef int adopt(self, PyObject* x, Array* array) except -1
    cdef bint on_host(self, PyObject* x) noexcept


cdef class ViewReader(Reader):
    pass


cdef class CallReader(Reader):
    cdef object show


cdef bint read_ndarray(PyObject* x, Array* array) noexcept
