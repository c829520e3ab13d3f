from cpython.object cimport PyObject

cdef class Apart:
    cdef readonly object function

cdef PyObject* call_apart(PyObject* function, PyObject** arguments, size_t nargsf, PyObject* names) except? NULL
