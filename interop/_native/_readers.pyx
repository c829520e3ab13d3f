"""Readers: what finds out about an object of one exact type, without a Python frame.

A reader fills in an Array, its signature included, or says that the object is unusual: then the planner looks, which
knows why, and says so in words. Nothing here raises, and nothing is refused here.
"""

cimport cython
from cpython.exc cimport PyErr_Clear, PyErr_Fetch, PyErr_Restore
from cpython.object cimport Py_EQ, PyObject, PyObject_RichCompareBool, PyTypeObject
from libc.stdint cimport int64_t, uint64_t, uintptr_t

from interop._native._arrays cimport (
    CONJUGATE,
    FLAG_BITS,
    NEGATIVE,
    READONLY,
    REQUIRES_GRAD,
    Array,
    hold,
    measured,
    release,
    sign,
)
from interop._native._calls cimport (
    Py_DECREF,
    Py_False,
    Py_INCREF,
    Py_True,
    Py_TYPE,
    Py_XDECREF,
    PyTuple_GET_ITEM,
    PyTuple_GET_SIZE,
    answers,
    ask,
    call_none,
    call_one,
    dict_get,
    number,
)
from interop._native._import cimport ExchangeAPI
from interop._native._ndarray cimport borrow_ndarray, borrows, data_of, is_empty, quiet_keeper, undisguised
from interop._native._view cimport View
from interop._native.dlpack cimport FLAG_READ_ONLY, DLTensor, kDLComplex, kDLCPU, kDLUInt


cdef class Reader:
    """The base of the readers; this one finds every object unusual."""

    cdef int read(self, PyObject* x, Array* array, Outlook* outlook) noexcept:
        """Fill in the array, with an owner that keeps the memory alive."""
        return UNUSUAL

    cdef int settle(self, PyObject* x, Array* array, Outlook* outlook) noexcept:
        """Make memory stay that somebody could pull away."""
        return UNUSUAL

    cdef int glance(self, PyObject* x, Array* array) noexcept:
        """Read no more than where an object is and what its elements are: its own framework writes into it."""
        return UNUSUAL

    cdef int adopt(self, PyObject* x, Array* array) noexcept:
        """Read what an operation of the framework has just made, of which nothing is pending and which nobody else has."""
        return UNUSUAL

    cdef bint on_host(self, PyObject* x) noexcept:
        """Whether an object is surely in host memory."""
        return False

    cdef PyObject* element_type(self, PyObject* x) noexcept:
        """The framework's own object for the element type, a new reference, or NULL."""
        return NULL


@cython.final
cdef class NdarrayReader(Reader):
    """Reads ndarrays; what DLPack can't express is unusual."""

    cdef int read(self, PyObject* x, Array* array, Outlook* outlook) noexcept:
        if not read_ndarray(x, array, 0):
            return UNUSUAL
        # With the buffer that it was made on: numpy lets that go.
        owner = quiet_keeper(<object> x)
        if owner is None:
            return UNUSUAL
        Py_INCREF(<PyObject*> owner)
        array.owner = <PyObject*> owner
        array.stays = True
        return PLAIN

    cdef int glance(self, PyObject* x, Array* array) noexcept:
        return read_ndarray(x, array, 0)

    cdef int adopt(self, PyObject* x, Array* array) noexcept:
        return self.read(x, array, NULL)

    cdef bint on_host(self, PyObject* x) noexcept:
        return True


cdef bint read_ndarray(PyObject* x, Array* array, int flags) noexcept:
    """Describe an ndarray, without an owner."""
    cdef bint readonly = False
    cdef int64_t below, above
    array.tensor.shape = array.shape
    array.tensor.strides = array.strides
    if not borrow_ndarray(<object> x, &array.tensor, &readonly) or not measured(array, &below, &above):
        return False
    sign(array, flags | READONLY if readonly else flags)
    return True


@cython.final
cdef class ViewReader(Reader):
    """Reads Views of host memory."""

    cdef int read(self, PyObject* x, Array* array, Outlook* outlook) noexcept:
        cdef View view = <View> x
        if view.tensor.device.device_type != kDLCPU or not hold(array, &view.tensor):
            return UNUSUAL
        sign(array, READONLY if view.flags & FLAG_READ_ONLY else 0)
        array.owner = x if view.owner is None else <PyObject*> view.owner
        Py_INCREF(array.owner)
        array.stays = True
        return PLAIN


cdef enum:
    # One refusal by exception takes as long as some hundred looks at the element type.
    CAREFUL = 400
    # How many calls believe that what comes is like the last one.
    GUESSES = 63


