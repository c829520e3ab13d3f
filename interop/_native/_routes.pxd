from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from interop._native._import cimport ExchangeAPI
from interop._native._keeping cimport Keeper
from interop._native._questions cimport Guards
from interop._native.dlpack cimport DLTensor


# Target name -> exact type -> route.
cdef dict route_tables


cdef class Route:
    cdef readonly bint views_only

    cdef object run(self, object x)
    cdef object run_copy(self, object x)
    cdef object lend(self, object x)
    cdef bint hold(self, object x, object lent) except -1
    cdef object copy_into(self, Route onward, object x)


cdef class PlainTensors:
    cdef ExchangeAPI api
    cdef Keeper keeper
    cdef Guards guards
    cdef object dtype
    cdef tuple byte_dtypes

    cdef object describe(self, object x, DLTensor* tensor, int64_t* lengths)
    cdef object describe_on_host(self, object x, DLTensor* tensor, int64_t* lengths)
    cdef bint still(self, object x, object owner, DLTensor* tensor, int64_t* lengths) noexcept
    cdef bint of_bytes(self, PyObject* x) noexcept
