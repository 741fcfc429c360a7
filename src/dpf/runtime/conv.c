/* SPDX-License-Identifier: MIT
 *
 * Convolutions: batch normalisation folded into the weights, then dense or sparse, by a
 * small model in processor cycles on one thread (both share their work alike):
 *
 *   sparse  what spconv models for this density
 *   dense   multiply-adds / (2 vectors a cycle * 0.8), and 1 cycle for each float that
 *           im2col writes where oneDNN cannot do the layer
 *   both    0.4 cycles for each float of input or output that needs another layout
 *
 * Sparse is looked at only below a density of 0.75, where it could win, and for
 * depthwise layers without oneDNN.
 */
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../kernels/cpu.h"

#define MOST_DENSITY 0.75
#define DENSE_EFFICIENCY 0.8
#define RELAYOUT_CYCLES 0.4

void rt_batchnorm(const rt_build *b, const dpf_graph_layer *l, const float *scales, size_t channel, double *factor,
                  double *shift, double bias) {
    const float *means = scales + l->bn, *variances = means + l->bn;
    double variance = (double)variances[channel];
    double deviation = b->model->fork ? sqrt(variance + 1e-5) : sqrt(variance) + 1e-6;
    *factor = (double)scales[channel] / deviation;
    *shift = bias - (double)means[channel] * *factor;
}

dpf_status rt_fold(rt_build *b, const dpf_graph_layer *l, float **w, float **bias) {
    const float *values = b->values + l->offset;
    int behind = l->type == DPF_CONNECTED; /* the three of batch normalisation come after the weights */
    const float *scales = values + l->biases + (behind ? l->weights : 0);
    const float *weights = values + l->biases + (behind ? 0 : 3 * l->bn);
    *w = rt_floats(b, l->weights);
    *bias = rt_floats(b, l->biases);
    if (!*w || !*bias) {
        free(*w);
        free(*bias);
        return DPF_ERR_MEMORY;
    }
    memcpy(*w, weights, l->weights * sizeof **w);
    memcpy(*bias, values, l->biases * sizeof **bias);
    size_t row = l->bn ? l->weights / l->bn : 0;
    for (size_t i = 0; i < l->bn; ++i) {
        double factor, shift;
        rt_batchnorm(b, l, scales, i, &factor, &shift, (double)values[i]);
        (*bias)[i] = (float)shift;
        for (size_t k = i * row; k < (i + 1) * row; ++k)
            (*w)[k] = (float)((double)(*w)[k] * factor);
    }
    return DPF_OK;
}

/* One convolution being decided. */
typedef struct candidate {
    const dpf_graph_layer *l;
    dpf_activation act; /* to be fused */
    const float *w, *bias;
    size_t nonzeros;
    size_t in; /* array of the input, as it is */
    dense *dense;
    spconv *sparse;
    double dense_cycles, sparse_cycles; /* INFINITY: cannot */
} candidate;

static int is_channel_activation(dpf_activation act) {
    return act == DPF_NORM_CHAN || act == DPF_NORM_CHAN_SOFTMAX || act == DPF_NORM_CHAN_SOFTMAX_MAXVAL;
}

static double floats_of(const rt_build *b, const candidate *c, int output) {
    return (double)b->model->batch * (double)(output ? c->l->outputs : c->l->inputs);
}

static dpf_status make_dense(rt_build *b, candidate *c) {
    const dpf_graph_layer *l = c->l;
    const dense_shape shape = {b->model->batch, l->c,        l->h,   l->w,        l->filters, l->size,
                               l->stride_x,     l->stride_y, l->pad, l->dilation, l->groups};
    RT_TRY(dense_new(&c->dense, &shape, c->act, c->w, c->bias, b->model->threads, DENSE_AUTO, b->err));
    dense_info info;
    dense_get_info(c->dense, &info);
    double vector = dpf_cpu_isa() == DPF_ISA_AVX512 ? 16 : dpf_cpu_isa() == DPF_ISA_AVX2 ? 8 : 4;
    double products = (double)b->model->batch * l->multiply_adds;
    c->dense_cycles = products / (2 * vector * DENSE_EFFICIENCY);
    if (info.lanes_out == 1 && info.scratch)
        c->dense_cycles += products / ((double)l->filters / l->groups);
    if (b->model->arrays[c->in].lanes != info.lanes_in)
        c->dense_cycles += RELAYOUT_CYCLES * floats_of(b, c, 0);
    if (b->model->arrays[c->in].lanes == 1 && info.lanes_out != 1) /* what is plain now probably shall be again */
        c->dense_cycles += RELAYOUT_CYCLES * floats_of(b, c, 1);
    return DPF_OK;
}

static dpf_status make_sparse(rt_build *b, candidate *c) {
    const dpf_graph_layer *l = c->l;
    const dpf_conv_shape shape = {b->model->batch, l->c, l->h, l->w, l->filters, l->size, l->stride, l->pad, l->groups};
    const spconv_options options = {.threads = b->model->threads};
    RT_TRY(spconv_new(&c->sparse, &shape, c->act, c->w, c->bias, &options, b->err));
    spconv_info info;
    spconv_get_info(c->sparse, &info);
    c->sparse_cycles = info.cycles_modelled;
    if (b->model->arrays[c->in].lanes != 1)
        c->sparse_cycles += RELAYOUT_CYCLES * floats_of(b, c, 0);
    return DPF_OK;
}

