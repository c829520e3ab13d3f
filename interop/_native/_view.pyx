"""The View: memory without a framework, and every protocol to hand it on."""

cimport cython
from cpython.buffer cimport (
    PyBUF_ANY_CONTIGUOUS,
    PyBUF_C_CONTIGUOUS,
    PyBUF_F_CONTIGUOUS,
    PyBUF_FORMAT,
    PyBUF_ND,
    PyBUF_STRIDES,
    PyBUF_WRITABLE,
)
from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport INT32_MAX, INT64_MIN, UINTPTR_MAX, int64_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from interop._native._copying cimport copy_elements
from interop._native._guarding cimport Event, guarded, note, permit
from interop._native._export cimport host_accessible, legacy_capsule, versioned_capsule
from interop._native.dlpack cimport (
    FLAG_IS_COPIED,
    FLAG_READ_ONLY,
    FLAG_SUBBYTE_PADDED,
    DLPackExchangeAPI,
    DLTensor,
    kDLBool,
    kDLComplex,
    kDLCPU,
    kDLCUDA,
    kDLCUDAManaged,
    kDLFloat,
    kDLInt,
    kDLMetal,
    kDLROCM,
    kDLUInt,
)

import operator
import sys

from interop._devices import device_of_pair
from interop._dtypes import dtype_of_triple
from interop._native._lookup import find
from interop._words import said, shown
from interop.errors import CopyError, DeviceError, UnsupportedError

cdef extern from *:
    """
    /* Whether the result, which is put in its place, is another than that of mathematics. */
    #if defined(__GNUC__)
    #define interop_multiply(a, b, product) __builtin_mul_overflow((a), (b), (product))
    #define interop_add(a, b, sum) __builtin_add_overflow((a), (b), (sum))
    #else
    static CYTHON_INLINE int interop_multiply(int64_t a, int64_t b, int64_t *product) {
        *product = (int64_t) ((uint64_t) a * (uint64_t) b);
        return (a == -1 && b == INT64_MIN) || (a != 0 && a != -1 && *product / a != b);
    }
    static CYTHON_INLINE int interop_add(int64_t a, int64_t b, int64_t *sum) {
        *sum = (int64_t) ((uint64_t) a + (uint64_t) b);
        return (a < 0) == (b < 0) && (*sum < 0) != (a < 0);
    }
    #endif
    """
    bint multiply "interop_multiply" (int64_t a, int64_t b, int64_t* product) noexcept nogil
    bint add "interop_add" (int64_t a, int64_t b, int64_t* sum) noexcept nogil

# Formats of the buffer protocol (PEP 3118) by code and bits; the small floats have none.
cdef dict _FORMATS = {
    (kDLBool, 8): b"?",
    (kDLInt, 8): b"b",
    (kDLInt, 16): b"h",
    (kDLInt, 32): b"i",
    (kDLInt, 64): b"l" if sizeof(long) == 8 else b"q",
    (kDLUInt, 8): b"B",
    (kDLUInt, 16): b"H",
    (kDLUInt, 32): b"I",
    (kDLUInt, 64): b"L" if sizeof(long) == 8 else b"Q",
    (kDLFloat, 16): b"e",
    (kDLFloat, 32): b"f",
    (kDLFloat, 64): b"d",
    (kDLComplex, 64): b"Zf",
    (kDLComplex, 128): b"Zd",
}

# What DLPack disallows as the stream of a device, and what to pass instead: 0 is either default stream of CUDA, and the
# only one of ROCm, where 1 and 2 mean nothing.
cdef dict _NO_STREAMS = {kDLCUDA: (0,), kDLCUDAManaged: (0,), kDLROCM: (1, 2)}
cdef dict _INSTEAD = {
    kDLCUDA: "pass 1 for the legacy default stream, or 2 for the thread's own",
    kDLCUDAManaged: "pass 1 for the legacy default stream, or 2 for the thread's own",
    kDLROCM: "pass 0 for the default stream",
}

