/* Stand-ins for the kernels that only move data: without them neither library could make a strided tensor contiguous, cast it or fill it.
 *
 * A kernel is known by its name, and its arguments are read as that very version of the library lays them out: the folder's table of
 * versions pins torch and cupy. kernels.py beside this folder tries each stand-in against numpy before the tests; if one of
 * them is wrong, it says so and turns all of them off: the kernels are then refused like all others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

/* -- submitting ------------------------------------------------------------------------------------------------------------------- */

/* From the lowest byte that a strided copy touches to the highest. The gaps between its elements count as touched as well. */
static region extent(const void *start, const strided *s, const long *strides, element_type type) {
    long low = 0, high = (long)size_of_element(type);
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
    o.writes = extent(to, &s, s.to_stride, s.to_type);
    if (from) o.reads = extent(from, &s, s.from_stride, s.from_type);
    if (!check_access(o.writes, "target", on, NULL, false) || !check_access(o.reads, "source", on, NULL, false)) return cudaErrorIllegalAddress;
    o.owned = malloc(sizeof s);
    if (!o.owned) abort();
    memcpy(o.owned, &s, sizeof s);
    COUNT(kernel);
    return submit(on, o);
}

static void make_contiguous(strided *s) {
    s->dims = 1;
    s->shape[0] = (long)s->elements;
    s->to_stride[0] = (long)size_of_element(s->to_type);
    s->from_stride[0] = (long)size_of_element(s->from_type);
}

/* -- torch: types ------------------------------------------------------------------------------------------------------------------ */

/* As C++ mangles them. */
static const struct {
    const char *mangled;
    element_type type;
} mangled_types[] = {
    {"bE", BOOL}, {"aE", I8}, {"hE", U8}, {"sE", I16}, {"tE", U16}, {"iE", I32}, {"jE", U32}, {"lE", I64}, {"mE", U64}, {"fE", F32}, {"dE", F64},
    {"N3c104HalfE", F16}, {"N3c108BFloat16E", BF16}, {"N3c107complexIfE", C64}, {"N3c107complexIdE", C128}, {"N3c107complexIN", C32},
    {"N3c1013Float8_e4m3fnE", ONE_BYTE}, {"N3c1011Float8_e5m2E", ONE_BYTE}, {"N3c1015Float8_e4m3fnuzE", ONE_BYTE},
    {"N3c1015Float8_e5m2fnuzE", ONE_BYTE}, {"N3c1014Float8_e8m0fnuE", ONE_BYTE}, {"N3c1016Float4_e2m1fn_x2E", ONE_BYTE},
};

static bool demangle(const char *mangled, element_type *out) {
    for (size_t i = 0; i < sizeof mangled_types / sizeof *mangled_types; i++)
        if (!strncmp(mangled, mangled_types[i].mangled, strlen(mangled_types[i].mangled))) {
            *out = mangled_types[i].type;
            return true;
        }
    return false;
}

