/* SPDX-License-Identifier: MIT
 *
 * See graph.h. Sections are taken in order; each layer is finished before the next
 * one is looked at, so a layer can only refer to layers that are complete.
 */
#include "graph.h"
#include "graph_build.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One allocation of the graph; all are chained and freed together. */
typedef struct block {
    struct block *next;
    max_align_t data[];
} block;

void *dpf_build_alloc(dpf_build *build, size_t count, size_t size) {
    if (size && count > (SIZE_MAX - sizeof(block)) / size)
        return NULL;
    block *b = calloc(1, sizeof *b + count * size);
    if (!b)
        return NULL;
    b->next = build->graph->storage;
    build->graph->storage = b;
    return b->data;
}

dpf_status dpf_build_fail(dpf_build *build, const dpf_graph_layer *layer, dpf_status status, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!layer)
        return dpf_fail(build->err, status, "%s:%d: [net] %s", build->graph->cfg->file,
                        build->graph->cfg->sections[0].line, text);
    return dpf_fail(build->err, status, "%s:%d: layer %zu (%s) %s", build->graph->cfg->file, layer->line, build->index,
                    dpf_layer_type_name(layer->type), text);
}

dpf_status dpf_build_product(dpf_build *build, const dpf_graph_layer *layer, size_t a, size_t b, size_t *out) {
    *out = 0;
    if (b && a > DPF_MAX_FLOATS / b)
        return dpf_build_fail(build, layer, DPF_ERR_RANGE, "is too large: %zu * %zu floats (allowed: %zu)", a, b,
                              DPF_MAX_FLOATS);
    *out = a * b;
    return DPF_OK;
}

dpf_status dpf_build_int(dpf_build *build, const dpf_graph_layer *layer, const char *key, long fallback, long low,
                         long high, int *out) {
    long value = 0;
    DPF_TRY(dpf_section_int(build->graph->cfg, layer->keys, key, fallback, low, high, &value, build->err));
    *out = (int)value;
    return DPF_OK;
}

dpf_status dpf_build_float(dpf_build *build, const dpf_graph_layer *layer, const char *key, double fallback,
                           float *out) {
    double value = 0;
    DPF_TRY(dpf_section_float(build->graph->cfg, layer->keys, key, fallback, -1e30, 1e30, &value, build->err));
    *out = (float)value;
    return DPF_OK;
}

dpf_status dpf_build_list(dpf_build *build, const dpf_section *section, const char *key, double **values,
                          size_t *count) {
    *values = NULL;
    *count = 0;
    const dpf_key *found = dpf_section_find(section, key);
    if (!found)
        return DPF_OK;
    size_t n = 1;
    for (const char *c = found->value; *c; ++c)
        n += *c == ',';
    double *list = dpf_build_alloc(build, n, sizeof *list);
    if (!list)
        return dpf_fail_memory(build->err, n * sizeof *list, key);
    const char *at = found->value;
    for (size_t i = 0; i < n; ++i) {
        char *end;
        list[i] = strtod(at, &end);
        int last = *end == '\0' || *end == '#' || *end == ';';
        if (last && end == at && i > 0) { /* a comma at the end, as some cfgs have it */
            n = i;
            break;
        }
        if (end == at || !(last || *end == ',') || !isfinite(list[i]))
            return dpf_fail(build->err, DPF_ERR_FORMAT, "%s:%d: %s=%.60s: entry %zu is not a number",
                            build->graph->cfg->file, found->line, key, found->value, i + 1);
        at = end + 1;
        if (last)
            n = i + 1;
    }
    *values = list;
    *count = n;
    return DPF_OK;
}

dpf_status dpf_build_int_list(dpf_build *build, const dpf_section *section, const char *key, long low, long high,
                              long **values, size_t *count) {
    double *list;
    *values = NULL;
    DPF_TRY(dpf_build_list(build, section, key, &list, count));
    if (!list)
        return DPF_OK;
    long *whole = dpf_build_alloc(build, *count, sizeof *whole);
    if (!whole)
        return dpf_fail_memory(build->err, *count * sizeof *whole, key);
    for (size_t i = 0; i < *count; ++i) {
        if (list[i] != floor(list[i]) || list[i] < (double)low || list[i] > (double)high)
            return dpf_fail(build->err, DPF_ERR_RANGE, "%s:%d: %s: entry %zu is %g (allowed: whole numbers %ld to %ld)",
                            build->graph->cfg->file, dpf_section_find(section, key)->line, key, i + 1, list[i], low,
                            high);
        whole[i] = (long)list[i];
    }
    *values = whole;
    return DPF_OK;
}

