/* SPDX-License-Identifier: MIT
 *
 * depthwise for AVX2 and FMA: 8 floats a vector, 16 registers. Compiled with the
 * options of that instruction set; nothing here may run before dpf_cpu_isa allowed it.
 */
#if defined(__AVX2__) && defined(__FMA__)
#include "simd_avx2.h"

#define DW_TABLE dw_table_avx2
#include "depthwise_body.h"
#else
typedef int dw_avx2_not_built; /* another processor family: the table is not referred to */
#endif
