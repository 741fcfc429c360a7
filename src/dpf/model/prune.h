/* SPDX-License-Identifier: MIT
 *
 * Pruning the weights of a model at once, by magnitude, without training.
 *
 * What must stay true: the counts and the choice are those of the pruner that trains
 * (core/pruner.h), so they are exact and repeat bit for bit; a pruned weight becomes +0,
 * every other parameter keeps its bits.
 */
#ifndef DPF_MODEL_PRUNE_H
#define DPF_MODEL_PRUNE_H

#include "../core/error.h"
#include "modelfile.h"

/* What to prune by: the [dpf] section of the graph, without its schedule. sparsity (-1: none) and scope
 * (-1: none) stand in for those of the section. Fails when neither says how much. */
dpf_status dpf_prune_options(dpf_options *out, const dpf_graph *graph, double sparsity, int scope, dpf_error *err);

typedef struct dpf_pruned {
    size_t weights; /* prunable ones */
    size_t zeros;   /* of them were 0 before */
    size_t pruned;  /* by the mask: round(sparsity * weights) */
} dpf_pruned;

/* Prunes the prunable layers in `values`, all floats of a .weights file. */
dpf_status dpf_prune(dpf_pruned *out, const dpf_graph *graph, const dpf_options *options, float *values,
                     dpf_error *err);

/* Prunes one convolutional layer and no other to round(sparsity * its weights). */
dpf_status dpf_prune_layer(const dpf_graph *graph, size_t layer, double sparsity, float *values, dpf_error *err);

/* How many prunable weights there are, and how many of them are 0. */
void dpf_prunable_zeros(const dpf_graph *graph, const float *values, size_t *weights, size_t *zeros);

#endif
