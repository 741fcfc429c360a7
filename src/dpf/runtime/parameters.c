/* SPDX-License-Identifier: MIT
 *
 * The parameters of a network, layer by layer, so that its floats never are in memory all
 * at once: from a .dpf file, from a .weights file, or random; pruned where the caller asks
 * for it. (One ranking over all layers needs all of them, so these are read at once.)
 */
#include "model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../core/random.h"
#include "../core/select.h"
#include "../model/modelfile.h"
#include "../model/prune.h"

/* Two numbers of a normal distribution of mean 0 and variance 1 (Box and Muller). */
static void random_normal(uint64_t *state, double out[2]) {
    const double u = ((double)(random_next(state) >> 11) + 1) * 0x1p-53; /* (0, 1] */
    const double angle = (double)(random_next(state) >> 11) * 0x1p-53 * 2 * 3.14159265358979323846;
    const double radius = sqrt(-2 * log(u));
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

/* As Darknet begins: of a normal distribution, with the variance that keeps the values of a layer as large as
 * those before it. Batch normalisation gets the running values that such a layer would have. */
static void random_layer(const dpf_graph_layer *l, float *values, uint64_t *state) {
    float *scales = values + l->biases + (l->type == DPF_CONNECTED ? l->weights : 0);
    float *weights = values + l->biases + (l->type == DPF_CONNECTED ? 0 : 3 * l->bn);
    size_t outputs = l->type == DPF_LOCAL ? l->outputs : (size_t)(l->filters ? l->filters : 1);
    double deviation = sqrt(2.0 / ((double)(l->weights ? l->weights : 1) / (double)outputs)), pair[2] = {0};
    for (size_t i = 0; i < l->parameters; ++i)
        values[i] = (float)(0.1 * ((double)(random_next(state) >> 40) / 8388608.0 - 1));
    for (size_t i = 0; i < l->bn; ++i) {
        scales[i] += 1;
        scales[2 * l->bn + i] += 1;
    }
    for (size_t i = 0; i < l->weights; ++i) {
        if (i % 2 == 0)
            random_normal(state, pair);
        weights[i] = (float)(deviation * pair[i % 2]);
    }
}

/* Zeroes the smallest of the layer's weights, in the way that a mask is chosen in training. */
static dpf_status prune_smallest(float *weights, size_t count, size_t pruned, dpf_error *err) {
    dpf_ranked tensor = {.weights = weights, .count = count, .together = 1, .cap = count};
    dpf_selection selection;
    size_t t, at;
    RT_TRY(dpf_selection_init(&selection, &tensor, 1, err));
    if (dpf_selection_scan(&selection, &t, &at)) {
        dpf_selection_clear(&selection);
        return dpf_fail(err, DPF_ERR_NUMERIC, "weight %zu of a layer is not a finite number: it cannot be pruned", at);
    }
    dpf_selection_run(&selection, pruned);
    size_t ties = tensor.ties;
    for (size_t i = 0; i < count; ++i) {
        uint32_t key = dpf_magnitude_key(weights[i]);
        int tie = key == tensor.threshold && ties > 0;
        ties -= (size_t)tie;
        if (key < tensor.threshold || tie)
            weights[i] = 0;
    }
    dpf_selection_clear(&selection);
    return DPF_OK;
}

/* Exactly `pruned` of them, each set alike likely. */
static void prune_random(float *weights, size_t count, size_t pruned, uint64_t *state) {
    for (size_t i = 0; i < count; ++i)
        if (random_below(state, count - i) < pruned) {
            weights[i] = 0;
            --pruned;
        }
}

static dpf_status prune(const dpf_graph_layer *l, size_t index, float *values, const dpf_model_options *o,
                        dpf_error *err) {
    float *weights = values + l->biases + 3 * l->bn; /* prunable layers are convolutions */
    uint64_t state = random_stream(~o->seed, index);
    const size_t pruned = (size_t)((double)l->weights * o->sparsity + 0.5);
    if (!o->random)
        return prune_smallest(weights, l->weights, pruned, err);
    prune_random(weights, l->weights, pruned, &state);
    return DPF_OK;
}

static dpf_status open_files(rt_parameters *p, dpf_model *m, const char *path, const char *weights, dpf_error *err) {
    const dpf_model_options *o = p->options;
    if (dpf_modelfile_is_packed(path)) {
        size_t size;
        if (weights || o->random)
            return dpf_fail(err, DPF_ERR_ARGUMENT, "%s: a .dpf file has its own weights%s%s", path,
                            weights ? "; there is no place for " : "", weights ? weights : "");
        RT_TRY(dpf_container_stream_open(&p->packed, path, err));
        const char *text = dpf_container_stream_cfg(p->packed, &size);
        RT_TRY(dpf_cfg_parse(&m->cfg, path, text, size, err));
        return dpf_graph_new(&m->graph, m->cfg, NULL, err);
    }
    RT_TRY(dpf_cfg_read(&m->cfg, path, err));
    if (!weights && !o->random)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "%s: a cfg needs its .weights file, too", path);
    RT_TRY(dpf_graph_new(&m->graph, m->cfg, NULL, err));
    return weights ? dpf_weights_stream_open(&p->plain, m->graph, weights, err) : DPF_OK;
}

