/* SPDX-License-Identifier: MIT
 *
 * See dense.h.
 */
#include "dense_impl.h"

#include <math.h>
#include <stdlib.h>

#include "activate.h"
#include "infer_desc.h"

size_t dense_floats(size_t batch, size_t channels, size_t area, size_t lanes) {
    size_t blocks = (channels + lanes - 1) / lanes, count;
    if (__builtin_mul_overflow(blocks, lanes, &count) || __builtin_mul_overflow(count, area, &count) ||
        __builtin_mul_overflow(count, batch, &count))
        return 0;
    return count;
}

/* The checks of infer_desc_make serve here too: a dilated window is one of its span with
 * holes, and the wider stride of the two is looked at on its own below. */
static dpf_status check_shape(const dense_shape *s, dpf_activation act, int out[2], dpf_error *err) {
    infer_desc desc;
    if (s->dilation < 1 || s->stride_x < 1 || s->stride_y < 1 || s->dilation > 4096 || s->stride_x > 4096)
        return dpf_fail(err, DPF_ERR_RANGE, "convolution: dilation=%d and strides %d, %d must be 1 to 4096",
                        s->dilation, s->stride_x, s->stride_y);
    const dpf_conv_shape plain = {s->batch,    s->c,   s->h,     s->w, s->n, (s->size - 1) * s->dilation + 1,
                                  s->stride_y, s->pad, s->groups};
    dpf_status status = infer_desc_make(&desc, &plain, act, err);
    if (status != DPF_OK)
        return status;
    out[0] = (int)desc.out_h;
    out[1] = (s->w + 2 * s->pad - plain.size) / s->stride_x + 1;
    return DPF_OK;
}

float dense_slope(dpf_activation act) {
    const infer_lines lines = infer_lines_of(act);
    return lines.post == DPF_LINEAR_ACT && isinf(lines.cap) ? lines.slope : -1;
}

dpf_status dense_arrays_bind(void **call, void *state, const float *in, float *out, float *scratch, dpf_error *err) {
    dense_arrays *arrays = malloc(sizeof *arrays);
    if (!arrays)
        return dpf_fail_memory(err, sizeof *arrays, "a convolution's call");
    *arrays = (dense_arrays){state, in, out, scratch};
    *call = arrays;
    return DPF_OK;
}

void dense_share(const dense_arrays *call, int threads, size_t jobs, size_t scratch,
                 void (*run)(const dense_arrays *call, size_t first, size_t last, float *scratch)) {
    const size_t team = (size_t)threads;
    if (team == 1) { /* OpenMP would allocate a team of one */
        run(call, 0, jobs, call->scratch);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t t = 0; t < team; ++t)
        run(call, jobs * t / team, jobs * (t + 1) / team, call->scratch + t * scratch);
}

dpf_status dense_new(dense **out, const dense_shape *s, dpf_activation act, const float *weights, const float *bias,
                     int threads, dense_kind kind, dpf_error *err) {
    int size[2];
    *out = NULL;
    dpf_status status = check_shape(s, act, size, err);
    if (status != DPF_OK)
        return status;
    dense *d = calloc(1, sizeof *d);
    if (!d)
        return dpf_fail_memory(err, sizeof *d, "a convolution");
    d->threads = threads > 0 ? threads : 1;
    d->info.lanes_in = d->info.lanes_out = 1;
    const int ours = kind == DENSE_FEW || kind == DENSE_WINOGRAD, side = s->pool ? 2 : 1;
    if (s->pool && !ours)
        status = dpf_fail(err, DPF_ERR_UNSUPPORTED, "this kind of convolution cannot be pooled on the way");
    else if (kind == DENSE_WINOGRAD)
        status = dense_wino_create(d, s, size, act, weights, bias, err);
    else if (kind == DENSE_FEW)
        status = dense_few_create(d, s, size, act, weights, bias, err);
#ifndef DPF_NO_DNNL
    else if (kind != DENSE_BLAS)
        status = dense_dnnl_create(d, s, size, act, weights, bias, kind == DENSE_AUTO ? DENSE_DIRECT : kind, err);
#else
    else if (kind != DENSE_BLAS)
        status = dpf_fail(err, DPF_ERR_UNSUPPORTED, "this program was built without oneDNN");
#endif
    if (!s->pool && (kind == DENSE_BLAS || (kind == DENSE_AUTO && status == DPF_ERR_UNSUPPORTED)))
        status = dense_blas_create(d, s, size, act, weights, bias, err);
    if (status != DPF_OK) {
        free(d);
        return status;
    }
    d->out_floats = dense_floats((size_t)s->batch, (size_t)s->n, (size_t)(size[0] / side) * (size_t)(size[1] / side),
                                 d->info.lanes_out);
    *out = d;
    return DPF_OK;
}

int dense_can_relayout(void) {
#ifndef DPF_NO_DNNL
    return 1;
#else
    return 0;
#endif
}

dpf_status dense_relayout_new(dense **out, const int shape[4], size_t lanes_in, size_t pitch_in, size_t lanes_out,
                              int threads, dpf_error *err) {
    *out = NULL;
    dense *d = calloc(1, sizeof *d);
    if (!d)
        return dpf_fail_memory(err, sizeof *d, "a conversion");
    d->threads = threads > 0 ? threads : 1;
    d->act = DPF_LINEAR_ACT;
#ifndef DPF_NO_DNNL
    dpf_status status = dense_dnnl_relayout(d, shape, lanes_in, pitch_in, lanes_out, err);
#else
    (void)shape;
    (void)pitch_in;
    dpf_status status =
        dpf_fail(err, DPF_ERR_UNSUPPORTED, "conversion between %zu and %zu lanes needs oneDNN", lanes_in, lanes_out);
#endif
    if (status != DPF_OK) {
        free(d);
        return status;
    }
    *out = d;
    return DPF_OK;
}

void dense_free(dense *d) {
    if (!d)
        return;
    d->backend->destroy(d->state);
    free(d);
}

void dense_get_info(const dense *d, dense_info *out) {
    *out = d->info;
    out->name = d->name;
}

dpf_status dense_call_new(dense_call **out, const dense *d, const float *in, float *result, float *scratch,
                          dpf_error *err) {
    *out = NULL;
    dense_call *call = calloc(1, sizeof *call);
    if (!call)
        return dpf_fail_memory(err, sizeof *call, "a convolution's call");
    call->dense = d;
    call->out = result;
    dpf_status status = d->backend->bind(&call->call, d->state, in, result, scratch, err);
    if (status != DPF_OK) {
        free(call);
        return status;
    }
    *out = call;
    return DPF_OK;
}

void dense_call_free(dense_call *call) {
    if (!call)
        return;
    call->dense->backend->unbind(call->call);
    free(call);
}

dpf_status dense_call_run(const dense_call *call) {
    const dense *d = call->dense;
    dpf_status status = d->backend->run(call->call);
    if (status != DPF_OK || d->act == DPF_LINEAR_ACT)
        return status;
    dpf_activate_array(call->out, d->out_floats, d->act, d->threads);
    return DPF_OK;
}