# Kinds of the array interfaces' type strings, which express the same elements.
cdef dict _KINDS = {kDLBool: "b", kDLInt: "i", kDLUInt: "u", kDLFloat: "f", kDLComplex: "c"}
cdef str _ORDER = "<" if sys.byteorder == "little" else ">"


cdef class _Memory:
    """A block of host memory, freed with its last reference."""

    cdef void* block

    def __dealloc__(self):
        free(self.block)


# A cycle through the owner is broken elsewhere in it: clearing the owner would leave the pointer dangling for whatever
# finalizer still sees the View.
@cython.final
@cython.no_gc_clear
@cython.freelist(64)
cdef class View:
    """Memory and what it means: pointer, shape, strides, element type, device, readonly, and what keeps it alive.

    :func:`interop.view` makes them. A View hands its memory on through ``__dlpack__``, the DLPack C exchange API,
    ``__array_interface__`` and the buffer protocol (host memory), and ``__cuda_array_interface__`` (CUDA memory),
    with truthful flags. It never copies, but for ``__dlpack__(copy=True)``.

    Attributes
    ----------
    ptr : int
        Address of the first element.
    shape : tuple of int
    strides : tuple of int
        In elements.
    dtype : DType
    device : Device
    itemsize, ndim, size, nbytes : int
        Bytes of an element, axes, elements, bytes of all elements.
    readonly : bool
        Whether the memory must not be written.
    contiguous : bool
        Whether the layout is C order.
    extent : tuple of int
        Lowest and highest byte address, half-open.
    bytes : memoryview
        Host memory in C order as bytes, of every element type.
    owner : object
        What keeps the memory alive.
    ordered : bool
        For device memory, whether it was ordered on a stream when the View was made.
    copied : bool
        Whether the producer said that it made a copy for this View.
    """

    # Both spellings: consumers that were written before DLPack 1.3 look for the second (cuda-python#1630).
    __dlpack_c_exchange_api__ = PyCapsule_New(&exchange_api, b"dlpack_exchange_api", NULL)
    __c_dlpack_exchange_api__ = __dlpack_c_exchange_api__

    def __cinit__(self):
        self.tensor.shape = NULL

    def __init__(self):
        raise TypeError("interop.view(x) makes a View")

    def __dealloc__(self):
        if self.tensor.shape != NULL and self.tensor.shape != self.lengths:
            free(self.tensor.shape)

    cdef int reserve(self, int ndim) except -1:
        """Make room for shape and strides."""
        self.tensor.ndim = ndim
        self.tensor.shape = self.lengths
        if ndim > INLINE_AXES:
            self.tensor.shape = <int64_t*> malloc(2 * ndim * sizeof(int64_t))
            if self.tensor.shape == NULL:
                raise MemoryError
        self.tensor.strides = self.tensor.shape + ndim
        return 0

    cdef int64_t itemsize_(self) noexcept:
        return (self.tensor.dtype.bits * self.tensor.dtype.lanes + 7) // 8

    cdef int64_t size_(self) noexcept:
        cdef int64_t size = 1
        cdef int axis
        for axis in range(self.tensor.ndim):
            size *= self.tensor.shape[axis]
        return size

    @property
    def ptr(self):
        return <uintptr_t> self.tensor.data

    @property
    def shape(self):
        cdef int axis
        return tuple([self.tensor.shape[axis] for axis in range(self.tensor.ndim)])

    @property
    def strides(self):
        cdef int axis
        return tuple([self.tensor.strides[axis] for axis in range(self.tensor.ndim)])

    @property
    def dtype(self):
        return dtype_of_triple(self.tensor.dtype.code, self.tensor.dtype.bits, self.tensor.dtype.lanes)

    @property
    def device(self):
        return device_of_pair(self.tensor.device.device_type, self.tensor.device.device_id)

    @property
    def itemsize(self):
        return self.itemsize_()

    @property
    def ndim(self):
        return self.tensor.ndim

    @property
    def size(self):
        return self.size_()

    @property
    def nbytes(self):
        return self.size_() * self.itemsize_()

    @property
    def readonly(self):
        return self.flags & FLAG_READ_ONLY != 0

    @property
    def copied(self):
        return self.flags & FLAG_IS_COPIED != 0

    @property
    def byte_offset(self):
        """Bytes from the buffer to the first element, where `ptr` is no address (Metal); 0 elsewhere."""
        return self.tensor.byte_offset

    @property
    def contiguous(self):
        return follows_c(&self.tensor)

    @property
    def extent(self):
        cdef int64_t low, high
        cdef int64_t itemsize = self.itemsize_()
        reach(&self.tensor, &low, &high)
        start = <uintptr_t> self.tensor.data
        return (start + low * itemsize, start + high * itemsize)

    @property
    def bytes(self):
        """The memory as a memoryview of format ``B``, whatever the element type: bfloat16 and float8 have no format.

        Raises
        ------
        DeviceError
            If the host can't read the memory.
        CopyError
            If it isn't in C order.
        """
        if not host_accessible(self.tensor.device.device_type):
            raise DeviceError(
                f"bytes are read by the host, and this is on {self.device}: interop.to_numpy(x, device='cpu') moves it there."
            )
        if not follows_c(&self.tensor):
            raise CopyError(
                f"bytes are memory in C order, and {self.shape} with strides {self.strides} isn't: "
                "interop.view(interop.to_numpy(x, order='C')).bytes copies."
            )
        cdef View flat = empty_view(1, self)
        flat.tensor.data = self.tensor.data
        flat.tensor.device.device_type = kDLCPU
        flat.tensor.dtype.code = kDLUInt
        flat.tensor.dtype.bits = 8
        flat.tensor.dtype.lanes = 1
        flat.tensor.shape[0] = self.size_() * self.itemsize_()
        flat.tensor.strides[0] = 1
        flat.flags = self.flags & FLAG_READ_ONLY
        flat.tensor.device.device_id = 0
        return memoryview(flat)

    def with_readonly(self, bint readonly=True, /):
        """The same memory, readonly or not."""
        cdef uint64_t flags = self.flags & ~(<uint64_t> FLAG_READ_ONLY)
        return new_view(&self.tensor, flags | (FLAG_READ_ONLY if readonly else 0), self.ordered, self.owner)

    def with_device(self, int device_type, int device_index=0, /):
        """The same memory under another device's name, such as page-locked memory as the host's.

        Raises
        ------
        DeviceError
            If memory here can't be memory there: nothing is moved.
        """
        here, there = self.tensor.device.device_type, device_type
        if here != there and not (host_accessible(here) and host_accessible(there)) and {here, there} != {kDLCUDA, kDLCUDAManaged}:
            raise DeviceError(f"memory on {self.device} isn't memory on {device_of_pair(device_type, device_index)}. Convert it.")
        cdef View view = new_view(&self.tensor, self.flags, self.ordered, self.owner)
        view.tensor.device.device_type = device_type
        view.tensor.device.device_id = device_index
        return view

    def with_owner(self, owner, /, *, ordered=None):
        """The same memory, kept alive by something else; for adapters, who know that it does, and whether it is ordered."""
        if owner is None:
            raise UnsupportedError("None keeps no memory alive: pass the object that does.")
        return new_view(&self.tensor, self.flags, self.ordered if ordered is None else bool(ordered), owner)

    def __repr__(self):
        text = f"View({self.dtype}, {self.shape}, strides={self.strides}, {self.device}"
        return text + (", readonly)" if self.readonly else ")")

    # DLPack. What leaves here is a BufferError, never a TypeError: consumers retry on TypeError.

    def __dlpack_device__(self):
        """Return DLPack's device type and index."""
        return (self.tensor.device.device_type, self.tensor.device.device_id)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """Return a capsule on the memory, versioned if `max_version` allows it.

        Parameters
        ----------
        stream
            None or -1 for host memory; for device memory the consumer's stream, which the owner's own ``__dlpack__``
            is asked to order the data on.
        max_version
            The newest version that the consumer takes; None means a legacy capsule, which can't say readonly.
        dl_device
            None or the device where the memory is.
        copy
            True copies host memory.

        Raises
        ------
        BufferError
            Where it can't be done.
        """
        try:
            return self.capsule(stream, max_version, dl_device, copy)
        except MemoryError as err:
            raise BufferError(f"there is no memory to export {self.nbytes} bytes with copy={copy}") from err

    cdef object capsule(self, stream, max_version, dl_device, copy):
        cdef View view = self
        cdef bint versioned = takes_versioned(max_version)
        cdef bint on_host
        if copy is not None and copy is not True and copy is not False:
            raise BufferError(f"copy={shown(copy)} is none of True, False and None")
        on_host = self.wants_host(dl_device, copy is True)
        self.order(stream)
        if copy is True:
            view = self.copy()
        elif on_host:
            view = self.with_device(kDLCPU, 0)
        if versioned:
            # A View isn't the sole owner of what its producer copied; of its own copy the consumer is.
            return versioned_capsule(
                &view.tensor, view.flags & ~(<uint64_t> FLAG_IS_COPIED) | (FLAG_IS_COPIED if copy is True else 0), view.owner
            )
        if view.flags & FLAG_READ_ONLY:
            raise BufferError("a legacy capsule can't say that memory is readonly: ask for max_version=(1, 0)")
        if view.flags & FLAG_SUBBYTE_PADDED:
            raise BufferError(f"a legacy capsule can't say that {self.dtype} takes a byte each: ask for max_version=(1, 1)")
        return legacy_capsule(&view.tensor, view.owner)

    cdef bint wants_host(self, dl_device, bint copy) except -1:
        """Check the device asked for; True where it's the host's and the memory has another name there."""
        cdef int wanted, index
        cdef int here = self.tensor.device.device_type
        if dl_device is None:
            return False
        try:
            kind, number = dl_device
            wanted, index = int(kind), int(number)
        except Exception as err:
            raise BufferError(f"dl_device={shown(dl_device)} is no pair of device type and index") from err
        if wanted == kDLCPU and host_accessible(here):
            return here != kDLCPU
        if wanted != here or index != self.tensor.device.device_id:
            raise BufferError(f"the memory is on {self.device}, and a View moves nothing to {shown(dl_device)}")
        if copy:
            raise BufferError(f"a View copies into the host's ordinary memory, not to {self.device}")
        return False

    cdef int order(self, stream) except -1:
        """See that device memory is ordered on `stream`, by whoever knows how."""
        cdef int here = self.tensor.device.device_type
        if stream is None and host_accessible(here):
            return 0
        try:
            if stream is not None and operator.index(stream) == -1:
                return 0
        except Exception as err:
            raise BufferError(f"stream={shown(stream)} is no handle of a stream") from err
        if host_accessible(here) and here != kDLCUDAManaged:
            raise BufferError(f"host memory has no streams: stream={shown(stream)}")
        if stream is not None and here in _NO_STREAMS and stream in _NO_STREAMS[here]:
            raise BufferError(f"stream={shown(stream)} is ambiguous on {self.device}, and DLPack disallows it: {_INSTEAD[here]}")
        if isinstance(self.owner, View):
            # No capsule of it: a readonly View has no legacy one.
            return (<View> self.owner).order(stream)
        if find(type(self.owner), "__dlpack__") is None:
            # None is a stream too: CUDA's default one.
            raise BufferError(
                f"memory on {self.device} has to be ordered on stream {shown(stream)}, and nobody here knows how: order it "
                "yourself and pass stream=-1"
            )
        try:
            # The capsule is dropped at once: only the ordering is wanted.
            self.owner.__dlpack__(stream=stream)
        except Exception as err:
            raise BufferError(f"the owner of this View can't order it on stream {shown(stream)}: {said(err)}") from err
        return 0

    cdef View copy(self):
        """Copy host memory, in C order."""
        if not host_accessible(self.tensor.device.device_type):
            raise BufferError(f"a View copies host memory only, and this is on {self.device}")
        cdef Event event = None
        if guarded():
            event = Event(copied=self.nbytes, asked_copy=True, what=f"{self!r} exports a copy", why="copy=True was asked for")
            permit(event)
        cdef View view = memory_like(self)
        copy_elements(&view.tensor, &self.tensor)
        if event is not None:
            note(event)
        return view

    # Array interfaces and buffers. Absent (AttributeError) where the memory isn't of their kind.

    @property
    def __array_interface__(self):
        if not host_accessible(self.tensor.device.device_type):
            raise AttributeError(f"__array_interface__ is for host memory, and this is on {self.device}")
        return self.interface(<uintptr_t> self.tensor.data)

    @property
    def __cuda_array_interface__(self):
        if self.tensor.device.device_type not in (kDLCUDA, kDLCUDAManaged):
            raise AttributeError(f"__cuda_array_interface__ is for CUDA memory, and this is on {self.device}")
        if not self.ordered:
            # A stream of None would say that nobody need wait.
            raise AttributeError("this View isn't ordered on any stream: make it by interop.view(x, stream=...)")
        described = self.interface(<uintptr_t> self.tensor.data if self.size_() else 0)
        # Whoever works on another stream waits for the one that this was ordered on; None says that nobody need wait.
        described["stream"] = self.ordered_on()
        return described

    cdef object ordered_on(self):
        """The stream that device memory is ordered on, as its owner tells; None where the caller said that it is."""
        owner = self.owner
        while type(owner) is View:
            owner = (<View> owner).owner
        return getattr(owner, "ordered_on", None)

    cdef dict interface(self, address):
        kind = _KINDS.get(self.tensor.dtype.code)
        if kind is None or self.tensor.dtype.lanes != 1 or (self.tensor.dtype.code, self.tensor.dtype.bits) not in _FORMATS:
            raise AttributeError(f"an array interface has no type string for {self.dtype}")
        cdef int64_t itemsize = self.itemsize_()
        order = "|" if itemsize == 1 else _ORDER
        return {
            "shape": self.shape,
            "typestr": f"{order}{kind}{itemsize}",
            "data": (address, self.readonly),
            "strides": None if follows_c(&self.tensor) else tuple([step * itemsize for step in self.strides]),
            "version": 3,
        }

    def __getbuffer__(self, Py_buffer* buffer, int flags):
        cdef int axis
        cdef Py_ssize_t* lengths
        cdef int64_t itemsize = self.itemsize_()
        cdef bint in_c_order = follows_c(&self.tensor)
        if not host_accessible(self.tensor.device.device_type):
            raise BufferError(f"a buffer is host memory, and this is on {self.device}")
        format = _FORMATS.get((self.tensor.dtype.code, self.tensor.dtype.bits))
        if format is None or self.tensor.dtype.lanes != 1:
            raise BufferError(f"the buffer protocol has no format for {self.dtype}: its bytes are view(x).bytes, and an array of it is interop.to_numpy(x)")
        if flags & PyBUF_WRITABLE and self.flags & FLAG_READ_ONLY:
            raise BufferError("the memory is readonly")
        if not in_c_order:
            if flags & PyBUF_C_CONTIGUOUS == PyBUF_C_CONTIGUOUS or flags & PyBUF_STRIDES != PyBUF_STRIDES:
                raise BufferError("the memory isn't in C order")
            if flags & PyBUF_ANY_CONTIGUOUS == PyBUF_ANY_CONTIGUOUS and not follows_f(&self.tensor):
                raise BufferError("the memory isn't contiguous")
        if flags & PyBUF_F_CONTIGUOUS == PyBUF_F_CONTIGUOUS and not follows_f(&self.tensor):
            raise BufferError("the memory isn't in Fortran order")
        lengths = <Py_ssize_t*> malloc(2 * self.tensor.ndim * sizeof(Py_ssize_t) + 1)
        if lengths == NULL:
            raise MemoryError
        for axis in range(self.tensor.ndim):
            lengths[axis] = self.tensor.shape[axis]
            lengths[self.tensor.ndim + axis] = self.tensor.strides[axis] * itemsize
        buffer.buf = self.tensor.data
        buffer.obj = self
        buffer.len = self.size_() * itemsize
        buffer.readonly = self.flags & FLAG_READ_ONLY != 0
        buffer.itemsize = itemsize
        buffer.format = <char*> format if flags & PyBUF_FORMAT else NULL
        buffer.ndim = self.tensor.ndim
        # Of no axes both are NULL.
        buffer.shape = lengths if flags & PyBUF_ND and self.tensor.ndim else NULL
        buffer.strides = lengths + self.tensor.ndim if flags & PyBUF_STRIDES == PyBUF_STRIDES and self.tensor.ndim else NULL
        buffer.suboffsets = NULL
        buffer.internal = lengths

    def __releasebuffer__(self, Py_buffer* buffer):
        free(buffer.internal)