dpf_status dpf_build_issue(dpf_build *build, int layer, int line, int training_only, const char *who,
                           const char *format, ...) {
    dpf_graph *graph = build->graph;
    if (graph->issues_count == build->issues_room) {
        size_t room = 2 * build->issues_room + 8;
        dpf_issue *grown = dpf_build_alloc(build, room, sizeof *grown);
        if (!grown)
            return dpf_fail_memory(build->err, room * sizeof *grown, "a list");
        if (graph->issues_count)
            memcpy(grown, graph->issues, graph->issues_count * sizeof *grown);
        graph->issues = grown;
        build->issues_room = room;
    }
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *copy = dpf_build_alloc(build, strlen(text) + 1, 1);
    if (!copy)
        return dpf_fail_memory(build->err, strlen(text) + 1, "a message");
    strcpy(copy, text);
    graph->issues[graph->issues_count++] = (dpf_issue){layer, line, training_only, copy, who, 0};
    return DPF_OK;
}

/* Keys that make Darknet read or write the weights of a layer in another way than usual. */
static int find_unusual_load(const dpf_section *section) {
    static const char *const names[] = {"dontload", "dontsave", "numload", "dontloadscales", "flipped"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        const dpf_key *key = dpf_section_find(section, names[i]);
        if (key && strtol(key->value, NULL, 10) != 0)
            return key->line;
    }
    return 0;
}

static dpf_status count_parameters(dpf_build *build, dpf_graph_layer *layer) {
    dpf_graph *graph = build->graph;
    /* Each term is at most DPF_MAX_FLOATS, so the sum cannot wrap. */
    layer->parameters = layer->biases + 3 * layer->bn + layer->weights + layer->opaque;
    if (layer->parameters > DPF_MAX_FLOATS)
        return dpf_build_fail(build, layer, DPF_ERR_RANGE, "has too many parameters: %zu (allowed: %zu)",
                              layer->parameters, DPF_MAX_FLOATS);
    layer->offset = graph->parameters;
    if (graph->parameters > SIZE_MAX / 8 - layer->parameters)
        return dpf_build_fail(build, layer, DPF_ERR_RANGE, "makes the network too large");
    graph->parameters += layer->parameters;
    graph->multiply_adds += layer->multiply_adds;
    return DPF_OK;
}

static dpf_status add_layer(dpf_build *build, size_t index) {
    dpf_graph *graph = build->graph;
    const dpf_section *section = &graph->cfg->sections[index];
    if (strcmp(section->type, "net") == 0 || strcmp(section->type, "network") == 0)
        return dpf_fail(build->err, DPF_ERR_FORMAT, "%s:%d: a second [%s] section", graph->cfg->file, section->line,
                        section->type);
    dpf_graph_layer *layer = &graph->layers[graph->count];
    DPF_TRY(dpf_build_type(build, section, &layer->type));
    layer->section = index;
    layer->line = section->line;
    layer->keys = section;
    layer->c = build->c;
    layer->h = build->h;
    layer->w = build->w;
    layer->inputs = build->inputs;
    layer->size = layer->stride = layer->stride_x = layer->stride_y = layer->dilation = 1;
    layer->groups = layer->route_groups = 1;
    layer->activation = DPF_LINEAR_ACT;
    layer->sparsity = -1;
    layer->needs = dpf_type_needs(layer->type);
    layer->unusual_load = find_unusual_load(section);
    build->index = graph->count;

    int *before = dpf_build_alloc(build, 1, sizeof *before);
    if (!before)
        return dpf_fail_memory(build->err, sizeof *before, "a layer number");
    *before = (int)graph->count - 1;
    layer->from = before;
    layer->from_count = 1;
    if (layer->needs)
        DPF_TRY(dpf_build_issue(build, (int)graph->count, section->line, 0, layer->needs, "[%s]", section->type));
    dpf_status status = dpf_build_layer(build, layer);
    if (status == DPF_OK || status == DPF_ERR_MISMATCH) /* what is odd about it may explain why it does not fit */
        DPF_TRY(dpf_build_issues(build, (int)graph->count, section));
    if (status != DPF_OK)
        return status;
    DPF_TRY(count_parameters(build, layer));
    ++graph->count;
    build->c = layer->out_c;
    build->h = layer->out_h;
    build->w = layer->out_w;
    build->inputs = layer->outputs;
    return DPF_OK;
}

