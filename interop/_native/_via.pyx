"""The call of a function that was written for one framework: whose tensors the arguments are, and in and out.

Nothing is bound at the call: what each position and each name is was worked out at decoration. What isn't plain goes to
a function of Python, which knows everything, before the decorated one has been called.
"""

cimport cython
cimport numpy as cnp
from cpython.exc cimport PyErr_Clear
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uint64_t, uintptr_t

import types
import weakref

import numpy as np

from interop._native._calls cimport (
    Py_DECREF,
    Py_TYPE,
    PyTuple_GET_ITEM,
    PyTuple_GET_SIZE,
    PyVectorcall_NARGS,
    get_attribute,
    use_vectorcall,
)

cdef extern from "Python.h":
    PyObject* called "PyObject_Vectorcall" (PyObject*, PyObject**, size_t, PyObject*) except NULL
    PyObject* call_one "PyObject_CallOneArg" (PyObject*, PyObject*) except NULL
    PyTypeObject PyDict_Type, PyList_Type, PyTuple_Type
    Py_ssize_t PyList_GET_SIZE(PyObject*) noexcept
    Py_ssize_t Py_REFCNT(PyObject*) noexcept

cdef extern from "numpy/arrayobject.h":
    bint PyArray_CHKFLAGS(cnp.ndarray array, int flags) noexcept
    void PyArray_CLEARFLAGS(cnp.ndarray array, int flags) noexcept
    enum:
        NPY_ARRAY_WRITEABLE

# What an argument or a result is to a decorated function.
PASS = 1
OWN = 2
SLOW = 3
SCALAR = 4
FOREIGN = 16

cdef enum:
    PASSED = 1
    OWNED = 2
    BY_PYTHON = 3
    NUMBER = 4
    FIRST_FOREIGN = 16
    MOST_KINDS = 255
    SLOTS = 64
    MOST = 24

cdef struct Inside:
    # What the caller passed, and what the function got, by position and then by name.
    PyObject** before
    PyObject* got[MOST]
    uint64_t versions[MOST]
    Py_ssize_t count, total
    PyObject* names

cdef PyTypeObject* _ndarray = <PyTypeObject*> <PyObject*> np.ndarray
_as_array = np.asarray

# Counts whatever makes an address, or what was found of a type, stale: a type that died, an adapter that came.
cdef uint64_t _epoch = 0
# What tells of the death of the types that a slot has, by their addresses.
cdef dict _watched = {}


def forget_types():
    """Ask anew what each type is, whoever remembers it: another adapter may claim it."""
    global _epoch
    _epoch += 1


def _forget(reference):
    forget_types()
    for address, watched in list(_watched.items()):
        if watched is reference:
            _watched.pop(address, None)


