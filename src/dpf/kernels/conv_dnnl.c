/* SPDX-License-Identifier: MIT
 *
 * Convolution by oneDNN. Its fast kernels want blocked layouts and prepacked weights;
 * Darknet has plain ones. A chunk of a few pictures is converted, convolved and
 * converted back while it lies in the second-level cache, so the conversions cost
 * little memory traffic. Chunks are shared out statically among our threads, each of
 * which runs single-threaded primitives; where there are fewer pictures than threads
 * (detectors with many subdivisions), one chunk is run by primitives that use all
 * threads themselves.
 *
 * What must stay true: everything a worker writes is its own (memories, scratchpads),
 * only weights are shared; a memory of padded layout never changes its address
 * (oneDNN clears the padding when the address is set, not when it is used).
 */
#ifndef DPF_NO_DNNL

#include "conv_impl.h"
#include "conv_plan.h"
#include "plane.h"

#include <dnnl.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* The tensors of the three passes. Plain ones are Darknet's arrays; the others are in
 * the layout that the pass asked for, or alias the plain one where that suits it. */
enum tensor {
    X,
    Y,
    DX,
    W,
    DW, /* plain */
    F_X,
    F_W,
    F_Y, /* forward */
    D_DY,
    D_W,
    D_DX, /* backward-data */
    G_X,
    G_DY,
    G_DW, /* backward-weights (gradient) */
    TENSORS
};

enum step {
    FORWARD,
    BACKWARD_DATA,
    BACKWARD_WEIGHTS,
    X_TO_F,
    W_TO_F,
    F_TO_Y,
    Y_TO_D,
    W_TO_D,
    D_TO_DX,
    X_TO_G,
    Y_TO_G,
    G_TO_DW,
    STEPS
};

typedef struct step_info {
    dnnl_primitive_t primitive; /* NULL: a conversion between equal layouts, nothing to do */
    dnnl_memory_desc_t scratch;
    struct {
        int arg;
        enum tensor tensor;
    } args[3];
    int count;
} step_info;

typedef struct worker {
    dnnl_stream_t stream;
    dnnl_memory_t memory[TENSORS];
    float *buffer[TENSORS];
    dnnl_memory_t scratch[STEPS];
    float *scratch_buffer;
    float *sum_dw;  /* running sum of G_DW over the worker's chunks, in G_DW's layout */
    float *made_dy; /* a chunk of dy by the caller's hook; NULL unless y is blocked */
} worker;

typedef struct dnnl_conv {
    dpf_conv_shape s;
    int blocks;                /* DPF_BLOCK_X, DPF_BLOCK_Y */
    int chunk, workers, inner; /* see conv_plan.h */
    dnnl_alg_kind_t algorithm;
    dnnl_engine_t engine;
    dnnl_memory_desc_t md[TENSORS];
    enum tensor alias[TENSORS]; /* itself, or the plain tensor it equals */
    step_info steps[STEPS];
    worker *team;
    float *shared[TENSORS]; /* F_W and D_W, converted once a call */
    float *parts;           /* workers x weights, plain */
    size_t weights;
} dnnl_conv;

static const enum tensor plain_of[TENSORS] = {X, Y, DX, W, DW, X, W, Y, Y, W, DX, X, Y, DW};

static int is_weight(enum tensor t) {
    return t == W || t == F_W || t == D_W;
}

static size_t chunk_floats(const dnnl_conv *conv, enum tensor t) {
    const dpf_conv_shape *s = &conv->s;
    if (plain_of[t] == X || plain_of[t] == DX)
        return (size_t)conv->chunk * (size_t)s->c * (size_t)s->h * (size_t)s->w;
    return (size_t)conv->chunk * (size_t)s->n * (size_t)dpf_conv_out_h(s) * (size_t)dpf_conv_out_w(s);
}

/* --- building -------------------------------------------------------------------- */

