from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t

from interop._native._view cimport View
from interop._native.dlpack cimport DLManagedTensor, DLManagedTensorVersioned, DLPackExchangeAPI, DLTensor


cdef class Managed:
    cdef DLManagedTensor* legacy
    cdef DLManagedTensorVersioned* versioned
    cdef bint on_host
    cdef long pid
    # For device memory: called with a stream, it has the producer order the memory there, which nobody else can.
    cdef object order

    cdef void set_place(self, const DLTensor* tensor) noexcept


cdef class ExchangeAPI:
    cdef DLPackExchangeAPI* api
    # The capsule, where there is one: it may own the struct.
    cdef object holder
    cdef bint deletes_under_lock

    cdef bint c_describe(self, object x, DLTensor* tensor, int64_t* lengths) noexcept
    cdef PyObject* c_wrap(self, const DLTensor* tensor, bint readonly, object owner) noexcept


cdef View adopt(const DLTensor* tensor, uint64_t flags, bint ordered, object owner)
cdef object hold_versioned(DLManagedTensorVersioned* managed)
cdef int check_version(DLManagedTensorVersioned* managed) except -1
