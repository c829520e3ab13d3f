/* The CUDA runtime API: each function checks its arguments and what a capture forbids, and says the rest in the simulator's words.
 * (Capture and graphs: capture.c. Launching kernels: api_launch.c. What is in neither is a generated stub, which refuses by its name.) */
#include <cuda.h> /* CUDA_VERSION */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

static bool is_device(int device) { return device >= 0 && device < settings.devices; }

/* -- errors ---------------------------------------------------------------------------------------------------------------------- */

static const struct {
    int error;
    const char *name;
} error_names[] = {
#include "errors.inc" /* from driver_types.h, by the Makefile */
};

static const char *const texts[] = {
    [cudaSuccess] = "no error",
    [cudaErrorInvalidValue] = "invalid argument",
    [cudaErrorMemoryAllocation] = "out of memory",
    [cudaErrorInitializationError] = "initialization error",
    [cudaErrorInvalidPitchValue] = "invalid pitch argument",
    [cudaErrorInvalidMemcpyDirection] = "invalid copy direction for memcpy",
    [cudaErrorInvalidDevice] = "invalid device ordinal",
    [cudaErrorInvalidResourceHandle] = "invalid resource handle",
    [cudaErrorIllegalState] = "the operation cannot be performed in the present state",
    [cudaErrorNotReady] = "device not ready",
    [cudaErrorLaunchTimeout] = "the launch timed out and was terminated",
    [cudaErrorHostMemoryAlreadyRegistered] = "part or all of the requested memory range is already mapped",
    [cudaErrorHostMemoryNotRegistered] = "pointer does not correspond to a registered memory region",
    [cudaErrorNotPermitted] = "operation not permitted",
    [cudaErrorNotSupported] = "operation not supported",
    [cudaErrorStreamCaptureUnsupported] = "operation not permitted when stream is capturing",
    [cudaErrorStreamCaptureInvalidated] = "operation failed due to a previous error during capture",
    [cudaErrorStreamCaptureMerge] = "operation would result in a merge of separate capture sequences",
    [cudaErrorStreamCaptureUnmatched] = "capture was not ended in the same stream as it began",
    [cudaErrorStreamCaptureUnjoined] = "capturing stream has unjoined work",
    [cudaErrorStreamCaptureIsolation] = "dependency created on uncaptured work in another stream",
    [cudaErrorStreamCaptureImplicit] = "operation would make the legacy stream depend on a capturing blocking stream",
    [cudaErrorCapturedEvent] = "operation not permitted on an event last recorded in a capturing stream",
    [cudaErrorStreamCaptureWrongThread] = "attempt to terminate a thread-local capture sequence from another thread",
};

const char *cudaGetErrorName(cudaError_t error) {
    for (size_t i = 0; i < sizeof error_names / sizeof *error_names; i++)
        if (error_names[i].error == (int)error) return error_names[i].name;
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t error) {
    const char *text = (size_t)error < sizeof texts / sizeof *texts ? texts[error] : NULL;
    return text ? text : cudaGetErrorName(error);
}

cudaError_t cudaPeekAtLastError(void) { return self.last_error; }

cudaError_t cudaGetLastError(void) {
    cudaError_t error = self.last_error;
    self.last_error = cudaSuccess;
    return error;
}

/* -- devices --------------------------------------------------------------------------------------------------------------------- */

cudaError_t cudaGetDeviceCount(int *count) {
    *count = settings.devices;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device) {
    *device = self.device;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    ENTER();
    if (!is_device(device)) LEAVE(misuse(cudaErrorInvalidDevice, "device %d of %d", device, settings.devices));
    if (device != self.device) COUNT(set_device);
    self.device = device;
    LEAVE(cudaSuccess);
}

