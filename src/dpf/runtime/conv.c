/* SPDX-License-Identifier: MIT
 *
 * Convolutions as steps: batch normalisation folded into the weights, then what choose.c
 * chose.
 */
#include "choose.h"

#include <math.h>
#include <string.h>

void rt_batchnorm(const rt_build *b, const dpf_graph_layer *l, const float *scales, size_t channel, double *factor,
                  double *shift, double bias) {
    const float *means = scales + l->bn, *variances = means + l->bn;
    double variance = (double)variances[channel];
    double deviation = b->model->fork ? sqrt(variance + 1e-5) : sqrt(variance) + 1e-6;
    *factor = (double)scales[channel] / deviation;
    *shift = bias - (double)means[channel] * *factor;
}

void rt_fold(rt_build *b, const dpf_graph_layer *l, float **w, float **bias) {
    float *values = b->values;
    int behind = l->type == DPF_CONNECTED; /* the three of batch normalisation come after the weights */
    const float *scales = values + l->biases + (behind ? l->weights : 0);
    const size_t row = l->bn ? l->weights / l->bn : 0;
    *w = values + l->biases + (behind ? 0 : 3 * l->bn);
    *bias = values;
    for (size_t i = 0; i < l->bn; ++i) {
        double factor, shift;
        rt_batchnorm(b, l, scales, i, &factor, &shift, (double)values[i]);
        (*bias)[i] = (float)shift;
        float *of_row = b->rows ? b->rows->value + b->rows->start[i] : *w + i * row;
        const size_t count = b->rows ? b->rows->start[i + 1] - b->rows->start[i] : row;
        for (size_t k = 0; k < count; ++k)
            of_row[k] = (float)((double)of_row[k] * factor);
    }
}

static int is_channel_activation(dpf_activation act) {
    return act == DPF_NORM_CHAN || act == DPF_NORM_CHAN_SOFTMAX || act == DPF_NORM_CHAN_SOFTMAX_MAXVAL;
}

/* Hands the kernel over to the step. */
static void take(rt_build *b, rt_step *s, rt_choice *c) {
    memcpy(s->kernel, c->kernel, sizeof s->kernel);
    memcpy(s->why, c->why, sizeof s->why);
    b->model->weight_bytes += c->bytes;
    s->dense = c->dense;
    s->sparse = c->sparse;
    s->depthwise = c->depthwise;
    c->dense = NULL;
    c->sparse = NULL;
    c->depthwise = NULL;
}

