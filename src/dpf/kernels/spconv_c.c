/* SPDX-License-Identifier: MIT
 *
 * spconv in plain C: GCC vectors of 4 floats, which every processor has or gets
 * emulated. On 64-bit ARM they are NEON registers, 32 of them.
 */
#define SPK_V 4
typedef struct spk_lanes {
    int from, to;
} spk_lanes;
#define SPK_LANES(from, to) ((spk_lanes){from, to})
#define SPK_LANE(p, i, lanes) ((i) >= (lanes).from && (i) < (lanes).to ? (p)[i] : 0)
#define SPK_LOAD_LANES(p, lanes)                                                                                       \
    ((spk_vec){SPK_LANE(p, 0, lanes), SPK_LANE(p, 1, lanes), SPK_LANE(p, 2, lanes), SPK_LANE(p, 3, lanes)})
#define SPK_MAX(a, b) spk_select((a) > (b), a, b)
#define SPK_MIN(a, b) spk_select((a) < (b), a, b)
#define SPK_EVEN(a, b) ((spk_vec){(a)[0], (a)[2], (b)[0], (b)[2]})
#define SPK_ODD(a, b) ((spk_vec){(a)[1], (a)[3], (b)[1], (b)[3]})
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