cudaError_t cudaInitDevice(int device, unsigned device_flags, unsigned flags) {
    (void)device_flags, (void)flags;
    return sim_fail(is_device(device) ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaSetDeviceFlags(unsigned flags) {
    (void)flags;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceFlags(unsigned *flags) {
    *flags = cudaDeviceScheduleAuto;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version) {
    *version = CUDA_VERSION;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize(void) {
    ENTER();
    COUNT(sync), COUNT(device_sync);
    cudaError_t refused = capture_refuses_device(self.device);
    LEAVE(refused ? refused : host_wait_device(self.device));
}

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
    if (least) *least = 0;
    if (greatest) *greatest = -5;
    return cudaSuccess;
}

cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer) {
    *can = 0;
    if (!is_device(device) || !is_device(peer)) return sim_fail(cudaErrorInvalidDevice);
    *can = device != peer;
    return cudaSuccess;
}

/* Enabling twice is an error, and so is disabling what isn't enabled: torch and cupy both ask, and expect it. */
static bool peers[MAX_DEVICES][MAX_DEVICES];

cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags) {
    ENTER();
    if (!is_device(peer) || peer == self.device) LEAVE(cudaErrorInvalidDevice);
    if (flags) LEAVE(cudaErrorInvalidValue);
    if (peers[self.device][peer]) LEAVE(cudaErrorPeerAccessAlreadyEnabled);
    peers[self.device][peer] = true;
    LEAVE(cudaSuccess);
}

cudaError_t cudaDeviceDisablePeerAccess(int peer) {
    ENTER();
    if (!is_device(peer) || !peers[self.device][peer]) LEAVE(cudaErrorPeerAccessNotEnabled);
    peers[self.device][peer] = false;
    LEAVE(cudaSuccess);
}

cudaError_t cudaDeviceGetPCIBusId(char *out, int room, int device) {
    if (!is_device(device)) return sim_fail(cudaErrorInvalidDevice);
    snprintf(out, (size_t)room, "0000:%02x:00.0", device + 1);
    return cudaSuccess;
}

cudaError_t cudaDeviceGetByPCIBusId(int *device, const char *text) {
    for (int d = 0; d < settings.devices; d++) {
        char id[32];
        snprintf(id, sizeof id, "0000:%02x:00.0", d + 1);
        if (!strcmp(id, text)) {
            *device = d;
            return cudaSuccess;
        }
    }
    return sim_fail(cudaErrorInvalidValue);
}

/* What both descriptions of a device say; everything else is 0. The figures are those of a compute capability 9.0 device. */
#define ATTRIBUTES(X)                                                                                                                  \
    X(MaxThreadsPerBlock, maxThreadsPerBlock, 1024) X(MaxBlockDimX, maxThreadsDim[0], 1024) X(MaxBlockDimY, maxThreadsDim[1], 1024)     \
    X(MaxBlockDimZ, maxThreadsDim[2], 64) X(MaxGridDimX, maxGridSize[0], 2147483647) X(MaxGridDimY, maxGridSize[1], 65535)              \
    X(MaxGridDimZ, maxGridSize[2], 65535) X(MaxSharedMemoryPerBlock, sharedMemPerBlock, 49152) X(TotalConstantMemory, totalConstMem, 65536) \
    X(WarpSize, warpSize, 32) X(MaxPitch, memPitch, 2147483647) X(MaxRegistersPerBlock, regsPerBlock, 65536)                            \
    X(TextureAlignment, textureAlignment, 512) X(MultiProcessorCount, multiProcessorCount, 132) X(CanMapHostMemory, canMapHostMemory, 1) \
    X(ConcurrentKernels, concurrentKernels, 1) X(AsyncEngineCount, asyncEngineCount, 3) X(UnifiedAddressing, unifiedAddressing, 1)      \
    X(GlobalMemoryBusWidth, memoryBusWidth, 5120) X(L2CacheSize, l2CacheSize, 50 << 20) X(ComputeCapabilityMajor, major, 9)             \
    X(MaxThreadsPerMultiProcessor, maxThreadsPerMultiProcessor, 2048) X(StreamPrioritiesSupported, streamPrioritiesSupported, 1)        \
    X(MaxSharedMemoryPerMultiprocessor, sharedMemPerMultiprocessor, 233472) X(ManagedMemory, managedMemory, 1)                          \
    X(MaxRegistersPerMultiprocessor, regsPerMultiprocessor, 65536) X(ConcurrentManagedAccess, concurrentManagedAccess, 1)               \
    X(CooperativeLaunch, cooperativeLaunch, 1) X(MaxSharedMemoryPerBlockOptin, sharedMemPerBlockOptin, 232448)                          \
    X(MaxBlocksPerMultiprocessor, maxBlocksPerMultiProcessor, 32) X(HostRegisterSupported, hostRegisterSupported, 1)                    \
    X(MemoryPoolsSupported, memoryPoolsSupported, 1)

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device) {
    if (!is_device(device)) return sim_fail(cudaErrorInvalidDevice);
    *value = 0;
    switch ((int)attribute) {
#define CASE(name, field, number) \
    case cudaDevAttr##name:       \
        *value = number;          \
        break;
        ATTRIBUTES(CASE)
#undef CASE
    case cudaDevAttrClockRate: *value = 1000000; break;
    case cudaDevAttrPciBusId: *value = device + 1; break;
    }
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device) {
    if (!is_device(device)) return sim_fail(cudaErrorInvalidDevice);
    memset(p, 0, sizeof *p);
    snprintf(p->name, sizeof p->name, "simulated CUDA device %d", device);
    memcpy(p->uuid.bytes, "cudasim device", 14);
    p->uuid.bytes[15] = (char)device;
    p->totalGlobalMem = memory_capacity(device);
    p->pciBusID = device + 1;
#define SET(name, field, number) p->field = number;
    ATTRIBUTES(SET)
#undef SET
    return cudaSuccess;
}

