/* Planes of memory whose neighbours differ where they are read and where they are written, as in a transposed copy.

   They go through a tile that fits the nearest cache: read along the rows of the source, whole lines at a time, turned
   in registers, and written along the rows of the result, whole lines again. Read across, each element would cost a line;
   and at steps of a power of two all those lines want the same places of the cache. */

#ifndef INTEROP_TILES_H
#define INTEROP_TILES_H

#include <stdint.h>
#include <string.h>

#include "_casts.h"

#if defined(__SSE2__) || defined(_M_X64)
#include <emmintrin.h>
#define INTEROP_STREAMS 1
#endif

#if defined(__clang__)
#define INTEROP_TURNS 1
#elif defined(__GNUC__)
#if __GNUC__ >= 12
#define INTEROP_TURNS 1
#endif
/* As in _casts.h. */
#pragma GCC push_options
#pragma GCC optimize("O3")
#endif

#ifdef _MSC_VER
#define INTEROP_ALIGNED __declspec(align(64))
#define INTEROP_INLINE __forceinline
#define INTEROP_PREFETCH(address)
#else
#define INTEROP_ALIGNED __attribute__((aligned(64)))
#define INTEROP_INLINE inline __attribute__((always_inline))
#define INTEROP_PREFETCH(address) __builtin_prefetch(address, 0, 2)
#endif

/* Past the caches: a result that is larger than they are would only push everything else out. */
static void interop_stream(char *to, const char *from, int64_t size) {
#ifdef INTEROP_STREAMS
    int64_t i, head = (int64_t) (-(uintptr_t) to & 15);
    if (head > size) head = size;
    memcpy(to, from, head);
    for (i = head; i + 16 <= size; i += 16)
        _mm_stream_si128((__m128i *) (to + i), _mm_loadu_si128((const __m128i *) (from + i)));
    memcpy(to + i, from + i, size - i);
#else
    memcpy(to, from, size);
#endif
}

static void interop_stream_end(void) {
#ifdef INTEROP_STREAMS
    _mm_sfence();
#endif
}

/* How a plane is copied: `unit` bytes an element where it is read, `into` where it is written. */
typedef struct {
    int64_t unit, into;
    interop_cast cast;
    int stream;
} interop_way;

/* Write a row of neighbours. */
static void interop_write_row(char *to, const char *from, int64_t count, const interop_way *way) {
    INTEROP_ALIGNED char piece[4096];
    if (!way->cast) {
        if (way->stream) interop_stream(to, from, count * way->unit);
        else memcpy(to, from, count * way->unit);
    } else if (!way->stream) {
        way->cast(to, from, count);
    } else {
        int64_t done, some = (int64_t) sizeof(piece) / way->into;
        for (done = 0; done < count; done += some) {
            if (some > count - done) some = count - done;
            way->cast(piece, from + done * way->unit, some);
            interop_stream(to + done * way->into, piece, some * way->into);
        }
    }
}

/* A square of 16 bytes by 16, turned: as many interleavings as the logarithm of its elements. */
#define INTEROP_TURN(T, N, LOW, HIGH)                                                                      \
    typedef T interop_vector_##T __attribute__((vector_size(16)));                                         \
    static INTEROP_INLINE void interop_turn_##T(const char *from, int64_t step, char *to, int64_t pitch) { \
        interop_vector_##T a[N], b[N];                                                                     \
        int i, n;                                                                                          \
        for (i = 0; i < N; i++) memcpy(&a[i], from + i * step, 16);                                        \
        for (n = 1; n < N; n *= 2) {                                                                       \
            for (i = 0; i < N / 2; i++) {                                                                  \
                b[2 * i] = LOW(a[i], a[i + N / 2]);                                                        \
                b[2 * i + 1] = HIGH(a[i], a[i + N / 2]);                                                   \
            }                                                                                              \
            for (i = 0; i < N; i++) a[i] = b[i];                                                           \
        }                                                                                                  \
        for (i = 0; i < N; i++) memcpy(to + i * pitch, &a[i], 16);                                         \
    }

#define INTEROP_TURN_ONE(T)                                                                                \
    static INTEROP_INLINE void interop_turn_##T(const char *from, int64_t step, char *to, int64_t pitch) { \
        (void) step;                                                                                       \
        (void) pitch;                                                                                      \
        memcpy(to, from, sizeof(T));                                                                       \
    }

typedef struct {
    uint64_t halves[2];
} interop_twin;