cdef bint takes_versioned(max_version) except -1:
    if max_version is None:
        return False
    try:
        major, _ = max_version
        return operator.index(major) >= 1
    except Exception as err:
        raise BufferError(f"max_version={shown(max_version)} is no pair of major and minor") from err


cdef void c_order(int ndim, const int64_t* shape, int64_t* strides) noexcept nogil:
    """Fill in the strides of C order; of a shape that can't be, any strides."""
    cdef uint64_t step = 1
    cdef int axis
    for axis in range(ndim - 1, -1, -1):
        strides[axis] = <int64_t> step
        if shape[axis] > 1:
            step *= <uint64_t> shape[axis]


cdef Layout measure(const DLTensor* tensor, int64_t itemsize, int64_t* below, int64_t* above) noexcept nogil:
    """Tell whether memory can be laid out so, and how many bytes it takes below and above the first element's address.

    It can't where a length is negative, or a size or reach in bytes leaves 64 bits. Lengths count although an axis is
    empty: numpy and torch count so. Strides then mean nothing, and where only one index is; they may be enormous.
    """
    cdef int64_t size = itemsize
    cdef int64_t span = itemsize
    cdef int64_t length, reach
    cdef Layout layout = POSSIBLE
    cdef bint empty = False
    cdef bint far = False
    cdef int axis
    below[0] = 0
    above[0] = itemsize
    for axis in range(tensor.ndim):
        length = tensor.shape[axis]
        if length <= 0:
            if length < 0:
                return IMPOSSIBLE
            empty = True
            continue
        if multiply(size, length, &size):
            return IMPOSSIBLE
        if tensor.strides == NULL:
            continue
        if length == 1:
            if multiply(tensor.strides[axis], itemsize, &reach):
                layout = ENORMOUS
        # The least integer has no absolute value.
        elif multiply(tensor.strides[axis], length - 1, &reach) or multiply(reach, itemsize, &reach) or reach == INT64_MIN:
            far = True
        elif add(span, -reach if reach < 0 else reach, &span):
            far = True
        elif reach < 0:
            below[0] -= reach
        else:
            above[0] += reach
    if empty:
        below[0] = above[0] = 0
        return ENORMOUS
    return IMPOSSIBLE if far else layout


