cimport numpy as cnp
from cpython.object cimport PyObject
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
cdef object new_ndarray(const DLTensor* tensor, bint readonly, object owner)
cdef PyObject* descr_of(DLDataType dtype) noexcept
cdef object empty_like(cnp.ndarray array, int order, object dtype)
cdef object empty_in_order(const DLTensor* tensor, bint fortran)
cdef bint is_ndarray(object x) noexcept
cdef int copy_into(object dst, object src) except -1
cdef void restrict(object array) noexcept
cdef void* data_of(object array) noexcept
cdef DLDataType triple_of(object array) noexcept
cdef bint is_empty(object array) noexcept
cdef bint is_plain_ndarray(object x) noexcept
cdef bint is_in_c_order(object array) noexcept
cdef object aligned_copy(const DLTensor* tensor)
