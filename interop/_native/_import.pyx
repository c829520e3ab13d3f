"""From what producers hand out to a View: capsules, and the C exchange API of other types."""

cimport cython
from cpython.exc cimport PyErr_Clear, PyErr_Occurred
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_SetName
from libc.stdint cimport UINTPTR_MAX, int64_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from interop._native._export cimport export_watched, host_accessible, process_id, unwatch
from interop._native._lookup cimport bound, find
from interop._native._layouts cimport MAX_AXES, c_order
from interop._native._making cimport check_layout
from interop._native._view cimport View, empty_view
from interop._native.dlpack cimport (
    DLPACK_MAJOR,
    DLPACK_MINOR,
    FLAG_IS_COPIED,
    FLAG_READ_ONLY,
    FLAG_SUBBYTE_PADDED,
    DLManagedTensor,
    DLManagedTensorVersioned,
    DLPackExchangeAPI,
    DLPackExchangeAPIHeader,
    DLTensor,
    kDLBool,
    kDLMetal,
)

from interop._dtypes import dtype_of_triple
from interop._words import is_a, name_of, said, shown
from interop.errors import DeviceError, DTypeError, UnsupportedError

cdef extern from "Python.h":
    void Py_XDECREF(PyObject* x) noexcept

cdef extern from *:
    """
    static PyObject *interop_raise_set(void) {
        if (PyErr_Occurred()) return NULL;
        Py_RETURN_NONE;
    }
    """
    object _raise_set "interop_raise_set" ()

cdef enum:
    # More versions than that in one chain are a cycle.
    MOST_VERSIONS = 64


@cython.final
cdef class Managed:
    """Owns a managed tensor of another library; its deleter runs when this goes."""

    def __dealloc__(self):
        # Device memory freed in a forked child would go to a driver that doesn't exist there.
        if not self.on_host and self.pid != process_id():
            return
        if self.legacy != NULL and self.legacy.deleter != NULL:
            self.legacy.deleter(self.legacy)
        if self.versioned != NULL and self.versioned.deleter != NULL:
            self.versioned.deleter(self.versioned)

    @property
    def orders(self):
        """Whether there is somebody who can order the memory on a stream."""
        return self.order is not None

    def __dlpack__(self, *, stream):
        """Have the producer export again: a View asks for that to get the memory ordered."""
        if self.order is None:
            raise BufferError("a DLPack capsule by itself can't be ordered on a stream: pass stream=-1 once it is")
        return self.order(stream)

    cdef void set_place(self, const DLTensor* tensor) noexcept:
        self.on_host = host_accessible(tensor.device.device_type)
        self.pid = 0 if self.on_host else process_id()


cdef object hold_versioned(DLManagedTensorVersioned* managed):
    """Own a managed tensor of our major version; on an exception it isn't owned."""
    cdef Managed owner = Managed.__new__(Managed)
    owner.versioned = managed
    owner.set_place(&managed.dl_tensor)
    return owner


cdef int check_version(DLManagedTensorVersioned* managed) except -1:
    if managed.version.major != DLPACK_MAJOR:
        # Of another major version nothing but the deleter may be touched.
        raise UnsupportedError(
            f"a DLPack tensor of version {managed.version.major}.{managed.version.minor} can't be read: this release knows "
            f"version {DLPACK_MAJOR}. Ask the producer for max_version=({DLPACK_MAJOR}, {DLPACK_MINOR})."
        )
    return 0


