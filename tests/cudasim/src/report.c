/* Settings, the lock, and what the tests read: findings and counters. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sim.h"

struct settings settings = {
    .devices = 2, .mode = CUDASIM_EAGER, .delay_ms = 20, .polls = 4, .verbose = 1, .stuck_s = 60, .emulate = true, .memory = 8ull << 30,
};
_Thread_local thread_state self;
struct counters counters;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed; /* made by read_settings: it goes by the monotonic clock */
static _Atomic bool started, forked;

/* -- the lock ------------------------------------------------------------------------------------------------------------------ */

void sim_lock(void) { pthread_mutex_lock(&mutex); }
void sim_unlock(void) { pthread_mutex_unlock(&mutex); }
void sim_changed(void) { pthread_cond_broadcast(&changed); }

bool sim_wait(int milliseconds) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += milliseconds % 1000 * 1000000l;
    if (until.tv_nsec >= 1000000000l) until.tv_sec++, until.tv_nsec -= 1000000000l;
    return pthread_cond_timedwait(&changed, &mutex, &until) == 0;
}

/* cudaErrorNotReady isn't kept: torch and cupy each have a last error of their own on a GPU, because cupy carries a runtime of its own. Here they
 * share one, and what cupy's queries leave behind would fail torch's next call. */
cudaError_t sim_fail(cudaError_t error) {
    if (error != cudaSuccess && error != cudaErrorNotReady) self.last_error = error;
    return error;
}

/* The first call of a process starts CUDA. A child that was forked after that has neither our threads nor, maybe, a lock that anybody will
 * give back, and CUDA doesn't work there either; one that was forked before has a CUDA of its own. */
bool sim_start(void) {
    if (!forked) started = true;
    return !forked;
}

cudaError_t sim_enter(const char *call) {
    if (!sim_start()) return sim_fail(cudaErrorInitializationError);
    sim_lock();
    self.call = call;
    if (self.in_host_function) return sim_leave(misuse(cudaErrorNotPermitted, "called from a host function of a stream"));
    return cudaSuccess;
}

cudaError_t sim_leave(cudaError_t error) {
    self.call = NULL;
    sim_unlock();
    return sim_fail(error);
}

/* -- settings ------------------------------------------------------------------------------------------------------------------ */

static int from_environment(const char *name, int low, int high, int otherwise) {
    const char *text = getenv(name);
    if (!text || !*text) return otherwise;
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < low || value > high) {
        fprintf(stderr, "cudasim: %s=%s is not a number from %d to %d\n", name, text, low, high);
        exit(2);
    }
    return (int)value;
}

static int choice(const char *name, const char *const *choices, int count, int otherwise) {
    const char *text = getenv(name);
    if (!text || !*text) return otherwise;
    for (int i = 0; i < count; i++)
        if (!strcmp(text, choices[i])) return i;
    fprintf(stderr, "cudasim: %s=%s is none of the choices (see cudasim.h)\n", name, text);
    exit(2);
}

static void make_condition(void) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static void in_forked_child(void) {
    if (started) {
        forked = true;
        return;
    }
    pthread_mutex_init(&mutex, NULL);
    make_condition();
    memory_in_child();
    streams_in_child();
}

__attribute__((constructor)) static void load(void) {
    static const char *const modes[] = {"eager", "lazy", "thread"};
    static const char *const kernels[] = {"refuse", "emulate"};
    settings.devices = from_environment("CUDASIM_DEVICES", 1, MAX_DEVICES, settings.devices);
    settings.mode = choice("CUDASIM_MODE", modes, 3, settings.mode);
    settings.memory = (size_t)from_environment("CUDASIM_MEMORY_MB", 1, 200 << 10, (int)(settings.memory >> 20)) << 20;
    settings.delay_ms = from_environment("CUDASIM_DELAY_MS", 0, 60000, settings.delay_ms);
    settings.verbose = from_environment("CUDASIM_VERBOSE", 0, 2, settings.verbose);
    settings.stuck_s = from_environment("CUDASIM_STUCK_S", 1, 86400, settings.stuck_s);
    settings.emulate = choice("CUDASIM_KERNELS", kernels, 2, settings.emulate);

    make_condition();
    pthread_atfork(NULL, NULL, in_forked_child);
    memory_init();
    streams_init();
}

/* -- findings ------------------------------------------------------------------------------------------------------------------ */

