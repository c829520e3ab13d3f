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
from libc.stdint cimport int64_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from interop._native._copying cimport copy_elements
from interop._native._guarding cimport Event, guarded, note, permit
from interop._native._export cimport host_accessible, instead_of, legacy_capsule, takes_versioned, versioned_capsule, wants_host
from interop._native._formats cimport format_of, typestr_of
from interop._native._layouts cimport c_order, follows_c, follows_f, reach
from interop._native.dlpack cimport (
    FLAG_IS_COPIED,
    FLAG_READ_ONLY,
    FLAG_SUBBYTE_PADDED,
    DLTensor,
    kDLCPU,
    kDLCUDA,
    kDLCUDAManaged,
    kDLUInt,
)

import operator

from interop._devices import device_of_pair
from interop._dtypes import dtype_of_triple
from interop._native._lookup import find
from interop._words import said, shown
from interop.errors import CopyError, DeviceError, UnsupportedError

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
    promised : bool
        Whether ``view(x, writable=False)`` made it: legacy capsules, which can't say readonly, are handed out too.
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

    def with_readonly(self, bint readonly=True, /, *, bint promised=False):
        """The same memory, readonly or not; `promised` where the caller's word is that nobody who takes it writes."""
        cdef uint64_t flags = self.flags & ~(<uint64_t> FLAG_READ_ONLY)
        cdef View view = new_view(&self.tensor, flags | (FLAG_READ_ONLY if readonly else 0), self.ordered, self.owner)
        view.promised = promised
        return view

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
        on_host = wants_host(&self.tensor, dl_device, copy is True)
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
        if view.flags & FLAG_READ_ONLY and not self.promised:
            raise BufferError(
                "a legacy capsule can't say that memory is readonly: ask for max_version=(1, 0), or make the View by "
                "interop.view(x, writable=False), your promise that whoever takes it won't write"
            )
        if view.flags & FLAG_SUBBYTE_PADDED:
            raise BufferError(f"a legacy capsule can't say that {self.dtype} takes a byte each: ask for max_version=(1, 1)")
        return legacy_capsule(&view.tensor, view.owner)

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
        if stream is not None and (instead := instead_of(here, stream)) is not None:
            raise BufferError(f"stream={shown(stream)} is ambiguous on {self.device}, and DLPack disallows it: {instead}")
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
        typestr = typestr_of(self.tensor.dtype)
        if typestr is None:
            raise AttributeError(f"an array interface has no type string for {self.dtype}")
        cdef int64_t itemsize = self.itemsize_()
        return {
            "shape": self.shape,
            "typestr": typestr,
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
        format = format_of(self.tensor.dtype)
        if format is None:
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
