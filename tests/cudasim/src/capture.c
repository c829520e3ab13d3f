/* Stream capture and graphs.
 *
 * While a stream is captured, what is submitted to it goes into the capture's graph. What would need the captured work to have run is
 * refused and makes the capture invalid: every later call in it fails, until cudaStreamEndCapture gives no graph. A graph here is the
 * list of its operations in the order in which they were captured, which is one of the orders that its dependencies allow.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

enum { GRAPH_MAGIC = 0x47525048, EXECUTABLE_MAGIC = 0x45584543 };

typedef struct {
    object object;
    operation *operations;
    int count, room;
} graph;

struct capture {
    uint64_t id;
    bool active, invalid;
    enum cudaStreamCaptureMode mode;
    pthread_t thread;
    graph *graph;
    /* The first is where it began; the others joined by waiting for an event of one of these. */
    struct {
        stream *stream;
        int operations;             /* captured in it so far */
        int known[MAX_CAPTURED];    /* so many of each member are ordered before its next one */
    } members[MAX_CAPTURED];
    int count;
    capture *next;
};

static capture *captures; /* also those that ended: events refer to them */
static uint64_t capture_ids;

/* -- what is refused ------------------------------------------------------------------------------------------------------------ */

static cudaError_t refuse(capture *c, cudaError_t error, const char *why) {
    c->invalid = true;
    finding((concerning){.kind = CUDASIM_CAPTURE, .stream = c->members[0].stream}, "%s (%s); the capture is invalid", why, cudaGetErrorName(error));
    return error;
}

static bool forbids_unsafe(const capture *c) {
    if (!c->active || c->mode == cudaStreamCaptureModeRelaxed || self.capture_mode == cudaStreamCaptureModeRelaxed) return false;
    if (pthread_equal(c->thread, pthread_self())) return true;
    return c->mode == cudaStreamCaptureModeGlobal && self.capture_mode == cudaStreamCaptureModeGlobal;
}

cudaError_t capture_refuses_unsafe(void) {
    cudaError_t error = cudaSuccess;
    for (capture *c = captures; c; c = c->next)
        if (forbids_unsafe(c)) error = refuse(c, cudaErrorStreamCaptureUnsupported, "not while a stream is captured");
    return error;
}

static capture *blocking_capture(int device) {
    for (capture *c = captures; c; c = c->next)
        for (int i = 0; c->active && i < c->count; i++)
            if (c->members[i].stream->device == device && is_blocking(c->members[i].stream)) return c;
    return NULL;
}

cudaError_t capture_refuses_legacy(int device) {
    capture *c = blocking_capture(device);
    return c ? refuse(c, cudaErrorStreamCaptureImplicit, "the default stream would wait for a captured blocking stream") : cudaSuccess;
}

cudaError_t capture_refuses_waiting(stream *s) {
    if (s->capture) return refuse(s->capture, cudaErrorStreamCaptureUnsupported, "the stream is captured: none of it will have run");
    cudaError_t error = s->legacy ? capture_refuses_legacy(s->device) : cudaSuccess;
    return error ? error : capture_refuses_unsafe();
}

cudaError_t capture_refuses_event(event *e) {
    if (!e->captured) return capture_refuses_unsafe();
    if (e->captured->active) return refuse(e->captured, cudaErrorCapturedEvent, "the event was recorded in a captured stream");
    return misuse(cudaErrorCapturedEvent, "the event was last recorded in a captured stream");
}

cudaError_t capture_refuses_device(int device) {
    for (capture *c = captures; c; c = c->next)
        for (int i = 0; c->active && i < c->count; i++)
            if (c->members[i].stream->device == device) return refuse(c, cudaErrorStreamCaptureUnsupported, "a stream of the device is captured");
    return capture_refuses_unsafe();
}

cudaError_t capture_refuses_pageable(stream *s) {
    return s->capture ? refuse(s->capture, cudaErrorStreamCaptureUnsupported, "the host's side of the copy isn't pinned") : cudaSuccess;
}

void capture_stream_destroyed(stream *s) {
    if (s->capture) refuse(s->capture, cudaErrorStreamCaptureUnsupported, "a captured stream is destroyed");
}

/* -- capturing ------------------------------------------------------------------------------------------------------------------ */

static int member_index(const capture *c, const stream *s) {
    for (int i = 0; i < c->count; i++)
        if (c->members[i].stream == s) return i;
    return -1;
}

static graph *graph_new(uint32_t magic) { return handle_new(magic); }

static void graph_append(graph *g, operation o) {
    if (g->count == g->room) {
        g->room = g->room ? 2 * g->room : 16;
        g->operations = realloc(g->operations, (size_t)g->room * sizeof o);
        if (!g->operations) abort();
    }
    g->operations[g->count++] = o;
}

