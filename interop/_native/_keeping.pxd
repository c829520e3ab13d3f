from interop._native._view cimport View
from interop._native.dlpack cimport DLTensor


cdef class Keeper:
    cdef object owner_of, start, size, movable, lock_owner

    cdef object find(self, object x)
    cdef bint holds(self, object owner, const DLTensor* tensor) noexcept
    cdef bint moves(self, object owner) noexcept
    cdef bint copy_held(self, const DLTensor* into, const DLTensor* tensor, object owner) except -1