cdef View adopt(const DLTensor* tensor, uint64_t flags, bint ordered, object owner):
    """Check what a producer describes, and make a View of it with the byte offset folded into the pointer.

    Raises
    ------
    UnsupportedError, DTypeError, DeviceError
        Where the description can't be true or can't be expressed.
    """
    cdef View view
    cdef int ndim = tensor.ndim
    cdef int64_t[2 * MAX_AXES] lengths
    # First of all: they may be the object's own, which anything that runs from here on may give other ones.
    if 0 < ndim <= MAX_AXES and tensor.shape != NULL:
        memcpy(lengths, tensor.shape, ndim * sizeof(int64_t))
        if tensor.strides != NULL:
            memcpy(lengths + ndim, tensor.strides, ndim * sizeof(int64_t))
        else:
            # NULL means C order in every version (numpy before 2.4: numpy#29872).
            c_order(ndim, lengths, lengths + ndim)
    check_dtype(tensor, flags)
    if tensor.device.device_type <= 0:
        raise DeviceError(f"the producer's DLPack tensor is on device type {tensor.device.device_type}, and there is none.")
    if ndim < 0 or ndim > MAX_AXES:
        raise UnsupportedError(f"a DLPack tensor of {ndim} axes can't be taken: 0 to {MAX_AXES} are. Reshape it first.")
    if ndim > 0 and tensor.shape == NULL:
        raise UnsupportedError(f"the producer's DLPack tensor has {ndim} axes and no shape. This is a bug of the producer.")
    view = empty_view(ndim, owner)
    memcpy(view.tensor.shape, lengths, 2 * ndim * sizeof(int64_t))
    view.tensor.data = tensor.data
    view.tensor.device = tensor.device
    view.tensor.dtype = tensor.dtype
    # What newer minor versions may have added isn't handed on by someone who doesn't know it.
    view.flags = flags & (FLAG_READ_ONLY | FLAG_IS_COPIED)
    if tensor.dtype.bits < 8 and tensor.dtype.lanes == 1:
        view.flags |= FLAG_SUBBYTE_PADDED
    view.ordered = ordered
    if tensor.device.device_type == kDLMetal:
        # There `data` is a buffer object, not an address (pytorch#182924).
        view.tensor.byte_offset = tensor.byte_offset
    elif tensor.data != NULL:
        if tensor.byte_offset > UINTPTR_MAX - <uintptr_t> tensor.data:
            raise UnsupportedError(f"no memory is {tensor.byte_offset} bytes beyond {<uintptr_t> tensor.data:#x}. This is a bug of the producer.")
        # Consumers that forgot this read other memory (pytorch#168177, cuda-python#2592, warp#1573).
        view.tensor.data = <void*> (<uintptr_t> tensor.data + <uintptr_t> tensor.byte_offset)
    check_layout(view)
    return view


cdef int check_dtype(const DLTensor* tensor, uint64_t flags) except -1:
    cdef int bits = tensor.dtype.bits * tensor.dtype.lanes
    cdef bint padded = flags & FLAG_SUBBYTE_PADDED != 0 and tensor.dtype.bits < 8
    if bits != 0 and (bits % 8 == 0 and not padded or padded and tensor.dtype.lanes == 1) and tensor.dtype.code != kDLBool:
        return 0
    name = dtype_of_triple(tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes)
    if bits == 0:
        raise DTypeError(f"the producer's DLPack element type {name} has no bits. This is a bug of the producer.")
    if tensor.dtype.code == kDLBool and tensor.dtype.bits != 8:
        raise DTypeError(f"booleans of {tensor.dtype.bits} bits are packed. Ask the producer for 8-bit booleans.")
    if bits % 8 and not padded:
        raise DTypeError(f"elements of {bits} bits ({name}) are packed. Ask the producer for one of whole bytes, such as int8.")
    if padded and tensor.dtype.lanes != 1:
        raise DTypeError(f"elements of {tensor.dtype.lanes} lanes ({name}), each padded to a byte, are unknown here. Ask for one lane.")
    return 0


def peek_capsule(capsule, /, *, bint legacy_readonly=True):
    """Look at a DLPack capsule without consuming it: a View that borrows, for as long as nobody consumes it.

    What a legacy capsule, which can't say whether its memory may be written, is taken for is the caller's to say.

    Raises
    ------
    UnsupportedError, DTypeError
        If it is no DLPack capsule, has been consumed, or what it holds can't be taken.
    """
    cdef DLManagedTensorVersioned* versioned
    cdef DLManagedTensor* legacy
    if PyCapsule_IsValid(capsule, b"dltensor_versioned"):
        versioned = <DLManagedTensorVersioned*> PyCapsule_GetPointer(capsule, b"dltensor_versioned")
        check_version(versioned)
        return adopt(&versioned.dl_tensor, versioned.flags, True, capsule)
    if PyCapsule_IsValid(capsule, b"dltensor"):
        legacy = <DLManagedTensor*> PyCapsule_GetPointer(capsule, b"dltensor")
        return adopt(&legacy.dl_tensor, FLAG_READ_ONLY if legacy_readonly else 0, True, capsule)
    # Refuses, and says why.
    return view_from_capsule(capsule)


