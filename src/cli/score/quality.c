/* SPDX-License-Identifier: MIT
 *
 * See quality.h.
 */
#include "quality.h"

#include <stdlib.h>

#include "classifier.h"
#include "detector.h"
#include "../terminal/stop.h"

/* Floats of pictures that go through at once, and that are kept: 4 MiB and 256 MiB. */
enum { PASS_FLOATS = 1 << 20, MOST_PASS = 128, CACHE_FLOATS = 1 << 26 };

/* The good ones of up to `pass` pictures. */
typedef struct chunk {
    dn_data *pictures; /* NULL: not decoded, or not kept */
    int *wanted;       /* class of each */
    size_t count;
} chunk;

struct quality {
    int detector;
    datafile data;
    dn_net *net;
    dn_info info;
    size_t images;
    /* a classifier's */
    lines labels;
    imagelist *list;
    int *class_of;
    size_t pass, cached; /* cached: floats that are kept */
    chunk *chunks;       /* one for each `pass` of the images */
    size_t *entries;
    const char **paths;
    float *output;
    /* a detector's */
    detector_truth truth;
    engine *engine;
};

static int is_detector(const dpf_graph *graph) {
    const dpf_layer_type last = graph->layers[graph->count - 1].type;
    return last == DPF_YOLO || last == DPF_REGION;
}

static dpf_status open_net(quality *q, const quality_args *args, int batch, dpf_error *err) {
    const dn_open_args open = {.cfg_path = args->cfg, .batch = batch, .threads = args->threads, .quiet = 1};
    dpf_status status = dn_open(&q->net, &open, err);
    if (!status)
        dn_get_info(q->net, &q->info);
    return status;
}

static dpf_status open_detector(quality *q, const quality_args *args, dpf_error *err) {
    dpf_status status = open_net(q, args, 1, err);
    if (!status)
        status = engine_wrap(&q->engine, q->net, err);
    if (!status)
        status = detector_fits(&q->data, args->cfg, engine_classes(q->engine), err);
    if (!status)
        status = detector_truth_open(&q->truth, &q->data, engine_classes(q->engine), err);
    if (!status)
        q->images = imagelist_count(q->truth.list);
    return status;
}

static dpf_status open_classifier(quality *q, const quality_args *args, dpf_error *err) {
    const size_t inputs = args->graph->inputs ? args->graph->inputs : 1, fitting = PASS_FLOATS / inputs;
    q->pass = fitting > MOST_PASS ? MOST_PASS : fitting ? fitting : 1;
    dpf_status status = classifier_labels(&q->labels, &q->data, q->data.labels, "label list", err);
    if (!status)
        status = classifier_valid_list(&q->list, &q->class_of, &q->data, &q->labels, err);
    if (!status)
        status = open_net(q, args, (int)q->pass, err);
    if (!status)
        status = classifier_fits(&q->data, args->cfg, &q->info, err);
    if (status)
        return status;
    q->images = imagelist_count(q->list);
    if (args->images && args->images < q->images)
        q->images = args->images;
    q->chunks = calloc(q->images / q->pass + 1, sizeof *q->chunks);
    q->entries = calloc(q->pass, sizeof *q->entries);
    q->paths = calloc(q->pass, sizeof *q->paths);
    q->output = calloc(q->pass * (size_t)q->info.outputs, sizeof *q->output);
    if (!q->chunks || !q->entries || !q->paths || !q->output)
        return dpf_fail_memory(err, q->pass * (size_t)q->info.outputs * sizeof *q->output, "the network's outputs");
    return DPF_OK;
}

dpf_status quality_open(quality **out, const quality_args *args, dpf_error *err) {
    *out = NULL;
    quality *q = calloc(1, sizeof *q);
    if (!q)
        return dpf_fail_memory(err, sizeof *q, "a model's quality");
    q->detector = is_detector(args->graph);
    dpf_status status =
        datafile_read(&q->data, args->data, DATA_VALID | (q->detector ? 0U : DATA_LABELS | DATA_CLASSES), err);
    if (!status && q->detector && args->images)
        status = dpf_fail(err, DPF_ERR_ARGUMENT,
                          "-images is for classifiers; a detector is scored on all of '%s': name a shorter list there",
                          q->data.valid);
    if (!status)
        status = q->detector ? open_detector(q, args, err) : open_classifier(q, args, err);
    if (status) {
        quality_close(q);
        return status;
    }
    *out = q;
    return DPF_OK;
}