/* -- streams and events ---------------------------------------------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags, int priority) {
    ENTER();
    if (flags & ~cudaStreamNonBlocking) LEAVE(misuse(cudaErrorInvalidValue, "flags %#x", flags));
    *out = (cudaStream_t)stream_create(flags, priority < -5 ? -5 : priority > 0 ? 0 : priority);
    LEAVE(cudaSuccess);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags) { return cudaStreamCreateWithPriority(out, flags, 0); }
cudaError_t cudaStreamCreate(cudaStream_t *out) { return cudaStreamCreateWithPriority(out, cudaStreamDefault, 0); }

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
    WITH_STREAM(s, handle);
    if ((cudaStream_t)s != handle) LEAVE(misuse(cudaErrorInvalidResourceHandle, "a default stream can't be destroyed"));
    stream_destroy(s);
    LEAVE(cudaSuccess);
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
    WITH_STREAM(s, handle);
    COUNT(sync), COUNT(stream_sync);
    cudaError_t refused = capture_refuses_waiting(s);
    LEAVE(refused ? refused : host_wait_stream(s));
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
    WITH_STREAM(s, handle);
    COUNT(query);
    cudaError_t refused = capture_refuses_waiting(s);
    LEAVE(refused ? refused : poll_stream(s) ? cudaSuccess : cudaErrorNotReady);
}

cudaError_t cudaStreamGetPriority(cudaStream_t handle, int *priority) {
    WITH_STREAM(s, handle);
    *priority = s->priority;
    LEAVE(cudaSuccess);
}

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned *flags) {
    WITH_STREAM(s, handle);
    *flags = s->flags;
    LEAVE(cudaSuccess);
}

cudaError_t cudaStreamGetDevice(cudaStream_t handle, int *device) {
    WITH_STREAM(s, handle);
    *device = s->device;
    LEAVE(cudaSuccess);
}

cudaError_t cudaStreamGetId(cudaStream_t handle, unsigned long long *id) {
    WITH_STREAM(s, handle);
    *id = s->id;
    LEAVE(cudaSuccess);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned flags) {
    WITH_STREAM(s, handle);
    event *e = find_event(event_handle);
    if (!e) LEAVE(cudaErrorInvalidResourceHandle);
    if (flags) LEAVE(misuse(cudaErrorInvalidValue, "flags %#x aren't simulated", flags));
    LEAVE(stream_wait_event(s, e));
}

cudaError_t cudaLaunchHostFunc(cudaStream_t handle, cudaHostFn_t function, void *argument) {
    WITH_STREAM(s, handle);
    if (!function) LEAVE(misuse(cudaErrorInvalidValue, "no function"));
    operation o = new_operation(OP_HOST);
    o.function = function, o.argument = argument;
    COUNT(host_function);
    LEAVE(submit(s, o));
}

typedef struct {
    cudaStreamCallback_t function;
    cudaStream_t stream;
    void *argument;
} callback;

static void run_callback(void *argument) {
    callback c = *(callback *)argument;
    free(argument);
    c.function(c.stream, cudaSuccess, c.argument);
}

cudaError_t cudaStreamAddCallback(cudaStream_t handle, cudaStreamCallback_t function, void *argument, unsigned flags) {
    WITH_STREAM(s, handle);
    if (!function || flags) LEAVE(misuse(cudaErrorInvalidValue, "no function, or flags %#x", flags));
    if (s->capture) LEAVE(capture_refuses_waiting(s));
    callback *c = malloc(sizeof *c);
    if (!c) abort();
    *c = (callback){function, handle, argument};
    operation o = new_operation(OP_HOST);
    o.function = run_callback, o.argument = c;
    COUNT(host_function);
    LEAVE(submit(s, o));
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags) {
    ENTER();
    if (flags & cudaEventInterprocess) LEAVE(misuse(cudaErrorNotSupported, "events of several processes aren't simulated"));
    *out = (cudaEvent_t)event_create(flags);
    LEAVE(cudaSuccess);
}

cudaError_t cudaEventCreate(cudaEvent_t *out) { return cudaEventCreateWithFlags(out, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
    WITH_EVENT(e, handle);
    event_destroy(e);
    LEAVE(cudaSuccess);
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t handle, cudaStream_t stream_handle, unsigned flags) {
    WITH_STREAM(s, stream_handle);
    event *e = find_event(handle);
    if (!e) LEAVE(cudaErrorInvalidResourceHandle);
    if (flags) LEAVE(misuse(cudaErrorInvalidValue, "flags %#x aren't simulated", flags));
    LEAVE(event_record(e, s));
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream) { return cudaEventRecordWithFlags(handle, stream, cudaEventRecordDefault); }

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
    WITH_EVENT(e, handle);
    COUNT(sync), COUNT(event_sync);
    cudaError_t refused = capture_refuses_event(e);
    LEAVE(refused ? refused : host_wait_event(e));
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
    WITH_EVENT(e, handle);
    COUNT(query);
    cudaError_t refused = capture_refuses_event(e);
    LEAVE(refused ? refused : poll_event(e) ? cudaSuccess : cudaErrorNotReady);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t start_handle, cudaEvent_t end_handle) {
    WITH_EVENT(start, start_handle);
    event *end = find_event(end_handle);
    if (!end || !start->recorded || !end->recorded || start->device != end->device || ((start->flags | end->flags) & cudaEventDisableTiming))
        LEAVE(cudaErrorInvalidResourceHandle);
    if (start->captured || end->captured) LEAVE(capture_refuses_event(start->captured ? start : end));
    if (start->at.seq > start->at.stream->ran || end->at.seq > end->at.stream->ran) LEAVE(cudaErrorNotReady);
    *milliseconds = (float)(end->ran_ms - start->ran_ms);
    LEAVE(cudaSuccess);
}

/* -- memory ---------------------------------------------------------------------------------------------------------------------- */

