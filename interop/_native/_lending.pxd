from libc.stdint cimport int64_t, uintptr_t

from interop._native._loans cimport CurrentStream
from interop._native.dlpack cimport DLTensor


cdef class Known:
    cdef uintptr_t handle
    # The stream, as the readers of a loan.
    cdef tuple there
    cdef CurrentStream now
    # The other framework's own object for it.
    cdef object own


cdef class Readers:
    cdef object ask
    cdef list known

    cdef Known reader(self, int index)


cdef class Lender:
    cdef object lend(self, object x, Readers readers, DLTensor* tensor, int64_t* lengths)


cdef class Taker:
    cdef object take(self, const DLTensor* tensor, object owner)
