"""Questions that are asked of an object, or of global state, before it is taken for one like others."""

cimport cython
from cpython.exc cimport PyErr_Clear, PyErr_Fetch, PyErr_Restore
from cpython.object cimport Py_EQ, PyObject, PyObject_RichCompareBool, PyTypeObject
from libc.stdint cimport uint8_t, uint16_t, uintptr_t

from interop._native._calls cimport (
    Py_DECREF,
    Py_True,
    Py_TYPE,
    Py_XDECREF,
    PyTuple_GET_ITEM,
    PyTuple_GET_SIZE,
    answers,
    call_none,
    call_one,
    get_attribute,
    recall,
)


@cython.final
@cython.no_gc_clear
cdef class Cell:
    """A value in a dictionary, and what it must equal: global state that changes what an object is.

    Parameters
    ----------
    namespace
        The dictionary, such as a module's.
    key
        The name.
    wanted
        What it must equal for an object to pass.
    """

    def __cinit__(self, dict namespace not None, str key not None, wanted):
        self.namespace = namespace
        self.key = key
        self.wanted = wanted

    cdef bint holds(self) noexcept:
        cdef PyObject* value = recall(<PyObject*> self.namespace, <PyObject*> self.key, &self.memo)
        cdef int equal
        if value == <PyObject*> self.wanted:
            return answers(value, value)
        if value == NULL:
            return False
        equal = PyObject_RichCompareBool(<object> value, self.wanted, Py_EQ)
        if equal < 0:
            PyErr_Clear()
        Py_DECREF(value)
        return equal == 1


@cython.final
cdef class Switch:
    """A function of C that takes a small number and answers yes or no; asked so, it takes a tenth of a call of Python.

    Parameters
    ----------
    address
        Where the function is; it stays there.
    argument
        What it is called with.
    """

    def __cinit__(self, uintptr_t address, uint16_t argument, /):
        if address == 0:
            raise TypeError("there is no function at 0")
        self.function = <uint8_t (*)(uint16_t) noexcept nogil> address
        self.argument = argument

    def __call__(self):
        return self.function(self.argument) != 0


@cython.final
cdef class Flag:
    """The same without an argument.

    Parameters
    ----------
    address
        Where the function is; it stays there.
    """

    def __cinit__(self, uintptr_t address, /):
        if address == 0:
            raise TypeError("there is no function at 0")
        self.function = <uint8_t (*)() noexcept nogil> address

    def __call__(self):
        return self.function() != 0


@cython.final
@cython.no_gc_clear
cdef class Guards:
    """Questions that an object must answer as wanted, or it is for the planner.

    Parameters
    ----------
    attributes
        Pairs of a descriptor and the answer wanted, compared by identity.
    methods
        Pairs of a callable of the object and the answer wanted.
    complex_methods
        The same, asked of complex tensors only.
    cells
        Global state, as :class:`Cell`.
    calls
        Pairs of a function without arguments, or a :class:`Switch`, and the answer wanted: global state that only a call
        tells.
    """

    def __cinit__(
        self, *, tuple attributes=(), tuple methods=(), tuple complex_methods=(), tuple cells=(), tuple calls=()
    ):
        for descriptor, _ in attributes:
            check_descriptor(descriptor)
        for pair in (*methods, *complex_methods, *calls):
            function, _ = pair
            if type(pair) is not tuple or not callable(function):
                raise TypeError(f"no pair of a callable and an answer: {pair!r}")
        if not all([type(cell) is Cell for cell in cells]):
            raise TypeError(f"no cells: {cells!r}")
        self.attributes = tuple([(descriptor, wanted) for descriptor, wanted in attributes])
        self.methods = methods
        self.complex_methods = complex_methods
        self.cells = cells
        self.calls = calls

    cdef bint passes(self, PyObject* x) noexcept:
        cdef PyObject* pairs = <PyObject*> self.attributes
        cdef PyObject* pair
        cdef Py_ssize_t index
        for index in range(PyTuple_GET_SIZE(pairs)):
            pair = PyTuple_GET_ITEM(pairs, index)
            if not answers(get_attribute(PyTuple_GET_ITEM(pair, 0), x), PyTuple_GET_ITEM(pair, 1)):
                return False
        if not ask(<PyObject*> self.methods, x):
            return False
        for index in range(PyTuple_GET_SIZE(<PyObject*> self.cells)):
            if not (<Cell> PyTuple_GET_ITEM(<PyObject*> self.cells, index)).holds():
                return False
        return self.calls_pass()

    cdef bint calls_pass(self) noexcept:
        """Whether the global state is as wanted that only calls tell, whatever the object."""
        cdef PyObject* pair
        cdef PyObject* function
        cdef Py_ssize_t index
        for index in range(PyTuple_GET_SIZE(<PyObject*> self.calls)):
            pair = PyTuple_GET_ITEM(<PyObject*> self.calls, index)
            function = PyTuple_GET_ITEM(pair, 0)
            if Py_TYPE(function) == <PyTypeObject*> Switch:
                if ((<Switch> function).function((<Switch> function).argument) != 0) != (PyTuple_GET_ITEM(pair, 1) == Py_True):
                    return False
            elif not answers(call_none(function), PyTuple_GET_ITEM(pair, 1)):
                return False
        return True

    cdef bint passes_complex(self, PyObject* x) noexcept:
        """Whether a complex tensor, which has passed, passes as one."""
        return ask(<PyObject*> self.complex_methods, x)


cdef int check_descriptor(descriptor) except -1:
    if not hasattr(type(descriptor), "__get__"):
        raise TypeError(f"an attribute is read through a descriptor, and this is none: {descriptor!r}")
    return 0


cdef inline bint ask(PyObject* pairs, PyObject* x) noexcept:
    cdef PyObject* pair
    cdef Py_ssize_t index
    for index in range(PyTuple_GET_SIZE(pairs)):
        pair = PyTuple_GET_ITEM(pairs, index)
        if not answers(call_one(PyTuple_GET_ITEM(pair, 0), x), PyTuple_GET_ITEM(pair, 1)):
            return False
    return True


cdef void record_again(PyObject* record) noexcept:
    """Switch the recording of gradients on, whatever exception is on its way."""
    cdef PyObject* type
    cdef PyObject* value
    cdef PyObject* traceback
    PyErr_Fetch(&type, &value, &traceback)
    Py_XDECREF(call_one(record, Py_True))
    PyErr_Restore(type, value, traceback)
