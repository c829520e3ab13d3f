"""Arithmetic of shapes and strides, which never overflows unseen."""

from libc.stdint cimport INT64_MIN, int64_t, uint64_t

from interop._native.dlpack cimport DLTensor

cdef extern from *:
    """
    /* Whether the result, which is put in its place, is another than that of mathematics. */
    #if defined(__GNUC__)
    #define interop_multiply(a, b, product) __builtin_mul_overflow((a), (b), (product))
    #define interop_add(a, b, sum) __builtin_add_overflow((a), (b), (sum))
    #else
    static CYTHON_INLINE int interop_multiply(int64_t a, int64_t b, int64_t *product) {
        *product = (int64_t) ((uint64_t) a * (uint64_t) b);
        return (a == -1 && b == INT64_MIN) || (a != 0 && a != -1 && *product / a != b);
    }
    static CYTHON_INLINE int interop_add(int64_t a, int64_t b, int64_t *sum) {
        *sum = (int64_t) ((uint64_t) a + (uint64_t) b);
        return (a < 0) == (b < 0) && (*sum < 0) != (a < 0);
    }
    #endif
    """
    bint multiply "interop_multiply" (int64_t a, int64_t b, int64_t* product) noexcept nogil
    bint add "interop_add" (int64_t a, int64_t b, int64_t* sum) noexcept nogil


cdef void c_order(int ndim, const int64_t* shape, int64_t* strides) noexcept nogil:
    """Fill in the strides of C order; of a shape that can't be, any strides."""
    cdef uint64_t step = 1
    cdef int axis
    for axis in range(ndim - 1, -1, -1):
        strides[axis] = <int64_t> step
        if shape[axis] > 1:
            step *= <uint64_t> shape[axis]


cdef Layout measure(const DLTensor* tensor, int64_t itemsize, int64_t* below, int64_t* above) noexcept nogil:
    """Tell whether memory can be laid out so, and how many bytes it takes below and above the first element's address.

    It can't where a length is negative, or a size or reach in bytes leaves 64 bits. Lengths count although an axis is
    empty: numpy and torch count so. Strides then mean nothing, and where only one index is; they may be enormous.
    """
    cdef int64_t size = itemsize
    cdef int64_t span = itemsize
    cdef int64_t length, reach
    cdef Layout layout = POSSIBLE
    cdef bint empty = False
    cdef bint far = False
    cdef int axis
    below[0] = 0
    above[0] = itemsize
    for axis in range(tensor.ndim):
        length = tensor.shape[axis]
        if length <= 0:
            if length < 0:
                return IMPOSSIBLE
            empty = True
            continue
        if multiply(size, length, &size):
            return IMPOSSIBLE
        if tensor.strides == NULL:
            continue
        if length == 1:
            if multiply(tensor.strides[axis], itemsize, &reach):
                layout = ENORMOUS
        # The least integer has no absolute value.
        elif multiply(tensor.strides[axis], length - 1, &reach) or multiply(reach, itemsize, &reach) or reach == INT64_MIN:
            far = True
        elif add(span, -reach if reach < 0 else reach, &span):
            far = True
        elif reach < 0:
            below[0] -= reach
        else:
            above[0] += reach
    if empty:
        below[0] = above[0] = 0
        return ENORMOUS
    return IMPOSSIBLE if far else layout


cdef bint follows_c(const DLTensor* tensor) noexcept:
    cdef uint64_t step = 1
    cdef int axis
    cdef bint follows = True
    for axis in range(tensor.ndim - 1, -1, -1):
        if tensor.shape[axis] == 0:
            return True
        if tensor.shape[axis] != 1:
            follows = follows and tensor.strides[axis] == <int64_t> step
            step *= <uint64_t> tensor.shape[axis]
    return follows


cdef bint follows_f(const DLTensor* tensor) noexcept:
    cdef uint64_t step = 1
    cdef int axis
    cdef bint follows = True
    for axis in range(tensor.ndim):
        if tensor.shape[axis] == 0:
            return True
        if tensor.shape[axis] != 1:
            follows = follows and tensor.strides[axis] == <int64_t> step
            step *= <uint64_t> tensor.shape[axis]
    return follows


cdef bint reach(const DLTensor* tensor, int64_t* low, int64_t* high) noexcept nogil:
    """Reach below and above the first element, in elements, of which the last counts; False where there is none."""
    cdef int axis
    cdef int64_t step
    low[0] = high[0] = 0
    for axis in range(tensor.ndim):
        if tensor.shape[axis] == 0:
            low[0] = high[0] = 0
            return False
        step = (tensor.shape[axis] - 1) * tensor.strides[axis]
        if step < 0:
            low[0] += step
        else:
            high[0] += step
    high[0] += 1
    return True
