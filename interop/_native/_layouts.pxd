from libc.stdint cimport int64_t

from interop._native.dlpack cimport DLTensor

cdef enum:
    MAX_AXES = 64

cdef enum Layout:
    IMPOSSIBLE
    POSSIBLE
    # Strides that mean nothing may not fit into 64 bits as bytes.
    ENORMOUS

cdef void c_order(int ndim, const int64_t* shape, int64_t* strides) noexcept nogil
cdef Layout measure(const DLTensor* tensor, int64_t itemsize, int64_t* below, int64_t* above) noexcept nogil
cdef bint follows_c(const DLTensor* tensor) noexcept
cdef bint follows_f(const DLTensor* tensor) noexcept
cdef bint reach(const DLTensor* tensor, int64_t* low, int64_t* high) noexcept nogil
