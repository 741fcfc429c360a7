/* SPDX-License-Identifier: MIT
 *
 * spconv in plain C: GCC vectors of 4 floats, which every processor has or gets
 * emulated. On 64-bit ARM they are NEON registers, 32 of them.
 */
#include "simd_c.h"

#define SPK_TABLE spk_table_c
#if defined(__aarch64__)
#define SPK_LARGE 1
#else
#define SPK_LARGE 0
#endif
#include "spconv_kernel.h"