static int is_head(dpf_layer_type type) {
    return type == DPF_DETECTION || type == DPF_REGION || type == DPF_YOLO || type == DPF_GAUSSIAN_YOLO ||
           type == DPF_SOFTMAX || type == DPF_COST;
}

/* Layers that a head reads are not prunable by default; then prune= and sparsity= have their say. */
static dpf_status apply_layer_options(dpf_build *build) {
    dpf_graph *graph = build->graph;
    for (size_t i = 0; i < graph->count; ++i)
        for (size_t k = 0; is_head(graph->layers[i].type) && k < graph->layers[i].from_count; ++k)
            if (graph->layers[i].from[k] >= 0)
                graph->layers[graph->layers[i].from[k]].prunable_default = 0;
    for (size_t i = 0; i < graph->count; ++i) {
        dpf_graph_layer *layer = &graph->layers[i];
        if (layer->type != DPF_CONVOLUTIONAL) {
            for (size_t k = 0; k < layer->keys->count; ++k)
                if (dpf_layer_options_is_key(layer->keys->keys[k].key))
                    return dpf_fail(build->err, DPF_ERR_FORMAT,
                                    "%s:%d: %s= is for [convolutional] sections, not for [%s]", graph->cfg->file,
                                    layer->keys->keys[k].line, layer->keys->keys[k].key, layer->keys->type);
            continue;
        }
        dpf_layer_options options = {-1, -1};
        DPF_TRY(dpf_layer_options_parse(&options, graph->cfg->file, layer->keys->keys, layer->keys->count, build->err));
        layer->prunable = options.prune >= 0 ? options.prune : layer->prunable_default;
        layer->sparsity = options.sparsity;
        if (options.sparsity >= 0 && !layer->prunable)
            return dpf_fail(build->err, DPF_ERR_RANGE, "%s:%d: layer %zu has sparsity= but is not prunable%s",
                            graph->cfg->file, layer->line, i,
                            options.prune == 0 ? " (prune=0)"
                                               : " by default (it feeds a head or is depthwise); prune=1 makes it so");
        if (layer->prunable)
            graph->prunable_weights += layer->weights;
    }
    return DPF_OK;
}

/* Finds the one [dpf] section of a file; NULL when it has none. */
static dpf_status find_dpf(const dpf_cfg *cfg, const dpf_section **out, dpf_error *err) {
    *out = NULL;
    for (size_t i = 0; i < cfg->count; ++i) {
        const dpf_section *section = &cfg->sections[i];
        if (strcmp(section->type, "dpf") != 0)
            continue;
        if (*out)
            return dpf_fail(err, DPF_ERR_FORMAT, "%s:%d: a second [dpf] section; the first is in line %d", cfg->file,
                            section->line, (*out)->line);
        *out = section;
    }
    return DPF_OK;
}

static dpf_status parse_dpf(dpf_build *build, const dpf_cfg *other) {
    dpf_graph *graph = build->graph;
    const dpf_section *section;
    DPF_TRY(find_dpf(graph->cfg, &section, build->err));
    graph->dpf_file = graph->cfg->file;
    if (other) {
        DPF_TRY(find_dpf(other, &section, build->err));
        if (!section)
            return dpf_fail(build->err, DPF_ERR_FORMAT, "%s: has no [dpf] section", other->file);
        if (other->count != 1)
            return dpf_fail(build->err, DPF_ERR_FORMAT, "%s:%d: only a [dpf] section may stand in this file",
                            other->file, other->sections[section == other->sections].line);
        graph->dpf_file = other->file;
    }
    if (!section)
        return DPF_OK;
    if (graph->prunable_weights == 0)
        return dpf_fail(build->err, DPF_ERR_RANGE, "%s:%d: [dpf] but no layer of %s is prunable", graph->dpf_file,
                        section->line, graph->cfg->file);
    graph->has_dpf = 1;
    graph->dpf_line = section->line;
    return dpf_options_parse(&graph->options, graph->dpf_file, section->line, section->keys, section->count,
                             build->err);
}

