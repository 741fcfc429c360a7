/* SPDX-License-Identifier: MIT
 *
 * See modelfile.h.
 */
#include "modelfile.h"

#include <stdlib.h>
#include <string.h>

#include "container.h"
#include "container_parts.h"
#include "file.h"

int dpf_modelfile_packs(const char *path) {
    size_t length = strlen(path);
    return length > 4 && strcmp(path + length - 4, ".dpf") == 0;
}

int dpf_modelfile_is_packed(const char *path) {
    return dpf_modelfile_packs(path) || dpf_container_is(path);
}

/* The cfg text and weights of a .dpf become the model's. */
static dpf_status take_container(dpf_modelfile *model, const char *path, dpf_error *err) {
    dpf_container content;
    dpf_status status = dpf_container_read(&content, path, err);
    if (status != DPF_OK)
        return status;
    model->text = content.cfg;
    model->text_size = content.cfg_size;
    model->weights = content.weights;
    model->half = content.half;
    model->packed = 1;
    return DPF_OK;
}

dpf_status dpf_modelfile_open(dpf_modelfile *out, const char *path, const char *section, dpf_error *err) {
    dpf_modelfile model = {0};
    dpf_status status = dpf_modelfile_is_packed(path)
                            ? take_container(&model, path, err)
                            : dpf_file_read(path, DPFC_MAX_CFG, &model.text, &model.text_size, err);
    memset(out, 0, sizeof *out);
    if (status == DPF_OK)
        status = dpf_cfg_parse(&model.cfg, path, model.text, model.text_size, err);
    if (status == DPF_OK && section)
        status = dpf_cfg_read(&model.section, section, err);
    if (status == DPF_OK)
        status = dpf_graph_new(&model.graph, model.cfg, model.section, err);
    if (status != DPF_OK) {
        dpf_modelfile_free(&model);
        return status;
    }
    *out = model;
    return DPF_OK;
}

dpf_status dpf_modelfile_read(dpf_modelfile *model, const char *path, dpf_error *err) {
    dpf_weights weights;
    dpf_status status = dpf_weights_read(&weights, model->graph, path, err);
    if (status != DPF_OK)
        return status;
    dpf_weights_free(&model->weights);
    model->weights = weights;
    model->half = 0;
    return DPF_OK;
}

dpf_status dpf_modelfile_write(const dpf_modelfile *model, const char *path, int half, dpf_error *err) {
    const dpf_container_options options = {.half = half};
    unsigned char *bytes;
    size_t size;
    if (!dpf_modelfile_packs(path))
        return dpf_weights_write(path, &model->weights.header, model->weights.values, model->weights.count, err);
    dpf_status status = dpf_container_encode(&bytes, &size, model->graph, model->text, model->text_size,
                                             &model->weights, &options, err);
    if (status == DPF_OK)
        status = dpf_file_replace(path, bytes, size, err);
    free(bytes);
    return status;
}

void dpf_modelfile_free(dpf_modelfile *model) {
    if (!model)
        return;
    dpf_graph_free(model->graph);
    dpf_cfg_free(model->section);
    dpf_cfg_free(model->cfg);
    dpf_weights_free(&model->weights);
    free(model->text);
    memset(model, 0, sizeof *model);
}
