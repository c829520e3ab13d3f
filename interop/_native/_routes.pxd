from cpython.object cimport PyObject


cdef class Route:
    cdef readonly bint views_only

    cdef object run(self, object x)
    cdef object run_copy(self, object x)


cdef class Guards:
    cdef tuple attributes, methods, complex_methods, cells, calls

    cdef bint passes(self, PyObject* x, bint is_complex) noexcept
    cdef bint calls_pass(self) noexcept


cdef int check_descriptor(descriptor) except -1
