/* SPDX-License-Identifier: MIT
 *
 * See dense_few.h. Compiled with the options of AVX-512; nothing here may run before
 * dpf_cpu_isa allowed it.
 */
#include "dense_few.h"

#if defined(__AVX512F__)
#include <immintrin.h>

typedef __m512 tile[FEW_ROWS][FEW_COLUMNS];

/* The products of one channel. All loops are unrolled, so that the tile is 16 registers. */
static inline __attribute__((always_inline)) void add_channel(tile sum, const float *in, size_t pitch, const float *w) {
    __m512 taps[FEW_TAPS];
#pragma GCC unroll 9
    for (int t = 0; t < FEW_TAPS; ++t)
        taps[t] = _mm512_loadu_ps(w + t * FEW_LANES);
#pragma GCC unroll 4
    for (int y = 0; y < FEW_ROWS + 2; ++y)
#pragma GCC unroll 10
        for (int x = 0; x < FEW_COLUMNS + 2; ++x) {
            const __m512 pixel = _mm512_set1_ps(in[(size_t)y * pitch + (size_t)x]);
#pragma GCC unroll 9
            for (int t = 0; t < FEW_TAPS; ++t) {
                const int row = y - t / 3, column = x - t % 3;
                if (row >= 0 && row < FEW_ROWS && column >= 0 && column < FEW_COLUMNS)
                    sum[row][column] = _mm512_fmadd_ps(pixel, taps[t], sum[row][column]);
            }
        }
}

static inline __m512 activate(__m512 x, __m512 slope) {
    return _mm512_max_ps(x, _mm512_mul_ps(x, slope));
}

/* `columns` of the tile count, 1 to FEW_COLUMNS. */
static inline __attribute__((always_inline)) void store(const few_job *j, tile sum, float *out, size_t columns) {
    const __m512 slope = _mm512_set1_ps(j->slope);
#pragma GCC unroll 8
    for (size_t x = 0; x < FEW_COLUMNS; ++x) {
        if (x >= columns)
            break;
        if (!j->pool) {
            _mm512_storeu_ps(out + x * FEW_LANES, activate(sum[0][x], slope));
            if (j->rows > 1)
                _mm512_storeu_ps(out + j->out_row + x * FEW_LANES, activate(sum[1][x], slope));
        } else if (x % 2 == 0) {
            const __m512 upper = _mm512_max_ps(sum[0][x], sum[0][x + 1]),
                         lower = _mm512_max_ps(sum[1][x], sum[1][x + 1]);
            _mm512_storeu_ps(out + x / 2 * FEW_LANES, activate(_mm512_max_ps(upper, lower), slope));
        }
    }
}

void dense_few_rows_avx512(const few_job *j) {
    const size_t each = j->channels * FEW_TAPS * FEW_LANES;
    for (size_t b = 0; b < j->blocks; ++b)
        for (size_t x = 0; x < j->width; x += FEW_COLUMNS) {
            tile sum;
#pragma GCC unroll 16
            for (int k = 0; k < FEW_ROWS * FEW_COLUMNS; ++k)
                sum[k / FEW_COLUMNS][k % FEW_COLUMNS] = _mm512_loadu_ps(j->bias + b * FEW_LANES);
            for (size_t c = 0; c < j->channels; ++c)
                add_channel(sum, j->in + c * (FEW_ROWS + 2) * j->pitch + x, j->pitch,
                            j->weights + b * each + c * FEW_TAPS * FEW_LANES);
            const size_t left = j->width - x;
            store(j, sum, j->out + b * j->out_block + (j->pool ? x / 2 : x) * FEW_LANES,
                  left < FEW_COLUMNS ? left : FEW_COLUMNS);
        }
}
#else
typedef int dense_few_not_built; /* another processor family: the function is not referred to */
#endif