/* Only strided copies own anything here: what comes from pageable memory isn't captured. */
static operation copy_of(const operation *o) {
    operation copy = *o;
    if (!o->owned) return copy;
    copy.owned = malloc(sizeof(strided));
    if (!copy.owned) abort();
    memcpy(copy.owned, o->owned, sizeof(strided));
    return copy;
}

static void graph_clear(graph *g) {
    for (int i = 0; i < g->count; i++) discard(&g->operations[i]);
    free(g->operations);
    g->operations = NULL, g->count = g->room = 0;
    g->object.destroyed = true;
}

cudaError_t capture_append(stream *s, operation o) {
    capture *c = s->capture;
    cudaError_t error = cudaSuccess;
    if (c->invalid) error = cudaErrorStreamCaptureInvalidated;
    else if (o.kind == OP_ALLOCATE || o.kind == OP_FREE) error = refuse(c, cudaErrorNotSupported, "memory nodes of graphs aren't simulated");
    if (error) {
        discard(&o);
        return error;
    }
    c->members[member_index(c, s)].operations++;
    graph_append(c->graph, o);
    return cudaSuccess;
}

cudaError_t capture_record(stream *s, event *e) {
    capture *c = s->capture;
    if (c->invalid) return cudaErrorStreamCaptureInvalidated;
    int index = member_index(c, s);
    e->captured = c;
    e->recorded = true;
    memcpy(e->captured_known, c->members[index].known, sizeof e->captured_known);
    e->captured_known[index] = c->members[index].operations;
    return cudaSuccess;
}

static cudaError_t join(capture *c, stream *s, const event *e) {
    int index = member_index(c, s);
    if (index < 0) {
        if (c->count == MAX_CAPTURED) return refuse(c, cudaErrorNotSupported, "more streams in one capture than are simulated");
        index = c->count++;
        c->members[index].stream = s;
        s->capture = c;
    }
    for (int i = 0; i < MAX_CAPTURED; i++)
        if (c->members[index].known[i] < e->captured_known[i]) c->members[index].known[i] = e->captured_known[i];
    return cudaSuccess;
}

cudaError_t capture_wait(stream *s, event *e) {
    capture *into = s->capture, *from = e->captured;
    if (into && into->invalid) return cudaErrorStreamCaptureInvalidated;
    if (!e->recorded) return cudaSuccess;
    if (into == from) return join(into, s, e);
    if (into && from && from->active) {
        refuse(from, cudaErrorStreamCaptureMerge, "an event of one capture is waited for in another");
        return refuse(into, cudaErrorStreamCaptureMerge, "an event of one capture is waited for in another");
    }
    if (into) return refuse(into, cudaErrorStreamCaptureIsolation, "the event was recorded outside the capture");
    if (!from->active) return misuse(cudaErrorCapturedEvent, "the event was last recorded in a captured stream");
    if (from->invalid) return cudaErrorStreamCaptureInvalidated;
    if (s->legacy) return refuse(from, cudaErrorStreamCaptureImplicit, "the default stream can't join a capture");
    return join(from, s, e);
}

static cudaError_t begin(stream *s, enum cudaStreamCaptureMode mode) {
    if (s->legacy) return misuse(cudaErrorStreamCaptureUnsupported, "the legacy default stream can't be captured");
    if (s->capture) return misuse(cudaErrorIllegalState, "the stream is captured already");
    capture *c = calloc(1, sizeof *c);
    if (!c) abort();
    *c = (capture){.id = ++capture_ids, .active = true, .mode = mode, .thread = pthread_self(), .graph = graph_new(GRAPH_MAGIC), .next = captures};
    c->members[0].stream = s;
    c->count = 1;
    s->capture = captures = c;
    return cudaSuccess;
}

static cudaError_t end(stream *s, cudaGraph_t *out) {
    *out = NULL;
    capture *c = s->capture;
    if (!c) return misuse(cudaErrorIllegalState, "the stream isn't captured");
    if (c->members[0].stream != s) return refuse(c, cudaErrorStreamCaptureUnmatched, "the capture began in another stream");
    if (c->mode != cudaStreamCaptureModeRelaxed && !pthread_equal(c->thread, pthread_self()))
        return refuse(c, cudaErrorStreamCaptureWrongThread, "the capture began in another thread");
    cudaError_t error = c->invalid ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
    for (int i = 1; i < c->count && !error; i++)
        if (c->members[0].known[i] < c->members[i].operations)
            error = refuse(c, cudaErrorStreamCaptureUnjoined, "the first stream doesn't wait for all that joined");
    for (int i = 0; i < c->count; i++) c->members[i].stream->capture = NULL;
    c->active = false;
    if (error) graph_clear(c->graph);
    else *out = (cudaGraph_t)c->graph;
    return error;
}

