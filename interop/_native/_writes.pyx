"""Writing into arrays that exist, by the operation of the framework that they belong to, without a Python frame.

What may be written into what is decided in Python, once for each pair of kinds; shapes are each call's own.
"""

cimport cython
from cpython.exc cimport PyErr_Clear
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport uint64_t

from interop._native._arrays cimport ALIGNED_64, FLAG_BITS, Array, Signature, disjoint, itemsize_of, release, size_of
from interop._native._calls cimport Py_DECREF, Py_TYPE, route_of
from interop._native._copying cimport can_fill, copy_elements, copy_unlocked
from interop._native._import cimport ExchangeAPI
from interop._native._ndarray cimport copy_into, descr_of, new_ndarray
from interop._native._ops cimport plain_strides
from interop._native._readers cimport PLAIN, Reader
from interop._native._recipes cimport current_epoch, reader_table


cdef class Writer:
    """The base of what writes into arrays of one framework; this one writes nothing."""

    cdef bint write(self, object dst, object src, const Array* into, Array* values) except -1:
        """Write, or return False where it is for the planner."""
        return False


@cython.final
cdef class NdarrayWriter(Writer):
    """Writes into ndarrays, as numpy casts.

    Parameters
    ----------
    quiet
        The context in which numpy says nothing of casts that lose values; None where none can.
    """

    cdef object quiet

    def __cinit__(self, quiet=None, /):
        self.quiet = quiet

    cdef bint write(self, object dst, object src, const Array* into, Array* values) except -1:
        cdef bint can = can_fill(&into.tensor, &values.tensor)
        if descr_of(values.tensor.dtype) == NULL:
            return False
        if not values.stays:
            # What its framework may free is read while the GIL is held, which numpy doesn't, and not for long.
            if not can or size_of(&values.tensor) * itemsize_of(&values.tensor) > PIECE:
                return False
            copy_elements(&into.tensor, &values.tensor)
            return True
        if can:
            copy_unlocked(&into.tensor, &values.tensor)
            return True
        source = new_ndarray(&values.tensor, True, src)
        if self.quiet is None:
            copy_into(dst, source)
        else:
            with self.quiet():
                copy_into(dst, source)
        return True


@cython.final
@cython.no_gc_clear
cdef class ExchangeWriter(Writer):
    """Writes into objects of a type with a C exchange API.

    Parameters
    ----------
    api
        The type's.
    copy
        Called with the object and one of its own type: the framework's own operation, which counts versions.
    """

    cdef ExchangeAPI api
    cdef object copy

    def __cinit__(self, ExchangeAPI api not None, copy, /):
        self.api = api
        self.copy = copy

    cdef bint write(self, object dst, object src, const Array* into, Array* values) except -1:
        cdef PyObject* made
        if type(src) is type(dst):
            self.copy(dst, src)
            return True
        plain_strides(values)
        made = self.api.c_wrap(&values.tensor, False, src)
        if made == NULL:
            PyErr_Clear()
            return False
        tensor = <object> made
        Py_DECREF(made)
        self.copy(dst, tensor)
        return True


cdef struct Pair:
    PyTypeObject* dst
    PyTypeObject* src
    Signature into
    Signature values
    uint64_t epoch


cdef enum:
    PAIRS = 64
    # Bytes for which the GIL is held.
    PIECE = 1 << 20


@cython.final
cdef class Known:
    """What one pair of kinds and a casting rule had for an answer; never changed once it can be found."""

    cdef Pair pair
    cdef object casting
    cdef Writer writer


@cython.final
@cython.no_gc_clear
cdef class Writes:
    """Finds who writes one kind of array into another.

    Parameters
    ----------
    plan
        Called with two objects and a casting rule: a Writer, or None where each call has to be looked at.
    """

    def __cinit__(self, plan, /):
        self.plan = plan
        self.known = [None] * PAIRS

    cdef Reader reader_of(self, PyObject* x):
        cdef PyObject* found = route_of(<PyObject*> reader_table, Py_TYPE(x), &self.memo)
        if found == NULL:
            return None
        reader = <object> found
        Py_DECREF(found)
        return <Reader> reader

    cdef bint write(self, PyObject* dst, PyObject* src, object casting) except -1:
        """Write, or return False where it is for the planner."""
        cdef Array into, values
        cdef Reader writes = self.reader_of(dst)
        cdef Reader reads = self.reader_of(src)
        cdef bint done = False
        if writes is None or reads is None:
            return False
        into.owner = values.owner = NULL
        into.stays = values.stays = False
        try:
            if writes.glance(dst, &into) == PLAIN and reads.read(src, &values) == PLAIN:
                done = self.written(<object> dst, <object> src, casting, &into, &values)
        finally:
            release(&into)
            release(&values)
        return done

    cdef bint written(self, object dst, object src, object casting, Array* into, Array* values) except -1:
        cdef Known known
        cdef Pair pair
        cdef uint64_t mask = ~(<uint64_t> ALIGNED_64 << FLAG_BITS)
        cdef size_t index
        pair.dst = Py_TYPE(<PyObject*> dst)
        pair.src = Py_TYPE(<PyObject*> src)
        pair.into = into.signature
        pair.values = values.signature
        pair.into.state &= mask
        pair.values.state &= mask
        pair.epoch = current_epoch()
        index = (pair.into.kind ^ pair.into.state * 31 ^ pair.values.kind * 961 ^ pair.values.state * 29791) % PAIRS
        known = self.known[index]
        if known is None or known.casting is not casting or not same_pair(&known.pair, &pair):
            known = Known.__new__(Known)
            known.pair = pair
            known.casting = casting
            known.writer = self.plan(dst, src, casting)
            self.known[index] = known
            # Planning has run Python, which may have changed either: this call goes the planner's way.
            return False
        # numpy drops leading axes of length 1, which doesn't broadcast.
        if known.writer is None or values.tensor.ndim > into.tensor.ndim or not disjoint(&into.tensor, &values.tensor):
            return False
        try:
            return known.writer.write(dst, src, into, values)
        except Exception:
            # Shapes that don't broadcast, a leaf that requires grad: the planner's way says it in words.
            return False


cdef inline bint same_pair(const Pair* a, const Pair* b) noexcept:
    return (
        a.dst == b.dst
        and a.src == b.src
        and a.into.kind == b.into.kind
        and a.into.state == b.into.state
        and a.values.kind == b.values.kind
        and a.values.state == b.values.state
        and a.epoch == b.epoch
    )
