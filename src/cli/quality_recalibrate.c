/* SPDX-License-Identifier: MIT
 *
 * See quality.h: batch-norm statistics from training pictures.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../dpf/darknet/adapter.h"
#include "datafile.h"
#include "imagelist.h"
#include "quality.h"
#include "stop.h"

/* Pictures at once: many, for their own means and variances stand for those of all, but no more than
 * the activations of a network (output, gradient and two more of each layer) leave room for. */
enum { MOST_BATCH = 128, LEAST_BATCH = 2 };
static const double most_bytes = 1 << 30;

static size_t choose_batch(const dpf_graph *graph, size_t images) {
    double bytes = (double)graph->inputs * sizeof(float);
    for (size_t i = 0; i < graph->count; i++)
        bytes += 4.0 * sizeof(float) * (double)graph->layers[i].outputs;
    double fitting = most_bytes / bytes;
    size_t most = fitting > MOST_BATCH ? MOST_BATCH : fitting > LEAST_BATCH ? (size_t)fitting : LEAST_BATCH;
    const size_t batches = (images + most - 1) / most;
    const size_t batch = images / batches; /* equal ones: a small last one would have odd statistics */
    return batch < LEAST_BATCH ? LEAST_BATCH : batch;
}

static dpf_status run(dn_net *net, dn_recalibration *r, imagelist *list, size_t batch, size_t images, int whole,
                      size_t *used, dpf_error *err) {
    dpf_status status = DPF_OK;
    const char **paths = calloc(batch, sizeof *paths);
    if (!paths)
        return dpf_fail_memory(err, batch * sizeof *paths, "paths");
    for (size_t k = 0; (k + 1) * batch <= images && !status && !stop_signal(); k++) {
        dn_data *pictures = NULL;
        status = imagelist_draw(list, 0, k, batch, paths, err);
        const dn_load_args load = {.paths = paths, .count = batch, .whole = whole};
        if (!status)
            status = dn_load(net, &load, &pictures, err);
        if (!status)
            status = dn_recalibrate_add(r, pictures, err);
        dn_data_free(pictures);
        *used += batch;
        if (isatty(STDERR_FILENO))
            fprintf(stderr, "\rbatch-norm: %zu/%zu\033[K%s", *used, images, *used + batch > images ? "\r\033[K" : "");
    }
    free(paths);
    return status;
}

dpf_status quality_recalibrate(const recalibration_args *args, float *values, size_t *used, int *stopped,
                               dpf_error *err) {
    const dpf_layer_type last = args->graph->layers[args->graph->count - 1].type;
    const int detector = last == DPF_YOLO || last == DPF_REGION;
    datafile data = {0};
    imagelist *list = NULL;
    dn_net *net = NULL;
    dn_recalibration *r = NULL;
    size_t images = args->images;
    *used = 0;
    *stopped = 0;
    dpf_status status = datafile_read(&data, args->data, DATA_TRAIN, err);
    if (!status)
        status = imagelist_open(&list, data.train, "training list", err);
    if (!status && imagelist_count(list) < images)
        images = imagelist_count(list);
    if (!status && images < LEAST_BATCH)
        status = dpf_fail(err, DPF_ERR_RANGE, "%s: a variance needs at least %d pictures", data.train, LEAST_BATCH);
    if (status)
        goto done;
    const size_t batch = choose_batch(args->graph, images);
    const dn_open_args open = {.cfg_path = args->cfg, .batch = (int)batch, .threads = args->threads, .quiet = 1};
    status = dn_open(&net, &open, err);
    if (!status)
        status = dn_set_values(net, values, err);
    if (!status)
        status = dn_recalibrate_start(&r, net, err);
    if (!status && dn_recalibrate_layers(r)) {
        status = run(net, r, list, batch, images, detector, used, err);
        *stopped = stop_signal() != 0;
        if (!status && !*stopped)
            status = dn_recalibrate_finish(r, err);
        if (!status && !*stopped)
            status = dn_get_values(net, values, err);
    }
done:
    dn_recalibrate_free(r);
    dn_close(net);
    imagelist_free(list);
    datafile_free(&data);
    return status;
}
