/* SPDX-License-Identifier: MIT
 *
 * simd.h for AVX-512: 16 floats a vector, 32 registers.
 */
#ifndef DPF_KERNELS_SIMD_AVX512_H
#define DPF_KERNELS_SIMD_AVX512_H

#include <immintrin.h>

#define VEC_FLOATS 16
typedef __mmask16 vec_lanes;
#define VEC_FMA(a, b, c) ((vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define VEC_LANES(from, to) ((vec_lanes)((0xffffu >> (16 - (to))) & (0xffffu << (from))))
#define VEC_LOAD_LANES(p, lanes) ((vec)_mm512_maskz_loadu_ps(lanes, p))
#define VEC_STORE_FIRST(p, v, count) _mm512_mask_storeu_ps(p, VEC_LANES(0, (int)(count)), (__m512)(v))
#define VEC_MAX(a, b) ((vec)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define VEC_MIN(a, b) ((vec)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define VEC_EVEN(a, b)                                                                                                 \
    ((vec)_mm512_permutex2var_ps(                                                                                      \
        (__m512)(a), _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), (__m512)(b)))
#define VEC_ODD(a, b)                                                                                                  \
    ((vec)_mm512_permutex2var_ps(                                                                                      \
        (__m512)(a), _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), (__m512)(b)))

#include "simd.h"

#endif
