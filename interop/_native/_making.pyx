"""Views of parts that somebody vouches for, and what no View can be of."""

from libc.stdint cimport INT32_MAX, UINTPTR_MAX, int64_t, uint64_t, uintptr_t

from interop._native._export cimport host_accessible
from interop._native._layouts cimport ENORMOUS, IMPOSSIBLE, MAX_AXES, Layout, c_order, measure
from interop._native._view cimport View, empty_view
from interop._native.dlpack cimport FLAG_READ_ONLY, FLAG_SUBBYTE_PADDED

from interop._words import said, shown
from interop.errors import UnsupportedError


cdef bint is_possible(View view) noexcept:
    """Whether memory can have a View's layout at its address, unless that is NULL; useless strides are made harmless."""
    cdef int64_t below, above
    cdef uintptr_t start = <uintptr_t> view.tensor.data
    cdef Layout layout = measure(&view.tensor, view.itemsize_(), &below, &above)
    if layout == IMPOSSIBLE:
        return False
    if layout == ENORMOUS:
        soften(view)
    if below != 0 and not host_accessible(view.tensor.device.device_type):
        # Not every device's pointer is an address.
        below = 0
    return start == 0 or start >= <uintptr_t> below and UINTPTR_MAX - start >= <uintptr_t> above


cdef void soften(View view) noexcept:
    """Replace strides that mean nothing and are enormous: their arithmetic is nowhere checked."""
    cdef int axis
    if view.size_() != 0:
        for axis in range(view.tensor.ndim):
            if view.tensor.shape[axis] == 1 and not -INT32_MAX < view.tensor.strides[axis] < INT32_MAX:
                view.tensor.strides[axis] = 1
        return
    for axis in range(view.tensor.ndim):
        if not -INT32_MAX < view.tensor.strides[axis] < INT32_MAX:
            c_order(view.tensor.ndim, view.tensor.shape, view.tensor.strides)
            return


cdef int check_layout(View view) except -1:
    """Refuse what can't be memory, whoever describes it.

    Raises
    ------
    UnsupportedError
        Where the shape is impossible, or elements have no address.
    """
    if not is_possible(view):
        raise UnsupportedError(
            f"no memory at {<uintptr_t> view.tensor.data:#x} has the shape {view.shape} with strides {view.strides}. This "
            "is a bug of whoever describes it."
        )
    if view.tensor.data == NULL and view.size_() != 0:
        raise UnsupportedError(
            f"a tensor of shape {view.shape} has a null pointer: a fake, traced or unfilled one. Hand over a tensor that "
            "has memory."
        )
    return 0


def make_view(
    ptr,
    tuple shape not None,
    tuple strides,
    tuple dtype not None,
    tuple device not None,
    /,
    *,
    bint readonly,
    owner,
    bint ordered=True,
    uint64_t byte_offset=0,
):
    """Make a View from parts that an adapter vouches for.

    Parameters
    ----------
    ptr
        Address of the first element.
    shape, strides
        In elements; None for the strides of C order.
    dtype, device
        DLPack's triple and pair.
    readonly
        Whether the memory may be written.
    owner
        What keeps the memory alive.
    ordered
        Whether device memory is ordered.
    byte_offset
        For Metal only, where `ptr` is no address.

    Raises
    ------
    UnsupportedError
        If no memory can be as described.
    """
    cdef int ndim = len(shape)
    if ndim > MAX_AXES:
        raise UnsupportedError(f"a View has at most {MAX_AXES} axes, and this has {ndim}. Reshape it first.")
    if strides is not None and len(strides) != ndim:
        raise UnsupportedError(f"shape {shape} and strides {strides} differ in length.")
    cdef View view = empty_view(ndim, owner)
    cdef int axis
    try:
        for axis in range(ndim):
            view.tensor.shape[axis] = shape[axis]
        if strides is None:
            c_order(ndim, view.tensor.shape, view.tensor.strides)
        else:
            for axis in range(ndim):
                view.tensor.strides[axis] = strides[axis]
        view.tensor.data = <void*> <uintptr_t> ptr
        view.tensor.dtype.code, view.tensor.dtype.bits, view.tensor.dtype.lanes = dtype
        view.tensor.device.device_type, view.tensor.device.device_id = device
    except (OverflowError, TypeError, ValueError) as err:
        raise UnsupportedError(
            f"no memory is at {shown(ptr)} on {device} with shape {shape}, strides {strides} and elements {dtype}: {said(err)}."
        ) from err
    view.tensor.byte_offset = byte_offset
    view.flags = FLAG_READ_ONLY if readonly else 0
    if view.tensor.dtype.bits < 8 and view.tensor.dtype.lanes == 1:
        view.flags |= FLAG_SUBBYTE_PADDED
    view.ordered = ordered
    if view.itemsize_() == 0:
        raise UnsupportedError(f"elements {dtype} have no size.")
    check_layout(view)
    return view
