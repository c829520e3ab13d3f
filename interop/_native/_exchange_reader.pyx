"""Reads objects of a type with a C exchange API in host memory, and has their memory stay where a result lies on it."""

cimport cython
from cpython.exc cimport PyErr_Clear
from cpython.object cimport PyObject, PyTypeObject
from libc.stdint cimport int64_t

from interop._native._arrays cimport (
    CONJUGATE,
    FLAG_BITS,
    NEGATIVE,
    REQUIRES_GRAD,
    Array,
    hold,
    measured,
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
)
from interop._native._import cimport ExchangeAPI
from interop._native._keeping cimport Keeper
from interop._native._questions cimport Guards, check_descriptor, record_again
from interop._native._readers cimport PLAIN, UNUSUAL, Reader
from interop._native._layouts cimport MAX_AXES
from interop._native.dlpack cimport DLTensor, kDLComplex, kDLCPU, kDLUInt


@cython.final
@cython.no_gc_clear
cdef class ExchangeReader(Reader):
    """Reads host objects of a type with a C exchange API, which looks at nothing but the memory.

    Parameters
    ----------
    api
        The type's exchange API: its description is only borrowed, and is copied at once.
    keeper
        What keeps the memory, and where that lies.
    made
        The type of what the framework's operations make.
    state
        Questions about this thread alone: in any other state the planner knows what to do.
    requires_grad, is_negative, is_conjugate, is_host, dtype
        What the exchange API doesn't look at; `is_conjugate` is asked of complex elements only.
    byte_dtypes
        Element types that are truly integers of 8 bits: packed ones have been seen to be exported as such.
    call
        The framework's own call to numpy, which is what locks memory.
    disguised, reinterpret
        By element type that the call doesn't take, the one to view the object as; and what views it so.
    recording, record
        Whether gradients are recorded, and what switches that: while they are, the call refuses a graph.
    """

    cdef ExchangeAPI api
    cdef Keeper keeper
    cdef Guards state
    cdef object made, requires_grad, is_negative, is_conjugate, is_host, dtype
    cdef object call, reinterpret, recording, record
    cdef tuple byte_dtypes
    cdef dict disguised

    def __cinit__(
        self,
        ExchangeAPI api not None,
        *,
        Keeper keeper not None,
        made,
        Guards state not None,
        requires_grad,
        is_negative,
        is_conjugate,
        is_host,
        dtype,
        tuple byte_dtypes not None,
        call,
        dict disguised not None,
        reinterpret,
        recording,
        record,
    ):
        for descriptor in (requires_grad, is_host, dtype):
            check_descriptor(descriptor)
        self.api = api
        self.keeper = keeper
        self.made = made
        self.state = state
        self.requires_grad = requires_grad
        self.is_negative = is_negative
        self.is_conjugate = is_conjugate
        self.is_host = is_host
        self.dtype = dtype
        self.byte_dtypes = byte_dtypes
        self.call = call
        self.disguised = disguised
        self.reinterpret = reinterpret
        self.recording = recording
        self.record = record

    cdef int read(self, PyObject* x, Array* array) except -1:
        """Read an object.

        The order is the point. Finding an owner may run the collector, `is_negative` lets other threads run, and where a
        mode of the framework's is on any question runs Python: each may give the object other memory. So the owner comes
        first; the borrowed description comes last, is copied at once, and has to lie in the owner's memory
        (pytorch#170298).
        """
        cdef int flags = 0
        if not self.state.passes(x):
            return UNUSUAL
        owner = self.keeper.find(<object> x)
        if owner is None:
            return UNUSUAL
        if set_if(ask(<PyObject*> self.is_negative, x), &flags, NEGATIVE) < 0:
            return UNUSUAL
        if set_if(ask(<PyObject*> self.requires_grad, x), &flags, REQUIRES_GRAD) < 0 or not self.describe(x, array):
            return UNUSUAL
        if array.tensor.dtype.bits == 8 and array.tensor.dtype.code <= kDLUInt and not self.of_bytes(x):
            return UNUSUAL
        if array.tensor.dtype.code == kDLComplex:
            # Asking lets other threads run, so that it is described once more.
            if set_if(ask(<PyObject*> self.is_conjugate, x), &flags, CONJUGATE) < 0 or not self.describe(x, array):
                return UNUSUAL
        if array.tensor.device.device_type != kDLCPU or not self.keeper.holds(owner, &array.tensor):
            return UNUSUAL
        # Packed, where numpy pads.
        if array.tensor.dtype.bits < 8:
            return UNUSUAL
        sign(array, flags)
        Py_INCREF(<PyObject*> owner)
        array.owner = <PyObject*> owner
        return PLAIN

    cdef bint describe(self, PyObject* x, Array* array) noexcept:
        cdef DLTensor tensor
        cdef int64_t[2 * MAX_AXES] lengths
        cdef int64_t below, above
        return (
            self.api.c_describe(<object> x, &tensor, lengths) and hold(array, &tensor) and measured(array, &below, &above)
        )

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

    cdef int glance(self, PyObject* x, Array* array) noexcept:
        if not self.state.passes(x) or not self.describe(x, array):
            return UNUSUAL
        if array.tensor.device.device_type != kDLCPU:
            return UNUSUAL
        if array.tensor.dtype.bits == 8 and array.tensor.dtype.code <= kDLUInt and not self.of_bytes(x):
            return UNUSUAL
        owner = self.keeper.find(<object> x)
        if owner is None or not self.describe(x, array) or not self.keeper.holds(owner, &array.tensor):
            return UNUSUAL
        sign(array, 0)
        return PLAIN

    cdef int adopt(self, PyObject* x, Array* array) except -1:
        if Py_TYPE(x) != <PyTypeObject*> self.made:
            return UNUSUAL
        owner = self.keeper.find(<object> x)
        if owner is None or not self.describe(x, array) or array.tensor.device.device_type != kDLCPU:
            return UNUSUAL
        if not self.keeper.holds(owner, &array.tensor):
            return UNUSUAL
        sign(array, 0)
        Py_INCREF(<PyObject*> owner)
        array.owner = <PyObject*> owner
        return PLAIN

    cdef bint on_host(self, PyObject* x) noexcept:
        return answers(ask(<PyObject*> self.is_host, x), Py_True)

    cdef bint lock(self, PyObject* x, Array* array) noexcept:
        owner = <object> array.owner
        array.stays = array.stayed = not self.keeper.moves(owner)
        if not array.stays:
            self.make_stay(x, array.signature.state >> FLAG_BITS & REQUIRES_GRAD != 0)
            # Looked at afterwards: until now it could be moved, and the object be given other memory.
            array.stays = not self.keeper.moves(owner) and self.keeper.holds(owner, &array.tensor)
        return array.stays

    cdef void make_stay(self, PyObject* x, bint graph) noexcept:
        """Make the call, for what it does to the memory.

        The caller said detach=True of a graph, so that recording is off for this one call: for half the price of a
        detached tensor.
        """
        cdef bint recording = graph and answers(call_none(<PyObject*> self.recording), Py_True)
        if recording:
            Py_XDECREF(call_one(<PyObject*> self.record, Py_False))
        if not self.called(x):
            PyErr_Clear()
        if recording:
            record_again(<PyObject*> self.record)

    cdef bint called(self, PyObject* x) noexcept:
        cdef PyObject* dtype = ask(<PyObject*> self.dtype, x)
        cdef PyObject* made
        if dtype == NULL:
            return False
        made = dict_get(<PyObject*> self.disguised, dtype)
        Py_DECREF(dtype)
        if made == NULL:
            made = call_one(<PyObject*> self.call, x)
        else:
            disguise = <object> made
            Py_DECREF(made)
            try:
                self.call(self.reinterpret(<object> x, disguise))
            except Exception:
                return False
            return True
        Py_XDECREF(made)
        return made != NULL


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