#ifdef INTEROP_TURNS
#define INTEROP_SQUARE(T) (16 / (int64_t) sizeof(T))
#define INTEROP_LOW1(x, y) __builtin_shufflevector(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define INTEROP_HIGH1(x, y) __builtin_shufflevector(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define INTEROP_LOW2(x, y) __builtin_shufflevector(x, y, 0, 8, 1, 9, 2, 10, 3, 11)
#define INTEROP_HIGH2(x, y) __builtin_shufflevector(x, y, 4, 12, 5, 13, 6, 14, 7, 15)
#define INTEROP_LOW4(x, y) __builtin_shufflevector(x, y, 0, 4, 1, 5)
#define INTEROP_HIGH4(x, y) __builtin_shufflevector(x, y, 2, 6, 3, 7)
#define INTEROP_LOW8(x, y) __builtin_shufflevector(x, y, 0, 2)
#define INTEROP_HIGH8(x, y) __builtin_shufflevector(x, y, 1, 3)
INTEROP_TURN(uint8_t, 16, INTEROP_LOW1, INTEROP_HIGH1)
INTEROP_TURN(uint16_t, 8, INTEROP_LOW2, INTEROP_HIGH2)
INTEROP_TURN(uint32_t, 4, INTEROP_LOW4, INTEROP_HIGH4)
INTEROP_TURN(uint64_t, 2, INTEROP_LOW8, INTEROP_HIGH8)
#else
#define INTEROP_SQUARE(T) 1
INTEROP_TURN_ONE(uint8_t)
INTEROP_TURN_ONE(uint16_t)
INTEROP_TURN_ONE(uint32_t)
INTEROP_TURN_ONE(uint64_t)
#endif
INTEROP_TURN_ONE(interop_twin)

/* One tile, turned; the lines of the next one are asked for meanwhile. */
#define INTEROP_FILL(T, ROWS, COLUMNS)                                                                               \
    static void interop_fill_##T(T *tile, const char *from, int64_t step, int64_t rows, int64_t column_from,         \
                                 int64_t columns, const char *next) {                                                \
        const int64_t square = INTEROP_SQUARE(T);                                                                    \
        const int64_t turned_rows = step == sizeof(T) ? rows / square * square : 0;                                  \
        const int64_t turned_columns = turned_rows ? columns / square * square : 0;                                  \
        int64_t i, j, line;                                                                                          \
        for (j = 0; j < turned_columns; j += square) {                                                               \
            const char *near = from + j * column_from;                                                               \
            for (i = 0; next && i < square; i++)                                                                     \
                for (line = 0; line < (int64_t) (ROWS * sizeof(T)); line += 64)                                      \
                    INTEROP_PREFETCH(next + (j + i) * column_from + line);                                           \
            for (i = 0; i < turned_rows; i += square)                                                                \
                interop_turn_##T(near + i * sizeof(T), column_from, (char *) (tile + i * COLUMNS + j),               \
                                 COLUMNS * sizeof(T));                                                               \
        }                                                                                                            \
        for (j = 0; j < columns; j++)                                                                                \
            for (i = j < turned_columns ? turned_rows : 0; i < rows; i++)                                            \
                memcpy(tile + i * COLUMNS + j, from + j * column_from + i * step, sizeof(T));                        \
    }

/* Tiles in blocks of 512: what one tile leaves of a page, or of a line, the next ones of the block find near. Past the
   caches whole lines are written, where every row has them at the same places: the first block ends where a line does. */
