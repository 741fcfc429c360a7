/* SPDX-License-Identifier: MIT
 *
 * spconv for AVX-512: 16 floats a vector, 32 registers. Compiled with the options
 * of that instruction set; nothing here may run before dpf_cpu_isa allowed it.
 */
#if defined(__AVX512F__)
#include <immintrin.h>

#define SPK_V 16
#define SPK_FMA(a, b, c) ((spk_vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
typedef __mmask16 spk_lanes;
#define SPK_LANES(from, to) ((spk_lanes)((0xffffu >> (16 - (to))) & (0xffffu << (from))))
#define SPK_LOAD_LANES(p, lanes) ((spk_vec)_mm512_maskz_loadu_ps(lanes, p))
#define SPK_STORE_LANES(p, bits, v) _mm512_mask_storeu_ps(p, (spk_lanes)(bits), (__m512)(v))
#define SPK_MAX(a, b) ((spk_vec)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define SPK_MIN(a, b) ((spk_vec)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define SPK_EVEN(a, b)                                                                                                 \
    ((spk_vec)_mm512_permutex2var_ps(                                                                                  \
        (__m512)(a), _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30), (__m512)(b)))
#define SPK_ODD(a, b)                                                                                                  \
    ((spk_vec)_mm512_permutex2var_ps(                                                                                  \
        (__m512)(a), _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31), (__m512)(b)))
/* a register for each number but 0 */
#define SPK_FOUR(name, p) const __m512 name = _mm512_castps128_ps512(_mm_loadu_ps(p))
#define SPK_SPREAD(name, p, i)                                                                                         \
    ((spk_vec)((i) ? _mm512_permutexvar_ps(_mm512_set1_epi32(i), name)                                                 \
                   : _mm512_broadcastss_ps(_mm512_castps512_ps128(name))))
#define SPK_UP(a, before) ((spk_vec)_mm512_alignr_epi32((__m512i)(a), (__m512i)(before), 15))
#define SPK_DOWN_BY(name, count)                                                                                       \
    const __m512i name = _mm512_add_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),     \
                                          _mm512_set1_epi32(count))
#define SPK_DOWN(a, behind, name) ((spk_vec)_mm512_permutex2var_ps((__m512)(a), name, (__m512)(behind)))
#define SPK_TABLE spk_table_avx512
#define SPK_LARGE 1
#include "spconv_kernel.h"
#else
typedef int spk_avx512_not_built; /* another processor family: the table is not referred to */
#endif
