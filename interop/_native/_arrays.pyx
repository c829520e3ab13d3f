"""Arrays as the core sees them during one call: their memory, and the signature that a plan depends on.

A signature holds classes, never numbers: no shape, stride or address. Ten thousand shapes of one layout have one.
"""

from cpython.object cimport PyObject
from libc.stdint cimport INT32_MAX, int64_t, uint64_t, uintptr_t
from libc.string cimport memcpy, memset

from interop._native._calls cimport Py_XDECREF
from interop._native._layouts cimport ENORMOUS, IMPOSSIBLE, MAX_AXES, Layout, c_order, measure
from interop._native.dlpack cimport DLTensor


cdef int layout_of(int ndim, const int64_t* shape, const int64_t* strides) noexcept nogil:
    """The class of a layout; the common ones leave after one pass, the others are sorted."""
    cdef int64_t step = 1
    cdef int axis, long_axes = 0, found = 0
    cdef bint in_order = True
    for axis in range(ndim):
        if shape[axis] == 0:
            return EMPTY | IN_C_ORDER | IN_F_ORDER | DENSE | SORTED
    for axis in range(ndim - 1, -1, -1):
        if shape[axis] != 1:
            long_axes += 1
            if strides[axis] != step:
                in_order = False
            step *= shape[axis]
            if strides[axis] == 0:
                found |= BROADCAST
            elif strides[axis] < 0:
                found |= REVERSED
    if in_order:
        return IN_C_ORDER | DENSE | SORTED | (IN_F_ORDER if long_axes <= 1 else 0)
    step = 1
    in_order = True
    for axis in range(ndim):
        if shape[axis] != 1:
            if strides[axis] != step:
                in_order = False
                break
            step *= shape[axis]
    return IN_F_ORDER | DENSE if in_order else found | order_of(ndim, shape, strides, found)


cdef int order_of(int ndim, const int64_t* shape, const int64_t* strides, int signs) noexcept nogil:
    """Whether a layout in no plain order is dense, sorted, or has elements that share memory."""
    cdef int[MAX_AXES] axes
    cdef int64_t step, dense = 1, reach = 1
    cdef int axis, place, count = 0, found = SORTED if signs else SORTED | DENSE
    for axis in range(ndim):
        if shape[axis] == 1:
            continue
        place = count
        while place > 0 and absolute(strides[axes[place - 1]]) >= absolute(strides[axis]):
            axes[place] = axes[place - 1]
            place -= 1
        # What comes later has to be nearer; of a broadcast the order is C's.
        if place != 0 and not signs & BROADCAST:
            found &= ~SORTED
        axes[place] = axis
        count += 1
    for place in range(count):
        step = absolute(strides[axes[place]])
        if step != dense:
            found &= ~DENSE
        if step < reach:
            found |= OVERLAPS
        dense *= shape[axes[place]]
        reach += (shape[axes[place]] - 1) * step
    return found


cdef inline int64_t absolute(int64_t value) noexcept nogil:
    return -value if value < 0 else value


cdef bint hold(Array* array, const DLTensor* tensor) noexcept:
    """Copy a description that is only borrowed; False where it can't be held."""
    if tensor.ndim < 0 or tensor.ndim > MAX_AXES:
        return False
    array.tensor = tensor[0]
    array.tensor.shape = array.shape
    array.tensor.strides = array.strides
    if tensor.ndim > 0:
        memcpy(array.shape, tensor.shape, tensor.ndim * sizeof(int64_t))
        memcpy(array.strides, tensor.strides, tensor.ndim * sizeof(int64_t))
    return True


cdef bint measured(Array* array, int64_t* below, int64_t* above) noexcept:
    """Whether memory can be laid out so, and how many bytes it takes on each side of the first element's address.

    Strides that mean nothing, along axes of length 1 or of nothing, are made harmless where they are enormous.
    """
    cdef int axis
    cdef DLTensor* tensor = &array.tensor
    cdef Layout layout = measure(tensor, itemsize_of(tensor), below, above)
    if layout == ENORMOUS:
        for axis in range(tensor.ndim):
            if not -INT32_MAX < array.strides[axis] < INT32_MAX:
                if above[0] == 0:
                    c_order(tensor.ndim, array.shape, array.strides)
                    break
                if array.shape[axis] == 1:
                    array.strides[axis] = 1
    return layout != IMPOSSIBLE


