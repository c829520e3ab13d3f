/* Copies and fills: what is staged, what the host waits for, and the bytes.
 *
 * After "API synchronization behavior" in the runtime API's manual:
 *   from pageable memory   staged before the call returns; the device's side of it is still to come. cudaMemcpy waits for the stream first
 *   to pageable memory     the call returns when it is done
 *   pinned                 asynchronous, with Async; cudaMemcpy returns when it is done
 *   device to device       asynchronous, cudaMemcpy too
 *   host to host           the call returns when it is done
 * Managed memory counts as pinned.
 */
#include <stdlib.h>
#include <string.h>

#include "sim.h"

typedef enum { PAGEABLE, PINNED, DEVICE } residence;

static residence residence_of(const void *address) {
    return device_of_address(address) >= 0 ? DEVICE : is_pageable(address) ? PAGEABLE : PINNED;
}

/* Pinned memory may be named by its device pointer, which is the same address: it is right as either. */
static bool contradicts(enum cudaMemcpyKind kind, residence to, residence from) {
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (kind == cudaMemcpyDefault) return false;
    return (to == PAGEABLE && to_device) || (to == DEVICE && !to_device) || (from == PAGEABLE && from_device) || (from == DEVICE && !from_device);
}

static void count_copy(residence to, residence from, copy_shape c) {
    counters.copied_bytes_ += c.width * c.rows;
    if (to == DEVICE && from == DEVICE) {
        if (device_of_address(c.to) == device_of_address(c.from)) COUNT(d2d);
        else COUNT(p2p);
    } else if (to == DEVICE) COUNT(h2d);
    else if (from == DEVICE) COUNT(d2h);
    else COUNT(h2h);
}

static void stage(operation *o) {
    char *staged = malloc(o->width * o->rows);
    if (!staged) abort();
    for (size_t row = 0; row < o->rows; row++) memcpy(staged + row * o->width, (const char *)o->from + row * o->from_pitch, o->width);
    o->owned = staged;
    o->from = staged;
    o->from_pitch = o->width;
    o->reads = (region){0};
}

static void poison_pending(const operation *o) {
    for (size_t row = 0; row < o->rows; row++) memset((char *)bytes_of(o->to) + row * o->to_pitch, CUDASIM_POISON_PENDING, o->width);
}

static cudaError_t wait_implicitly(stream *s) {
    COUNT(implicit_sync);
    return host_wait_stream(s);
}

cudaError_t copy(copy_shape c, enum cudaMemcpyKind kind, stream *s, bool synchronous) {
    if (c.rows > 1 && (c.to_pitch < c.width || c.from_pitch < c.width)) return misuse(cudaErrorInvalidPitchValue, "rows of %zu bytes", c.width);
    if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) return misuse(cudaErrorInvalidMemcpyDirection, "kind %d", (int)kind);
    if (!c.width || !c.rows) return cudaSuccess;
    residence to = residence_of(c.to), from = residence_of(c.from);
    if (!c.to || !c.from) return misuse(cudaErrorInvalidValue, "a copy of %zu bytes from %p to %p", c.width * c.rows, c.from, c.to);
    operation o = new_operation(OP_COPY);
    o.to = c.to, o.from = c.from, o.width = c.width, o.rows = c.rows, o.to_pitch = c.to_pitch, o.from_pitch = c.from_pitch;
    o.writes = region_2d(c.to, c.width, c.to_pitch, c.rows);
    o.reads = region_2d(c.from, c.width, c.from_pitch, c.rows);
    if (!check_access(o.writes, "target", s, NULL, false) || !check_access(o.reads, "source", s, NULL, false)) return cudaErrorInvalidValue;
    if (contradicts(kind, to, from)) return misuse(cudaErrorInvalidMemcpyDirection, "kind %d, from %p to %p", (int)kind, c.from, c.to);

    bool on_host = to != DEVICE && from != DEVICE;
    bool staged = from == PAGEABLE && !on_host;
    bool wait_after = !staged && (to == PAGEABLE || on_host || (synchronous && !(to == DEVICE && from == DEVICE)));
    cudaError_t error = cudaSuccess;
    if (synchronous) error = capture_refuses_waiting(s);
    if (!error && (to == PAGEABLE || from == PAGEABLE || on_host)) error = capture_refuses_pageable(s);
    if (!error && ((synchronous && staged) || on_host)) error = wait_implicitly(s);
    if (error) return error;

    count_copy(to, from, c);
    bool poison = to == PINNED && !wait_after && !s->capture && !has_unrun_access(o.writes);
    if (to == PAGEABLE) o.writes = (region){0}; /* nobody else's: the host waits */
    if (on_host && from == PAGEABLE) o.reads = (region){0};
    if (staged) stage(&o);
    error = submit(s, o);
    if (!error && poison && s->ran < s->submitted) poison_pending(s->last);
    if (!error && wait_after) error = wait_implicitly(s);
    return error;
}

