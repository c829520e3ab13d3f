from libc.stdint cimport int64_t, uint64_t

from interop._native.dlpack cimport DLManagedTensor, DLManagedTensorVersioned, DLTensor

cdef DLManagedTensor* export_legacy(const DLTensor* tensor, object owner) noexcept
cdef DLManagedTensorVersioned* export_versioned(const DLTensor* tensor, uint64_t flags, object owner) noexcept
cdef DLManagedTensorVersioned* export_watched(
    const DLTensor* tensor, uint64_t flags, object owner, bint later
) noexcept
cdef bint unwatch(DLManagedTensorVersioned* managed) noexcept nogil
cdef object legacy_capsule(const DLTensor* tensor, object owner)
cdef object versioned_capsule(const DLTensor* tensor, uint64_t flags, object owner)
cdef bint host_accessible(int device_type) noexcept nogil
cdef long process_id() noexcept nogil
cdef bint takes_versioned(max_version) except -1
cdef bint wants_host(const DLTensor* tensor, dl_device, bint copy) except -1
cdef str instead_of(int device_type, stream)
