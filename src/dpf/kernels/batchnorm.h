/* SPDX-License-Identifier: MIT
 *
 * What follows a convolution in a Darknet layer: batch normalisation or bias, and the
 * activation; forward and backward, in as few passes over memory as the data allow
 * (a channel of the whole batch stays in cache from the mean to the result).
 *
 * Arrays are batch x channels x spatial. Formulas and constants are Darknet's, which
 * differ from the textbook's: the variance divides by n - 1; forward divides by
 * sqrt(var) + 1e-6, backward by sqrt(var + 1e-5); running values keep 99 %.
 */
#ifndef DPF_KERNELS_BATCHNORM_H
#define DPF_KERNELS_BATCHNORM_H

#include <stddef.h>

#include "activation.h"

typedef struct dpf_norm {
    size_t batch, channels, spatial;
    int threads;
    dpf_activation activation;
    const float *scales, *biases;           /* channels; scales NULL: bias and activation only */
    float *mean, *variance;                 /* channels, of this batch; written by forward in training */
    float *rolling_mean, *rolling_variance; /* channels */
    float *scale_updates, *bias_updates;    /* channels, accumulated by backward */
} dpf_norm;

/* y = f(scale * (x - mean) / sqrt(var) + bias) with the statistics of this batch, which
 * also move the running ones. x is kept for the backward pass; y must not be x. */
void dpf_norm_forward_train(const dpf_norm *norm, const float *x, float *y);

/* The same with the running statistics; or f(x + bias) without scales. y may be x. */
void dpf_norm_forward(const dpf_norm *norm, const float *x, float *y);

/* delta: gradient at y in, gradient at x out, in place. y: what forward gave; x: its
 * input (unused without scales). */
void dpf_norm_backward(const dpf_norm *norm, const float *x, const float *y, float *delta);

#endif
