"""What finds out about an object of one exact type, without a Python frame."""

from cpython.object cimport PyObject

from interop._native._arrays cimport Array

cdef enum:
    # What a reader found: an object like others, or one for the planner, which knows why.
    UNUSUAL = 0
    PLAIN = 1

cdef struct Outlook:
    # What the calls of one kind saw last, so that the next one asks in the order that pays.
    # What the caller said: detach=True, an order, an element type (the framework's own, once one has met it).
    bint detach
    bint in_order
    PyObject* as_dtype
    # Some recipe aliases, so that the reader's own call may be made before anything is asked; and some recipe copies:
    # what is only copied from must not get locked.
    bint aliases
    bint copies
    # How many calls go without asking, and how many go on asking after a wrong guess.
    int guesses
    int careful
    # Every recipe is what the reader's call makes, so that it needn't be looked at.
    bint direct
    # The last one's element type took a disguise.
    bint disguised


cdef class Reader:
    cdef int read(self, PyObject* x, Array* array, Outlook* outlook) noexcept
    cdef int settle(self, PyObject* x, Array* array, Outlook* outlook) noexcept
    cdef int glance(self, PyObject* x, Array* array) noexcept
    cdef int adopt(self, PyObject* x, Array* array) noexcept
    cdef bint on_host(self, PyObject* x) noexcept
    cdef PyObject* element_type(self, PyObject* x) noexcept


cdef class ViewReader(Reader):
    pass


cdef bint read_ndarray(PyObject* x, Array* array, int flags) noexcept
