"""Copies between two layouts of host memory, piece by piece; the caller decides what may happen between the pieces."""

from libc.stdint cimport int64_t, uintptr_t
from libc.string cimport memcpy

from interop._native.dlpack cimport DLDataType, DLTensor

cdef extern from "_tiles.h":
    ctypedef struct Way "interop_way":
        int64_t unit
        int64_t into
        Cast cast
        int stream

    Cast find_cast "interop_find_cast" (int into_code, int into_bits, int code, int bits) noexcept nogil
    void copy_plane "interop_copy_plane" (
        char* to, const char* source, int64_t rows, int64_t row_to, int64_t row_from, int64_t columns,
        int64_t column_to, int64_t column_from, const Way* way
    ) noexcept nogil

cdef enum:
    # Bytes for which the GIL is held.
    PIECE = 1 << 20
    # Bytes of a result that is written past the caches: what most of them hold.
    PAST_CACHES = 1 << 24


cdef inline int64_t width(int64_t step) noexcept nogil:
    return -step if step < 0 else step


cdef inline int64_t bytes_of(DLDataType dtype) noexcept nogil:
    return (dtype.bits * dtype.lanes + 7) // 8


cdef inline bint is_same(DLDataType a, DLDataType b) noexcept nogil:
    return a.code == b.code and a.bits == b.bits and a.lanes == b.lanes


cdef inline Cast cast_of(DLDataType into, DLDataType dtype) noexcept nogil:
    """What casts a row of neighbours; NULL where nothing here does, or nothing has to."""
    if into.lanes != 1 or dtype.lanes != 1:
        return NULL
    return find_cast(into.code, into.bits, dtype.code, dtype.bits)


cdef bint can_fill(const DLTensor* into, const DLTensor* tensor) noexcept nogil:
    """Whether memory can be copied into other memory of the same shape here, cast on the way where the types differ."""
    cdef int axis
    cdef bint found = False
    cdef int64_t step = 1
    if into.ndim != tensor.ndim:
        return False
    for axis in range(into.ndim):
        if into.shape[axis] != tensor.shape[axis]:
            return False
        if into.shape[axis] > 1 and (not found or width(into.strides[axis]) < width(step)):
            step = into.strides[axis]
            found = True
    if is_same(into.dtype, tensor.dtype):
        return True
    if cast_of(into.dtype, tensor.dtype) == NULL:
        return False
    # What is cast is written in rows of neighbours, by loops that want aligned elements.
    return (
        step == 1
        and <uintptr_t> into.data % <uintptr_t> bytes_of(into.dtype) == 0
        and <uintptr_t> tensor.data % <uintptr_t> bytes_of(tensor.dtype) == 0
    )