cdef bint is_possible(View view) noexcept:
    """Whether memory can have a View's layout at its address, unless that is NULL; useless strides are made harmless."""
    cdef int64_t below, above
    cdef uintptr_t start = <uintptr_t> view.tensor.data
    cdef Layout layout = measure(&view.tensor, view.itemsize_(), &below, &above)
    if layout == IMPOSSIBLE:
        return False
    if layout == ENORMOUS:
        soften(view)
    if below != 0 and not host_accessible(view.tensor.device.device_type):
        # Not every device's pointer is an address.
        below = 0
    return start == 0 or start >= <uintptr_t> below and UINTPTR_MAX - start >= <uintptr_t> above


cdef void soften(View view) noexcept:
    """Replace strides that mean nothing and are enormous: their arithmetic is nowhere checked."""
    cdef int64_t itemsize = view.itemsize_()
    cdef int64_t ignored
    cdef int axis
    if view.size_() != 0:
        for axis in range(view.tensor.ndim):
            if view.tensor.shape[axis] == 1 and multiply(view.tensor.strides[axis], itemsize, &ignored):
                view.tensor.strides[axis] = 1
        return
    for axis in range(view.tensor.ndim):
        if not -INT32_MAX < view.tensor.strides[axis] < INT32_MAX:
            c_order(view.tensor.ndim, view.tensor.shape, view.tensor.strides)
            return


