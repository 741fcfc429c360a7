/* SPDX-License-Identifier: MIT
 *
 * Dense convolution for inference by oneDNN's direct algorithms and by Winograd's, and
 * its reorders.
 *
 * oneDNN answers any question, if need be by a reference implementation hundreds of
 * times slower, so layouts are tried in order of speed and an answer counts only when it
 * is a compiled kernel: blocks of 16 or 8 channels first (a first layer of few channels
 * reads the plain layout), then all channels of a pixel together, then its matrix
 * product on plain arrays. Primitives are shared by all calls: scratch is the caller's.
 *
 * Winograd's is there in blocks of 16 only, and fuses of the activations here none but
 * relu. Asked for it, oneDNN offers one tile size after the other: which is faster it does
 * not know.
 */
#include "dense_impl.h"

#ifndef DPF_NO_DNNL

#include <dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IN, OUT, WEIGHTS, BIAS, SCRATCH, TENSORS };
static const int argument[TENSORS] = {DNNL_ARG_SRC, DNNL_ARG_DST, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_SCRATCHPAD};

typedef struct dnnl_dense {
    dnnl_engine_t engine;
    dnnl_primitive_t primitive;
    dnnl_memory_desc_t md[TENSORS];
    dnnl_memory_t weights, bias; /* NULL in a reorder */
} dnnl_dense;

typedef struct dnnl_call {
    dnnl_primitive_t primitive;
    dnnl_stream_t stream;
    dnnl_exec_arg_t args[TENSORS];
    dnnl_memory_t own[TENSORS]; /* of args: those that the call made */
    int count;
} dnnl_call;

/* lanes of input and output to try, 0 = all channels */
typedef struct layout_pair {
    size_t in, out;
} layout_pair;

static void destroy(void *state) {
    dnnl_dense *d = state;
    if (d->weights)
        dnnl_memory_destroy(d->weights);
    if (d->bias)
        dnnl_memory_destroy(d->bias);
    if (d->primitive)
        dnnl_primitive_destroy(d->primitive);
    if (d->engine)
        dnnl_engine_destroy(d->engine);
    free(d);
}

static void unbind(void *state) {
    dnnl_call *call = state;
    for (int t = 0; t < TENSORS; ++t)
        if (call->own[t])
            dnnl_memory_destroy(call->own[t]);
    if (call->stream)
        dnnl_stream_destroy(call->stream);
    free(call);
}

static dpf_status bind(void **out, void *state, const float *in, float *result, float *scratch, dpf_error *err) {
    dnnl_dense *d = state;
    void *arrays[TENSORS] = {[IN] = (void *)in, [OUT] = result, [SCRATCH] = scratch}; /* the input is only read */
    dnnl_call *call = calloc(1, sizeof *call);
    if (!call)
        return dpf_fail_memory(err, sizeof *call, "a convolution's call");
    call->primitive = d->primitive;
    int failed = dnnl_stream_create(&call->stream, d->engine, dnnl_stream_default_flags) != dnnl_success;
    for (int t = 0; t < TENSORS && !failed; ++t) {
        dnnl_memory_t memory = t == WEIGHTS ? d->weights : t == BIAS ? d->bias : NULL;
        if (t != WEIGHTS && t != BIAS) {
            failed = dnnl_memory_create(&call->own[t], &d->md[t], d->engine, arrays[t]) != dnnl_success;
            memory = call->own[t];
        }
        if (memory)
            call->args[call->count++] = (dnnl_exec_arg_t){argument[t], memory};
    }
    if (failed) {
        unbind(call);
        return dpf_fail_memory(err, sizeof *call, "oneDNN's arrays");
    }
    *out = call;
    return DPF_OK;
}

static dpf_status run(void *state) {
    const dnnl_call *call = state;
    dnnl_status_t status = dnnl_primitive_execute(call->primitive, call->stream, call->count, call->args);
    return status == dnnl_success && dnnl_stream_wait(call->stream) == dnnl_success ? DPF_OK : DPF_ERR_MEMORY;
}

static const dense_backend dnnl_backend = {destroy, bind, unbind, run};

/* An array of 4 dimensions in a layout. Returns 0 when oneDNN has no name for it. */
static int array_md(dnnl_memory_desc_t *md, const int shape[4], size_t lanes) {
    dnnl_dims_t dims = {shape[0], shape[1], shape[2], shape[3]};
    dnnl_format_tag_t tag = lanes == 1    ? dnnl_nchw
                            : lanes == 16 ? dnnl_nChw16c /* also of 16 channels in all: its kernels are faster */
                            : lanes == 8  ? dnnl_nChw8c
                            : lanes == (size_t)shape[1] ? dnnl_nhwc
                                                        : dnnl_format_tag_undef;
    return tag != dnnl_format_tag_undef && dnnl_memory_desc_init_by_tag(md, 4, dims, dnnl_f32, tag) == dnnl_success;
}