cdef bint lay_out(Walk* walk, const DLTensor* into, const DLTensor* tensor) noexcept nogil:
    """Plan a copy between two layouts of one shape, without overlap; False where there is nothing to copy.

    Where the element types differ it is a cast, one that :func:`casts` knows.
    """
    cdef Axis one
    cdef int axis, place
    cdef int nearest = -1
    cdef int64_t itemsize = bytes_of(tensor.dtype)
    cdef int64_t written = bytes_of(into.dtype)
    cdef int64_t size = written
    walk.ndim = 0
    for axis in range(tensor.ndim):
        one.length = tensor.shape[axis]
        one.to = into.strides[axis] * written
        one.source = tensor.strides[axis] * itemsize
        if one.length == 0:
            return False
        if one.length == 1:
            continue
        size *= one.length
        # From the widest step to the narrowest, as it is written.
        place = walk.ndim
        while place > 0 and width(walk.outer[place - 1].to) < width(one.to):
            walk.outer[place] = walk.outer[place - 1]
            place -= 1
        walk.outer[place] = one
        walk.ndim += 1
    # Axes that lie one behind the other on both sides are one.
    for axis in range(walk.ndim - 1, 0, -1):
        one = walk.outer[axis]
        if (
            walk.outer[axis - 1].to == one.to * one.length
            and walk.outer[axis - 1].source == one.source * one.length
        ):
            one.length *= walk.outer[axis - 1].length
            take_out(walk, axis)
            walk.outer[axis - 1] = one
    walk.to = <char*> into.data
    walk.source = <const char*> tensor.data
    walk.unit = itemsize
    walk.into = written
    walk.cast = cast_of(into.dtype, tensor.dtype)
    # Of a cast that widens, the kernel's clearing of fresh pages has just brought into the caches what is written.
    walk.stream = size >= PAST_CACHES and written <= itemsize
    if walk.cast == NULL and walk.ndim > 0 and walk.outer[walk.ndim - 1].to == itemsize and walk.outer[walk.ndim - 1].source == itemsize:
        walk.ndim -= 1
        walk.unit *= walk.outer[walk.ndim].length
        walk.into = walk.unit
    walk.rows.length = walk.columns.length = 1
    walk.rows.to = walk.rows.source = walk.columns.to = walk.columns.source = 0
    if walk.ndim > 0:
        walk.ndim -= 1
        walk.columns = walk.outer[walk.ndim]
    for axis in range(walk.ndim):
        if nearest < 0 or width(walk.outer[axis].source) <= width(walk.outer[nearest].source):
            nearest = axis
    if nearest >= 0:
        walk.rows = walk.outer[nearest]
        take_out(walk, nearest)
    for axis in range(walk.ndim):
        walk.index[axis] = 0
    return True


cdef void take_out(Walk* walk, int axis) noexcept nogil:
    cdef int place
    walk.ndim -= 1
    for place in range(axis, walk.ndim):
        walk.outer[place] = walk.outer[place + 1]


cdef bint advance(Walk* walk) noexcept nogil:
    """Step to the next plane; False after the last."""
    cdef int axis
    for axis in range(walk.ndim - 1, -1, -1):
        walk.to += walk.outer[axis].to
        walk.source += walk.outer[axis].source
        walk.index[axis] += 1
        if walk.index[axis] < walk.outer[axis].length:
            return True
        walk.to -= walk.outer[axis].to * walk.outer[axis].length
        walk.source -= walk.outer[axis].source * walk.outer[axis].length
        walk.index[axis] = 0
    return False


cdef void copy_block(const Walk* walk, int64_t row, int64_t rows, int64_t column, int64_t columns) noexcept nogil:
    """Copy a part of the plane."""
    cdef Way way
    way.unit = walk.unit
    way.into = walk.into
    way.cast = walk.cast
    way.stream = walk.stream
    copy_plane(
        walk.to + row * walk.rows.to + column * walk.columns.to,
        walk.source + row * walk.rows.source + column * walk.columns.source,
        rows, walk.rows.to, walk.rows.source, columns, walk.columns.to, walk.columns.source, &way,
    )


cdef void copy_bytes(const Walk* walk, int64_t row, int64_t column, int64_t offset, int64_t size) noexcept nogil:
    """Copy a part of one unit."""
    memcpy(
        walk.to + row * walk.rows.to + column * walk.columns.to + offset,
        walk.source + row * walk.rows.source + column * walk.columns.source + offset,
        size,
    )


cdef void copy_unlocked(const DLTensor* into, const DLTensor* tensor) noexcept:
    """Copy host memory that stays where it is: much of it without the GIL."""
    cdef int axis
    cdef int64_t size = max(bytes_of(into.dtype), bytes_of(tensor.dtype))
    for axis in range(tensor.ndim):
        size *= tensor.shape[axis]
    if size > PIECE:
        with nogil:
            copy_elements(into, tensor)
    else:
        copy_elements(into, tensor)


cdef void copy_elements(const DLTensor* into, const DLTensor* tensor) noexcept nogil:
    """Copy host memory between two layouts of one shape; see :func:`can_fill`."""
    cdef Walk walk
    if not lay_out(&walk, into, tensor):
        return
    copy_block(&walk, 0, walk.rows.length, 0, walk.columns.length)
    while advance(&walk):
        copy_block(&walk, 0, walk.rows.length, 0, walk.columns.length)
