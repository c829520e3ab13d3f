"""Readers: what finds out about an object of one exact type, without a Python frame.

A reader fills in an Array, its signature included, or says that the object is unusual: then the planner looks, which
knows why, and says so in words. Nothing here raises, and nothing is refused here.
"""

cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int64_t

from interop._native._arrays cimport READONLY, Array, hold, measured, sign
from interop._native._calls cimport Py_INCREF
from interop._native._ndarray cimport borrow_ndarray, is_plain_ndarray, quiet_keeper
from interop._native._view cimport View
from interop._native.dlpack cimport FLAG_READ_ONLY, FLAG_SUBBYTE_PADDED, kDLCPU


cdef class Reader:
    """The base of the readers; this one finds every object unusual."""

    cdef int read(self, PyObject* x, Array* array) except -1:
        """Fill in the array, with an owner that keeps the memory alive."""
        return UNUSUAL

    cdef bint lock(self, PyObject* x, Array* array) noexcept:
        """Have memory stay that its framework could free or move, for a result that lies on it."""
        return False

    cdef int glance(self, PyObject* x, Array* array) noexcept:
        """Read no more than where an object is and what its elements are: its own framework writes into it."""
        return UNUSUAL

    cdef int adopt(self, PyObject* x, Array* array) except -1:
        """Read what an operation of the framework has just made, of which nothing is pending and which nobody else has."""
        return UNUSUAL

    cdef bint on_host(self, PyObject* x) noexcept:
        """Whether an object is surely in host memory."""
        return False


@cython.final
cdef class NdarrayReader(Reader):
    """Reads ndarrays; what DLPack can't express is unusual."""

    cdef int read(self, PyObject* x, Array* array) except -1:
        return read_held_ndarray(x, array)

    cdef int glance(self, PyObject* x, Array* array) noexcept:
        return read_ndarray(x, array)

    cdef int adopt(self, PyObject* x, Array* array) except -1:
        return self.read(x, array)

    cdef bint on_host(self, PyObject* x) noexcept:
        return True


@cython.final
@cython.no_gc_clear
cdef class CallReader(Reader):
    """Reads what a function shows as an ndarray or a View, on the same memory.

    Parameters
    ----------
    show
        Called with an object; returns an ndarray or a View of it, or NotImplemented where it's unusual, as it is where
        something is raised.
    """

    def __cinit__(self, show, /):
        if not callable(show):
            raise TypeError(f"it is called, and this can't be: {show!r}")
        self.show = show
        self.exports = True

    cdef int read(self, PyObject* x, Array* array) except -1:
        try:
            shown = self.show(<object> x)
        except Exception:
            return UNUSUAL
        if type(shown) is View:
            return read_view(<PyObject*> shown, array)
        # numpy's type itself: what a subclass shows may mean more.
        return read_held_ndarray(<PyObject*> shown, array) if is_plain_ndarray(shown) else UNUSUAL


cdef bint read_ndarray(PyObject* x, Array* array) noexcept:
    """Describe an ndarray, without an owner."""
    cdef bint readonly = False
    cdef int64_t below, above
    array.tensor.shape = array.shape
    array.tensor.strides = array.strides
    if not borrow_ndarray(<object> x, &array.tensor, &readonly) or not measured(array, &below, &above):
        return False
    sign(array, READONLY if readonly else 0)
    return True


cdef int read_held_ndarray(PyObject* x, Array* array) except -1:
    if not read_ndarray(x, array):
        return UNUSUAL
    # With the buffer that it was made on: numpy lets that go.
    owner = quiet_keeper(<object> x)
    if owner is None:
        return UNUSUAL
    Py_INCREF(<PyObject*> owner)
    array.owner = <PyObject*> owner
    array.stays = True
    return PLAIN


@cython.final
cdef class ViewReader(Reader):
    """Reads Views of host memory."""

    cdef int read(self, PyObject* x, Array* array) except -1:
        return read_view(x, array)


cdef int read_view(PyObject* x, Array* array) except -1:
    cdef View view = <View> x
    if view.tensor.device.device_type != kDLCPU or not hold(array, &view.tensor):
        return UNUSUAL
    if view.tensor.dtype.bits < 8 and not view.flags & FLAG_SUBBYTE_PADDED:
        return UNUSUAL
    sign(array, READONLY if view.flags & FLAG_READ_ONLY else 0)
    array.owner = x if view.owner is None else <PyObject*> view.owner
    Py_INCREF(array.owner)
    array.stays = True
    return PLAIN
