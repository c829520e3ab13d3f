/* Allocations: their addresses, their bytes, and what is said of a wrong address.
 *
 * Device memory is a range of addresses that the host can't touch; its bytes lie in a memory file, which only the simulator maps, elsewhere. So each
 * access by host code faults where it happens, and the handler below names the allocation. Addresses are handed out upwards and never
 * twice: a pointer that outlived its allocation is recognised as such for ever. Pinned and managed memory has a range of
 * the same kind, which the host may touch while the allocation lives.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim.h"

#ifndef ARENA_BASE
#define ARENA_BASE 0x200000000000ull /* far from what Linux maps by itself, and from the address sanitizer's shadow */
#define ARENA_SIZE (1ull << 38)
#endif
#define ARENA_STEP (2 * ARENA_SIZE)
enum {
    PAGE = 4096,
    ALIGNMENT = 512,              /* as cudaMalloc gives */
    POISONED_AT_MOST = 32 << 20,  /* poisoning touches the pages: of a larger allocation only so much */
    HOST_ARENA = MAX_DEVICES,     /* the arenas before it belong to the devices */
};

typedef struct {
    uintptr_t base, next;
    char *bytes;       /* where the simulator finds them */
    int file;
    allocation *list;  /* by address, which is by age */
    size_t count, room;
} arena;

static arena arenas[MAX_DEVICES + 1];
static struct { size_t used, peak, capacity; } usage[MAX_DEVICES];
static allocation *registered; /* cudaHostRegister: at addresses that aren't ours */
static size_t registered_count, registered_room;
static uint64_t allocation_ids;

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

static void *grow(void *list, size_t count, size_t *room, size_t item) {
    if (count < *room) return list;
    *room = *room ? 2 * *room : 64;
    void *grown = realloc(list, *room * item);
    if (!grown) abort();
    return grown;
}

/* -- addresses ------------------------------------------------------------------------------------------------------------------ */

static arena *arena_at(uintptr_t address) {
    uintptr_t index = (address - ARENA_BASE) / ARENA_STEP;
    if (address < ARENA_BASE || index > HOST_ARENA) return NULL;
    return arenas[index].base && address - arenas[index].base < ARENA_SIZE ? &arenas[index] : NULL;
}

int device_of_address(const void *address) {
    arena *a = arena_at((uintptr_t)address);
    return a && a != &arenas[HOST_ARENA] ? (int)(a - arenas) : -1;
}

bool is_simulated(const void *address) { return arena_at((uintptr_t)address) != NULL; }

/* The last allocation of an arena that starts at or below the address, if the address is in it or in the gap behind it. */
static allocation *allocation_in(const arena *a, uintptr_t address) {
    size_t low = 0, high = a->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (a->list[middle].start <= address) low = middle + 1;
        else high = middle;
    }
    if (!low) return NULL;
    allocation *found = &a->list[low - 1];
    return address - found->start < round_up(found->size, ALIGNMENT) + PAGE ? found : NULL;
}

static allocation *registration_at(uintptr_t address) {
    for (size_t i = 0; i < registered_count; i++)
        if (address - registered[i].start < registered[i].size) return &registered[i];
    return NULL;
}

/* Also the one that the address lies just behind: an overrun is told by it. */
static allocation *nearest_allocation(const void *address) {
    arena *a = arena_at((uintptr_t)address);
    return a ? allocation_in(a, (uintptr_t)address) : registration_at((uintptr_t)address);
}

allocation *allocation_at(const void *address) {
    allocation *found = nearest_allocation(address);
    return found && (uintptr_t)address - found->start < found->size ? found : NULL;
}

bool is_pageable(const void *address) { return !nearest_allocation(address) && !is_simulated(address); }

void *bytes_of(const void *address) {
    arena *a = arena_at((uintptr_t)address);
    return a ? a->bytes + ((uintptr_t)address - a->base) : (void *)address;
}

static const char *kind_name(const allocation *a) {
    static const char *const names[] = {"", "pinned, ", "managed, ", "registered, "};
    return names[a->kind];
}

