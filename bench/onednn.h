/* SPDX-License-Identifier: MIT
 *
 * A convolution of oneDNN for a benchmark, in the layouts it likes best, with relu
 * fused. Whatever fails ends the program.
 */
#ifndef DPF_BENCH_ONEDNN_H
#define DPF_BENCH_ONEDNN_H

#include <dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dpf/kernels/conv.h"

/* The tensors of a convolution, as oneDNN numbers them. */
enum { SOURCE, WEIGHTS, BIAS, OUT, TENSORS };
static const int argument[TENSORS] = {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_BIAS, DNNL_ARG_DST};

typedef struct layouts {
    dnnl_memory_desc_t of[TENSORS];
} layouts;

typedef struct onednn {
    dpf_conv_shape shape;
    dnnl_primitive_t primitive; /* NULL: oneDNN has no such kernel for the shape */
    dnnl_exec_arg_t args[TENSORS];
    char name[64];
    double error; /* largest difference from direct over the largest value */
} onednn;

static dnnl_engine_t engine;
static dnnl_stream_t stream;
static dnnl_primitive_attr_t attributes; /* relu in the store */

static void fail(const char *what, const char *why) {
    fprintf(stderr, "kernels: %s: %s\n", what, why);
    exit(1);
}

static void check(dnnl_status_t status, const char *what) {
    if (status != dnnl_success)
        fail("oneDNN", what);
}

static float *floats(size_t count) {
    float *x = aligned_alloc(64, (count * sizeof *x + 64) / 64 * 64);
    if (!x)
        fail("memory", "not enough");
    return x;
}

/* Copies between a plain array and a memory of any layout. */
static void convert(const dnnl_memory_desc_t *plain, float *array, dnnl_memory_t other, int to_plain) {
    const dnnl_memory_desc_t *md;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t reorder;
    dnnl_memory_t memory;
    check(dnnl_memory_get_memory_desc(other, &md), "layout");
    check(dnnl_memory_create(&memory, plain, engine, array), "memory");
    check(dnnl_reorder_primitive_desc_create(&pd, to_plain ? md : plain, engine, to_plain ? plain : md, engine, NULL),
          "conversion");
    check(dnnl_primitive_create(&reorder, pd), "conversion");
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, to_plain ? other : memory}, {DNNL_ARG_TO, to_plain ? memory : other}};
    check(dnnl_primitive_execute(reorder, stream, 2, args), "conversion");
    check(dnnl_stream_wait(stream), "conversion");
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(pd);
    dnnl_memory_destroy(memory);
}

/* Plain layouts as Darknet has them, or (any) what the kernel likes best. */
static layouts layouts_of(const dpf_conv_shape *s, int any) {
    layouts l;
    dnnl_dims_t dims[TENSORS] = {{s->batch, s->c, s->h, s->w},
                                 {s->n, s->c, s->size, s->size},
                                 {s->n},
                                 {s->batch, s->n, dpf_conv_out_h(s), dpf_conv_out_w(s)}};
    for (int t = 0; t < TENSORS; t++) {
        dnnl_format_tag_t tag = any ? dnnl_format_tag_any : t == BIAS ? dnnl_a : dnnl_abcd;
        check(dnnl_memory_desc_init_by_tag(&l.of[t], t == BIAS ? 1 : 4, dims[t], dnnl_f32, tag), "layout");
    }
    return l;
}

/* The first of oneDNN's offers whose name contains `part`; NULL when there is none. */
static dnnl_primitive_desc_t offer(const dnnl_convolution_desc_t *desc, const char *part) {
    dnnl_primitive_desc_iterator_t offers;
    dnnl_primitive_desc_t found = NULL;
    if (dnnl_primitive_desc_iterator_create(&offers, desc, attributes, engine, NULL) != dnnl_success)
        return NULL;
    do {
        const char *name = "";
        dnnl_primitive_desc_t pd = dnnl_primitive_desc_iterator_fetch(offers);
        check(dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&name), "name");
        if (strstr(name, part))
            found = pd;
        else
            dnnl_primitive_desc_destroy(pd);
    } while (!found && dnnl_primitive_desc_iterator_next(offers) == dnnl_success);
    dnnl_primitive_desc_iterator_destroy(offers);
    return found;
}

/* arrays: plain source, weights and bias, which are copied. part: of the kernel's name. */
static void onednn_new(onednn *d, const dpf_conv_shape *s, float *const arrays[TENSORS], dnnl_alg_kind_t kind,
                       const char *part) {
    static const dnnl_query_t query[TENSORS] = {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_weights_md,
                                                dnnl_query_dst_md};
    layouts plain = layouts_of(s, 0), any = layouts_of(s, 1);
    dnnl_dims_t strides = {s->stride, s->stride}, pads = {s->pad, s->pad};
    dnnl_convolution_desc_t desc;
    dnnl_primitive_desc_t pd = NULL;
    const char *name = "";
    *d = (onednn){.shape = *s};
    if (dnnl_convolution_forward_desc_init(&desc, dnnl_forward_inference, kind, &any.of[SOURCE], &any.of[WEIGHTS],
                                           &any.of[BIAS], &any.of[OUT], strides, pads, pads) != dnnl_success ||
        !(pd = offer(&desc, part))) {
        if (kind == dnnl_convolution_direct)
            fail("oneDNN", "no direct convolution for a shape");
        return;
    }
    check(dnnl_primitive_create(&d->primitive, pd), "convolution");
    check(dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, (void *)&name), "name");
    snprintf(d->name, sizeof d->name, "%s", name);
    for (int t = 0; t < TENSORS; t++) {
        d->args[t].arg = argument[t];
        check(dnnl_memory_create(&d->args[t].memory, dnnl_primitive_desc_query_md(pd, query[t], t == BIAS), engine,
                                 DNNL_MEMORY_ALLOCATE),
              "memory");
        if (arrays[t])
            convert(&plain.of[t], arrays[t], d->args[t].memory, 0);
    }
    dnnl_primitive_desc_destroy(pd);
}

static void onednn_run(const onednn *d) {
    check(dnnl_primitive_execute(d->primitive, stream, TENSORS, d->args), "convolution");
    check(dnnl_stream_wait(stream), "convolution");
}

/* The result for these weights, as a plain array; the memory keeps them. */
static void onednn_result(onednn *d, float *weights, float *out) {
    layouts plain = layouts_of(&d->shape, 0);
    convert(&plain.of[WEIGHTS], weights, d->args[WEIGHTS].memory, 0);
    onednn_run(d);
    convert(&plain.of[OUT], out, d->args[OUT].memory, 1);
}

static void onednn_free(onednn *d) {
    for (int t = 0; d->primitive && t < TENSORS; t++)
        dnnl_memory_destroy(d->args[t].memory);
    if (d->primitive)
        dnnl_primitive_destroy(d->primitive);
}

static void start_onednn(int threads) {
    dnnl_post_ops_t relu;
    omp_set_num_threads(threads);
    check(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
    check(dnnl_post_ops_create(&relu), "attributes");
    check(dnnl_post_ops_append_eltwise(relu, 1, dnnl_eltwise_relu, 0, 0), "attributes");
    check(dnnl_primitive_attr_create(&attributes), "attributes");
    check(dnnl_primitive_attr_set_post_ops(attributes, relu), "attributes");
    dnnl_post_ops_destroy(relu);
}

#endif