#define INTEROP_PLANE(T, ROWS, COLUMNS)                                                                               \
    INTEROP_FILL(T, ROWS, COLUMNS)                                                                                    \
    static void interop_turn_plane_##T(char *to, const char *from, int64_t rows, int64_t row_to, int64_t row_from,    \
                                       int64_t columns, int64_t column_from, const interop_way *way) {                \
        INTEROP_ALIGNED T tile[ROWS * COLUMNS];                                                                       \
        const int64_t lead = way->stream ? (int64_t) (-(uintptr_t) to & 63) / way->into : 0;                          \
        const char *next;                                                                                             \
        int64_t row, column, first, last, r, c, i, height, width;                                                     \
        for (row = 0; row < rows; row += 512)                                                                         \
            for (column = lead ? lead - 512 : 0; column < columns; column += 512) {                                   \
                first = column < 0 ? 0 : column;                                                                      \
                last = column + 512 < columns ? column + 512 : columns;                                               \
                for (r = row; r < rows && r < row + 512; r += ROWS)                                                   \
                    for (c = first; c < last; c += COLUMNS) {                                                         \
                        height = rows - r < ROWS ? rows - r : ROWS;                                                   \
                        width = last - c < COLUMNS ? last - c : COLUMNS;                                              \
                        next = c + 2 * COLUMNS <= last ? from + r * row_from + (c + COLUMNS) * column_from            \
                             : r + 2 * ROWS <= rows    ? from + (r + ROWS) * row_from + first * column_from           \
                                                       : NULL;                                                        \
                        interop_fill_##T(tile, from + r * row_from + c * column_from, row_from, height, column_from,  \
                                         width, next);                                                                \
                        for (i = 0; i < height; i++)                                                                  \
                            interop_write_row(to + (r + i) * row_to + c * way->into,                                  \
                                              (const char *) (tile + i * COLUMNS), width, way);                       \
                    }                                                                                                 \
            }                                                                                                         \
    }

/* 32 KiB each, or less. */
INTEROP_PLANE(uint8_t, 128, 128)
INTEROP_PLANE(uint16_t, 128, 128)
INTEROP_PLANE(uint32_t, 64, 128)
INTEROP_PLANE(uint64_t, 64, 64)
INTEROP_PLANE(interop_twin, 32, 64)

/* Element by element, where one side is only a few wide or has gaps. The size is a constant to the compiler, which makes
   one load and one store of it. */
#define INTEROP_SCATTER(size, tile)                                                                          \
    for (i = 0; i < rows; i += tile) for (j = 0; j < columns; j += tile)                                     \
        for (ii = i; ii < i + tile && ii < rows; ii++) for (jj = j; jj < j + tile && jj < columns; jj++)     \
            memcpy(to + ii * row_to + jj * column_to, from + ii * row_from + jj * column_from, size);

static void interop_scatter_plane(char *to, const char *from, int64_t rows, int64_t row_to, int64_t row_from,
                                  int64_t columns, int64_t column_to, int64_t column_from, int64_t unit) {
    int64_t i, j, ii, jj;
    switch (unit) {
        case 1: INTEROP_SCATTER(1, 64) break;
        case 2: INTEROP_SCATTER(2, 32) break;
        case 4: INTEROP_SCATTER(4, 16) break;
        case 8: INTEROP_SCATTER(8, 8) break;
        case 16: INTEROP_SCATTER(16, 8) break;
        default: INTEROP_SCATTER(unit, 8)
    }
}

/* Whether the plane is one that tiles are for. Along rows that are read in the order in which they lie, there is nothing
   to turn. */
static int interop_is_turned(int64_t rows, int64_t columns, int64_t column_to, int64_t column_from,
                             const interop_way *way) {
    if (way->unit > 16 || (way->unit & (way->unit - 1)) || column_to != way->into) return 0;
    return (way->cast || (rows >= 16 && columns >= 16)) && column_from != way->unit;
}

static void interop_copy_plane(char *to, const char *from, int64_t rows, int64_t row_to, int64_t row_from,
                               int64_t columns, int64_t column_to, int64_t column_from, const interop_way *way) {
    int64_t i;
    interop_way within = *way;
    if (interop_is_turned(rows, columns, column_to, column_from, way)) {
        /* A part of a line, written past the caches, costs more than the line. */
        within.stream = way->stream && row_to % 64 == 0 && columns * way->into >= 2048;
        way = &within;
        switch (way->unit) {
            case 1: interop_turn_plane_uint8_t(to, from, rows, row_to, row_from, columns, column_from, way); break;
            case 2: interop_turn_plane_uint16_t(to, from, rows, row_to, row_from, columns, column_from, way); break;
            case 4: interop_turn_plane_uint32_t(to, from, rows, row_to, row_from, columns, column_from, way); break;
            case 8: interop_turn_plane_uint64_t(to, from, rows, row_to, row_from, columns, column_from, way); break;
            default: interop_turn_plane_interop_twin(to, from, rows, row_to, row_from, columns, column_from, way);
        }
    } else if (way->cast) {
        for (i = 0; i < rows; i++) interop_write_row(to + i * row_to, from + i * row_from, columns, way);
    } else {
        interop_scatter_plane(to, from, rows, row_to, row_from, columns, column_to, column_from, way->unit);
    }
    if (way->stream) interop_stream_end();
}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC pop_options
#endif

#endif
