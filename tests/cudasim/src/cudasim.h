/* cudasim: what a test can ask of the simulated CUDA device, and tell it.
 *
 * The library itself is called through the CUDA runtime API, as on a GPU; the functions here are for the tests, by ctypes, from
 * libcudart.so.13. They never fail, never touch CUDA's last error, and may be called from any thread (not from host callbacks
 * that run inside the simulator's streams: those may call none of the functions that run operations, as on a GPU).
 *
 * Build (gcc, binutils and make; the headers of CUDA 13.0, from a toolkit or from PyPI):
 *
 *     make -C tests/cudasim/src OUT=<folder> CUDA_INCLUDE=<folder with cuda_runtime_api.h and crt/>
 *
 * gives OUT/libcudart.so.13, OUT/libcuda.so.1 and OUT/libnvrtc.so.13. Load all three with RTLD_GLOBAL, in this order, before
 * torch or cupy is imported.
 *
 * Environment, read once when the library is loaded:
 *
 *     CUDASIM_DEVICES    1 to 4 (2)
 *     CUDASIM_MODE       eager | lazy | thread (eager)
 *     CUDASIM_MEMORY_MB  memory of each device (8192)
 *     CUDASIM_DELAY_MS   thread mode: from submission to start (20)
 *     CUDASIM_KERNELS    emulate | refuse (emulate): whether the stand-ins for copying and filling kernels may be used
 *     CUDASIM_VERBOSE    0: nothing on stderr but a fatal diagnosis, 1 (default): findings, 2: and every call that submits or allocates
 *     CUDASIM_STUCK_S    how long a host wait may last before it is given up and reported (60)
 */
#ifndef CUDASIM_H
#define CUDASIM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* -- modes ------------------------------------------------------------------------------------------------------------------- */

enum {
    CUDASIM_EAGER = 0,  /* an operation runs when it is submitted, if what it waits for has run */
    CUDASIM_LAZY = 1,   /* an operation runs only when the host waits for it: the adversary, and deterministic */
    CUDASIM_THREAD = 2, /* a thread runs each operation some time after its submission */
};

int cudasim_mode(void);
int cudasim_set_mode(int mode);  /* runs what is pending first (as cudasim_settle); returns the previous mode */
int cudasim_set_polls(int polls);  /* lazy: an event or stream query says "not ready" so often before it completes (4) */
int cudasim_set_delay_ms(int milliseconds);
int cudasim_set_stuck_s(int seconds);  /* how long a host wait may last; returns the previous figure, as the others do */
int cudasim_set_kernels(int emulate);  /* 0: every kernel is refused; returns the previous setting */
int cudasim_devices(void);

/* -- running what is pending --------------------------------------------------------------------------------------------------
 * A stream is a cudaStream_t; 0 and 1 are the legacy default stream of the current device, 2 is the thread's own.
 */

void cudasim_hold(void *stream);     /* nothing of this stream starts until cudasim_release; holds are counted */
void cudasim_release(void *stream);
int cudasim_step(void *stream);      /* run the stream's next operation, and what that waits for; 0 if there was none to run */
void cudasim_run(void);              /* run all that isn't held; the host hasn't waited for it: the race check still sees it */
void cudasim_settle(void);           /* release every hold, run everything, and take the host as having waited for it */

/* -- findings -----------------------------------------------------------------------------------------------------------------
 * What is wrong in the code under test. Each is also a line on stderr (CUDASIM_VERBOSE). At most 1000 are kept.
 */

enum {
    CUDASIM_RACE = 1,           /* two operations touch the same bytes, one writes, and nothing orders them */
    CUDASIM_USE_AFTER_FREE = 2, /* also: a free of what is freed already */
    CUDASIM_OUT_OF_BOUNDS = 3,  /* also: an address in no allocation */
    CUDASIM_UNIMPLEMENTED = 4,  /* a call that the simulator doesn't have */
    CUDASIM_KERNEL = 5,         /* a kernel was launched that has no stand-in */
    CUDASIM_MISUSE = 6,         /* an argument that CUDA rejects or leaves undefined: a destroyed stream, a wrong device, ... */
    CUDASIM_CAPTURE = 7,        /* a call that isn't legal while a stream is captured */
    CUDASIM_STUCK = 8,          /* the host waited for what can never happen */
};

