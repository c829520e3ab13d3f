/* Launching kernels. nvcc's generated code registers each kernel under an address; libraries launch by that address, or by a
 * function of a module (api_driver.c). No kernel's code ever runs: some have stand-ins (emulate.c), all others are refused by name. */
#include <stdlib.h>
#include <string.h>

#include <cuda_profiler_api.h>

#include "sim.h"

/* -- names of kernels, in a hash table: torch registers 20,000, and looks one up at each launch ---------------------------------- */

static struct kernel { const void *address; const char *name; } *kernels;
static size_t kernel_count, kernel_room; /* room: a power of two, at most half full */

static struct kernel *slot_of(const void *address) {
    size_t at = ((uintptr_t)address >> 4) * 0x9e3779b97f4a7c15ull >> 20;
    while (kernels[at & (kernel_room - 1)].address && kernels[at & (kernel_room - 1)].address != address) at++;
    return &kernels[at & (kernel_room - 1)];
}

static void register_kernel(const void *address, const char *name) {
    if (2 * kernel_count >= kernel_room) {
        struct kernel *old = kernels;
        size_t old_room = kernel_room;
        kernel_room = old_room ? 2 * old_room : 4096;
        kernels = calloc(kernel_room, sizeof *kernels);
        if (!kernels) abort();
        for (size_t i = 0; i < old_room; i++)
            if (old[i].address) *slot_of(old[i].address) = old[i];
        free(old);
    }
    struct kernel *k = slot_of(address);
    kernel_count += !k->address;
    *k = (struct kernel){address, name};
}

static const char *kernel_name(const void *address) {
    const char *name = kernel_room ? slot_of(address)->name : NULL;
    return name ? name : "an unknown kernel";
}

/* -- what nvcc's code calls while a library is loaded ----------------------------------------------------------------------------- */

/* They aren't in the runtime's headers: crt/host_runtime.h, which only nvcc includes, has them. */
void **__cudaRegisterFatBinary(void *binary);
void __cudaRegisterFatBinaryEnd(void **handle);
void __cudaUnregisterFatBinary(void **handle);
char __cudaInitModule(void **handle);
void __cudaRegisterFunction(void **handle, const char *address, char *device_function, const char *name, int limit, void *thread_id,
                            void *block_id, void *block_dim, void *grid_dim, int *warp_size);
void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int external, size_t size, int constant, int global);
unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void *stream);
cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *stream);
cudaError_t __cudaGetKernel(cudaKernel_t *out, const void *address);
cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments, size_t shared, cudaStream_t stream);

void **__cudaRegisterFatBinary(void *binary) {
    (void)binary;
    static void *handle[2];
    return handle;
}

void __cudaRegisterFatBinaryEnd(void **handle) { (void)handle; }
void __cudaUnregisterFatBinary(void **handle) { (void)handle; }

char __cudaInitModule(void **handle) {
    (void)handle;
    return 1;
}

void __cudaRegisterFunction(void **handle, const char *address, char *device_function, const char *name, int limit, void *thread_id,
                            void *block_id, void *block_dim, void *grid_dim, int *warp_size) {
    (void)handle, (void)device_function, (void)limit, (void)thread_id, (void)block_id, (void)block_dim, (void)grid_dim, (void)warp_size;
    sim_lock();
    register_kernel(address, name);
    sim_unlock();
}

void __cudaRegisterVar(void **handle, char *host, char *device, const char *name, int external, size_t size, int constant, int global) {
    (void)handle, (void)host, (void)device, (void)name, (void)external, (void)size, (void)constant, (void)global;
}

static _Thread_local struct {
    dim3 grid, block;
    size_t shared;
    void *stream;
} configuration;

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, void *handle) {
    configuration.grid = grid, configuration.block = block, configuration.shared = shared, configuration.stream = handle;
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared, void *handle) {
    *grid = configuration.grid, *block = configuration.block, *shared = configuration.shared;
    *(void **)handle = configuration.stream;
    return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t *out, const void *address) {
    *out = (cudaKernel_t)address;
    return cudaSuccess;
}

/* -- launching ------------------------------------------------------------------------------------------------------------------- */

cudaError_t launch_by_name(const char *name, void **arguments, stream *s) {
    if (s->device != self.device && !s->legacy)
        return misuse(cudaErrorInvalidResourceHandle, "a kernel for a stream of device %d, while device %d is current", s->device, self.device);
    cudaError_t error = cudaSuccess;
    if (settings.emulate && arguments && emulate_kernel(name, arguments, s, &error)) return error;
    COUNT(kernel_refused);
    finding((concerning){.kind = CUDASIM_KERNEL, .stream = s}, "kernels don't run on a simulated device: %.380s", name);
    return cudaErrorNotSupported;
}

static cudaError_t launch(const void *address, void **arguments, cudaStream_t handle) {
    WITH_STREAM(s, handle);
    LEAVE(launch_by_name(kernel_name(address), arguments, s));
}

cudaError_t cudaLaunchKernel(const void *address, dim3 grid, dim3 block, void **arguments, size_t shared, cudaStream_t handle) {
    (void)grid, (void)block, (void)shared;
    return launch(address, arguments, handle);
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **arguments, size_t shared, cudaStream_t handle) {
    (void)grid, (void)block, (void)shared;
    return launch(kernel, arguments, handle);
}

cudaError_t cudaLaunchCooperativeKernel(const void *address, dim3 grid, dim3 block, void **arguments, size_t shared, cudaStream_t handle) {
    (void)grid, (void)block, (void)shared;
    return launch(address, arguments, handle);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *how, const void *address, void **arguments) { return launch(address, arguments, how->stream); }

/* -- what is asked of a kernel before it is launched ------------------------------------------------------------------------------ */

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *out, const void *address) {
    (void)address;
    memset(out, 0, sizeof *out);
    out->maxThreadsPerBlock = 1024;
    out->numRegs = 32;
    out->ptxVersion = out->binaryVersion = 90;
    return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void *address, enum cudaFuncAttribute attribute, int value) {
    (void)address, (void)attribute, (void)value;
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *out, const void *address, int block, size_t shared, unsigned flags) {
    (void)address, (void)block, (void)shared, (void)flags;
    *out = 2;
    return cudaSuccess;
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *out, const void *address, int block, size_t shared) {
    return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(out, address, block, shared, 0);
}

cudaError_t cudaProfilerStart(void) { return cudaSuccess; }
cudaError_t cudaProfilerStop(void) { return cudaSuccess; }