@cython.final
@cython.no_gc_clear
cdef class ExchangeReader(Reader):
    """Reads host objects of a type with a C exchange API, which looks at nothing but the memory.

    Two ways lead to memory that stays. The framework's own call to numpy makes it stay, and refuses what it shouldn't
    hand out; where it stays already, the exchange API with the storage as owner takes half the time. Which of the two is
    due can't be asked for nothing, so that the last calls decide it.

    Parameters
    ----------
    api
        The type's exchange API: its description is only borrowed, and is copied at once.
    made
        The type of what the framework's operations make.
    storage
        Gives what keeps the memory alive, called with the object.
    settled
        Of a storage: whether its memory can't be pulled away any more, as ``(callable, answer)``.
    nbytes, address
        Of a storage: its length in bytes, and where it begins.
    requires_grad, is_negative, is_conjugate, is_host, dtype, in_order
        What the exchange API doesn't look at; `is_conjugate` is asked of complex elements only.
    byte_dtypes
        Element types that are truly integers of 8 bits: packed ones have been seen to be exported as such.
    quiet
        Callables without arguments and the answers wanted, about this thread.
    cells
        A dictionary, a key and what it has to have there: global state that changes what an object is.
    call
        The framework's call to numpy.
    disguised, reinterpret
        By element type that the call doesn't take, the one to view the object as, and the numpy dtype to view the result
        as; and what views it so.
    recording, record
        Whether gradients are recorded, and what switches that.
    """

    cdef ExchangeAPI api
    cdef object made, storage, settled, is_settled, nbytes, address
    cdef object requires_grad, is_negative, is_conjugate, is_host, dtype, in_order
    cdef object call, reinterpret, recording, record
    cdef tuple byte_dtypes, quiet, cells
    cdef dict disguised

    def __cinit__(
        self,
        ExchangeAPI api not None,
        *,
        made,
        storage,
        tuple settled not None,
        nbytes,
        address,
        requires_grad,
        is_negative,
        is_conjugate,
        is_host,
        dtype,
        in_order,
        tuple byte_dtypes not None,
        tuple quiet not None,
        tuple cells not None,
        call,
        dict disguised not None,
        reinterpret,
        recording,
        record,
    ):
        for descriptor in (requires_grad, is_host, dtype):
            if not hasattr(type(descriptor), "__get__"):
                raise TypeError(f"an attribute is read through a descriptor, and this is none: {descriptor!r}")
        self.api = api
        self.made = made
        self.storage = storage
        self.settled, self.is_settled = settled
        self.nbytes = nbytes
        self.address = address
        self.requires_grad = requires_grad
        self.is_negative = is_negative
        self.is_conjugate = is_conjugate
        self.is_host = is_host
        self.dtype = dtype
        self.in_order = in_order
        self.byte_dtypes = byte_dtypes
        self.quiet = tuple([(function, answer) for function, answer in quiet])
        self.cells = tuple([(<dict?> namespace, <str?> key, wanted) for namespace, key, wanted in cells])
        self.call = call
        self.disguised = disguised
        self.reinterpret = reinterpret
        self.recording = recording
        self.record = record

    cdef int read(self, PyObject* x, Array* array, Outlook* outlook) noexcept:
        if outlook.guesses > 0 and self.goes_by_call(x, outlook):
            outlook.guesses -= 1
            if self.read_by_call(x, array, outlook, -1):
                return PLAIN
            outlook.guesses = 0
            outlook.careful = CAREFUL
        return self.read_by_exchange(x, array, outlook) if self.at_rest() else UNUSUAL

    cdef int settle(self, PyObject* x, Array* array, Outlook* outlook) noexcept:
        """Make memory stay that was read by the exchange API."""
        cdef int flags = REQUIRES_GRAD if array.signature.state >> FLAG_BITS & REQUIRES_GRAD else 0
        release(array)
        if not self.read_by_call(x, array, outlook, flags):
            outlook.careful = CAREFUL
            return UNUSUAL
        if outlook.careful > 0:
            outlook.careful -= 1
        else:
            outlook.guesses = GUESSES
        return PLAIN

    cdef int glance(self, PyObject* x, Array* array) noexcept:
        cdef DLTensor tensor
        cdef int64_t below, above
        if not self.at_rest() or not self.api.c_describe(<object> x, &tensor):
            return UNUSUAL
        if tensor.device.device_type != kDLCPU or not hold(array, &tensor):
            return UNUSUAL
        if not measured(array, &below, &above) or tensor.data == NULL and above != 0:
            return UNUSUAL
        if tensor.dtype.bits == 8 and tensor.dtype.code <= kDLUInt and not self.of_bytes(x):
            return UNUSUAL
        sign(array, 0)
        return PLAIN

    cdef int adopt(self, PyObject* x, Array* array) noexcept:
        cdef DLTensor tensor
        if Py_TYPE(x) != <PyTypeObject*> self.made:
            return UNUSUAL
        array.owner = call_one(<PyObject*> self.storage, x)
        if array.owner == NULL:
            PyErr_Clear()
            return UNUSUAL
        if not self.api.c_describe(<object> x, &tensor) or tensor.device.device_type != kDLCPU:
            return self.unusual(array)
        if not hold(array, &tensor):
            return self.unusual(array)
        array.stays = True
        sign(array, 0)
        return PLAIN

    cdef bint on_host(self, PyObject* x) noexcept:
        return answers(ask(<PyObject*> self.is_host, x), Py_True)

    cdef PyObject* element_type(self, PyObject* x) noexcept:
        return ask(<PyObject*> self.dtype, x)

    cdef bint goes_by_call(self, PyObject* x, Outlook* outlook) noexcept:
        """Whether the call may come first: a copy may be due otherwise, and what is only copied from isn't to be locked."""
        if not outlook.aliases or outlook.copies:
            return False
        if outlook.in_order and not answers(call_one(<PyObject*> self.in_order, x), Py_True):
            return False
        return outlook.as_dtype == NULL or answers(ask(<PyObject*> self.dtype, x), outlook.as_dtype)

    cdef bint at_rest(self) noexcept:
        """Whether nothing in this thread changes what an object is; else the planner knows what to do."""
        cdef PyObject* pairs = <PyObject*> self.quiet
        cdef PyObject* pair
        cdef Py_ssize_t index
        for index in range(PyTuple_GET_SIZE(pairs)):
            pair = PyTuple_GET_ITEM(pairs, index)
            if not answers(call_none(PyTuple_GET_ITEM(pair, 0)), PyTuple_GET_ITEM(pair, 1)):
                return False
        return self.cells_hold()

    cdef bint cells_hold(self) noexcept:
        cdef PyObject* cells = <PyObject*> self.cells
        cdef PyObject* cell
        cdef Py_ssize_t index
        for index in range(PyTuple_GET_SIZE(cells)):
            cell = PyTuple_GET_ITEM(cells, index)
            if not equals(dict_get(PyTuple_GET_ITEM(cell, 0), PyTuple_GET_ITEM(cell, 1)), PyTuple_GET_ITEM(cell, 2)):
                return False
        return True

    cdef int read_by_exchange(self, PyObject* x, Array* array, Outlook* outlook) noexcept:
        """Read by the exchange API.

        The order is the point. `is_negative` lets other threads run, and making a storage may run the collector: either
        may give the object other memory. So the borrowed description comes last, is copied at once, and has to lie in
        the storage that is owned by then; that also catches what a refused resize leaves behind (pytorch#170298).
        """
        cdef DLTensor tensor
        cdef int flags = 0
        cdef int64_t start, length, below, above
        if set_if(ask(<PyObject*> self.is_negative, x), &flags, NEGATIVE) < 0:
            return UNUSUAL
        if set_if(ask(<PyObject*> self.requires_grad, x), &flags, REQUIRES_GRAD) < 0:
            return UNUSUAL
        array.owner = call_one(<PyObject*> self.storage, x)
        if array.owner == NULL:
            PyErr_Clear()
            return UNUSUAL
        array.stays = outlook.aliases and answers(ask(<PyObject*> self.settled, array.owner), <PyObject*> self.is_settled)
        start = number(ask(<PyObject*> self.address, array.owner))
        length = number(ask(<PyObject*> self.nbytes, array.owner))
        if not self.api.c_describe(<object> x, &tensor):
            return self.unusual(array)
        if tensor.dtype.bits == 8 and tensor.dtype.code <= kDLUInt and not self.of_bytes(x):
            return self.unusual(array)
        if tensor.dtype.code == kDLComplex:
            # Asking lets other threads run, so that it is described once more.
            if set_if(ask(<PyObject*> self.is_conjugate, x), &flags, CONJUGATE) < 0:
                return self.unusual(array)
            if not self.api.c_describe(<object> x, &tensor):
                return self.unusual(array)
        if tensor.device.device_type != kDLCPU or not hold(array, &tensor):
            return self.unusual(array)
        if not measured(array, &below, &above):
            return self.unusual(array)
        if above != 0 and not inside(<uintptr_t> array.tensor.data, below, above, start, length):
            return self.unusual(array)
        sign(array, flags)
        return PLAIN

    cdef int unusual(self, Array* array) noexcept:
        release(array)
        return UNUSUAL

    cdef bint of_bytes(self, PyObject* x) noexcept:
        """Whether what is exported as integers of 8 bits is that."""
        cdef PyObject* dtype = ask(<PyObject*> self.dtype, x)
        cdef Py_ssize_t index
        if dtype == NULL:
            PyErr_Clear()
            return False
        # Compared by identity, so that it needn't be held.
        Py_DECREF(dtype)
        for index in range(PyTuple_GET_SIZE(<PyObject*> self.byte_dtypes)):
            if PyTuple_GET_ITEM(<PyObject*> self.byte_dtypes, index) == dtype:
                return True
        return False

    cdef bint read_by_call(self, PyObject* x, Array* array, Outlook* outlook, int flags) noexcept:
        """Read by the framework's own call to numpy, which makes the memory stay; `flags` are -1 where nothing was asked.

        Where gradients are recorded it refuses a graph. The caller said detach=True, so that recording is off for this
        one call, for half the price of a detached tensor.
        """
        cdef bint asked = flags != -1
        cdef bint recording = answers(call_none(<PyObject*> self.recording), Py_True)
        if not asked:
            flags = 0
            if not self.cells_hold():
                return False
            # While gradients are recorded the call itself looks; behind a disguise it never does.
            if outlook.detach or not recording or outlook.disguised:
                if set_if(ask(<PyObject*> self.requires_grad, x), &flags, REQUIRES_GRAD) < 0:
                    return False
        if flags & REQUIRES_GRAD and not outlook.detach:
            return False
        if not recording or not flags & REQUIRES_GRAD:
            array.made = self.called(x, outlook, asked)
        else:
            Py_XDECREF(call_one(<PyObject*> self.record, Py_False))
            array.made = self.called(x, outlook, asked)
            self.record_again()
        if array.made == NULL:
            PyErr_Clear()
            return False
        array.stays = True
        if borrows(<object> array.made) and (asked or is_memory(array.made)):
            if outlook.direct and not asked or read_ndarray(array.made, array, flags):
                return True
        release(array)
        return False

    cdef void record_again(self) noexcept:
        cdef PyObject* type
        cdef PyObject* value
        cdef PyObject* traceback
        PyErr_Fetch(&type, &value, &traceback)
        Py_XDECREF(call_one(<PyObject*> self.record, <PyObject*> Py_True))
        PyErr_Restore(type, value, traceback)

    cdef PyObject* called(self, PyObject* x, Outlook* outlook, bint looks) noexcept:
        """What the call makes, a new reference, or NULL; behind a disguise where the element type needs one."""
        cdef PyObject* dtype
        cdef PyObject* made
        if looks or outlook.disguised:
            dtype = ask(<PyObject*> self.dtype, x)
            if dtype == NULL:
                return NULL
            made = dict_get(<PyObject*> self.disguised, dtype)
            Py_DECREF(dtype)
            outlook.disguised = made != NULL
            if made != NULL:
                disguise = <object> made
                Py_DECREF(made)
                try:
                    result = self.call(self.reinterpret(<object> x, disguise[0]))
                    result = undisguised(result, disguise[1]) if borrows(result) else None
                except Exception:
                    return NULL
                Py_INCREF(<PyObject*> result)
                return <PyObject*> result
        return call_one(<PyObject*> self.call, x)


