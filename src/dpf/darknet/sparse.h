/* SPDX-License-Identifier: MIT
 *
 * The sparse kernels of training (../kernels/sptrain.h) in a hooked layer. Which passes of
 * a layer run on them follows from its shape and its mask alone, so that a run repeats bit
 * for bit and a resumed one goes on so. Private to this folder.
 */
#ifndef DPF_DARKNET_SPARSE_H
#define DPF_DARKNET_SPARSE_H

#include "../core/pruner.h"
#include "../kernels/sptrain.h"

/* Of one layer; all zero: none. */
typedef struct dn_sparse {
    sptrain *kernels; /* NULL: this layer is dense */
    int span;         /* pictures of dy that its backward pass wants at a time */
    size_t room;      /* floats of such a dy */
    int passes;       /* that run sparse with the present mask */
    int lanes;        /* DPF_BLOCK_X, DPF_BLOCK_Y: these are in lanes of pictures; 0: neither */
} dn_sparse;

/* What the layers of a network share: working memory for the largest of them. */
typedef struct dn_sparse_memory {
    float *scratch;
    size_t floats;
    int threads;
} dn_sparse_memory;

/* For a layer of this shape that is pruned and runs dense by `conv`. Without sparse kernels for
 * it, *sparse stays all zero. */
dpf_status dn_sparse_new(dn_sparse *sparse, dn_sparse_memory *memory, const dpf_conv *conv, int blocks, dpf_error *err);
void dn_sparse_free(dn_sparse *sparse);

/* A new mask; `lanes` as in dn_sparse. Without lanes the cost model says which passes are sparse, with
 * them all are. */
dpf_status dn_sparse_set_mask(dn_sparse *sparse, const uint64_t *mask, int lanes, dpf_error *err);

/* y = conv(x, w~) over the batch. Returns 0, having done nothing, where the dense convolution is the
 * one to use. */
int dn_sparse_run_forward(const dn_sparse *sparse, dn_sparse_memory *memory, const float *x, float *y,
                          const dpf_chunk_hook *after);

/* Fills in gradients->input, unless the dense convolution is the one to use; the rest of gradients
 * must be set. `own` has to live until the backward pass has run. */
typedef struct dn_sparse_backward {
    dpf_input_hook hook;
    const dn_sparse *sparse;
    dn_sparse_memory *memory;
    float *dx;
    size_t x_floats; /* of a picture */
    int set_dx;
} dn_sparse_backward;
void dn_sparse_use_backward(const dn_sparse *sparse, dn_sparse_memory *memory, const dpf_conv_shape *shape,
                            dpf_conv_gradients *gradients, dn_sparse_backward *own);

/* The whole backward pass of a layer with lanes. Returns 0, having done nothing, for one without. */
int dn_sparse_run_backward(const dn_sparse *sparse, dn_sparse_memory *memory, const dpf_conv_gradients *gradients);

#endif
