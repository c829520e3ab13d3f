/* Streams, events, and when an operation runs.
 *
 * A stream is a queue of operations. Each says which places in other streams must have run before it, so an operation can run when it
 * is the first of its stream and these have. Eager mode runs whatever can run at once; lazy mode only what the host waits for, and what
 * that needs; thread mode what was submitted long enough ago.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "sim.h"

enum { STREAM_MAGIC = 0x5354524d, EVENT_MAGIC = 0x45564e54, HANDLE_SIZE = 512, PAST_AT_MOST = 256, PENDING_AT_MOST = 1024 };
#ifndef HANDLES_SIZE
#define HANDLES_SIZE (16ull << 30)
#endif

static char *handles, *next_handle;
static stream *streams; /* newest first; without those that are destroyed and have nothing left */
static stream *legacy[MAX_DEVICES];
static uint64_t stream_ids, operation_ids, pending, pending_work, live_streams, live_events;
static stream *stepped; /* cudasim_step: its hold doesn't count */

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* -- handles -------------------------------------------------------------------------------------------------------------------- */

_Static_assert(sizeof(stream) <= HANDLE_SIZE && sizeof(event) <= HANDLE_SIZE, "a handle's slot is too small");

void *handle_new(uint32_t magic) {
    if (next_handle + HANDLE_SIZE > handles + HANDLES_SIZE) abort();
    object *h = (object *)next_handle; /* fresh pages: all zero */
    next_handle += HANDLE_SIZE;
    h->magic = magic;
    return h;
}

void *handle_find(const void *pointer, uint32_t magic, const char *what) {
    const char *p = pointer;
    object *h = (object *)p;
    if (p < handles || p >= next_handle || (p - handles) % HANDLE_SIZE || h->magic != magic) {
        misuse(cudaErrorInvalidResourceHandle, "%p is no %s", pointer, what);
        return NULL;
    }
    if (h->destroyed) {
        misuse(cudaErrorInvalidResourceHandle, "%s %p has been destroyed", what, pointer);
        return NULL;
    }
    return h;
}

/* -- operations ----------------------------------------------------------------------------------------------------------------- */

operation new_operation(op_kind kind) { return (operation){.kind = kind, .call = self.call}; }

void discard(operation *o) {
    free(o->owned);
    free(o->needs);
    order_free(&o->before);
    o->owned = NULL, o->needs = NULL;
}

static bool is_work(const operation *o) { return o->kind != OP_RECORD && o->kind != OP_WAIT; }
static bool has_run(place p) { return p.stream->ran >= p.seq; }

static bool needs_have_run(const operation *o) {
    for (int i = 0; i < o->need_count; i++)
        if (!has_run(o->needs[i])) return false;
    return true;
}

bool has_unrun_access(region r) {
    for (stream *s = streams; s; s = s->next)
        for (operation *o = s->first; o; o = o->next)
            if (regions_overlap(r, o->reads) || regions_overlap(r, o->writes)) return true;
    return false;
}

static void add_need(operation *o, place p) {
    if (has_run(p)) return;
    o->needs = realloc(o->needs, (size_t)(o->need_count + 1) * sizeof *o->needs);
    if (!o->needs) abort();
    o->needs[o->need_count++] = p;
}

void describe_stream(const stream *s, char *out, size_t room) {
    if (s->legacy) snprintf(out, room, "the default stream of device %d", s->device);
    else snprintf(out, room, "stream %lu (%p, device %d)", s->id, (void *)s, s->device);
}

static void short_address(const void *address, char *out, size_t room) {
    allocation *a = allocation_at(address);
    if (a) snprintf(out, room, "#%lu+%zu", a->id, (size_t)((uintptr_t)address - a->start));
    else snprintf(out, room, "%p", address);
}

void describe_operation(const operation *o, char *out, size_t room) {
    char to[40], from[40];
    short_address(o->to, to, sizeof to);
    short_address(o->from, from, sizeof from);
    int at = snprintf(out, room, "operation #%lu %s", o->id, o->call ? o->call : "?");
    if (at < 0 || (size_t)at >= room) return;
    out += at, room -= (size_t)at;
    switch (o->kind) {
    case OP_COPY:
        if (o->owned) snprintf(from, sizeof from, "staged host bytes");
        if (o->rows == 1) snprintf(out, room, "(%s <- %s, %zu bytes)", to, from, o->width);
        else snprintf(out, room, "(%s <- %s, %zu rows of %zu bytes)", to, from, o->rows, o->width);
        break;
    case OP_FILL: snprintf(out, room, "(%s, %zu bytes)", to, o->width * o->rows); break;
    case OP_STRIDED: snprintf(out, room, "(%s <- %s, strided)", to, from); break;
    case OP_ALLOCATE: case OP_FREE: snprintf(out, room, "(%s)", to); break;
    default: break;
    }
}

