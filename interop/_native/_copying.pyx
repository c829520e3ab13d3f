"""Copies between two layouts of host memory, piece by piece; the caller decides what may happen between the pieces."""

from libc.stdint cimport int64_t
from libc.string cimport memcpy

from interop._native.dlpack cimport DLTensor

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>

    /* In tiles of a cache line: read across the rows, a plane would cost a line for each of its elements. The size is a
       constant to the compiler, which makes one load and one store of it. */
    #define INTEROP_TILES(size, tile)                                                                    \\
        for (i = 0; i < rows; i += tile) for (j = 0; j < columns; j += tile)                             \\
            for (ii = i; ii < i + tile && ii < rows; ii++) for (jj = j; jj < j + tile && jj < columns; jj++) \\
                memcpy(to + ii * row_to + jj * column_to, from + ii * row_from + jj * column_from, size);

    static void interop_copy_plane(char *to, const char *from, int64_t rows, int64_t row_to, int64_t row_from,
                                   int64_t columns, int64_t column_to, int64_t column_from, int64_t unit) {
        int64_t i, j, ii, jj;
        switch (unit) {
            case 1: INTEROP_TILES(1, 64) break;
            case 2: INTEROP_TILES(2, 32) break;
            case 4: INTEROP_TILES(4, 16) break;
            case 8: INTEROP_TILES(8, 8) break;
            case 16: INTEROP_TILES(16, 8) break;
            default: INTEROP_TILES(unit, 8)
        }
    }
    """
    void copy_plane "interop_copy_plane" (
        char* to, const char* source, int64_t rows, int64_t row_to, int64_t row_from, int64_t columns,
        int64_t column_to, int64_t column_from, int64_t unit
    ) noexcept nogil


cdef inline int64_t width(int64_t step) noexcept nogil:
    return -step if step < 0 else step


cdef bint lay_out(Walk* walk, const DLTensor* into, const DLTensor* tensor) noexcept nogil:
    """Plan a copy between two layouts of one shape, without overlap; False where there is nothing to copy."""
    cdef Axis one
    cdef int axis, place
    cdef int nearest = -1
    cdef int64_t itemsize = (tensor.dtype.bits * tensor.dtype.lanes + 7) // 8
    walk.ndim = 0
    for axis in range(tensor.ndim):
        one.length = tensor.shape[axis]
        one.to = into.strides[axis] * itemsize
        one.source = tensor.strides[axis] * itemsize
        if one.length == 0:
            return False
        if one.length == 1:
            continue
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
    if walk.ndim > 0 and walk.outer[walk.ndim - 1].to == itemsize and walk.outer[walk.ndim - 1].source == itemsize:
        walk.ndim -= 1
        walk.unit *= walk.outer[walk.ndim].length
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
    copy_plane(
        walk.to + row * walk.rows.to + column * walk.columns.to,
        walk.source + row * walk.rows.source + column * walk.columns.source,
        rows, walk.rows.to, walk.rows.source, columns, walk.columns.to, walk.columns.source, walk.unit,
    )


cdef void copy_bytes(const Walk* walk, int64_t row, int64_t column, int64_t offset, int64_t size) noexcept nogil:
    """Copy a part of one unit."""
    memcpy(
        walk.to + row * walk.rows.to + column * walk.columns.to + offset,
        walk.source + row * walk.rows.source + column * walk.columns.source + offset,
        size,
    )


cdef void copy_elements(const DLTensor* into, const DLTensor* tensor) noexcept nogil:
    """Copy host memory between two layouts of one shape."""
    cdef Walk walk
    if not lay_out(&walk, into, tensor):
        return
    copy_block(&walk, 0, walk.rows.length, 0, walk.columns.length)
    while advance(&walk):
        copy_block(&walk, 0, walk.rows.length, 0, walk.columns.length)
