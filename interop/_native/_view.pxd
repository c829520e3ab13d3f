from libc.stdint cimport int64_t, uint64_t

from interop._native.dlpack cimport DLTensor

cdef enum:
    # Shapes of up to this many axes are held inside the View; longer ones on the heap.
    INLINE_AXES = 8
    MAX_AXES = 64


cdef class View:
    cdef DLTensor tensor
    cdef uint64_t flags
    cdef readonly bint ordered
    cdef readonly object owner
    cdef object __weakref__
    cdef int64_t lengths[2 * INLINE_AXES]

    cdef int64_t itemsize_(self) noexcept
    cdef int64_t size_(self) noexcept
    cdef int reserve(self, int ndim) except -1
    cdef void bounds(self, int64_t* low, int64_t* high) noexcept
    cdef int check_device(self, dl_device) except -1
    cdef int order(self, stream) except -1
    cdef View copy(self)
    cdef dict interface(self, address)


cdef View new_view(const DLTensor* tensor, uint64_t flags, bint ordered, object owner)
cdef View empty_view(int ndim, object owner)
cdef void c_order(int ndim, const int64_t* shape, int64_t* strides) noexcept
