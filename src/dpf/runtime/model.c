/* SPDX-License-Identifier: MIT
 *
 * Loading a model, and questions about it.
 */
#include "model.h"

#include <omp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/random.h"
#include "../core/select.h"

#define MOST_THREADS 1024
#define MOST_BATCH 4096

/* cfg and weights as they come from the files. */
typedef struct files {
    dpf_container container;
    dpf_weights weights;
    float *values; /* of one of the two, or random */
} files;

static void free_files(files *f) {
    dpf_container_free(&f->container);
    dpf_weights_free(&f->weights);
}

/* Uniform with the variance that keeps the values of a layer as large as those before it. Batch
 * normalisation gets the running values that such a layer would have. */
static void random_layer(const dpf_graph_layer *l, float *values, uint64_t *state) {
    float *scales = values + l->biases + (l->type == DPF_CONNECTED ? l->weights : 0);
    float *weights = values + l->biases + (l->type == DPF_CONNECTED ? 0 : 3 * l->bn);
    size_t outputs = l->type == DPF_LOCAL ? l->outputs : (size_t)(l->filters ? l->filters : 1);
    double limit = sqrt(6.0 / ((double)(l->weights ? l->weights : 1) / (double)outputs));
    for (size_t i = 0; i < l->parameters; ++i)
        values[i] = (float)(0.1 * ((double)(random_next(state) >> 40) / 8388608.0 - 1));
    for (size_t i = 0; i < l->bn; ++i) {
        scales[i] += 1;
        scales[2 * l->bn + i] += 1;
    }
    for (size_t i = 0; i < l->weights; ++i)
        weights[i] = (float)(limit * ((double)(random_next(state) >> 40) / 8388608.0 - 1));
}

