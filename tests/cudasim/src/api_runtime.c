/* The CUDA runtime API: errors, devices, streams and events. Each function checks its arguments and what a capture forbids, and says the rest
 * in the simulator's words. (Memory: api_memory.c. Capture and graphs: capture.c. Launching kernels: api_launch.c. What is in none of them is a
 * generated stub, which refuses by its name.) */
#include <cuda.h> /* CUDA_VERSION */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

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
    if (!sim_start()) return sim_fail(cudaErrorInitializationError);
    *count = settings.devices;
    return cudaSuccess;
}

cudaError_t cudaGetDevice(int *device) {
    if (!sim_start()) return sim_fail(cudaErrorInitializationError);
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

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream_handle) {
    return cudaEventRecordWithFlags(handle, stream_handle, cudaEventRecordDefault);
}

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
