/* SPDX-License-Identifier: MIT
 *
 * How conv_dnnl.c cuts up a convolution: pictures a chunk, threads, and whether by
 * Winograd's algorithm. Depends on the shape and the number of threads alone and measures
 * nothing, because the choice shows in the last bits of the results, which must repeat.
 */
#ifndef DPF_KERNELS_CONV_PLAN_H
#define DPF_KERNELS_CONV_PLAN_H

#include "conv.h"

typedef struct conv_plan {
    int chunk;    /* pictures a chunk; divides the batch */
    int workers;  /* our threads, each with chunks of its own */
    int inner;    /* threads inside a primitive */
    int winograd; /* 1: F(4x4, 3x3) for all three passes */
} conv_plan;

/* allow_winograd 0: as if no shape suited it. */
conv_plan dpf_conv_plan(const dpf_conv_shape *s, int threads, int allow_winograd);

#endif
