from libc.stdint cimport int64_t, uint64_t

from interop._native.dlpack cimport DLPackExchangeAPI, DLTensor

cdef enum:
    # Shapes of up to this many axes are held inside the View; longer ones on the heap.
    INLINE_AXES = 8
    MAX_AXES = 64

cdef enum Layout:
    IMPOSSIBLE
    POSSIBLE
    # Strides that mean nothing may not fit into 64 bits as bytes.
    ENORMOUS


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
    cdef bint wants_host(self, dl_device, bint copy) except -1
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
cdef void c_order(int ndim, const int64_t* shape, int64_t* strides) noexcept nogil
cdef bint follows_c(const DLTensor* tensor) noexcept
cdef Layout measure(const DLTensor* tensor, int64_t itemsize, int64_t* below, int64_t* above) noexcept nogil
cdef bint is_possible(View view) noexcept
cdef View memory_like(View other)
cdef int check_layout(View view) except -1
