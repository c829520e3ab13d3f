"""Shortcuts: what gives the answer of a plan at once, without a look at the object.

A shortcut takes an object and returns what the plan for plain objects of its type gives, or NotImplemented where the
object isn't one or anything about it is unusual: then it is looked at, and the recipe of its kind decides.

These parts run in some tens of nanoseconds, so they clear exceptions where others would catch them: a try statement
costs as much as a question.
"""

cimport cython
from cpython.exc cimport PyErr_Clear, PyErr_ExceptionMatches
from cpython.object cimport PyObject
from libc.stdint cimport uint64_t

from interop._native._arrays cimport Array, release
from interop._native._calls cimport (
    Py_DECREF,
    Py_False,
    Py_True,
    answers,
    ask,
    call_none,
    call_one,
    number,
)
from interop._native._ndarray cimport borrows, nbytes_of
from interop._native._questions cimport Cell, Flag, Guards
from interop._native._readers cimport PLAIN, Reader

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
    """

    cdef object call, address, requires_grad, recording
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
    ):
        self.call = call
        self.address = address
        self.reader = reader
        self.cell = cell
        self.before = before
        self.requires_grad = requires_grad
        self.recording = recording
        self.careful = 0
        self.predicted = True

    cdef object attempt(self, object x):
        cdef PyObject* made
        cdef PyObject* asked = <PyObject*> x
        if self.careful > 0:
            self.careful -= 1
            return NotImplemented
        if not self.before.calls_pass() or not self.cell.holds():
            return NotImplemented
        # While nothing is recorded the call doesn't see a graph.
        if not self.is_recorded() and not answers(ask(<PyObject*> self.requires_grad, asked), Py_False):
            return NotImplemented
        if not self.is_somewhere(asked):
            return NotImplemented
        made = call_one(<PyObject*> self.call, asked)
        if made == NULL:
            if PyErr_ExceptionMatches(Exception):
                PyErr_Clear()
                self.careful = CAREFUL
                return NotImplemented
            raise_set()
        array = <object> made
        Py_DECREF(made)
        if not borrows(array) or not (nbytes_of(array) <= UNSEEN_BYTES or self.is_there(asked)):
            return NotImplemented
        return array

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
