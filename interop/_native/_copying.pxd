from libc.stdint cimport int64_t

from interop._native.dlpack cimport DLTensor


ctypedef void (*Cast)(void* to, const void* source, int64_t count) noexcept nogil


cdef struct Axis:
    int64_t length
    # Steps in bytes, where it is written and where it is read.
    int64_t to
    int64_t source


cdef struct Walk:
    # A copy as loops: the outer axes, then a plane of rows and columns of units, each of which is one run of memory on
    # both sides. Columns are next to each other where they are written; rows are where they are read, if anything is.
    int ndim
    Axis[64] outer
    Axis rows
    Axis columns
    int64_t[64] index
    int64_t unit
    # Its bytes where it is written, and what casts it; NULL where nothing has to be cast.
    int64_t into
    Cast cast
    # Whether it is written past the caches.
    bint stream
    char* to
    const char* source


cdef bint can_fill(const DLTensor* into, const DLTensor* tensor) noexcept nogil
cdef bint lay_out(Walk* walk, const DLTensor* into, const DLTensor* tensor) noexcept nogil
cdef bint advance(Walk* walk) noexcept nogil
cdef void copy_block(const Walk* walk, int64_t row, int64_t rows, int64_t column, int64_t columns) noexcept nogil
cdef void copy_bytes(const Walk* walk, int64_t row, int64_t column, int64_t offset, int64_t size) noexcept nogil
cdef void copy_unlocked(const DLTensor* into, const DLTensor* tensor) noexcept
cdef void copy_elements(const DLTensor* into, const DLTensor* tensor) noexcept nogil
