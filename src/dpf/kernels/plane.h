/* SPDX-License-Identifier: MIT
 *
 * Inner loops over one contiguous run of floats (one channel of one picture, mostly).
 * One body (plane_body.h) is compiled for each instruction set; plane_ops() is the
 * table for this CPU. Sums are taken in 16 interleaved partial sums whatever the
 * instruction set, so that results differ between CPUs only by fused multiply-adds.
 */
#ifndef DPF_KERNELS_PLANE_H
#define DPF_KERNELS_PLANE_H

#include <stddef.h>

#include "activation.h"

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
} plane_ops;

const plane_ops *dpf_plane_ops(void);

extern const plane_ops dpf_plane_ops_c;
#if defined(__x86_64__)
extern const plane_ops dpf_plane_ops_avx2;
extern const plane_ops dpf_plane_ops_avx512;
#endif

#endif
