/* SPDX-License-Identifier: MIT
 *
 * See prune.h.
 */
#include "prune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/pruner.h"
#include "../core/select.h"
#include "inspect.h"

/* Binary and xnor layers keep their weights in another way; training does not prune them either. */
static int can_prune(const dpf_graph_layer *l) {
    return l->type == DPF_CONVOLUTIONAL && l->prunable && !l->binary && !l->xnor && l->weights;
}

dpf_status dpf_prune_options(dpf_options *out, const dpf_graph *graph, double sparsity, int scope, dpf_error *err) {
    dpf_options o = {.sparsity = -1, .update_every = 1, .scope = DPF_GLOBAL, .feedback = 1};
    if (graph->has_dpf)
        o = graph->options;
    if (sparsity >= 0)
        o.sparsity = sparsity;
    if (scope >= 0)
        o.scope = (dpf_scope)scope;
    if (o.sparsity < 0)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "%s: how much is to be pruned? It has no [dpf] section",
                        graph->cfg->file);
    /* the mask of the end of the ramp, at once */
    o.schedule = DPF_CONSTANT;
    o.initial_sparsity = 0;
    o.begin = o.end = o.hold = 0;
    o.has_end = o.has_hold = 1;
    *out = o;
    return DPF_OK;
}

void dpf_prunable_zeros(const dpf_graph *graph, const float *values, size_t *weights, size_t *zeros) {
    *weights = *zeros = 0;
    for (size_t i = 0; i < graph->count; ++i) {
        if (!can_prune(&graph->layers[i]))
            continue;
        const float *w = values + dpf_weights_start(graph, i);
        *weights += graph->layers[i].weights;
        for (size_t k = 0; k < graph->layers[i].weights; ++k)
            *zeros += dpf_magnitude_key(w[k]) == 0;
    }
}

/* Chooses one mask over the tensors and puts the pruned weights in the place of the dense ones. */
static dpf_status prune_tensors(const dpf_options *options, const dpf_tensor *tensors, size_t count, size_t *pruned,
                                dpf_error *err) {
    dpf_pruner *pruner;
    dpf_pruner_stats stats;
    dpf_status status = dpf_pruner_new(&pruner, options, tensors, count, err);
    if (status == DPF_OK)
        status = dpf_pruner_start(pruner, 0, err);
    if (status == DPF_OK) {
        for (size_t i = 0; i < count; ++i)
            memcpy(tensors[i].weights, dpf_pruner_pruned(pruner, i), tensors[i].count * sizeof(float));
        dpf_pruner_get_stats(pruner, &stats);
        *pruned = stats.count - stats.kept;
    }
    dpf_pruner_free(pruner);
    return status;
}

dpf_status dpf_prune(dpf_pruned *out, const dpf_graph *graph, const dpf_options *options, float *values,
                     dpf_error *err) {
    size_t count = 0;
    dpf_tensor *tensors = calloc(graph->count + 1, sizeof *tensors);
    char(*names)[64] = calloc(graph->count + 1, sizeof *names);
    dpf_status status = DPF_OK;
    dpf_error why;
    dpf_pruned result = {0};
    if (!tensors || !names) {
        status = dpf_fail_memory(err, graph->count * sizeof *tensors, "the layers");
        goto done;
    }
    for (size_t i = 0; i < graph->count; ++i) {
        const dpf_graph_layer *l = &graph->layers[i];
        if (!can_prune(l))
            continue;
        dpf_graph_describe(graph, i, names[count], sizeof *names);
        tensors[count] = (dpf_tensor){names[count], values + dpf_weights_start(graph, i), l->weights, l->sparsity};
        ++count;
    }
    if (!count) {
        status = dpf_fail(err, DPF_ERR_RANGE,
                          "%s: nothing to prune: no convolutional layer of this cfg is prunable; prune=1 in a layer's "
                          "section makes it so",
                          graph->cfg->file);
        goto done;
    }
    dpf_prunable_zeros(graph, values, &result.weights, &result.zeros);
    status = prune_tensors(options, tensors, count, &result.pruned, &why);
    if (status != DPF_OK)
        dpf_fail(err, status, "%s: %.900s", graph->cfg->file, why.text);
    else
        *out = result;
done:
    free(tensors);
    free(names);
    return status;
}

dpf_status dpf_prune_layer(const dpf_graph *graph, size_t layer, double sparsity, float *values, dpf_error *err) {
    const dpf_graph_layer *l = &graph->layers[layer];
    const dpf_options options = {
        .sparsity = sparsity, .update_every = 1, .schedule = DPF_CONSTANT, .scope = DPF_GLOBAL, .feedback = 1};
    char name[64];
    size_t pruned;
    dpf_graph_describe(graph, layer, name, sizeof name);
    const dpf_tensor tensor = {name, values + dpf_weights_start(graph, layer), l->weights, -1};
    return prune_tensors(&options, &tensor, 1, &pruned, err);
}
