/* SPDX-License-Identifier: MIT
 *
 * Loading a model, and questions about it.
 */
#include "model.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_THREADS 1024
#define MOST_BATCH 4096

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
    rt_parameters parameters = {.options = o};
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
    dpf_status status = rt_parameters_open(&parameters, m, path, weights, err);
    if (status)
        goto end;
    for (size_t i = 0; i < m->graph->issues_count; ++i)
        m->fork |= m->graph->issues[i].who && !m->graph->issues[i].training_only; /* who: no mere remark */
    status = rt_build_all(m, &parameters, err);
    if (!status)
        status = rt_plan_memory(m, err);
end:
    rt_parameters_close(&parameters);
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
        depthwise_free(s->depthwise);
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
