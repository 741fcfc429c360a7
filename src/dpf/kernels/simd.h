/* SPDX-License-Identifier: MIT
 *
 * Vectors of floats, for kernels that are written once and compiled for each instruction
 * set. A source file of one set includes simd_avx512.h, simd_avx2.h or simd_c.h, and with it
 * this file. Those define
 *   VEC_FLOATS        floats of a vector
 *   VEC_FMA(a, b, c)  a * b + c
 *   vec_lanes, VEC_LANES(from, to)  some lanes of a vector, 0 <= from, to <= VEC_FLOATS
 *   VEC_LOAD_LANES(p, lanes)  those of the vector at p, zeros in the others; touches no
 *                     other memory
 *   VEC_STORE_FIRST(p, v, count)  the first `count` lanes, 0 to all of them; touches no other
 *                     memory
 *   VEC_MAX(a, b), VEC_MIN(a, b)  b where one is not a number
 *   VEC_EVEN(a, b), VEC_ODD(a, b)  every second lane of a, then of b
 */
#ifndef DPF_KERNELS_SIMD_H
#define DPF_KERNELS_SIMD_H

#include <stddef.h>
#include <stdint.h>

typedef float vec __attribute__((vector_size(VEC_FLOATS * sizeof(float)), may_alias));
typedef int32_t vec_mask __attribute__((vector_size(VEC_FLOATS * sizeof(float)), may_alias));
/* The same in memory, at any float's address. */
typedef float vec_at __attribute__((vector_size(VEC_FLOATS * sizeof(float)), aligned(4), may_alias));

#define VEC_INLINE static inline __attribute__((always_inline))

VEC_INLINE vec vec_load(const float *p) {
    return *(const vec_at *)p;
}

VEC_INLINE void vec_store(float *p, vec v) {
    *(vec_at *)p = v;
}

VEC_INLINE vec vec_set(float x) {
    return x - (vec){0};
}

VEC_INLINE vec vec_select(vec_mask mask, vec yes, vec no) {
    return (vec)((mask & (vec_mask)yes) | (~mask & (vec_mask)no));
}

#endif