cdef inline bint is_memory(PyObject* array) noexcept:
    """Whether an address that nobody has checked is one: a slice of memory that is NULL is at its offset."""
    # No slice of NULL reaches a terabyte.
    return <uintptr_t> data_of(<object> array) >> 40 != 0 or is_empty(<object> array)


cdef inline bint equals(PyObject* value, PyObject* wanted) noexcept:
    """Whether a value, a new reference or NULL, is or equals the one wanted."""
    cdef int equal
    if value == NULL:
        return False
    equal = 1 if value == wanted else PyObject_RichCompareBool(<object> value, <object> wanted, Py_EQ)
    Py_DECREF(value)
    if equal < 0:
        PyErr_Clear()
    return equal == 1


cdef inline int set_if(PyObject* answer, int* flags, int flag) noexcept:
    """Set a flag where the answer is True; -1 where it is neither that nor False."""
    if answer == NULL:
        PyErr_Clear()
        return -1
    # The two are alive elsewhere, so that only the pointer counts.
    Py_DECREF(answer)
    if answer == Py_True:
        flags[0] |= flag
        return 1
    return 0 if answer == Py_False else -1


cdef inline bint inside(uintptr_t first, int64_t below, int64_t above, int64_t start, int64_t length) noexcept:
    """Whether elements around the first one's address lie within a storage; none do in one that is empty."""
    if start <= 0 or length <= 0 or first < <uintptr_t> start:
        return False
    return <uint64_t> (first - <uintptr_t> start) >= <uint64_t> below and (
        <uint64_t> (first - <uintptr_t> start) <= <uint64_t> length
        and <uint64_t> above <= <uint64_t> length - <uint64_t> (first - <uintptr_t> start)
    )