static dpf_status random_values(files *f, const dpf_graph *g, uint64_t seed, dpf_error *err) {
    f->weights.values = malloc((g->parameters ? g->parameters : 1) * sizeof(float));
    if (!f->weights.values)
        return dpf_fail_memory(err, g->parameters * sizeof(float), "random weights");
    f->values = f->weights.values;
    for (size_t i = 0; i < g->count; ++i) {
        uint64_t state = random_stream(seed, i);
        random_layer(&g->layers[i], f->values + g->layers[i].offset, &state);
    }
    return DPF_OK;
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

static dpf_status prune(const dpf_graph *g, float *values, const dpf_model_options *o, dpf_error *err) {
    for (size_t i = 0; i < g->count; ++i) {
        const dpf_graph_layer *l = &g->layers[i];
        float *weights = values + l->offset + l->biases + 3 * l->bn; /* prunable layers are convolutions */
        uint64_t state = random_stream(~o->seed, i);
        size_t pruned = (size_t)((double)l->weights * o->sparsity + 0.5);
        if (!l->prunable)
            continue;
        if (o->random)
            prune_random(weights, l->weights, pruned, &state);
        else
            RT_TRY(prune_smallest(weights, l->weights, pruned, err));
    }
    return DPF_OK;
}

static dpf_status read_files(dpf_model *m, files *f, const char *path, const char *weights, const dpf_model_options *o,
                             dpf_error *err) {
    int container = dpf_container_is(path);
    if (container && (weights || o->random))
        return dpf_fail(err, DPF_ERR_ARGUMENT, "%s: a .dpf file has its own weights%s%s", path,
                        weights ? "; there is no place for " : "", weights ? weights : "");
    if (container) {
        RT_TRY(dpf_container_read(&f->container, path, err));
        RT_TRY(dpf_cfg_parse(&m->cfg, path, f->container.cfg, f->container.cfg_size, err));
    } else {
        RT_TRY(dpf_cfg_read(&m->cfg, path, err));
        if (!weights && !o->random)
            return dpf_fail(err, DPF_ERR_ARGUMENT, "%s: a cfg needs its .weights file, too", path);
    }
    RT_TRY(dpf_graph_new(&m->graph, m->cfg, NULL, err));
    if (!container && weights)
        RT_TRY(dpf_weights_read(&f->weights, m->graph, weights, err));
    else if (!container)
        RT_TRY(random_values(f, m->graph, o->seed, err));
    f->values = container ? f->container.weights.values : f->weights.values;
    return o->sparsity > 0 ? prune(m->graph, f->values, o, err) : DPF_OK;
}

static dpf_status check_options(const dpf_model_options *o, dpf_error *err) {
    if (o->threads < 0 || o->threads > MOST_THREADS)
        return dpf_fail(err, DPF_ERR_RANGE, "threads=%d is out of range (allowed: 0 to %d)", o->threads, MOST_THREADS);
    if (o->batch < 0 || o->batch > MOST_BATCH)
        return dpf_fail(err, DPF_ERR_RANGE, "batch=%d is out of range (allowed: 0 to %d)", o->batch, MOST_BATCH);
    if (o->kernels < DPF_KERNELS_AUTO || o->kernels > DPF_KERNELS_BLAS)
        return dpf_fail(err, DPF_ERR_RANGE, "kernels=%d is out of range (allowed: %d to %d)", (int)o->kernels,
                        DPF_KERNELS_AUTO, DPF_KERNELS_BLAS);
    if (!(o->sparsity >= 0 && o->sparsity < 1))
        return dpf_fail(err, DPF_ERR_RANGE, "sparsity=%g is out of range (allowed: 0 to below 1)", o->sparsity);
    return DPF_OK;
}

dpf_status dpf_model_load(dpf_model **out, const char *path, const char *weights, const dpf_model_options *options,
                          dpf_error *err) {
    static const dpf_model_options none;
    const dpf_model_options *o = options ? options : &none;
    files f = {.values = NULL};
    *out = NULL;
    RT_TRY(check_options(o, err));
    dpf_model *m = calloc(1, sizeof *m);
    if (!m)
        return dpf_fail_memory(err, sizeof *m, "a model");
    m->threads = o->threads ? o->threads : omp_get_num_procs();
    m->batch = o->batch ? o->batch : 1;
    m->kernels = o->kernels;
    m->tune = o->tune;
    m->keep_layers = o->keep_layers;
    dpf_status status = read_files(m, &f, path, weights, o, err);
    if (status)
        goto end;
    for (size_t i = 0; i < m->graph->issues_count; ++i)
        m->fork |= m->graph->issues[i].who && !m->graph->issues[i].training_only; /* who: no mere remark */
    status = rt_build_all(m, f.values, err);
    if (!status)
        status = rt_plan_memory(m, err);
end:
    free_files(&f);
    if (status) {
        dpf_model_free(m);
        return status;
    }
    *out = m;
    return DPF_OK;
}

void dpf_model_free(dpf_model *m) {
    if (!m)
        return;
    for (size_t i = 0; i < m->step_count; ++i) {
        rt_step *s = &m->steps[i];
        free(s->in);
        free(s->weights);
        free(s->bias);
        dense_free(s->dense);
        spconv_free(s->sparse);
    }
    free(m->steps);
    free(m->arrays);
    free(m->outputs);
    dpf_graph_free(m->graph);
    dpf_cfg_free(m->cfg);
    free(m);
}

static int is_detector(dpf_layer_type type) {
    return type == DPF_YOLO || type == DPF_REGION || type == DPF_DETECTION;
}

void dpf_model_get_info(const dpf_model *m, dpf_model_info *out) {
    const dpf_graph *g = m->graph;
    *out = (dpf_model_info){.width = g->width,
                            .height = g->height,
                            .channels = g->channels,
                            .inputs = g->inputs,
                            .batch = m->batch,
                            .threads = m->threads,
                            .layers = g->count,
                            .steps = m->step_count,
                            .outputs = m->output_count,
                            .classes = (int)g->outputs,
                            .context_bytes = m->arena_floats * sizeof(float),
                            .weight_bytes = m->weight_bytes,
                            .multiply_adds = m->multiply_adds,
                            .useful = m->useful};
    for (size_t i = 0; i < g->count; ++i)
        if (is_detector(g->layers[i].type)) {
            out->detector = 1;
            out->classes = g->layers[i].head.classes;
        }
}

dpf_status dpf_model_output(const dpf_model *m, size_t index, dpf_output_info *out, dpf_error *err) {
    if (index >= m->output_count)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "output %zu of %zu", index, m->output_count);
    const rt_output *o = &m->outputs[index];
    const rt_array *a = &m->arrays[o->array];
    *out = (dpf_output_info){o->name, (int)o->layer, a->c, a->h, a->w, a->floats / (size_t)m->batch};
    return DPF_OK;
}

dpf_status dpf_model_find_output(const dpf_model *m, const char *name, size_t *index, dpf_error *err) {
    for (*index = 0; *index < m->output_count; ++*index)
        if (strcmp(m->outputs[*index].name, name) == 0)
            return DPF_OK;
    return dpf_fail(err, DPF_ERR_ARGUMENT, "%s: has no output '%.60s'", m->cfg->file, name);
}

dpf_status dpf_model_step(const dpf_model *m, size_t index, dpf_step_info *out, dpf_error *err) {
    if (index >= m->step_count)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "step %zu of %zu", index, m->step_count);
    const rt_step *s = &m->steps[index];
    const rt_array *a = &m->arrays[s->out];
    *out = (dpf_step_info){(int)s->number, s->what, s->kernel, s->why, a->c, a->h, a->w, s->multiply_adds, s->useful};
    return DPF_OK;
}
