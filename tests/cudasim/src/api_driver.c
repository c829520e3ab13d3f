/* The part of the driver API that torch and cupy ask for, by name or through the runtime. The driver never sets the runtime's last
 * error: torch calls it while it starts, and would find the error at its first copy. */
#define _GNU_SOURCE
#include <cuda.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "sim.h"

static CUresult driver_leave(cudaError_t error) {
    self.call = NULL;
    sim_unlock();
    return (CUresult)error; /* where both name an error, the numbers are the same */
}

#define DRIVER_ENTER()                                \
    do {                                              \
        if (!sim_start()) return CUDA_ERROR_NOT_INITIALIZED; \
        sim_lock();                                   \
        self.call = __func__;                         \
    } while (0)
#define DRIVER_LEAVE(error) return driver_leave(error)

static char contexts[MAX_DEVICES]; /* a context is the address of its device's byte */
static CUcontext context_of(int device) { return (CUcontext)&contexts[device]; }

/* -- versions, errors, devices, contexts ------------------------------------------------------------------------------------------ */

static const struct {
    int error;
    const char *name;
} error_names[] = {
#include "driver_errors.inc" /* from cuda.h, by the Makefile */
};

CUresult cuGetErrorName(CUresult error, const char **name) {
    *name = NULL;
    for (size_t i = 0; i < sizeof error_names / sizeof *error_names && !*name; i++)
        if (error_names[i].error == (int)error) *name = error_names[i].name;
    return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorString(CUresult error, const char **text) {
    *text = cudaGetErrorString((cudaError_t)error);
    return CUDA_SUCCESS;
}

CUresult cuInit(unsigned flags) {
    (void)flags;
    return sim_start() ? CUDA_SUCCESS : CUDA_ERROR_NOT_INITIALIZED;
}

CUresult cuDriverGetVersion(int *version) {
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count) {
    *count = settings.devices;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *out, int device) {
    *out = device;
    return device >= 0 && device < settings.devices ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetName(char *out, int room, CUdevice device) {
    snprintf(out, (size_t)room, "simulated CUDA device %d", device);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device) {
    cudaError_t before = self.last_error;
    cudaError_t error = cudaDeviceGetAttribute(value, (enum cudaDeviceAttr)attribute, device);
    self.last_error = before;
    return (CUresult)error;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
    *bytes = memory_capacity(device);
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice device, unsigned *flags, int *active) {
    (void)device;
    if (flags) *flags = 0;
    *active = 1;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *out, CUdevice device) {
    *out = context_of(device);
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
    (void)device;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *out) {
    *out = context_of(self.device);
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
    long device = (char *)context - contexts;
    if (context && (device < 0 || device >= settings.devices)) return CUDA_ERROR_INVALID_CONTEXT;
    if (context) self.device = (int)device;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *out) {
    *out = self.device;
    return CUDA_SUCCESS;
}

/* There is no stack: who pushes a context pops it before anybody else's turn, and then sets its own. */
CUresult cuCtxPushCurrent_v2(CUcontext context) { return cuCtxSetCurrent(context); }
CUresult cuCtxPopCurrent_v2(CUcontext *out) { return out ? cuCtxGetCurrent(out) : CUDA_SUCCESS; }

CUresult cuCtxSynchronize(void) {
    DRIVER_ENTER();
    cudaError_t refused = capture_refuses_device(self.device);
    DRIVER_LEAVE(refused ? refused : host_wait_device(self.device));
}

/* -- streams and pointers --------------------------------------------------------------------------------------------------------- */

CUresult cuStreamGetCtx(CUstream handle, CUcontext *out) {
    DRIVER_ENTER();
    stream *s = find_stream((cudaStream_t)handle);
    if (s) *out = context_of(s->device);
    DRIVER_LEAVE(s ? cudaSuccess : cudaErrorInvalidResourceHandle);
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *start, size_t *size, CUdeviceptr address) {
    DRIVER_ENTER();
    allocation *a = allocation_at((void *)address);
    if (!a || a->life == FREED) DRIVER_LEAVE((cudaError_t)CUDA_ERROR_NOT_FOUND);
    if (start) *start = a->start;
    if (size) *size = a->size;
    DRIVER_LEAVE(cudaSuccess);
}

static cudaError_t pointer_attribute(void *out, CUpointer_attribute attribute, const allocation *a, CUdeviceptr address) {
    switch ((int)attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT: *(CUcontext *)out = context_of(a->device); break;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *(unsigned *)out = a->kind == CUDASIM_PINNED || a->kind == CUDASIM_REGISTERED ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
        break;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER: *(CUdeviceptr *)out = address; break;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        if (a->kind == CUDASIM_DEVICE_MEMORY) return cudaErrorInvalidValue;
        *(void **)out = (void *)address;
        break;
    case CU_POINTER_ATTRIBUTE_BUFFER_ID: *(unsigned long long *)out = a->id; break;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED: *(unsigned *)out = a->kind == CUDASIM_MANAGED; break;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *(int *)out = a->device; break;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: *(CUdeviceptr *)out = a->start; break;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *(size_t *)out = a->size; break;
    default: return misuse(cudaErrorNotSupported, "attribute %d isn't simulated", (int)attribute);
    }
    return cudaSuccess;
}

CUresult cuPointerGetAttribute(void *out, CUpointer_attribute attribute, CUdeviceptr address) {
    DRIVER_ENTER();
    allocation *a = allocation_at((void *)address);
    DRIVER_LEAVE(a && a->life != FREED ? pointer_attribute(out, attribute, a, address) : cudaErrorInvalidValue);
}

/* Unlike the single one it zeroes what can't be said of the address, and succeeds. */
CUresult cuPointerGetAttributes(unsigned count, CUpointer_attribute *attributes, void **out, CUdeviceptr address) {
    DRIVER_ENTER();
    allocation *a = allocation_at((void *)address);
    for (unsigned i = 0; i < count; i++) {
        *(int *)out[i] = 0;
        if (a && a->life != FREED) pointer_attribute(out[i], attributes[i], a, address);
    }
    DRIVER_LEAVE(cudaSuccess);
}

/* -- modules: a function is its name, which launch_by_name knows or not ------------------------------------------------------------- */

CUresult cuModuleLoadData(CUmodule *out, const void *image) {
    (void)image;
    static char module;
    *out = (CUmodule)&module;
    return CUDA_SUCCESS;
}

CUresult cuModuleLoadDataEx(CUmodule *out, const void *image, unsigned count, CUjit_option *options, void **values) {
    (void)count, (void)options, (void)values;
    return cuModuleLoadData(out, image);
}

CUresult cuModuleUnload(CUmodule module) {
    (void)module;
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *out, CUmodule module, const char *name) {
    (void)module;
    *out = (CUfunction)strdup(name); /* for good, as modules are cached for good */
    return *out ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction function) {
    (void)function;
    *value = attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024 : 0;
    return CUDA_SUCCESS;
}

CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
    (void)function, (void)attribute, (void)value;
    return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z,
                        unsigned shared, CUstream handle, void **arguments, void **extra) {
    (void)grid_x, (void)grid_y, (void)grid_z, (void)block_x, (void)block_y, (void)block_z, (void)shared, (void)extra;
    DRIVER_ENTER();
    stream *s = find_stream((cudaStream_t)handle);
    DRIVER_LEAVE(s ? launch_by_name((const char *)function, arguments, s) : cudaErrorInvalidResourceHandle);
}

/* -- logs, and finding the driver's functions by name ------------------------------------------------------------------------------ */

CUresult cuLogsRegisterCallback(CUlogsCallback callback, void *argument, CUlogsCallbackHandle *out) {
    (void)callback, (void)argument;
    if (out) *out = NULL;
    return CUDA_SUCCESS;
}

CUresult cuLogsUnregisterCallback(CUlogsCallbackHandle handle) {
    (void)handle;
    return CUDA_SUCCESS;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char *name, void **out, unsigned version, unsigned long long flags,
                                             enum cudaDriverEntryPointQueryResult *result) {
    (void)version, (void)flags;
    static const char *const suffixes[] = {"_v3", "_v2", ""}; /* the newest of a function's versions */
    static void *library;
    Dl_info here;
    if (!library && dladdr((void *)cudaGetDriverEntryPointByVersion, &here)) library = dlopen(here.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    *out = NULL;
    for (int i = 0; i < 3 && !*out; i++) {
        char versioned[200];
        snprintf(versioned, sizeof versioned, "%s%s", name, suffixes[i]);
        *out = dlsym(library, versioned);
    }
    if (result) *result = *out ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return cudaSuccess;
}

cudaError_t cudaGetDriverEntryPoint(const char *name, void **out, unsigned long long flags, enum cudaDriverEntryPointQueryResult *result) {
    return cudaGetDriverEntryPointByVersion(name, out, CUDA_VERSION, flags, result);
}

/* Every stub ends here (stubs.c, which the Makefile writes). */
int cudasim_unimplemented(const char *name);

int cudasim_unimplemented(const char *name) {
    sim_lock();
    self.call = NULL;
    COUNT(unimplemented);
    finding((concerning){.kind = CUDASIM_UNIMPLEMENTED}, "%s isn't simulated", name);
    sim_unlock();
    bool runtime = !strncmp(name, "cuda", 4) || !strncmp(name, "__cuda", 6);
    return runtime ? (int)sim_fail(cudaErrorNotSupported) : CUDA_ERROR_NOT_SUPPORTED;
}