cudaError_t fill(void *to, const void *pattern, size_t pattern_size, size_t width, size_t rows, size_t pitch, stream *s, bool synchronous) {
    if (!width || !rows) return cudaSuccess;
    if (rows > 1 && pitch < width) return misuse(cudaErrorInvalidPitchValue, "rows of %zu bytes", width);
    operation o = new_operation(OP_FILL);
    o.to = to, o.width = width, o.rows = rows, o.to_pitch = pitch;
    o.pattern_size = pattern_size;
    memcpy(o.pattern, pattern, pattern_size);
    o.writes = region_2d(to, width, pitch, rows);
    if (is_pageable(to)) return misuse(cudaErrorInvalidValue, "%p is not device memory", to);
    if (!check_access(o.writes, "target", s, NULL, false)) return cudaErrorInvalidValue;
    bool host = residence_of(to) == PINNED;
    if (synchronous) {
        cudaError_t refused = capture_refuses_unsafe();
        if (refused) return refused;
    }
    COUNT(memset);
    cudaError_t error = submit(s, o);
    return !error && synchronous && host ? wait_implicitly(s) : error;
}

/* -- the bytes ------------------------------------------------------------------------------------------------------------------ */

void run_copy(const operation *o) {
    if (!check_access(o->writes, "target", NULL, o, true) || !check_access(o->reads, "source", NULL, o, true)) return;
    char *to = bytes_of(o->to);
    const char *from = bytes_of(o->from);
    for (size_t row = 0; row < o->rows; row++) memmove(to + row * o->to_pitch, from + row * o->from_pitch, o->width);
}

void run_fill(const operation *o) {
    if (!check_access(o->writes, "target", NULL, o, true)) return;
    char *to = bytes_of(o->to);
    for (size_t row = 0; row < o->rows; row++, to += o->to_pitch) {
        if (o->pattern_size == 1) memset(to, o->pattern[0], o->width);
        else for (size_t at = 0; at < o->width; at += o->pattern_size) memcpy(to + at, o->pattern, o->pattern_size);
    }
}

void run_strided(const operation *o) {
    const strided *s = o->owned;
    if (!check_access(o->writes, "target", NULL, o, true) || !check_access(o->reads, "source", NULL, o, true)) return;
    char *to = bytes_of(o->to);
    const char *from = o->from ? bytes_of(o->from) : (const char *)s->value;
    for (size_t i = 0; i < s->elements; i++) {
        long rest = (long)i, to_offset = 0, from_offset = 0;
        for (int d = s->dims - 1; d >= 0; d--) {
            long index = rest % s->shape[d];
            rest /= s->shape[d];
            to_offset += index * s->to_stride[d];
            from_offset += index * s->from_stride[d];
        }
        convert_element(to + to_offset, s->to_type, from + from_offset, s->from_type, s->change);
    }
}
