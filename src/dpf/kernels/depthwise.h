/* SPDX-License-Identifier: MIT
 *
 * Depthwise convolution for inference: as many groups as channels, so that each filter
 * reads one channel, and `filters / channels` filters read the same one.
 *
 *   depthwise_new   checks the shape, copies the weights
 *   depthwise_run   computes; allocates nothing, writes nothing but output
 *   depthwise_free
 *
 * How it works: plain planes in and out, no copy in between. A strip of the output, one
 * vector of columns wide, is computed from top to bottom: each row of the input is loaded
 * once for each column of the window, and added to all rows of the output that it reaches,
 * whose sums and weights stay in registers. Columns in the padding are lanes that are not
 * loaded. Windows of 3x3, 5x5 and 7x7 with stride 1 and 2 have loops of their own; others
 * go through one that computes a vector of outputs at a time.
 *
 * A depthwise is read-only once made, so any number of threads may run it at once.
 */
#ifndef DPF_KERNELS_DEPTHWISE_H
#define DPF_KERNELS_DEPTHWISE_H

#include <stddef.h>

#include "../core/error.h"
#include "activation.h"
#include "conv.h"
#include "cpu.h"

typedef struct depthwise depthwise;

typedef struct depthwise_options {
    int threads; /* that a run will use; 0 = 1 */
    int isa_set; /* 1: use `isa` below instead of dpf_cpu_isa(); it must be available */
    dpf_isa isa;
    size_t rows; /* of the output, that are computed at a time; 0 = chosen; for tests */
} depthwise_options;

typedef struct depthwise_info {
    dpf_isa isa;
    size_t bytes;           /* memory of weights and biases */
    int unrolled;           /* 1: this size and stride have a loop of their own */
    double cycles_modelled; /* cost model, processor cycles of a run on one thread */
} depthwise_info;

/* weights: filters x size x size; bias: one a filter, or NULL for zeros; both are copied.
 * options may be NULL. Fails with DPF_ERR_UNSUPPORTED where groups are not as many as
 * channels. On failure *out is NULL. */
dpf_status depthwise_new(depthwise **out, const dpf_conv_shape *shape, dpf_activation act, const float *weights,
                         const float *bias, const depthwise_options *options, dpf_error *err);
void depthwise_free(depthwise *conv); /* NULL is allowed */

/* input: batch x channels x height x width, output: batch x filters x out x out, not the
 * same memory. The result depends neither on `threads` nor on `rows`. Of each output the
 * products are added in the order of the window to the bias, so that with fused
 * multiply-adds the error is at most that of size * size + 1 roundings. */
void depthwise_run(const depthwise *conv, const float *input, float *output);

void depthwise_get_info(const depthwise *conv, depthwise_info *out);

#endif