cdef int check_layout(View view) except -1:
    """Refuse what can't be memory, whoever describes it.

    Raises
    ------
    UnsupportedError
        Where the shape is impossible, or elements have no address.
    """
    if not is_possible(view):
        raise UnsupportedError(
            f"no memory at {<uintptr_t> view.tensor.data:#x} has the shape {view.shape} with strides {view.strides}. This "
            "is a bug of whoever describes it."
        )
    if view.tensor.data == NULL and view.size_() != 0:
        raise UnsupportedError(
            f"a tensor of shape {view.shape} has a null pointer: a fake, traced or unfilled one. Hand over a tensor that "
            "has memory."
        )
    return 0


cdef bint follows_c(const DLTensor* tensor) noexcept:
    cdef uint64_t step = 1
    cdef int axis
    cdef bint follows = True
    for axis in range(tensor.ndim - 1, -1, -1):
        if tensor.shape[axis] == 0:
            return True
        if tensor.shape[axis] != 1:
            follows = follows and tensor.strides[axis] == <int64_t> step
            step *= <uint64_t> tensor.shape[axis]
    return follows


cdef bint follows_f(const DLTensor* tensor) noexcept:
    cdef uint64_t step = 1
    cdef int axis
    cdef bint follows = True
    for axis in range(tensor.ndim):
        if tensor.shape[axis] == 0:
            return True
        if tensor.shape[axis] != 1:
            follows = follows and tensor.strides[axis] == <int64_t> step
            step *= <uint64_t> tensor.shape[axis]
    return follows