/* -- running -------------------------------------------------------------------------------------------------------------------- */

static bool can_run(const stream *s) {
    return s->first && !s->busy && (!s->holds || s == stepped) && needs_have_run(s->first);
}

/* The stream whose first operation has to run next so that s gets on; NULL: it is held, or a host function runs. It ends: what is
 * needed was submitted earlier, and so was what that needs. */
static stream *blocker(stream *s) {
    for (;;) {
        if (!s->first || s->busy || (s->holds && s != stepped)) return NULL;
        stream *needed = NULL;
        for (int i = 0; i < s->first->need_count && !needed; i++)
            if (!has_run(s->first->needs[i])) needed = s->first->needs[i].stream;
        if (!needed) return s;
        s = needed;
    }
}

/* Loops over the streams go on from one that has left the list: its memory stays, and its link leads back into the list. */
static void drop_if_over(stream *s) {
    if (!s->object.destroyed || s->first || s->past_first) return;
    for (stream **link = &streams; *link; link = &(*link)->next)
        if (*link == s) {
            *link = s->next;
            order_free(&s->before);
            return;
        }
}

void forget_what_is_seen(stream *s) {
    while (s->past_first && s->past_first->seq <= s->seen) {
        operation *o = s->past_first;
        s->past_first = o->next;
        if (!s->past_first) s->past_last = NULL;
        s->past_count--;
        free(o);
    }
    drop_if_over(s);
}

static void finish_first(stream *s) {
    operation *o = s->first;
    s->first = o->next;
    if (!s->first) s->last = NULL;
    s->ran = o->seq;
    pending--;
    if (is_work(o)) pending_work--;
    discard(o);
    o->next = NULL;
    if (o->seq > s->seen && (o->reads.rows || o->writes.rows)) {
        if (s->past_last) s->past_last->next = o;
        else s->past_first = o;
        s->past_last = o;
        if (++s->past_count > PAST_AT_MOST) {
            operation *oldest = s->past_first;
            s->past_first = oldest->next;
            s->past_count--;
            free(oldest);
        }
    } else {
        free(o);
    }
    drop_if_over(s);
    sim_changed();
}

static void start_host_function(stream *s);

static void run_first(stream *s) {
    operation *o = s->first;
    switch (o->kind) {
    case OP_COPY: run_copy(o); break;
    case OP_FILL: run_fill(o); break;
    case OP_STRIDED: run_strided(o); break;
    case OP_HOST: start_host_function(s); return; /* it is finished by the thread of the host functions */
    case OP_RECORD:
        if (o->event->record == o->id) o->event->ran_ms = now_ms();
        break;
    case OP_FREE: {
        allocation *a = allocation_at(o->to);
        if (a && a->life == FREE_QUEUED) allocation_free(a);
        break;
    }
    case OP_WAIT: case OP_ALLOCATE: break;
    }
    finish_first(s);
}

/* Runs whatever the place needs, as long as nobody has to be waited for. */
static void run_towards(place p) {
    for (stream *next; !has_run(p) && (next = blocker(p.stream));) run_first(next);
}

void run_what_can(void) {
    for (bool more = pending > 0; more;) {
        more = false;
        for (stream *s = streams, *next; s; s = next) {
            next = s->next;
            for (; can_run(s); more = true) run_first(s);
        }
    }
}

/* -- host functions: on one thread of their own, and without the lock ------------------------------------------------------------- */

static struct waiting_function { stream *stream; struct waiting_function *next; } *functions;

static void *run_host_functions(void *nothing) {
    self.in_host_function = true;
    sim_lock();
    for (;;) {
        while (!functions) sim_wait(10000);
        struct waiting_function *one = functions;
        functions = one->next;
        stream *s = one->stream;
        operation *o = s->first;
        free(one);
        sim_unlock();
        o->function(o->argument);
        sim_lock();
        host_knows(&o->before); /* the function can have told any host thread */
        s->busy = false;
        finish_first(s);
        if (settings.mode == CUDASIM_EAGER) run_what_can();
    }
    return nothing;
}

static void start_thread(void *(*body)(void *)) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, NULL)) {
        fprintf(stderr, "cudasim: can't start a thread\n");
        abort();
    }
    pthread_detach(thread);
}

