"""From a description of memory and its owner to a managed DLPack tensor, bare or in a capsule.

One block of C memory holds the struct, the shape and the strides. Its deleter may be called on any thread, without
the GIL, in a forked child, and after the interpreter has gone (numpy#22507 was a fatal abort): it takes the GIL
itself, and where that can't be done any more it leaks rather than crash.
"""

from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from interop._native.dlpack cimport (
    DLPACK_MAJOR,
    DLPACK_MINOR,
    DLManagedTensor,
    DLManagedTensorVersioned,
    DLTensor,
    kDLCPU,
    kDLCUDA,
    kDLCUDAHost,
    kDLCUDAManaged,
    kDLROCM,
    kDLROCMHost,
)

import operator

from interop._devices import device_of_pair
from interop._words import shown

cdef extern from *:
    """
    #if defined(_MSC_VER)
    #include <intrin.h>
    #define interop_swap(place, value) _InterlockedExchange((volatile long *) (place), (value))
    #define interop_load(place) _InterlockedOr((volatile long *) (place), 0)
    #define interop_first(place) _InterlockedCompareExchangePointer((void *volatile *) (place), NULL, NULL)
    #define interop_take(place) _InterlockedExchangePointer((void *volatile *) (place), NULL)
    #define interop_replace(place, old, value) \
        (_InterlockedCompareExchangePointer((void *volatile *) (place), (value), (old)) == (void *) (old))
    #else
    #define interop_swap(place, value) __atomic_exchange_n((place), (value), __ATOMIC_ACQ_REL)
    #define interop_load(place) __atomic_load_n((place), __ATOMIC_ACQUIRE)
    #define interop_first(place) __atomic_load_n((place), __ATOMIC_ACQUIRE)
    #define interop_take(place) __atomic_exchange_n((place), NULL, __ATOMIC_ACQ_REL)
    #define interop_replace(place, old, value) \
        __atomic_compare_exchange_n((place), &(old), (value), 0, __ATOMIC_RELEASE, __ATOMIC_RELAXED)
    #endif

    #if defined(_WIN32)
    #include <process.h>
    #define interop_pid() ((long) _getpid())
    #else
    #include <unistd.h>
    #define interop_pid() ((long) getpid())
    #endif

    #if PY_VERSION_HEX >= 0x030D0000
    #define interop_finalizing() Py_IsFinalizing()
    #else
    #define interop_finalizing() _Py_IsFinalizing()
    #endif

    static void interop_release(PyObject *owner) {
        /* Taking the GIL after finalization has begun hangs or ends the thread: leak instead. */
        if (!Py_IsInitialized() || interop_finalizing()) return;
        PyGILState_STATE state = PyGILState_Ensure();
        /* A deleter can run while an exception is on its way, which the owner's finalizer must not replace. */
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        Py_DECREF(owner);
        PyErr_Restore(type, value, traceback);
        PyGILState_Release(state);
    }

    /* Owners that wait to be released: any thread puts one in front, and whoever has the GIL takes them all. */
    typedef struct Waiting {
        struct Waiting *next;
        PyObject *owner;
    } Waiting;

    static Waiting *interop_waiting = NULL;

    static int interop_release_waiting(void *unused) {
        Waiting *each = (Waiting *) interop_take(&interop_waiting);
        (void) unused;
        while (each != NULL) {
            Waiting *next = each->next;
            Py_DECREF(each->owner);
            free(each);
            each = next;
        }
        return 0;
    }

    static void interop_release_later(PyObject *owner) {
        Waiting *fresh, *first;
        if (!Py_IsInitialized() || interop_finalizing()) return;
        fresh = (Waiting *) malloc(sizeof(Waiting));
        if (fresh == NULL) return;
        fresh->owner = owner;
        do {
            first = (Waiting *) interop_first(&interop_waiting);
            fresh->next = first;
        } while (!interop_replace(&interop_waiting, first, fresh));
        /* Needs no GIL. The interpreter's list of such calls may be full: the next one, or the next loan, does it. */
        Py_AddPendingCall(interop_release_waiting, NULL);
    }
    """
    long interop_swap(long* place, long value) noexcept nogil
    long interop_load(long* place) noexcept nogil
    long interop_pid() noexcept nogil
    void interop_release(PyObject* owner) noexcept nogil
    void interop_release_later(PyObject* owner) noexcept nogil
    int interop_release_waiting(void* unused) noexcept

    # With plain pointers: a capsule that is being destroyed must not get a new reference.
    bint PyCapsule_IsValid(PyObject* capsule, const char* name) noexcept
    void* PyCapsule_GetPointer(PyObject* capsule, const char* name) noexcept
    object PyCapsule_New(void* pointer, const char* name, void (*destructor)(PyObject*) noexcept)