/* A plain array whose planes are `pitch` floats apart. */
static int planes_md(dnnl_memory_desc_t *md, const int shape[4], size_t pitch) {
    const dnnl_dim_t plane = (dnnl_dim_t)pitch;
    dnnl_dims_t dims = {shape[0], shape[1], shape[2], shape[3]};
    dnnl_dims_t strides = {plane * shape[1], plane, shape[3], 1};
    return dnnl_memory_desc_init_by_strides(md, 4, dims, dnnl_f32, strides) == dnnl_success;
}

/* oneDNN's word for an activation; 0 when it has none that is the same function. */
static int eltwise(dpf_activation act, dnnl_alg_kind_t *kind, float *alpha, float *beta) {
    *alpha = *beta = 0;
    switch (act) {
    case DPF_RELU:
    case DPF_LEAKY:
    case DPF_RELIE:
        *kind = dnnl_eltwise_relu;
        *alpha = act == DPF_LEAKY ? 0.1f : act == DPF_RELIE ? 0.01f : 0;
        return 1;
    case DPF_RELU6:
        *kind = dnnl_eltwise_clip;
        *beta = 6;
        return 1;
    case DPF_LOGISTIC_ACT:
        *kind = dnnl_eltwise_logistic;
        return 1;
    case DPF_TANH:
        *kind = dnnl_eltwise_tanh;
        return 1;
    case DPF_ELU:
        *kind = dnnl_eltwise_elu;
        *alpha = 1;
        return 1;
    case DPF_SWISH:
        *kind = dnnl_eltwise_swish;
        *alpha = 1;
        return 1;
    case DPF_MISH:
        *kind = dnnl_eltwise_mish;
        return 1;
    case DPF_HARDSWISH:
        *kind = dnnl_eltwise_hardswish;
        return 1;
    default:
        return 0;
    }
}

static dnnl_primitive_attr_t make_attributes(dpf_activation act) {
    dnnl_primitive_attr_t attr = NULL;
    dnnl_post_ops_t post = NULL;
    dnnl_alg_kind_t kind;
    float alpha, beta;
    int failed = dnnl_primitive_attr_create(&attr) != dnnl_success ||
                 dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) != dnnl_success;
    if (!failed && eltwise(act, &kind, &alpha, &beta))
        failed = dnnl_post_ops_create(&post) != dnnl_success ||
                 dnnl_post_ops_append_eltwise(post, 1, kind, alpha, beta) != dnnl_success ||
                 dnnl_primitive_attr_set_post_ops(attr, post) != dnnl_success;
    if (post)
        dnnl_post_ops_destroy(post);
    if (failed && attr) {
        dnnl_primitive_attr_destroy(attr);
        attr = NULL;
    }
    return attr;
}

/* The name behind oneDNN's implementation, "" for its slow reference. */
static const char *compiled_name(dnnl_primitive_desc_t pd) {
    const char *name = "";
    if (dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&name) != dnnl_success ||
        strncmp(name, "ref", 3) == 0)
        return "";
    return name;
}

static int is_winograd(dense_kind kind) {
    return kind == DENSE_WINOGRAD_2 || kind == DENSE_WINOGRAD_4;
}

/* The first of oneDNN's offers that is a compiled kernel of that kind; NULL when none is. */
static dnnl_primitive_desc_t first_offer(const dnnl_dense *d, const dnnl_convolution_desc_t *desc, dense_kind kind,
                                         int blocked, dnnl_primitive_attr_t attr) {
    const char *part = kind == DENSE_WINOGRAD_2 ? "wino_2x3" : kind == DENSE_WINOGRAD_4 ? "wino_4x3" : "";
    dnnl_primitive_desc_iterator_t offers;
    dnnl_primitive_desc_t found = NULL;
    if (dnnl_primitive_desc_iterator_create(&offers, desc, attr, d->engine, NULL) != dnnl_success)
        return NULL;
    do {
        dnnl_primitive_desc_t pd = dnnl_primitive_desc_iterator_fetch(offers);
        const char *name = pd ? compiled_name(pd) : "";
        if (name[0] && strstr(name, part) && !(blocked && strstr(name, "gemm")))
            found = pd;
        else if (pd)
            dnnl_primitive_desc_destroy(pd);
    } while (!found && is_winograd(kind) && dnnl_primitive_desc_iterator_next(offers) == dnnl_success);
    dnnl_primitive_desc_iterator_destroy(offers);
    return found;
}

