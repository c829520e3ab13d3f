"""What a recipe does, one thing after the other."""

from cpython.object cimport PyObject

from interop._native._arrays cimport Array
from interop._native._readers cimport Reader

cdef struct Job:
    # Borrowed: what the caller passed.
    PyObject* x
    # A new reference to what the last op made, or NULL.
    PyObject* value
    # The memory of that, or of x; `known` is false where an op has made something that nobody has looked at.
    Array* array
    bint known


cdef void plain_strides(Array* array) noexcept


cdef class Op:
    cdef int run(self, Job* job) except -1
