/* SPDX-License-Identifier: MIT
 *
 * See engine.h.
 */
#include "engine.h"

#include <stdlib.h>
#include <string.h>

#include "../../dpf/runtime/boxes.h"

struct engine {
    dn_net *net; /* runs the network where there is no model */
    int owned;
    dpf_model *model;
    dpf_context *context;
    int width, height, classes;
    size_t last, outputs; /* of a classifier: the output that counts, floats of it */
};

dpf_status engine_parse(const char *word, engine_choice *out, dpf_error *err) {
    *out = ENGINE_EITHER;
    if (!word)
        return DPF_OK;
    if (strcmp(word, "darknet") != 0 && strcmp(word, "dpf") != 0)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "-engine %s is not known (allowed: darknet, dpf)", word);
    *out = strcmp(word, "dpf") == 0 ? ENGINE_RUNTIME : ENGINE_DARKNET;
    return DPF_OK;
}

void engine_close(engine *e) {
    if (!e)
        return;
    dpf_context_free(e->context);
    dpf_model_free(e->model);
    if (e->owned)
        dn_close(e->net);
    free(e);
}

static engine *engine_new(dpf_error *err) {
    engine *e = calloc(1, sizeof *e);
    if (!e)
        dpf_fail_memory(err, sizeof *e, "a network");
    return e;
}

/* Frees what has been made after a failure. */
static dpf_status finish(engine **out, engine *e, dpf_status status) {
    if (status) {
        engine_close(e);
        e = NULL;
    }
    *out = e;
    return status;
}

/* --- our runtime ----------------------------------------------------------------------- */

static dpf_status load(engine *e, const engine_args *args, int batch, dpf_error *err) {
    const dpf_model_options options = {.threads = args->threads, .batch = batch};
    dpf_model_info info;
    dpf_output_info output;
    dpf_status status = dpf_model_load(&e->model, args->cfg, args->weights, &options, err);
    if (status)
        return status;
    dpf_model_get_info(e->model, &info);
    e->width = info.width;
    e->height = info.height;
    e->classes = info.classes;
    e->last = info.outputs - 1;
    status = dpf_model_output(e->model, e->last, &output, err);
    if (status)
        return status;
    e->outputs = output.floats;
    if (info.channels != 3)
        return dpf_fail(err, DPF_ERR_UNSUPPORTED, "%s: takes %d channels; Darknet's loader gives 3", args->cfg,
                        info.channels);
    return dpf_context_new(&e->context, e->model, err);
}

static dpf_status load_detector(engine *e, const engine_args *args, dpf_error *err) {
    dpf_output_info output;
    dpf_status status = load(e, args, 1, err);
    if (!status)
        status = dpf_model_output(e->model, e->last, &output, err);
    if (!status && strncmp(output.name, "yolo", 4) != 0 && strncmp(output.name, "region", 6) != 0)
        status = dpf_fail(err, DPF_ERR_UNSUPPORTED, "%s: ends with %s; a detector ends with [yolo] or [region]",
                          args->cfg, output.name);
    return status;
}

static void unload(engine *e) {
    dpf_context_free(e->context);
    dpf_model_free(e->model);
    e->context = NULL;
    e->model = NULL;
}

/* Does it go on with Darknet's engine? */
static int falls_back(engine *e, const engine_args *args, dpf_status status) {
    if (status != DPF_ERR_UNSUPPORTED || args->choice != ENGINE_EITHER)
        return 0;
    unload(e);
    return 1;
}

/* --- opening --------------------------------------------------------------------------- */

static dpf_status wrap(engine *e, dn_net *net, dpf_error *err) {
    dn_info info;
    e->net = net;
    dpf_status status = dn_check_detector(net, 0, err);
    if (status)
        return status;
    const dpf_graph *graph = dn_graph(net);
    dn_get_info(net, &info);
    e->width = info.width;
    e->height = info.height;
    e->classes = graph->layers[graph->count - 1].head.classes;
    return DPF_OK;
}

dpf_status engine_wrap(engine **out, dn_net *net, dpf_error *err) {
    *out = NULL;
    engine *e = engine_new(err);
    return e ? finish(out, e, wrap(e, net, err)) : DPF_ERR_MEMORY;
}

static dpf_status open_darknet(engine *e, const engine_args *args, dpf_error *err) {
    const dn_open_args open = {
        .cfg_path = args->cfg,
        .weights_path = args->weights,
        .dpf_path = args->dpf,
        .batch = 1,
        .threads = args->threads,
        .quiet = 1,
    };
    dpf_status status = dn_open(&e->net, &open, err);
    e->owned = 1;
    return status ? status : wrap(e, e->net, err);
}

dpf_status engine_open(engine **out, const engine_args *args, dpf_error *err) {
    const int darknet = args->choice == ENGINE_DARKNET || (args->choice == ENGINE_EITHER && args->dpf);
    *out = NULL;
    engine *e = engine_new(err);
    if (!e)
        return DPF_ERR_MEMORY;
    dpf_status status = darknet ? DPF_OK : load_detector(e, args, err);
    if (darknet || falls_back(e, args, status))
        status = open_darknet(e, args, err);
    return finish(out, e, status);
}

dpf_status engine_classifier(engine **out, dn_net *net, const engine_args *args, int batch, dpf_error *err) {
    dn_info info;
    *out = NULL;
    engine *e = engine_new(err);
    if (!e)
        return DPF_ERR_MEMORY;
    e->net = net;
    dn_get_info(net, &info);
    if (args->choice == ENGINE_DARKNET)
        return finish(out, e, DPF_OK);
    dpf_status status = load(e, args, batch, err);
    if (!status && (int)e->outputs != info.outputs)
        status = dpf_fail(err, DPF_ERR_UNSUPPORTED, "%s: gives %zu values, Darknet's network %d", args->cfg, e->outputs,
                          info.outputs);
    return finish(out, e, falls_back(e, args, status) ? DPF_OK : status);
}

/* --- running --------------------------------------------------------------------------- */

int engine_width(const engine *e) {
    return e->width;
}

int engine_height(const engine *e) {
    return e->height;
}

int engine_classes(const engine *e) {
    return e->classes;
}

dpf_status engine_detect(engine *e, const float *scaled, int w, int h, float threshold, dpf_detections *out,
                         dpf_error *err) {
    *out = (dpf_detections){0};
    if (!e->model)
        return dn_detect(e->net, scaled, w, h, threshold, out, err);
    dpf_status status = dpf_context_set_planes(e->context, 0, scaled, err);
    if (!status)
        status = dpf_context_run(e->context, err);
    return status ? status : dpf_context_boxes(e->context, 0, threshold, w, h, out, err);
}

dpf_status engine_classify(engine *e, const dn_data *data, size_t count, float *output, dpf_error *err) {
    if (!e->model)
        return dn_predict(e->net, data, output, err);
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