/* One pair of layouts; NULL when oneDNN has no compiled kernel for it. */
static dnnl_primitive_desc_t try_layout(const dnnl_dense *d, const dense_shape *s, const int out[2], layout_pair lanes,
                                        dense_kind kind, dnnl_primitive_attr_t attr) {
    const int in_shape[4] = {s->batch, s->c, s->h, s->w}, out_shape[4] = {s->batch, s->n, out[0], out[1]};
    dnnl_dims_t plain = {s->n, s->c, s->size, s->size}, bias = {s->n};
    dnnl_dims_t grouped = {s->groups, s->n / s->groups, s->c / s->groups, s->size, s->size};
    dnnl_dims_t strides = {s->stride_y, s->stride_x}, dilates = {s->dilation - 1, s->dilation - 1};
    dnnl_dims_t before = {s->pad, s->pad}, after;
    int span = s->dilation * (s->size - 1) + 1;
    after[0] = (out[0] - 1) * s->stride_y + span - s->h - s->pad; /* what the last window reaches past the picture */
    after[1] = (out[1] - 1) * s->stride_x + span - s->w - s->pad;
    dnnl_memory_desc_t x, y, w, b;
    dnnl_convolution_desc_t desc;
    const dnnl_alg_kind_t algorithm = is_winograd(kind) ? dnnl_convolution_winograd : dnnl_convolution_direct;
    if (!array_md(&x, in_shape, lanes.in ? lanes.in : (size_t)s->c) ||
        !array_md(&y, out_shape, lanes.out ? lanes.out : (size_t)s->n) ||
        dnnl_memory_desc_init_by_tag(&w, s->groups > 1 ? 5 : 4, s->groups > 1 ? grouped : plain, dnnl_f32,
                                     dnnl_format_tag_any) != dnnl_success ||
        dnnl_memory_desc_init_by_tag(&b, 1, bias, dnnl_f32, dnnl_a) != dnnl_success ||
        dnnl_dilated_convolution_forward_desc_init(&desc, dnnl_forward_inference, algorithm, &x, &w, &b, &y, strides,
                                                   dilates, before, after) != dnnl_success)
        return NULL;
    return first_offer(d, &desc, kind, lanes.out != 1, attr);
}

static dnnl_primitive_desc_t choose_layout(const dnnl_dense *d, const dense_shape *s, const int out[2],
                                           dpf_activation fused, dense_kind kind, layout_pair *chosen) {
    const int few = s->c <= DENSE_FEW_CHANNELS && s->groups == 1, winograd = is_winograd(kind);
    const layout_pair direct[] = {{few ? 1 : 16, 16}, {few ? 1 : 8, 8}, {0, 0}, {16, 16}, {8, 8}, {1, 1}};
    const layout_pair blocks[] = {{16, 16}}, *pairs = winograd ? blocks : direct;
    const size_t count = winograd ? 1 : sizeof direct / sizeof *direct;
    dnnl_primitive_attr_t attr = make_attributes(fused);
    dnnl_primitive_desc_t pd = NULL;
    for (size_t i = 0; attr && !pd && i < count; ++i) {
        *chosen = pairs[i];
        pd = try_layout(d, s, out, pairs[i], kind, attr);
    }
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return pd;
}

/* The weights in the kernel's layout. Returns 0 on failure. */
static int take_weights(dnnl_dense *d, const dense_shape *s, const float *weights, const float *bias) {
    dnnl_dims_t plain = {s->n, s->c, s->size, s->size};
    dnnl_dims_t grouped = {s->groups, s->n / s->groups, s->c / s->groups, s->size, s->size};
    int dims = s->groups > 1 ? 5 : 4;
    dnnl_memory_desc_t md;
    dnnl_memory_t from = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t reorder = NULL;
    dnnl_stream_t stream = NULL;
    void *to_bias = NULL;
    int good =
        dnnl_memory_desc_init_by_tag(&md, dims, s->groups > 1 ? grouped : plain, dnnl_f32,
                                     s->groups > 1 ? dnnl_goihw : dnnl_oihw) == dnnl_success &&
        dnnl_memory_create(&from, &md, d->engine, (void *)weights) == dnnl_success &&
        dnnl_memory_create(&d->weights, &d->md[WEIGHTS], d->engine, DNNL_MEMORY_ALLOCATE) == dnnl_success &&
        dnnl_memory_create(&d->bias, &d->md[BIAS], d->engine, DNNL_MEMORY_ALLOCATE) == dnnl_success &&
        dnnl_memory_get_data_handle(d->bias, &to_bias) == dnnl_success &&
        dnnl_reorder_primitive_desc_create(&pd, &md, d->engine, &d->md[WEIGHTS], d->engine, NULL) == dnnl_success &&
        dnnl_primitive_create(&reorder, pd) == dnnl_success &&
        dnnl_stream_create(&stream, d->engine, dnnl_stream_default_flags) == dnnl_success;
    if (good) {
        const dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, d->weights}};
        good = dnnl_primitive_execute(reorder, stream, 2, args) == dnnl_success &&
               dnnl_stream_wait(stream) == dnnl_success;
        memcpy(to_bias, bias, (size_t)s->n * sizeof *bias);
    }
    if (stream)
        dnnl_stream_destroy(stream);
    if (reorder)
        dnnl_primitive_destroy(reorder);
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    if (from)
        dnnl_memory_destroy(from);
    return good;
}

