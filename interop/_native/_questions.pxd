from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint16_t

from interop._native._calls cimport Memo


cdef class Cell:
    cdef dict namespace
    cdef str key
    cdef object wanted
    cdef Memo memo

    cdef bint holds(self) noexcept


cdef class Switch:
    cdef uint8_t (*function)(uint16_t) noexcept nogil
    cdef uint16_t argument


cdef class Flag:
    cdef uint8_t (*function)() noexcept nogil


cdef class Guards:
    cdef tuple attributes, methods, complex_methods, cells, calls

    cdef bint passes(self, PyObject* x) noexcept
    cdef bint passes_complex(self, PyObject* x) noexcept
    cdef bint calls_pass(self) noexcept


cdef int check_descriptor(descriptor) except -1
cdef void record_again(PyObject* record) noexcept