/* -- CUDA's names for it -------------------------------------------------------------------------------------------------------- */

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, enum cudaStreamCaptureMode mode) {
    WITH_STREAM(s, handle);
    LEAVE(begin(s, mode));
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *out) {
    WITH_STREAM(s, handle);
    LEAVE(end(s, out));
}

/* Asking about the default stream while a blocking one is captured is an error, but the only one that leaves the capture valid. */
static cudaError_t status_of(const stream *s, enum cudaStreamCaptureStatus *status) {
    const capture *c = s->capture;
    *status = !c ? cudaStreamCaptureStatusNone : c->invalid ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
    return s->legacy && blocking_capture(s->device) ? cudaErrorStreamCaptureImplicit : cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, enum cudaStreamCaptureStatus *status) {
    WITH_STREAM(s, handle);
    LEAVE(status_of(s, status));
}

cudaError_t cudaStreamGetCaptureInfo(cudaStream_t handle, enum cudaStreamCaptureStatus *status, unsigned long long *id, cudaGraph_t *graph_out,
                                     const cudaGraphNode_t **dependencies, const cudaGraphEdgeData **edges, size_t *count) {
    WITH_STREAM(s, handle);
    cudaError_t error = status_of(s, status);
    bool active = !error && *status == cudaStreamCaptureStatusActive;
    if (id) *id = active ? s->capture->id : 0;
    if (graph_out) *graph_out = active ? (cudaGraph_t)s->capture->graph : NULL;
    if (dependencies) *dependencies = NULL;
    if (edges) *edges = NULL;
    if (count) *count = 0;
    LEAVE(error);
}

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode) {
    ENTER();
    enum cudaStreamCaptureMode previous = self.capture_mode;
    self.capture_mode = *mode;
    *mode = previous;
    LEAVE(cudaSuccess);
}

static graph *find_graph(const void *handle, uint32_t magic) { return handle_find(handle, magic, magic == GRAPH_MAGIC ? "graph" : "executable graph"); }

cudaError_t cudaGraphGetNodes(cudaGraph_t handle, cudaGraphNode_t *nodes, size_t *count) {
    ENTER();
    graph *g = find_graph(handle, GRAPH_MAGIC);
    if (!g) LEAVE(cudaErrorInvalidValue);
    for (size_t i = 0; nodes && i < *count; i++) nodes[i] = i < (size_t)g->count ? (cudaGraphNode_t)&g->operations[i] : NULL;
    if (!nodes || *count > (size_t)g->count) *count = (size_t)g->count;
    LEAVE(cudaSuccess);
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *out, cudaGraph_t handle, unsigned long long flags) {
    (void)flags;
    ENTER();
    *out = NULL;
    graph *g = find_graph(handle, GRAPH_MAGIC);
    if (!g) LEAVE(cudaErrorInvalidValue);
    graph *executable = graph_new(EXECUTABLE_MAGIC);
    for (int i = 0; i < g->count; i++) graph_append(executable, copy_of(&g->operations[i]));
    *out = (cudaGraphExec_t)executable;
    LEAVE(cudaSuccess);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t handle, unsigned long long flags) {
    return cudaGraphInstantiateWithFlags(out, handle, flags);
}

cudaError_t cudaGraphUpload(cudaGraphExec_t executable, cudaStream_t handle) {
    WITH_STREAM(s, handle);
    LEAVE(find_graph(executable, EXECUTABLE_MAGIC) ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t handle) {
    WITH_STREAM(s, handle);
    graph *g = find_graph(executable, EXECUTABLE_MAGIC);
    if (!g) LEAVE(cudaErrorInvalidValue);
    if (s->capture) LEAVE(refuse(s->capture, cudaErrorNotSupported, "child graphs aren't simulated"));
    COUNT(graph_launch);
    cudaError_t error = cudaSuccess;
    for (int i = 0; i < g->count && !error; i++) error = submit(s, copy_of(&g->operations[i]));
    LEAVE(error);
}

static cudaError_t destroy(const void *handle, uint32_t magic) {
    graph *g = find_graph(handle, magic);
    if (g) graph_clear(g);
    return g ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaGraphDestroy(cudaGraph_t handle) {
    ENTER();
    LEAVE(destroy(handle, GRAPH_MAGIC));
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t handle) {
    ENTER();
    LEAVE(destroy(handle, EXECUTABLE_MAGIC));
}
