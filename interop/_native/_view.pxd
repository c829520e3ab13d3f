from libc.stdint cimport int64_t, uint64_t

from interop._native.dlpack cimport DLPackExchangeAPI, DLTensor

cdef enum:
    # Shapes of up to this many axes are held inside the View; longer ones on the heap.
    INLINE_AXES = 8


cdef class View:
    cdef DLTensor tensor
    cdef uint64_t flags
    cdef readonly bint ordered
    # Whether the caller has promised that whoever takes the memory, which is readonly, won't write.
    cdef readonly bint promised
    cdef readonly object owner
    cdef object __weakref__
    cdef int64_t lengths[2 * INLINE_AXES]

    cdef int64_t itemsize_(self) noexcept
    cdef int64_t size_(self) noexcept
    cdef int reserve(self, int ndim) except -1
    cdef object capsule(self, stream, max_version, dl_device, copy)
    cdef int order(self, stream) except -1
    cdef object ordered_on(self)
    cdef View copy(self)
    cdef dict interface(self, address)


# What View.__dlpack_c_exchange_api__ points to; _exchange fills it in.
cdef DLPackExchangeAPI exchange_api

cdef View blank_view()
cdef int fill_view(View view, const DLTensor* tensor, uint64_t flags, bint ordered, object owner) except -1
cdef View new_view(const DLTensor* tensor, uint64_t flags, bint ordered, object owner)
cdef View empty_view(int ndim, object owner)
cdef View memory_like(View other)
