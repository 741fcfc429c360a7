/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: any text as a cfg and as a .data file, with everything that is built
 * from it: the graph, its options, the text for a stock Darknet.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dpf/model/graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What graph.h promises for every graph. */
static void check(const dpf_graph *graph) {
    size_t offset = 0;
    for (size_t i = 0; i < graph->count; ++i) {
        const dpf_graph_layer *l = &graph->layers[i];
        if (l->offset != offset || l->parameters != l->weights + l->biases + 3 * l->bn + l->opaque)
            abort();
        for (size_t k = 0; k < l->from_count; ++k)
            if (l->from[k] < -1 || l->from[k] >= (long)i)
                abort();
        if (l->inputs > INT32_MAX || l->outputs > INT32_MAX || l->parameters > INT32_MAX)
            abort();
        offset += l->parameters;
    }
    if (offset != graph->parameters)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    dpf_cfg *cfg;
    dpf_graph *graph;
    dpf_error err;
    dpf_options options;
    if (dpf_cfg_parse(&cfg, "fuzz.cfg", (const char *)data, size, &err) != DPF_OK)
        return 0;
    for (size_t i = 0; i < cfg->count; ++i)
        dpf_section_find(&cfg->sections[i], "train"); /* as the reader of a .data file does */
    char *text = dpf_cfg_for_darknet(cfg);
    if (dpf_graph_new(&graph, cfg, NULL, &err) == DPF_OK) {
        check(graph);
        if (graph->has_dpf)
            dpf_graph_options(graph, &options, &err);
        dpf_graph_check_stock(graph, 1, &err);
        dpf_graph_free(graph);
        /* what goes to the stock Darknet must be a cfg of the same layers */
        dpf_cfg *again = NULL;
        if (!text || dpf_cfg_parse(&again, "again.cfg", text, strlen(text), &err) != DPF_OK ||
            dpf_graph_new(&graph, again, NULL, &err) != DPF_OK) {
            fprintf(stderr, "%s\n", err.text);
            abort();
        }
        dpf_graph_free(graph);
        dpf_cfg_free(again);
    }
    free(text);
    dpf_cfg_free(cfg);
    return 0;
}
