/* SPDX-License-Identifier: MIT
 *
 * `darknet classifier valid DATA CFG WEIGHTS` and
 * `darknet classifier predict DATA CFG WEIGHTS [IMAGE] [-t N]`.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <omp.h>

#include "../terminal/args.h"
#include "../terminal/ask.h"
#include "../score/classifier.h"
#include "../terminal/issues.h"
#include "../terminal/model_words.h"
#include "../data/picture.h"
#include "../terminal/progress.h"
#include "../terminal/say.h"
#include "verbs.h"
#include "../terminal/stop.h"

static const char VALID_USAGE[] =
    "darknet classifier valid DATA (CFG WEIGHTS | MODEL.dpf) [-threads N] [-engine darknet|dpf]";
static const char PREDICT_USAGE[] =
    "darknet classifier predict DATA (CFG WEIGHTS | MODEL.dpf) [IMAGE] [-t N] [-threads N]";

int classifier_valid(int argc, char **argv) {
    classifier_model model = {.remarks = 1};
    uint64_t threads = 0;
    int force = 0; /* of training; here nothing is left out */
    const char *words[3], *runner = NULL;
    const args_flag flags[] = {
        {"-engine", ARGS_TEXT, &runner, NULL, 0, 0},
        {"-threads", ARGS_COUNT, &threads, NULL, 1, 1024},
        {"-force", ARGS_SWITCH, &force, NULL, 0, 0},
        {"-dpf", ARGS_TEXT, &model.dpf, NULL, 0, 0},
        ARGS_DARKNET_FLAGS,
    };
    datafile data = {0};
    lines labels = {0};
    imagelist *list = NULL;
    int *class_of = NULL;
    report_score scores[2];
    size_t count;
    dpf_error err;
    dpf_status status = args_parse(argc, argv, flags, sizeof flags / sizeof *flags, words, 2, 3, VALID_USAGE, &err);
    if (!status)
        status = model_words(words, 1, 3, 3, VALID_USAGE, &err);
    if (!status)
        status = engine_parse(runner, &model.engine, &err);
    if (status)
        return say_error(&err);
    if (threads)
        omp_set_num_threads((int)threads);
    model.cfg = words[1];
    model.weights = words[2];
    model.threads = (int)threads;
    status = datafile_read(&data, words[0], DATA_VALID | DATA_LABELS | DATA_CLASSES, &err);
    if (!status)
        status = classifier_labels(&labels, &data, data.labels, "label list", &err);
    if (!status)
        status = classifier_valid_list(&list, &class_of, &data, &labels, &err);
    if (!status) {
        stop_install();
        status = classifier_score(&data, &labels, list, class_of, &model, scores, &count, &err);
    }
    const int exit_status = status ? say_error(&err) : stop_signal() ? 128 + stop_signal() : EXIT_GOOD;
    free(class_of);
    imagelist_free(list);
    lines_free(&labels);
    datafile_free(&data);
    return exit_status;
}

typedef struct predictor {
    dn_net *net;
    dn_info info;
    lines names;
    float *output;
    int top;
} predictor;

static dpf_status predict_one(void *self, const char *path, dpf_error *err) {
    const predictor *p = self;
    char reason[120];
    const char *fault = picture_check(path, reason, sizeof reason);
    if (fault)
        return dpf_fail(err, DPF_ERR_FORMAT, "'%s' %s", path, fault);
    const double began = progress_now();
    dpf_status status = dn_predict_file(p->net, path, p->output, err);
    if (status)
        return status;
    fprintf(stderr, "%s: Predicted in %f seconds.\n", path, progress_now() - began);
    float last = 0;
    for (int shown = 0, best = -1; shown < p->top; shown++) {
        int next = -1;
        /* the largest that comes after the last one shown; equal ones in order of class */
        for (int i = 0; i < p->info.outputs; i++) {
            const float v = p->output[i];
            const int after = best < 0 || v < last || (v == last && i > best);
            if (after && (next < 0 || v > p->output[next]))
                next = i;
        }
        if (next < 0)
            break;
        best = next;
        last = p->output[next];
        printf("%5.2f%%: %s\n", (double)last * 100, p->names.line[next]);
    }
    fflush(stdout);
    return DPF_OK;
}

static dpf_status open_predictor(predictor *p, const datafile *data, const dn_open_args *args, dpf_error *err) {
    dpf_status status = classifier_labels(&p->names, data, data->names, "name list", err);
    if (!status)
        status = dn_open(&p->net, args, err);
    if (status)
        return status;
    issues_say(dn_graph(p->net), 0);
    dn_get_info(p->net, &p->info);
    status = classifier_fits(data, args->cfg_path, &p->info, err);
    if (status)
        return status;
    p->output = calloc((size_t)p->info.outputs, sizeof *p->output);
    return p->output ? DPF_OK : dpf_fail_memory(err, (size_t)p->info.outputs * sizeof *p->output, "the outputs");
}

int classifier_predict(int argc, char **argv) {
    uint64_t top = 0, threads = 0;
    int force = 0; /* of training; here nothing is left out */
    const char *words[4];
    dn_open_args args = {.batch = 1};
    const args_flag flags[] = {
        {"-t", ARGS_COUNT, &top, NULL, 1, INT_MAX},
        {"-force", ARGS_SWITCH, &force, NULL, 0, 0},
        {"-threads", ARGS_COUNT, &threads, NULL, 1, 1024},
        {"-dpf", ARGS_TEXT, &args.dpf_path, NULL, 0, 0},
        ARGS_DARKNET_FLAGS,
    };
    predictor p = {0};
    datafile data = {0};
    dpf_error err;
    dpf_status status = args_parse(argc, argv, flags, sizeof flags / sizeof *flags, words, 2, 4, PREDICT_USAGE, &err);
    if (!status)
        status = model_words(words, 1, 3, 4, PREDICT_USAGE, &err);
    if (status)
        return say_error(&err);
    args.cfg_path = words[1];
    args.weights_path = words[2];
    args.threads = (int)threads;
    status = datafile_read(&data, words[0], DATA_CLASSES, &err);
    if (!status) {
        p.top = top ? (int)top : data.top;
        status = open_predictor(&p, &data, &args, &err);
    }
    if (!status)
        status = words[3] ? predict_one(&p, words[3], &err) : DPF_OK;
    if (!status && !words[3])
        ask_pictures(predict_one, &p);
    const int exit_status = status ? say_error(&err) : EXIT_GOOD;
    dn_close(p.net);
    free(p.output);
    lines_free(&p.names);
    datafile_free(&data);
    return exit_status;
}
