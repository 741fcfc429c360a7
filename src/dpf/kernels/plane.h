/* SPDX-License-Identifier: MIT
 *
 * Inner loops over one contiguous run of floats (one channel of one picture, mostly).
 * One body (plane_body.h) is compiled for each instruction set; plane_ops() is the
 * table for this CPU. Sums are taken in 16 interleaved partial sums whatever the
 * instruction set, so that results differ between CPUs only by fused multiply-adds.
 *
 * The block_ functions work on n pixels of a block of PLANE_LANES channels, pixel by
 * pixel (the layout nChw16c of oneDNN): coefficients and sums are PLANE_LANES floats,
 * one a channel. Their activation is one of plane_block_knows().
 */
#ifndef DPF_KERNELS_PLANE_H
#define DPF_KERNELS_PLANE_H

#include <stddef.h>

#include "activation.h"

enum { PLANE_LANES = 16 };

/* Can the block_ functions apply f and its derivative? Others go through affine and gradient. */
static inline int plane_block_knows(dpf_activation f) {
    return f == DPF_LINEAR_ACT || f == DPF_RELU || f == DPF_LEAKY;
}

typedef struct plane_ops {
    const char *isa;
    /* Sum of x; sum of (x - mean)^2. */
    float (*sum)(const float *x, size_t n);
    float (*squares)(const float *x, size_t n, float mean);
    /* y = f(a * x + b); x may be y. */
    void (*affine)(const float *x, float *y, size_t n, float a, float b, dpf_activation f);
    /* d *= f'(y), then sums[0] = sum of d, sums[1] = sum of d * (x - mean); x NULL: only the first. */
    void (*gradient)(float *d, const float *y, const float *x, size_t n, float mean, dpf_activation f, float sums[2]);
    /* d = a * d + b * (x - mean) + c */
    void (*normalise_gradient)(float *d, const float *x, size_t n, float mean, float a, float b, float c);
    /* y = f(s * x + t * z) ; y += s * x */
    void (*add)(const float *x, const float *z, float *y, size_t n, float s, float t, dpf_activation f);
    void (*accumulate)(const float *x, float *y, size_t n, float s);
    /* Sum of x * y. */
    float (*dot)(const float *x, const float *y, size_t n);
    /* y = max(x, y); y[i] = max(x[2 i], x[2 i + 1]). */
    void (*max)(const float *x, float *y, size_t n);
    void (*max_pairs)(const float *x, float *y, size_t n);
    /* Sum of x; sum of squared distances from the run's own mean. */
    void (*block_statistics)(const float *x, size_t n, float *sum, float *squares);
    /* y = f(a * x + b); x may be y. */
    void (*block_affine)(const float *x, float *y, size_t n, const float *a, const float *b, dpf_activation f);
    /* y = f(a * x + b + z). */
    void (*block_affine_add)(const float *x, const float *z, float *y, size_t n, const float *a, const float *b,
                             dpf_activation f);
    /* With g = d * f'(y): s0 = sum of g; s1 = sum of g * (x - mean); x NULL: only s0. */
    void (*block_gradient)(const float *d, const float *y, const float *x, size_t n, const float *mean,
                           dpf_activation f, float *s0, float *s1);
    /* The same with x, and g = d * f'(y) is stored (it may be d); more += g, unless it is NULL. */
    void (*block_gradient_to)(const float *d, const float *y, const float *x, float *g, float *more, size_t n,
                              const float *mean, dpf_activation f, float *s0, float *s1);
    /* out = a * d * f'(y) + b * x + c; x NULL: out = d * f'(y). */
    void (*block_normalise_gradient)(const float *d, const float *y, const float *x, float *out, size_t n,
                                     const float *a, const float *b, const float *c, dpf_activation f);
    /* One row of max-pooling: out_w windows of size x size pixels, the first at (x0, y0) of the
     * plane of h x w pixels, each `stride` to the right of the one before; what lies outside
     * does not count. where: the pixel that the maximum was found at, -1 for none. */
    void (*block_max)(const float *in, int h, int w, int x0, int y0, int size, int stride, int out_w, float *out,
                      int *where);
    /* The same without the places, for windows over the pixels [y_first, y_last) of `in`, which has rows of w pixels;
     * the first window begins at pixel x0. */
    void (*block_pool)(const float *in, int w, int y_first, int y_last, int x0, int size, int stride, int out_w,
                       float *out);
} plane_ops;

const plane_ops *dpf_plane_ops(void);

extern const plane_ops dpf_plane_ops_c;
#if defined(__x86_64__)
extern const plane_ops dpf_plane_ops_avx2;
extern const plane_ops dpf_plane_ops_avx512;
#endif

#endif