def view_from_capsule(capsule, /, *, bint ordered=True, bint legacy_readonly=True):
    """Consume a DLPack capsule.

    Parameters
    ----------
    capsule
        Named "dltensor" or "dltensor_versioned"; it is consumed, also where the tensor is refused.
    ordered
        Whether the data was ordered on the consumer's stream.
    legacy_readonly
        A legacy capsule can't say whether the memory may be written: what to take it for.
    """
    cdef Managed owner = Managed.__new__(Managed)
    cdef DLManagedTensorVersioned* versioned = NULL
    cdef DLManagedTensor* legacy = NULL
    # Two threads that meet one capsule: the name must change with the tensor's owner.
    with cython.critical_section(capsule):
        if PyCapsule_IsValid(capsule, b"dltensor_versioned"):
            versioned = <DLManagedTensorVersioned*> PyCapsule_GetPointer(capsule, b"dltensor_versioned")
            PyCapsule_SetName(capsule, b"used_dltensor_versioned")
        elif PyCapsule_IsValid(capsule, b"dltensor"):
            legacy = <DLManagedTensor*> PyCapsule_GetPointer(capsule, b"dltensor")
            PyCapsule_SetName(capsule, b"used_dltensor")
    # From here on every refusal deletes the tensor, by way of its owner.
    if versioned != NULL:
        owner.versioned = versioned
        owner.on_host = True
        check_version(versioned)
        owner.set_place(&versioned.dl_tensor)
        return adopt(&versioned.dl_tensor, versioned.flags, ordered, owner)
    if legacy != NULL:
        owner.legacy = legacy
        owner.set_place(&legacy.dl_tensor)
        return adopt(&legacy.dl_tensor, FLAG_READ_ONLY if legacy_readonly else 0, ordered, owner)
    if PyCapsule_IsValid(capsule, b"used_dltensor_versioned") or PyCapsule_IsValid(capsule, b"used_dltensor"):
        raise UnsupportedError("this DLPack capsule has been consumed: each is good for one consumer. Export again.")
    raise UnsupportedError(f"{shown(capsule)} is no DLPack capsule: those are named 'dltensor' or 'dltensor_versioned'.")


# The C exchange API.