static void drop_layer(rt_parameters *p) {
    free(p->layer);
    p->layer = NULL;
    dpf_rows_free(&p->rows);
}

void rt_parameters_close(rt_parameters *p) {
    dpf_container_stream_close(p->packed);
    dpf_weights_stream_close(p->plain);
    drop_layer(p);
    free(p->all);
}

/* Room for that many parameters of one layer; what is there stays. */
static dpf_status make_room(rt_parameters *p, size_t count, dpf_error *err) {
    float *grown = realloc(p->layer, (count + 1) * sizeof *grown);
    if (!grown)
        return dpf_fail_memory(err, count * sizeof *grown, "the weights of a layer");
    p->layer = grown;
    return DPF_OK;
}

static dpf_status next_floats(rt_parameters *p, float *out, size_t count, dpf_error *err) {
    return p->packed ? dpf_container_stream_next(p->packed, out, count, err)
                     : dpf_weights_stream_next(p->plain, out, count, err);
}

static dpf_status next_rows(rt_parameters *p, size_t rows, size_t width, size_t kept, dpf_error *err) {
    return p->packed ? dpf_container_stream_next_rows(p->packed, &p->rows, rows, width, err)
                     : dpf_weights_stream_next_rows(p->plain, &p->rows, rows, width, kept, err);
}

/* From a file. The weights of a convolution that may run sparse never are made dense. */
static dpf_status read_layer(rt_parameters *p, const dpf_graph_layer *l, dpf_error *err) {
    const int pruned_here = l->prunable && p->options->sparsity > 0;
    const size_t weights = l->type == DPF_CONVOLUTIONAL && !pruned_here ? l->weights : 0;
    const size_t others = l->parameters - weights;
    size_t kept;
    RT_TRY(make_room(p, others, err));
    RT_TRY(next_floats(p, p->layer, others, err));
    if (!weights)
        return DPF_OK;
    if (p->packed)
        kept = dpf_container_stream_kept(p->packed, weights);
    else
        RT_TRY(dpf_weights_stream_kept(p->plain, weights, &kept, err));
    if ((double)kept < RT_MOST_DENSITY * (double)weights)
        return next_rows(p, (size_t)l->filters, weights / (size_t)l->filters, kept, err);
    RT_TRY(make_room(p, l->parameters, err));
    return next_floats(p, p->layer + others, weights, err);
}

/* All layers, pruned by one ranking as in training. */
static dpf_status read_pruned(rt_parameters *p, const dpf_graph *g, dpf_error *err) {
    dpf_options how;
    dpf_pruned counts;
    RT_TRY(dpf_prune_options(&how, g, p->options->sparsity, DPF_GLOBAL, err));
    p->all = malloc((g->parameters + 1) * sizeof *p->all);
    if (!p->all)
        return dpf_fail_memory(err, g->parameters * sizeof *p->all, "the weights of all layers");
    for (size_t i = 0; i < g->count; ++i) {
        const dpf_graph_layer *l = &g->layers[i];
        uint64_t state = random_stream(p->options->seed, i);
        if (p->packed || p->plain)
            RT_TRY(next_floats(p, p->all + l->offset, l->parameters, err));
        else
            random_layer(l, p->all + l->offset, &state);
    }
    if (p->packed)
        RT_TRY(dpf_container_stream_finish(p->packed, err));
    return dpf_prune(&counts, g, &how, p->all, err);
}

dpf_status rt_parameters_open(rt_parameters *p, dpf_model *m, const char *path, const char *weights, dpf_error *err) {
    RT_TRY(open_files(p, m, path, weights, err));
    return p->options->global && p->options->sparsity > 0 ? read_pruned(p, m->graph, err) : DPF_OK;
}

dpf_status rt_parameters_next(rt_parameters *p, const dpf_graph *g, size_t index, float **values, dpf_rows **rows,
                              dpf_error *err) {
    const dpf_graph_layer *l = &g->layers[index];
    drop_layer(p);
    *rows = NULL;
    if (p->all) {
        *values = p->all + l->offset;
        return DPF_OK;
    }
    if (p->packed || p->plain) {
        RT_TRY(read_layer(p, l, err));
        if (p->packed && index + 1 == g->count)
            RT_TRY(dpf_container_stream_finish(p->packed, err));
    } else {
        uint64_t state = random_stream(p->options->seed, index);
        RT_TRY(make_room(p, l->parameters, err));
        random_layer(l, p->layer, &state);
    }
    *values = p->layer;
    *rows = p->rows.start ? &p->rows : NULL;
    return l->prunable && p->options->sparsity > 0 ? prune(l, index, *values, p->options, err) : DPF_OK;
}
