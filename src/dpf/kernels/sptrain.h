/* SPDX-License-Identifier: MIT
 *
 * Convolution with unstructured sparse weights for training: forward and the gradient of
 * the input, on the tensors of conv.h, plain or in blocks of 16 channels. The gradient of
 * the weights is dense (feedback needs all of it); it is computed here for tensors that lie
 * as these kernels want them, in lanes of pictures:
 *     batch/16 x maps x h x w x 16 pictures
 * Neighbouring layers that are sparse keep theirs so, and transpose nothing.
 *
 * How it works: 16 lanes of a vector are 16 different pictures, or strips of pictures
 * where a mini-batch is small. So every tap of the window is an aligned vector at a
 * constant distance, and the nonzeros of one filter stream by while a tile of the output
 * stays in registers. A unit of pictures is brought to this layout and back band by band
 * of rows, by transposing 16x16 floats, while it lies in cache.
 *
 * The gradient of the input is the same product with the filters' taps mirrored and
 * filters and channels swapped. A stride divides the input of the forward pass, and the
 * output of the backward one, into planes of their own.
 *
 * What must stay true: a result depends on shape, weights and mask only, never on
 * threads, timing, or what scratch held before. A pruned weight's products are left out.
 */
#ifndef DPF_KERNELS_SPTRAIN_H
#define DPF_KERNELS_SPTRAIN_H

#include <stddef.h>
#include <stdint.h>

#include "../core/error.h"
#include "conv.h"

typedef struct sptrain sptrain;

/* A sum of these says which passes are meant; backward: the gradient of the input. */
enum { SPTRAIN_FORWARD = 1, SPTRAIN_BACKWARD = 2 };

/* How many pictures the kernels take at a time: 1, 2, 4, 8 or 16; it divides the batch, and
 * it and `chunk` (dpf_conv_chunk; 0: none) are multiples of one another. 0: the kernels
 * cannot do this shape, or not on this CPU, or would leave threads idle. */
int sptrain_unit(const dpf_conv_shape *shape, int chunk, int threads);

/* unit: from sptrain_unit; blocks: as for dpf_conv_new_blocked. On failure *out is NULL.
 * There is no mask yet: call sptrain_set_mask before anything else. */
dpf_status sptrain_new(sptrain **out, const dpf_conv_shape *shape, int blocks, int unit, int threads, dpf_error *err);
void sptrain_free(sptrain *sp); /* NULL is allowed */

/* The passes that are faster with this mask than by a dense convolution, by a cost model of
 * shape and mask. mask: as dpf_pruner_mask, bit j keeps weight j. */
int sptrain_choose(const sptrain *sp, const uint64_t *mask);

/* The pattern of nonzeros, for these passes; values have to follow. */
dpf_status sptrain_set_mask(sptrain *sp, const uint64_t *mask, int passes, dpf_error *err);

/* The values: w[j] where the mask keeps weight j. */
void sptrain_set_values(sptrain *sp, const float *w);

/* Floats of scratch that each thread needs, for both passes; to be aligned to 64 bytes. */
size_t sptrain_scratch(const sptrain *sp);

/* y = conv(x, w~) over the batch, on all threads. scratch: for each thread. `after` sees each
 * unit of y (NULL: nothing does). */
void sptrain_forward(const sptrain *sp, const float *x, float *y, float *scratch, const dpf_chunk_hook *after);

/* dx = or += gradient of the input, of `count` pictures (a multiple of the unit) that start
 * at dy and dx; on the calling thread, with scratch of its own. */
void sptrain_backward(const sptrain *sp, int count, const float *dy, float *dx, int set_dx, float *scratch);

/* 1: tensors may be in lanes of pictures, and sptrain_gradients works: a unit is 16 pictures. */
int sptrain_can_lanes(const sptrain *sp);

/* Which of x (with dx) and y (with dy) are in lanes of pictures from now on, a sum of DPF_BLOCK_X and
 * DPF_BLOCK_Y; the others are as sptrain_new was told. */
void sptrain_set_lanes(sptrain *sp, int lanes);

/* Whether this layer had better use lanes: cycles of an iteration, by the cost model, with x and y in
 * these lanes; 0: without sptrain_gradients, each pass by the faster way. mask: NULL is dense. */
double sptrain_cycles(const sptrain *sp, const uint64_t *mask, int lanes, int with_dx);

/* The whole backward pass, on all threads: dx with the values set last, and dw. As for
 * dpf_conv_backward_hooked; w and input are not looked at, `before` makes units. */
void sptrain_gradients(const sptrain *sp, const dpf_conv_gradients *gradients, float *scratch);

#endif
