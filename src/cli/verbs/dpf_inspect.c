/* SPDX-License-Identifier: MIT
 *
 * `darknet dpf inspect FILE [CFG] [-json]`: how sparse each layer is. Layers without parameters are left out of the
 * table.
 */
#include "dpf_inspect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../terminal/args.h"
#include "../page/html.h"
#include "../terminal/say.h"
#include "verbs.h"
#include "../page/table.h"

static const char USAGE[] = "darknet dpf inspect (FILE.dpf | WEIGHTS CFG) [-json]";

static double percent(size_t part, size_t whole) {
    return whole ? 100.0 * (double)part / (double)whole : 100.0;
}

static void add_heads(table *t) {
    static const char *const heads[] = {"layer",     "type",      "shape",     "prune",        "weights", "kept",
                                        "density %", "filters %", "kernels %", "zero filters", "mean",    "dev.",
                                        "madds",     "sparse",    "bytes",     "packed"};
    table_start(t, "rllrrrrrrrrrrrrr");
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        table_cell(t, "%s", heads[i]);
    table_rule(t);
}

/* 1806336 -> "1.81M": as many digits as a table has room for. */
static void add_amount(table *t, double amount) {
    if (amount >= 1e9)
        table_cell(t, "%.2fG", amount * 1e-9);
    else if (amount >= 1e6)
        table_cell(t, "%.2fM", amount * 1e-6);
    else
        table_cell(t, "%.2fk", amount * 1e-3);
}

static void add_moment(table *t, const dpf_facts *f, double value) {
    if (!f->weights)
        table_cell(t, "-");
    else if (f->not_finite)
        table_cell(t, "NaN");
    else
        table_cell(t, "%.5f", value);
}

/* The cells from "weights" on. */
static void add_facts(table *t, const dpf_facts *f, int total) {
    table_count(t, f->weights);
    table_count(t, f->kept);
    if (f->weights) {
        table_cell(t, "%.2f", percent(f->kept, f->weights));
        table_cell(t, "%.2f", percent(f->filters_kept, f->filters));
        table_cell(t, "%.2f", percent(f->kernels_kept, f->kernels));
        table_cell(t, "%zu/%zu", f->filters - f->filters_kept, f->filters);
    } else {
        for (int i = 0; i < 4; i++)
            table_cell(t, "-");
    }
    for (int i = 0; i < 2; i++)
        if (total)
            table_cell(t, "%s", "");
        else
            add_moment(t, f, i ? f->deviation : f->mean);
    add_amount(t, f->multiply_adds);
    add_amount(t, f->sparse_multiply_adds);
    table_count(t, f->bytes);
    table_count(t, f->packed);
}

static void add_total(table *t, const char *name, const dpf_facts *f) {
    for (int i = 0; i < 4; i++)
        table_cell(t, "%s", i == 2 ? name : "");
    add_facts(t, f, 1);
}

static const char *short_name(const dpf_graph_layer *l) {
    const char *name = dpf_layer_type_name(l->type);
    return strcmp(name, "convolutional") == 0 ? "conv" : name;
}

static dpf_status print_table(const inspection *in, dpf_error *err) {
    const dpf_graph *graph = in->model->graph;
    char shape[96], kept[48], count[48];
    table t;
    add_heads(&t);
    for (size_t i = 0; i < graph->count; i++) {
        const dpf_graph_layer *l = &graph->layers[i];
        if (!l->parameters)
            continue;
        dpf_describe_shape(graph, i, shape, sizeof shape);
        table_cell(&t, "%zu", i);
        table_cell(&t, "%s", short_name(l));
        table_cell(&t, "%s", shape);
        table_cell(&t, "%s", l->prunable ? "yes" : "no");
        add_facts(&t, &in->facts[i], 0);
    }
    table_rule(&t);
    add_total(&t, "prunable", &in->prunable);
    add_total(&t, "all", &in->all);
    dpf_status status = table_print(&t, stdout, err);
    if (status)
        return status;
    /* pruned weights are the only parameters that are gone: biases and batch-norm values stay */
    const size_t gone = in->all.weights - in->all.kept;
    printf("\nall parameters: %s of %s kept (%.2f %%); %s: %lld bytes%s\n",
           html_fixed(kept, sizeof kept, (double)(in->all.parameters - gone), 0),
           html_fixed(count, sizeof count, (double)in->all.parameters, 0),
           percent(in->all.parameters - gone, in->all.parameters), in->file, in->file_bytes,
           in->model->half ? ", float16" : "");
    return DPF_OK;
}

static dpf_status look(inspection *in, dpf_facts *facts, dpf_error *err) {
    const dpf_graph *graph = in->model->graph;
    dpf_status status = DPF_OK;
    for (size_t i = 0; i < graph->count && !status; i++) {
        status = dpf_inspect_layer(&facts[i], graph, i, in->model->weights.values, in->model->half, err);
        if (status)
            break;
        dpf_facts_add(&in->all, &facts[i]);
        if (graph->layers[i].prunable)
            dpf_facts_add(&in->prunable, &facts[i]);
    }
    in->facts = facts;
    return status;
}

static int ends_in_cfg(const char *path) {
    const size_t length = strlen(path);
    return length > 4 && strcmp(path + length - 4, ".cfg") == 0;
}

static dpf_status open_model(inspection *in, dpf_modelfile *model, const char **words, dpf_error *err) {
    struct stat info;
    if (words[1] && ends_in_cfg(words[0])) { /* the order that all other commands have */
        const char *cfg = words[0];
        words[0] = words[1];
        words[1] = cfg;
    }
    in->file = words[0];
    in->cfg = words[1];
    const int packed = dpf_modelfile_is_packed(in->file);
    if (packed && in->cfg)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "'%s' holds its own cfg: leave '%s' out; usage: %s", in->file, in->cfg,
                        USAGE);
    if (!packed && !in->cfg)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "'%s' is not a .dpf: its cfg is wanted too; usage: %s", in->file, USAGE);
    dpf_status status = dpf_modelfile_open(model, packed ? in->file : in->cfg, NULL, err);
    if (!status && !packed)
        status = dpf_modelfile_read(model, in->file, err);
    in->file_bytes = stat(in->file, &info) == 0 ? (long long)info.st_size : 0;
    return status;
}

int dpf_inspect(int argc, char **argv) {
    int json = 0;
    const args_flag flags[] = {{"-json", ARGS_SWITCH, &json, NULL, 0, 0}};
    const char *words[2];
    dpf_modelfile model = {0};
    inspection in = {.model = &model};
    dpf_facts *facts = NULL;
    dpf_error err;
    dpf_status status = args_parse(argc, argv, flags, sizeof flags / sizeof *flags, words, 1, 2, USAGE, &err);
    if (!status)
        status = open_model(&in, &model, words, &err);
    if (!status) {
        facts = calloc(model.graph->count + 1, sizeof *facts);
        status = facts ? look(&in, facts, &err) : dpf_fail_memory(&err, model.graph->count * sizeof *facts, "layers");
    }
    if (!status && json)
        inspect_print_json(&in);
    else if (!status)
        status = print_table(&in, &err);
    if (!status && in.all.not_finite)
        say("warning: %zu weights of '%s' are NaN or infinite", in.all.not_finite, in.file);
    free(facts);
    dpf_modelfile_free(&model);
    return status ? say_error(&err) : EXIT_GOOD;
}
