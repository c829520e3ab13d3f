from libc.stdint cimport uint64_t

from interop._native.dlpack cimport DLManagedTensorVersioned, DLPackExchangeAPI, DLTensor
from interop._native._view cimport View


cdef class ExchangeAPI:
    cdef DLPackExchangeAPI* api
    # The capsule, where there is one: it may own the struct.
    cdef object holder

    cdef bint c_describe(self, object x, DLTensor* tensor)
    cdef object c_wrap(self, const DLTensor* tensor, bint readonly, object owner)


cdef View adopt(const DLTensor* tensor, uint64_t flags, bint ordered, object owner)
cdef object hold_versioned(DLManagedTensorVersioned* managed)
cdef int check_version(DLManagedTensorVersioned* managed) except -1
