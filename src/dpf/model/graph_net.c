/* SPDX-License-Identifier: MIT
 *
 * The [net] section: sizes, training length, learning-rate policy.
 */
#include "darknets.h"
#include "graph_build.h"

#include <limits.h>
#include <string.h>

static const char *const policies[] = {"constant", "step", "exp", "poly", "steps", "sigmoid", "random", "sgdr", NULL};

static dpf_status parse_sizes(dpf_build *build, const dpf_section *section) {
    dpf_graph *graph = build->graph;
    const dpf_cfg *cfg = graph->cfg;
    long value = 0, inputs = 0;
    DPF_TRY(dpf_section_int(cfg, section, "width", 0, 0, DPF_MAX_DIM, &value, build->err));
    graph->width = (int)value;
    DPF_TRY(dpf_section_int(cfg, section, "height", 0, 0, DPF_MAX_DIM, &value, build->err));
    graph->height = (int)value;
    DPF_TRY(dpf_section_int(cfg, section, "channels", 0, 0, DPF_MAX_DIM, &value, build->err));
    graph->channels = (int)value;
    DPF_TRY(dpf_section_int(cfg, section, "inputs", 0, 0, INT_MAX, &inputs, build->err));

    size_t plane, product;
    DPF_TRY(dpf_build_product(build, NULL, (size_t)graph->width, (size_t)graph->height, &plane));
    DPF_TRY(dpf_build_product(build, NULL, plane, (size_t)graph->channels, &product));
    if (product == 0 && inputs == 0)
        return dpf_fail(build->err, DPF_ERR_RANGE, "%s:%d: [net] needs width, height and channels above 0, or inputs",
                        cfg->file, section->line);
    if (product != 0 && inputs != 0 && (size_t)inputs != product)
        return dpf_fail(build->err, DPF_ERR_MISMATCH,
                        "%s:%d: [net] inputs=%ld does not equal width * height * channels = %zu", cfg->file,
                        section->line, inputs, product);
    graph->inputs = product != 0 ? product : (size_t)inputs;
    return DPF_OK;
}

static dpf_status parse_batch(dpf_build *build, const dpf_section *section) {
    dpf_graph *graph = build->graph;
    const dpf_cfg *cfg = graph->cfg;
    long batch = 0, subdivisions = 0, steps = 0;
    DPF_TRY(dpf_section_int(cfg, section, "batch", 1, 1, 1L << 20, &batch, build->err));
    DPF_TRY(dpf_section_int(cfg, section, "subdivisions", 1, 1, 1L << 20, &subdivisions, build->err));
    DPF_TRY(dpf_section_int(cfg, section, "time_steps", 1, 1, 1L << 20, &steps, build->err));
    if (subdivisions > batch)
        return dpf_fail(build->err, DPF_ERR_RANGE, "%s:%d: [net] subdivisions=%ld is more than batch=%ld", cfg->file,
                        section->line, subdivisions, batch);
    size_t mini;
    DPF_TRY(dpf_build_product(build, NULL, (size_t)(batch / subdivisions), (size_t)steps, &mini));
    graph->batch = (int)batch;
    graph->subdivisions = (int)subdivisions;
    graph->time_steps = (int)steps;
    graph->mini_batch = (int)mini;
    return DPF_OK;
}

/* Darknet reads one scale a step and crashes when there are fewer. */
static dpf_status parse_steps(dpf_build *build, const dpf_section *section) {
    dpf_graph *graph = build->graph;
    long *steps;
    double *scales;
    size_t scales_count;
    DPF_TRY(dpf_build_int_list(build, section, "steps", INT_MIN, INT_MAX, &steps, &graph->steps_count));
    DPF_TRY(dpf_build_list(build, section, "scales", &scales, &scales_count));
    if (!steps || !scales)
        return dpf_fail(build->err, DPF_ERR_FORMAT,
                        "%s:%d: [net] policy=steps needs steps= and scales=", graph->cfg->file, section->line);
    if (scales_count < graph->steps_count)
        return dpf_fail(build->err, DPF_ERR_MISMATCH, "%s:%d: [net] has %zu steps but %zu scales", graph->cfg->file,
                        section->line, graph->steps_count, scales_count);
    float *copy = dpf_build_alloc(build, graph->steps_count, sizeof *copy);
    if (!copy)
        return dpf_fail_memory(build->err, graph->steps_count * sizeof *copy, "scales");
    for (size_t i = 0; i < graph->steps_count; ++i)
        copy[i] = (float)scales[i];
    graph->steps = steps;
    graph->scales = copy;
    return DPF_OK;
}

static dpf_status parse_policy(dpf_build *build, const dpf_section *section) {
    dpf_graph *graph = build->graph;
    const dpf_key *key = dpf_section_find(section, "policy");
    graph->policy = key ? key->value : "constant";
    size_t i = 0;
    while (policies[i] && strcmp(policies[i], graph->policy) != 0)
        ++i;
    if (!policies[i]) {
        const char *near = dpf_nearest_word(graph->policy, policies);
        return dpf_fail(build->err, DPF_ERR_FORMAT, "%s:%d: policy=%.60s is not known%s%s%s", graph->cfg->file,
                        key->line, graph->policy, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    }
    if (key && strcmp(graph->policy, "sgdr") == 0)
        DPF_TRY(dpf_build_issue(build, -1, key->line, 1, DPF_FORK, "policy=sgdr"));
    return strcmp(graph->policy, "steps") == 0 ? parse_steps(build, section) : DPF_OK;
}

dpf_status dpf_build_net(dpf_build *build, const dpf_section *section) {
    dpf_graph *graph = build->graph;
    const dpf_cfg *cfg = graph->cfg;
    DPF_TRY(parse_sizes(build, section));
    DPF_TRY(parse_batch(build, section));
    DPF_TRY(parse_policy(build, section));
    long value = 0;
    DPF_TRY(dpf_section_int(cfg, section, "max_batches", 0, 0, INT_MAX, &value, build->err));
    graph->max_batches = (size_t)value;
    DPF_TRY(dpf_section_int(cfg, section, "burn_in", 0, 0, INT_MAX, &value, build->err));
    graph->burn_in = (size_t)value;
    DPF_TRY(dpf_section_int(cfg, section, "adam", 0, 0, 1, &value, build->err));
    graph->adam = (int)value;
    DPF_TRY(dpf_section_float(cfg, section, "learning_rate", .001, 0, 1e9, &graph->learning_rate, build->err));
    DPF_TRY(dpf_section_float(cfg, section, "momentum", .9, -1, 1, &graph->momentum, build->err));
    return dpf_section_float(cfg, section, "decay", .0001, 0, 1e9, &graph->decay, build->err);
}
