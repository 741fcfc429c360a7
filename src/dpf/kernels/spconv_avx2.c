/* SPDX-License-Identifier: MIT
 *
 * spconv for AVX2 and FMA: 8 floats a vector, 16 registers. Compiled with the
 * options of that instruction set; nothing here may run before dpf_cpu_isa allowed it.
 */
#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>

#define SPK_V 8
#define SPK_FMA(a, b, c) ((spk_vec)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
typedef __m256i spk_lanes;
/* from <= i < to, by the sign of (from - 1 - i) & (i - to) */
#define SPK_LANE _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)
#define SPK_LANES(from, to)                                                                                            \
    _mm256_and_si256(_mm256_sub_epi32(_mm256_set1_epi32((from)-1), SPK_LANE),                                          \
                     _mm256_sub_epi32(SPK_LANE, _mm256_set1_epi32(to)))
#define SPK_LOAD_LANES(p, lanes) ((spk_vec)_mm256_maskload_ps(p, lanes))
#define SPK_MAX(a, b) ((spk_vec)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define SPK_MIN(a, b) ((spk_vec)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define SPK_EVEN(a, b)                                                                                                 \
    ((spk_vec)_mm256_castpd_ps(                                                                                        \
        _mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps((__m256)(a), (__m256)(b), 0x88)), 0xd8)))
#define SPK_ODD(a, b)                                                                                                  \
    ((spk_vec)_mm256_castpd_ps(                                                                                        \
        _mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps((__m256)(a), (__m256)(b), 0xdd)), 0xd8)))
#define SPK_TABLE spk_table_avx2
#define SPK_LARGE 0
#include "spconv_kernel.h"
#else
typedef int spk_avx2_not_built; /* another processor family: the table is not referred to */
#endif
