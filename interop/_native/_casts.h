/* Casts between floats, whole rows of neighbouring elements at a time: nearest, ties to even, and NaN stays NaN. */

#ifndef INTEROP_CASTS_H
#define INTEROP_CASTS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Compilers that have these attributes take the loops twice, and the machine chooses. */
#if (defined(__GNUC__) || defined(__clang__)) && defined(__x86_64__)
#define INTEROP_AVX2 1
#include <immintrin.h>
#endif

#if defined(__GNUC__) && !defined(__clang__)
/* At -O2 gcc vectorises next to nothing. */
#pragma GCC push_options
#pragma GCC optimize("O3")
#endif

typedef void (*interop_cast)(void *to, const void *from, int64_t count);

static inline uint32_t interop_bits_of_bfloat16(uint16_t bits) { return (uint32_t) bits << 16; }

static inline uint16_t interop_bfloat16_of_bits(uint32_t bits) {
    uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    /* Rounded, a NaN may become infinity. */
    return (uint16_t) ((bits & 0x7fffffff) > 0x7f800000 ? (bits >> 16 & 0x8000) | 0x7fc0 : rounded);
}

#define INTEROP_LOOP(name, attribute, INTO, FROM, expression)                       \
    attribute static void interop_##name(void *to, const void *from, int64_t count) { \
        INTO *restrict into = (INTO *) to;                                          \
        const FROM *restrict values = (const FROM *) from;                          \
        int64_t i;                                                                  \
        for (i = 0; i < count; i++) into[i] = expression;                           \
    }

#define INTEROP_LOOPS(suffix, attribute)                                                                              \
    INTEROP_LOOP(widen_bfloat16##suffix, attribute, uint32_t, uint16_t, interop_bits_of_bfloat16(values[i]))          \
    INTEROP_LOOP(narrow_bfloat16##suffix, attribute, uint16_t, uint32_t, interop_bfloat16_of_bits(values[i]))         \
    INTEROP_LOOP(widen_float32##suffix, attribute, double, float, (double) values[i])                                 \
    INTEROP_LOOP(narrow_float64##suffix, attribute, float, double, (float) values[i])

INTEROP_LOOPS(, )

#ifdef INTEROP_AVX2
INTEROP_LOOPS(_avx2, __attribute__((target("avx2"))))

__attribute__((target("avx,f16c"))) static void interop_widen_float16(void *to, const void *from, int64_t count) {
    float *into = (float *) to;
    const uint16_t *values = (const uint16_t *) from;
    int64_t i;
    for (i = 0; i + 8 <= count; i += 8)
        _mm256_storeu_ps(into + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) (values + i))));
    for (; i < count; i++) into[i] = _cvtsh_ss(values[i]);
}

__attribute__((target("avx,f16c"))) static void interop_narrow_float16(void *to, const void *from, int64_t count) {
    uint16_t *into = (uint16_t *) to;
    const float *values = (const float *) from;
    int64_t i;
    for (i = 0; i + 8 <= count; i += 8)
        _mm_storeu_si128((__m128i *) (into + i), _mm256_cvtps_ph(_mm256_loadu_ps(values + i), _MM_FROUND_TO_NEAREST_INT));
    for (; i < count; i++) into[i] = _cvtss_sh(values[i], _MM_FROUND_TO_NEAREST_INT);
}
#elif defined(__aarch64__)
INTEROP_LOOP(widen_float16, , float, __fp16, (float) values[i])
INTEROP_LOOP(narrow_float16, , __fp16, float, (__fp16) values[i])
#endif

/* By DLPack's codes (2: float, 4: bfloat16) and bits; NULL where there is none. */
static interop_cast interop_find_cast(int into_code, int into_bits, int code, int bits) {
    int single = code == 2 && bits == 32, into_single = into_code == 2 && into_bits == 32;
    int half = code == 2 && bits == 16, into_half = into_code == 2 && into_bits == 16;
    int brain = code == 4 && bits == 16, into_brain = into_code == 4 && into_bits == 16;
    int twice = code == 2 && bits == 64, into_twice = into_code == 2 && into_bits == 64;
#ifdef INTEROP_AVX2
    if (__builtin_cpu_supports("avx2")) {
        if (brain && into_single) return interop_widen_bfloat16_avx2;
        if (single && into_brain) return interop_narrow_bfloat16_avx2;
        if (single && into_twice) return interop_widen_float32_avx2;
        if (twice && into_single) return interop_narrow_float64_avx2;
    }
    if (__builtin_cpu_supports("f16c")) {
        if (half && into_single) return interop_widen_float16;
        if (single && into_half) return interop_narrow_float16;
    }
#elif defined(__aarch64__)
    if (half && into_single) return interop_widen_float16;
    if (single && into_half) return interop_narrow_float16;
#else
    (void) half;
    (void) into_half;
#endif
    if (brain && into_single) return interop_widen_bfloat16;
    if (single && into_brain) return interop_narrow_bfloat16;
    if (single && into_twice) return interop_widen_float32;
    if (twice && into_single) return interop_narrow_float64;
    return NULL;
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

#endif
