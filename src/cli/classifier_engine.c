/* SPDX-License-Identifier: MIT
 *
 * See classifier_engine.h.
 */
#include "classifier_engine.h"

#include <stdlib.h>
#include <string.h>

struct classifier_engine {
    dpf_model *model;
    dpf_context *context;
    size_t last, outputs; /* number of the output that counts, floats of it */
};

static dpf_status open_model(classifier_engine *e, const char *cfg, const char *weights,
                             const dpf_model_options *options, const dn_info *info, dpf_error *err) {
    dpf_model_info own;
    dpf_output_info output;
    dpf_status status = dpf_model_load(&e->model, cfg, weights, options, err);
    if (status)
        return status;
    dpf_model_get_info(e->model, &own);
    e->last = own.outputs - 1;
    status = dpf_model_output(e->model, e->last, &output, err);
    if (status)
        return status;
    e->outputs = output.floats;
    /* Darknet's loader gives three channels, whatever the cfg says */
    if (own.channels != 3 || (int)own.inputs != info->inputs || (int)output.floats != info->outputs)
        return dpf_fail(err, DPF_ERR_UNSUPPORTED, "%s: takes %zu floats and gives %zu, Darknet's network %d and %d",
                        cfg, own.inputs, output.floats, info->inputs, info->outputs);
    return dpf_context_new(&e->context, e->model, err);
}

dpf_status classifier_engine_open(classifier_engine **out, const char *cfg, const char *weights, int threads, int batch,
                                  const dn_info *info, dpf_error *err) {
    const dpf_model_options options = {.threads = threads, .batch = batch};
    *out = NULL;
    classifier_engine *e = calloc(1, sizeof *e);
    if (!e)
        return dpf_fail_memory(err, sizeof *e, "a network");
    dpf_status status = open_model(e, cfg, weights, &options, info, err);
    if (status) {
        classifier_engine_close(e);
        return status;
    }
    *out = e;
    return DPF_OK;
}

void classifier_engine_close(classifier_engine *e) {
    if (!e)
        return;
    dpf_context_free(e->context);
    dpf_model_free(e->model);
    free(e);
}

dpf_status classifier_engine_run(classifier_engine *e, const dn_data *data, size_t count, float *output,
                                 dpf_error *err) {
    dpf_status status = DPF_OK;
    for (size_t i = 0; i < count && !status; i++)
        status = dpf_context_set_planes(e->context, (int)i, dn_data_planes(data, i), err);
    if (!status)
        status = dpf_context_run(e->context, err);
    for (size_t i = 0; i < count && !status; i++) {
        const float *values;
        status = dpf_context_output(e->context, (int)i, e->last, &values, err);
        if (!status)
            memcpy(output + i * e->outputs, values, e->outputs * sizeof *output);
    }
    return status;
}
