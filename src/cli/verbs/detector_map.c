/* SPDX-License-Identifier: MIT
 *
 * `darknet detector map DATA CFG WEIGHTS`: how well a detector finds what is there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <omp.h>

#include "../terminal/args.h"
#include "../score/detector.h"
#include "../terminal/model_words.h"
#include "../terminal/say.h"
#include "verbs.h"
#include "../terminal/stop.h"

static const char USAGE[] = "darknet detector map DATA (CFG WEIGHTS | MODEL.dpf) [-iou_thresh T] [-thresh T] "
                            "[-conf_thresh T] [-points 0|11|101] [-letter_box] [-threads N] [-engine darknet|dpf]";

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
