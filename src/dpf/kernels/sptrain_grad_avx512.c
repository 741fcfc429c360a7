/* SPDX-License-Identifier: MIT
 *
 * The inner loops of sptrain_grad.c for AVX-512. Compiled with the options of that
 * instruction set; nothing here may run before dpf_cpu_isa allowed it. Arrays of vectors
 * have constant bounds and must be unrolled, so that they stay in registers.
 *
 * Winograd's F(3x3, 4x4) by the points 0, 1, -1, 2, -2 and infinity. The fractions belong
 * to the transform of dy; since that is linear they wait for the end, where they cost
 * once a weight.
 */
#include "sptrain_internal.h"

#if defined(__AVX512F__)
#include <immintrin.h>

#define UNROLL _Pragma("GCC unroll 16")
#define INLINE static inline __attribute__((always_inline))

enum { X_SIDE = 6, DY_SIDE = 4 };

static const float zeros[SP_LANES] __attribute__((aligned(64)));

/* Three of the six values that a column or row of x becomes: the first three, or the others. */
INLINE void transform_6(const __m512 d[6], int later, __m512 r[3]) {
    const __m512 two = _mm512_set1_ps(2), four = _mm512_set1_ps(4), five = _mm512_set1_ps(5);
    if (!later) {
        __m512 even = _mm512_fnmadd_ps(four, d[2], d[4]), odd = _mm512_fnmadd_ps(four, d[1], d[3]);
        r[0] = _mm512_fmadd_ps(four, d[0], _mm512_fnmadd_ps(five, d[2], d[4]));
        r[1] = _mm512_add_ps(even, odd);
        r[2] = _mm512_sub_ps(even, odd);
    } else {
        __m512 even = _mm512_sub_ps(d[4], d[2]), odd = _mm512_sub_ps(d[3], d[1]);
        r[0] = _mm512_fmadd_ps(two, odd, even);
        r[1] = _mm512_fnmadd_ps(two, odd, even);
        r[2] = _mm512_fmadd_ps(four, d[1], _mm512_fnmadd_ps(five, d[3], d[5]));
    }
}

/* The same for dy. */
INLINE void transform_4(const __m512 g[4], int later, __m512 r[3]) {
    const __m512 two = _mm512_set1_ps(2), four = _mm512_set1_ps(4);
    if (!later) {
        __m512 even = _mm512_add_ps(g[0], g[2]), odd = _mm512_add_ps(g[1], g[3]);
        r[0] = g[0];
        r[1] = _mm512_add_ps(even, odd);
        r[2] = _mm512_sub_ps(even, odd);
    } else {
        __m512 even = _mm512_fmadd_ps(four, g[2], g[0]);
        __m512 odd = _mm512_mul_ps(two, _mm512_fmadd_ps(four, g[3], g[1]));
        r[0] = _mm512_add_ps(even, odd);
        r[1] = _mm512_sub_ps(even, odd);
        r[2] = g[3];
    }
}

INLINE void transform(int side, const __m512 *from, int later, __m512 to[3]) {
    if (side == X_SIDE)
        transform_6(from, later, to);
    else
        transform_4(from, later, to);
}

/* side x side pixels of a plane to 6 x 6 values; inside: none of them lies outside of the plane. Half of the rows
 * at a time, so that what lies between the two steps stays in registers. */
INLINE void transform_tile(const float *plane, int h, int w, int row, int column, int side, int inside, float *to,
                           size_t pitch) {
    UNROLL for (int later = 0; later < 2; ++later) {
        __m512 half[3][6];
        UNROLL for (int j = 0; j < side; ++j) {
            __m512 d[6], r[3];
            int in_row = inside || (column + j >= 0 && column + j < w);
            UNROLL for (int i = 0; i < side; ++i) {
                int in = inside || (in_row && row + i >= 0 && row + i < h);
                d[i] = _mm512_loadu_ps(in ? plane + ((ptrdiff_t)(row + i) * w + column + j) * SP_LANES : zeros);
            }
            transform(side, d, later, r);
            UNROLL for (int i = 0; i < 3; ++i) half[i][j] = r[i];
        }
        UNROLL for (int i = 0; i < 3; ++i) {
            float *at = to + (size_t)(18 * later + 6 * i) * pitch;
            UNROLL for (int k = 0; k < 2; ++k) {
                __m512 r[3];
                transform(side, half[i], k, r);
                UNROLL for (int j = 0; j < 3; ++j) _mm512_store_ps(at + (size_t)(3 * k + j) * pitch, r[j]);
            }
        }
    }
}

static void transform_x(const float *plane, int h, int w, int row, int column, float *to, size_t pitch) {
    if (row >= 0 && column >= 0 && row + X_SIDE <= h && column + X_SIDE <= w)
        transform_tile(plane, h, w, row, column, X_SIDE, 1, to, pitch);
    else
        transform_tile(plane, h, w, row, column, X_SIDE, 0, to, pitch);
}

static void transform_dy(const float *plane, int h, int w, int row, int column, float *to, size_t pitch) {
    if (row + DY_SIDE <= h && column + DY_SIDE <= w)
        transform_tile(plane, h, w, row, column, DY_SIDE, 1, to, pitch);
    else
        transform_tile(plane, h, w, row, column, DY_SIDE, 0, to, pitch);
}

