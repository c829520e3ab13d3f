"""Filling memory of the host with the values of other memory, in one pass: whatever the layouts, and some casts."""

from libc.stdint cimport int64_t

from interop._native._arrays cimport disjoint
from interop._native._copying cimport can_fill, copy_unlocked
from interop._native._export cimport host_accessible
from interop._native._ndarray cimport borrow_ndarray, is_ndarray
from interop._native._layouts cimport MAX_AXES
from interop._native._view cimport View
from interop._native.dlpack cimport FLAG_READ_ONLY, DLTensor


def fill_view(View into not None, View values not None, /):
    """Write the values of one View into the memory of another; False where this can't, and nothing was written.

    It can where shapes agree, the memory is the host's and apart, and the element types are the same or two floats that
    it casts between. Nothing may move the memory meanwhile.
    """
    if into.flags & FLAG_READ_ONLY:
        return False
    if not host_accessible(into.tensor.device.device_type) or not host_accessible(values.tensor.device.device_type):
        return False
    return filled(&into.tensor, &values.tensor)


def fill_ndarray(into, values, /):
    """The same for ndarrays; of those that DLPack can't express it knows nothing."""
    cdef DLTensor target, tensor
    cdef int64_t[MAX_AXES] target_shape, target_strides, shape, strides
    cdef bint frozen = False, readonly = False
    if not is_ndarray(into) or not is_ndarray(values):
        return False
    target.shape, target.strides = target_shape, target_strides
    tensor.shape, tensor.strides = shape, strides
    if not borrow_ndarray(into, &target, &frozen) or not borrow_ndarray(values, &tensor, &readonly) or frozen:
        return False
    return filled(&target, &tensor)


cdef bint filled(const DLTensor* into, const DLTensor* tensor) noexcept:
    if not can_fill(into, tensor) or not disjoint(into, tensor):
        return False
    copy_unlocked(into, tensor)
    return True
