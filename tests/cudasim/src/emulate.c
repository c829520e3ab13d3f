/* Stand-ins for the few kernels that only move data: without them neither library could make a strided tensor contiguous, and so
 * nothing strided would ever reach the host.
 *
 * A kernel is known by its name, and its arguments are read as that very version of the library lays them out: the folder's table of
 * versions pins torch and cupy. kernels.py beside it tries each stand-in against numpy before the tests, and if one of
 * them is wrong it says so and turns all of them off: the kernels are then refused like all others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* -- element types, as C++ mangles them --------------------------------------------------------------------------------------------- */

static const struct {
    const char *mangled;
    size_t size;
} types[] = {
    {"b", 1}, {"a", 1}, {"h", 1}, {"s", 2}, {"t", 2}, {"i", 4}, {"j", 4}, {"l", 8}, {"m", 8}, {"f", 4}, {"d", 8},
    {"N3c104HalfE", 2}, {"N3c108BFloat16E", 2},
    {"N3c107complexIfEE", 8}, {"N3c107complexIdEE", 16}, {"N3c107complexINS_4HalfEEE", 4},
    {"N3c1013Float8_e4m3fnE", 1}, {"N3c1013Float8_e5m2E", 1}, {"N3c1011Float8_e5m2E", 1},
    {"N3c1015Float8_e4m3fnuzE", 1}, {"N3c1015Float8_e5m2fnuzE", 1}, {"N3c1014Float8_e8m0fnuE", 1},
};

static size_t size_of_type(const char *mangled, const char *after) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t length = strlen(types[i].mangled);
        if (!strncmp(mangled, types[i].mangled, length) && !strncmp(mangled + length, after, strlen(after))) return types[i].size;
    }
    return 0;
}

/* -- submitting ------------------------------------------------------------------------------------------------------------------- */

/* From the lowest byte that a strided copy touches to the highest. The gaps between its elements count as touched as well. */
static region extent(const void *start, const strided *s, const long *strides) {
    long low = 0, high = (long)s->element;
    for (int d = 0; d < s->dims; d++) {
        long reach = (s->shape[d] - 1) * strides[d];
        if (reach < 0) low += reach;
        else high += reach;
    }
    return region_of((const char *)start + low, (size_t)(high - low));
}

static cudaError_t submit_strided(void *to, const void *from, strided s, stream *on) {
    if (!s.elements) return cudaSuccess;
    operation o = new_operation(OP_STRIDED);
    o.to = to, o.from = from;
    o.writes = extent(to, &s, s.to_stride);
    o.reads = extent(from, &s, s.from_stride);
    if (!check_access(o.writes, "target", on, NULL, false) || !check_access(o.reads, "source", on, NULL, false)) return cudaErrorIllegalAddress;
    o.owned = malloc(sizeof s);
    if (!o.owned) abort();
    memcpy(o.owned, &s, sizeof s);
    COUNT(kernel);
    return submit(on, o);
}

/* -- torch ------------------------------------------------------------------------------------------------------------------------ */

/* vectorized_elementwise_kernel(int n, FillFunctor<T> {T value}, char *data[1]) */
static bool torch_fill(const char *name, void **arguments, stream *s, cudaError_t *error) {
    const char *functor = strstr(name, "11FillFunctorI");
    if (!functor || !strstr(name, "vectorized_elementwise_kernel")) return false;
    size_t size = size_of_type(functor + strlen("11FillFunctorI"), "E");
    if (!size) return false;
    size_t count = (size_t) * (int *)arguments[0];
    COUNT(kernel);
    *error = fill(*(void **)arguments[2], arguments[1], size, count * size, 1, count * size, s, false);
    counters.memset_ -= !*error && count; /* it isn't a cudaMemset */
    return true;
}

/* elementwise_kernel(int n, lambda {OffsetCalculator<2> offsets, char *data[2], function f}), where
 * OffsetCalculator {int dims; IntDivider {unsigned divisor, multiplier, shift} sizes[25]; unsigned strides[25][2]}, fastest dimension first. */
typedef struct {
    int dims;
    struct { unsigned divisor, multiplier, shift; } sizes[25];
    unsigned strides[25][2];
    char *data[2];
} torch_loop;

/* direct_copy_kernel_cuda and float8_copy_kernel_cuda, as gpu_kernel_impl_nocast launches them: from one type to the same. Their function,
 * a lambda f(T) written "UlfE_" for float, says which. */
static bool torch_copy(const char *name, void **arguments, stream *s, cudaError_t *error) {
    const char *copy = strstr(name, "direct_copy_kernel_cuda"), *copy8 = strstr(name, "float8_copy_kernel_cuda");
    if (!(copy || copy8) || !strstr(name, "18elementwise_kernel") || !strstr(name, "gpu_kernel_impl_nocast")) return false;
    const char *element = strstr(copy ? copy : copy8, "EUl");
    if (!element || (copy8 && !strstr(element, "Float8"))) return false;
    element += strlen("EUl");
    const torch_loop *loop = arguments[1];
    strided c = {.dims = loop->dims, .elements = (size_t) * (int *)arguments[0], .element = size_of_type(element, "E")};
    if (!c.element || c.dims < 1 || c.dims > 25) return false;
    for (int d = 0; d < c.dims; d++) {
        int from_last = c.dims - 1 - d;
        c.shape[from_last] = loop->sizes[d].divisor;
        c.to_stride[from_last] = loop->strides[d][0];
        c.from_stride[from_last] = loop->strides[d][1];
    }
    *error = submit_strided(loop->data[0], loop->data[1], c, s);
    return true;
}

/* -- cupy ------------------------------------------------------------------------------------------------------------------------- */

/* CArray {T *data; ptrdiff_t size; ptrdiff_t shape[dims]; ptrdiff_t strides[dims]}: cupy has taken out the dimensions of size 1. */
typedef struct {
    char *data;
    long size, shape_and_strides[64];
} cupy_array;

/* cupy_copy__T_T(CArray from, CArray to, CIndexer) */
static bool cupy_copy(const char *name, void **arguments, stream *s, cudaError_t *error) {
    char type[40], other[40];
    int length = 0;
    if (sscanf(name, "cupy_copy__%39[a-z0-9]_%39[a-z0-9]%n", type, other, &length) != 2 || name[length] || strcmp(type, other)) return false;
    const cupy_array *from = arguments[0], *to = arguments[1];
    int bits = 0;
    sscanf(type, "%*[a-z]%d", &bits);
    strided c = {.elements = (size_t)to->size, .element = bits ? (size_t)bits / 8 : 1 /* bool */};
    for (long product = 1; product != to->size && c.dims < 32; c.dims++) product *= to->shape_and_strides[c.dims];
    for (int d = 0; d < c.dims; d++) {
        c.shape[d] = to->shape_and_strides[d];
        c.from_stride[d] = from->shape_and_strides[c.dims + d];
        c.to_stride[d] = to->shape_and_strides[c.dims + d];
    }
    *error = submit_strided(to->data, from->data, c, s);
    return true;
}

bool emulate_kernel(const char *name, void **arguments, stream *s, cudaError_t *error) {
    return torch_fill(name, arguments, s, error) || torch_copy(name, arguments, s, error) || cupy_copy(name, arguments, s, error);
}
