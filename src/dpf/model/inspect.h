/* SPDX-License-Identifier: MIT
 *
 * How sparse is a model, and where: counts and moments of each layer's weights.
 *
 * A weight counts as kept when it is not 0 (-0 is 0; the bits are looked at, so that
 * a mode of the FPU which flushes small numbers changes nothing). A kernel is the size x
 * size piece that connects one input channel to one filter, a single weight in a connected
 * layer. The mean and the deviation (of the whole population) are over all weights, zeros too.
 */
#ifndef DPF_MODEL_INSPECT_H
#define DPF_MODEL_INSPECT_H

#include <stddef.h>

#include "graph.h"

typedef struct dpf_facts {
    size_t weights, kept;
    size_t filters, filters_kept; /* rows of the weight matrix; kept: with a weight that is not 0 */
    size_t kernels, kernels_kept;
    size_t not_finite;                          /* weights that are NaN or infinite */
    double mean, deviation;                     /* NaN when there are such weights, or none at all */
    double multiply_adds, sparse_multiply_adds; /* of one picture */
    size_t parameters;                          /* biases and batch-norm values too */
    size_t bytes;                               /* in a .weights file */
    size_t packed;                              /* in a .dpf file before its compression */
} dpf_facts;

/* What layer `layer` has in `values`, all floats of a .weights file. half: packed as float16. */
dpf_status dpf_inspect_layer(dpf_facts *out, const dpf_graph *graph, size_t layer, const float *values, int half,
                             dpf_error *err);

/* Adds the counts of a layer to a total, whose mean and deviation stay 0. */
void dpf_facts_add(dpf_facts *total, const dpf_facts *facts);

/* The first of the layer's weights in `values`. */
size_t dpf_weights_start(const dpf_graph *graph, size_t layer);

/* "64x32x3x3": filters, channels of one, rows, columns; "10x512" of a connected layer. */
void dpf_describe_shape(const dpf_graph *graph, size_t layer, char *text, size_t size);

#endif
