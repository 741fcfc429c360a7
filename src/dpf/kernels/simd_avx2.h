/* SPDX-License-Identifier: MIT
 *
 * simd.h for AVX2 and FMA: 8 floats a vector, 16 registers.
 */
#ifndef DPF_KERNELS_SIMD_AVX2_H
#define DPF_KERNELS_SIMD_AVX2_H

#include <immintrin.h>

#define VEC_FLOATS 8
typedef __m256i vec_lanes;
#define VEC_FMA(a, b, c) ((vec)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
/* from <= i < to, by the sign of (from - 1 - i) & (i - to) */
#define VEC_NUMBERS _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)
#define VEC_LANES(from, to)                                                                                            \
    _mm256_and_si256(_mm256_sub_epi32(_mm256_set1_epi32((from)-1), VEC_NUMBERS),                                       \
                     _mm256_sub_epi32(VEC_NUMBERS, _mm256_set1_epi32(to)))
#define VEC_LOAD_LANES(p, lanes) ((vec)_mm256_maskload_ps(p, lanes))
#define VEC_STORE_FIRST(p, v, count) _mm256_maskstore_ps(p, VEC_LANES(0, (int)(count)), (__m256)(v))
#define VEC_MAX(a, b) ((vec)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define VEC_MIN(a, b) ((vec)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define VEC_EVEN(a, b)                                                                                                 \
    ((vec)_mm256_castpd_ps(                                                                                            \
        _mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps((__m256)(a), (__m256)(b), 0x88)), 0xd8)))
#define VEC_ODD(a, b)                                                                                                  \
    ((vec)_mm256_castpd_ps(                                                                                            \
        _mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps((__m256)(a), (__m256)(b), 0xdd)), 0xd8)))

#include "simd.h"

#endif