/* Lane i of the result: the sum of all lanes of v[i]. */
INLINE __m512 lane_sums(const __m512 v[16]) {
    const __m512i order = _mm512_setr_epi32(0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15);
    __m512 a[8], b[4], c[2];
    UNROLL for (int i = 0; i < 8; ++i) a[i] =
        _mm512_add_ps(_mm512_shuffle_f32x4(v[i], v[i + 8], 0x44), _mm512_shuffle_f32x4(v[i], v[i + 8], 0xee));
    UNROLL for (int i = 0; i < 4; ++i) b[i] =
        _mm512_add_ps(_mm512_shuffle_f32x4(a[i], a[i + 4], 0x88), _mm512_shuffle_f32x4(a[i], a[i + 4], 0xdd));
    UNROLL for (int i = 0; i < 2; ++i) c[i] =
        _mm512_add_ps(_mm512_shuffle_ps(b[i], b[i + 2], 0x44), _mm512_shuffle_ps(b[i], b[i + 2], 0xee));
    __m512 sums = _mm512_add_ps(_mm512_shuffle_ps(c[0], c[1], 0x88), _mm512_shuffle_ps(c[0], c[1], 0xdd));
    return _mm512_permutexvar_ps(order, sums);
}

/* Adds, for each 4 filters and 4 channels, 16 sums of products over `count` tiles and all lanes. */
static void multiply(const float *x, const float *dy, size_t channels, size_t filters, size_t pitch, size_t count,
                     float *sums) {
    for (size_t o = 0; o < filters; o += 4)
        for (size_t c = 0; c < channels; c += 4, sums += 16) {
            const float *px = x + c * pitch, *py = dy + o * pitch;
            __m512 sum[16];
            UNROLL for (int i = 0; i < 16; ++i) sum[i] = _mm512_setzero_ps();
            for (size_t t = 0; t < count; ++t, px += SP_LANES, py += SP_LANES) {
                __m512 a[4], b[4];
                UNROLL for (size_t i = 0; i < 4; ++i) a[i] = _mm512_load_ps(py + i * pitch);
                UNROLL for (size_t i = 0; i < 4; ++i) b[i] = _mm512_load_ps(px + i * pitch);
                UNROLL for (int i = 0; i < 16; ++i) sum[i] = _mm512_fmadd_ps(a[i / 4], b[i % 4], sum[i]);
            }
            _mm512_store_ps(sums, _mm512_add_ps(_mm512_load_ps(sums), lane_sums(sum)));
        }
}

/* 6 values to 3, with the fractions. */
INLINE void back(const __m512 m[6], __m512 r[3]) {
    const __m512 quarter = _mm512_set1_ps(0.25F), sixth = _mm512_set1_ps(1.0F / 6), half = _mm512_set1_ps(0.5F);
    __m512 plus = _mm512_add_ps(m[1], m[2]), minus = _mm512_sub_ps(m[2], m[1]);
    __m512 plus2 = _mm512_mul_ps(quarter, _mm512_add_ps(m[3], m[4])), minus2 = _mm512_sub_ps(m[3], m[4]);
    r[0] = _mm512_fmadd_ps(quarter, m[0], _mm512_mul_ps(sixth, _mm512_sub_ps(plus2, plus)));
    r[1] = _mm512_mul_ps(sixth, _mm512_fmadd_ps(half, minus2, minus));
    r[2] = _mm512_fmadd_ps(sixth, _mm512_fmsub_ps(_mm512_set1_ps(4), plus2, plus), m[5]);
}

static void finish(const float *sums, size_t channels, size_t filters, float *dw) {
    size_t position = filters * channels;
    for (size_t o = 0; o < filters; o += 4)
        for (size_t c = 0; c < channels; c += 4, sums += 16) {
            __m512 half[3][6], r[3];
            float values[9][16];
            UNROLL for (size_t j = 0; j < 6; ++j) {
                __m512 m[6];
                UNROLL for (size_t i = 0; i < 6; ++i) m[i] = _mm512_load_ps(sums + (6 * i + j) * position);
                back(m, r);
                UNROLL for (int i = 0; i < 3; ++i) half[i][j] = r[i];
            }
            UNROLL for (int i = 0; i < 3; ++i) {
                back(half[i], r);
                UNROLL for (int j = 0; j < 3; ++j) _mm512_storeu_ps(values[3 * i + j], r[j]);
            }
            for (size_t k = 0; k < 16; ++k)
                for (size_t i = 0; i < 9; ++i)
                    dw[((o + k / 4) * channels + c + k % 4) * 9 + i] = values[i][k];
        }
}

/* Sums of products over rows x columns pixels and all lanes: of dy[i] with x[k], at 4 * i + k. */
static void correlate(const float *const x[4], const float *const dy[4], int rows, int columns, size_t x_row,
                      size_t dy_row, float sums[SP_LANES]) {
    __m512 sum[16];
    UNROLL for (int i = 0; i < 16; ++i) sum[i] = _mm512_setzero_ps();
    for (int row = 0; row < rows; ++row)
        for (int column = 0; column < columns; ++column) {
            size_t at_x = (size_t)row * x_row + (size_t)column * SP_LANES;
            size_t at_dy = (size_t)row * dy_row + (size_t)column * SP_LANES;
            __m512 a[4], b[4];
            UNROLL for (int i = 0; i < 4; ++i) a[i] = _mm512_loadu_ps(dy[i] + at_dy);
            UNROLL for (int i = 0; i < 4; ++i) b[i] = _mm512_load_ps(x[i] + at_x);
            UNROLL for (int i = 0; i < 16; ++i) sum[i] = _mm512_fmadd_ps(a[i / 4], b[i % 4], sum[i]);
        }
    _mm512_storeu_ps(sums, lane_sums(sum));
}

const sp_grad_loops sp_grad_loops_avx512 = {transform_x, transform_dy, multiply, finish, correlate};
#endif