cdef bint reach(const DLTensor* tensor, int64_t* low, int64_t* high) noexcept nogil:
    """Reach below and above the first element, in elements, of which the last counts; False where there is none."""
    cdef int axis
    cdef int64_t step
    low[0] = high[0] = 0
    for axis in range(tensor.ndim):
        if tensor.shape[axis] == 0:
            low[0] = high[0] = 0
            return False
        step = (tensor.shape[axis] - 1) * tensor.strides[axis]
        if step < 0:
            low[0] += step
        else:
            high[0] += step
    high[0] += 1
    return True


cdef View memory_like(View other):
    """A View of fresh host memory for as many elements of the same type, in C order."""
    cdef View view = empty_view(other.tensor.ndim, None)
    cdef _Memory memory = _Memory()
    # Unsigned: of 2**63 - 1 bytes, which nobody has, there is room for 64 more.
    memory.block = malloc(<size_t> (other.size_() * other.itemsize_()) + 64)
    if memory.block == NULL:
        raise MemoryError(f"there are no {other.nbytes} bytes for a copy of {other!r}")
    view.owner = memory
    view.flags = other.flags & (<uint64_t> FLAG_SUBBYTE_PADDED)
    view.tensor.data = <char*> ((<uintptr_t> memory.block + 63) & ~(<uintptr_t> 63))
    view.tensor.dtype = other.tensor.dtype
    view.tensor.device.device_type = kDLCPU
    view.tensor.device.device_id = 0
    view.tensor.byte_offset = 0
    memcpy(view.tensor.shape, other.tensor.shape, other.tensor.ndim * sizeof(int64_t))
    c_order(view.tensor.ndim, view.tensor.shape, view.tensor.strides)
    return view


