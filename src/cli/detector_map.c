/* SPDX-License-Identifier: MIT
 *
 * `darknet detector map DATA CFG WEIGHTS`: how well a detector finds what is there,
 * and the same as a function for training. The definition stands in precision.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <omp.h>

#include "args.h"
#include "detector.h"
#include "model_words.h"
#include "say.h"
#include "stop.h"

static const char USAGE[] = "darknet detector map DATA (CFG WEIGHTS | MODEL.dpf) [-iou_thresh T] [-thresh T] "
                            "[-conf_thresh T] [-points 0|11|101] [-letter_box] [-threads N] [-engine darknet|dpf]";

typedef struct scorer {
    precision *scores;
    const detector_truth *truth;
} scorer;

static dpf_status add(void *self, size_t entry, const dn_picture *picture, dpf_detections *found, dpf_error *err) {
    const scorer *s = self;
    (void)picture;
    const dn_boxes *difficult = s->truth->difficult.of ? &s->truth->difficult.of[entry] : NULL;
    return precision_add(s->scores, found, &s->truth->boxes.of[entry], difficult, err);
}

dpf_status detector_score(engine *net, detector_truth *truth, const map_options *options, map_result *out,
                          dpf_error *err) {
    scorer s = {.truth = truth};
    map_result result = {.classes = engine_classes(net)};
    *out = (map_result){0};
    result.of = calloc((size_t)result.classes + 1, sizeof *result.of);
    if (!result.of)
        return dpf_fail_memory(err, (size_t)result.classes * sizeof *result.of, "the scores");
    dpf_status status = precision_new(&s.scores, &options->precision, result.classes, err);
    const detector_pass pass = {
        .net = net,
        .list = truth->list,
        .letterbox = options->letterbox,
        .threshold = options->threshold,
        .suppression = .45f,
        .what = "map",
        .self = &s,
        .each = add,
    };
    if (!status)
        status = detector_run(&pass, &result.pictures, err);
    result.stopped = stop_signal() != 0;
    if (!status)
        status = precision_finish(s.scores, result.of, &result.mean, err);
    precision_free(s.scores);
    if (status)
        map_result_free(&result);
    *out = result;
    return status;
}

void map_result_free(map_result *result) {
    free(result->of);
    *result = (map_result){0};
}

static double share(double part, double whole) {
    return whole > 0 ? part / whole : 0;
}

void detector_print(const map_result *result, const map_options *options, char *const *names) {
    precision_class all = {0};
    const precision_options *o = &options->precision;
    printf("%5s  %-20s %8s %8s %8s %8s %9s %8s %8s\n", "class", "name", "AP %", "objects", "TP", "FP", "precision",
           "recall", "avg IoU");
    for (int k = 0; k < result->classes; k++) {
        const precision_class *c = &result->of[k];
        const double tp = (double)c->true_positives, found = tp + (double)c->false_positives;
        printf("%5d  %-20s %8.2f %8zu %8zu %8zu %9.2f %8.2f %8.2f\n", k, names ? names[k] : "", 100 * c->ap, c->objects,
               c->true_positives, c->false_positives, share(tp, found), share(tp, (double)c->objects),
               100 * share(c->iou, found));
        all.objects += c->objects;
        all.found += c->found;
        all.true_positives += c->true_positives;
        all.false_positives += c->false_positives;
        all.iou += c->iou;
    }
    const double tp = (double)all.true_positives, found = tp + (double)all.false_positives;
    const double exact = share(tp, found), recall = share(tp, (double)all.objects);
    printf("\nfor confidence %.2f: precision = %.2f, recall = %.2f, F1-score = %.2f\n", (double)o->confidence, exact,
           recall, share(2 * exact * recall, exact + recall));
    printf("for confidence %.2f: TP = %zu, FP = %zu, FN = %zu, average IoU = %.2f %%\n", (double)o->confidence,
           all.true_positives, all.false_positives, all.objects - all.true_positives, 100 * share(all.iou, found));
    printf("%zu images, %zu objects, %zu boxes above %g; IoU threshold %.0f %%, ", result->pictures, all.objects,
           all.found, (double)options->threshold, 100 * (double)o->iou);
    if (o->points)
        printf("precision at %d recalls\n", o->points);
    else
        printf("area under the curve for each unique recall\n");
    printf("mAP@%.2f = %.2f %%\n", (double)o->iou, 100 * result->mean);
    fflush(stdout);
}

static dpf_status read_args(int argc, char **argv, const char **words, map_options *o, engine_args *model,
                            dpf_error *err) {
    uint64_t threads = 0, points = 0;
    double iou = .5, thresh = .005, confidence = .25;
    const char *runner = NULL;
    const args_flag flags[] = {
        {"-iou_thresh", ARGS_SHARE, &iou, NULL, 0, 0},
        {"-thresh", ARGS_SHARE, &thresh, NULL, 0, 0},
        {"-conf_thresh", ARGS_SHARE, &confidence, NULL, 0, 0},
        {"-points", ARGS_COUNT, &points, NULL, 0, 101},
        {"-letter_box", ARGS_SWITCH, &o->letterbox, NULL, 0, 0},
        {"-threads", ARGS_COUNT, &threads, NULL, 1, 1024},
        {"-engine", ARGS_TEXT, &runner, NULL, 0, 0},
        {"-dpf", ARGS_TEXT, &model->dpf, NULL, 0, 0},
        ARGS_DARKNET_FLAGS,
    };
    dpf_status status = args_parse(argc, argv, flags, sizeof flags / sizeof *flags, words, 2, 3, USAGE, err);
    if (!status)
        status = model_words(words, 1, 3, 3, USAGE, err);
    if (!status)
        status = engine_parse(runner, &model->choice, err);
    if (status)
        return status;
    if (points != 0 && points != 11 && points != 101)
        return dpf_fail(err, DPF_ERR_RANGE, "-points %llu: 0 (area under the curve), 11 or 101 is wanted",
                        (unsigned long long)points);
    o->precision = (precision_options){(float)iou, (float)confidence, (int)points};
    o->threshold = (float)thresh;
    model->cfg = words[1];
    model->weights = words[2];
    model->threads = (int)threads;
    if (threads)
        omp_set_num_threads((int)threads);
    return DPF_OK;
}

int detector_map(int argc, char **argv) {
    const char *words[3];
    engine_args model = {0};
    map_options options = MAP_DEFAULTS;
    map_result result = {0};
    datafile data = {0};
    lines names = {0};
    detector_truth truth = {0};
    engine *net = NULL;
    dpf_error err;
    dpf_status status = read_args(argc, argv, words, &options, &model, &err);
    if (!status)
        status = datafile_read(&data, words[0], DATA_VALID, &err);
    if (!status)
        status = engine_open(&net, &model, &err);
    if (!status)
        status = detector_names(&names, &data, model.cfg, engine_classes(net), &err);
    if (!status)
        status = detector_truth_open(&truth, &data, engine_classes(net), &err);
    if (!status) {
        stop_install();
        status = detector_score(net, &truth, &options, &result, &err);
    }
    if (!status && !result.stopped)
        detector_print(&result, &options, names.line);
    const int exit_status = status ? say_error(&err) : stop_signal() ? 128 + stop_signal() : EXIT_GOOD;
    map_result_free(&result);
    detector_truth_free(&truth);
    engine_close(net);
    lines_free(&names);
    datafile_free(&data);
    return exit_status;
}
