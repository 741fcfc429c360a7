/* SPDX-License-Identifier: MIT
 *
 * depthwise in plain C: GCC vectors of 4 floats, which every processor has or gets
 * emulated. On 64-bit ARM they are NEON registers, 32 of them.
 */
#define DW_V 4
typedef struct dw_lanes {
    int from, to;
} dw_lanes;
#define DW_LANES(first, behind) ((dw_lanes){first, behind})
#define DW_LANE(p, i, lanes) ((i) >= (lanes).from && (i) < (lanes).to ? (p)[i] : 0)
#define DW_LOAD_LANES(p, lanes)                                                                                        \
    ((dw_vec){DW_LANE(p, 0, lanes), DW_LANE(p, 1, lanes), DW_LANE(p, 2, lanes), DW_LANE(p, 3, lanes)})
#define DW_STORE_FEW(p, v, count)                                                                                      \
    for (ptrdiff_t lane = 0; lane < (count); lane++)                                                                   \
    (p)[lane] = (v)[lane]
#define DW_SELECT(mask, yes, no) ((dw_vec)(((mask) & (dw_ivec)(yes)) | (~(mask) & (dw_ivec)(no))))
#define DW_MAX(a, b) DW_SELECT((a) > (b), a, b)
#define DW_MIN(a, b) DW_SELECT((a) < (b), a, b)
#define DW_EVEN(a, b) ((dw_vec){(a)[0], (a)[2], (b)[0], (b)[2]})
#define DW_ODD(a, b) ((dw_vec){(a)[1], (a)[3], (b)[1], (b)[3]})
#define DW_TABLE dw_table_c
#if defined(__aarch64__)
#include <arm_neon.h>
#define DW_FMA(a, b, c) ((dw_vec)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
#else
#define DW_FMA(a, b, c) ((a) * (b) + (c))
#endif
#include "depthwise_body.h"
