"""Hot routes: what the doors try first, and the generic parts that adapters compose them from.

A route takes one object and returns the result, or NotImplemented where anything about the object is unusual; it
never raises and never copies. No framework is known here: an adapter hands in the callables, and the answers that
let an object pass.
"""

cimport cython
from cpython.object cimport Py_EQ, PyObject, PyObject_RichCompareBool
from cpython.ref cimport Py_DECREF
from libc.stdint cimport int64_t, uint32_t, uintptr_t

import functools

from interop._native.dlpack cimport DLTensor, kDLComplex, kDLCPU, kDLUInt
from interop._native._import cimport ExchangeAPI
from interop._native._ndarray cimport borrow_ndarray, borrows, undisguised, view_from_ndarray
from interop._native._view cimport View, new_view

cdef extern from "Python.h":
    object PyObject_CallOneArg(object function, object argument)
    PyObject* call_one "PyObject_CallOneArg" (PyObject* function, PyObject* argument)
    void PyErr_Clear()


cdef extern from *:
    """
    /* What looking an attribute up does once it has found its descriptor. */
    static PyObject *interop_get_attribute(PyObject *descriptor, PyObject *x) {
        return Py_TYPE(descriptor)->tp_descr_get(descriptor, x, (PyObject *) Py_TYPE(x));
    }
    """
    object get_attribute "interop_get_attribute" (object descriptor, object x)


# Target name -> exact type -> route.
cdef dict _tables = {}


def hot_routes(str target, /):
    """The table of hot routes to one target, by exact type."""
    return _tables.setdefault(target, {})


def clear_hot_routes():
    """Empty every table; the doors keep the tables themselves."""
    for table in _tables.values():
        table.clear()


cdef class Route:
    """The base of all routes.

    Attributes
    ----------
    views_only
        Whether it stands for copy=False alone: for a target whose default is a copy.
    """

    cdef readonly bint views_only

    cdef object run(self, object x):
        return NotImplemented

    def __call__(self, x, /):
        return self.run(x)


cdef class IdentityRoute(Route):
    """An object of the target framework is its own result."""

    cdef object run(self, object x):
        return x


cdef class CallRoute(Route):
    """A route written in Python.

    Parameters
    ----------
    function
        Takes the object; returns the result or NotImplemented.
    views_only
        As :attr:`Route.views_only`.
    """

    cdef object function

    def __init__(self, function, *, bint views_only=False):
        self.function = function
        self.views_only = views_only

    cdef object run(self, object x):
        return PyObject_CallOneArg(self.function, x)


@cython.final
cdef class ChainRoute(Route):
    """Two routes, one after the other.

    Parameters
    ----------
    first, second
        The second takes what the first returns.
    """

    cdef Route first, second

    def __init__(self, Route first not None, Route second not None):
        self.first = first
        self.second = second
        self.views_only = first.views_only or second.views_only

    cdef object run(self, object x):
        cdef object between = self.first.run(x)
        return between if between is NotImplemented else self.second.run(between)


@cython.final
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

    cdef dict namespace
    cdef str key
    cdef object wanted

    def __init__(self, dict namespace not None, str key not None, wanted):
        self.namespace = namespace
        self.key = key
        self.wanted = wanted

    cdef inline bint holds(self) except -1:
        cdef object value = self.namespace.get(self.key)
        return value is self.wanted or PyObject_RichCompareBool(value, self.wanted, Py_EQ)


@cython.final
cdef class Guards:
    """Questions that an object must answer as wanted, or it is no case for a hot route.

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
    """

    cdef tuple attributes, methods, complex_methods, cells

    def __init__(self, *, tuple attributes=(), tuple methods=(), tuple complex_methods=(), tuple cells=()):
        if not all([hasattr(type(descriptor), "__get__") for descriptor, _ in attributes]):
            raise TypeError(f"attributes are read through descriptors: {attributes!r}")
        self.attributes = attributes
        self.methods = methods
        self.complex_methods = complex_methods
        self.cells = cells

    cdef bint passes(self, object x, bint is_complex) except -1:
        cdef tuple pair
        for pair in self.attributes:
            if get_attribute(pair[0], x) is not pair[1]:
                return False
        for pair in self.methods:
            if PyObject_CallOneArg(pair[0], x) is not pair[1]:
                return False
        if is_complex:
            for pair in self.complex_methods:
                if PyObject_CallOneArg(pair[0], x) is not pair[1]:
                    return False
        for cell in self.cells:
            if not (<Cell> cell).holds():
                return False
        return True