cdef View empty_view(int ndim, object owner):
    """A View with room for `ndim` axes, to be filled in."""
    cdef View view = View.__new__(View)
    view.reserve(ndim)
    view.tensor.byte_offset = 0
    view.flags = 0
    view.ordered = True
    view.owner = owner
    return view


cdef View blank_view():
    """A View of nothing, to be filled in: what it takes to make one may run the collector, and that anything."""
    return View.__new__(View)


cdef int fill_view(View view, const DLTensor* tensor, uint64_t flags, bint ordered, object owner) except -1:
    """Have a blank View describe what `tensor` does; shape and strides are copied, and no Python runs."""
    view.reserve(tensor.ndim)
    memcpy(view.tensor.shape, tensor.shape, tensor.ndim * sizeof(int64_t))
    memcpy(view.tensor.strides, tensor.strides, tensor.ndim * sizeof(int64_t))
    view.tensor.data = tensor.data
    view.tensor.device = tensor.device
    view.tensor.dtype = tensor.dtype
    view.tensor.byte_offset = tensor.byte_offset
    view.flags = flags
    view.ordered = ordered
    view.owner = owner
    return 0


cdef View new_view(const DLTensor* tensor, uint64_t flags, bint ordered, object owner):
    """A View of what `tensor` describes; shape and strides are copied."""
    cdef View view = blank_view()
    fill_view(view, tensor, flags, ordered, owner)
    return view