static dpf_status make_step(rt_build *b, const rt_conv *conv, rt_choice *c) {
    const dpf_graph_layer *l = conv->l;
    const size_t side = c->pooled ? 2 : 1;
    size_t in, out;
    in = conv->in;
    if (rt_converts(b, conv, c))
        RT_TRY(rt_as(b, conv->in, c->lanes_in, &in));
    RT_TRY(rt_array_new(b, (size_t)l->out_c, (size_t)l->out_h / side, (size_t)l->out_w / side, c->lanes_out, &out));
    if (c->wide_out)
        RT_TRY(rt_widen(b, out));
    rt_step *s;
    RT_TRY(rt_step_new(b, &s, "convolutional", NULL, &in, 1, out));
    s->multiply_adds = (double)b->model->batch * l->multiply_adds;
    s->useful = (double)b->model->batch * (double)conv->nonzeros * l->out_h * l->out_w;
    b->pooled = c->pooled;
    b->waiting = c->waiting;
    take(b, s, c);
    RT_TRY(rt_scratch(b, b->model->step_count - 1, c->scratch));
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

/* Debian's Darknet takes the input of a 1x1 filter as it lies, whatever the stride: what counts as channel c of the
 * output's size are as many floats from the group's first on. That is what it was trained with, so a stock cfg gets
 * it here too; the fork does what stride= says. */
static dpf_status take_unstrided(rt_build *b, dpf_graph_layer *l, size_t *array) {
    size_t in, out;
    rt_step *s;
    if (l->pad)
        return rt_fail(b, DPF_ERR_UNSUPPORTED, "has padding=%d with size=1, for which Darknet reads past its input",
                       l->pad);
    RT_TRY(rt_as(b, *array, 1, &in));
    RT_TRY(rt_array_new(b, (size_t)l->c, (size_t)l->out_h, (size_t)l->out_w, 1, &out));
    RT_TRY(rt_step_new(b, &s, "first floats", rt_first_floats, &in, 1, out));
    l->h = l->out_h;
    l->w = l->out_w;
    l->inputs = (size_t)l->c * (size_t)l->h * (size_t)l->w;
    l->stride = l->stride_x = l->stride_y = 1;
    *array = out;
    return DPF_OK;
}

/* Is the output read by a maxpool alone, of 2 x 2 pixels that do not overlap? */
static int feeds_pool(const rt_build *b) {
    const dpf_graph *g = b->model->graph;
    const dpf_graph_layer *pool = &g->layers[b->index + 1];
    if (b->index + 1 >= g->count || rt_is_output(b->model, b->index) || pool->type != DPF_MAXPOOL || pool->size != 2 ||
        pool->stride_x != 2 || pool->stride_y != 2 || pool->pad / 2 != 0 || pool->h != 2 * pool->out_h ||
        pool->w != 2 * pool->out_w)
        return 0;
    for (size_t i = b->index + 1; i < g->count; ++i)
        for (size_t k = 0; k < g->layers[i].from_count; ++k)
            if ((g->layers[i].from[k] == (int)b->index) != (i == b->index + 1))
                return 0;
    return 1;
}

/* Shortcuts of two layers of one size add them value by value. */
static int adds_equal(const dpf_graph *g, const dpf_graph_layer *l) {
    if (l->from_count != 2 || l->opaque > 0 || l->from[0] < 0 || l->from[1] < 0)
        return 0;
    const dpf_graph_layer *a = &g->layers[l->from[0]], *b = &g->layers[l->from[1]];
    return a->out_c == b->out_c && a->out_h == b->out_h && a->out_w == b->out_w;
}

/* Can all that read the output of `layer` do with wide planes? *gains is set to 1 where one of them is faster. */
static int readers_take_wide(const rt_build *b, size_t layer, int *gains) {
    const dpf_graph *g = b->model->graph;
    if (rt_is_output(b->model, layer))
        return 0;
    for (size_t i = layer + 1; i < g->count; ++i) {
        const dpf_graph_layer *l = &g->layers[i];
        int reads = 0;
        for (size_t k = 0; k < l->from_count; ++k)
            reads |= l->from[k] == (int)layer;
        if (!reads)
            continue;
        if (l->type == DPF_CONVOLUTIONAL)
            *gains |= l->size == 1 && l->stride == 1 && !l->pad;
        else if (l->type == DPF_SHORTCUT && adds_equal(g, l))
            *gains = 1;
        else if (l->type == DPF_ROUTE && l->from_count == 1 && l->route_groups == 1) { /* another name for it */
            if (!readers_take_wide(b, i, gains))
                return 0;
        } else
            return 0;
    }
    return 1;
}

int rt_wants_wide(const rt_build *b) {
    const dpf_graph_layer *l = &b->model->graph->layers[b->index];
    const size_t area = (size_t)l->out_h * (size_t)l->out_w, whole = spconv_whole(area);
    int gains = 0;
    return whole != area && whole <= 2 * area && dense_can_relayout() && readers_take_wide(b, b->index, &gains) &&
           gains;
}

dpf_status rt_build_convolution(rt_build *b, const dpf_graph_layer *layer) {
    dpf_graph_layer own = *layer, *l = &own;
    float *w, *bias;
    int channels = is_channel_activation(l->activation);
    rt_conv conv = {.l = l, .act = channels ? DPF_LINEAR_ACT : l->activation, .in = rt_source(b, 0)};
    rt_choice chosen = {.dense = NULL};
    if (l->size == 1 && !b->model->fork && (l->stride > 1 || l->pad))
        RT_TRY(take_unstrided(b, l, &conv.in));
    rt_fold(b, l, &w, &bias);
    conv.w = w;
    conv.bias = bias;
    conv.nonzeros = b->rows ? b->rows->count : 0;
    for (size_t i = 0; i < l->weights && !b->rows; ++i)
        conv.nonzeros += w[i] != 0;
    conv.pool = !channels && feeds_pool(b);
    conv.wide = !channels && rt_wants_wide(b);
    dpf_status status = rt_choose(b, &conv, &chosen);
    if (!status)
        status = make_step(b, &conv, &chosen);
    rt_choice_free(&chosen);
    return status || !channels ? status : normalize_channels(b, l);
}
