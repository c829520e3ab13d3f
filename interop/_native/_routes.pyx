"""Hot routes: what the doors try first, and the generic parts that adapters compose them from.

A route is called with one object and returns the result, or NotImplemented where anything about the object is
unusual; it never raises, and copies only where the target's default is a copy whatever the object. No framework is known here: an adapter hands in the callables, and the
answers that let an object pass.

These parts run in some tens of nanoseconds, so they clear exceptions where others would catch them: a try statement
costs as much as a guard.
"""

cimport cython
from cpython.exc cimport PyErr_Clear
from cpython.object cimport Py_EQ, PyObject, PyObject_RichCompareBool, PyTypeObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint64_t, uintptr_t

import functools
import types

from interop._native._calls cimport (
    Memo,
    Py_DECREF,
    Py_False,
    Py_True,
    Py_TYPE,
    Py_XDECREF,
    PyTuple_GET_ITEM,
    PyTuple_GET_SIZE,
    PyUnicode_CheckExact,
    PyVectorcall_NARGS,
    answers,
    call_none,
    call_one,
    dict_get,
    get_attribute,
    number,
    recall,
    route_of,
    use_vectorcall,
    vectorcall,
)
from interop._native._guarding cimport guarded
from interop._native._import cimport ExchangeAPI
from interop._native._keeping cimport Keeper
from interop._native._ndarray cimport (
    borrow_ndarray,
    borrows,
    nbytes_of,
    new_ndarray,
    numpy_holds,
    quiet_keeper,
    undisguised,
    view_from_ndarray,
)
from interop._native._view cimport IMPOSSIBLE, MAX_AXES, View, follows_c, is_possible, measure, new_view
from interop._native.dlpack cimport DLDataType, DLDevice, DLTensor, kDLComplex, kDLCPU, kDLUInt

cdef PyObject* Py_None = <PyObject*> None

# Target name -> exact type -> route.
cdef dict _tables = {}


def hot_routes(str target not None, /):
    """The table of hot routes to a target.

    Parameters
    ----------
    target
        Its name; "view" is one.

    Returns
    -------
    dict
        From exact types to instances of :class:`Route`. The doors look it up at every call: what is put in counts at
        once.
    """
    return _tables.setdefault(target, {})


def clear_hot_routes():
    """Empty every table; the doors keep the tables themselves."""
    for table in list(_tables.values()):
        table.clear()


# Routes and their parts. What runs here takes it that nothing in them ever changes: so __cinit__ fills them in, since an
# __init__ could be left out or called again, and the garbage collector doesn't empty them while somebody may call them.

cdef class Route:
    """The base of the routes that are compiled.

    Attributes
    ----------
    views_only
        Whether it stands for copy=False alone: for a target whose default is a copy.
    """

    cdef object run(self, object x):
        return NotImplemented

    cdef object run_copy(self, object x):
        """What it does where a view isn't asked for and it stands for views only."""
        return NotImplemented

    cdef object lend(self, object x):
        """What it gives, for another route to take: memory that may still move, until :meth:`hold` is called."""
        return self.run(x)

    cdef bint hold(self, object x, object lent) except -1:
        """Have the memory that was lent stay where it is; False where it has moved, or can't be held."""
        return True

    cdef object copy_into(self, Route onward, object x):
        """The copy that another route makes of what this one gives."""
        between = self.run(x)
        return between if between is NotImplemented else onward.run_copy(between)

    def __call__(self, x, /):
        return self.run(x)


@cython.final
cdef class IdentityRoute(Route):
    """An object of the target framework is its own result."""

    cdef object run(self, object x):
        return x


@cython.final
@cython.no_gc_clear
cdef class CallRoute(Route):
    """A route written in Python.

    Parameters
    ----------
    function
        Takes the object; returns the result or NotImplemented. What it raises counts as NotImplemented.
    views_only
        As :attr:`Route.views_only`.
    copies
        For a target whose default is a copy: makes it, as `function` makes a view.
    """

    cdef object function, copies

    def __cinit__(self, function, *, bint views_only=False, copies=None):
        for each in (function,) if copies is None else (function, copies):
            if not callable(each):
                raise TypeError(f"a route is called, and this can't be: {each!r}")
        self.function = function
        self.copies = copies
        self.views_only = views_only or copies is not None

    cdef object run(self, object x):
        try:
            return self.function(x)
        except Exception:
            return NotImplemented

    cdef object run_copy(self, object x):
        if self.copies is None:
            return NotImplemented
        try:
            return self.copies(x)
        except Exception:
            return NotImplemented

    def copy(self, x, /):
        """The copy that it makes of an object, or NotImplemented."""
        return self.run_copy(x)