cdef class ExchangeRoute(Route):
    """From a type with a C exchange API to a View, for host memory.

    Parameters
    ----------
    api
        The type's exchange API: its non-owning description is taken, and shape and strides are copied.
    owner
        Gives what keeps the memory alive, called with the object.
    guards
        What the exchange API doesn't look at.
    dtype, byte_dtypes
        The descriptor of an object's element type, and those types that are truly integers of 8 bits: packed types
        have been seen to be exported as such.
    """

    cdef ExchangeAPI api
    cdef object owner, dtype
    cdef Guards guards
    cdef tuple byte_dtypes

    def __init__(
        self, ExchangeAPI api not None, *, owner, Guards guards not None, dtype=None, tuple byte_dtypes not None=()
    ):
        self.api = api
        self.owner = owner
        self.guards = guards
        self.dtype = dtype
        self.byte_dtypes = byte_dtypes

    cdef bint peek(self, object x, DLTensor* tensor):
        """Fill in `tensor`, which borrows from `x`, or return False; host memory with an address only."""
        if not self.api.c_describe(x, tensor):
            return False
        if tensor.device.device_type != kDLCPU or tensor.data == NULL:
            return False
        if tensor.dtype.bits == 8 and tensor.dtype.code <= kDLUInt and self.dtype is not None:
            if get_attribute(self.dtype, x) not in self.byte_dtypes:
                return False
        return self.guards.passes(x, tensor.dtype.code == kDLComplex)

    cdef object run(self, object x):
        cdef DLTensor tensor
        try:
            if self.peek(x, &tensor):
                return new_view(&tensor, 0, True, PyObject_CallOneArg(self.owner, x))
        except Exception:
            pass
        return NotImplemented


@cython.final
cdef class NumpyCallRoute(Route):
    """By a framework's own call to numpy: for element types that numpy lacks, on the same bits as integers.

    Parameters
    ----------
    call
        The framework's call to numpy, a view by its own word.
    dtype
        The descriptor of an object's element type.
    plain
        The element types that the call takes; the likeliest first, since they are compared by identity in turn.
    disguised
        For the others: by element type, the integer type to view an object as, and the numpy dtype to view the array as.
    reinterpret
        The framework's call that views the same bits as another element type.
    cell
        Global state that the call doesn't look at.
    guards
        What else it doesn't see.
    """

    cdef object call, dtype, reinterpret
    cdef tuple plain
    cdef dict disguised
    cdef Cell cell
    cdef Guards guards

    def __init__(
        self,
        *,
        call,
        dtype,
        tuple plain not None,
        dict disguised not None,
        reinterpret,
        Cell cell not None,
        Guards guards not None,
    ):
        self.call = call
        self.dtype = dtype
        self.plain = plain
        self.disguised = disguised
        self.reinterpret = reinterpret
        self.cell = cell
        self.guards = guards

    cdef object run(self, object x):
        cdef object dtype = get_attribute(self.dtype, x)
        cdef object candidate
        for candidate in self.plain:
            if candidate is dtype:
                return self.convert(x)
        try:
            return self.convert_disguised(x, dtype)
        except Exception:
            return NotImplemented

    cdef object convert(self, object x):
        # An exception here is cleared, not caught: a try statement costs as much as a guard.
        cdef PyObject* made = NULL
        if self.cell.holds() and self.guards.passes(x, False):
            made = call_one(<PyObject*> self.call, <PyObject*> x)
        if made == NULL:
            PyErr_Clear()
            return NotImplemented
        array = <object> made
        Py_DECREF(array)
        return array if borrows(array) else NotImplemented

    cdef object convert_disguised(self, object x, object dtype):
        cdef object array
        disguise = self.disguised.get(dtype)
        if disguise is None or not self.cell.holds() or not self.guards.passes(x, False):
            return NotImplemented
        array = PyObject_CallOneArg(self.call, self.reinterpret(x, (<tuple> disguise)[0]))
        return undisguised(array, (<tuple> disguise)[1]) if borrows(array) else NotImplemented


