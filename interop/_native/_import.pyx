"""From what producers hand out to a View: capsules, ``__dlpack__``, and the C exchange API."""

cimport cython
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_SetName
from libc.stdint cimport UINTPTR_MAX, int64_t, uint64_t, uintptr_t
from libc.string cimport memcpy

from interop._native._export cimport export_versioned, host_accessible, process_id, watch
from interop._native._view cimport MAX_AXES, View, c_order, check_layout, empty_view
from interop._native.dlpack cimport (
    DLPACK_MAJOR,
    DLPACK_MINOR,
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

import inspect
import weakref

from interop._devices import HOST_ACCESSIBLE, device_of_pair
from interop._dtypes import dtype_of_triple
from interop.errors import CopyError, DeviceError, DTypeError, UnsupportedError

cdef extern from "Python.h":
    void PyErr_Clear()


cdef class _Managed:
    """Owns a managed tensor of another library; its deleter runs when this goes."""

    cdef DLManagedTensor* legacy
    cdef DLManagedTensorVersioned* versioned
    cdef bint on_host
    cdef long pid
    # For device memory, the object that exported it: it alone can order the memory on a stream.
    cdef object producer

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
        return self.producer is not None

    def __dlpack__(self, **keywords):
        """Have the producer export again: a View asks for that to get the memory ordered."""
        if self.producer is None:
            raise BufferError("a DLPack capsule by itself can't be ordered on a stream: pass stream=-1 once it is")
        return self.producer.__dlpack__(**keywords)

    cdef void set_place(self, const DLTensor* tensor) noexcept:
        self.on_host = host_accessible(tensor.device.device_type)
        self.pid = 0 if self.on_host else process_id()


cdef object hold_versioned(DLManagedTensorVersioned* managed):
    """Own a managed tensor of our major version; on an exception it isn't owned."""
    cdef _Managed owner = _Managed.__new__(_Managed)
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
    check_dtype(tensor, flags)
    if tensor.device.device_type <= 0:
        raise DeviceError(f"the producer's DLPack tensor is on device type {tensor.device.device_type}, and there is none.")
    if ndim < 0 or ndim > MAX_AXES:
        raise UnsupportedError(f"a DLPack tensor of {ndim} axes can't be taken: 0 to {MAX_AXES} are. Reshape it first.")
    if ndim > 0 and tensor.shape == NULL:
        raise UnsupportedError(f"the producer's DLPack tensor has {ndim} axes and no shape. This is a bug of the producer.")
    view = empty_view(ndim, owner)
    if ndim > 0:
        memcpy(view.tensor.shape, tensor.shape, ndim * sizeof(int64_t))
        if tensor.strides != NULL:
            memcpy(view.tensor.strides, tensor.strides, ndim * sizeof(int64_t))
        else:
            # NULL means C order in every version (numpy before 2.4: numpy#29872).
            c_order(ndim, view.tensor.shape, view.tensor.strides)
    view.tensor.data = tensor.data
    view.tensor.device = tensor.device
    view.tensor.dtype = tensor.dtype
    view.flags = flags
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
    if bits != 0 and bits % 8 == 0 and tensor.dtype.code != kDLBool:
        return 0
    name = dtype_of_triple(tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes)
    if bits == 0:
        raise DTypeError(f"the producer's DLPack element type {name} has no bits. This is a bug of the producer.")
    if tensor.dtype.code == kDLBool and tensor.dtype.bits != 8:
        raise DTypeError(f"booleans of {tensor.dtype.bits} bits are packed. Ask the producer for 8-bit booleans.")
    if bits % 8 and not flags & FLAG_SUBBYTE_PADDED:
        raise DTypeError(f"elements of {bits} bits ({name}) are packed. Ask the producer for one of whole bytes, such as int8.")
    return 0


def peek_capsule(capsule, /):
    """Look at a DLPack capsule without consuming it: a View that borrows, for as long as nobody consumes it.

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
        return adopt(&legacy.dl_tensor, FLAG_READ_ONLY, True, capsule)
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
    cdef _Managed owner = _Managed.__new__(_Managed)
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
    raise UnsupportedError(f"{capsule!r} is no DLPack capsule: those are named 'dltensor' or 'dltensor_versioned'.")


# __dlpack__: which keywords a type takes is worked out once.

_NEWEST = (DLPACK_MAJOR, DLPACK_MINOR)
_KEYWORDS = ("stream", "max_version", "dl_device", "copy")
_accepted = weakref.WeakKeyDictionary()


cdef object keywords_of(tp):
    found = _accepted.get(tp)
    if found is not None:
        return found
    try:
        parameters = inspect.signature(tp.__dlpack__).parameters.values()
    except (TypeError, ValueError):
        # A builtin without a signature: assume all, and see (call_dlpack) whether it takes them.
        return None
    if any([parameter.kind is parameter.VAR_KEYWORD for parameter in parameters]):
        found = frozenset(_KEYWORDS)
    else:
        found = frozenset(_KEYWORDS) & {parameter.name for parameter in parameters}
    _accepted[tp] = found
    return found


cdef object call_dlpack(x, dict wanted):
    """Call ``x.__dlpack__`` with those of the wanted keywords that its type takes.

    Which those are is a matter of the signature, not of trying: a TypeError raised inside a producer is a bug to be
    reported, not an old version of the protocol.
    """
    tp = type(x)
    method = tp.__dlpack__
    accepted = keywords_of(tp)
    if accepted is not None:
        return method(x, **{name: value for name, value in wanted.items() if name in accepted})
    try:
        capsule = method(x, **wanted)
    except TypeError as err:
        # Only a call that works with fewer keywords proves that the keywords were at fault.
        try:
            capsule = method(x, **{name: value for name, value in wanted.items() if name == "stream"})
        except TypeError:
            raise err from None
        _accepted[tp] = frozenset({"stream"})
        return capsule
    _accepted[tp] = frozenset(_KEYWORDS)
    return capsule


def view_from_dlpack(x, /, *, stream=None, dl_device=None, copy=None):
    """Export an object through its ``__dlpack__``.

    Parameters
    ----------
    x
        The producer.
    stream
        The consumer's stream, for device memory.
    dl_device
        Where the data is wanted; the producer moves it.
    copy
        True and False ask the producer for a copy and for none; one that doesn't know the keyword isn't asked.

    Raises
    ------
    UnsupportedError, CopyError, DeviceError, DTypeError
        If the producer refuses, or what it hands out can't be taken.
    """
    cdef View view
    wanted = {"max_version": _NEWEST}
    if stream is not None:
        wanted["stream"] = stream
    if dl_device is not None:
        wanted["dl_device"] = dl_device
    if copy is not None:
        wanted["copy"] = copy
    name = f"{type(x).__module__}.{type(x).__qualname__}"
    try:
        capsule = call_dlpack(x, wanted)
    except Exception as err:
        said = f"{type(err).__name__}: {err}"
        if dl_device is not None:
            raise DeviceError(f"a {name} can't be moved to {device_of_pair(*dl_device)}: its __dlpack__ raised {said}.") from err
        # What a copy=False that isn't possible raises (array API); numpy and jax choose either.
        if copy is False and isinstance(err, (BufferError, ValueError)):
            raise CopyError(f"a {name} can't be exported without a copy: its __dlpack__ raised {said}.") from err
        raise UnsupportedError(f"a {name} can't be exported: its __dlpack__ raised {said}.") from err
    try:
        view = view_from_capsule(capsule, ordered=stream is not None)
    except (UnsupportedError, DTypeError, DeviceError) as err:
        raise type(err)(f"what a {name} exports can't be taken: {err}") from None
    if copy is False and view.copied:
        raise CopyError(f"a {name} was asked for its own memory and says that it exported a copy. Pass copy=None.")
    if dl_device is not None:
        if not host_accessible(view.tensor.device.device_type) and view.__dlpack_device__() != tuple(dl_device):
            # tvm_ffi was seen to ignore the keyword.
            raise DeviceError(f"a {name} was asked for {device_of_pair(*dl_device)} and exported {view.device}. This is its bug.")
    else:
        check_device(x, view, name)
    if host_accessible(view.tensor.device.device_type):
        view.ordered = True
    else:
        (<_Managed> view.owner).producer = x
    return view


cdef int check_device(x, View view, str name) except -1:
    """Compare what the object says of its device with what its capsule says."""
    if not hasattr(type(x), "__dlpack_device__"):
        return 0
    try:
        kind, index = x.__dlpack_device__()
        # paddle's index is None.
        said = device_of_pair(int(kind), int(index or 0))
        kind = int(kind)
    except Exception as err:
        raise DeviceError(f"the __dlpack_device__ of a {name} failed: {type(err).__name__}: {err}.") from err
    # Page-locked memory of torch is (3, 0) for the object and the host's for the capsule (pytorch#136250).
    if kind == view.tensor.device.device_type or (
        kind in HOST_ACCESSIBLE and host_accessible(view.tensor.device.device_type)
    ):
        return 0
    raise DeviceError(
        f"a {name} says that it is on {said} and exports memory on {view.device}. "
        "This is a bug of the producer."
    )


# The C exchange API.

cdef class ExchangeAPI:
    """The DLPack C exchange API of one type.

    It goes round the checks of ``__dlpack__``: what a type's Python method refuses (a graph, a conjugate bit), its C
    functions hand out. Whoever uses it looks at those things first, and uses it for exactly that type.
    """

    def __init__(self):
        raise TypeError("ExchangeAPI.of(type) finds it")

    @staticmethod
    def of(tp, /):
        """Find the API of a type, or None where it has none of a version that is known.

        A newer API leads to the older ones that the type also offers.
        """
        cdef ExchangeAPI found
        cdef DLPackExchangeAPIHeader* header = NULL
        # The second spelling was used before DLPack 1.3 settled the name (cuda-python#1630).
        value = getattr(tp, "__dlpack_c_exchange_api__", None)
        if value is None:
            value = getattr(tp, "__c_dlpack_exchange_api__", None)
        if PyCapsule_IsValid(value, b"dlpack_exchange_api"):
            header = <DLPackExchangeAPIHeader*> PyCapsule_GetPointer(value, b"dlpack_exchange_api")
        elif type(value) is int and 4096 <= value <= <uintptr_t> UINTPTR_MAX and value % sizeof(void*) == 0:
            # An address can't be proven; what can't be one of a struct isn't followed.
            header = <DLPackExchangeAPIHeader*> <uintptr_t> value
        while header != NULL and header.version.major != DLPACK_MAJOR:
            header = header.prev_api
        if header == NULL:
            return None
        found = ExchangeAPI.__new__(ExchangeAPI)
        found.api = <DLPackExchangeAPI*> header
        found.holder = value
        return found

    @property
    def version(self):
        """Major and minor version."""
        return (self.api.header.version.major, self.api.header.version.minor)

    def export(self, x, /):
        """Export an object: the View owns a managed tensor."""
        cdef _Managed owner = _Managed.__new__(_Managed)
        cdef DLManagedTensorVersioned* managed = NULL
        if self.api.managed_tensor_from_py_object_no_sync == NULL:
            raise UnsupportedError(f"the exchange API of {type(x).__qualname__} exports nothing.")
        owner.on_host = True
        if self.api.managed_tensor_from_py_object_no_sync(<void*> x, &managed) != 0:
            raise_pending("a", type(x), "can't be exported")
        if managed == NULL:
            raise UnsupportedError(f"the exchange API of {type(x).__qualname__} exported nothing. This is its bug.")
        owner.versioned = managed
        check_version(managed)
        owner.set_place(&managed.dl_tensor)
        return adopt(&managed.dl_tensor, managed.flags, host_accessible(managed.dl_tensor.device.device_type), owner)

    def peek(self, x, owner, /):
        """Describe an object without a managed tensor; `owner` keeps the memory alive."""
        cdef DLTensor tensor
        if self.api.dltensor_from_py_object_no_sync == NULL:
            raise UnsupportedError(f"the exchange API of {type(x).__qualname__} doesn't describe without owning: use export.")
        if self.api.dltensor_from_py_object_no_sync(<void*> x, &tensor) != 0:
            raise_pending("a", type(x), "can't be described")
        return adopt(&tensor, 0, host_accessible(tensor.device.device_type), owner)

    def wrap(self, View view not None, /):
        """Make an object of the type on a View's memory."""
        return self.c_wrap(&view.tensor, view.flags & FLAG_READ_ONLY != 0, view.owner)

    def current_work_stream(self, int device_type, int device_index, /):
        """The handle of the stream that the library works on; 0 is the default one."""
        cdef void* stream = NULL
        if self.api.current_work_stream == NULL:
            raise UnsupportedError("the exchange API knows no streams.")
        if self.api.current_work_stream(device_type, device_index, &stream) != 0:
            raise_pending("no current stream on device type", device_type, "can be told")
        return <uintptr_t> stream

    cdef bint c_describe(self, object x, DLTensor* tensor):
        """Describe an object as :meth:`peek` does, pointer at the first element; False where anything is odd."""
        if self.api.dltensor_from_py_object_no_sync == NULL:
            return False
        if self.api.dltensor_from_py_object_no_sync(<void*> x, tensor) != 0:
            PyErr_Clear()
            return False
        if tensor.ndim > MAX_AXES or (tensor.strides == NULL and tensor.ndim != 0) or tensor.dtype.lanes != 1:
            return False
        if tensor.device.device_type != kDLMetal and tensor.data != NULL:
            tensor.data = <char*> tensor.data + tensor.byte_offset
            tensor.byte_offset = 0
        return True

    cdef object c_wrap(self, const DLTensor* tensor, bint readonly, object owner):
        """Make an object of the type on memory that `owner` keeps alive."""
        cdef uint64_t flags = FLAG_READ_ONLY if readonly else 0
        cdef bint deleted = False
        cdef void* made = NULL
        cdef DLManagedTensorVersioned* managed
        if self.api.managed_tensor_to_py_object_no_sync == NULL:
            raise UnsupportedError("the exchange API takes nothing in.")
        if tensor.dtype.bits < 8 and tensor.dtype.lanes == 1:
            flags |= FLAG_SUBBYTE_PADDED
        managed = export_versioned(tensor, flags, owner)
        # Whether a failed call has taken the tensor isn't said: torch does or doesn't, by where it failed.
        watch(managed, &deleted)
        if self.api.managed_tensor_to_py_object_no_sync(managed, &made) != 0 or made == NULL:
            if not deleted:
                watch(managed, NULL)
                managed.deleter(managed)
            raise_pending("the memory", None, "can't be wrapped")
        if not deleted:
            watch(managed, NULL)
        result = <object> made
        # The call gave us the reference.
        _decref(result)
        return result


cdef extern from "Python.h":
    void _decref "Py_DECREF" (object)


cdef int raise_pending(str before, subject, str after) except -1:
    """Raise the exception that a C function has left, as the cause of ours."""
    cdef object error = None
    try:
        # First of all: no Python code may run with an exception set, not even for the message.
        _raise_set()
    except Exception as err:
        error = err
    name = getattr(subject, "__qualname__", subject)
    what = f"{before} {after}" if subject is None else f"{before} {name} {after}"
    if error is None:
        raise UnsupportedError(f"{what}: the library gave no reason.")
    raise UnsupportedError(f"{what}: {type(error).__name__}: {error}") from error


cdef extern from *:
    """
    static PyObject *interop_raise_set(void) {
        if (PyErr_Occurred()) return NULL;
        Py_RETURN_NONE;
    }
    """
    object _raise_set "interop_raise_set" ()
