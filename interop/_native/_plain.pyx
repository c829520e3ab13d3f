"""Objects in device memory that need nothing done, and what describes them without a Python frame.

A function that keeps memory safe is looked up by its name at every call, so that what is put in its place counts.
"""

cimport cython
from cpython.exc cimport PyErr_Clear
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uintptr_t

from interop._native._calls cimport Py_DECREF, PyTuple_GET_ITEM, PyTuple_GET_SIZE, call_one, get_attribute, recall
from interop._native._import cimport ExchangeAPI
from interop._native._keeping cimport Keeper
from interop._native._questions cimport Guards, check_descriptor
from interop._native._layouts cimport MAX_AXES
from interop._native.dlpack cimport DLDataType, DLDevice, DLTensor, kDLComplex, kDLCUDA, kDLUInt


cdef object read(object descriptor, object x):
    """An attribute by its descriptor."""
    cdef PyObject* found = get_attribute(<PyObject*> descriptor, <PyObject*> x)
    if found == NULL:
        # With an exception set, or the descriptor's class has lost its __get__.
        return descriptor.__get__(x)
    value = <object> found
    Py_DECREF(found)
    return value


cdef object call(object function, object x):
    """What a function gives for one object."""
    cdef PyObject* made = call_one(<PyObject*> function, <PyObject*> x)
    if made == NULL:
        _raise_set()
    result = <object> made
    Py_DECREF(made)
    return result


cdef extern from *:
    """
    static PyObject *interop_raise_pending(void) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_RuntimeError, "a call gave nothing");
        return NULL;
    }
    """
    object _raise_set "interop_raise_pending" ()


cdef object raise_set():
    """Raise what a C function has set."""
    return _raise_set()


@cython.final
@cython.no_gc_clear
cdef class Named:
    """A function of a module, looked up by its name at each call.

    Parameters
    ----------
    namespace
        The module's dictionary.
    name
        The function's name in it.
    """

    def __cinit__(self, dict namespace not None, str name not None):
        self.namespace = namespace
        self.name = name
        self.first = namespace[name]

    cdef object now(self):
        """The function; None where it is the one that was there first, and what stands for it may run."""
        cdef PyObject* found = recall(<PyObject*> self.namespace, <PyObject*> self.name, &self.memo)
        if found == NULL:
            raise NameError(self.name)
        function = <object> found
        Py_DECREF(found)
        return None if function is self.first else function

    cdef object function(self):
        function = self.now()
        return self.first if function is None else function


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
cdef class PlainArrays:
    """Arrays of device memory, which are described by their attributes.

    Parameters
    ----------
    memory, shape, strides, dtype
        Descriptors of an array; strides are in bytes.
    ptr, index
        Descriptors of its memory: address, and index of the device.
    dtypes
        By element type, its size and its DLPack triple.
    kind, device_kind
        Gives an address's kind of memory, and which one it must be.
    """

    def __cinit__(self, *, memory, shape, strides, dtype, ptr, index, dict dtypes not None, kind, device_kind):
        for descriptor in (memory, shape, strides, dtype, ptr, index):
            check_descriptor(descriptor)
        self.memory = memory
        self.shape = shape
        self.strides = strides
        self.dtype = dtype
        self.ptr = ptr
        self.index = index
        self.dtypes = dtypes
        self.kind = kind
        self.device_kind = device_kind

    cdef object describe(self, object x, DLTensor* tensor, int64_t* lengths):
        """Fill in `tensor`; return what holds the memory, or None."""
        cdef tuple row, triple, shape, strides
        cdef int64_t size
        cdef int axis
        row = <tuple> self.dtypes.get(read(self.dtype, x))
        if row is None:
            return None
        memory = read(self.memory, x)
        address = read(self.ptr, memory)
        if call(self.kind, address) != self.device_kind:
            return None
        shape, strides = read(self.shape, x), read(self.strides, x)
        # Both are made when they are asked for, which may run a finalizer that gives the array another shape.
        if len(shape) > MAX_AXES or read(self.shape, x) != shape or read(self.memory, x) is not memory:
            return None
        size, triple = row
        tensor.data = <void*> <uintptr_t> address
        if tensor.data == NULL:
            return None
        tensor.ndim = len(shape)
        tensor.shape = lengths
        tensor.strides = lengths + tensor.ndim
        for axis in range(tensor.ndim):
            tensor.shape[axis] = shape[axis]
            tensor.strides[axis] = <int64_t> strides[axis] // size
            if tensor.strides[axis] * size != <int64_t> strides[axis]:
                return None
        tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes = triple
        tensor.device.device_type = kDLCUDA
        tensor.device.device_id = read(self.index, memory)
        tensor.byte_offset = 0
        return memory
