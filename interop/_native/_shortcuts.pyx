"""Shortcuts: what gives the answer of a plan at once, without a look at the object.

A shortcut takes an object and returns what the plan for plain objects of its type gives, or NotImplemented where the
object isn't one or anything about it is unusual: then it is looked at, and the recipe of its kind decides.

These parts run in some tens of nanoseconds, so they clear exceptions where others would catch them: a try statement
costs as much as a question.
"""

cimport cython
from cpython.exc cimport PyErr_Clear, PyErr_ExceptionMatches, PyErr_Occurred
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint64_t

from interop._native._arrays cimport Array, release
from interop._native._calls cimport (
    Py_DECREF,
    Py_False,
    Py_True,
    Py_XDECREF,
    answers,
    ask,
    call_none,
    call_one,
    number,
)
from interop._native._import cimport ExchangeAPI
from interop._native._keeping cimport Keeper
from interop._native._layouts cimport MAX_AXES
from interop._native._ndarray cimport borrow_ndarray, borrows, nbytes_of, restrict
from interop._native._questions cimport Cell, Flag, Guards, record_again
from interop._native._readers cimport PLAIN, Reader
from interop._native.dlpack cimport DLTensor

cdef enum:
    # One refusal by exception takes as long as some hundred looks.
    CAREFUL = 400
    # What a resize that was refused, or a storage that was made smaller, may leave beyond the memory unseen.
    UNSEEN_BYTES = 1 << 14

cdef extern from *:
    """
    /* No memory of a tensor lies below: NULL and an offset does. The heap of a program that isn't relocatable may, so
       what is there is looked at, and not refused. */
    #define INTEROP_LOW ((uint64_t) 1 << 40)
    """
    uint64_t LOW "INTEROP_LOW"


cdef class Shortcut:
    """The base of the shortcuts; this one answers nothing.

    Attributes
    ----------
    predicted
        Whether looking first is faster for some objects, so that what the calls before have met decides.
    """

    cdef object attempt(self, object x):
        return NotImplemented

    def __call__(self, x, /):
        return self.attempt(x)


