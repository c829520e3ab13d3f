"""The ABI of DLPack 1.3: structs, codes and flags, from the specification's dlpack.h."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    DLPACK_MAJOR = 1
    DLPACK_MINOR = 3

cdef enum DLDeviceType:
    kDLCPU = 1
    kDLCUDA = 2
    kDLCUDAHost = 3
    kDLMetal = 8
    kDLROCM = 10
    kDLROCMHost = 11
    kDLCUDAManaged = 13

cdef enum DLDataTypeCode:
    kDLInt = 0
    kDLUInt = 1
    kDLFloat = 2
    kDLOpaqueHandle = 3
    kDLBfloat = 4
    kDLComplex = 5
    kDLBool = 6

cdef enum:
    FLAG_READ_ONLY = 1
    FLAG_IS_COPIED = 2
    FLAG_SUBBYTE_PADDED = 4

cdef struct DLDevice:
    # Plain integers, not enums: device types that this version doesn't know arrive in the wild.
    int32_t device_type
    int32_t device_id

cdef struct DLDataType:
    uint8_t code
    uint8_t bits
    uint16_t lanes

cdef struct DLTensor:
    void* data
    DLDevice device
    int32_t ndim
    DLDataType dtype
    int64_t* shape
    int64_t* strides
    uint64_t byte_offset

cdef struct DLManagedTensor

ctypedef void (*LegacyDeleter)(DLManagedTensor*) noexcept nogil

cdef struct DLManagedTensor:
    DLTensor dl_tensor
    void* manager_ctx
    LegacyDeleter deleter

cdef struct DLPackVersion:
    uint32_t major
    uint32_t minor

cdef struct DLManagedTensorVersioned

ctypedef void (*VersionedDeleter)(DLManagedTensorVersioned*) noexcept nogil

cdef struct DLManagedTensorVersioned:
    # Everything up to and including `flags` keeps its place in every major version.
    DLPackVersion version
    void* manager_ctx
    VersionedDeleter deleter
    uint64_t flags
    DLTensor dl_tensor

cdef struct DLPackExchangeAPIHeader

cdef struct DLPackExchangeAPIHeader:
    DLPackVersion version
    DLPackExchangeAPIHeader* prev_api

ctypedef void (*SetError)(void* error_ctx, const char* kind, const char* message) noexcept nogil
ctypedef int (*ManagedTensorAllocator)(
    DLTensor* prototype, DLManagedTensorVersioned** out, void* error_ctx, SetError set_error
) noexcept nogil
ctypedef int (*ManagedTensorFromPyObject)(void* py_object, DLManagedTensorVersioned** out) noexcept
ctypedef int (*ManagedTensorToPyObject)(DLManagedTensorVersioned* tensor, void** out_py_object) noexcept
ctypedef int (*DLTensorFromPyObject)(void* py_object, DLTensor* out) noexcept
ctypedef int (*CurrentWorkStream)(int32_t device_type, int32_t device_id, void** out_current_stream) noexcept

cdef struct DLPackExchangeAPI:
    DLPackExchangeAPIHeader header
    ManagedTensorAllocator managed_tensor_allocator
    ManagedTensorFromPyObject managed_tensor_from_py_object_no_sync
    ManagedTensorToPyObject managed_tensor_to_py_object_no_sync
    DLTensorFromPyObject dltensor_from_py_object_no_sync
    CurrentWorkStream current_work_stream