static int plain_md(dnnl_conv *conv) {
    const dpf_conv_shape *s = &conv->s;
    dnnl_dims_t x = {conv->chunk, s->c, s->h, s->w};
    dnnl_dims_t y = {conv->chunk, s->n, dpf_conv_out_h(s), dpf_conv_out_w(s)};
    dnnl_dims_t w = {s->n, s->c, s->size, s->size};
    dnnl_dims_t gw = {s->groups, s->n / s->groups, s->c / s->groups, s->size, s->size};
    int grouped = s->groups > 1;
    dnnl_format_tag_t x_tag = conv->blocks & DPF_BLOCK_X ? dnnl_nChw16c : dnnl_nchw,
                      y_tag = conv->blocks & DPF_BLOCK_Y ? dnnl_nChw16c : dnnl_nchw;
    return dnnl_memory_desc_init_by_tag(&conv->md[X], 4, x, dnnl_f32, x_tag) ||
           dnnl_memory_desc_init_by_tag(&conv->md[DX], 4, x, dnnl_f32, x_tag) ||
           dnnl_memory_desc_init_by_tag(&conv->md[Y], 4, y, dnnl_f32, y_tag) ||
           dnnl_memory_desc_init_by_tag(&conv->md[W], grouped ? 5 : 4, grouped ? gw : w, dnnl_f32,
                                        grouped ? dnnl_goihw : dnnl_oihw) ||
           dnnl_memory_desc_init_by_tag(&conv->md[DW], grouped ? 5 : 4, grouped ? gw : w, dnnl_f32,
                                        grouped ? dnnl_goihw : dnnl_oihw);
}

/* The plain descriptor with the layout left to the primitive. */
static dnnl_memory_desc_t any(const dnnl_conv *conv, enum tensor t) {
    dnnl_memory_desc_t md;
    dnnl_memory_desc_init_by_tag(&md, conv->md[t].ndims, conv->md[t].dims, dnnl_f32, dnnl_format_tag_any);
    return md;
}

/* Takes over primitive and scratchpad from a primitive descriptor and destroys that. */
static int finish_step(dnnl_conv *conv, enum step step, dnnl_primitive_desc_t pd) {
    step_info *info = &conv->steps[step];
    info->scratch = *dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    int failed = dnnl_primitive_create(&info->primitive, pd) != dnnl_success;
    dnnl_primitive_desc_destroy(pd);
    return failed;
}

static void set_args(step_info *info, int count, int arg0, enum tensor t0, int arg1, enum tensor t1, int arg2,
                     enum tensor t2) {
    info->count = count;
    info->args[0].arg = arg0;
    info->args[0].tensor = t0;
    info->args[1].arg = arg1;
    info->args[1].tensor = t1;
    info->args[2].arg = arg2;
    info->args[2].tensor = t2;
}