cudaError_t cudaMalloc(void **out, size_t size) {
    ENTER();
    cudaError_t refused = capture_refuses_unsafe();
    LEAVE(refused ? refused : device_allocate(out, size, self.device, false));
}

cudaError_t cudaMallocPitch(void **out, size_t *pitch, size_t width, size_t height) {
    *pitch = (width + 511) / 512 * 512;
    return cudaMalloc(out, *pitch * height);
}

/* The allocation that a free names, or NULL and a finding. */
static allocation *to_free(void *start) {
    allocation *a = allocation_at(start);
    char where[160];
    describe_address(start, where, sizeof where);
    if (a && a->life != LIVE) {
        finding((concerning){.kind = CUDASIM_USE_AFTER_FREE, .allocation = a->id}, "freed twice: %s", where);
        return NULL;
    }
    if (!a || a->start != (uintptr_t)start) {
        misuse(cudaErrorInvalidValue, "not the start of an allocation: %s", where);
        return NULL;
    }
    return a;
}

/* Frees that wait: for the device, or for all of them where all can reach the memory. */
static cudaError_t free_when_idle(void *start, bool all_devices) {
    COUNT(implicit_sync);
    int device = allocation_at(start)->device;
    for (int d = 0; d < settings.devices; d++) {
        cudaError_t error = all_devices || d == device ? host_wait_device(d) : cudaSuccess;
        if (error) return error;
    }
    allocation *a = to_free(start); /* waiting gave up the lock: another thread may have freed it, and the list may have moved */
    if (!a) return cudaErrorInvalidValue;
    allocation_free(a);
    return cudaSuccess;
}

