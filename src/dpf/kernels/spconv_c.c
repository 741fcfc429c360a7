/* SPDX-License-Identifier: MIT
 *
 * spconv in plain C: GCC vectors of 4 floats, which every processor has or gets
 * emulated. On 64-bit ARM they are NEON registers, 32 of them.
 */
#define SPK_V 4
#define SPK_TABLE spk_table_c
#if defined(__aarch64__)
#include <arm_neon.h>
#define SPK_FMA(a, b, c) ((spk_vec)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
#define SPK_LARGE 1
#else
#define SPK_FMA(a, b, c) ((a) * (b) + (c))
#define SPK_LARGE 0
#endif
#include "spconv_kernel.h"
