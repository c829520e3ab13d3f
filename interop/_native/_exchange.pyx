"""The View's own DLPack C exchange API, for host memory.

A current stream belongs to a type, and one View type can't speak for every library whose device memory it describes:
a View of device memory is refused here and goes by ``__dlpack__``, which takes a stream.
"""

from cpython.object cimport PyObject
from libc.stdint cimport int32_t, int64_t, uint64_t, uintptr_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from interop._native._export cimport export_versioned, host_accessible
from interop._native._import cimport adopt, check_version, hold_versioned
from interop._native._layouts cimport IMPOSSIBLE, MAX_AXES, c_order, measure
from interop._native._view cimport View, exchange_api
from interop._native.dlpack cimport (
    DLPACK_MAJOR,
    DLPACK_MINOR,
    FLAG_IS_COPIED,
    FLAG_SUBBYTE_PADDED,
    CurrentWorkStream,
    DLManagedTensorVersioned,
    DLTensor,
    DLTensorFromPyObject,
    ManagedTensorFromPyObject,
    ManagedTensorToPyObject,
    SetError,
    kDLCPU,
)

from interop._words import name_of

cdef extern from "Python.h":
    PyObject* new_reference "Py_NewRef" (PyObject* o)

cdef enum:
    # As much as any library aligns its memory for vector instructions.
    ALIGNMENT = 64


cdef struct Allocation:
    # The memory follows in the same block, which is all that the deleter has to free.
    DLManagedTensorVersioned managed
    int64_t lengths[2 * MAX_AXES]


cdef void delete_allocation(DLManagedTensorVersioned* managed) noexcept nogil:
    free(managed)


cdef int refuse(void* error_ctx, SetError set_error, const char* kind, const char* message) noexcept nogil:
    if set_error != NULL:
        set_error(error_ctx, kind, message)
    return -1


cdef int allocate(
    DLTensor* prototype, DLManagedTensorVersioned** out, void* error_ctx, SetError set_error
) noexcept nogil:
    """Allocate host memory in C order, of the prototype's shape and element type."""
    cdef int64_t itemsize = (prototype.dtype.bits * prototype.dtype.lanes + 7) // 8
    cdef int64_t ignored, above
    cdef size_t size = itemsize
    cdef Allocation* block
    cdef DLTensor* tensor
    cdef int axis
    cdef DLTensor shape = prototype[0]
    shape.strides = NULL
    if prototype.device.device_type != kDLCPU:
        return refuse(error_ctx, set_error, b"BufferError", b"a View's memory is on the host: device type 1")
    if itemsize == 0 or prototype.ndim < 0 or prototype.ndim > MAX_AXES or prototype.ndim > 0 and prototype.shape == NULL:
        return refuse(error_ctx, set_error, b"BufferError", b"no memory has this shape and element type")
    if measure(&shape, itemsize, &ignored, &above) == IMPOSSIBLE:
        return refuse(error_ctx, set_error, b"BufferError", b"no memory has this shape and element type")
    for axis in range(prototype.ndim):
        size *= prototype.shape[axis]
    block = <Allocation*> malloc(sizeof(Allocation) + ALIGNMENT + size)
    if block == NULL:
        return refuse(error_ctx, set_error, b"MemoryError", b"the host's memory is exhausted")
    tensor = &block.managed.dl_tensor
    tensor.data = <void*> ((<uintptr_t> (block + 1) + ALIGNMENT - 1) & ~<uintptr_t> (ALIGNMENT - 1))
    tensor.device.device_type = kDLCPU
    tensor.device.device_id = 0
    tensor.dtype = prototype.dtype
    tensor.ndim = prototype.ndim
    tensor.byte_offset = 0
    tensor.shape = block.lengths
    tensor.strides = block.lengths + prototype.ndim
    if prototype.ndim > 0:
        memcpy(tensor.shape, prototype.shape, prototype.ndim * sizeof(int64_t))
        c_order(prototype.ndim, tensor.shape, tensor.strides)
    block.managed.version.major = DLPACK_MAJOR
    block.managed.version.minor = DLPACK_MINOR
    block.managed.manager_ctx = NULL
    block.managed.deleter = delete_allocation
    block.managed.flags = 0
    if prototype.dtype.bits < 8 and prototype.dtype.lanes == 1:
        block.managed.flags = FLAG_SUBBYTE_PADDED
    out[0] = &block.managed
    return 0


cdef View host_view(object x):
    if type(x) is not View:
        raise BufferError(f"a {name_of(type(x))} is no View: ask for the exchange API of its own type")
    if not host_accessible((<View> x).tensor.device.device_type):
        raise BufferError(f"this View is on {x.device}, and its exchange API is for host memory: use __dlpack__(stream=...)")
    return <View> x


# These raise as Cython's functions do, by returning -1 with the exception set, which is what DLPack asks for.

cdef int export_view(void* x, DLManagedTensorVersioned** out) except -1:
    cdef View view = host_view(<object> x)
    out[0] = export_versioned(&view.tensor, view.flags & ~(<uint64_t> FLAG_IS_COPIED), view.owner)
    if out[0] == NULL:
        raise MemoryError
    return 0


cdef int lend_view(void* x, DLTensor* out) except -1:
    out[0] = host_view(<object> x).tensor
    return 0


cdef int import_view(DLManagedTensorVersioned* managed, void** out) except -1:
    # DLPack doesn't say whether a failed call has taken the tensor; leaving it to the caller at worst leaks it.
    cdef View view
    check_version(managed)
    view = adopt(&managed.dl_tensor, managed.flags, host_accessible(managed.dl_tensor.device.device_type), None)
    view.owner = hold_versioned(managed)
    out[0] = new_reference(<PyObject*> view)
    return 0


cdef int current_stream(int32_t device_type, int32_t device_id, void** out) except -1 nogil:
    if not host_accessible(device_type):
        with gil:
            raise BufferError(f"a View has no current stream on device type {device_type}: its exchange API is for host memory")
    out[0] = NULL
    return 0


exchange_api.header.version.major = DLPACK_MAJOR
exchange_api.header.version.minor = DLPACK_MINOR
exchange_api.header.prev_api = NULL
exchange_api.managed_tensor_allocator = allocate
exchange_api.managed_tensor_from_py_object_no_sync = <ManagedTensorFromPyObject> export_view
exchange_api.managed_tensor_to_py_object_no_sync = <ManagedTensorToPyObject> import_view
exchange_api.dltensor_from_py_object_no_sync = <DLTensorFromPyObject> lend_view
exchange_api.current_work_stream = <CurrentWorkStream> current_stream
