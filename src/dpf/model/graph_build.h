/* SPDX-License-Identifier: MIT
 *
 * Shared by the files that build a graph (graph*.c); nobody else includes it.
 */
#ifndef DPF_MODEL_GRAPH_BUILD_H
#define DPF_MODEL_GRAPH_BUILD_H

#include "graph.h"

/* The state of one build: what the layer at hand gets from the one before. */
typedef struct dpf_build {
    dpf_graph *graph;
    size_t index;  /* of the layer at hand */
    int c, h, w;   /* its input, 0 where that is no picture */
    size_t inputs; /* in floats */
    size_t issues_room;
    dpf_error *err;
} dpf_build;

#define DPF_TRY(call)                                                                                                  \
    do {                                                                                                               \
        dpf_status try_status = (call);                                                                                \
        if (try_status != DPF_OK)                                                                                      \
            return try_status;                                                                                         \
    } while (0)

/* The largest number of floats that Darknet, which counts in int, can handle. */
#define DPF_MAX_FLOATS ((size_t)0x7fffffff)
/* Bound of a single dimension, so that sums and doublings of a few stay far inside an int. */
#define DPF_MAX_DIM (1L << 24)

/* Zeroed memory that lives as long as the graph; NULL when there is none (or count * size overflows). */
void *dpf_build_alloc(dpf_build *build, size_t count, size_t size);

/* Product of two sizes; 0 and an error when it is more than DPF_MAX_FLOATS. */
dpf_status dpf_build_product(dpf_build *build, const dpf_graph_layer *layer, size_t a, size_t b, size_t *out);

/* "file:line: layer 3 (maxpool): " and a message. */
dpf_status dpf_build_fail(dpf_build *build, const dpf_graph_layer *layer, dpf_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Keys of the layer's section. */
dpf_status dpf_build_int(dpf_build *build, const dpf_graph_layer *layer, const char *key, long fallback, long low,
                         long high, int *out);
dpf_status dpf_build_float(dpf_build *build, const dpf_graph_layer *layer, const char *key, double fallback,
                           float *out);

/* A comma list of numbers, as many as there are; *values is NULL and *count 0 when the key is absent. */
dpf_status dpf_build_list(dpf_build *build, const dpf_section *section, const char *key, double **values,
                          size_t *count);
/* The same for whole numbers in [low, high]. */
dpf_status dpf_build_int_list(dpf_build *build, const dpf_section *section, const char *key, long low, long high,
                              long **values, size_t *count);

/* Adds an issue; `what` is formatted. */
dpf_status dpf_build_issue(dpf_build *build, int layer, int line, int training_only, const char *who,
                           const char *format, ...) __attribute__((format(printf, 6, 7)));

/* graph_words.c */
dpf_status dpf_build_type(dpf_build *build, const dpf_section *section, dpf_layer_type *out);
dpf_status dpf_build_activation(dpf_build *build, dpf_graph_layer *layer, dpf_activation fallback);
/* Who builds it, or NULL for stock Darknet. */
const char *dpf_type_needs(dpf_layer_type type);

/* graph_layers.c, graph_heads.c: everything of one layer from its keys. */
dpf_status dpf_build_layer(dpf_build *build, dpf_graph_layer *layer);
dpf_status dpf_build_head(dpf_build *build, dpf_graph_layer *layer);

/* graph_net.c */
dpf_status dpf_build_net(dpf_build *build, const dpf_section *section);

/* graph_stock.c */
dpf_status dpf_build_issues(dpf_build *build, int layer, const dpf_section *section);

#endif