enum { MAX_FINDINGS = 1000 };
static cudasim_finding kept[MAX_FINDINGS];
static size_t kept_count;
static uint64_t finding_ids;

const char *cudasim_finding_name(int kind) {
    static const char *const names[] = {
        [CUDASIM_RACE] = "race", [CUDASIM_USE_AFTER_FREE] = "use after free", [CUDASIM_OUT_OF_BOUNDS] = "out of bounds",
        [CUDASIM_UNIMPLEMENTED] = "unimplemented", [CUDASIM_KERNEL] = "kernel", [CUDASIM_MISUSE] = "misuse",
        [CUDASIM_CAPTURE] = "capture", [CUDASIM_STUCK] = "stuck",
    };
    return kind > 0 && kind < (int)(sizeof names / sizeof *names) ? names[kind] : "unknown";
}

void say(int verbosity, const char *format, ...) {
    if (settings.verbose < verbosity) return;
    va_list arguments;
    va_start(arguments, format);
    fputs("cudasim: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

static void keep_finding(concerning what, const char *text) {
    COUNT(findings);
    cudasim_finding f = {
        .id = ++finding_ids, .kind = what.kind, .allocation = what.allocation, .device = what.stream ? what.stream->device : self.device,
        .operation = what.operation ? what.operation->id : 0, .other_operation = what.other_operation ? what.other_operation->id : 0,
        .stream = (void *)what.stream, .other_stream = (void *)what.other_stream,
    };
    snprintf(f.text, sizeof f.text, "%s%s%s", self.call ? self.call : "", self.call ? ": " : "", text);
    say(1, "%s: %s", cudasim_finding_name(f.kind), f.text);
    if (kept_count < MAX_FINDINGS) kept[kept_count++] = f;
}

void finding(concerning what, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    keep_finding(what, text);
}

cudaError_t misuse(cudaError_t error, const char *format, ...) {
    char text[400], whole[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(whole, sizeof whole, "%s (%s)", text, cudaGetErrorName(error));
    keep_finding((concerning){.kind = CUDASIM_MISUSE}, whole);
    return error;
}

size_t cudasim_take_findings(cudasim_finding *out, size_t room) {
    sim_lock();
    size_t taken = room < kept_count ? room : kept_count;
    memcpy(out, kept, taken * sizeof *kept);
    memmove(kept, kept + taken, (kept_count - taken) * sizeof *kept);
    kept_count -= taken;
    sim_unlock();
    return taken;
}

void cudasim_clear_findings(void) {
    sim_lock();
    kept_count = 0;
    sim_unlock();
}

/* -- counters ------------------------------------------------------------------------------------------------------------------ */

enum { PENDING, PENDING_WORK, LIVE_ALLOCATIONS, LIVE_BYTES, LIVE_HOST, LIVE_STREAMS, LIVE_EVENTS, GAUGES };
static const char *const gauge_names[GAUGES] = {
    "pending", "pending_work", "live_allocations", "live_bytes", "live_host_allocations", "live_streams", "live_events",
};

static uint64_t gauge(int which) {
    switch (which) {
    case PENDING: return gauge_pending(false);
    case PENDING_WORK: return gauge_pending(true);
    case LIVE_ALLOCATIONS: return gauge_allocations(false);
    case LIVE_HOST: return gauge_allocations(true);
    case LIVE_STREAMS: return gauge_objects(false);
    case LIVE_EVENTS: return gauge_objects(true);
    }
    uint64_t bytes = 0;
    for (int d = 0; d < settings.devices; d++) bytes += memory_used(d);
    return bytes;
}

#define ROW(name) {#name, &counters.name##_},
static const struct {
    const char *name;
    uint64_t *value;
} rows[] = {COUNTERS(ROW)};
enum { ROWS = sizeof rows / sizeof *rows };

const char *cudasim_counter_name(size_t index) {
    return index < ROWS ? rows[index].name : index < ROWS + GAUGES ? gauge_names[index - ROWS] : NULL;
}

uint64_t cudasim_counter(const char *name) {
    uint64_t value = UINT64_MAX;
    sim_lock();
    for (int i = 0; i < ROWS; i++)
        if (!strcmp(name, rows[i].name)) value = *rows[i].value;
    for (int i = 0; i < GAUGES; i++)
        if (!strcmp(name, gauge_names[i])) value = gauge(i);
    sim_unlock();
    return value;
}

void cudasim_reset_counters(void) {
    sim_lock();
    memset(&counters, 0, sizeof counters);
    sim_unlock();
}
