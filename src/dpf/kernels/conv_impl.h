/* SPDX-License-Identifier: MIT
 *
 * What a back end of conv.h provides; private to this folder.
 */
#ifndef DPF_KERNELS_CONV_IMPL_H
#define DPF_KERNELS_CONV_IMPL_H

#include "conv.h"

typedef struct conv_backend {
    const char *name;
    /* blocks: as for dpf_conv_new_blocked */
    dpf_status (*create)(void **state, const dpf_conv_shape *shape, int blocks, int threads, dpf_error *err);
    void (*destroy)(void *state);
    int (*chunk)(const void *state); /* see dpf_conv_chunk; NULL: 0 */
    /* after: NULL, or the hook of a convolution whose y is blocked. */
    void (*forward)(void *state, const float *x, const float *w, float *y, const dpf_chunk_hook *after);
    void (*backward)(void *state, const dpf_conv_gradients *gradients);
} conv_backend;

extern const conv_backend dpf_conv_blas;
#ifndef DPF_NO_DNNL
extern const conv_backend dpf_conv_dnnl;
#endif

/* 64-byte aligned floats, NULL when out of memory; for free(). */
float *dpf_aligned_floats(size_t count);

/* dst[i] += sum over t < parts of src[t * stride + i], in ascending t: the one order
 * of summation, so that results repeat. */
void dpf_sum_parts(float *dst, const float *src, size_t count, size_t stride, int parts, int threads);

#endif