/* c10::ScalarType, a signed char. */
static bool scalar_type(const signed char *code, element_type *out) {
    static const struct {
        int code;
        element_type type;
    } codes[] = {
        {0, U8}, {1, I8}, {2, I16}, {3, I32}, {4, I64}, {5, F16}, {6, F32}, {7, F64}, {9, C64}, {10, C128}, {11, BOOL}, {15, BF16}, {27, U16},
        {28, U32}, {29, U64},
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (codes[i].code == *code) {
            *out = codes[i].type;
            return true;
        }
    return false;
}

/* -- torch: how a kernel walks ------------------------------------------------------------------------------------------------------ */

/* OffsetCalculator<N>: the fastest dimension first; N strides in bytes for each, the target's before the source's. */
typedef struct {
    int dims;
    struct { unsigned divisor, multiplier, shift; } sizes[25];
} walk;

/* elementwise_kernel(int n, lambda {OffsetCalculator<2>, char *data[2], function, ScalarType types[2] where it casts}) */
typedef struct {
    walk walk;
    unsigned strides[25][2];
    void *data[2];
    char function;
    signed char types[2];
} binary_walk;

/* The same with a target alone, and a function that has a value in it. */
typedef struct {
    walk walk;
    unsigned strides[25];
    void *data;
    unsigned char value[16];
} unary_walk;

/* vectorized_elementwise_kernel(int n, function, char *data[]), and for wide types unrolled_elementwise_kernel, which begins in the same way. */
static bool is_contiguous(const char *name) {
    return strstr(name, "vectorized_elementwise_kernel") || (strstr(name, "unrolled_elementwise_kernel") && strstr(name, "15LoadWithoutCast"));
}

static bool take_walk(strided *s, const walk *w, const unsigned *strides, int step) {
    if (w->dims < 1 || w->dims > 25) return false;
    s->dims = w->dims;
    for (int d = 0; d < w->dims; d++) {
        int from_last = w->dims - 1 - d;
        s->shape[from_last] = w->sizes[d].divisor;
        s->to_stride[from_last] = strides[d * step];
        s->from_stride[from_last] = step == 2 ? strides[d * step + 1] : 0;
    }
    return true;
}

/* -- torch: fills ------------------------------------------------------------------------------------------------------------------ */

static bool torch_fill(const char *name, void **arguments, stream *on, cudaError_t *error) {
    static const char functor[] = "11FillFunctorI";
    const char *type = strstr(name, functor);
    strided s = {.elements = (size_t) * (int *)arguments[0]};
    if (!type || !demangle(type + strlen(functor), &s.to_type)) return false;
    s.from_type = s.to_type;
    void *to;
    if (is_contiguous(name)) { /* FillFunctor<T> {T value} */
        memcpy(s.value, arguments[1], size_of_element(s.to_type));
        to = *(void **)arguments[2];
        make_contiguous(&s);
        s.from_stride[0] = 0;
    } else if (strstr(name, "gpu_kernel_impl_nocast")) {
        const unary_walk *w = arguments[1];
        if (!take_walk(&s, &w->walk, w->strides, 1)) return false;
        memcpy(s.value, w->value, size_of_element(s.to_type));
        to = w->data;
    } else {
        return false;
    }
    *error = submit_strided(to, NULL, s, on);
    return true;
}

/* -- torch: copies, casts, and what resolves the negative and the conjugate bit ----------------------------------------------------- */

static const struct {
    const char *name;
    int to; /* -1: as the source */
    change change;
} torch_functions[] = {
    {"23direct_copy_kernel_cuda", -1, AS_IT_IS}, {"23float8_copy_kernel_cuda", -1, AS_IT_IS}, {"24float16_copy_kernel_cuda", F16, AS_IT_IS},
    {"25bfloat16_copy_kernel_cuda", BF16, AS_IT_IS}, {"15neg_kernel_cuda", -1, NEGATED}, {"16conj_kernel_cuda", -1, CONJUGATED},
};

static bool torch_copy(const char *name, void **arguments, stream *on, cudaError_t *error) {
    strided s = {.elements = (size_t) * (int *)arguments[0]};
    const char *function = NULL;
    for (size_t i = 0; i < sizeof torch_functions / sizeof *torch_functions && !function; i++) {
        function = strstr(name, torch_functions[i].name);
        const char *type = function ? strstr(function, "EUl") : NULL; /* the function's type, a lambda f(T): "EUlfE_" for float */
        if (!type) continue;
        if (!demangle(type + strlen("EUl"), &s.from_type)) return false;
        s.to_type = torch_functions[i].to < 0 ? s.from_type : (element_type)torch_functions[i].to;
        s.change = torch_functions[i].change;
        if (strstr(torch_functions[i].name, "float8") && s.from_type != ONE_BYTE) return false; /* a cast to float8 */
    }
    if (!function) return false;
    void *to, *from;
    if (is_contiguous(name)) {
        to = ((void **)arguments[2])[0], from = ((void **)arguments[2])[1];
        make_contiguous(&s);
    } else if (strstr(name, "unrolled_elementwise_kernel") && strstr(name, "12LoadWithCastILi1E")) {
        /* (int n, function, char *data[2], in offsets, out offsets, LoadWithCast {ScalarType types[1], ...}, StoreWithCast likewise) */
        if (!scalar_type(arguments[5], &s.from_type) || !scalar_type(arguments[6], &s.to_type)) return false;
        to = ((void **)arguments[2])[0], from = ((void **)arguments[2])[1];
        make_contiguous(&s);
    } else if (strstr(name, "18elementwise_kernel")) {
        const binary_walk *w = arguments[1];
        if (strstr(name, "15gpu_kernel_implI") && (!scalar_type(&w->types[0], &s.to_type) || !scalar_type(&w->types[1], &s.from_type))) return false;
        if (!take_walk(&s, &w->walk, &w->strides[0][0], 2)) return false;
        to = w->data[0], from = w->data[1];
    } else {
        return false;
    }
    if (!can_convert(s.to_type, s.from_type)) return false;
    *error = submit_strided(to, from, s, on);
    return true;
}

/* -- cupy -------------------------------------------------------------------------------------------------------------------------- */

static bool cupy_type(const char *name, element_type *out) {
    static const char *const names[] = {
        [BOOL] = "bool", [I8] = "int8", [I16] = "int16", [I32] = "int32", [I64] = "int64", [U8] = "uint8", [U16] = "uint16", [U32] = "uint32",
        [U64] = "uint64", [F16] = "float16", [BF16] = "bfloat16", [F32] = "float32", [F64] = "float64", [C64] = "complex64", [C128] = "complex128",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], name)) {
            *out = (element_type)i;
            return true;
        }
    return false;
}

/* CArray {T *data; ptrdiff_t size; ptrdiff_t shape[dims]; ptrdiff_t strides[dims]}: cupy has taken out the dimensions of size 1. */
typedef struct {
    char *data;
    long size, shape_and_strides[64];
} cupy_array;

/* cupy_copy__FROM_TO(CArray from, CArray to, CIndexer) */
static bool cupy_copy(const char *name, void **arguments, stream *on, cudaError_t *error) {
    char from_name[40], to_name[40];
    int length = 0;
    if (sscanf(name, "cupy_copy__%39[a-z0-9]_%39[a-z0-9]%n", from_name, to_name, &length) != 2 || name[length]) return false;
    const cupy_array *from = arguments[0], *to = arguments[1];
    strided s = {.elements = (size_t)to->size};
    if (!cupy_type(from_name, &s.from_type) || !cupy_type(to_name, &s.to_type) || !can_convert(s.to_type, s.from_type)) return false;
    for (long product = 1; product != to->size && s.dims < 32; s.dims++) product *= to->shape_and_strides[s.dims];
    for (int d = 0; d < s.dims; d++) {
        s.shape[d] = to->shape_and_strides[d];
        s.from_stride[d] = from->shape_and_strides[s.dims + d];
        s.to_stride[d] = to->shape_and_strides[s.dims + d];
    }
    *error = submit_strided(to->data, from->data, s, on);
    return true;
}

bool emulate_kernel(const char *name, void **arguments, stream *s, cudaError_t *error) {
    return torch_fill(name, arguments, s, error) || torch_copy(name, arguments, s, error) || cupy_copy(name, arguments, s, error);
}
