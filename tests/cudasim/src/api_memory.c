/* The CUDA runtime API: memory, copies and fills, memory pools. */
#include <string.h>

#include "sim.h"

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
    object object;
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
    if (wanted->location.type != cudaMemLocationTypeDevice || !is_device(wanted->location.id))
        LEAVE(misuse(cudaErrorInvalidValue, "a pool of no device"));
    if (wanted->handleTypes != cudaMemHandleTypeNone) LEAVE(misuse(cudaErrorNotSupported, "pools of several processes aren't simulated"));
    *out = (cudaMemPool_t)pool_new(wanted->location.id);
    LEAVE(cudaSuccess);
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t handle) {
    ENTER();
    pool *p = find_pool(handle);
    if (!p || p == default_pools[p->device]) LEAVE(cudaErrorInvalidValue);
    if (p == current_pools[p->device]) current_pools[p->device] = default_pools[p->device];
    p->object.destroyed = true;
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
