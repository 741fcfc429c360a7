/* SPDX-License-Identifier: MIT
 *
 * A convolution for inference as its kernels see it: a checked shape in size_t and
 * the activation. Private to this folder.
 */
#ifndef DPF_KERNELS_INFER_DESC_H
#define DPF_KERNELS_INFER_DESC_H

#include <stddef.h>

#include "activation.h"
#include "conv.h"

typedef struct infer_desc {
    size_t batch, channels, height, width, filters, size, stride, pad, groups;
    size_t out_h, out_w;
    size_t in_pitch, out_pitch; /* floats from channel to channel; made as height * width of each: no gaps */
    size_t weights;             /* floats: filters * channels/groups * size * size */
    dpf_activation act;
} infer_desc;

/* Fails with DPF_ERR_RANGE when a number is below its least, groups do not divide,
 * the window does not fit, or a size is beyond what 32-bit distances reach; with
 * DPF_ERR_UNSUPPORTED for an activation that looks at more than one value. */
dpf_status infer_desc_make(infer_desc *desc, const dpf_conv_shape *shape, dpf_activation act, dpf_error *err);

/* An activation as a kernel's store does it: post(min(max(x, slope * x), cap)). post is DPF_LINEAR_ACT where two
 * straight lines are all of it, and is applied to what has been stored otherwise. */
typedef struct infer_lines {
    float slope, cap;
    dpf_activation post;
} infer_lines;

infer_lines infer_lines_of(dpf_activation act);

#endif