static void start_host_function(stream *s) {
    static bool started;
    if (!started) start_thread(run_host_functions);
    started = true;
    struct waiting_function *one = malloc(sizeof *one), **end = &functions;
    if (!one) abort();
    *one = (struct waiting_function){.stream = s};
    while (*end) end = &(*end)->next;
    *end = one;
    s->busy = true;
    sim_changed();
}

/* -- thread mode ---------------------------------------------------------------------------------------------------------------- */

static void *run_what_is_due(void *nothing) {
    sim_lock();
    for (;;) {
        bool ran = false;
        if (settings.mode == CUDASIM_THREAD)
            for (stream *s = streams, *next; s; s = next) {
                next = s->next;
                if (!can_run(s) || s->first->submitted_ms + settings.delay_ms > now_ms()) continue;
                run_first(s);
                ran = true;
            }
        if (!ran) sim_wait(settings.mode == CUDASIM_THREAD && pending ? 1 : 1000);
    }
    return nothing;
}

static bool runs_what_is_due;

static void start_mode(void) {
    if (settings.mode == CUDASIM_THREAD && !runs_what_is_due) {
        runs_what_is_due = true;
        start_thread(run_what_is_due);
    }
}

/* -- submitting ----------------------------------------------------------------------------------------------------------------- */

static void order_after(stream *s, operation *o, stream *earlier) {
    place p = {earlier, earlier->submitted};
    add_need(o, p);
    order_merge(&s->before, &earlier->before);
    order_add(&s->before, p);
}

cudaError_t submit(stream *s, operation o) {
    if (s->capture) return capture_append(s, o);
    cudaError_t refused = s->legacy ? capture_refuses_legacy(s->device) : cudaSuccess;
    operation *new = malloc(sizeof *new);
    if (!new) abort();
    if (refused) {
        discard(&o);
        free(new);
        return refused;
    }
    *new = o;
    new->next = NULL;
    new->id = ++operation_ids;
    new->submitted_ms = settings.mode == CUDASIM_THREAD ? now_ms() : 0;
    if (s->legacy) {
        for (stream *t = streams; t; t = t->next)
            if (t->device == s->device && is_blocking(t)) order_after(s, new, t);
    } else if (is_blocking(s)) {
        order_after(s, new, legacy[s->device]);
    }
    check_races(s, new);
    new->seq = ++s->submitted;
    if (o.kind == OP_HOST) {
        order_merge(&new->before, &s->before);
        order_add(&new->before, (place){s, new->seq});
    }
    if (o.kind == OP_RECORD) {
        event *e = o.event;
        e->recorded = true, e->captured = NULL, e->polls = 0;
        e->at = (place){s, new->seq}, e->record = new->id;
        order_free(&e->before);
        order_merge(&e->before, &s->before);
        order_add(&e->before, e->at);
    }
    if (s->last) s->last->next = new;
    else s->first = new;
    s->last = new;
    s->polls = 0;
    pending++;
    if (is_work(new)) pending_work++;
    if (settings.verbose >= 2) {
        char what[200], where[80];
        describe_operation(new, what, sizeof what);
        describe_stream(s, where, sizeof where);
        say(2, "%s on %s", what, where);
    }
    if (settings.mode == CUDASIM_EAGER) {
        while (can_run(s)) run_first(s);
        if (pending) run_what_can();
    } else if (settings.mode == CUDASIM_THREAD) {
        sim_changed();
    } else if (s->submitted - s->ran > PENDING_AT_MOST) {
        run_towards((place){s, s->submitted - PENDING_AT_MOST}); /* a device's queue has an end, too: there the call would wait */
    }
    return cudaSuccess;
}

/* -- waiting -------------------------------------------------------------------------------------------------------------------- */

static cudaError_t host_wait(place p, const order *known) {
    order copy = {0}; /* others may record the event again while the lock is given up */
    order_merge(&copy, known);
    double since = now_ms();
    cudaError_t error = cudaSuccess;
    for (;;) {
        if (settings.mode != CUDASIM_THREAD) run_towards(p);
        if (has_run(p)) break;
        if (!sim_wait(1000) && now_ms() - since > settings.stuck_s * 1e3) {
            char where[80];
            describe_stream(p.stream, where, sizeof where);
            error = cudaErrorLaunchTimeout;
            finding((concerning){.kind = CUDASIM_STUCK, .stream = p.stream}, "the host has waited %d s for %s, which is held, or waits for what is",
                    settings.stuck_s, where);
            break;
        }
    }
    if (!error) host_knows(&copy);
    order_free(&copy);
    return error;
}