/* Takes the descriptors out of pd, makes the primitive, destroys pd. Returns 0 on failure. */
static int finish(dense *d, dnnl_dense *state, dnnl_primitive_desc_t pd, const char *prefix) {
    static const dnnl_query_t query[TENSORS] = {dnnl_query_src_md, dnnl_query_dst_md, dnnl_query_weights_md,
                                                dnnl_query_weights_md, dnnl_query_scratchpad_md};
    for (int t = 0; t < TENSORS; ++t) {
        const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(pd, query[t], t == BIAS);
        if (md)
            state->md[t] = *md;
    }
    d->info.scratch = (dnnl_memory_desc_get_size(&state->md[SCRATCH]) + sizeof(float) - 1) / sizeof(float);
    d->info.bytes = dnnl_memory_desc_get_size(&state->md[WEIGHTS]) + dnnl_memory_desc_get_size(&state->md[BIAS]);
    snprintf(d->name, sizeof d->name, "%s%s", prefix, compiled_name(pd));
    int good = dnnl_primitive_create(&state->primitive, pd) == dnnl_success;
    dnnl_primitive_desc_destroy(pd);
    return good;
}

/* A primitive remembers the number of threads at its creation, which the caller's thread has. */
static dnnl_dense *begin(const dense *d, int *threads_before, dpf_error *err) {
    dnnl_dense *state = calloc(1, sizeof *state);
    if (!state || dnnl_engine_create(&state->engine, dnnl_cpu, 0) != dnnl_success) {
        free(state);
        dpf_fail_memory(err, sizeof *state, "a convolution");
        return NULL;
    }
    *threads_before = omp_get_max_threads();
    omp_set_num_threads(d->threads);
    return state;
}

dpf_status dense_dnnl_create(dense *d, const dense_shape *s, const int out[2], dpf_activation act, const float *weights,
                             const float *bias, dense_kind kind, dpf_error *err) {
    int threads;
    layout_pair lanes;
    const dpf_activation fused = is_winograd(kind) && act != DPF_RELU ? DPF_LINEAR_ACT : act;
    dnnl_dense *state = begin(d, &threads, err);
    if (!state)
        return DPF_ERR_MEMORY;
    dnnl_primitive_desc_t pd = choose_layout(state, s, out, fused, kind, &lanes);
    int good = pd && finish(d, state, pd, "oneDNN ") && take_weights(state, s, weights, bias);
    omp_set_num_threads(threads);
    if (!good) {
        destroy(state);
        return dpf_fail(err, pd ? DPF_ERR_MEMORY : DPF_ERR_UNSUPPORTED,
                        "oneDNN cannot make a convolution of %d filters %dx%d over %dx%dx%d", s->n, s->size, s->size,
                        s->w, s->h, s->c);
    }
    dnnl_alg_kind_t word;
    float alpha, beta;
    d->act = eltwise(fused, &word, &alpha, &beta) ? DPF_LINEAR_ACT : act;
    d->info.lanes_in = lanes.in ? lanes.in : (size_t)s->c;
    d->info.lanes_out = lanes.out ? lanes.out : (size_t)s->n;
    d->backend = &dnnl_backend;
    d->state = state;
    return DPF_OK;
}

dpf_status dense_dnnl_relayout(dense *d, const int shape[4], size_t lanes_in, size_t pitch_in, size_t lanes_out,
                               dpf_error *err) {
    int threads;
    dnnl_memory_desc_t from, to;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_dense *state = begin(d, &threads, err);
    if (!state)
        return DPF_ERR_MEMORY;
    dnnl_primitive_attr_t attr = make_attributes(DPF_LINEAR_ACT);
    int good =
        attr && (lanes_in == 1 ? planes_md(&from, shape, pitch_in) : array_md(&from, shape, lanes_in)) &&
        array_md(&to, shape, lanes_out) &&
        dnnl_reorder_primitive_desc_create(&pd, &from, state->engine, &to, state->engine, attr) == dnnl_success &&
        finish(d, state, pd, "oneDNN reorder ");
    omp_set_num_threads(threads);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    if (!good) {
        destroy(state);
        return dpf_fail(err, DPF_ERR_UNSUPPORTED, "oneDNN cannot convert %dx%dx%d from %zu to %zu lanes", shape[3],
                        shape[2], shape[1], lanes_in, lanes_out);
    }
    d->info.lanes_in = lanes_in;
    d->info.lanes_out = lanes_out;
    d->backend = &dnnl_backend;
    d->state = state;
    return DPF_OK;
}

#endif
