/* SPDX-License-Identifier: MIT
 *
 * simd.h in plain C: GCC vectors of 4 floats, which every processor has or gets emulated.
 * On 64-bit ARM they are NEON registers, 32 of them.
 */
#ifndef DPF_KERNELS_SIMD_C_H
#define DPF_KERNELS_SIMD_C_H

#define VEC_FLOATS 4
typedef struct vec_lanes {
    int from, to;
} vec_lanes;
#define VEC_LANES(first, behind) ((vec_lanes){first, behind})
#define VEC_LANE(p, i, lanes) ((i) >= (lanes).from && (i) < (lanes).to ? (p)[i] : 0)
#define VEC_LOAD_LANES(p, lanes)                                                                                       \
    ((vec){VEC_LANE(p, 0, lanes), VEC_LANE(p, 1, lanes), VEC_LANE(p, 2, lanes), VEC_LANE(p, 3, lanes)})
#define VEC_STORE_FIRST(p, v, count)                                                                                   \
    for (ptrdiff_t lane = 0; lane < (count); lane++)                                                                   \
    (p)[lane] = (v)[lane]
#define VEC_MAX(a, b) vec_select((a) > (b), a, b)
#define VEC_MIN(a, b) vec_select((a) < (b), a, b)
#define VEC_EVEN(a, b) ((vec){(a)[0], (a)[2], (b)[0], (b)[2]})
#define VEC_ODD(a, b) ((vec){(a)[1], (a)[3], (b)[1], (b)[3]})
#if defined(__aarch64__)
#include <arm_neon.h>
#define VEC_FMA(a, b, c) ((vec)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
#else
#define VEC_FMA(a, b, c) ((a) * (b) + (c))
#endif

#include "simd.h"

#endif