cdef class NdarrayViewRoute(Route):
    """From exactly an ndarray to a View."""

    cdef object run(self, object x):
        try:
            return view_from_ndarray(x)
        except Exception:
            return NotImplemented


cdef class NdarrayRoute(Route):
    """From exactly an ndarray to a type with a C exchange API that can't express readonly or negative strides.

    Parameters
    ----------
    api
        The target's exchange API.
    dtypes
        The DLPack triples of the element types that the target holds.
    """

    cdef ExchangeAPI api
    # One bit for each power of two of bits, by code: bit 3 is 8 bits.
    cdef uint32_t allowed[32]

    def __init__(self, ExchangeAPI api not None, *, dtypes):
        self.api = api
        for index in range(32):
            self.allowed[index] = 0
        for code, bits, lanes in dtypes:
            if lanes == 1 and code < 32:
                self.allowed[code] |= 1 << int(bits).bit_length()

    cdef object run(self, object x):
        cdef DLTensor tensor
        cdef int64_t[64] shape
        cdef int64_t[64] strides
        cdef bint readonly
        cdef int axis
        cdef unsigned int bits, width
        tensor.shape = shape
        tensor.strides = strides
        if not borrow_ndarray(x, &tensor, &readonly) or readonly:
            return NotImplemented
        bits = tensor.dtype.bits
        width = 0
        while bits >> width:
            width += 1
        if tensor.dtype.code >= 32 or not self.allowed[tensor.dtype.code] & (1 << width):
            return NotImplemented
        if <uintptr_t> tensor.data % (tensor.dtype.bits // 8):
            return NotImplemented
        for axis in range(tensor.ndim):
            if strides[axis] < 0:
                return NotImplemented
        try:
            return self.api.c_wrap(&tensor, False, x)
        except Exception:
            return NotImplemented


def door(str target, /):
    """Put a hot route in front of a function: it is called only where the route doesn't take the object.

    Parameters
    ----------
    target
        The target framework's name, whose table of routes is asked.
    """
    cdef dict table = hot_routes(target)

    def decorate(slow):
        def to_framework(
            x,
            /,
            *,
            device=None,
            dtype=None,
            order=None,
            copy=None,
            writable=None,
            detach=False,
            stream=None,
        ):
            cdef object route, result
            if (
                device is None
                and dtype is None
                and order is None
                # A route never copies, so that it gives what copy=False asks for too.
                and (copy is None or copy is False)
                and writable is None
                and detach is False
                and stream is None
            ):
                route = table.get(type(x))
                if route is not None and (copy is False or not (<Route> route).views_only):
                    result = (<Route> route).run(x)
                    if result is not NotImplemented:
                        return result
            return slow(
                x,
                device=device,
                dtype=dtype,
                order=order,
                copy=copy,
                writable=writable,
                detach=detach,
                stream=stream,
            )

        return functools.update_wrapper(to_framework, slow)

    return decorate


def convert_door(slow, /):
    """The same for a function that takes the target's name."""

    def entry(
        x,
        to,
        /,
        *,
        device=None,
        dtype=None,
        order=None,
        copy=None,
        writable=None,
        detach=False,
        stream=None,
    ):
        cdef object table, route, result
        if (
            device is None
            and dtype is None
            and order is None
            and (copy is None or copy is False)
            and writable is None
            and detach is False
            and stream is None
            and type(to) is str
        ):
            table = _tables.get(to)
            if table is not None:
                route = (<dict> table).get(type(x))
                if route is not None and (copy is False or not (<Route> route).views_only):
                    result = (<Route> route).run(x)
                    if result is not NotImplemented:
                        return result
        return slow(
            x,
            to,
            device=device,
            dtype=dtype,
            order=order,
            copy=copy,
            writable=writable,
            detach=detach,
            stream=stream,
        )

    return functools.update_wrapper(entry, slow)


def view_door(slow, /):
    """The same for a function whose only option is a stream."""
    cdef dict table = hot_routes("view")

    def entry(x, /, *, stream=None):
        cdef object route, result
        if stream is None:
            route = table.get(type(x))
            if route is not None:
                result = (<Route> route).run(x)
                if result is not NotImplemented:
                    return result
        return slow(x, stream=stream)

    return functools.update_wrapper(entry, slow)
