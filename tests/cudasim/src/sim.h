/* What the files of the simulator share.
 *
 *   report.c   settings, findings, counters                     races.c    which operations nothing orders
 *   memory.c   allocations, their addresses and bytes           capture.c  stream capture and graphs
 *   streams.c  streams, events, when an operation runs          emulate.c  stand-ins for copying and filling kernels
 *   copies.c   copies and fills                                 convert.c  ... and between element types
 *   api_*.c    CUDA's names for all that                        nvrtc.c    a compiler that compiles nothing
 *
 * One lock guards everything. Every API function takes it with ENTER and gives it back with LEAVE; what is declared here expects it to
 * be held, unless it says otherwise. Host functions run on a thread of their own, without the lock: they may wait for
 * Python's GIL while another thread, which has the GIL, waits for the lock.
 */
#ifndef SIM_H
#define SIM_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stdint.h>

#include "cudasim.h"

enum { MAX_DEVICES = 4, MAX_CAPTURED = 16 /* streams in one capture */ };

typedef struct stream stream;
typedef struct event event;
typedef struct operation operation;
typedef struct capture capture;

/* -- report.c: settings, entering and leaving, findings, counters ---------------------------------------------------------------- */

extern struct settings {
    int devices, mode, delay_ms, polls, verbose, stuck_s;
    bool emulate;
    size_t memory; /* bytes of each device */
} settings;

static inline bool is_device(int device) { return device >= 0 && device < settings.devices; }

/* What CUDA keeps for each host thread. */
typedef struct {
    int device;
    cudaError_t last_error;
    const char *call; /* the API function it is in, for findings */
    bool in_host_function;
    enum cudaStreamCaptureMode capture_mode;
    stream *default_stream[MAX_DEVICES]; /* cudaStreamPerThread */
} thread_state;

extern _Thread_local thread_state self;

bool sim_start(void);                    /* CUDA is used: false in a child that was forked after it was first */
cudaError_t sim_enter(const char *call); /* takes the lock, unless it gives an error */
cudaError_t sim_leave(cudaError_t error);
cudaError_t sim_fail(cudaError_t error); /* sets the thread's last error; without the lock */
void sim_lock(void);
void sim_unlock(void);
void sim_changed(void);              /* something ran, was released or submitted: wakes those in sim_wait */
bool sim_wait(int milliseconds);     /* gives the lock up until sim_changed; false: nothing came in this time */

#define ENTER()                                          \
    do {                                                 \
        cudaError_t entered_ = sim_enter(__func__);      \
        if (entered_ != cudaSuccess) return entered_;    \
    } while (0)
#define LEAVE(error) return sim_leave(error)
#define WITH_STREAM(s, handle)       \
    ENTER();                         \
    stream *s = find_stream(handle); \
    if (!s) LEAVE(cudaErrorInvalidResourceHandle)
#define WITH_EVENT(e, handle)      \
    ENTER();                       \
    event *e = find_event(handle); \
    if (!e) LEAVE(cudaErrorInvalidResourceHandle)

typedef struct {
    int kind;
    const stream *stream, *other_stream;
    const operation *operation, *other_operation;
    uint64_t allocation;
} concerning;

