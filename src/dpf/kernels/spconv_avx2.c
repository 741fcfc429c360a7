/* SPDX-License-Identifier: MIT
 *
 * spconv for AVX2 and FMA: 8 floats a vector, 16 registers. Compiled with the
 * options of that instruction set; nothing here may run before dpf_cpu_isa allowed it.
 */
#if defined(__AVX2__) && defined(__FMA__)
#include "simd_avx2.h"

#define SPK_TABLE spk_table_avx2
#define SPK_LARGE 0
#include "spconv_kernel.h"
#else
typedef int spk_avx2_not_built; /* another processor family: the table is not referred to */
#endif