@cython.final
@cython.no_gc_clear
cdef class ChainRoute(Route):
    """Two routes, one after the other.

    Parameters
    ----------
    first, second
        The second takes what the first returns.
    """

    cdef Route first, second

    def __cinit__(self, Route first not None, Route second not None):
        self.first = first
        self.second = second
        self.views_only = first.views_only or second.views_only

    cdef object run(self, object x):
        between = self.first.lend(x)
        if between is NotImplemented:
            return NotImplemented
        result = self.second.run(between)
        # Held once there is a result on it: what is refused, or copied after all, leaves the memory as free as it was.
        return result if result is NotImplemented or self.first.hold(x, between) else NotImplemented

    cdef object run_copy(self, object x):
        # A view of a view: the copy is the second's alone.
        return NotImplemented if self.first.views_only else self.first.copy_into(self.second, x)


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

    cdef dict namespace
    cdef str key
    cdef object wanted
    cdef Memo memo

    def __cinit__(self, dict namespace not None, str key not None, wanted):
        self.namespace = namespace
        self.key = key
        self.wanted = wanted

    cdef inline bint holds(self) noexcept:
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

    cdef uint8_t (*function)(uint16_t) noexcept nogil
    cdef uint16_t argument

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

    cdef uint8_t (*function)() noexcept nogil

    def __cinit__(self, uintptr_t address, /):
        if address == 0:
            raise TypeError("there is no function at 0")
        self.function = <uint8_t (*)() noexcept nogil> address

    def __call__(self):
        return self.function() != 0


@cython.final
@cython.no_gc_clear
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


@cython.final
@cython.no_gc_clear
cdef class PlainTensors:
    """Tensors of a type with a C exchange API that need nothing done, and what keeps their memory.

    Parameters
    ----------
    api
        The type's exchange API: its non-owning description is taken, and shape and strides are copied.
    keeper
        What keeps the memory.
    guards
        What the exchange API doesn't look at.
    dtype, byte_dtypes
        The descriptor of an object's element type, and those types that are truly integers of 8 bits: packed types
        have been seen to be exported as such.
    """

    def __cinit__(
        self, ExchangeAPI api not None, *, Keeper keeper not None, Guards guards not None, dtype=None, tuple byte_dtypes not None=()
    ):
        if dtype is not None:
            check_descriptor(dtype)
        self.api = api
        self.keeper = keeper
        self.guards = guards
        self.dtype = dtype
        self.byte_dtypes = byte_dtypes

    cdef object describe(self, object x, DLTensor* tensor, int64_t* lengths):
        """Fill in `tensor`, with room in `lengths`; return what keeps the memory, or None where anything is unusual.

        The owner comes first and the description last, and that lies in the owner's memory, or the object has been
        given other memory in between: a question may let go of the GIL, call Python where a mode of the framework's is
        on, or run the collector.
        """
        cdef PyObject* asked = <PyObject*> x
        cdef DLDataType dtype
        owner = self.keeper.find(x)
        if owner is None or not self.guards.passes(asked) or not self.api.c_describe(x, tensor, lengths):
            return None
        dtype = tensor.dtype
        if dtype.code == kDLComplex or dtype.bits == 8 and dtype.code <= kDLUInt:
            # One question more, which only these are asked, and then it is looked at again.
            if not (self.guards.passes_complex(asked) if dtype.code == kDLComplex else self.of_bytes(asked)):
                return None
            return owner if self.still(x, owner, tensor, lengths) else None
        return owner if self.keeper.holds(owner, tensor) else None

    cdef object describe_on_host(self, object x, DLTensor* tensor, int64_t* lengths):
        """The same, for host memory; of nothing there is no address, and the planner says where it is."""
        owner = self.describe(x, tensor, lengths)
        if owner is None or tensor.device.device_type != kDLCPU or tensor.data == NULL:
            return None
        return owner

    cdef bint still(self, object x, object owner, DLTensor* tensor, int64_t* lengths) noexcept:
        """Look once more at an object that was described; whether its memory is still the owner's, and of that type."""
        cdef DLDevice device = tensor.device
        cdef DLDataType dtype = tensor.dtype
        return (
            self.api.c_describe(x, tensor, lengths)
            and tensor.dtype.code == dtype.code
            and tensor.dtype.bits == dtype.bits
            and tensor.device.device_type == device.device_type
            and tensor.device.device_id == device.device_id
            and self.keeper.holds(owner, tensor)
        )

    cdef bint of_bytes(self, PyObject* x) noexcept:
        """Whether what is exported as integers of 8 bits is that."""
        cdef PyObject* dtype
        cdef Py_ssize_t index
        if self.dtype is None:
            return True
        dtype = get_attribute(<PyObject*> self.dtype, x)
        if dtype == NULL:
            PyErr_Clear()
            return False
        # Compared by identity, so that it needn't be held.
        Py_DECREF(dtype)
        for index in range(PyTuple_GET_SIZE(<PyObject*> self.byte_dtypes)):
            if PyTuple_GET_ITEM(<PyObject*> self.byte_dtypes, index) == dtype:
                return True
        return False


