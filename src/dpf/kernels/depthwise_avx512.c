/* SPDX-License-Identifier: MIT
 *
 * depthwise for AVX-512: 16 floats a vector, 32 registers. Compiled with the options
 * of that instruction set; nothing here may run before dpf_cpu_isa allowed it.
 */
#if defined(__AVX512F__)
#include "simd_avx512.h"

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

#define DW_SHIFT(a, b, n) ((vec)dw_shift((__m512)(a), (__m512)(b), n))
/* narrow, so that it seldom crosses a cache line */
#define DW_LOAD_REST(p, n, lanes)                                                                                      \
    ((n) <= 4 ? (vec)_mm512_castps128_ps512(_mm_maskz_loadu_ps((__mmask8)(lanes), p))                                  \
              : (vec)_mm512_castps256_ps512(_mm256_maskz_loadu_ps((__mmask8)(lanes), p)))
#define DW_TABLE dw_table_avx512
#include "depthwise_body.h"
#else
typedef int dw_avx512_not_built; /* another processor family: the table is not referred to */
#endif