static int conv_primitives(dnnl_conv *conv, dnnl_primitive_attr_t attr) {
    const dpf_conv_shape *s = &conv->s;
    dnnl_dims_t strides = {s->stride, s->stride}, pads = {s->pad, s->pad};
    dnnl_memory_desc_t x = any(conv, X), y = any(conv, Y), w = any(conv, W);
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_t forward = NULL, data = NULL, gradient = NULL;

    if (dnnl_convolution_forward_desc_init(&desc, dnnl_forward_training, conv->algorithm, &x, &w, NULL, &y, strides,
                                           pads, pads) ||
        dnnl_primitive_desc_create(&forward, &desc, attr, conv->engine, NULL))
        return 1;
    conv->md[F_X] = *dnnl_primitive_desc_query_md(forward, dnnl_query_src_md, 0);
    conv->md[F_W] = *dnnl_primitive_desc_query_md(forward, dnnl_query_weights_md, 0);
    conv->md[F_Y] = *dnnl_primitive_desc_query_md(forward, dnnl_query_dst_md, 0);

    if (dnnl_convolution_backward_data_desc_init(&desc, conv->algorithm, &x, &w, &y, strides, pads, pads) ||
        dnnl_primitive_desc_create(&data, &desc, attr, conv->engine, forward) ||
        dnnl_convolution_backward_weights_desc_init(&desc, conv->algorithm, &x, &w, NULL, &y, strides, pads, pads) ||
        dnnl_primitive_desc_create(&gradient, &desc, attr, conv->engine, forward)) {
        dnnl_primitive_desc_destroy(forward);
        if (data)
            dnnl_primitive_desc_destroy(data);
        return 1;
    }
    conv->md[D_DX] = *dnnl_primitive_desc_query_md(data, dnnl_query_diff_src_md, 0);
    conv->md[D_W] = *dnnl_primitive_desc_query_md(data, dnnl_query_weights_md, 0);
    conv->md[D_DY] = *dnnl_primitive_desc_query_md(data, dnnl_query_diff_dst_md, 0);
    conv->md[G_X] = *dnnl_primitive_desc_query_md(gradient, dnnl_query_src_md, 0);
    conv->md[G_DW] = *dnnl_primitive_desc_query_md(gradient, dnnl_query_diff_weights_md, 0);
    conv->md[G_DY] = *dnnl_primitive_desc_query_md(gradient, dnnl_query_diff_dst_md, 0);
    set_args(&conv->steps[FORWARD], 3, DNNL_ARG_SRC, F_X, DNNL_ARG_WEIGHTS, F_W, DNNL_ARG_DST, F_Y);
    set_args(&conv->steps[BACKWARD_DATA], 3, DNNL_ARG_DIFF_DST, D_DY, DNNL_ARG_WEIGHTS, D_W, DNNL_ARG_DIFF_SRC, D_DX);
    set_args(&conv->steps[BACKWARD_WEIGHTS], 3, DNNL_ARG_SRC, G_X, DNNL_ARG_DIFF_DST, G_DY, DNNL_ARG_DIFF_WEIGHTS,
             G_DW);
    int failed = finish_step(conv, BACKWARD_DATA, data);
    failed |= finish_step(conv, BACKWARD_WEIGHTS, gradient);
    failed |= finish_step(conv, FORWARD, forward);
    return failed;
}

/* A conversion; left out (and the tensor aliased to the plain one) when the layouts are equal. */
static int conversion(dnnl_conv *conv, enum step step, enum tensor from, enum tensor to, dnnl_primitive_attr_t attr) {
    enum tensor own = from > DW ? from : to, plain = from > DW ? to : from;
    step_info *info = &conv->steps[step];
    if (step != G_TO_DW && dnnl_memory_desc_equal(&conv->md[from], &conv->md[to])) {
        if (step != D_TO_DX) /* a sum needs a place of its own: see add_dx */
            conv->alias[own] = plain;
        return 0;
    }
    dnnl_primitive_desc_t pd;
    if (dnnl_reorder_primitive_desc_create(&pd, &conv->md[from], conv->engine, &conv->md[to], conv->engine, attr))
        return 1;
    set_args(info, 2, DNNL_ARG_FROM, from, DNNL_ARG_TO, to, 0, to);
    return finish_step(conv, step, pd);
}

static int build_steps(dnnl_conv *conv) {
    dnnl_primitive_attr_t attr = NULL, add = NULL;
    dnnl_post_ops_t post = NULL;
    int failed = dnnl_primitive_attr_create(&attr) || dnnl_primitive_attr_create(&add) || dnnl_post_ops_create(&post) ||
                 dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user) ||
                 dnnl_primitive_attr_set_scratchpad_mode(add, dnnl_scratchpad_mode_user) ||
                 dnnl_post_ops_append_sum(post, 1.0f) || dnnl_primitive_attr_set_post_ops(add, post);
    failed = failed || plain_md(conv) || conv_primitives(conv, attr);
    failed = failed || conversion(conv, X_TO_F, X, F_X, attr) || conversion(conv, W_TO_F, W, F_W, attr) ||
             conversion(conv, F_TO_Y, F_Y, Y, attr) || conversion(conv, Y_TO_D, Y, D_DY, attr) ||
             conversion(conv, W_TO_D, W, D_W, attr) || conversion(conv, D_TO_DX, D_DX, DX, add) ||
             conversion(conv, X_TO_G, X, G_X, attr) || conversion(conv, Y_TO_G, Y, G_DY, attr) ||
             conversion(conv, G_TO_DW, G_DW, DW, attr);
    /* backward-data and backward-weights mostly want dy in one layout: convert it once */
    if (!failed && dnnl_memory_desc_equal(&conv->md[D_DY], &conv->md[G_DY]))
        conv->alias[G_DY] = conv->alias[D_DY];
    if (post)
        dnnl_post_ops_destroy(post);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    if (add)
        dnnl_primitive_attr_destroy(add);
    return failed;
}