@cython.final
@cython.no_gc_clear
cdef class ExchangeRoute(Route):
    """From a type with a C exchange API to a View, for host memory.

    Parameters
    ----------
    plain
        Which objects are plain.
    """

    cdef PlainTensors plain

    def __cinit__(self, PlainTensors plain not None):
        self.plain = plain

    cdef object run(self, object x):
        cdef DLTensor tensor
        cdef int64_t[2 * MAX_AXES] lengths
        cdef View view
        owner = self.plain.describe_on_host(x, &tensor, lengths)
        if owner is None:
            return NotImplemented
        view = new_view(&tensor, 0, True, owner)
        return view if is_possible(view) else NotImplemented


cdef enum:
    # One refusal by exception takes as long as some hundred looks at the element type.
    CAREFUL = 400
    # What is read on the way to another framework is copied here, and held meanwhile; beyond that the planner, which
    # has it written where it stays.
    MOST_BYTES = 1 << 18
    # What a resize that was refused, or a storage that was made smaller, may leave beyond the memory unseen.
    UNSEEN_BYTES = 1 << 14

cdef extern from *:
    """
    /* No memory of a tensor lies below: NULL and an offset does. The heap of a program that isn't relocatable may, so
       what is there is looked at, and not refused. */
    #define INTEROP_LOW ((uint64_t) 1 << 40)
    """
    uint64_t LOW "INTEROP_LOW"


