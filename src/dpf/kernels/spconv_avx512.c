/* SPDX-License-Identifier: MIT
 *
 * spconv for AVX-512: 16 floats a vector, 32 registers. Compiled with the options
 * of that instruction set; nothing here may run before dpf_cpu_isa allowed it.
 */
#if defined(__AVX512F__)
#include <immintrin.h>

#define SPK_V 16
#define SPK_FMA(a, b, c) ((spk_vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define SPK_TABLE spk_table_avx512
#define SPK_LARGE 1
#include "spconv_kernel.h"
#else
typedef int spk_avx512_not_built; /* another processor family: the table is not referred to */
#endif