/* Also called by the fault handler: nothing that may wait or allocate. */
void describe_address(const void *address, char *out, size_t room) {
    static const char *const lives[] = {"live", "free queued", "freed"};
    allocation *a = nearest_allocation(address);
    int device = device_of_address(address);
    if (a)
        snprintf(out, room, "%p = allocation #%lu + %zu (%sdevice %d, %zu bytes, %s)", address, a->id, (uintptr_t)address - a->start,
                 kind_name(a), a->device, a->size, lives[a->life]);
    else if (device >= 0) snprintf(out, room, "%p = in no allocation of device %d", address, device);
    else if (is_simulated(address)) snprintf(out, room, "%p = in no pinned or managed allocation", address);
    else snprintf(out, room, "%p = host memory", address);
}

void cudasim_describe(const void *address, char *out, size_t room) {
    sim_lock();
    describe_address(address, out, room);
    sim_unlock();
}

/* -- regions -------------------------------------------------------------------------------------------------------------------- */

region region_of(const void *start, size_t size) { return (region){(uintptr_t)start, size, size, size ? 1 : 0}; }

region region_2d(const void *start, size_t width, size_t pitch, size_t rows) {
    if (!width || !rows) return (region){0};
    if (rows == 1 || pitch == width) return region_of(start, rows == 1 ? width : width * rows);
    return (region){(uintptr_t)start, width, pitch, rows};
}

static uintptr_t end_of(region r) { return r.start + r.pitch * (r.rows - 1) + r.width; }

static bool row_overlaps(uintptr_t start, size_t width, region r) {
    /* The first row of r that ends behind the start: if that one begins too late, so do all others. */
    size_t row = start < r.start + r.width ? 0 : (start - r.start - r.width) / r.pitch + 1;
    return row < r.rows && r.start + row * r.pitch < start + width;
}

bool regions_overlap(region a, region b) {
    if (!a.rows || !b.rows || a.start >= end_of(b) || b.start >= end_of(a)) return false;
    if (a.rows > b.rows) return regions_overlap(b, a);
    for (size_t row = 0; row < a.rows; row++)
        if (row_overlaps(a.start + row * a.pitch, a.width, b)) return true;
    return false;
}

bool check_access(region r, const char *what, const stream *s, const operation *o, bool running) {
    const void *start = (const void *)r.start;
    if (!r.rows || is_pageable(start)) return true;
    char where[160];
    describe_address(start, where, sizeof where);
    allocation *a = nearest_allocation(start);
    size_t size = end_of(r) - r.start;
    concerning about = {.stream = s, .operation = o, .allocation = a ? a->id : 0};
    if (a && (running ? a->life == FREED : a->life != LIVE)) {
        about.kind = CUDASIM_USE_AFTER_FREE;
        finding(about, "%s: %zu bytes at %s", what, size, where);
        return false;
    }
    if (!a || r.start - a->start > a->size || size > a->size - (r.start - a->start)) {
        about.kind = CUDASIM_OUT_OF_BOUNDS;
        finding(about, "%s: %zu bytes at %s", what, size, where);
        return false;
    }
    return true;
}

/* -- allocating and freeing ----------------------------------------------------------------------------------------------------- */

static allocation *place_in(arena *a, size_t size, size_t alignment, allocation describe) {
    uintptr_t end = round_up(a->next + size, alignment) + PAGE; /* the gap: an overrun hits nobody else's memory */
    if (size > ARENA_SIZE || end - a->base > ARENA_SIZE) {
        say(0, "a test process has used up the %llu GiB of addresses that are never handed out twice", ARENA_SIZE >> 30);
        return NULL;
    }
    a->list = grow(a->list, a->count, &a->room, sizeof *a->list);
    describe.start = a->next, describe.size = size, describe.id = ++allocation_ids;
    a->next = end;
    a->list[a->count] = describe;
    return &a->list[a->count++];
}

static bool fits(int device, size_t size) { return size <= usage[device].capacity && usage[device].used <= usage[device].capacity - size; }