# What becomes of a block when its deleter runs: it is freed, or, while somebody watches, left to the watcher.
cdef enum:
    UNWATCHED
    WATCHED
    DELETED


cdef struct Context:
    # What a managed tensor's manager_ctx points to.
    PyObject* owner
    bint on_host
    bint later
    long pid
    long state


cdef struct LegacyBlock:
    DLManagedTensor managed
    Context context


cdef struct VersionedBlock:
    DLManagedTensorVersioned managed
    Context context


cdef bint host_accessible(int device_type) noexcept nogil:
    return device_type in (kDLCPU, kDLCUDAHost, kDLROCMHost, kDLCUDAManaged)


cdef long process_id() noexcept nogil:
    """The process, to tell a forked child from its parent."""
    return interop_pid()


cdef inline void release(Context* context, void* block) noexcept nogil:
    # Device memory freed in a forked child would go to a driver that doesn't exist there.
    if context.on_host or context.pid == interop_pid():
        if context.later:
            interop_release_later(context.owner)
        else:
            interop_release(context.owner)
    if interop_load(&context.state) == UNWATCHED or interop_swap(&context.state, DELETED) == UNWATCHED:
        free(block)


cdef void delete_legacy(DLManagedTensor* managed) noexcept nogil:
    if managed != NULL:
        release(<Context*> managed.manager_ctx, managed)


cdef void delete_versioned(DLManagedTensorVersioned* managed) noexcept nogil:
    if managed != NULL:
        release(<Context*> managed.manager_ctx, managed)


cdef inline void fill(DLTensor* into, const DLTensor* tensor, int64_t* lengths) noexcept:
    # Shape and strides are copied behind the struct; strides are never NULL (dlpack#178).
    cdef size_t size = tensor.ndim * sizeof(int64_t)
    into[0] = tensor[0]
    into.shape = lengths
    into.strides = lengths + tensor.ndim
    memcpy(into.shape, tensor.shape, size)
    memcpy(into.strides, tensor.strides, size)


cdef inline void own(Context* context, const DLTensor* tensor, object owner) noexcept:
    Py_INCREF(owner)
    context.owner = <PyObject*> owner
    context.on_host = host_accessible(tensor.device.device_type)
    context.later = False
    # A system call, so only where release() looks at it.
    context.pid = 0 if context.on_host else interop_pid()
    context.state = UNWATCHED


cdef DLManagedTensor* export_legacy(const DLTensor* tensor, object owner) noexcept:
    """Make a legacy managed tensor that holds a reference to `owner`; NULL where there is no memory for it."""
    cdef LegacyBlock* block = <LegacyBlock*> malloc(sizeof(LegacyBlock) + 2 * tensor.ndim * sizeof(int64_t))
    if block == NULL:
        return NULL
    fill(&block.managed.dl_tensor, tensor, <int64_t*> (block + 1))
    own(&block.context, tensor, owner)
    block.managed.manager_ctx = &block.context
    block.managed.deleter = delete_legacy
    return &block.managed


cdef DLManagedTensorVersioned* export_versioned(const DLTensor* tensor, uint64_t flags, object owner) noexcept:
    """Make a versioned managed tensor that holds a reference to `owner`; NULL where there is no memory for it."""
    cdef VersionedBlock* block = <VersionedBlock*> malloc(sizeof(VersionedBlock) + 2 * tensor.ndim * sizeof(int64_t))
    if block == NULL:
        return NULL
    fill(&block.managed.dl_tensor, tensor, <int64_t*> (block + 1))
    own(&block.context, tensor, owner)
    block.managed.version.major = DLPACK_MAJOR
    block.managed.version.minor = DLPACK_MINOR
    block.managed.flags = flags
    block.managed.manager_ctx = &block.context
    block.managed.deleter = delete_versioned
    return &block.managed