static int build_worker(dnnl_conv *conv, worker *me) {
    size_t scratch = 0;
    if (dnnl_stream_create(&me->stream, conv->engine, dnnl_stream_default_flags))
        return 1;
    for (int t = 0; t < TENSORS; ++t) {
        if (conv->alias[t] != (enum tensor)t)
            continue;
        void *handle = DNNL_MEMORY_NONE;
        if (t > DW && is_weight((enum tensor)t)) {
            handle = conv->shared[t];
        } else if (t > DW) {
            me->buffer[t] = dpf_aligned_floats(dnnl_memory_desc_get_size(&conv->md[t]) / sizeof(float));
            handle = me->buffer[t];
        }
        if ((t > DW && !handle) || dnnl_memory_create(&me->memory[t], &conv->md[t], conv->engine, handle))
            return 1;
    }
    for (int i = 0; i < STEPS; ++i)
        if (conv->steps[i].primitive && dnnl_memory_desc_get_size(&conv->steps[i].scratch) > scratch)
            scratch = dnnl_memory_desc_get_size(&conv->steps[i].scratch);
    me->scratch_buffer = dpf_aligned_floats(scratch / sizeof(float) + 1);
    me->sum_dw = dpf_aligned_floats(dnnl_memory_desc_get_size(&conv->md[G_DW]) / sizeof(float));
    if (conv->blocks & DPF_BLOCK_Y)
        me->made_dy = dpf_aligned_floats(chunk_floats(conv, Y));
    if (!me->scratch_buffer || !me->sum_dw || ((conv->blocks & DPF_BLOCK_Y) && !me->made_dy))
        return 1;
    for (int i = 0; i < STEPS; ++i)
        if (conv->steps[i].primitive &&
            dnnl_memory_create(&me->scratch[i], &conv->steps[i].scratch, conv->engine, me->scratch_buffer))
            return 1;
    return 0;
}

static void onednn_destroy(void *state) {
    dnnl_conv *conv = state;
    for (int i = 0; conv->team && i < conv->workers; ++i) {
        worker *me = &conv->team[i];
        for (int t = 0; t < TENSORS; ++t) {
            if (me->memory[t])
                dnnl_memory_destroy(me->memory[t]);
            free(me->buffer[t]);
        }
        for (int k = 0; k < STEPS; ++k)
            if (me->scratch[k])
                dnnl_memory_destroy(me->scratch[k]);
        free(me->scratch_buffer);
        free(me->sum_dw);
        free(me->made_dy);
        if (me->stream)
            dnnl_stream_destroy(me->stream);
    }
    for (int k = 0; k < STEPS; ++k)
        if (conv->steps[k].primitive)
            dnnl_primitive_destroy(conv->steps[k].primitive);
    if (conv->engine)
        dnnl_engine_destroy(conv->engine);
    for (int t = 0; t < TENSORS; ++t)
        free(conv->shared[t]);
    free(conv->parts);
    free(conv->team);
    free(conv);
}

static int build(dnnl_conv *conv) {
    if (dnnl_engine_create(&conv->engine, dnnl_cpu, 0) || build_steps(conv))
        return 1;
    for (int t = F_X; t < TENSORS; ++t)
        if (is_weight((enum tensor)t) && conv->alias[t] == (enum tensor)t) {
            conv->shared[t] = dpf_aligned_floats(dnnl_memory_desc_get_size(&conv->md[t]) / sizeof(float));
            if (!conv->shared[t])
                return 1;
        }
    conv->team = calloc((size_t)conv->workers, sizeof *conv->team);
    conv->parts = dpf_aligned_floats((size_t)conv->workers * conv->weights);
    if (!conv->team || !conv->parts)
        return 1;
    for (int i = 0; i < conv->workers; ++i)
        if (build_worker(conv, &conv->team[i]))
            return 1;
    return 0;
}