@cython.final
@cython.no_gc_clear
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
    sees
        Called without arguments; where it answers True, the call sees what the guards ask, and they aren't asked.
    behind
        What it never sees behind a disguise.
    before
        The global state, of which only calls are asked, in which the call isn't made at all.
    address
        Gives an object's address: the call makes an array of whatever is there, and locks the memory of what it then
        turns out that nothing is. None where it doesn't.
    lender
        Lends an object's memory without the call, which locks it for good: for those who only read it.
    """

    cdef object call, dtype, reinterpret, sees, address
    cdef PlainTensors lender
    cdef tuple plain
    cdef dict disguised
    cdef Cell cell
    cdef Guards guards, behind, before
    # How many calls look at the element type first. Looking costs as much as all the other checks together, and the
    # call refuses what needs a disguise, if slowly; so it is just made, until it refuses that.
    cdef int careful

    def __cinit__(
        self,
        *,
        call,
        dtype,
        tuple plain not None,
        dict disguised not None,
        reinterpret,
        Cell cell not None,
        Guards guards not None,
        sees=None,
        Guards behind not None,
        Guards before not None,
        address=None,
        PlainTensors lender=None,
    ):
        check_descriptor(dtype)
        self.address = address
        self.lender = lender
        self.call = call
        self.dtype = dtype
        self.plain = plain
        self.disguised = disguised
        self.reinterpret = reinterpret
        self.cell = cell
        self.guards = guards
        self.sees = sees
        self.behind = behind
        self.before = before
        self.careful = 0

    cdef object run(self, object x):
        if not self.before.calls_pass() or not self.cell.holds():
            return NotImplemented
        if self.careful > 0:
            self.careful -= 1
            return self.look(x, False)
        result = self.convert(x)
        return self.look(x, True) if result is NotImplemented else result

    cdef object look(self, object x, bint refused):
        """Convert by element type, where the plain way may have been refused already."""
        cdef object dtype
        cdef PyObject* found = get_attribute(<PyObject*> self.dtype, <PyObject*> x)
        if found == NULL:
            PyErr_Clear()
            return NotImplemented
        dtype = <object> found
        Py_DECREF(found)
        for candidate in self.plain:
            if candidate is dtype:
                return NotImplemented if refused else self.convert(x)
        try:
            return self.convert_disguised(x, dtype)
        except Exception:
            return NotImplemented

    cdef object convert(self, object x):
        cdef PyObject* made
        if not self.is_seen():
            if not self.guards.passes(<PyObject*> x):
                return NotImplemented
        if not self.is_somewhere(x):
            return NotImplemented
        made = call_one(<PyObject*> self.call, <PyObject*> x)
        if made == NULL:
            PyErr_Clear()
            return NotImplemented
        array = <object> made
        Py_DECREF(made)
        return array if borrows(array) and self.is_within(x, array) else NotImplemented

    cdef object convert_disguised(self, object x, object dtype):
        disguise = self.disguised.get(dtype)
        if disguise is None or not self.behind.passes(<PyObject*> x) or not self.is_somewhere(x):
            return NotImplemented
        self.careful = CAREFUL
        disguised = self.reinterpret(x, disguise[0])
        # In between it may have been given other elements of the same size.
        if not answers(get_attribute(<PyObject*> self.dtype, <PyObject*> x), <PyObject*> dtype):
            return NotImplemented
        array = self.call(disguised)
        return undisguised(array, disguise[1]) if borrows(array) and self.is_within(x, array) else NotImplemented

    cdef inline bint is_within(self, object x, object array) except -1:
        """Whether what the call made lies in memory that is kept; a look costs a fifth, so a small array isn't looked at."""
        return nbytes_of(array) <= UNSEEN_BYTES or self.address is None or self.is_there(x)

    cdef inline bint is_seen(self) noexcept:
        """Whether the call sees what the guards ask."""
        if type(self.sees) is Flag:
            return (<Flag> self.sees).function() != 0
        return self.sees is not None and answers(call_none(<PyObject*> self.sees), Py_True)

    cdef inline bint is_somewhere(self, object x) except -1:
        """Whether an object's address is one, and not an offset from nowhere."""
        cdef uint64_t address
        if self.address is None:
            return True
        if not number(call_one(<PyObject*> self.address, <PyObject*> x), &address):
            return False
        return address >= LOW or address != 0 and self.is_there(x)

    cdef bint is_there(self, object x) except -1:
        """Whether an object lies in memory that is kept."""
        cdef DLTensor tensor
        cdef int64_t[2 * MAX_AXES] lengths
        return self.lender is not None and self.lender.describe(x, &tensor, lengths) is not None

    cdef object lend(self, object x):
        cdef DLTensor tensor
        cdef int64_t[2 * MAX_AXES] lengths
        if self.lender is None:
            return self.run(x)
        owner = self.lender.describe_on_host(x, &tensor, lengths)
        if owner is None or not numpy_holds(tensor.dtype):
            return NotImplemented
        return new_ndarray(&tensor, False, owner)

    cdef bint hold(self, object x, object lent) except -1:
        cdef View view
        if self.lender is None:
            return True
        view = view_from_ndarray(lent)
        # Its own call is what locks memory.
        if self.lender.keeper.moves(lent.base) and self.run(x) is NotImplemented:
            return False
        return not self.lender.keeper.moves(lent.base) and self.lender.keeper.holds(lent.base, &view.tensor)

    cdef object copy_into(self, Route onward, object x):
        """Copied once, to memory that the other framework takes as it is; small, and in C order."""
        cdef DLTensor tensor
        cdef int64_t[2 * MAX_AXES] lengths
        cdef View view, copied
        if not onward.views_only:
            return NotImplemented
        owner = self.lender.describe_on_host(x, &tensor, lengths) if self.lender is not None else None
        if owner is None or not numpy_holds(tensor.dtype):
            return NotImplemented
        view = new_view(&tensor, 0, True, owner)
        if not is_possible(view) or not follows_c(&tensor) or view.size_() * view.itemsize_() > MOST_BYTES:
            return NotImplemented
        copied = self.lender.keeper.copied(view)
        if copied is None:
            return NotImplemented
        between = new_ndarray(&copied.tensor, False, copied.owner)
        result = onward.run(between)
        return onward.run_copy(between) if result is NotImplemented else result


