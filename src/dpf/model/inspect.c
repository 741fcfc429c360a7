/* SPDX-License-Identifier: MIT
 *
 * See inspect.h.
 */
#include "inspect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "../core/select.h"
#include "container_parts.h"

/* How the weights of a layer lie: kernel k (of `kernels`, each `area` weights one after the
 * other) belongs to filter k / each, or k % filters where the filters lie interleaved. */
typedef struct layout {
    size_t filters, kernels, area, each;
    int interleaved;
} layout;

static layout layout_of(const dpf_graph_layer *l) {
    layout a = {.filters = 1, .area = 1};
    if (l->type == DPF_CONVOLUTIONAL || l->type == DPF_DECONVOLUTIONAL || l->type == DPF_LOCAL)
        a.area = (size_t)l->size * (size_t)l->size;
    a.kernels = l->weights / a.area;
    if (l->type == DPF_CONVOLUTIONAL || l->type == DPF_DECONVOLUTIONAL)
        a.filters = (size_t)l->filters;
    else if (l->type == DPF_LOCAL) /* every place has filters of its own */
        a.filters = (size_t)l->filters * (size_t)l->out_h * (size_t)l->out_w;
    else
        a.filters = l->outputs;
    a.each = a.kernels / a.filters;
    a.interleaved = l->type == DPF_DECONVOLUTIONAL; /* channel by channel there */
    return a;
}

size_t dpf_weights_start(const dpf_graph *graph, size_t layer) {
    const dpf_graph_layer *l = &graph->layers[layer];
    /* convolutions have their weights last, connected layers theirs after the biases */
    return l->offset + (l->type == DPF_CONNECTED ? l->biases : l->parameters - l->weights);
}

void dpf_describe_shape(const dpf_graph *graph, size_t layer, char *text, size_t size) {
    const dpf_graph_layer *l = &graph->layers[layer];
    const layout a = layout_of(l);
    if (!l->weights)
        snprintf(text, size, "-");
    else if (l->type == DPF_CONNECTED)
        snprintf(text, size, "%zux%zu", a.filters, a.each);
    else
        snprintf(text, size, "%zux%zux%dx%d", a.filters, a.each, l->size, l->size);
}

/* Two passes: the squares are taken about the mean, and lose nothing to its size. */
static void moments(dpf_facts *f, const float *w) {
    double sum = 0, squares = 0;
    f->mean = f->deviation = (double)NAN;
    for (size_t i = 0; i < f->weights; ++i)
        f->not_finite += dpf_magnitude_key(w[i]) >= DPF_INFINITY_KEY;
    if (f->not_finite || !f->weights)
        return;
    for (size_t i = 0; i < f->weights; ++i)
        sum += (double)w[i];
    f->mean = sum / (double)f->weights;
    for (size_t i = 0; i < f->weights; ++i)
        squares += ((double)w[i] - f->mean) * ((double)w[i] - f->mean);
    f->deviation = sqrt(squares / (double)f->weights);
}

static dpf_status count_kept(dpf_facts *f, const layout *a, const float *w, dpf_error *err) {
    unsigned char *alive = calloc(a->filters + 1, 1);
    if (!alive)
        return dpf_fail_memory(err, a->filters + 1, "the filters of a layer");
    for (size_t k = 0; k < a->kernels; ++k) {
        size_t here = 0;
        for (size_t i = 0; i < a->area; ++i)
            here += dpf_magnitude_key(w[k * a->area + i]) != 0;
        f->kept += here;
        f->kernels_kept += here != 0;
        if (here)
            alive[a->interleaved ? k % a->filters : k / a->each] = 1;
    }
    for (size_t i = 0; i < a->filters; ++i)
        f->filters_kept += alive[i];
    free(alive);
    return DPF_OK;
}

/* Bytes of the smaller mask, as the writer of .dpf files makes them. */
static dpf_status mask_size(size_t *size, const dpf_facts *f, const float *w, dpf_error *err) {
    const uint32_t *bits = (const uint32_t *)(const void *)w;
    size_t not_zero = 0, bitmask = f->weights / 8 + (f->weights % 8 != 0);
    for (size_t i = 0; i < f->weights; ++i)
        not_zero += bits[i] != 0;
    *size = 0;
    if (not_zero == f->weights)
        return DPF_OK;
    dpfc_bytes index = {0};
    dpfc_mask_append(&index, bits, f->weights, DPFC_INDEX);
    *size = index.size < bitmask ? index.size : bitmask;
    free(index.data);
    return index.failed ? dpf_fail_memory(err, f->weights, "the index of a layer") : DPF_OK;
}

dpf_status dpf_inspect_layer(dpf_facts *out, const dpf_graph *graph, size_t layer, const float *values, int half,
                             dpf_error *err) {
    const dpf_graph_layer *l = &graph->layers[layer];
    const float *w = values + dpf_weights_start(graph, layer);
    dpf_facts f = {.weights = l->weights, .parameters = l->parameters, .multiply_adds = l->multiply_adds};
    f.bytes = l->parameters * sizeof *values;
    f.packed = f.bytes;
    if (l->weights) {
        const layout a = layout_of(l);
        size_t mask;
        f.filters = a.filters;
        f.kernels = a.kernels;
        dpf_status status = count_kept(&f, &a, w, err);
        if (status == DPF_OK)
            status = mask_size(&mask, &f, w, err);
        if (status != DPF_OK)
            return status;
        f.packed = (l->parameters - l->weights) * sizeof *values + f.kept * (half ? 2 : 4) + mask;
        f.sparse_multiply_adds = l->multiply_adds * ((double)f.kept / (double)f.weights);
    }
    moments(&f, w);
    *out = f;
    return DPF_OK;
}

void dpf_facts_add(dpf_facts *total, const dpf_facts *f) {
    total->weights += f->weights;
    total->kept += f->kept;
    total->filters += f->filters;
    total->filters_kept += f->filters_kept;
    total->kernels += f->kernels;
    total->kernels_kept += f->kernels_kept;
    total->not_finite += f->not_finite;
    total->multiply_adds += f->multiply_adds;
    total->sparse_multiply_adds += f->sparse_multiply_adds;
    total->parameters += f->parameters;
    total->bytes += f->bytes;
    total->packed += f->packed;
}
