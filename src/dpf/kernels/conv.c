/* SPDX-License-Identifier: MIT
 *
 * See conv.h: checks the shape and picks a back end.
 */
#include "conv.h"

#include <stdlib.h>

#include "conv_impl.h"
#include "cpu.h"

struct dpf_conv {
    dpf_conv_shape shape;
    const conv_backend *backend;
    void *state;
};

int dpf_conv_out_h(const dpf_conv_shape *s) {
    return (s->h + 2 * s->pad - s->size) / s->stride + 1;
}

int dpf_conv_out_w(const dpf_conv_shape *s) {
    return (s->w + 2 * s->pad - s->size) / s->stride + 1;
}

static dpf_status check_shape(const dpf_conv_shape *s, int threads, dpf_error *err) {
    if (s->batch < 1 || s->c < 1 || s->h < 1 || s->w < 1 || s->n < 1 || s->size < 1 || s->stride < 1 || s->pad < 0 ||
        s->groups < 1 || threads < 1)
        return dpf_fail(err, DPF_ERR_RANGE, "convolution: every size must be at least 1 and pad at least 0");
    if (s->c % s->groups != 0 || s->n % s->groups != 0)
        return dpf_fail(err, DPF_ERR_RANGE, "convolution: groups=%d must divide the %d channels and the %d filters",
                        s->groups, s->c, s->n);
    if (s->h + 2 * s->pad < s->size || s->w + 2 * s->pad < s->size)
        return dpf_fail(err, DPF_ERR_RANGE, "convolution: a %dx%d filter does not fit a %dx%d picture with pad=%d",
                        s->size, s->size, s->w, s->h, s->pad);
    return DPF_OK;
}

static dpf_status create(dpf_conv **out, const conv_backend *backend, const dpf_conv_shape *shape, int blocks,
                         int threads, dpf_error *err) {
    dpf_conv *conv = calloc(1, sizeof *conv);
    if (!conv)
        return dpf_fail_memory(err, sizeof *conv, "a convolution");
    conv->shape = *shape;
    conv->backend = backend;
    dpf_status status = backend->create(&conv->state, shape, blocks, threads, err);
    if (status == DPF_OK)
        *out = conv;
    else
        free(conv);
    return status;
}

dpf_status dpf_conv_new(dpf_conv **out, const dpf_conv_shape *shape, int threads, dpf_conv_backend backend,
                        dpf_error *err) {
    *out = NULL;
    dpf_status status = check_shape(shape, threads, err);
    if (status != DPF_OK || backend == DPF_CONV_BLAS)
        return status != DPF_OK ? status : create(out, &dpf_conv_blas, shape, 0, threads, err);
#ifndef DPF_NO_DNNL
    status = create(out, &dpf_conv_dnnl, shape, 0, threads, err);
#else
    status = dpf_fail(err, DPF_ERR_UNSUPPORTED, "this build has no oneDNN");
#endif
    if (status != DPF_OK && backend == DPF_CONV_AUTO)
        status = create(out, &dpf_conv_blas, shape, 0, threads, err);
    return status;
}

dpf_status dpf_conv_new_blocked(dpf_conv **out, const dpf_conv_shape *shape, int blocks, int threads, dpf_error *err) {
    *out = NULL;
    dpf_status status = check_shape(shape, threads, err);
    if (status != DPF_OK)
        return status;
    if (((blocks & DPF_BLOCK_X) && shape->c % 16 != 0) || ((blocks & DPF_BLOCK_Y) && shape->n % 16 != 0))
        return dpf_fail(err, DPF_ERR_RANGE, "convolution: %d channels to %d filters do not fit in blocks of 16",
                        shape->c, shape->n);
#ifndef DPF_NO_DNNL
    return create(out, &dpf_conv_dnnl, shape, blocks, threads, err);
#else
    return dpf_fail(err, DPF_ERR_UNSUPPORTED, "this build has no oneDNN");
#endif
}

void dpf_conv_free(dpf_conv *conv) {
    if (!conv)
        return;
    conv->backend->destroy(conv->state);
    free(conv);
}

const dpf_conv_shape *dpf_conv_get_shape(const dpf_conv *conv) {
    return &conv->shape;
}

const char *dpf_conv_backend_name(const dpf_conv *conv) {
    return conv->backend->name;
}

int dpf_conv_chunk(const dpf_conv *conv) {
    return conv->backend->chunk ? conv->backend->chunk(conv->state) : 0;
}

void dpf_conv_forward(dpf_conv *conv, const float *x, const float *w, float *y) {
    conv->backend->forward(conv->state, x, w, y, NULL);
}

void dpf_conv_backward(dpf_conv *conv, const float *x, const float *w, const float *dy, float *dw, float *dx) {
    const dpf_conv_gradients gradients = {.x = x, .w = w, .dy = dy, .dw = dw, .dx = dx};
    conv->backend->backward(conv->state, &gradients);
}

void dpf_conv_forward_hooked(dpf_conv *conv, const float *x, const float *w, float *y, const dpf_chunk_hook *after) {
    conv->backend->forward(conv->state, x, w, y, after);
}

void dpf_conv_backward_hooked(dpf_conv *conv, const dpf_conv_gradients *gradients) {
    conv->backend->backward(conv->state, gradients);
}

int dpf_conv_can_block(void) {
#ifdef DPF_NO_DNNL
    return 0;
#else
    return dpf_cpu_isa() >= DPF_ISA_AVX512;
#endif
}

float *dpf_aligned_floats(size_t count) {
    size_t bytes = (count * sizeof(float) + 63) / 64 * 64;
    return aligned_alloc(64, bytes ? bytes : 64);
}

void dpf_sum_parts(float *dst, const float *src, size_t count, size_t stride, int parts, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < count; ++i) {
        float sum = dst[i];
        for (int t = 0; t < parts; ++t)
            sum += src[(size_t)t * stride + i];
        dst[i] = sum;
    }
}
