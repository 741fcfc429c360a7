/* SPDX-License-Identifier: MIT
 *
 * `darknet dpf sensitivity`: prunes one layer after the other, each alone and at
 * several sparsities, and scores the model each time. Where there are training pictures,
 * batch-norm statistics are estimated anew each time, for a user can have them too: without,
 * a layer seems to lose far more than training has to bring back.
 *
 * What must stay true: all scores of one study, the dense one too, come about in one way.
 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../dpf/model/inspect.h"
#include "../../dpf/model/modelfile.h"
#include "../../dpf/model/prune.h"
#include "../terminal/args.h"
#include "verbs.h"
#include "../data/files.h"
#include "../terminal/model_words.h"
#include "../terminal/progress.h"
#include "../score/quality.h"
#include "../score/recalibrator.h"
#include "../terminal/say.h"
#include "../score/sensitivity.h"
#include "../terminal/stop.h"

static const char USAGE[] = "darknet dpf sensitivity DATA (CFG WEIGHTS | MODEL.dpf) [-drop POINTS] [-images N] "
                            "[-recalibrate N] [-out NAME] [-threads N]";

enum { DEFAULT_RECALIBRATE = 256 };

typedef struct study {
    const char *data, *cfg, *weights;
    const char *out, *drop;
    uint64_t images, recalibrate, threads;
    int recalibrate_given;
    dpf_modelfile model;
    quality *quality;
    recalibrator *recalibrator; /* NULL: the statistics stay */
    float *values;              /* the weights with one layer pruned */
    sensitivity_result result;
    double began;
} study;

static dpf_status read_args(study *s, int argc, char **argv, dpf_error *err) {
    const char *words[3];
    const args_flag flags[] = {
        {"-drop", ARGS_TEXT, &s->drop, NULL, 0, 0},
        {"-images", ARGS_COUNT, &s->images, NULL, 1, 100000000},
        {"-recalibrate", ARGS_COUNT, &s->recalibrate, &s->recalibrate_given, 0, 100000000},
        {"-out", ARGS_TEXT, &s->out, NULL, 0, 0},
        {"-threads", ARGS_COUNT, &s->threads, NULL, 1, 1024},
    };
    dpf_status status = args_parse(argc, argv, flags, sizeof flags / sizeof *flags, words, 2, 3, USAGE, err);
    if (!status)
        status = model_words(words, 1, 3, 3, USAGE, err);
    if (status)
        return status;
    s->data = words[0];
    s->cfg = words[1];
    s->weights = words[2];
    s->result.drop = 1;
    if (!s->recalibrate_given)
        s->recalibrate = DEFAULT_RECALIBRATE;
    if (s->drop) {
        char *end;
        s->result.drop = strtod(s->drop, &end);
        if (!s->drop[0] || *end || !(s->result.drop > 0 && s->result.drop <= 100))
            return dpf_fail(err, DPF_ERR_RANGE, "-drop '%s': points of per cent, above 0 and at most 100, are wanted",
                            s->drop);
    }
    if (s->threads)
        omp_set_num_threads((int)s->threads);
    return DPF_OK;
}

/* The layers that pruning may take from. */
static dpf_status list_layers(study *s, dpf_error *err) {
    const dpf_graph *graph = s->model.graph;
    sensitivity_result *r = &s->result;
    r->layers = calloc(graph->count + 1, sizeof *r->layers);
    s->values = malloc(s->model.weights.count * sizeof *s->values + 1);
    if (!r->layers || !s->values)
        return dpf_fail_memory(err, s->model.weights.count * sizeof *s->values, "a copy of the weights");
    memcpy(s->values, s->model.weights.values, s->model.weights.count * sizeof *s->values);
    for (size_t i = 0; i < graph->count; i++) {
        const dpf_graph_layer *l = &graph->layers[i];
        if (!l->prunable || l->binary || l->xnor)
            continue;
        sensitivity_layer *row = &r->layers[r->count++];
        row->layer = i;
        row->weights = l->weights;
        row->line = l->line;
        dpf_describe_shape(graph, i, row->shape, sizeof row->shape);
    }
    if (!r->count)
        return dpf_fail(err, DPF_ERR_RANGE, "%s: no convolutional layer of this cfg is prunable", s->cfg);
    return DPF_OK;
}

static dpf_status open_recalibrator(study *s, dpf_error *err) {
    if (!s->recalibrate || !recalibrator_fits(s->model.graph))
        return DPF_OK;
    const recalibrator_args args = {
        .data = s->data, .cfg = s->cfg, .graph = s->model.graph, .threads = (int)s->threads, .images = s->recalibrate};
    dpf_status status = recalibrator_open(&s->recalibrator, &args, err);
    if (!status || s->recalibrate_given)
        return status;
    say("note: %s; without training pictures batch-norm statistics stay as they are, and pruning seems to cost more "
        "than it has to",
        err->text);
    return DPF_OK;
}