cdef DLManagedTensorVersioned* export_watched(
    const DLTensor* tensor, uint64_t flags, object owner, bint later
) noexcept:
    """The same, for a call that may fail before or after taking the tensor; :func:`unwatch` has to follow it.

    Until then the struct outlives its deleter, on whichever thread that is called. For a consumer that deletes while
    it holds a lock (`later`), the deleter neither takes the GIL nor releases the owner, either of which may need that
    lock: the interpreter releases it between two instructions of the main thread, or the next call here does.
    """
    cdef DLManagedTensorVersioned* managed
    if later:
        interop_release_waiting(NULL)
    managed = export_versioned(tensor, flags, owner)
    if managed != NULL:
        (<Context*> managed.manager_ctx).state = WATCHED
        (<Context*> managed.manager_ctx).later = later
    return managed


cdef bint unwatch(DLManagedTensorVersioned* managed) noexcept nogil:
    """End the watch of a tensor, and tell whether its deleter has run; the tensor isn't to be touched after that."""
    if interop_swap(&(<Context*> managed.manager_ctx).state, UNWATCHED) != DELETED:
        return False
    free(managed)
    return True


# The consumer renames the capsule and owns the tensor from then on; one that nobody consumed still has its first name
# and is freed with the capsule (an empty destructor leaks: quadrants#598; one that ignores the name: pytorch#9260).

cdef void destroy_legacy_capsule(PyObject* capsule) noexcept:
    if PyCapsule_IsValid(capsule, b"dltensor"):
        delete_legacy(<DLManagedTensor*> PyCapsule_GetPointer(capsule, b"dltensor"))


cdef void destroy_versioned_capsule(PyObject* capsule) noexcept:
    if PyCapsule_IsValid(capsule, b"dltensor_versioned"):
        delete_versioned(<DLManagedTensorVersioned*> PyCapsule_GetPointer(capsule, b"dltensor_versioned"))


cdef object legacy_capsule(const DLTensor* tensor, object owner):
    """Make a capsule named "dltensor"."""
    cdef DLManagedTensor* managed = export_legacy(tensor, owner)
    if managed == NULL:
        raise MemoryError
    try:
        return PyCapsule_New(managed, b"dltensor", destroy_legacy_capsule)
    except BaseException:
        delete_legacy(managed)
        raise


cdef object versioned_capsule(const DLTensor* tensor, uint64_t flags, object owner):
    """Make a capsule named "dltensor_versioned"."""
    cdef DLManagedTensorVersioned* managed = export_versioned(tensor, flags, owner)
    if managed == NULL:
        raise MemoryError
    try:
        return PyCapsule_New(managed, b"dltensor_versioned", destroy_versioned_capsule)
    except BaseException:
        delete_versioned(managed)
        raise


cdef bint takes_versioned(max_version) except -1:
    if max_version is None:
        return False
    try:
        major, _ = max_version
        return operator.index(major) >= 1
    except Exception as err:
        raise BufferError(f"max_version={shown(max_version)} is no pair of major and minor") from err


cdef bint wants_host(const DLTensor* tensor, dl_device, bint copy) except -1:
    """Check the device asked for; True where it's the host's and the memory has another name there."""
    cdef int wanted, index
    cdef int here = tensor.device.device_type
    if dl_device is None:
        return False
    try:
        kind, number = dl_device
        wanted, index = int(kind), int(number)
    except Exception as err:
        raise BufferError(f"dl_device={shown(dl_device)} is no pair of device type and index") from err
    if wanted == kDLCPU and host_accessible(here):
        return here != kDLCPU
    if wanted != here or index != tensor.device.device_id:
        raise BufferError(f"the memory is on {device_of_pair(here, tensor.device.device_id)}, and a View moves nothing to {shown(dl_device)}")
    if copy:
        raise BufferError(f"a View copies into the host's ordinary memory, not to {device_of_pair(here, tensor.device.device_id)}")
    return False


# What DLPack disallows as the stream of a device, and what to pass instead: 0 is either default stream of CUDA, and the
# only one of ROCm, where 1 and 2 mean nothing.
cdef dict _NO_STREAMS = {kDLCUDA: (0,), kDLCUDAManaged: (0,), kDLROCM: (1, 2)}
cdef dict _INSTEAD = {
    kDLCUDA: "pass 1 for the legacy default stream, or 2 for the thread's own",
    kDLCUDAManaged: "pass 1 for the legacy default stream, or 2 for the thread's own",
    kDLROCM: "pass 0 for the default stream",
}


cdef str instead_of(int device_type, stream):
    """What to pass instead of a stream that DLPack disallows there; None for any other."""
    return _INSTEAD[device_type] if stream in _NO_STREAMS.get(device_type, ()) else None