/* NULL when oneDNN cannot do it that way. */
static dnnl_conv *build_plan(const dpf_conv_shape *s, int blocks, const conv_plan *plan) {
    dnnl_conv *conv = calloc(1, sizeof *conv);
    if (!conv)
        return NULL;
    conv->s = *s;
    conv->blocks = blocks;
    conv->weights = (size_t)s->n * (size_t)(s->c / s->groups) * (size_t)s->size * (size_t)s->size;
    conv->workers = plan->workers;
    conv->inner = plan->inner;
    conv->chunk = plan->chunk;
    conv->algorithm = plan->winograd ? dnnl_convolution_winograd : dnnl_convolution_direct;
    for (int t = 0; t < TENSORS; ++t)
        conv->alias[t] = (enum tensor)t;
    /* a primitive remembers the number of threads at its creation */
    int threads_before = omp_get_max_threads();
    omp_set_num_threads(conv->inner);
    int failed = build(conv);
    omp_set_num_threads(threads_before);
    if (!failed)
        return conv;
    onednn_destroy(conv);
    return NULL;
}

static dpf_status onednn_create(void **state, const dpf_conv_shape *s, int blocks, int threads, dpf_error *err) {
    conv_plan plan = dpf_conv_plan(s, threads, 1);
    *state = build_plan(s, blocks, &plan);
    if (!*state && plan.winograd) { /* only AVX-512 has it */
        plan = dpf_conv_plan(s, threads, 0);
        *state = build_plan(s, blocks, &plan);
    }
    if (*state)
        return DPF_OK;
    return dpf_fail(err, DPF_ERR_UNSUPPORTED, "oneDNN cannot build a convolution of %d filters %dx%d/%d over %dx%dx%d",
                    s->n, s->size, s->size, s->stride, s->w, s->h, s->c);
}

/* --- running --------------------------------------------------------------------- */

static void run_step(dnnl_conv *conv, worker *me, enum step step) {
    const step_info *info = &conv->steps[step];
    if (!info->primitive)
        return;
    dnnl_exec_arg_t args[4];
    for (int i = 0; i < info->count; ++i) {
        args[i].arg = info->args[i].arg;
        args[i].memory = me->memory[conv->alias[info->args[i].tensor]];
    }
    args[info->count].arg = DNNL_ARG_SCRATCHPAD;
    args[info->count].memory = me->scratch[step];
    dnnl_primitive_execute(info->primitive, me->stream, info->count + 1, args);
}

static void point(worker *me, enum tensor t, const float *at) {
    dnnl_memory_set_data_handle(me->memory[t], (void *)at); /* inputs are only read */
}

/* The chunks [*first, *last) that worker w does; together: chunks that are not to be parted. */
static void share_of(const dnnl_conv *conv, int w, int together, int *first, int *last) {
    long parts = conv->s.batch / (conv->chunk * together);
    *first = (int)(parts * w / conv->workers) * together;
    *last = (int)(parts * (w + 1) / conv->workers) * together;
}

static void forward_worker(dnnl_conv *conv, int w, const float *x, float *y, const dpf_chunk_hook *after) {
    worker *me = &conv->team[w];
    size_t x_step = chunk_floats(conv, X), y_step = chunk_floats(conv, Y);
    int first, last;
    share_of(conv, w, 1, &first, &last);
    for (int c = first; c < last; ++c) {
        point(me, X, x + (size_t)c * x_step);
        point(me, Y, y + (size_t)c * y_step);
        run_step(conv, me, X_TO_F);
        run_step(conv, me, FORWARD);
        run_step(conv, me, F_TO_Y);
        if (after)
            after->run(after->context, c * conv->chunk, conv->chunk, conv->inner, y + (size_t)c * y_step);
    }
}

static void convert_weights(dnnl_conv *conv, const float *w, enum step step) {
    for (int i = 0; i < conv->workers; ++i)
        point(&conv->team[i], W, w);
    run_step(conv, &conv->team[0], step);
}