static dpf_status open_all(study *s, dpf_error *err) {
    dpf_status status = dpf_modelfile_open(&s->model, s->cfg, NULL, err);
    if (!status && s->weights)
        status = dpf_modelfile_read(&s->model, s->weights, err);
    if (!status)
        status = list_layers(s, err);
    const quality_args args = {
        .data = s->data, .cfg = s->cfg, .graph = s->model.graph, .threads = (int)s->threads, .images = s->images};
    if (!status)
        status = quality_open(&s->quality, &args, err);
    return status ? status : open_recalibrator(s, err);
}

/* One line a layer; on a terminal one line that is written anew after each score. */
static void show(const study *s, size_t row, size_t levels) {
    const size_t all = s->result.count * SENSITIVITY_LEVELS, done = row * SENSITIVITY_LEVELS + levels;
    char left[48];
    if (isatty(STDERR_FILENO)) {
        progress_time((progress_now() - s->began) / (double)(done + 1) * (double)(all - done), left, sizeof left);
        fprintf(stderr, "\rsensitivity: %zu/%zu  ETA %s\033[K%s", done, all, left, done == all ? "\r\033[K" : "");
    } else if (levels == SENSITIVITY_LEVELS) {
        fprintf(stderr, "layer %zu (%zu of %zu):", s->result.layers[row].layer, row + 1, s->result.count);
        for (size_t k = 0; k < SENSITIVITY_LEVELS; k++)
            fprintf(stderr, " %.2f", s->result.layers[row].score[k]);
        fputc('\n', stderr);
    }
}

/* The score of `values`, whose statistics may change. */
static dpf_status measure(study *s, double *score, int *stopped, dpf_error *err) {
    dpf_status status = DPF_OK;
    if (s->recalibrator)
        status = recalibrator_run(s->recalibrator, s->values, stopped, err);
    return status || *stopped ? status : quality_measure(s->quality, s->values, score, stopped, err);
}

static dpf_status study_layer(study *s, size_t row, int *stopped, dpf_error *err) {
    sensitivity_layer *l = &s->result.layers[row];
    dpf_status status = DPF_OK;
    for (size_t k = 0; k < SENSITIVITY_LEVELS && !status && !*stopped; k++) {
        /* each mask is computed from the dense weights again */
        memcpy(s->values, s->model.weights.values, s->model.weights.count * sizeof *s->values);
        status = dpf_prune_layer(s->model.graph, l->layer, sensitivity_levels[k], s->values, err);
        if (!status)
            status = measure(s, &l->score[k], stopped, err);
        if (!status && !*stopped)
            show(s, row, k + 1);
    }
    l->suggested = sensitivity_suggest(s->result.dense, l->score, s->result.drop);
    return status;
}

static dpf_status run(study *s, int *stopped, dpf_error *err) {
    s->began = progress_now();
    dpf_status status = quality_measure(s->quality, s->values, &s->result.dense, stopped, err);
    s->result.as_given = s->result.dense;
    if (!status && !*stopped && s->recalibrator)
        status = measure(s, &s->result.dense, stopped, err);
    for (size_t i = 0; i < s->result.count && !status && !*stopped; i++)
        status = study_layer(s, i, stopped, err);
    return status;
}

static dpf_status write_results(study *s, dpf_error *err) {
    char *base = s->out ? strdup(s->out) : NULL, *name = NULL, *csv = NULL, *html = NULL;
    dpf_status status = DPF_OK;
    if (!s->out && (name = files_base(s->cfg)) && asprintf(&base, "%s_sensitivity", name) < 0)
        base = NULL;
    if (!base || asprintf(&csv, "%s.csv", base) < 0 || asprintf(&html, "%s.html", base) < 0) {
        status = dpf_fail_memory(err, 4096, "file names");
        goto done;
    }
    s->result.model = s->weights ? s->weights : s->cfg;
    s->result.metric = quality_name(s->quality);
    s->result.images = quality_images(s->quality);
    s->result.recalibrated = s->recalibrator ? recalibrator_images(s->recalibrator) : 0;
    status = sensitivity_print(&s->result, err);
    if (!status)
        status = sensitivity_csv(&s->result, csv, err);
    if (!status)
        status = sensitivity_html(&s->result, html, err);
    if (!status)
        printf("%s, %s\n", csv, html);
done:
    free(base);
    free(name);
    free(csv);
    free(html);
    return status;
}

int dpf_sensitivity(int argc, char **argv) {
    study s = {0};
    dpf_error err;
    int stopped = 0;
    dpf_status status = read_args(&s, argc, argv, &err);
    if (!status)
        status = open_all(&s, &err);
    if (!status) {
        stop_install();
        status = run(&s, &stopped, &err);
    }
    if (!status && !stopped)
        status = write_results(&s, &err);
    else if (!status)
        say("stopped; nothing is written");
    quality_close(s.quality);
    recalibrator_close(s.recalibrator);
    dpf_modelfile_free(&s.model);
    free(s.result.layers);
    free(s.values);
    return status ? say_error(&err) : stopped ? 128 + stop_signal() : EXIT_GOOD;
}