cdef class ExchangeAPI:
    """The DLPack C exchange API of one type.

    It goes round the checks of ``__dlpack__``: what a type's Python method refuses (a graph, a conjugate bit), its C
    functions hand out. Whoever uses it looks at those things first, and uses it for exactly that type.
    """

    def __init__(self):
        raise TypeError("ExchangeAPI.of(type) finds it")

    @staticmethod
    def of(tp, /, *, bint deletes_under_lock=False):
        """Find the API of a type, or None where it has none of a version that is known.

        A newer API leads to the older ones that the type also offers. What a metaclass has under the name isn't meant.
        A library that holds a lock of its own while it calls a deleter (`deletes_under_lock`) gets deleters that only
        note that memory is free: its owner is released soon after, outside of that lock.
        """
        cdef ExchangeAPI api
        cdef DLPackExchangeAPIHeader* header
        cdef int version
        # The second spelling was used before DLPack 1.3 settled the name (cuda-python#1630).
        for spelling in ("__dlpack_c_exchange_api__", "__c_dlpack_exchange_api__"):
            try:
                value = bound(find(tp, spelling), None, tp)
            except Exception:
                continue
            header = header_of(value)
            for version in range(MOST_VERSIONS):
                if header == NULL or header.version.major == DLPACK_MAJOR:
                    break
                header = header.prev_api
            else:
                header = NULL
            if header != NULL:
                api = ExchangeAPI.__new__(ExchangeAPI)
                api.api = <DLPackExchangeAPI*> header
                api.holder = value
                api.deletes_under_lock = deletes_under_lock
                return api
        return None

    @property
    def version(self):
        """Major and minor version."""
        return (self.api.header.version.major, self.api.header.version.minor)

    def export(self, x, /):
        """Export an object of exactly the type: the View owns a managed tensor.

        Raises
        ------
        UnsupportedError, DTypeError, DeviceError
            If the library refuses, or what it exports can't be taken.
        """
        cdef Managed owner = Managed.__new__(Managed)
        cdef DLManagedTensorVersioned* managed = NULL
        if self.api.managed_tensor_from_py_object_no_sync == NULL:
            raise UnsupportedError(f"the exchange API of {name_of(type(x))} exports nothing.")
        owner.on_host = True
        if self.api.managed_tensor_from_py_object_no_sync(<void*> x, &managed) != 0:
            raise_pending("a", type(x), "can't be exported")
        # Owned first, so that it's deleted whatever follows.
        owner.versioned = managed
        if PyErr_Occurred() != NULL:
            raise_pending("a", type(x), "was exported, and wasn't")
        if managed == NULL:
            raise UnsupportedError(f"the exchange API of {name_of(type(x))} exported nothing. This is its bug.")
        check_version(managed)
        owner.set_place(&managed.dl_tensor)
        return adopt(&managed.dl_tensor, managed.flags, host_accessible(managed.dl_tensor.device.device_type), owner)

    def peek(self, x, owner, /):
        """Describe an object of exactly the type without a managed tensor; `owner` keeps the memory alive.

        Raises
        ------
        UnsupportedError, DTypeError, DeviceError
            If the library refuses, or what it describes can't be taken.
        """
        cdef DLTensor tensor
        if self.api.dltensor_from_py_object_no_sync == NULL:
            raise UnsupportedError(f"the exchange API of {name_of(type(x))} doesn't describe without owning: use export.")
        if self.api.dltensor_from_py_object_no_sync(<void*> x, &tensor) != 0 or PyErr_Occurred() != NULL:
            raise_pending("a", type(x), "can't be described")
        return adopt(&tensor, 0, host_accessible(tensor.device.device_type), owner)

    def wrap(self, View view not None, /):
        """Make an object of the type on a View's memory; whether the library heeds readonly is up to it.

        Raises
        ------
        UnsupportedError
            If the library refuses.
        """
        cdef PyObject* made
        if self.api.managed_tensor_to_py_object_no_sync == NULL:
            raise UnsupportedError("the exchange API takes nothing in.")
        made = self.c_wrap(&view.tensor, view.flags & FLAG_READ_ONLY != 0, view.owner)
        if made == NULL or PyErr_Occurred() != NULL:
            Py_XDECREF(made)
            raise_pending("the memory", None, "can't be wrapped")
        result = <object> made
        Py_XDECREF(made)
        return result

    def current_work_stream(self, int device_type, int device_index, /):
        """The handle of the stream that the library works on; 0 is the default one."""
        cdef void* stream = NULL
        if self.api.current_work_stream == NULL:
            raise UnsupportedError("the exchange API knows no streams.")
        if self.api.current_work_stream(device_type, device_index, &stream) != 0:
            raise_pending("no current stream on device type", device_type, "can be told")
        return <uintptr_t> stream

    cdef bint c_describe(self, object x, DLTensor* tensor, int64_t* lengths) noexcept:
        """Describe an object as :meth:`peek` does, pointer at the first element; False where anything is odd.

        Shape and strides are copied to `lengths`, which has room for 2 * MAX_AXES: those that the library lends are
        the object's own, and go when something that runs meanwhile gives it other memory.
        """
        cdef int axis
        if self.api.dltensor_from_py_object_no_sync == NULL:
            return False
        if self.api.dltensor_from_py_object_no_sync(<void*> x, tensor) != 0:
            PyErr_Clear()
            return False
        if tensor.ndim != 0 and (tensor.ndim < 0 or tensor.ndim > MAX_AXES or tensor.shape == NULL or tensor.strides == NULL):
            return False
        for axis in range(tensor.ndim):
            lengths[axis] = tensor.shape[axis]
            lengths[tensor.ndim + axis] = tensor.strides[axis]
        tensor.shape = lengths
        tensor.strides = lengths + tensor.ndim
        if tensor.dtype.lanes != 1 or tensor.dtype.bits == 0 or tensor.dtype.bits % 8:
            return False
        if tensor.device.device_type != kDLMetal and tensor.data != NULL:
            if tensor.byte_offset > UINTPTR_MAX - <uintptr_t> tensor.data:
                return False
            tensor.data = <void*> (<uintptr_t> tensor.data + <uintptr_t> tensor.byte_offset)
            tensor.byte_offset = 0
        return True

    cdef PyObject* c_wrap(self, const DLTensor* tensor, bint readonly, object owner) noexcept:
        """Make an object of the type on memory that `owner` keeps alive; NULL, with or without an exception set, if not.

        The API has to have the function for it.
        """
        cdef uint64_t flags = FLAG_READ_ONLY if readonly else 0
        cdef void* made = NULL
        cdef DLManagedTensorVersioned* managed
        cdef bint failed
        if tensor.dtype.bits < 8 and tensor.dtype.lanes == 1:
            flags |= FLAG_SUBBYTE_PADDED
        managed = export_watched(tensor, flags, owner, self.deletes_under_lock)
        if managed == NULL:
            return NULL
        failed = self.api.managed_tensor_to_py_object_no_sync(managed, &made) != 0 or made == NULL
        # Whether a failed call has taken the tensor isn't said: torch does or doesn't, by where it failed.
        if not unwatch(managed) and failed:
            managed.deleter(managed)
        return NULL if failed else <PyObject*> made


cdef DLPackExchangeAPIHeader* header_of(value) except? NULL:
    """Where the attribute's value points to; NULL where it's no pointer."""
    if PyCapsule_IsValid(value, b"dlpack_exchange_api"):
        return <DLPackExchangeAPIHeader*> PyCapsule_GetPointer(value, b"dlpack_exchange_api")
    # An address, as before DLPack 1.3. It can't be proven; what can't be one of a struct isn't followed.
    if type(value) is int and 4096 <= value <= <uintptr_t> UINTPTR_MAX and value % sizeof(void*) == 0:
        return <DLPackExchangeAPIHeader*> <uintptr_t> value
    return NULL


cdef int raise_pending(str before, subject, str after) except -1:
    """Raise the exception that a C function has left, as the cause of ours."""
    cdef object error = None
    try:
        # First of all: no Python code may run with an exception set, not even for the message.
        _raise_set()
    except Exception as err:
        error = err
    name = name_of(subject) if is_a(subject, type) else subject
    what = f"{before} {after}" if subject is None else f"{before} {name} {after}"
    if error is None:
        raise UnsupportedError(f"{what}: the library gave no reason.")
    raise UnsupportedError(f"{what}: {said(error)}") from error