static void onednn_forward(void *state, const float *x, const float *w, float *y, const dpf_chunk_hook *after) {
    dnnl_conv *conv = state;
    convert_weights(conv, w, W_TO_F);
    if (conv->workers == 1) {
        forward_worker(conv, 0, x, y, after);
        return;
    }
#pragma omp parallel num_threads(conv->workers)
    for (int t = omp_get_thread_num(); t < conv->workers; t += omp_get_num_threads())
        forward_worker(conv, t, x, y, after);
}

/* The gradient of one chunk's input, which starts at dx. */
static void input_gradient(dnnl_conv *conv, worker *me, float *dx, int set_dx) {
    size_t floats = chunk_floats(conv, DX);
    if (!conv->steps[D_TO_DX].primitive) { /* one layout, thus no padding: the address may change */
        point(me, D_DX, set_dx ? dx : me->buffer[D_DX]);
        run_step(conv, me, BACKWARD_DATA);
        if (!set_dx)
            dpf_plane_ops()->accumulate(me->buffer[D_DX], dx, floats, 1);
        return;
    }
    if (set_dx)
        memset(dx, 0, floats * sizeof *dx);
    point(me, DX, dx);
    run_step(conv, me, BACKWARD_DATA);
    run_step(conv, me, D_TO_DX);
}

static void backward_worker(dnnl_conv *conv, int w, const dpf_conv_gradients *g) {
    worker *me = &conv->team[w];
    const dpf_input_hook *input = g->input;
    size_t x_step = chunk_floats(conv, X), y_step = chunk_floats(conv, Y);
    size_t dw_floats = dnnl_memory_desc_get_size(&conv->md[G_DW]) / sizeof(float);
    int first, last, one_dy = conv->alias[G_DY] != G_DY, span = input ? input->span / conv->chunk : 1;
    share_of(conv, w, span, &first, &last);
    for (int c = first; c < last; ++c) {
        float *made = input ? input->room + (size_t)(w * span + c % span) * y_step : me->made_dy;
        const float *dy = g->before ? made : g->dy + (size_t)c * y_step;
        if (g->before)
            g->before->run(g->before->context, c * conv->chunk, conv->chunk, conv->inner, made);
        point(me, X, g->x + (size_t)c * x_step);
        point(me, Y, dy);
        run_step(conv, me, X_TO_G);
        run_step(conv, me, Y_TO_D);
        if (!one_dy)
            run_step(conv, me, Y_TO_G);
        run_step(conv, me, BACKWARD_WEIGHTS);
        if (c == first)
            memcpy(me->sum_dw, me->buffer[G_DW], dw_floats * sizeof(float));
        else
            for (size_t i = 0; i < dw_floats; ++i)
                me->sum_dw[i] += me->buffer[G_DW][i];
        if (input && (c + 1) % span == 0)
            input->run(input->context, w, (c + 1 - span) * conv->chunk, dy - (size_t)(span - 1) * y_step);
        else if (!input && g->dx)
            input_gradient(conv, me, g->dx + (size_t)c * x_step, g->set_dx);
    }
    float *part = conv->parts + (size_t)w * conv->weights;
    if (first == last) {
        memset(part, 0, conv->weights * sizeof *part);
        return;
    }
    memcpy(me->buffer[G_DW], me->sum_dw, dw_floats * sizeof(float));
    point(me, DW, part);
    run_step(conv, me, G_TO_DW);
}

static void onednn_backward(void *state, const dpf_conv_gradients *g) {
    dnnl_conv *conv = state;
    if (!g->input)
        convert_weights(conv, g->w, W_TO_D);
    if (conv->workers == 1) {
        backward_worker(conv, 0, g);
    } else {
#pragma omp parallel num_threads(conv->workers)
        for (int t = omp_get_thread_num(); t < conv->workers; t += omp_get_num_threads())
            backward_worker(conv, t, g);
    }
    dpf_sum_parts(g->dw, conv->parts, conv->weights, conv->weights, conv->workers,
                  conv->workers > 1 ? conv->workers : conv->inner);
}

static int onednn_chunk(const void *state) {
    return ((const dnnl_conv *)state)->chunk;
}

const conv_backend dpf_conv_dnnl = {"oneDNN",     onednn_create,  onednn_destroy,
                                    onednn_chunk, onednn_forward, onednn_backward};

#endif
