from libc.stdint cimport uintptr_t

from interop._native._import cimport ExchangeAPI


cdef class Streams:
    cdef uintptr_t handle(self, int index) except 0


cdef class CurrentStream:
    cdef readonly Streams streams
    cdef readonly int index


cdef class Loan:
    cdef public object memory, device, streams
    cdef public tuple homes, readers
    cdef public bint asks
    cdef object __weakref__
    cdef long forks

    cdef bint is_home(self) except -1


cdef object new_loan(type cls, object memory, object device, object streams, tuple there)
