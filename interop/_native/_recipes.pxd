"""Recipes, and where they are found."""

from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from interop._native._arrays cimport Array, Signature
from interop._native._readers cimport Reader

# By exact type: what reads its objects, and what convert_like calls its framework.
cdef dict reader_table
cdef dict framework_table
cdef uint64_t current_epoch() noexcept


cdef class Recipe:
    cdef readonly object plan
    cdef readonly tuple ops
    cdef readonly bint aliases


cdef struct Page:
    Signature signature
    # Borrowed from the list of recipes.
    PyObject* recipe


cdef enum:
    # Signatures are classes, of which programs meet few.
    MOST_PAGES = 64


cdef class Pages:
    cdef Page pages[MOST_PAGES]
    cdef int count
    cdef list recipes

    cdef PyObject* find(self, const Signature* signature) noexcept
    cdef Pages with_recipe(self, const Signature* signature, Recipe recipe)


cdef class Entry:
    cdef Reader reader
    cdef object plan
    cdef bint keeps, predicted
    cdef uint64_t mask
    cdef tuple shortcuts
    # How many calls look first, since memory has been locked already.
    cdef int locked
    cdef unsigned int calls
    cdef int misses
    cdef Pages pages

    # A new reference, or NULL without an exception where the planner has to look.
    cdef PyObject* apply(self, PyObject* x) except? NULL
    cdef PyObject* at_once(self, PyObject* x) except? NULL
    cdef bint read(self, PyObject* x, Array* array) except -1
    cdef int miss(self, const Signature* signature) except -1
    cdef PyObject* run(self, PyObject* x, Array* array, Recipe recipe) except? NULL
    cdef int learn(self, object x) except -1
