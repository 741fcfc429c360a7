/* SPDX-License-Identifier: MIT
 *
 * batchnorm.h for tensors in blocks of 16 channels (conv.h): the same formulas, cut into
 * parts that fit between the chunks of a convolution, so that a chunk is normalised or
 * its gradient made while it lies in cache.
 *
 * Or for tensors in lanes of pictures (sptrain.h): there a run of 16 x spatial floats
 * belongs to one channel of 16 pictures instead of 16 channels of one picture, and that
 * is all the difference.
 *
 * Sums are taken picture by picture and added up in the order of pictures, so results
 * depend neither on the number of threads nor on chunks.
 */
#ifndef DPF_KERNELS_BLOCKNORM_H
#define DPF_KERNELS_BLOCKNORM_H

#include "batchnorm.h"

/* Floats that a norm of this shape needs as `work`. */
size_t dpf_block_norm_work(size_t batch, size_t channels);

typedef struct dpf_block_norm {
    dpf_norm norm; /* channels, or with `lanes` the batch: a multiple of 16 */
    float *work;   /* kept by the caller from statistics to forward_train, and from backward to gradient */
    const float *x, *y, *delta;
    int lanes; /* 1: tensors are in lanes of pictures; `first` and `count` are then multiples of 16 */
} dpf_block_norm;

/* Training, in this order: the statistics of pictures first .. first + count - 1, whose x
 * is given (each picture once, by any thread); then y = f(scale * (x - mean) / sqrt(var)
 * + bias) of all pictures, from norm->x. */
void dpf_block_norm_statistics(const dpf_block_norm *norm, int first, int count, int threads, const float *x);
void dpf_block_norm_forward_train(const dpf_block_norm *norm, float *y);

/* In training where a shortcut follows at once, so that x becomes its output on one way: after statistics, merge
 * instead of forward_train, then y = f(scale * (x - mean) / sqrt(var) + bias + z); z NULL: without it. The norm's own
 * activation must be linear. */
void dpf_block_norm_merge(const dpf_block_norm *norm);
void dpf_block_norm_shortcut(const dpf_block_norm *norm, const float *z, dpf_activation f, float *y);

/* In place, with the running statistics or (without scales) the bias: prepare once, then
 * pictures in any order. */
void dpf_block_norm_prepare(const dpf_block_norm *norm);
void dpf_block_norm_apply(const dpf_block_norm *norm, int count, int threads, float *y);

/* Gradients of scales and biases from norm->x, y and delta (the gradient at y; which
 * activations other than linear, relu and leaky change in place); then the gradient at x
 * of count pictures from `first` on, into out. */
void dpf_block_norm_backward(const dpf_block_norm *norm, float *delta);
/* dpf_block_norm_backward behind such a shortcut with z: delta is the gradient at the shortcut's y. norm->delta, which
 * may be delta, is written: delta * f'(y); and added to more, unless it is NULL. */
void dpf_block_norm_shortcut_backward(const dpf_block_norm *norm, const float *delta, const float *y, dpf_activation f,
                                      float *more);
void dpf_block_norm_gradient(const dpf_block_norm *norm, int first, int count, int threads, float *out);

#endif