/* Makes what may serve, and frees what loses. */
static dpf_status choose(rt_build *b, candidate *c) {
    const dpf_graph_layer *l = c->l;
    dpf_engine engine = b->model->engine;
    double density = (double)c->nonzeros / (double)l->weights;
    int can_be_sparse = l->stride_x == l->stride_y && l->dilation == 1;
    c->dense_cycles = c->sparse_cycles = INFINITY;
    if (engine != DPF_ENGINE_SPARSE || !can_be_sparse)
        RT_TRY(make_dense(b, c));
    dense_info info = {.lanes_out = 0};
    if (c->dense)
        dense_get_info(c->dense, &info);
    int slow_depthwise = l->groups > 1 && l->groups == l->c && info.lanes_out == 1;
    if (can_be_sparse && engine != DPF_ENGINE_DENSE &&
        (engine == DPF_ENGINE_SPARSE || density < MOST_DENSITY || slow_depthwise))
        RT_TRY(make_sparse(b, c));
    if (c->sparse && c->dense && c->sparse_cycles < c->dense_cycles) {
        dense_free(c->dense);
        c->dense = NULL;
    } else if (c->sparse && c->dense) {
        spconv_free(c->sparse);
        c->sparse = NULL;
    }
    return DPF_OK;
}

static void say_why(rt_step *s, const candidate *c) {
    double share = 100.0 * (double)c->nonzeros / (double)c->l->weights;
    if (isfinite(c->dense_cycles) && isfinite(c->sparse_cycles))
        snprintf(s->why, sizeof s->why, "%.1f %% of weights; Mcycles modelled: sparse %.2f, dense %.2f", share,
                 c->sparse_cycles / 1e6, c->dense_cycles / 1e6);
    else
        snprintf(s->why, sizeof s->why, "%.1f %% of weights", share);
}

static void take_sparse(rt_build *b, rt_step *s, candidate *c) {
    spconv_info info;
    spconv_get_info(c->sparse, &info);
    snprintf(s->kernel, sizeof s->kernel, "sparse %s", dpf_isa_name(info.isa));
    b->model->weight_bytes += info.packed_bytes;
    s->sparse = c->sparse;
    c->sparse = NULL;
}

static void take_dense(rt_build *b, rt_step *s, candidate *c) {
    dense_info info;
    dense_get_info(c->dense, &info);
    snprintf(s->kernel, sizeof s->kernel, "%s", info.name);
    b->model->weight_bytes += info.bytes;
    s->dense = c->dense;
    c->dense = NULL;
}

static dpf_status make_step(rt_build *b, candidate *c) {
    const dpf_graph_layer *l = c->l;
    size_t in, out, lanes_in = 1, lanes_out = 1, scratch;
    if (c->dense) {
        dense_info info;
        dense_get_info(c->dense, &info);
        lanes_in = info.lanes_in;
        lanes_out = info.lanes_out;
        scratch = info.scratch;
    } else {
        scratch = spconv_scratch(c->sparse);
    }
    RT_TRY(rt_as(b, c->in, lanes_in, &in));
    RT_TRY(rt_array_new(b, (size_t)l->out_c, (size_t)l->out_h, (size_t)l->out_w, lanes_out, &out));
    rt_step *s;
    RT_TRY(rt_step_new(b, &s, "convolutional", NULL, &in, 1, out));
    s->multiply_adds = (double)b->model->batch * l->multiply_adds;
    s->useful = (double)b->model->batch * (double)c->nonzeros * l->out_h * l->out_w;
    say_why(s, c);
    if (c->dense)
        take_dense(b, s, c);
    else
        take_sparse(b, s, c);
    RT_TRY(rt_scratch(b, b->model->step_count - 1, scratch));
    rt_result(b, out);
    return DPF_OK;
}

/* The activations that look at all channels of a pixel are a step of their own. */
static dpf_status normalize_channels(rt_build *b, const dpf_graph_layer *l) {
    size_t in, out;
    RT_TRY(rt_as(b, b->of_layer[b->index], 1, &in));
    RT_TRY(rt_array_new(b, (size_t)l->out_c, (size_t)l->out_h, (size_t)l->out_w, 1, &out));
    rt_step *s;
    RT_TRY(rt_step_new(b, &s, "activation", rt_normalize_channels, &in, 1, out));
    s->in_place = 1;
    rt_result(b, out);
    return DPF_OK;
}

dpf_status rt_build_convolution(rt_build *b, const dpf_graph_layer *l) {
    float *w, *bias;
    int channels = is_channel_activation(l->activation);
    candidate c = {.l = l, .act = channels ? DPF_LINEAR_ACT : l->activation, .in = rt_source(b, 0)};
    RT_TRY(rt_fold(b, l, &w, &bias));
    c.w = w;
    c.bias = bias;
    for (size_t i = 0; i < l->weights; ++i)
        c.nonzeros += w[i] != 0;
    dpf_status status = choose(b, &c);
    free(w);
    free(bias);
    if (!status)
        status = make_step(b, &c);
    dense_free(c.dense);
    spconv_free(c.sparse);
    return status || !channels ? status : normalize_channels(b, l);
}