typedef struct {
    uint64_t id;               /* 1, 2, 3, ... since the library was loaded */
    int32_t kind;              /* one of the above */
    int32_t device;
    uint64_t allocation;       /* its id, 0 if none is concerned */
    uint64_t operation;        /* the operation that was being submitted or run, 0 if none */
    uint64_t other_operation;  /* race: the earlier one */
    void *stream;
    void *other_stream;
    char text[512];            /* says all of it in words */
} cudasim_finding;

size_t cudasim_take_findings(cudasim_finding *out, size_t room);  /* moves the oldest out, returns how many */
void cudasim_clear_findings(void);
const char *cudasim_finding_name(int kind);  /* "race", "use after free", ... */

/* -- counters -----------------------------------------------------------------------------------------------------------------
 * Since the last reset:
 *   malloc free host_malloc host_free          allocations and frees, by any call of the kind
 *   h2d d2h d2d p2p h2h                        copies submitted, by where the memory is (p2p: between devices)
 *   copied_bytes                               the sum over all copies
 *   memset kernel host_function                operations submitted (kernel: stand-ins)
 *   record wait                                cudaEventRecord, cudaStreamWaitEvent
 *   sync                                       cudaStreamSynchronize + cudaEventSynchronize + cudaDeviceSynchronize
 *   stream_sync event_sync device_sync         each of these alone
 *   implicit_sync                              the host waited inside another call (pageable copy, cudaFree, ...)
 *   query                                      cudaStreamQuery, cudaEventQuery
 *   set_device                                 cudaSetDevice calls that changed the device
 *   stream_create event_create graph_launch
 *   findings race unimplemented kernel_refused
 * As it is now (not reset):
 *   pending                                    operations submitted and not run, event records and waits included
 *   pending_work                               the same without event records and waits
 *   live_allocations live_bytes live_host_allocations live_streams live_events
 */

uint64_t cudasim_counter(const char *name);  /* UINT64_MAX: there is no such counter */
const char *cudasim_counter_name(size_t index);  /* every name, in turn; NULL after the last */
void cudasim_reset_counters(void);

/* -- what there is ------------------------------------------------------------------------------------------------------------ */

enum { CUDASIM_DEVICE_MEMORY = 0, CUDASIM_PINNED = 1, CUDASIM_MANAGED = 2, CUDASIM_REGISTERED = 3 };

typedef struct {
    uint64_t id;     /* 1, 2, 3, ... over all devices and kinds: what findings call "allocation #3" */
    void *address;
    uint64_t size;   /* bytes, as asked for */
    int32_t device;
    int32_t kind;    /* one of the above */
} cudasim_allocation;

typedef struct {
    uint64_t id;     /* 1, 2, 3, ...: what findings call "operation #3" */
    void *stream;
    int32_t device;
    int32_t held;    /* its stream is held */
    char text[200];  /* the call and its arguments */
} cudasim_operation;

/* Both return how many there are, which may be more than there is room for. */
size_t cudasim_allocations(cudasim_allocation *out, size_t room, uint64_t after);  /* live ones with an id above after */
size_t cudasim_pending(cudasim_operation *out, size_t room);
uint64_t cudasim_last_allocation(void);  /* the newest id: take it before a test, and list what is newer afterwards */

/* "0x200000201000 = allocation #3 + 4096 (device 0, 8192 bytes, live)", as findings write it. */
void cudasim_describe(const void *address, char *out, size_t room);

/* Where a fatal access to device memory is told, an open file descriptor (2): a test runner captures 2 and loses it in the crash. */
void cudasim_set_diagnosis_file(int descriptor);

/* Device memory as it is now, ordered after nothing: what an unlucky reader would see. 0: the range isn't in a live allocation. */
int cudasim_peek(void *host, const void *device, size_t size);
int cudasim_poke(void *device, const void *host, size_t size);

/* New device memory is filled with this byte, and so is pinned memory that a pending copy is going to write. */
enum { CUDASIM_POISON = 0xcb, CUDASIM_POISON_PENDING = 0xee };

void cudasim_set_memory(int device, uint64_t bytes);  /* its size: allocations beyond it are out of memory. 0: as at the start */

#ifdef __cplusplus
}
#endif
#endif
