/* SPDX-License-Identifier: MIT
 *
 * depthwise for AVX-512: 16 floats a vector, 32 registers. Compiled with the options
 * of that instruction set; nothing here may run before dpf_cpu_isa allowed it.
 */
#if defined(__AVX512F__)
#include <immintrin.h>

/* Compilers want the number as a constant, also where they do not unroll the loop around it. */
#define DW_SHIFT_CASE(n)                                                                                               \
    case n:                                                                                                            \
        return _mm512_castsi512_ps(_mm512_alignr_epi32(_mm512_castps_si512(b), _mm512_castps_si512(a), n))
static inline __attribute__((always_inline)) __m512 dw_shift(__m512 a, __m512 b, int n) {
    switch (n) {
        DW_SHIFT_CASE(1);
        DW_SHIFT_CASE(2);
        DW_SHIFT_CASE(3);
        DW_SHIFT_CASE(4);
        DW_SHIFT_CASE(5);
        DW_SHIFT_CASE(6);
    default:
        return a;
    }
}

#define DW_V 16
#define DW_FMA(a, b, c) ((dw_vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
typedef __mmask16 dw_lanes;
#define DW_LANES(from, to) ((dw_lanes)((0xffffu >> (16 - (to))) & (0xffffu << (from))))
#define DW_LOAD_LANES(p, lanes) ((dw_vec)_mm512_maskz_loadu_ps(lanes, p))
#define DW_STORE_FEW(p, v, count) _mm512_mask_storeu_ps(p, DW_LANES(0, (int)(count)), (__m512)(v))
#define DW_MAX(a, b) ((dw_vec)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define DW_MIN(a, b) ((dw_vec)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define DW_EVEN(a, b)                                                                                                  \
    ((dw_vec)_mm512_permutex2var_ps(                                                                                   \
        (__m512)(a), _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), (__m512)(b)))
#define DW_ODD(a, b)                                                                                                   \
    ((dw_vec)_mm512_permutex2var_ps(                                                                                   \
        (__m512)(a), _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), (__m512)(b)))
#define DW_SHIFT(a, b, n) ((dw_vec)dw_shift((__m512)(a), (__m512)(b), n))
/* narrow, so that it seldom crosses a cache line */
#define DW_LOAD_REST(p, n, lanes)                                                                                      \
    ((n) <= 4 ? (dw_vec)_mm512_castps128_ps512(_mm_maskz_loadu_ps((__mmask8)(lanes), p))                               \
              : (dw_vec)_mm512_castps256_ps512(_mm256_maskz_loadu_ps((__mmask8)(lanes), p)))
#define DW_TABLE dw_table_avx512
#include "depthwise_body.h"
#else
typedef int dw_avx512_not_built; /* another processor family: the table is not referred to */
#endif