@cython.final
@cython.no_gc_clear
cdef class NumpyCall(Shortcut):
    """A framework's own call to numpy, which also keeps the memory where it is.

    Parameters
    ----------
    call
        The framework's call, a view by its own word.
    address
        Gives an object's address: the call makes an array of whatever is there, and locks the memory of what it then
        turns out that nothing is.
    reader
        Looks whether an object lies in memory that is kept.
    cell, before
        Global state in which the call isn't made.
    requires_grad
        The descriptor of whether an object belongs to a graph, which the call sees only while gradients are recorded.
    recording
        Whether they are.
    api, keeper
        Describe an object, and tell whether it lies in memory that is kept, before the call, which locks that, and once
        more when nobody can make it smaller; None where the caller said nothing, and small arrays aren't looked at.
    record
        Switches the recording of gradients, where a graph is to be left behind; else None.
    dtype, wanted
        The descriptor of an object's element type, and the one that was asked for, or None.
    contiguous
        Tells whether an object is in the order that was asked for, or None.
    readonly
        Whether the caller promised not to write.
    """

    cdef object call, address, requires_grad, recording, record, dtype, wanted, contiguous
    cdef ExchangeAPI api
    cdef Keeper keeper
    cdef bint readonly
    # How many calls aren't made: what was refused is likely to be followed by more of its kind.
    cdef int careful
    cdef Reader reader
    cdef Cell cell
    cdef Guards before

    def __cinit__(
        self,
        *,
        call,
        address,
        Reader reader not None,
        Cell cell not None,
        Guards before not None,
        requires_grad,
        recording,
        ExchangeAPI api=None,
        Keeper keeper=None,
        record=None,
        dtype=None,
        wanted=None,
        contiguous=None,
        bint readonly=False,
    ):
        self.call = call
        self.address = address
        self.reader = reader
        self.cell = cell
        self.before = before
        self.requires_grad = requires_grad
        self.recording = recording
        self.api = api
        self.keeper = keeper
        self.record = record
        self.dtype = dtype
        self.wanted = wanted
        self.contiguous = contiguous
        self.readonly = readonly
        self.careful = 0
        self.predicted = True

    cdef object attempt(self, object x):
        cdef PyObject* made
        cdef PyObject* asked = <PyObject*> x
        cdef object owner = None
        if self.careful > 0:
            self.careful -= 1
            return NotImplemented
        if not self.before.calls_pass() or not self.cell.holds() or not self.is_as_asked(asked):
            return NotImplemented
        if self.keeper is not None:
            # To find it may run the collector, and that anything, so that it comes first.
            owner = self.keeper.find(x)
            if owner is None or not self.is_held(x, owner):
                return NotImplemented
        elif not self.is_somewhere(asked):
            return NotImplemented
        made = self.called(asked)
        if made == NULL:
            if PyErr_Occurred() == NULL:
                return NotImplemented
            if PyErr_ExceptionMatches(Exception):
                PyErr_Clear()
                self.careful = CAREFUL
                return NotImplemented
            raise_set()
        array = <object> made
        Py_DECREF(made)
        if not borrows(array):
            return NotImplemented
        if not (self.is_still_held(array, owner) if owner is not None else self.is_seen(asked, array)):
            return NotImplemented
        if self.readonly:
            restrict(array)
        return array

    cdef inline bint is_as_asked(self, PyObject* x) noexcept:
        """Whether an object has the element type and the order that were named: else a copy is made of it."""
        cdef PyObject* found
        if self.wanted is not None:
            found = ask(<PyObject*> self.dtype, x)
            # One object each, alive elsewhere.
            if not answers(found, <PyObject*> self.wanted):
                return False
        return self.contiguous is None or answers(call_one(<PyObject*> self.contiguous, x), Py_True)

    cdef inline PyObject* called(self, PyObject* x) noexcept:
        """The array of an object; NULL with an exception set, or without one for a graph that nobody said to leave."""
        cdef PyObject* made
        if self.record is None:
            # While nothing is recorded the call doesn't see a graph.
            if not self.is_recorded() and not answers(ask(<PyObject*> self.requires_grad, x), Py_False):
                return NULL
            return call_one(<PyObject*> self.call, x)
        if not self.is_recorded() or answers(ask(<PyObject*> self.requires_grad, x), Py_False):
            return call_one(<PyObject*> self.call, x)
        # For half the price of a detached tensor.
        Py_XDECREF(call_one(<PyObject*> self.record, Py_False))
        made = call_one(<PyObject*> self.call, x)
        record_again(<PyObject*> self.record)
        return made

    cdef inline bint is_held(self, object x, object owner) except -1:
        """Whether every element of an object lies in its owner's memory."""
        cdef DLTensor tensor
        cdef int64_t[2 * MAX_AXES] lengths
        return self.api.c_describe(x, &tensor, lengths) and self.keeper.holds(owner, &tensor)

    cdef inline bint is_still_held(self, object array, object owner) except -1:
        """Whether every element of what was made lies in the memory that is locked by now."""
        cdef DLTensor tensor
        cdef int64_t[MAX_AXES] shape
        cdef int64_t[MAX_AXES] strides
        cdef bint readonly
        tensor.shape = shape
        tensor.strides = strides
        return borrow_ndarray(array, &tensor, &readonly) and self.keeper.holds(owner, &tensor)

    cdef inline bint is_recorded(self) noexcept:
        if type(self.recording) is Flag:
            return (<Flag> self.recording).function() != 0
        return answers(call_none(<PyObject*> self.recording), Py_True)

    cdef inline bint is_somewhere(self, PyObject* x) except -1:
        """Whether an object's address is one, and not an offset from nowhere."""
        cdef uint64_t address
        if not number(call_one(<PyObject*> self.address, x), &address):
            return False
        return address >= LOW or address != 0 and self.is_there(x)

    cdef inline bint is_seen(self, PyObject* x, object array) except -1:
        """Whether what was made needs no look, or passes it."""
        return nbytes_of(array) <= UNSEEN_BYTES or self.is_there(x)

    cdef bint is_there(self, PyObject* x) except -1:
        """Whether an object lies in memory that is kept."""
        cdef Array array
        cdef bint found
        array.owner = NULL
        found = self.reader.read(x, &array) == PLAIN
        release(&array)
        return found


cdef extern from *:
    """
    static int interop_raise_this(void) { return -1; }
    """
    int raise_set "interop_raise_this" () except -1
