from libc.stdint cimport int64_t

from interop._native._view cimport View
from interop._native.dlpack cimport DLDataType, DLTensor

cdef bint borrow_ndarray(object array, DLTensor* tensor, bint* readonly) noexcept
cdef object quiet_keeper(object array)
cdef bint borrows(object array) noexcept
cdef int64_t nbytes_of(object array) noexcept
cdef bint numpy_holds(DLDataType dtype) noexcept
cdef object new_ndarray(const DLTensor* tensor, bint readonly, object owner)
cdef object undisguised(object array, object dtype)
cpdef View view_from_ndarray(object array)