cudaError_t cudaFree(void *start) {
    if (!start) return cudaSuccess;
    ENTER();
    cudaError_t refused = capture_refuses_unsafe();
    if (refused) LEAVE(refused);
    allocation *a = to_free(start);
    if (!a) LEAVE(cudaErrorInvalidValue);
    if (a->kind != CUDASIM_DEVICE_MEMORY && a->kind != CUDASIM_MANAGED) LEAVE(misuse(cudaErrorInvalidValue, "%p is pinned: cudaFreeHost", start));
    if (a->kind == CUDASIM_DEVICE_MEMORY) COUNT(free);
    if (!a->stream_ordered) LEAVE(free_when_idle(start, a->kind == CUDASIM_MANAGED));
    check_nobody_uses(a);
    allocation_free(a);
    LEAVE(cudaSuccess);
}

static cudaError_t allocate_in(stream *s, void **out, size_t size, int device) {
    operation o = new_operation(OP_ALLOCATE);
    cudaError_t error = s->capture ? submit(s, o) /* refuses it */ : device_allocate(out, size, device, true);
    if (error || !*out || s->capture) return error;
    o.to = *out;
    o.writes = region_of(*out, size);
    return submit(s, o);
}

cudaError_t cudaMallocAsync(void **out, size_t size, cudaStream_t handle) {
    WITH_STREAM(s, handle);
    LEAVE(allocate_in(s, out, size, s->device));
}

cudaError_t cudaFreeAsync(void *start, cudaStream_t handle) {
    WITH_STREAM(s, handle);
    if (!start) LEAVE(cudaSuccess);
    allocation *a = to_free(start);
    if (!a) LEAVE(cudaErrorInvalidValue);
    if (!a->stream_ordered) LEAVE(misuse(cudaErrorInvalidValue, "%p isn't from cudaMallocAsync", start));
    operation o = new_operation(OP_FREE);
    o.to = start;
    o.writes = region_of(start, a->size);
    a->life = FREE_QUEUED;
    cudaError_t error = submit(s, o);
    if (error) a->life = LIVE;
    else COUNT(free);
    LEAVE(error);
}

cudaError_t cudaHostAlloc(void **out, size_t size, unsigned flags) {
    ENTER();
    cudaError_t refused = capture_refuses_unsafe();
    LEAVE(refused ? refused : host_allocate(out, size, CUDASIM_PINNED, flags));
}

cudaError_t cudaMallocHost(void **out, size_t size) { return cudaHostAlloc(out, size, cudaHostAllocDefault); }

cudaError_t cudaMallocManaged(void **out, size_t size, unsigned flags) {
    ENTER();
    cudaError_t refused = capture_refuses_unsafe();
    if (refused) LEAVE(refused);
    if (flags != cudaMemAttachGlobal && flags != cudaMemAttachHost) LEAVE(misuse(cudaErrorInvalidValue, "flags %#x", flags));
    LEAVE(host_allocate(out, size, CUDASIM_MANAGED, flags));
}