void quality_close(quality *q) {
    if (!q)
        return;
    for (size_t i = 0; q->chunks && i <= q->images / q->pass; i++) {
        dn_data_free(q->chunks[i].pictures);
        free(q->chunks[i].wanted);
    }
    engine_close(q->engine);
    dn_close(q->net);
    detector_truth_free(&q->truth);
    imagelist_free(q->list);
    lines_free(&q->labels);
    free(q->class_of);
    free(q->chunks);
    free(q->entries);
    free(q->paths);
    free(q->output);
    datafile_free(&q->data);
    free(q);
}

const char *quality_name(const quality *q) {
    return q->detector ? "mAP@0.50" : "top-1";
}

size_t quality_images(const quality *q) {
    return q->images;
}

/* The good ones of places [first, first + count) among the images that are looked at. */
static dpf_status choose(quality *q, size_t first, size_t count, size_t *good, dpf_error *err) {
    const size_t total = imagelist_count(q->list);
    if (q->images == total)
        return imagelist_range(q->list, first, count, q->entries, good, err);
    *good = 0;
    for (size_t i = first; i < first + count; i++) {
        size_t one = 0;
        /* lists tend to be in the order of the classes: take from everywhere */
        const size_t entry = (size_t)((double)i * (double)total / (double)q->images);
        dpf_status status = imagelist_range(q->list, entry, 1, &q->entries[*good], &one, err);
        if (status)
            return status;
        *good += one;
    }
    return DPF_OK;
}

static dpf_status load(quality *q, chunk *c, size_t first, dpf_error *err) {
    const size_t left = q->images - first, count = left < q->pass ? left : q->pass;
    dpf_status status = choose(q, first, count, &c->count, err);
    if (!status && !c->wanted && !(c->wanted = calloc(q->pass, sizeof *c->wanted)))
        status = dpf_fail_memory(err, q->pass * sizeof *c->wanted, "the classes of pictures");
    if (status || !c->count)
        return status;
    for (size_t i = 0; i < c->count; i++) {
        q->paths[i] = imagelist_path(q->list, q->entries[i]);
        c->wanted[i] = q->class_of[q->entries[i]];
    }
    const dn_load_args args = {.paths = q->paths,
                               .count = c->count,
                               .labels = (const char *const *)q->labels.line,
                               .classes = q->data.classes};
    return dn_load(q->net, &args, &c->pictures, err);
}

/* Equal outputs: the lower class first, as `classifier valid` has it. */
static int is_right(const float *output, int outputs, int wanted) {
    for (int i = 0; i < outputs; i++)
        if (output[i] > output[wanted] || (output[i] == output[wanted] && i < wanted))
            return 0;
    return 1;
}

static dpf_status count_right(quality *q, const chunk *c, size_t *right, dpf_error *err) {
    dpf_status status = dn_predict(q->net, c->pictures, q->output, err);
    for (size_t i = 0; i < c->count && !status; i++) {
        const float *output = q->output + i * (size_t)q->info.outputs;
        if (output[c->wanted[i]] != output[c->wanted[i]])
            status = dpf_fail(err, DPF_ERR_NUMERIC, "the network's output is not a number");
        *right += (size_t)is_right(output, q->info.outputs, c->wanted[i]);
    }
    return status;
}

static dpf_status measure_classifier(quality *q, double *percent, dpf_error *err) {
    size_t right = 0, seen = 0;
    dpf_status status = DPF_OK;
    for (size_t first = 0, i = 0; first < q->images && !status && !stop_signal(); first += q->pass, i++) {
        chunk *c = &q->chunks[i];
        if (!c->pictures)
            status = load(q, c, first, err);
        if (status || !c->count)
            continue;
        status = count_right(q, c, &right, err);
        seen += c->count;
        const size_t floats = c->count * (size_t)q->info.inputs;
        if (q->cached + floats <= CACHE_FLOATS) {
            q->cached += floats;
        } else {
            dn_data_free(c->pictures);
            c->pictures = NULL;
        }
    }
    if (!status && !seen && !stop_signal())
        status = dpf_fail(err, DPF_ERR_FORMAT, "%s: none of its images can be used", q->data.valid);
    *percent = seen ? 100.0 * (double)right / (double)seen : 0;
    return status;
}

static dpf_status measure_detector(quality *q, double *percent, dpf_error *err) {
    const map_options options = MAP_DEFAULTS;
    map_result result;
    dpf_status status = detector_score(q->engine, &q->truth, &options, &result, err);
    *percent = 100 * result.mean;
    map_result_free(&result);
    return status;
}

dpf_status quality_measure(quality *q, const float *values, double *percent, int *stopped, dpf_error *err) {
    *percent = 0;
    dpf_status status = dn_set_values(q->net, values, err);
    if (!status)
        status = q->detector ? measure_detector(q, percent, err) : measure_classifier(q, percent, err);
    *stopped = stop_signal() != 0;
    return status;
}
