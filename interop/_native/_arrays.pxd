"""What is known of one array while one call runs, and its signature."""

from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t

from interop._native._layouts cimport MAX_AXES
from interop._native.dlpack cimport DLTensor

cdef enum:
    # Layout classes; none of them set means gaps. Axes of length 1 never count.
    EMPTY = 1
    IN_C_ORDER = 2
    IN_F_ORDER = 4
    DENSE = 8
    BROADCAST = 16
    REVERSED = 32
    OVERLAPS = 64
    # A dense copy that keeps the order of the axes is in C order.
    SORTED = 128

cdef enum:
    # Where the parts of a signature's second word begin.
    LAYOUT_BITS = 8
    FLAG_BITS = 16

cdef enum:
    # Flags of an array, above the layout. Those of what is pending follow from FIRST_PENDING on.
    ALIGNED = 1 << 0
    ALIGNED_64 = 1 << 1
    READONLY = 1 << 2
    REQUIRES_GRAD = 1 << 3
    HAS_TANGENT = 1 << 4
    CONJUGATE = 1 << 5
    NEGATIVE = 1 << 6
    FIRST_OTHER = 7

cdef struct Signature:
    # Element type and device.
    uint64_t kind
    # Number of axes, layout class, flags.
    uint64_t state

cdef struct Array:
    DLTensor tensor
    Signature signature
    # A new reference to what keeps the memory alive beyond the call, or NULL.
    PyObject* owner
    # Whether nobody can free or move the owner's memory; and whether that was so before anybody locked it.
    bint stays
    bint stayed
    int64_t shape[MAX_AXES]
    int64_t strides[MAX_AXES]

cdef int layout_of(int ndim, const int64_t* shape, const int64_t* strides) noexcept nogil
cdef bint hold(Array* array, const DLTensor* tensor) noexcept
cdef bint measured(Array* array, int64_t* below, int64_t* above) noexcept
cdef void sign(Array* array, int flags) noexcept nogil
cdef void release(Array* array) noexcept
cdef int64_t size_of(const DLTensor* tensor) noexcept nogil
cdef int64_t itemsize_of(const DLTensor* tensor) noexcept nogil
cdef void reach_of(const DLTensor* tensor, int64_t* low, int64_t* high) noexcept nogil
cdef bint disjoint(const DLTensor* a, const DLTensor* b) noexcept nogil
cdef int signature_of_facts(facts, Signature* into) except 0
