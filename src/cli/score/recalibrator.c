/* SPDX-License-Identifier: MIT
 *
 * See recalibrator.h.
 */
#include "recalibrator.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../dpf/darknet/adapter.h"
#include "../data/datafile.h"
#include "../data/imagelist.h"
#include "../terminal/stop.h"

/* Pictures at once: many, for their own means and variances stand for those of all (yolo-fastest
 * lost 1.5 points of mAP with 8 at a time, a third of that with 32 or 64), but no more than the activations of a
 * network leave room for. Darknet allocates four arrays a layer; two or three of them are touched. */
enum { MOST_BATCH = 128, LEAST_BATCH = 2, CACHE_FLOATS = 1 << 26 };
static const double arrays = 2.5, most_bytes = 1.5 * (1 << 30);

typedef struct decoded {
    dn_data *pictures; /* NULL: not decoded, or not kept */
} decoded;

struct recalibrator {
    datafile data;
    imagelist *list;
    dn_net *net;
    decoded *batches;
    const char **paths;
    size_t batch, rounds, cached; /* pictures in each, how many batches, floats that are kept */
    int whole, progress;
};

static size_t choose_batch(const dpf_graph *graph, size_t images) {
    double bytes = (double)graph->inputs * sizeof(float);
    for (size_t i = 0; i < graph->count; i++)
        bytes += arrays * sizeof(float) * (double)graph->layers[i].outputs;
    double fitting = most_bytes / bytes;
    size_t most = fitting > MOST_BATCH ? MOST_BATCH : fitting > LEAST_BATCH ? (size_t)fitting : LEAST_BATCH;
    const size_t batches = (images + most - 1) / most;
    const size_t batch = images / batches; /* equal ones: a small last one would have odd statistics */
    return batch < LEAST_BATCH ? LEAST_BATCH : batch;
}

int recalibrator_fits(const dpf_graph *graph) {
    for (size_t i = 0; i < graph->count; i++)
        if (graph->layers[i].bn)
            return 1;
    return 0;
}

static dpf_status open_all(recalibrator *r, const recalibrator_args *args, dpf_error *err) {
    const dpf_layer_type last = args->graph->layers[args->graph->count - 1].type;
    size_t images = args->images;
    r->whole = last == DPF_YOLO || last == DPF_REGION;
    r->progress = args->progress && isatty(STDERR_FILENO);
    dpf_status status = datafile_read(&r->data, args->data, DATA_TRAIN, err);
    if (!status)
        status = imagelist_open(&r->list, r->data.train, "training list", err);
    if (status)
        return status;
    if (imagelist_count(r->list) < images)
        images = imagelist_count(r->list);
    if (images < LEAST_BATCH)
        return dpf_fail(err, DPF_ERR_RANGE, "%s: a variance needs at least %d pictures", r->data.train, LEAST_BATCH);
    r->batch = choose_batch(args->graph, images);
    r->rounds = images / r->batch;
    r->batches = calloc(r->rounds, sizeof *r->batches);
    r->paths = calloc(r->batch, sizeof *r->paths);
    if (!r->batches || !r->paths)
        return dpf_fail_memory(err, images * sizeof *r->paths, "paths");
    const dn_open_args open = {.cfg_path = args->cfg, .batch = (int)r->batch, .threads = args->threads, .quiet = 1};
    return dn_open(&r->net, &open, err);
}

dpf_status recalibrator_open(recalibrator **out, const recalibrator_args *args, dpf_error *err) {
    *out = NULL;
    recalibrator *r = calloc(1, sizeof *r);
    if (!r)
        return dpf_fail_memory(err, sizeof *r, "batch-norm statistics");
    dpf_status status = open_all(r, args, err);
    if (status) {
        recalibrator_close(r);
        return status;
    }
    *out = r;
    return DPF_OK;
}

void recalibrator_close(recalibrator *r) {
    if (!r)
        return;
    for (size_t k = 0; r->batches && k < r->rounds; k++)
        dn_data_free(r->batches[k].pictures);
    dn_close(r->net);
    imagelist_free(r->list);
    datafile_free(&r->data);
    free(r->batches);
    free(r->paths);
    free(r);
}

size_t recalibrator_images(const recalibrator *r) {
    return r->rounds * r->batch;
}

static dpf_status load(recalibrator *r, size_t k, dpf_error *err) {
    if (r->batches[k].pictures)
        return DPF_OK;
    dpf_status status = imagelist_draw(r->list, 0, k, r->batch, r->paths, err);
    const dn_load_args args = {.paths = r->paths, .count = r->batch, .whole = r->whole};
    return status ? status : dn_load(r->net, &args, &r->batches[k].pictures, err);
}

/* Keeps the pictures for the next run if there is room. */
static void unload(recalibrator *r, size_t k, size_t floats) {
    if (r->cached + floats <= CACHE_FLOATS) {
        r->cached += floats;
        return;
    }
    dn_data_free(r->batches[k].pictures);
    r->batches[k].pictures = NULL;
}

static dpf_status add_all(recalibrator *r, dn_recalibration *statistics, dpf_error *err) {
    dpf_status status = DPF_OK;
    dn_info info;
    dn_get_info(r->net, &info);
    for (size_t k = 0; k < r->rounds && !status && !stop_signal(); k++) {
        const int kept = r->batches[k].pictures != NULL;
        status = load(r, k, err);
        if (!status)
            status = dn_recalibrate_add(statistics, r->batches[k].pictures, err);
        if (!status && !kept)
            unload(r, k, r->batch * (size_t)info.inputs);
        if (r->progress)
            fprintf(stderr, "\rbatch-norm: %zu/%zu\033[K%s", (k + 1) * r->batch, recalibrator_images(r),
                    k + 1 == r->rounds ? "\r\033[K" : "");
    }
    return status;
}

dpf_status recalibrator_run(recalibrator *r, float *values, int *stopped, dpf_error *err) {
    dn_recalibration *statistics = NULL;
    *stopped = 0;
    dpf_status status = dn_set_values(r->net, values, err);
    if (!status)
        status = dn_recalibrate_start(&statistics, r->net, err);
    if (!status)
        status = add_all(r, statistics, err);
    *stopped = stop_signal() != 0;
    if (!status && !*stopped)
        status = dn_recalibrate_finish(statistics, err);
    if (!status && !*stopped)
        status = dn_get_values(r->net, values, err);
    dn_recalibrate_free(statistics);
    return status;
}
