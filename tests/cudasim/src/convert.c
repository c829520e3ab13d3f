/* Values from one element type to another, for the stand-ins of kernels that cast: rounded as torch and numpy round on the host. */
#include <math.h>
#include <string.h>

#include "sim.h"

static const struct {
    size_t size;
    char kind; /* b: bool, i: signed, u: unsigned, f: floating, c: complex, 0: its values aren't known here */
} traits[ELEMENT_TYPES] = {
    [BOOL] = {1, 'b'}, [I8] = {1, 'i'}, [I16] = {2, 'i'}, [I32] = {4, 'i'}, [I64] = {8, 'i'}, [U8] = {1, 'u'}, [U16] = {2, 'u'},
    [U32] = {4, 'u'}, [U64] = {8, 'u'}, [F16] = {2, 'f'}, [BF16] = {2, 'f'}, [F32] = {4, 'f'}, [F64] = {8, 'f'}, [C64] = {8, 'c'},
    [C128] = {16, 'c'}, [C32] = {4, 0}, [ONE_BYTE] = {1, 0},
};

size_t size_of_element(element_type t) { return traits[t].size; }
bool can_convert(element_type to, element_type from) { return to == from || (traits[to].kind && traits[from].kind); }

static double from_half(uint16_t bits) {
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 31 ? (fraction ? NAN : INFINITY) : exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return bits >> 15 ? -value : value;
}

/* To the nearest, to even in the middle: rint does so. */
static uint16_t to_half(float value) {
    uint16_t sign = signbit(value) ? 0x8000 : 0;
    double magnitude = fabs((double)value);
    if (isnan(value)) return sign | 0x7e00;
    if (magnitude == 0) return sign;
    int exponent;
    frexp(magnitude, &exponent); /* magnitude = m * 2^exponent, m in [1/2, 1) */
    int scale = exponent < -13 ? -24 : exponent - 11; /* of the last bit */
    double units = rint(ldexp(magnitude, -scale));
    if (ldexp(units, scale) >= 65520) return sign | 0x7c00;
    return sign | (uint16_t)(units + 1024.0 * (scale + 24)); /* a carry of the fraction goes into the exponent */
}

static float from_bfloat(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static uint16_t to_bfloat(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value)) return 0x7fc0;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* A value on its way: an integer as one, so that nothing of 64 bits is lost. */
typedef struct {
    bool integral, is_unsigned;
    uint64_t bits;
    double real, imaginary;
} value;

#define READ(type, from)                \
    ({                                  \
        type read_;                     \
        memcpy(&read_, from, sizeof read_); \
        read_;                          \
    })

static value integer(uint64_t bits, bool is_unsigned) {
    return (value){true, is_unsigned, bits, is_unsigned ? (double)bits : (double)(int64_t)bits, 0};
}

static value read_value(const void *p, element_type t) {
    switch (t) {
    case BOOL: return integer(READ(uint8_t, p) != 0, true);
    case I8: return integer((uint64_t)READ(int8_t, p), false);
    case I16: return integer((uint64_t)READ(int16_t, p), false);
    case I32: return integer((uint64_t)READ(int32_t, p), false);
    case I64: return integer(READ(uint64_t, p), false);
    case U8: return integer(READ(uint8_t, p), true);
    case U16: return integer(READ(uint16_t, p), true);
    case U32: return integer(READ(uint32_t, p), true);
    case U64: return integer(READ(uint64_t, p), true);
    case F16: return (value){.real = from_half(READ(uint16_t, p))};
    case BF16: return (value){.real = from_bfloat(READ(uint16_t, p))};
    case F32: return (value){.real = READ(float, p)};
    case F64: return (value){.real = READ(double, p)};
    case C64: return (value){.real = READ(float, p), .imaginary = READ(float, (const char *)p + 4)};
    case C128: return (value){.real = READ(double, p), .imaginary = READ(double, (const char *)p + 8)};
    default: return (value){0};
    }
}

static uint64_t as_bits(value v) {
    if (v.integral) return v.bits;
    if (!(fabs(v.real) < 0x1p64)) return 0; /* C leaves it undefined, and so do the libraries */
    return v.real < 0 ? (uint64_t)(int64_t)fmax(v.real, -0x1p63) : v.real < 0x1p63 ? (uint64_t)(int64_t)v.real : (uint64_t)v.real;
}

static float as_float(value v) {
    if (!v.integral) return (float)v.real;
    return v.is_unsigned ? (float)v.bits : (float)(int64_t)v.bits; /* rounded once: not by way of a double */
}

static void write_value(void *p, element_type t, value v) {
    uint64_t bits = as_bits(v);
    uint16_t half;
    float single[2] = {as_float(v), (float)v.imaginary};
    double wide[2] = {v.real, v.imaginary};
    switch (t) {
    case BOOL: *(uint8_t *)p = v.integral ? v.bits != 0 : v.real != 0 || v.imaginary != 0; break;
    case F16: half = to_half(single[0]), memcpy(p, &half, 2); break;
    case BF16: half = to_bfloat(single[0]), memcpy(p, &half, 2); break;
    case F32: memcpy(p, single, 4); break;
    case C64: memcpy(p, single, 8); break;
    case F64: memcpy(p, wide, 8); break;
    case C128: memcpy(p, wide, 16); break;
    default: memcpy(p, &bits, size_of_element(t)); /* the low bytes: little-endian, like all that CUDA runs on */
    }
}

static value negated(value v) {
    return (value){v.integral, v.is_unsigned, -v.bits, -v.real, -v.imaginary};
}

void convert_element(void *to, element_type to_type, const void *from, element_type from_type, change how) {
    if (to_type == from_type && how == AS_IT_IS) {
        memcpy(to, from, size_of_element(to_type));
        return;
    }
    value v = read_value(from, from_type);
    if (how == NEGATED) v = negated(v);
    if (how == CONJUGATED) v.imaginary = -v.imaginary;
    write_value(to, to_type, v);
}