cudaError_t device_allocate(void **out, size_t size, int device, bool stream_ordered) {
    *out = NULL;
    if (!size) return cudaSuccess;
    if (!fits(device, size)) run_what_can(); /* a queued cudaFreeAsync may give back what is needed, as the driver would see to */
    if (!fits(device, size)) return cudaErrorMemoryAllocation;
    allocation new = {.device = device, .kind = CUDASIM_DEVICE_MEMORY, .stream_ordered = stream_ordered};
    allocation *a = place_in(&arenas[device], size, ALIGNMENT, new);
    if (!a) return cudaErrorMemoryAllocation;
    usage[device].used += size;
    if (usage[device].used > usage[device].peak) usage[device].peak = usage[device].used;
    *out = (void *)a->start;
    memset(bytes_of(*out), CUDASIM_POISON, size < POISONED_AT_MOST ? size : POISONED_AT_MOST);
    COUNT(malloc);
    say(2, "%s: allocation #%lu, device %d, %zu bytes at %p", self.call, a->id, device, size, *out);
    return cudaSuccess;
}

cudaError_t host_allocate(void **out, size_t size, int kind, unsigned flags) {
    *out = NULL;
    if (!size) return cudaSuccess;
    allocation *a = place_in(&arenas[HOST_ARENA], size, PAGE, (allocation){.device = self.device, .kind = kind, .flags = flags});
    if (!a || mprotect((void *)a->start, round_up(size, PAGE), PROT_READ | PROT_WRITE)) return cudaErrorMemoryAllocation;
    *out = (void *)a->start;
    COUNT(host_malloc);
    say(2, "%s: allocation #%lu, %s%zu bytes at %p", self.call, a->id, kind_name(a), size, *out);
    return cudaSuccess;
}

cudaError_t host_register(void *start, size_t size, unsigned flags) {
    if (!size || is_simulated(start)) return misuse(cudaErrorInvalidValue, "%zu bytes at %p", size, start);
    region new = region_of(start, size);
    for (size_t i = 0; i < registered_count; i++)
        if (regions_overlap(new, region_of((void *)registered[i].start, registered[i].size))) return cudaErrorHostMemoryAlreadyRegistered;
    registered = grow(registered, registered_count, &registered_room, sizeof *registered);
    registered[registered_count++] = (allocation){
        .start = (uintptr_t)start, .size = size, .id = ++allocation_ids, .device = self.device, .kind = CUDASIM_REGISTERED, .flags = flags,
    };
    return cudaSuccess;
}

void allocation_free(allocation *a) {
    void *start = (void *)a->start;
    a->life = FREED;
    switch (a->kind) {
    case CUDASIM_DEVICE_MEMORY: {
        /* The pages go back to the system; nobody can read the rest, the host never could. */
        arena *from = arena_at(a->start);
        uintptr_t low = round_up(a->start, PAGE), high = (a->start + a->size) / PAGE * PAGE;
        if (low < high) fallocate(from->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(low - from->base), (off_t)(high - low));
        usage[a->device].used -= a->size;
        break;
    }
    case CUDASIM_REGISTERED:
        *a = registered[--registered_count];
        break;
    default:
        madvise(start, round_up(a->size, PAGE), MADV_DONTNEED);
        mprotect(start, round_up(a->size, PAGE), PROT_NONE);
        COUNT(host_free);
    }
}

/* -- host code that touches device memory ----------------------------------------------------------------------------------------- */

static struct sigaction previous_handler;
static int diagnosis_file = 2;

void cudasim_set_diagnosis_file(int descriptor) { diagnosis_file = descriptor; }

static void on_fault(int signal_number, siginfo_t *info, void *context) {
    (void)context;
    if (info->si_code <= 0) {
        /* Sent, not caused: Python's faulthandler, which ran first, passes it on so. The access itself faults again after this,
         * and then it comes here with its address. Whoever sends it without an access gets what they want the second time. */
        static volatile sig_atomic_t passed_on;
        if (passed_on++ == 0) return;
    } else if (is_simulated(info->si_addr)) {
        static const char head[] = "cudasim: host code touched memory that isn't the host's: ";
        char where[200];
        describe_address(info->si_addr, where, sizeof where - 1);
        strcat(where, "\n");
        int out = diagnosis_file;
        if (write(out, head, sizeof head - 1) < 0 || write(out, where, strlen(where)) < 0) { /* nothing is left to be done */ }
        void *frames[32];
        backtrace_symbols_fd(frames, backtrace(frames, 32), out);
    }
    sigaction(signal_number, &previous_handler, NULL); /* the access faults again, under the handler that was there before */
}

