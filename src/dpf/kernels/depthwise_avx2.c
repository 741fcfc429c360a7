/* SPDX-License-Identifier: MIT
 *
 * depthwise for AVX2 and FMA: 8 floats a vector, 16 registers. Compiled with the
 * options of that instruction set; nothing here may run before dpf_cpu_isa allowed it.
 */
#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

#define DW_V 8
#define DW_FMA(a, b, c) ((dw_vec)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
typedef __m256i dw_lanes;
/* from <= i < to, by the sign of (from - 1 - i) & (i - to) */
#define DW_LANE _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)
#define DW_LANES(from, to)                                                                                             \
    _mm256_and_si256(_mm256_sub_epi32(_mm256_set1_epi32((from)-1), DW_LANE),                                           \
                     _mm256_sub_epi32(DW_LANE, _mm256_set1_epi32(to)))
#define DW_LOAD_LANES(p, lanes) ((dw_vec)_mm256_maskload_ps(p, lanes))
#define DW_STORE_FEW(p, v, count) _mm256_maskstore_ps(p, DW_LANES(0, (int)(count)), (__m256)(v))
#define DW_MAX(a, b) ((dw_vec)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define DW_MIN(a, b) ((dw_vec)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define DW_EVEN(a, b)                                                                                                  \
    ((dw_vec)_mm256_castpd_ps(                                                                                         \
        _mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps((__m256)(a), (__m256)(b), 0x88)), 0xd8)))
#define DW_ODD(a, b)                                                                                                   \
    ((dw_vec)_mm256_castpd_ps(                                                                                         \
        _mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps((__m256)(a), (__m256)(b), 0xdd)), 0xd8)))
#define DW_TABLE dw_table_avx2
#include "depthwise_body.h"
#else
typedef int dw_avx2_not_built; /* another processor family: the table is not referred to */
#endif