/* Everything up to the stream's newest operation, and the legacy stream's share of it. */
static place newest(stream *s, order *known) {
    place p = {s, s->submitted};
    order_merge(known, &s->before);
    order_add(known, p);
    return p;
}

cudaError_t host_wait_stream(stream *s) {
    order known = {0};
    place p = newest(s, &known);
    cudaError_t error = host_wait(p, &known);
    if (s->legacy) /* it stands behind the blocking streams, also where nothing was submitted to it since */
        for (stream *t = streams, *next; t && !error; t = next) {
            next = t->next;
            if (t->device == s->device && is_blocking(t)) error = host_wait_stream(t);
        }
    order_free(&known);
    return error;
}

cudaError_t host_wait_event(event *e) { return e->recorded ? host_wait(e->at, &e->before) : cudaSuccess; }

cudaError_t host_wait_device(int device) {
    for (;;) {
        stream *busy = NULL;
        for (stream *s = streams; s && !busy; s = s->next)
            if (s->device == device && (s->ran < s->submitted || s->seen < s->submitted)) busy = s;
        if (!busy) return cudaSuccess;
        order known = {0};
        place p = newest(busy, &known);
        cudaError_t error = host_wait(p, &known);
        order_free(&known);
        if (error) return error;
    }
}

static bool poll(place p, const order *known, unsigned *polls) {
    if (settings.mode == CUDASIM_LAZY && !has_run(p) && ++*polls > (unsigned)settings.polls) run_towards(p);
    if (!has_run(p)) return false;
    host_knows(known);
    return true;
}

bool poll_stream(stream *s) {
    order known = {0};
    place p = newest(s, &known);
    bool over = poll(p, &known, &s->polls);
    order_free(&known);
    for (stream *t = streams, *next; s->legacy && over && t; t = next) {
        next = t->next;
        if (t->device == s->device && is_blocking(t)) over = poll_stream(t);
    }
    return over;
}

bool poll_event(event *e) { return !e->recorded || poll(e->at, &e->before, &e->polls); }

/* -- streams -------------------------------------------------------------------------------------------------------------------- */

stream *first_stream(void) { return streams; }
bool is_blocking(const stream *s) { return !s->legacy && !(s->flags & cudaStreamNonBlocking); }

static stream *new_stream(int device, unsigned flags, int priority) {
    stream *s = handle_new(STREAM_MAGIC);
    s->id = ++stream_ids, s->device = device, s->flags = flags, s->priority = priority;
    s->next = streams;
    streams = s;
    return s;
}

stream *stream_create(unsigned flags, int priority) {
    COUNT(stream_create);
    live_streams++;
    return new_stream(self.device, flags, priority);
}

/* With a thread ends its default stream; what is pending there still runs. */
static pthread_key_t thread_end;

static void end_default_streams(void *streams_of_thread) {
    stream **mine = streams_of_thread;
    sim_lock();
    for (int d = 0; d < MAX_DEVICES; d++)
        if (mine[d]) {
            mine[d]->object.destroyed = true;
            drop_if_over(mine[d]);
        }
    sim_unlock();
}

static stream *default_stream_of_thread(void) {
    stream **mine = &self.default_stream[self.device];
    if (!*mine) {
        *mine = new_stream(self.device, cudaStreamDefault, 0);
        pthread_setspecific(thread_end, self.default_stream);
    }
    return *mine;
}

stream *find_stream(cudaStream_t pointer) {
    if (!pointer || pointer == cudaStreamLegacy) return legacy[self.device];
    if (pointer == cudaStreamPerThread) return default_stream_of_thread();
    return handle_find(pointer, STREAM_MAGIC, "stream");
}

void stream_destroy(stream *s) {
    capture_stream_destroyed(s);
    s->object.destroyed = true; /* what is pending still runs */
    live_streams--;
    drop_if_over(s);
}