def make_view(
    ptr,
    tuple shape not None,
    tuple strides,
    tuple dtype not None,
    tuple device not None,
    /,
    *,
    bint readonly,
    owner,
    bint ordered=True,
    uint64_t byte_offset=0,
):
    """Make a View from parts that an adapter vouches for.

    Parameters
    ----------
    ptr
        Address of the first element.
    shape, strides
        In elements; None for the strides of C order.
    dtype, device
        DLPack's triple and pair.
    readonly
        Whether the memory may be written.
    owner
        What keeps the memory alive.
    ordered
        Whether device memory is ordered.
    byte_offset
        For Metal only, where `ptr` is no address.

    Raises
    ------
    UnsupportedError
        If no memory can be as described.
    """
    cdef int ndim = len(shape)
    if ndim > MAX_AXES:
        raise UnsupportedError(f"a View has at most {MAX_AXES} axes, and this has {ndim}. Reshape it first.")
    if strides is not None and len(strides) != ndim:
        raise UnsupportedError(f"shape {shape} and strides {strides} differ in length.")
    cdef View view = empty_view(ndim, owner)
    cdef int axis
    try:
        for axis in range(ndim):
            view.tensor.shape[axis] = shape[axis]
        if strides is None:
            c_order(ndim, view.tensor.shape, view.tensor.strides)
        else:
            for axis in range(ndim):
                view.tensor.strides[axis] = strides[axis]
        view.tensor.data = <void*> <uintptr_t> ptr
        view.tensor.dtype.code, view.tensor.dtype.bits, view.tensor.dtype.lanes = dtype
        view.tensor.device.device_type, view.tensor.device.device_id = device
    except (OverflowError, TypeError, ValueError) as err:
        raise UnsupportedError(
            f"no memory is at {shown(ptr)} on {device} with shape {shape}, strides {strides} and elements {dtype}: {said(err)}."
        ) from err
    view.tensor.byte_offset = byte_offset
    view.flags = FLAG_READ_ONLY if readonly else 0
    if view.tensor.dtype.bits < 8 and view.tensor.dtype.lanes == 1:
        view.flags |= FLAG_SUBBYTE_PADDED
    view.ordered = ordered
    if view.itemsize_() == 0:
        raise UnsupportedError(f"elements {dtype} have no size.")
    check_layout(view)
    return view
