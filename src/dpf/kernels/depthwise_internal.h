/* SPDX-License-Identifier: MIT
 *
 * What depthwise.c and the loops of depthwise_body.h share.
 */
#ifndef DPF_KERNELS_DEPTHWISE_INTERNAL_H
#define DPF_KERNELS_DEPTHWISE_INTERNAL_H

#include <stddef.h>

/* Some rows of one plane of the output, or of several planes, each of its own plane of the input. */
typedef struct dw_job {
    const float *in, *weights, *bias; /* whole planes; size x size taps and a bias each */
    float *out;                       /* whole planes */
    size_t planes, in_area, out_area;
    float slope, cap;        /* act(x) = min(x > 0 ? x : slope * x, cap) */
    ptrdiff_t height, width; /* of the plane that is read */
    ptrdiff_t size, stride, pad, out_w;
    ptrdiff_t first, end; /* rows of the output */
} dw_job;

typedef void (*dw_kernel)(const dw_job *job);

/* The loops of one instruction set. */
typedef struct dw_table {
    size_t vector;            /* floats */
    dw_kernel unrolled[3][2]; /* 3x3, 5x5, 7x7; stride 1, 2 */
    dw_kernel any;
} dw_table;

extern const dw_table dw_table_c;
#if defined(__x86_64__)
extern const dw_table dw_table_avx2;
extern const dw_table dw_table_avx512;
#endif

#endif