@cython.no_gc_clear
cdef class Via:
    """A function and how its arguments come and its results go back; the base of what Python sees.

    Parameters
    ----------
    function
        The decorated function.
    classify
        Called with an object; returns PASS (comes through as it is), OWN (a tensor of the framework inside), SCALAR (a
        number as an argument, a tensor as a result), SLOW (for `slow` to look at), or FOREIGN and more: a tensor of
        another framework, by a number below 256.
    come
        Brings a tensor in: a door of the framework inside.
    backs
        By number of a framework, the door to it; the others are for `slow`.
    slow
        Called with the object, positional and keyword arguments, where the call isn't plain.
    slow_back
        Called with the object, the result, and (what it became, what it was, its position or name, whether it was
        written into) of each argument that came in, where a result isn't plain.
    version
        The descriptor of an attribute that counts the writes into a tensor of the framework inside, or None.
    hide
        Called with both: returns them as no compiler looks into them, or None while there is none. None where there
        never is.
    positions
        A bit for each position that is looked at, the last for all that follow.
    names
        The keywords that are looked at; None for all.
    """

    cdef void* vectorcall
    cdef uint64_t[SLOTS] slots
    cdef uint64_t epoch
    cdef readonly object function, classify, come, slow, slow_back, version, hide
    cdef object unseen
    cdef readonly dict backs
    cdef readonly uint64_t positions
    cdef readonly frozenset names
    cdef dict __dict__
    cdef object __weakref__

    def __cinit__(self, *_, **__):
        self.vectorcall = <void*> enter
        self.epoch = 0

    def __init__(
        self,
        function,
        *,
        classify,
        come,
        dict backs not None,
        slow,
        slow_back,
        version=None,
        hide=None,
        positions=-1,
        frozenset names=None,
    ):
        if any(not callable(each) for each in (function, classify, come, slow, slow_back)):
            raise TypeError("a function and what is called for it")
        self.function = function
        self.classify = classify
        self.come = come
        self.backs = backs
        self.slow = slow
        self.slow_back = slow_back
        self.version = version
        self.hide = hide
        self.positions = positions & ((1 << 64) - 1)
        self.names = names

    def __get__(self, instance, owner):
        return self if instance is None else types.MethodType(self, instance)

    cdef inline bint looks_at(self, Py_ssize_t index) noexcept:
        return (self.positions >> (index if index < 63 else 63)) & 1

    cdef inline int kind_of(self, PyObject* x) except 0:
        """What an object is, by its type, which is remembered with it in one word."""
        cdef uint64_t tp = <uintptr_t> Py_TYPE(x)
        cdef uint64_t slot = self.slots[(tp >> 4) % SLOTS]
        return <int> (slot & 0xFF) if slot >> 8 == tp else self.found(x, tp)

    cdef int found(self, PyObject* x, uint64_t tp) except 0:
        kind = self.classify(<object> x)
        if not 0 < kind <= MOST_KINDS:
            raise ValueError(f"no kind: {kind!r}")
        if tp not in _watched:
            _watched[tp] = weakref.ref(<object> Py_TYPE(x), _forget)
        self.slots[(tp >> 4) % SLOTS] = tp << 8 | <uint64_t> kind
        return kind

    cdef int kind_inside(self, PyObject* x, int kind) except 0:
        """Of a plain container of numbers, such as a shape, that it comes through; SLOW of any other."""
        cdef PyTypeObject* tp = Py_TYPE(x)
        cdef Py_ssize_t index
        if tp == &PyTuple_Type or tp == &PyList_Type:
            # A list may change while its elements are classified.
            part = <object> x if tp == &PyTuple_Type else tuple(<object> x)
            for index in range(PyTuple_GET_SIZE(<PyObject*> part)):
                kind = self.kind_of(PyTuple_GET_ITEM(<PyObject*> part, index))
                if kind != PASSED and kind != NUMBER:
                    return BY_PYTHON
            return PASSED
        if tp == &PyDict_Type and not (<dict> <object> x):
            return PASSED
        return kind

    cdef void renew(self) noexcept:
        cdef int index
        for index in range(SLOTS):
            self.slots[index] = 0
        self.epoch = _epoch


cdef PyObject* enter(PyObject* me, PyObject** arguments, size_t nargsf, PyObject* names) except NULL:
    cdef Via self = <Via> me
    cdef Py_ssize_t count = PyVectorcall_NARGS(nargsf)
    cdef Py_ssize_t total = count
    cdef Py_ssize_t index
    cdef int kind
    cdef int foreign = 0
    cdef bint own = False
    cdef bint plain = True
    if self.epoch != _epoch:
        self.renew()
    if names != NULL:
        total += PyTuple_GET_SIZE(names)
    for index in range(total):
        if not looks(self, index, count, names):
            continue
        kind = self.kind_of(arguments[index])
        if kind == BY_PYTHON:
            kind = self.kind_inside(arguments[index], kind)
        if kind >= FIRST_FOREIGN:
            plain = plain and (foreign == 0 or foreign == kind)
            foreign = kind
        elif kind == OWNED:
            own = True
        elif kind == BY_PYTHON:
            plain = False
    if plain and foreign == 0:
        return called(<PyObject*> self.function, arguments, nargsf, names)
    if plain and not own and total <= MOST and foreign in self.backs:
        made = converted(self, arguments, count, names, foreign)
        if made is not NotImplemented:
            Py_INCREF(made)
            return <PyObject*> made
    given = tuple([<object> arguments[index] for index in range(count)])
    named = {}
    for index in range(count, total):
        named[<object> PyTuple_GET_ITEM(names, index - count)] = <object> arguments[index]
    out = hidden(self, 0)(self, given, named)
    Py_INCREF(out)
    return <PyObject*> out


cdef inline bint looks(Via self, Py_ssize_t index, Py_ssize_t count, PyObject* names) except -1:
    if index < count:
        return self.looks_at(index)
    return self.names is None or <object> PyTuple_GET_ITEM(names, index - count) in self.names


cdef object converted(Via self, PyObject** arguments, Py_ssize_t count, PyObject* names, int foreign):
    """The call with tensors of one other framework; NotImplemented where one doesn't come in plainly."""
    cdef Inside inside
    cdef Py_ssize_t index
    cdef PyObject* made
    cdef list held = []
    inside.before = arguments
    inside.count = count
    inside.total = count + (PyTuple_GET_SIZE(names) if names != NULL else 0)
    inside.names = names
    for index in range(inside.total):
        inside.got[index] = arguments[index]
        if looks(self, index, count, names) and self.kind_of(arguments[index]) == foreign:
            if came_before(&inside, index):
                continue
            try:
                made = call_one(<PyObject*> self.come, arguments[index])
            except Exception:
                return NotImplemented
            held.append(<object> made)
            Py_DECREF(made)
            if not is_handed_in_readonly(made):
                return NotImplemented
            if self.version is not None and not version_of(self, made, &inside.versions[index]):
                return NotImplemented
            inside.got[index] = made
    made = called(<PyObject*> self.function, inside.got, count, names)
    result = <object> made
    Py_DECREF(made)
    return back(self, result, &inside, foreign)