@cython.final
cdef class NdarrayViewRoute(Route):
    """From exactly an ndarray to a View."""

    cdef object run(self, object x):
        try:
            return view_from_ndarray(x)
        except Exception:
            return NotImplemented


cdef enum:
    CODES = 32
    MOST_BITS = 128


@cython.final
@cython.no_gc_clear
cdef class NdarrayRoute(Route):
    """From exactly an ndarray to a type with a C exchange API that can't express readonly or negative strides.

    Parameters
    ----------
    api
        The target's exchange API.
    dtypes
        The DLPack triples of the element types that the target holds.
    guards
        What of the target's global state its exchange API doesn't look at.
    """

    cdef ExchangeAPI api
    cdef Guards guards
    # By code and bits.
    cdef uint8_t allowed[CODES][MOST_BITS + 1]

    def __cinit__(self, ExchangeAPI api not None, *, dtypes, Guards guards not None):
        self.api = api
        self.guards = guards
        for code, bits, lanes in dtypes:
            if lanes == 1 and 0 <= code < CODES and 0 < bits <= MOST_BITS:
                self.allowed[code][bits] = api.api.managed_tensor_to_py_object_no_sync != NULL

    cdef object run(self, object x):
        cdef DLTensor tensor
        cdef int64_t[MAX_AXES] shape
        cdef int64_t[MAX_AXES] strides
        cdef int64_t below, above
        cdef bint readonly
        cdef int axis
        cdef PyObject* made
        tensor.shape = shape
        tensor.strides = strides
        if not borrow_ndarray(x, &tensor, &readonly) or readonly:
            return NotImplemented
        if tensor.dtype.code >= CODES or tensor.dtype.bits > MOST_BITS:
            return NotImplemented
        if not self.allowed[tensor.dtype.code][tensor.dtype.bits]:
            return NotImplemented
        # Element types are powers of two wide.
        if <uintptr_t> tensor.data & ((tensor.dtype.bits + 7) // 8 - 1):
            return NotImplemented
        for axis in range(tensor.ndim):
            if strides[axis] < 0:
                return NotImplemented
        if not self.guards.calls_pass():
            return NotImplemented
        owner = quiet_keeper(x)
        if owner is None:
            return NotImplemented
        # torch ends the process at strides that leave 64 bits.
        if measure(&tensor, (tensor.dtype.bits + 7) // 8, &below, &above) == IMPOSSIBLE:
            return NotImplemented
        made = self.api.c_wrap(&tensor, False, owner)
        if made == NULL:
            PyErr_Clear()
            return NotImplemented
        result = <object> made
        Py_DECREF(made)
        return result


# Doors: functions of Python, behind a hot route.

# By keyword, the values that change nothing for a route: it copies nothing, and is asked for nothing else. Only where
# it is what makes the copy may one be asked for.
cdef dict _OPTIONS = {
    "device": (None,),
    "dtype": (None,),
    "order": (None,),
    "copy": (None, False, True),
    "writable": (None,),
    "detach": (False,),
    "stream": (None,),
}


@cython.final
cdef class Door:
    """A function of Python that is called only where a hot route doesn't take the object.

    It is a function to whoever looks at it: its name, documentation and signature are the function's own, it is
    pickled by name, and it binds in a class.
    """

    cdef void* vectorcall
    cdef object function
    # Of its target; None where the second argument names the target.
    cdef dict table
    # Likewise for device="cpu", of routes that move; None where there are none.
    cdef dict moves
    cdef Memo memo, moves_memo
    cdef dict options
    cdef dict __dict__
    cdef object __weakref__

    def __call__(self, *arguments, **options):
        return self.function(*arguments, **options)

    def __getattr__(self, name):
        return getattr(self.function, name)

    def __get__(self, instance, owner):
        return self if instance is None else types.MethodType(self, instance)

    def __reduce__(self):
        return self.__qualname__

    def __repr__(self):
        return repr(self.function)


cdef PyObject* enter(PyObject* self, PyObject** arguments, size_t nargsf, PyObject* names) except? NULL:
    """What a call of a door is: its function's arguments go through untouched, and its errors without a frame of ours."""
    cdef Py_ssize_t count = PyVectorcall_NARGS(nargsf)
    cdef PyObject* table = <PyObject*> (<Door> self).table
    cdef PyObject* found
    if guarded():
        # The planner's way asks whoever guards.
        return vectorcall(<PyObject*> (<Door> self).function, arguments, nargsf, names)
    if names != NULL and count == 1 and (<Door> self).moves is not None and says_cpu(arguments + count, names):
        found = route_of(<PyObject*> (<Door> self).moves, Py_TYPE(arguments[0]), &(<Door> self).moves_memo)
        if found != NULL:
            route = <object> found
            Py_DECREF(found)
            result = taken(route, arguments[0], Py_None)
            if result is not NotImplemented:
                Py_INCREF(result)
                return <PyObject*> result
    elif count == (2 if table == <PyObject*> None else 1) and (
        names == NULL or changes_nothing(<PyObject*> (<Door> self).options, arguments + count, names)
    ):
        if table == <PyObject*> None:
            table = dict_get(<PyObject*> _tables, arguments[1]) if PyUnicode_CheckExact(arguments[1]) else NULL
            # Tables are never dropped.
            Py_XDECREF(table)
        if table != NULL:
            found = route_of(table, Py_TYPE(arguments[0]), &(<Door> self).memo)
            if found != NULL:
                route = <object> found
                Py_DECREF(found)
                result = taken(route, arguments[0], Py_None if names == NULL else copy_asked(arguments + count, names))
                if result is not NotImplemented:
                    Py_INCREF(result)
                    return <PyObject*> result
    return vectorcall(<PyObject*> (<Door> self).function, arguments, nargsf, names)


cdef inline object taken(object route, PyObject* x, PyObject* copy):
    if not isinstance(route, Route):
        return NotImplemented
    if copy == Py_True or (<Route> route).views_only and copy != Py_False:
        return (<Route> route).run_copy(<object> x)
    return (<Route> route).run(<object> x)


cdef bint says_cpu(PyObject** values, PyObject* names) noexcept:
    """Whether device="cpu" is all that the call says."""
    return (
        PyTuple_GET_SIZE(names) == 1
        and PyUnicode_CheckExact(values[0])
        and <str> PyTuple_GET_ITEM(names, 0) == "device"
        and <str> values[0] == "cpu"
    )


cdef PyObject* copy_asked(PyObject** values, PyObject* names) noexcept:
    """What the call says of copy: None, True or False."""
    cdef Py_ssize_t index
    for index in range(PyTuple_GET_SIZE(names)):
        if (values[index] == Py_False or values[index] == Py_True) and <str> PyTuple_GET_ITEM(names, index) == "copy":
            return values[index]
    return Py_None


cdef bint changes_nothing(PyObject* options, PyObject** values, PyObject* names) noexcept:
    """Whether each keyword is given a value that means the same as leaving it out."""
    cdef PyObject* harmless
    cdef Py_ssize_t index, choice
    cdef bint same
    for index in range(PyTuple_GET_SIZE(names)):
        harmless = dict_get(options, PyTuple_GET_ITEM(names, index))
        same = False
        if harmless != NULL:
            for choice in range(PyTuple_GET_SIZE(harmless)):
                same = same or PyTuple_GET_ITEM(harmless, choice) == values[index]
            Py_DECREF(harmless)
        if not same:
            return False
    return True


cdef object new_door(function, dict table, dict moves, dict options):
    cdef Door made = Door.__new__(Door)
    made.vectorcall = <void*> enter
    made.function = function
    made.table = table
    made.moves = moves
    made.options = options
    return functools.update_wrapper(made, function)


cdef Door _some_door = Door.__new__(Door)
use_vectorcall(Door, <char*> &_some_door.vectorcall - <char*> <PyObject*> _some_door)


def door(str target not None, /):
    """Put a hot route in front of a function.

    Parameters
    ----------
    target
        The target framework's name, whose table of routes is asked.

    Returns
    -------
    Callable
        A decorator of a function of one object, by position, and the options of a conversion, by keyword.
    """
    return lambda function: new_door(function, hot_routes(target), hot_routes(f"{target}@cpu"), _OPTIONS)


def convert_door(function, /):
    """Put a hot route in front of a function that takes the target's name as its second argument.

    Parameters
    ----------
    function
        Its options are those of a conversion, by keyword.

    Returns
    -------
    Callable
    """
    return new_door(function, None, None, _OPTIONS)


def view_door(function, /):
    """Put a hot route to a View in front of a function.

    Parameters
    ----------
    function
        Its only option is a stream, by keyword.

    Returns
    -------
    Callable
    """
    return new_door(function, hot_routes("view"), None, {"stream": (None,)})