static void *map_or_die(void *at, size_t size, int protection, int flags, int file) {
    void *got = mmap(at, size, protection, flags | MAP_NORESERVE, file, 0);
    if (got == MAP_FAILED || (at && got != at)) {
        fprintf(stderr, "cudasim: can't reserve %zu GiB of addresses at %p: %s\n", size >> 30, at, strerror(errno));
        exit(2);
    }
    return got;
}

/* A device's bytes, in a new file: where they are mapped already, in place of the old one. */
static void map_bytes(arena *a) {
    a->file = memfd_create("cudasim", MFD_CLOEXEC);
    if (a->file < 0 || ftruncate(a->file, ARENA_SIZE)) {
        fprintf(stderr, "cudasim: no memory file: %s\n", strerror(errno));
        exit(2);
    }
    a->bytes = map_or_die(a->bytes, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | (a->bytes ? MAP_FIXED : 0), a->file);
    madvise(a->bytes, ARENA_SIZE, MADV_DONTDUMP);
}

void memory_in_child(void) {
    for (int d = 0; d < settings.devices; d++) {
        close(arenas[d].file);
        map_bytes(&arenas[d]);
    }
}

void memory_init(void) {
    for (int i = 0; i <= HOST_ARENA; i++) {
        if (i >= settings.devices && i != HOST_ARENA) continue;
        arena *a = &arenas[i];
        a->base = ARENA_BASE + i * ARENA_STEP;
        a->next = a->base + (1 << 20);
        map_or_die((void *)a->base, ARENA_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1);
        a->bytes = (char *)a->base;
        if (i == HOST_ARENA) continue;
        a->bytes = NULL;
        map_bytes(a);
        usage[i].capacity = settings.memory;
    }
    void *frame;
    backtrace(&frame, 1); /* loads what it needs now: in the handler it may not */
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, &previous_handler);
}

/* -- what the tests and the API ask ------------------------------------------------------------------------------------------------ */

size_t memory_used(int device) { return usage[device].used; }
size_t memory_peak(int device) { return usage[device].peak; }
size_t memory_capacity(int device) { return usage[device].capacity; }
void memory_reset_peak(int device) { usage[device].peak = usage[device].used; }

void cudasim_set_memory(int device, uint64_t bytes) {
    sim_lock();
    if (device >= 0 && device < settings.devices) usage[device].capacity = bytes ? bytes : settings.memory;
    sim_unlock();
}

static size_t list_live(const allocation *list, size_t count, uint64_t after, cudasim_allocation *out, size_t room, size_t found) {
    for (size_t i = 0; i < count; i++) {
        const allocation *a = &list[i];
        if (a->life == FREED || a->id <= after) continue;
        if (found < room)
            out[found] = (cudasim_allocation){.id = a->id, .address = (void *)a->start, .size = a->size, .device = a->device, .kind = a->kind};
        found++;
    }
    return found;
}

size_t cudasim_allocations(cudasim_allocation *out, size_t room, uint64_t after) {
    sim_lock();
    size_t found = list_live(registered, registered_count, after, out, room, 0);
    for (int i = 0; i <= HOST_ARENA; i++) found = list_live(arenas[i].list, arenas[i].count, after, out, room, found);
    sim_unlock();
    return found;
}

uint64_t gauge_allocations(bool host) {
    if (host) return list_live(arenas[HOST_ARENA].list, arenas[HOST_ARENA].count, 0, NULL, 0, registered_count);
    size_t found = 0;
    for (int d = 0; d < settings.devices; d++) found = list_live(arenas[d].list, arenas[d].count, 0, NULL, 0, found);
    return found;
}

uint64_t cudasim_last_allocation(void) {
    sim_lock();
    uint64_t last = allocation_ids;
    sim_unlock();
    return last;
}

static bool is_live(const void *start, size_t size) {
    allocation *a = allocation_at(start);
    return a && a->life != FREED && size <= a->size - ((uintptr_t)start - a->start);
}

int cudasim_peek(void *host, const void *device, size_t size) {
    sim_lock();
    bool live = is_live(device, size);
    if (live) memcpy(host, bytes_of(device), size);
    sim_unlock();
    return live;
}

int cudasim_poke(void *device, const void *host, size_t size) {
    sim_lock();
    bool live = is_live(device, size);
    if (live) memcpy(bytes_of(device), host, size);
    sim_unlock();
    return live;
}
