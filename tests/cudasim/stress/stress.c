/* Several threads on the simulated device, for the thread sanitizer: make -C tests/cudasim/stress CUDA_INCLUDE=...
 *
 * Each has streams, memory and events of its own, all share one event and the default streams, and host functions call for
 * work of other threads. It ends with 0 if every result is right; what the sanitizer finds it says itself. */
#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cudasim.h"

#define OK(call)                                                                                \
    do {                                                                                        \
        cudaError_t error_ = (call);                                                            \
        if (error_) {                                                                           \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorName(error_)); \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

enum { THREADS = 4, ROUNDS = 300, SIZE = 256 };

static cudaEvent_t shared;

static void count(void *counter) { __atomic_add_fetch((int *)counter, 1, __ATOMIC_SEQ_CST); }

static void one_round(int number, cudaStream_t a, cudaStream_t b, cudaEvent_t event, unsigned char *pinned, int *counter) {
    void *memory, *ordered;
    unsigned char pageable[SIZE];
    OK(cudaMalloc(&memory, SIZE));
    OK(cudaMallocAsync(&ordered, SIZE, a));
    OK(cudaMemsetAsync(memory, number & 127, SIZE, a));
    OK(cudaMemcpyAsync(ordered, memory, SIZE, cudaMemcpyDefault, a));
    OK(cudaEventRecord(event, a));
    OK(cudaStreamWaitEvent(b, event, 0));
    OK(cudaLaunchHostFunc(b, count, counter));
    OK(cudaMemcpyAsync(pinned, ordered, SIZE, cudaMemcpyDefault, b));
    OK(cudaFreeAsync(ordered, b));
    OK(cudaStreamWaitEvent(b, shared, 0));
    if (number % 7 == 0) OK(cudaEventRecord(shared, cudaStreamPerThread));
    if (number % 5 == 0) cudaStreamQuery(b);
    if (number % 11 == 0) OK(cudaMemsetAsync(memory, 0, 0, NULL));
    OK(cudaStreamSynchronize(b));
    if (pinned[SIZE - 1] != (number & 127)) exit(2);
    OK(cudaMemcpyAsync(pageable, memory, SIZE, cudaMemcpyDeviceToHost, a));
    if (pageable[0] != (number & 127)) exit(3);
    OK(cudaFree(memory));
}

static void *work(void *argument) {
    cudaStream_t a, b;
    cudaEvent_t event;
    unsigned char *pinned;
    int counter = 0, device = (int)(size_t)argument % 2;
    OK(cudaSetDevice(device));
    OK(cudaStreamCreateWithFlags(&a, device ? cudaStreamDefault : cudaStreamNonBlocking));
    OK(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking));
    OK(cudaEventCreate(&event));
    OK(cudaMallocHost((void **)&pinned, SIZE));
    for (int i = 0; i < ROUNDS; i++) {
        if (device) { /* the shared event is device 0's: its thread records it alone */
            void *memory;
            OK(cudaMalloc(&memory, SIZE));
            OK(cudaMemsetAsync(memory, 1, SIZE, a));
            OK(cudaStreamWaitEvent(a, shared, 0));
            OK(cudaMemcpyAsync(pinned, memory, SIZE, cudaMemcpyDefault, a));
            OK(cudaDeviceSynchronize());
            if (pinned[0] != 1) exit(4);
            OK(cudaFree(memory));
        } else {
            one_round(i, a, b, event, pinned, &counter);
        }
    }
    OK(cudaDeviceSynchronize());
    if (!device && __atomic_load_n(&counter, __ATOMIC_SEQ_CST) != ROUNDS) exit(5);
    OK(cudaFreeHost(pinned));
    OK(cudaEventDestroy(event));
    OK(cudaStreamDestroy(a));
    OK(cudaStreamDestroy(b));
    return NULL;
}

int main(void) {
    OK(cudaEventCreateWithFlags(&shared, cudaEventDisableTiming));
    for (int mode = CUDASIM_EAGER; mode <= CUDASIM_THREAD; mode++) {
        cudasim_set_delay_ms(0);
        cudasim_set_mode(mode);
        pthread_t threads[THREADS];
        for (size_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, work, (void *)i);
        for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
        cudasim_settle();
        cudasim_finding found;
        if (cudasim_take_findings(&found, 1) || cudasim_counter("pending") || cudasim_counter("live_allocations")) return 6;
        printf("mode %d: %d threads, %d rounds each\n", mode, THREADS, ROUNDS);
    }
    return 0;
}