void streams_init(void) {
    handles = mmap(NULL, HANDLES_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (handles == MAP_FAILED) abort();
    next_handle = handles;
    pthread_key_create(&thread_end, end_default_streams);
    for (int d = 0; d < settings.devices; d++) {
        legacy[d] = new_stream(d, cudaStreamDefault, 0);
        legacy[d]->legacy = true;
    }
    start_mode();
}

void streams_in_child(void) {
    runs_what_is_due = false;
    start_mode();
}

/* -- events --------------------------------------------------------------------------------------------------------------------- */

event *event_create(unsigned flags) {
    event *e = handle_new(EVENT_MAGIC);
    e->device = self.device, e->flags = flags;
    COUNT(event_create);
    live_events++;
    return e;
}

event *find_event(cudaEvent_t pointer) { return handle_find(pointer, EVENT_MAGIC, "event"); }

void event_destroy(event *e) {
    e->object.destroyed = true; /* those who wait for it wait for a place in a stream: that stays */
    live_events--;
    order_free(&e->before);
}

cudaError_t event_record(event *e, stream *s) {
    if (e->device != s->device) return misuse(cudaErrorInvalidResourceHandle, "the event is of device %d, the stream of device %d", e->device, s->device);
    COUNT(record);
    if (s->capture) return capture_record(s, e);
    operation o = new_operation(OP_RECORD);
    o.event = e;
    return submit(s, o);
}

cudaError_t stream_wait_event(stream *s, event *e) {
    COUNT(wait);
    if (s->capture || e->captured) return capture_wait(s, e);
    if (!e->recorded) return cudaSuccess;
    cudaError_t refused = s->legacy ? capture_refuses_legacy(s->device) : cudaSuccess;
    if (refused) return refused;
    order_merge(&s->before, &e->before);
    if (has_run(e->at) || e->at.stream == s) return cudaSuccess;
    operation o = new_operation(OP_WAIT);
    add_need(&o, e->at);
    return submit(s, o);
}

/* -- what the tests ask ------------------------------------------------------------------------------------------------------------- */

uint64_t gauge_pending(bool work_only) { return work_only ? pending_work : pending; }
uint64_t gauge_objects(bool events) { return events ? live_events : live_streams; }

int cudasim_mode(void) { return settings.mode; }
int cudasim_devices(void) { return settings.devices; }

void cudasim_hold(void *pointer) {
    sim_lock();
    stream *s = find_stream(pointer);
    if (s) s->holds++;
    sim_unlock();
}

void cudasim_release(void *pointer) {
    sim_lock();
    stream *s = find_stream(pointer);
    if (s && s->holds) s->holds--;
    if (settings.mode == CUDASIM_EAGER) run_what_can();
    sim_changed();
    sim_unlock();
}

int cudasim_step(void *pointer) {
    sim_lock();
    stream *s = find_stream(pointer);
    bool ran = false;
    if (s && s->first) {
        place next = {s, s->ran + 1};
        stepped = s;
        do run_towards(next);
        while (!(ran = has_run(next)) && (functions || s->busy) && sim_wait(1000));
        stepped = NULL;
    }
    sim_unlock();
    return ran;
}

static bool any_busy(void) {
    for (stream *s = streams; s; s = s->next)
        if (s->busy) return true;
    return false;
}

static void run_to_the_end(void) {
    do run_what_can();
    while (any_busy() && (sim_wait(1000) || true));
}

void cudasim_run(void) {
    sim_lock();
    run_to_the_end();
    sim_unlock();
}

static void settle(void) {
    for (stream *s = streams; s; s = s->next) s->holds = 0;
    run_to_the_end();
    for (stream *s = streams, *next; s; s = next) {
        next = s->next;
        s->seen = s->ran;
        forget_what_is_seen(s);
    }
}

void cudasim_settle(void) {
    sim_lock();
    settle();
    sim_unlock();
}

int cudasim_set_mode(int mode) {
    sim_lock();
    settle();
    int previous = settings.mode;
    if (mode >= CUDASIM_EAGER && mode <= CUDASIM_THREAD) settings.mode = mode;
    start_mode();
    sim_unlock();
    return previous;
}

#define SETTER(function, field)      \
    int function(int value) {        \
        sim_lock();                  \
        int previous = settings.field; \
        settings.field = value;      \
        sim_unlock();                \
        return previous;             \
    }
SETTER(cudasim_set_polls, polls)
SETTER(cudasim_set_delay_ms, delay_ms)
SETTER(cudasim_set_stuck_s, stuck_s)
SETTER(cudasim_set_kernels, emulate)

static int by_id(const void *a, const void *b) {
    uint64_t x = ((const cudasim_operation *)a)->id, y = ((const cudasim_operation *)b)->id;
    return (x > y) - (x < y);
}

size_t cudasim_pending(cudasim_operation *out, size_t room) {
    sim_lock();
    size_t found = 0;
    for (stream *s = streams; s; s = s->next)
        for (operation *o = s->first; o; o = o->next, found++) {
            if (found >= room) continue;
            out[found] = (cudasim_operation){.id = o->id, .stream = s, .device = s->device, .held = s->holds > 0};
            describe_operation(o, out[found].text, sizeof out[found].text);
        }
    sim_unlock();
    qsort(out, found < room ? found : room, sizeof *out, by_id);
    return found;
}
