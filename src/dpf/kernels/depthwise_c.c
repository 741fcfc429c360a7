/* SPDX-License-Identifier: MIT
 *
 * depthwise in plain C: GCC vectors of 4 floats, which every processor has or gets
 * emulated. On 64-bit ARM they are NEON registers, 32 of them.
 */
#include "simd_c.h"

#define DW_TABLE dw_table_c
#include "depthwise_body.h"
