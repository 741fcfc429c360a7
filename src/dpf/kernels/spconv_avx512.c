/* SPDX-License-Identifier: MIT
 *
 * spconv for AVX-512: 16 floats a vector, 32 registers. Compiled with the options
 * of that instruction set; nothing here may run before dpf_cpu_isa allowed it.
 */
#if defined(__AVX512F__)
#include "simd_avx512.h"

#define SPK_STORE_LANES(p, bits, v) _mm512_mask_storeu_ps(p, (vec_lanes)(bits), (__m512)(v))
/* a register for each number but 0 */
#define SPK_FOUR(name, p) const __m512 name = _mm512_castps128_ps512(_mm_loadu_ps(p))
#define SPK_SPREAD(name, p, i)                                                                                         \
    ((vec)((i) ? _mm512_permutexvar_ps(_mm512_set1_epi32(i), name)                                                     \
               : _mm512_broadcastss_ps(_mm512_castps512_ps128(name))))
#define SPK_DOWN(a, behind) ((vec)_mm512_alignr_epi32((__m512i)(behind), (__m512i)(a), 1))
#define SPK_TABLE spk_table_avx512
#define SPK_LARGE 1
#include "spconv_kernel.h"
#else
typedef int spk_avx512_not_built; /* another processor family: the table is not referred to */
#endif