void finding(concerning what, const char *format, ...) __attribute__((format(printf, 2, 3)));
void say(int verbosity, const char *format, ...) __attribute__((format(printf, 2, 3)));
cudaError_t misuse(cudaError_t error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* One row: the counter's field and name. */
#define COUNTERS(X)                                                                                                                   \
    X(malloc) X(free) X(host_malloc) X(host_free) X(h2d) X(d2h) X(d2d) X(p2p) X(h2h) X(copied_bytes) X(memset) X(kernel)               \
    X(host_function) X(record) X(wait) X(sync) X(stream_sync) X(event_sync) X(device_sync) X(implicit_sync) X(query) X(set_device)     \
    X(stream_create) X(event_create) X(graph_launch) X(findings) X(race) X(unimplemented) X(kernel_refused)

#define FIELD(name) uint64_t name##_;
extern struct counters {
    COUNTERS(FIELD)
} counters;
#undef FIELD
#define COUNT(name) (counters.name##_++)

/* -- memory.c ------------------------------------------------------------------------------------------------------------------- */

typedef enum { LIVE, FREE_QUEUED, FREED } life;

typedef struct {
    uintptr_t start;
    size_t size;
    uint64_t id;
    int device;
    int kind;          /* CUDASIM_DEVICE_MEMORY, ... */
    life life;
    bool stream_ordered; /* from cudaMallocAsync */
    unsigned flags;
} allocation;

/* Rows of bytes at a distance, so that copies of columns can be told apart; rows == 1: one range. rows == 0: nothing. */
typedef struct {
    uintptr_t start;
    size_t width, pitch, rows;
} region;

region region_of(const void *start, size_t size);
region region_2d(const void *start, size_t width, size_t pitch, size_t rows);
bool regions_overlap(region a, region b);

void memory_init(void);
void memory_in_child(void); /* of its own, where nothing has been allocated */
cudaError_t device_allocate(void **out, size_t size, int device, bool stream_ordered);
cudaError_t host_allocate(void **out, size_t size, int kind, unsigned flags);
cudaError_t host_register(void *start, size_t size, unsigned flags);
void allocation_free(allocation *a); /* the bytes are gone, the address stays recognisable */
allocation *allocation_at(const void *address);       /* the one that the address lies in, live or not; or NULL */
int device_of_address(const void *address);           /* -1: not device memory */
bool is_simulated(const void *address);               /* device, pinned or managed memory: ours */
bool is_pageable(const void *address);
void *bytes_of(const void *address);                  /* where the simulator itself reads and writes it */
/* False: a finding says why not. What is submitted after a cudaFreeAsync is wrong, what runs before that has run isn't. */
bool check_access(region r, const char *what, const stream *s, const operation *o, bool running);
void describe_address(const void *address, char *out, size_t room);
size_t memory_used(int device);
size_t memory_peak(int device);
size_t memory_capacity(int device);
void memory_reset_peak(int device);
uint64_t gauge_allocations(bool host);

/* -- streams.c ------------------------------------------------------------------------------------------------------------------ */

/* A place in a stream: its first `seq` operations. */
typedef struct {
    stream *stream;
    uint64_t seq;
} place;

/* A set of places, one a stream: everything that is ordered before some point. */
typedef struct {
    place *at;
    int count, room;
} order;

typedef enum {
    OP_RECORD,  /* an event's place in the stream */
    OP_WAIT,    /* for an event, through `needs` */
    OP_COPY,
    OP_FILL,
    OP_STRIDED, /* a copying kernel */
    OP_HOST,    /* cudaLaunchHostFunc */
    OP_ALLOCATE, /* cudaMallocAsync */
    OP_FREE,    /* cudaFreeAsync */
} op_kind;

/* Elements of tensors, for the stand-ins of kernels (convert.c). ONE_BYTE: float8 and others whose values aren't looked at. */

typedef enum { BOOL, I8, I16, I32, I64, U8, U16, U32, U64, F16, BF16, F32, F64, C64, C128, C32, ONE_BYTE, ELEMENT_TYPES } element_type;
typedef enum { AS_IT_IS, NEGATED, CONJUGATED } change;

size_t size_of_element(element_type t);
bool can_convert(element_type to, element_type from);
void convert_element(void *to, element_type to_type, const void *from, element_type from_type, change how);

/* What a copying kernel does. */
typedef struct {
    int dims;
    size_t elements;
    element_type to_type, from_type;
    change change;
    long shape[32], to_stride[32], from_stride[32]; /* bytes */
    unsigned char value[16];                        /* of a fill, which copies from here */
} strided;

struct operation {
    operation *next;
    uint64_t id, seq; /* of all operations; in its stream */
    op_kind kind;
    const char *call;
    place *needs; /* must have run before it */
    int need_count;
    order before; /* OP_HOST: what the host knows to have run once the function is called */
    region writes, reads; /* for the race check */
    double submitted_ms;
    /* OP_COPY, OP_FILL, OP_STRIDED: rows of width bytes. */
    void *to;
    const void *from;
    size_t width, rows, to_pitch, from_pitch;
    void *owned; /* staged bytes of a pageable source, or the strided description */
    unsigned char pattern[16];
    size_t pattern_size;
    /* OP_HOST */
    void (*function)(void *);
    void *argument;
    /* OP_RECORD */
    struct event *event;
};

/* What handles point at. They are never reused, so that a destroyed one is recognised. */
typedef struct {
    uint32_t magic;
    bool destroyed;
} object;

struct stream {
    object object;
    uint64_t id;
    int device, priority, holds;
    unsigned flags, polls;
    bool legacy, busy; /* busy: its first waiting operation is a host function that runs now */
    uint64_t submitted, ran, seen; /* seen: the host has waited for so many */
    operation *first, *last;         /* not yet run */
    operation *past_first, *past_last; /* ran, but the host hasn't waited for them: kept for the race check */
    int past_count;
    order before;        /* what is ordered before its next operation */
    capture *capture;
    stream *next;
};

struct event {
    object object;
    int device;
    unsigned flags, polls;
    bool recorded;
    place at;     /* its last record */
    order before; /* what that record is ordered after, itself included */
    double ran_ms;
    uint64_t record; /* id of the last record's operation: an earlier one that runs late doesn't set ran_ms */
    capture *captured; /* its last record was in this capture, which may have ended */
    int captured_known[MAX_CAPTURED];
};

void *handle_new(uint32_t magic);
void *handle_find(const void *pointer, uint32_t magic, const char *what); /* NULL, and a finding: none such, or destroyed */

void streams_init(void);
void streams_in_child(void);
stream *first_stream(void);
bool is_blocking(const stream *s);                  /* ordered against the legacy default stream */
stream *find_stream(cudaStream_t handle);           /* the default streams, too, by their small numbers; NULL, and a finding: none such */
event *find_event(cudaEvent_t handle);
stream *stream_create(unsigned flags, int priority);
void stream_destroy(stream *s);
event *event_create(unsigned flags);
void event_destroy(event *e);
cudaError_t event_record(event *e, stream *s);
cudaError_t stream_wait_event(stream *s, event *e);

operation new_operation(op_kind kind);
cudaError_t submit(stream *s, operation o);         /* takes over what the operation owns */
cudaError_t host_wait_stream(stream *s);            /* until all of it has run; the host then knows that */
cudaError_t host_wait_event(event *e);
cudaError_t host_wait_device(int device);
bool poll_stream(stream *s);                        /* a query: has it run? lazy: after some polls it does */
bool poll_event(event *e);
void run_what_can(void);                            /* in every mode; waits for nobody */
void discard(operation *o);                         /* what it owns */
void forget_what_is_seen(stream *s);                /* the host has waited for it: it can't race any more */
bool has_unrun_access(region r);                    /* some operation that touches it hasn't run */
void describe_operation(const operation *o, char *out, size_t room);
void describe_stream(const stream *s, char *out, size_t room);
uint64_t gauge_pending(bool work_only);             /* for the counters */
uint64_t gauge_objects(bool events);

/* -- races.c -------------------------------------------------------------------------------------------------------------------- */

void order_add(order *o, place p);
void order_merge(order *o, const order *other);
void order_free(order *o);
void host_knows(const order *o); /* the host has waited for all that */
void check_races(const stream *s, const operation *o);
void check_nobody_uses(const allocation *a);

/* -- copies.c ------------------------------------------------------------------------------------------------------------------- */

typedef struct {
    void *to;
    const void *from;
    size_t width, rows, to_pitch, from_pitch;
} copy_shape;

cudaError_t copy(copy_shape c, enum cudaMemcpyKind kind, stream *s, bool synchronous);
cudaError_t fill(void *to, const void *pattern, size_t pattern_size, size_t width, size_t rows, size_t pitch, stream *s, bool synchronous);
void run_copy(const operation *o);
void run_fill(const operation *o);
void run_strided(const operation *o);

/* -- capture.c ------------------------------------------------------------------------------------------------------------------- */

/* Each gives an error, and a finding, where a capture forbids the call; and the capture is then invalid, as CUDA has it. */
cudaError_t capture_refuses_unsafe(void);         /* cudaMalloc and other calls that may wait for the device */
cudaError_t capture_refuses_waiting(stream *s);   /* a wait for a stream, or a query */
cudaError_t capture_refuses_event(event *e);      /* the same of an event */
cudaError_t capture_refuses_device(int device);   /* a wait for a whole device */
cudaError_t capture_refuses_pageable(stream *s);  /* a copy from or to memory that isn't pinned */
cudaError_t capture_refuses_legacy(int device);   /* the legacy default stream, while a blocking stream is captured */
cudaError_t capture_append(stream *s, operation o);
cudaError_t capture_record(stream *s, event *e);
cudaError_t capture_wait(stream *s, event *e);
void capture_stream_destroyed(stream *s);

/* -- emulate.c ------------------------------------------------------------------------------------------------------------------ */

/* Submits a stand-in for the kernel and says so; false: it has none. */
bool emulate_kernel(const char *name, void **arguments, stream *s, cudaError_t *error);

/* -- api_launch.c ---------------------------------------------------------------------------------------------------------------- */

cudaError_t launch_by_name(const char *name, void **arguments, stream *s); /* a stand-in, or a refusal */

#endif