static dpf_status build_all(dpf_build *build, const dpf_cfg *dpf) {
    dpf_graph *graph = build->graph;
    const dpf_cfg *cfg = graph->cfg;
    const dpf_section *net = &cfg->sections[0];
    if (strcmp(net->type, "net") != 0 && strcmp(net->type, "network") != 0)
        return dpf_fail(build->err, DPF_ERR_FORMAT, "%s:%d: the first section must be [net], not %s%.60s%s", cfg->file,
                        net->line, net->type[0] ? "[" : "keys without a section", net->type, net->type[0] ? "]" : "");
    DPF_TRY(dpf_build_net(build, net));
    DPF_TRY(dpf_build_issues(build, -1, net));
    build->c = graph->channels;
    build->h = graph->height;
    build->w = graph->width;
    build->inputs = graph->inputs;
    graph->layers = dpf_build_alloc(build, cfg->count, sizeof *graph->layers);
    if (!graph->layers)
        return dpf_fail_memory(build->err, cfg->count * sizeof *graph->layers, "layers");
    for (size_t i = 1; i < cfg->count; ++i)
        if (strcmp(cfg->sections[i].type, "dpf") != 0)
            DPF_TRY(add_layer(build, i));
    if (graph->count == 0)
        return dpf_fail(build->err, DPF_ERR_FORMAT, "%s: has no layers", cfg->file);
    graph->output_layer = graph->count - 1;
    while (graph->output_layer > 0 && graph->layers[graph->output_layer].type == DPF_COST)
        --graph->output_layer;
    graph->outputs = graph->layers[graph->output_layer].outputs;
    DPF_TRY(apply_layer_options(build));
    return parse_dpf(build, dpf);
}

/* A shape that does not fit often follows from a key that was misspelt or that this Darknet
 * ignores; so the message about it names the first such key, if there was one. */
static void add_suspicion(const dpf_graph *graph, dpf_error *err) {
    char text[512], message[sizeof err->text];
    const dpf_issue *suspect = NULL;
    for (size_t i = 0; i < graph->issues_count && !suspect; ++i)
        if ((!graph->issues[i].who || !graph->issues[i].training_only) &&
            strncmp(graph->issues[i].what, "activation", 10) != 0)
            suspect = &graph->issues[i];
    if (!err || err->status != DPF_ERR_MISMATCH || !suspect)
        return;
    dpf_graph_issue_text(graph, suspect, text, sizeof text);
    memcpy(message, err->text, sizeof message);
    dpf_fail(err, err->status, "%.500s; perhaps because of this: %s", message, text);
}

dpf_status dpf_graph_new(dpf_graph **out, const dpf_cfg *cfg, const dpf_cfg *dpf, dpf_error *err) {
    *out = NULL;
    dpf_graph *graph = calloc(1, sizeof *graph);
    if (!graph)
        return dpf_fail_memory(err, sizeof *graph, cfg->file);
    graph->cfg = cfg;
    dpf_build build = {.graph = graph, .err = err};
    dpf_status status = build_all(&build, dpf);
    if (status != DPF_OK) {
        add_suspicion(graph, err);
        dpf_graph_free(graph);
        return status;
    }
    *out = graph;
    return DPF_OK;
}

void dpf_graph_free(dpf_graph *graph) {
    if (!graph)
        return;
    for (block *b = graph->storage; b;) {
        block *next = b->next;
        free(b);
        b = next;
    }
    free(graph);
}

size_t dpf_graph_second_step(const dpf_graph *graph) {
    int lowered = 0;
    for (size_t i = 0; i < graph->steps_count; ++i) {
        int counts = graph->steps[i] > 0 && graph->scales[i] < 1;
        if (counts && graph->max_batches && (size_t)graph->steps[i] > graph->max_batches)
            return 0;
        if (counts && ++lowered == 2)
            return (size_t)graph->steps[i];
    }
    return 0;
}

dpf_status dpf_graph_options(const dpf_graph *graph, dpf_options *out, dpf_error *err) {
    if (!graph->has_dpf)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "%s: has no [dpf] section", graph->cfg->file);
    dpf_options options = graph->options;
    dpf_status status = dpf_options_finish(&options, graph->dpf_file, graph->dpf_line, graph->max_batches,
                                           dpf_graph_second_step(graph), err);
    if (status == DPF_OK)
        *out = options;
    return status;
}

void dpf_graph_describe(const dpf_graph *graph, size_t layer, char *text, size_t size) {
    const dpf_graph_layer *at = &graph->layers[layer];
    snprintf(text, size, "layer %zu (%s, line %d)", layer, dpf_layer_type_name(at->type), at->line);
}
