/* SPDX-License-Identifier: MIT
 *
 * How often is a model right: the pictures of the validation list through the
 * network, as `classifier valid` of Darknet prepares them (centre crop).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../dpf/model/modelfile.h"
#include "classifier.h"
#include "../terminal/issues.h"
#include "../terminal/progress.h"
#include "../terminal/say.h"
#include "../terminal/stop.h"

/* Floats of input that one pass may take: bounds memory whatever the picture size,
 * and gives 128 pictures of 32 x 32 or 20 of 224 x 224. */
enum { PASS_FLOATS = 1 << 20, MOST_PASS = 128, DEFAULT_TOP = 5 };

typedef struct scorer {
    const datafile *data;
    const lines *labels;
    imagelist *list;
    const int *class_of;
    dn_net *net; /* loads the pictures, too */
    engine *runner;
    dn_info info;
    int top;
    size_t pass;     /* pictures at once */
    size_t *entries; /* of one pass */
    const char **paths;
    float *output;
    size_t images, first_right, top_right;
} scorer;

/* Place of class `wanted` in the order of the outputs, 0 = best. Equal outputs: the lower class first. */
static int rank_of(const float *output, int outputs, int wanted) {
    int rank = 0;
    for (int i = 0; i < outputs; i++)
        rank += output[i] > output[wanted] || (output[i] == output[wanted] && i < wanted);
    return rank;
}

static dpf_status score_pass(scorer *s, size_t first, size_t count, dpf_error *err) {
    size_t good = 0;
    dn_data *data = NULL;
    dpf_status status = imagelist_range(s->list, first, count, s->entries, &good, err);
    if (status || !good)
        return status;
    for (size_t i = 0; i < good; i++)
        s->paths[i] = imagelist_path(s->list, s->entries[i]);
    const dn_load_args args = {
        .paths = s->paths,
        .count = good,
        .labels = (const char *const *)s->labels->line,
        .classes = s->data->classes,
    };
    status = dn_load(s->net, &args, &data, err);
    if (!status)
        status = engine_classify(s->runner, data, good, s->output, err);
    dn_data_free(data);
    for (size_t i = 0; i < good && !status; i++) {
        const float *output = s->output + i * (size_t)s->info.outputs;
        const int wanted = s->class_of[s->entries[i]];
        if (output[wanted] != output[wanted])
            return dpf_fail(err, DPF_ERR_NUMERIC, "the network's output for '%s' is not a number", s->paths[i]);
        const int rank = rank_of(output, s->info.outputs, wanted);
        s->images++;
        s->first_right += rank == 0;
        s->top_right += rank < s->top;
    }
    return status;
}

/* The size of the pictures decides how many go through at once, so it is looked up in the
 * cfg before the network is built. */
static dpf_status choose_pass(scorer *s, const char *path, dpf_error *err) {
    dpf_modelfile model;
    dpf_status status = dpf_modelfile_open(&model, path, NULL, err);
    if (!status) {
        const size_t inputs = model.graph->inputs;
        const size_t fitting = (size_t)PASS_FLOATS / (inputs ? inputs : 1);
        s->pass = fitting > MOST_PASS ? MOST_PASS : fitting ? fitting : 1;
    }
    dpf_modelfile_free(&model);
    return status;
}

static dpf_status open_scorer(scorer *s, const classifier_model *model, dpf_error *err) {
    dpf_status status = choose_pass(s, model->cfg, err);
    if (status)
        return status;
    const dn_open_args args = {
        .cfg_path = model->cfg,
        .weights_path = model->weights,
        .dpf_path = model->dpf,
        .batch = (int)s->pass,
        .threads = model->threads,
        .quiet = 1,
    };
    status = dn_open(&s->net, &args, err);
    if (status)
        return status;
    if (model->remarks)
        issues_say(dn_graph(s->net), 0);
    dn_get_info(s->net, &s->info);
    status = classifier_fits(s->data, model->cfg, &s->info, err);
    if (status)
        return status;
    const engine_args runner = {model->cfg, model->weights, model->dpf, model->threads, model->engine};
    status = engine_classifier(&s->runner, s->net, &runner, (int)s->pass, err);
    if (status)
        return status;
    s->entries = calloc(s->pass, sizeof *s->entries);
    s->paths = calloc(s->pass, sizeof *s->paths);
    s->output = calloc(s->pass * (size_t)s->info.outputs, sizeof *s->output);
    if (!s->entries || !s->paths || !s->output)
        return dpf_fail_memory(err, s->pass * (size_t)s->info.outputs * sizeof *s->output, "the network's outputs");
    return DPF_OK;
}

static void show_pass(const scorer *s, size_t done, size_t total, double began) {
    static double shown_at;
    const double now = progress_now();
    if (!isatty(STDERR_FILENO) || (now - shown_at < 0.2 && done < total))
        return;
    shown_at = now;
    fprintf(stderr, "\rvalid: %zu/%zu  %.0f img/s\033[K", done, total, (double)s->images / (now - began + 1e-9));
    if (done == total)
        fputs("\r\033[K", stderr);
}

static void fill_scores(const scorer *s, report_score *scores, size_t *count) {
    scores[0] = (report_score){.name = "top-1", .value = 100.0 * (double)s->first_right / (double)s->images};
    *count = 1;
    if (s->top > 1) {
        scores[1] = (report_score){.value = 100.0 * (double)s->top_right / (double)s->images};
        snprintf(scores[1].name, sizeof scores[1].name, "top-%d", s->top);
        *count = 2;
    }
}

dpf_status classifier_score(const datafile *data, const lines *labels, imagelist *list, const int *class_of,
                            const classifier_model *model, report_score *scores, size_t *count, dpf_error *err) {
    scorer s = {.data = data, .labels = labels, .list = list, .class_of = class_of};
    s.top = data->has_top ? data->top : DEFAULT_TOP;
    s.top = s.top < data->classes ? s.top : data->classes;
    *count = 0;
    dpf_status status = open_scorer(&s, model, err);
    const size_t total = imagelist_count(list);
    const double began = progress_now();
    for (size_t first = 0; first < total && !status && !stop_signal(); first += s.pass) {
        const size_t n = total - first < s.pass ? total - first : s.pass;
        status = score_pass(&s, first, n, err);
        show_pass(&s, first + n, total, began);
    }
    if (!status && !stop_signal()) {
        imagelist_say_bad(list);
        if (!s.images)
            status = dpf_fail(err, DPF_ERR_FORMAT, "%s: none of its %zu images can be used", data->valid, total);
    }
    if (!status && s.images && !stop_signal()) {
        fill_scores(&s, scores, count);
        printf("top1 %.2f %%", scores[0].value);
        if (*count > 1)
            printf(" top%d %.2f %%", s.top, scores[1].value);
        printf(" of %zu images\n", s.images);
        fflush(stdout);
    } else if (!status) {
        say("stopped while scoring '%s'", model->weights ? model->weights : model->cfg);
    }
    engine_close(s.runner);
    dn_close(s.net);
    free(s.entries);
    free(s.paths);
    free(s.output);
    return status;
}