cdef void sign(Array* array, int flags) noexcept nogil:
    """Fill in the signature of what `array` describes."""
    cdef DLTensor* tensor = &array.tensor
    cdef int layout = layout_of(tensor.ndim, tensor.shape, tensor.strides)
    cdef uintptr_t address = 0 if layout & EMPTY else <uintptr_t> tensor.data
    cdef int64_t itemsize = itemsize_of(tensor)
    # Almost all element types are powers of two wide, and a division takes as long as the rest.
    if not (address & (itemsize - 1) if not itemsize & (itemsize - 1) else address % itemsize):
        flags |= ALIGNED
    if not address & 63:
        flags |= ALIGNED_64
    array.signature.kind = (
        <uint64_t> tensor.dtype.code
        | <uint64_t> tensor.dtype.bits << 8
        | <uint64_t> tensor.dtype.lanes << 16
        | <uint64_t> (tensor.device.device_type & 0xFFFF) << 32
        | <uint64_t> (tensor.device.device_id & 0xFFFF) << 48
    )
    array.signature.state = (
        <uint64_t> tensor.ndim | <uint64_t> layout << LAYOUT_BITS | <uint64_t> flags << FLAG_BITS
    )


cdef void release(Array* array) noexcept:
    """Drop what was found, for the next look."""
    cdef PyObject* owner = array.owner
    array.owner = NULL
    Py_XDECREF(owner)


cdef int64_t size_of(const DLTensor* tensor) noexcept nogil:
    cdef int64_t size = 1
    cdef int axis
    for axis in range(tensor.ndim):
        size *= tensor.shape[axis]
    return size


cdef int64_t itemsize_of(const DLTensor* tensor) noexcept nogil:
    return (tensor.dtype.bits * tensor.dtype.lanes + 7) >> 3


cdef void reach_of(const DLTensor* tensor, int64_t* low, int64_t* high) noexcept nogil:
    """Bytes below and above the first element that the elements occupy, the last one's own included."""
    cdef int axis
    cdef int64_t reach, itemsize = itemsize_of(tensor)
    low[0] = high[0] = 0
    for axis in range(tensor.ndim):
        if tensor.shape[axis] == 0:
            low[0] = high[0] = 0
            return
        reach = (tensor.shape[axis] - 1) * tensor.strides[axis] * itemsize
        if reach < 0:
            low[0] += reach
        else:
            high[0] += reach
    high[0] += itemsize


cdef bint disjoint(const DLTensor* a, const DLTensor* b) noexcept nogil:
    """Whether no byte of one lies between the lowest and the highest of the other."""
    cdef int64_t low_a, high_a, low_b, high_b
    reach_of(a, &low_a, &high_a)
    reach_of(b, &low_b, &high_b)
    if low_a == high_a or low_b == high_b:
        return True
    return (
        <uintptr_t> a.data + high_a <= <uintptr_t> b.data + low_b
        or <uintptr_t> b.data + high_b <= <uintptr_t> a.data + low_a
    )


# As Facts say it, in the order of their flags.
cdef dict _FLAGS = {
    name: 1 << number
    for number, name in enumerate(
        ("byteorder", "strides", "lazy", "encoded", "chunked", "scalar", "unordered", "immutable"), FIRST_OTHER
    )
}
_FLAGS["conj"] = CONJUGATE
_FLAGS["neg"] = NEGATIVE


cdef int signature_of_facts(facts, Signature* into) except 0:
    """The signature of an object that was described in Python; 0 where the facts are beyond it."""
    cdef Array array
    cdef int axis, flags = READONLY if facts.readonly else 0
    shape, strides, ptr = facts.shape, facts.strides, facts.ptr
    memset(&array, 0, sizeof(DLTensor))
    if len(shape) > MAX_AXES:
        raise OverflowError
    array.tensor.ndim = len(shape)
    array.tensor.shape = array.shape
    array.tensor.strides = array.strides
    for axis in range(array.tensor.ndim):
        array.shape[axis] = shape[axis]
        # Of unknown strides the layout is none, which "strides" or another flag tells from gaps.
        array.strides[axis] = 0 if strides is None else strides[axis]
    array.tensor.data = <void*> <uintptr_t> (0 if ptr is None else ptr)
    array.tensor.dtype.code, array.tensor.dtype.bits, array.tensor.dtype.lanes = (
        facts.dtype.code, facts.dtype.bits, facts.dtype.lanes
    )
    array.tensor.device.device_type, array.tensor.device.device_id = facts.device.dlpack
    if facts.grad != "none":
        flags |= REQUIRES_GRAD if facts.grad == "reverse" else HAS_TANGENT
    for what in facts.pending:
        flags |= <int> _FLAGS[what]
    sign(&array, flags)
    into[0] = array.signature
    return 1
