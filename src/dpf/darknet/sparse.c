/* SPDX-License-Identifier: MIT
 *
 * See sparse.h. The working memory of a network holds the scratch of sptrain for each
 * thread, then room for a span of dy for each thread.
 */
#include "sparse.h"

#include <stdlib.h>

#include "../kernels/conv_impl.h"

static dpf_status grow(dn_sparse_memory *memory, size_t floats, dpf_error *err) {
    if (floats <= memory->floats)
        return DPF_OK;
    float *scratch = dpf_aligned_floats(floats);
    if (!scratch)
        return dpf_fail_memory(err, floats * sizeof *scratch, "the sparse kernels");
    free(memory->scratch);
    memory->scratch = scratch;
    memory->floats = floats;
    return DPF_OK;
}

dpf_status dn_sparse_new(dn_sparse *sparse, dn_sparse_memory *memory, const dpf_conv *conv, int blocks,
                         dpf_error *err) {
    const dpf_conv_shape *shape = dpf_conv_get_shape(conv);
    int chunk = dpf_conv_chunk(conv), unit = chunk ? sptrain_unit(shape, chunk, memory->threads) : 0;
    *sparse = (dn_sparse){0};
    if (!unit)
        return DPF_OK;
    dpf_status status = sptrain_new(&sparse->kernels, shape, blocks, unit, memory->threads, err);
    if (status != DPF_OK)
        return status;
    sparse->span = unit > chunk ? unit : chunk;
    sparse->room =
        (size_t)sparse->span * (size_t)shape->n * (size_t)dpf_conv_out_h(shape) * (size_t)dpf_conv_out_w(shape);
    sparse->room = (sparse->room + 15) / 16 * 16;
    status = grow(memory, (size_t)memory->threads * (sptrain_scratch(sparse->kernels) + sparse->room), err);
    if (status != DPF_OK)
        dn_sparse_free(sparse);
    return status;
}

void dn_sparse_free(dn_sparse *sparse) {
    sptrain_free(sparse->kernels);
    *sparse = (dn_sparse){0};
}

dpf_status dn_sparse_set_mask(dn_sparse *sparse, const uint64_t *mask, int lanes, dpf_error *err) {
    int passes = lanes ? SPTRAIN_FORWARD | SPTRAIN_BACKWARD : sptrain_choose(sparse->kernels, mask);
    sparse->passes = 0;
    sparse->lanes = 0;
    dpf_status status = sptrain_set_mask(sparse->kernels, mask, passes, err);
    if (status != DPF_OK)
        return status;
    sptrain_set_lanes(sparse->kernels, lanes);
    sparse->passes = passes;
    sparse->lanes = lanes;
    return DPF_OK;
}

int dn_sparse_run_forward(const dn_sparse *sparse, dn_sparse_memory *memory, const float *x, float *y,
                          const dpf_chunk_hook *after) {
    if (!(sparse->passes & SPTRAIN_FORWARD))
        return 0;
    sptrain_forward(sparse->kernels, x, y, memory->scratch, after);
    return 1;
}

static void input_gradient(void *context, int worker, int first, const float *dy) {
    const dn_sparse_backward *own = context;
    float *scratch = own->memory->scratch + (size_t)worker * sptrain_scratch(own->sparse->kernels);
    sptrain_backward(own->sparse->kernels, own->sparse->span, dy, own->dx + (size_t)first * own->x_floats, own->set_dx,
                     scratch);
}

void dn_sparse_use_backward(const dn_sparse *sparse, dn_sparse_memory *memory, const dpf_conv_shape *shape,
                            dpf_conv_gradients *gradients, dn_sparse_backward *own) {
    if (!gradients->dx || !(sparse->passes & SPTRAIN_BACKWARD))
        return;
    *own = (dn_sparse_backward){.sparse = sparse, .memory = memory, .dx = gradients->dx, .set_dx = gradients->set_dx};
    own->x_floats = (size_t)shape->c * (size_t)shape->h * (size_t)shape->w;
    own->hook.span = sparse->span;
    own->hook.run = input_gradient;
    own->hook.context = own;
    own->hook.room = memory->scratch + (size_t)memory->threads * sptrain_scratch(sparse->kernels);
    gradients->input = &own->hook;
}

int dn_sparse_run_backward(const dn_sparse *sparse, dn_sparse_memory *memory, const dpf_conv_gradients *gradients) {
    if (!sparse->lanes)
        return 0;
    sptrain_gradients(sparse->kernels, gradients, memory->scratch);
    return 1;
}
