/* SPDX-License-Identifier: MIT
 *
 * Dense 2-D convolution for training: forward, backward-data, backward-weights on
 * plain arrays in Darknet's order,
 *     x  batch x c x h x w         dx the same
 *     w  n x c/groups x size x size  (dw the same)
 *     y  batch x n x out_h x out_w   (dy the same)
 *     y[b][o][i][j] = sum over k, u, v of w[o][k][u][v] * x[b][k][i*stride+u-pad][j*stride+v-pad]
 * (cross-correlation; pictures are zero outside). No bias, no activation: those are
 * passes of their own in batchnorm.h.
 *
 * x and dx, or y and dy, may instead be in blocks of 16 channels,
 *     batch x c/16 x h x w x 16
 * (oneDNN's nChw16c), where c and n are multiples of 16. That is the layout that the fast
 * kernels want: nothing is converted, and chunk hooks become possible. Blocked tensors
 * need oneDNN; their arrays should be aligned to 64 bytes.
 *
 * Two back ends with one contract: oneDNN (conv_dnnl.c), which keeps blocks of
 * pictures in its own layout inside the second-level cache, and im2col with
 * OpenBLAS (conv_blas.c). dpf_conv_new takes the first that can do the shape. oneDNN
 * uses Winograd's algorithm for 3x3 filters where conv_plan.c says so: its results are
 * off by up to 2e-6 of the largest, ten times as much as those of the direct one.
 *
 * Results depend on the number of threads (the order in which dw is summed) but on
 * nothing else: same inputs, same threads, same bits.
 */
#ifndef DPF_KERNELS_CONV_H
#define DPF_KERNELS_CONV_H

#include <stddef.h>

#include "../core/error.h"

typedef struct dpf_conv_shape {
    int batch;
    int c, h, w; /* input */
    int n;       /* filters */
    int size, stride, pad, groups;
} dpf_conv_shape;

/* A step before or after the convolution of each chunk of pictures, done while the chunk
 * is in cache: pictures first .. first + count - 1, whose y or dy starts at y. Called by
 * several threads at once for different pictures; may itself use `threads` threads. */
typedef struct dpf_chunk_hook {
    void (*run)(void *context, int first, int count, int threads, float *y);
    void *context;
} dpf_chunk_hook;

/* Another way to the gradient of the input: with one, a convolution computes that of the
 * weights alone. Called by worker `worker` (fewer than threads) for pictures first .. first +
 * span - 1, whose dy is given. */
typedef struct dpf_input_hook {
    int span; /* a multiple of dpf_conv_chunk that divides the batch */
    void (*run)(void *context, int worker, int first, const float *dy);
    void *context;
    float *room; /* a span of dy for each thread, aligned to 64 bytes, where a dpf_chunk_hook makes dy */
} dpf_input_hook;

typedef struct dpf_conv dpf_conv;

/* Which tensors are in blocks of 16 channels: a sum of these. */
enum { DPF_BLOCK_X = 1, DPF_BLOCK_Y = 2 };

typedef enum dpf_conv_backend { DPF_CONV_AUTO = 0, DPF_CONV_DNNL = 1, DPF_CONV_BLAS = 2 } dpf_conv_backend;

int dpf_conv_out_h(const dpf_conv_shape *s);
int dpf_conv_out_w(const dpf_conv_shape *s);

/* threads >= 1. Fails with DPF_ERR_RANGE on a shape without output pixels or with
 * groups that do not divide c and n, DPF_ERR_UNSUPPORTED when the asked back end
 * cannot do it, DPF_ERR_MEMORY. On failure *out is NULL. */
dpf_status dpf_conv_new(dpf_conv **out, const dpf_conv_shape *shape, int threads, dpf_conv_backend backend,
                        dpf_error *err);
void dpf_conv_free(dpf_conv *conv);

const dpf_conv_shape *dpf_conv_get_shape(const dpf_conv *conv);
const char *dpf_conv_backend_name(const dpf_conv *conv); /* "oneDNN" or "OpenBLAS" */

/* Pictures that are convolved at a time, each chunk by one thread; 0: not cut up so, and no
 * dpf_input_hook is possible. */
int dpf_conv_chunk(const dpf_conv *conv);

/* 1: this build and CPU run convolutions on blocked tensors. */
int dpf_conv_can_block(void);

/* dpf_conv_new for blocked tensors. Fails also with DPF_ERR_RANGE where channels do not
 * fit in blocks. */
dpf_status dpf_conv_new_blocked(dpf_conv **out, const dpf_conv_shape *shape, int blocks, int threads, dpf_error *err);

/* y = conv(x, w). y is overwritten. */
void dpf_conv_forward(dpf_conv *conv, const float *x, const float *w, float *y);

/* dw += gradient of the weights; dx += gradient of the input, not computed when dx
 * is NULL. Both accumulate, as Darknet's layers do. */
void dpf_conv_backward(dpf_conv *conv, const float *x, const float *w, const float *dy, float *dw, float *dx);

/* The same with a hook, where y is blocked: `after` sees each chunk of y. */
void dpf_conv_forward_hooked(dpf_conv *conv, const float *x, const float *w, float *y, const dpf_chunk_hook *after);

/* What a backward pass reads and writes, and how. */
typedef struct dpf_conv_gradients {
    const float *x, *w;
    const float *dy;              /* or NULL with `before`, where y is blocked: */
    const dpf_chunk_hook *before; /* writes each chunk of dy, which exists nowhere else */
    const dpf_input_hook *input;  /* or NULL; with it, dx is not looked at */
    float *dw;                    /* added to */
    float *dx;                    /* or NULL */
    int set_dx;                   /* 1: dx is overwritten instead of added to */
} dpf_conv_gradients;
void dpf_conv_backward_hooked(dpf_conv *conv, const dpf_conv_gradients *gradients);

#endif
