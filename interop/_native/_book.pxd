"""Where the entry of a call is found."""

from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport uint64_t

from interop._native._calls cimport Memo
from interop._native._recipes cimport Entry

cdef enum:
    OPTIONS = 7


cdef class Slot:
    cdef PyTypeObject* type
    cdef object target
    cdef PyObject* values[OPTIONS]
    cdef tuple kept
    cdef Entry entry
    cdef uint64_t epoch

    cdef bint holds(self, PyTypeObject* type) noexcept


cdef class Book:
    cdef tuple names, unsaid
    cdef object parse, make
    cdef dict parsed, entries
    cdef list slots
    cdef Memo memo, memo_like

    cdef Slot slot_of(self, PyObject* x, object target, PyObject** values, PyObject* names, PyObject* device)
    cdef Entry entry_like(self, PyObject* x, PyObject* reference, PyObject** values, PyObject* names)
    cdef Entry entry_of(self, PyObject* x, object target, PyObject** values, PyObject* names)
    cdef bint place(self, PyObject** placed, PyObject** values, PyObject* names) except -1
    cdef object look_up(self, object x, object target, PyObject** placed)