static cudaError_t free_host(void *start, int kind, cudaError_t otherwise) {
    cudaError_t refused = capture_refuses_unsafe();
    if (refused) return refused;
    allocation *a = allocation_at(start);
    if (!a || a->kind != kind) return misuse(otherwise, "%p", start);
    return to_free(start) ? free_when_idle(start, true) : otherwise;
}

cudaError_t cudaFreeHost(void *start) {
    if (!start) return cudaSuccess;
    ENTER();
    LEAVE(free_host(start, CUDASIM_PINNED, cudaErrorInvalidValue));
}

cudaError_t cudaHostRegister(void *start, size_t size, unsigned flags) {
    ENTER();
    LEAVE(host_register(start, size, flags));
}

cudaError_t cudaHostUnregister(void *start) {
    ENTER();
    LEAVE(free_host(start, CUDASIM_REGISTERED, cudaErrorHostMemoryNotRegistered));
}

cudaError_t cudaHostGetDevicePointer(void **out, void *host, unsigned flags) {
    (void)flags;
    ENTER();
    allocation *a = allocation_at(host);
    *out = a && a->life == LIVE ? host : NULL;
    LEAVE(*out ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaHostGetFlags(unsigned *flags, void *host) {
    ENTER();
    allocation *a = allocation_at(host);
    *flags = a ? a->flags : 0;
    LEAVE(a && a->life == LIVE && a->kind == CUDASIM_PINNED ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total) {
    ENTER();
    size_t capacity = memory_capacity(self.device), used = memory_used(self.device);
    if (available) *available = used < capacity ? capacity - used : 0;
    if (total) *total = capacity;
    LEAVE(cudaSuccess);
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *out, const void *address) {
    static const enum cudaMemoryType types[] = {cudaMemoryTypeDevice, cudaMemoryTypeHost, cudaMemoryTypeManaged, cudaMemoryTypeHost};
    ENTER();
    memset(out, 0, sizeof *out);
    out->type = cudaMemoryTypeUnregistered;
    out->device = cudaInvalidDeviceId;
    allocation *a = allocation_at(address);
    if (!a || a->life == FREED) {
        char where[160];
        describe_address(address, where, sizeof where);
        if (a) finding((concerning){.kind = CUDASIM_USE_AFTER_FREE, .allocation = a->id}, "%s", where);
        if (!is_simulated(address)) out->hostPointer = (void *)address;
        LEAVE(cudaSuccess);
    }
    out->type = types[a->kind];
    out->device = a->device;
    out->devicePointer = (void *)address;
    if (a->kind != CUDASIM_DEVICE_MEMORY) out->hostPointer = (void *)address;
    LEAVE(cudaSuccess);
}

/* Advice about where managed memory should be: here it is in both places. */
cudaError_t cudaMemPrefetchAsync(const void *start, size_t size, struct cudaMemLocation where, unsigned flags, cudaStream_t handle) {
    (void)size, (void)where, (void)flags;
    WITH_STREAM(s, handle);
    allocation *a = allocation_at(start);
    LEAVE(a && a->life == LIVE && a->kind == CUDASIM_MANAGED ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaMemAdvise(const void *start, size_t size, enum cudaMemoryAdvise advice, struct cudaMemLocation where) {
    (void)advice;
    return cudaMemPrefetchAsync(start, size, where, 0, NULL);
}

/* -- copies and fills -------------------------------------------------------------------------------------------------------------- */

static copy_shape flat(void *to, const void *from, size_t size) { return (copy_shape){to, from, size, 1, size, size}; }

cudaError_t cudaMemcpy(void *to, const void *from, size_t size, enum cudaMemcpyKind kind) {
    WITH_STREAM(s, NULL);
    LEAVE(copy(flat(to, from, size), kind, s, true));
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t size, enum cudaMemcpyKind kind, cudaStream_t handle) {
    WITH_STREAM(s, handle);
    LEAVE(copy(flat(to, from, size), kind, s, false));
}

cudaError_t cudaMemcpyPeerAsync(void *to, int to_device, const void *from, int from_device, size_t size, cudaStream_t handle) {
    WITH_STREAM(s, handle);
    if (!is_device(to_device) || !is_device(from_device)) LEAVE(cudaErrorInvalidDevice);
    LEAVE(copy(flat(to, from, size), cudaMemcpyDeviceToDevice, s, false));
}

cudaError_t cudaMemcpyPeer(void *to, int to_device, const void *from, int from_device, size_t size) {
    return cudaMemcpyPeerAsync(to, to_device, from, from_device, size, NULL);
}

cudaError_t cudaMemcpy2D(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t rows, enum cudaMemcpyKind kind) {
    WITH_STREAM(s, NULL);
    LEAVE(copy((copy_shape){to, from, width, rows, to_pitch, from_pitch}, kind, s, true));
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width, size_t rows, enum cudaMemcpyKind kind,
                              cudaStream_t handle) {
    WITH_STREAM(s, handle);
    LEAVE(copy((copy_shape){to, from, width, rows, to_pitch, from_pitch}, kind, s, false));
}

static cudaError_t fill_bytes(void *to, int value, size_t width, size_t rows, size_t pitch, cudaStream_t handle, bool synchronous) {
    stream *s = find_stream(handle);
    unsigned char byte = (unsigned char)value;
    return s ? fill(to, &byte, 1, width, rows, pitch, s, synchronous) : cudaErrorInvalidResourceHandle;
}

cudaError_t cudaMemset(void *to, int value, size_t size) {
    ENTER();
    LEAVE(fill_bytes(to, value, size, 1, size, NULL, true));
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t size, cudaStream_t handle) {
    ENTER();
    LEAVE(fill_bytes(to, value, size, 1, size, handle, false));
}

cudaError_t cudaMemset2D(void *to, size_t pitch, int value, size_t width, size_t rows) {
    ENTER();
    LEAVE(fill_bytes(to, value, width, rows, pitch, NULL, true));
}

cudaError_t cudaMemset2DAsync(void *to, size_t pitch, int value, size_t width, size_t rows, cudaStream_t handle) {
    ENTER();
    LEAVE(fill_bytes(to, value, width, rows, pitch, handle, false));
}

/* -- memory pools: they only say from which device, and count --------------------------------------------------------------------- */

#define POOL_MAGIC 0x504f4f4cu
#define POOL_ATTRIBUTES 16

typedef struct {
    handle handle;
    int device;
    uint64_t attributes[POOL_ATTRIBUTES];
} pool;

static pool *default_pools[MAX_DEVICES], *current_pools[MAX_DEVICES];

static pool *pool_new(int device) {
    pool *p = handle_new(POOL_MAGIC);
    p->device = device;
    p->attributes[cudaMemPoolReuseFollowEventDependencies] = 1;
    p->attributes[cudaMemPoolReuseAllowOpportunistic] = 1;
    p->attributes[cudaMemPoolReuseAllowInternalDependencies] = 1;
    return p;
}

static pool *default_pool(int device) {
    if (!default_pools[device]) default_pools[device] = current_pools[device] = pool_new(device);
    return default_pools[device];
}

static pool *find_pool(cudaMemPool_t handle) { return handle_find(handle, POOL_MAGIC, "memory pool"); }

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *out, int device) {
    ENTER();
    if (!is_device(device)) LEAVE(cudaErrorInvalidDevice);
    *out = (cudaMemPool_t)default_pool(device);
    LEAVE(cudaSuccess);
}

cudaError_t cudaDeviceGetMemPool(cudaMemPool_t *out, int device) {
    ENTER();
    if (!is_device(device)) LEAVE(cudaErrorInvalidDevice);
    default_pool(device);
    *out = (cudaMemPool_t)current_pools[device];
    LEAVE(cudaSuccess);
}

cudaError_t cudaDeviceSetMemPool(int device, cudaMemPool_t handle) {
    ENTER();
    if (!is_device(device)) LEAVE(cudaErrorInvalidDevice);
    default_pool(device);
    pool *p = find_pool(handle);
    if (!p || p->device != device) LEAVE(cudaErrorInvalidValue);
    current_pools[device] = p;
    LEAVE(cudaSuccess);
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t *out, const struct cudaMemPoolProps *wanted) {
    ENTER();
    if (wanted->location.type != cudaMemLocationTypeDevice || !is_device(wanted->location.id)) LEAVE(misuse(cudaErrorInvalidValue, "a pool of no device"));
    if (wanted->handleTypes != cudaMemHandleTypeNone) LEAVE(misuse(cudaErrorNotSupported, "pools of several processes aren't simulated"));
    *out = (cudaMemPool_t)pool_new(wanted->location.id);
    LEAVE(cudaSuccess);
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t handle) {
    ENTER();
    pool *p = find_pool(handle);
    if (!p || p == default_pools[p->device]) LEAVE(cudaErrorInvalidValue);
    if (p == current_pools[p->device]) current_pools[p->device] = default_pools[p->device];
    p->handle.destroyed = true;
    LEAVE(cudaSuccess);
}

cudaError_t cudaMallocFromPoolAsync(void **out, size_t size, cudaMemPool_t handle, cudaStream_t stream_handle) {
    WITH_STREAM(s, stream_handle);
    pool *p = find_pool(handle);
    LEAVE(p ? allocate_in(s, out, size, p->device) : cudaErrorInvalidValue);
}

/* The first three attributes are ints, the others 64 bits: cupy relies on that. */
static bool is_int(enum cudaMemPoolAttr attribute) { return attribute <= cudaMemPoolReuseAllowInternalDependencies; }

cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t handle, enum cudaMemPoolAttr attribute, void *value) {
    ENTER();
    pool *p = find_pool(handle);
    if (!p || (unsigned)attribute >= POOL_ATTRIBUTES) LEAVE(cudaErrorInvalidValue);
    uint64_t now = p->attributes[attribute];
    if (attribute == cudaMemPoolAttrUsedMemCurrent || attribute == cudaMemPoolAttrReservedMemCurrent) now = memory_used(p->device);
    if (attribute == cudaMemPoolAttrUsedMemHigh || attribute == cudaMemPoolAttrReservedMemHigh) now = memory_peak(p->device);
    if (is_int(attribute)) *(int *)value = (int)now;
    else *(uint64_t *)value = now;
    LEAVE(cudaSuccess);
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t handle, enum cudaMemPoolAttr attribute, void *value) {
    ENTER();
    pool *p = find_pool(handle);
    if (!p || (unsigned)attribute >= POOL_ATTRIBUTES) LEAVE(cudaErrorInvalidValue);
    p->attributes[attribute] = is_int(attribute) ? (uint64_t) * (int *)value : *(uint64_t *)value;
    if (attribute == cudaMemPoolAttrUsedMemHigh || attribute == cudaMemPoolAttrReservedMemHigh) memory_reset_peak(p->device);
    LEAVE(cudaSuccess);
}

cudaError_t cudaMemPoolTrimTo(cudaMemPool_t handle, size_t keep) {
    (void)keep;
    ENTER();
    LEAVE(find_pool(handle) ? cudaSuccess : cudaErrorInvalidValue);
}

/* Every device can reach every pool's memory; so nothing has to be kept. */
cudaError_t cudaMemPoolSetAccess(cudaMemPool_t handle, const struct cudaMemAccessDesc *wanted, size_t count) {
    ENTER();
    for (size_t i = 0; i < count; i++)
        if (wanted[i].location.type != cudaMemLocationTypeDevice || !is_device(wanted[i].location.id)) LEAVE(cudaErrorInvalidDevice);
    LEAVE(find_pool(handle) ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaMemPoolGetAccess(enum cudaMemAccessFlags *flags, cudaMemPool_t handle, struct cudaMemLocation *where) {
    ENTER();
    if (where->type != cudaMemLocationTypeDevice || !is_device(where->id)) LEAVE(cudaErrorInvalidDevice);
    *flags = cudaMemAccessFlagsProtReadWrite;
    LEAVE(find_pool(handle) ? cudaSuccess : cudaErrorInvalidValue);
}
