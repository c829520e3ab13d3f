from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from interop._native._calls cimport Memo
from interop._native._import cimport ExchangeAPI
from interop._native._keeping cimport Keeper
from interop._native._questions cimport Guards
from interop._native.dlpack cimport DLTensor

cdef object call(object function, object x)
cdef object raise_set()


cdef class Named:
    cdef dict namespace
    cdef str name
    cdef object first
    cdef Memo memo

    cdef object now(self)
    cdef object function(self)


cdef class PlainTensors:
    cdef ExchangeAPI api
    cdef Keeper keeper
    cdef Guards guards
    cdef object dtype
    cdef tuple byte_dtypes

    cdef object describe(self, object x, DLTensor* tensor, int64_t* lengths)
    cdef bint still(self, object x, object owner, DLTensor* tensor, int64_t* lengths) noexcept
    cdef bint of_bytes(self, PyObject* x) noexcept


cdef class PlainArrays:
    cdef object memory, shape, strides, dtype, ptr, index, kind, device_kind
    cdef dict dtypes

    cdef object describe(self, object x, DLTensor* tensor, int64_t* lengths)