cdef bint came_before(Inside* inside, Py_ssize_t index) noexcept:
    """Whether an argument is the same object as one before it, and so comes as that one came."""
    cdef Py_ssize_t earlier
    for earlier in range(index):
        if inside.before[earlier] == inside.before[index] and inside.got[earlier] != inside.before[earlier]:
            inside.got[index] = inside.got[earlier]
            inside.versions[index] = inside.versions[earlier]
            return True
    return False


cdef object back(Via self, object result, Inside* inside, int foreign):
    cdef PyObject* made = <PyObject*> result
    cdef int kind = self.kind_of(made)
    cdef Py_ssize_t index
    if self.version is not None and any_written(self, inside):
        return went_back(self, result, inside)
    if kind == PASSED or kind == foreign:
        return result
    for index in range(inside.total):
        if inside.got[index] == made and made != inside.before[index]:
            return <object> inside.before[index]
    if kind == NUMBER:
        result = _as_array(result)
    elif kind != OWNED or is_readonly(made):
        return went_back(self, result, inside)
    try:
        return self.backs[foreign](result)
    except Exception:
        return went_back(self, result, inside)


cdef object went_back(Via self, object result, Inside* inside):
    """The result by way of Python, which is told what went in as what, where, and whether it was written into."""
    cdef Py_ssize_t index
    came = []
    for index in range(inside.total):
        if inside.got[index] != inside.before[index]:
            where = index
            if index >= inside.count:
                where = <object> PyTuple_GET_ITEM(inside.names, index - inside.count)
            written = self.version is not None and was_written(self, inside.got[index], inside.versions[index])
            came.append((<object> inside.got[index], <object> inside.before[index], where, written))
    return hidden(self, 1)(self, result, came)


cdef bint any_written(Via self, Inside* inside) noexcept:
    cdef Py_ssize_t index
    for index in range(inside.total):
        if inside.got[index] != inside.before[index] and was_written(self, inside.got[index], inside.versions[index]):
            return True
    return False


cdef inline bint is_readonly(PyObject* x) noexcept:
    return Py_TYPE(x) == _ndarray and not PyArray_CHKFLAGS(<cnp.ndarray> x, NPY_ARRAY_WRITEABLE)


cdef bint is_handed_in_readonly(PyObject* x) noexcept:
    """Make an array readonly that was made for the call; False of one that somebody else has, too."""
    if Py_TYPE(x) != _ndarray or is_readonly(x):
        return True
    # The list of what is held, alone.
    if Py_REFCNT(x) != 1:
        return False
    PyArray_CLEARFLAGS(<cnp.ndarray> x, NPY_ARRAY_WRITEABLE)
    return True


cdef bint version_of(Via self, PyObject* x, uint64_t* version) noexcept:
    cdef PyObject* found = get_attribute(<PyObject*> self.version, x)
    if found == NULL:
        PyErr_Clear()
        return False
    try:
        version[0] = <uint64_t> <object> found
        return True
    except Exception:
        return False
    finally:
        Py_DECREF(found)


cdef bint was_written(Via self, PyObject* x, uint64_t before) noexcept:
    cdef uint64_t now
    return not version_of(self, x, &now) or now != before


cdef Via _some = Via.__new__(Via)
use_vectorcall(Via, <char*> &_some.vectorcall - <char*> <PyObject*> _some)


def call_slowly(Via function not None, tuple given not None, dict named not None):
    """A call by Python, behind a call of C: a compiler that reads bytecode breaks its graph here."""
    return hidden(function, 0)(function, given, named)


cdef object hidden(Via self, int which):
    """What is called by Python, as no compiler looks into it."""
    if self.hide is None:
        return self.slow if which == 0 else self.slow_back
    if self.unseen is None:
        self.unseen = self.hide(self.slow, self.slow_back)
    return (self.unseen or (self.slow, self.slow_back))[which]


def keep_vectorcall(type cls not None, /):
    """Have CPython call the instances of a Python subclass natively although the class has a ``__call__``.

    That one is what torch's Dynamo reads, which can't trace a call of C.
    """
    if not issubclass(cls, Via):
        raise TypeError(f"{cls!r} is no subclass of Via")
    use_vectorcall(cls, <char*> &_some.vectorcall - <char*> <PyObject*> _some)
    return cls
