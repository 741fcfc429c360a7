/* SPDX-License-Identifier: MIT
 *
 * `darknet detector train DATA CFG [WEIGHTS]`: reads and checks what a detector is
 * trained from, then hands over to the loop of train.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../terminal/args.h"
#include "../score/detector.h"
#include "../terminal/say.h"
#include "verbs.h"
#include "../terminal/stop.h"
#include "../train/train.h"

static const char USAGE[] = "darknet detector train DATA CFG [WEIGHTS] [-clear] [-seed N] [-dpf FILE | -dense] "
                            "[-threads N] [-kernels auto|dense] [-keep N] [-save_every N] [-map] [-novalid]";

typedef struct job {
    train_options options;
    train_task task;
    datafile data;
    imagelist *train;
    labels boxes;
    dn_boxes *batch; /* of one iteration */
    int width;       /* of the network at the last iteration */
    int novalid, map;
    detector_truth truth;
    lines names; /* empty: the data file has none */
    map_options scoring;
} job;

static dpf_status check_valid(job *j, int classes, dpf_error *err) {
    dpf_status status = DPF_OK;
    if (j->data.has_names)
        status = detector_names(&j->names, &j->data, j->options.cfg, classes, err);
    /* found now, not after hours of training */
    if (!status)
        status = detector_truth_open(&j->truth, &j->data, classes, err);
    return status;
}

static dpf_status check(void *self, const dn_net *net, const dn_info *info, dpf_error *err) {
    job *j = self;
    const dpf_graph *graph = dn_graph(net);
    const dpf_head *head = &graph->layers[graph->count - 1].head;
    const size_t images = (size_t)info->batch * (size_t)info->subdivisions;
    dpf_status status = dn_check_detector(net, 1, err);
    if (!status)
        status = detector_fits(&j->data, j->options.cfg, head->classes, err);
    if (!status)
        status = labels_read(&j->boxes, j->train, head->classes, err);
    if (!status && j->data.has_valid && !j->novalid)
        status = check_valid(j, head->classes, err);
    if (status)
        return status;
    if (j->boxes.most > (size_t)head->max_boxes)
        say("%s: a picture has %zu objects, Darknet takes %d of each at most", j->data.train, j->boxes.most,
            head->max_boxes);
    j->task.hash = labels_hash(&j->boxes);
    j->width = info->width;
    j->batch = calloc(images, sizeof *j->batch);
    return j->batch ? DPF_OK : dpf_fail_memory(err, images * sizeof *j->batch, "the boxes of an iteration");
}

static dpf_status load(void *self, dn_net *net, const char *const *paths, size_t count, size_t iteration, dn_data **out,
                       dpf_error *err) {
    job *j = self;
    dn_info info;
    for (size_t i = 0; i < count; i++)
        j->batch[i] = j->boxes.of[imagelist_entry(j->train, paths[i])];
    const dn_load_boxes_args args = {.paths = paths, .boxes = j->batch, .count = count, .iteration = iteration};
    dpf_status status = dn_load_boxes(net, &args, out, err);
    dn_get_info(net, &info);
    if (info.width != j->width && !isatty(STDOUT_FILENO))
        printf("Resizing\n%d\n", info.width);
    j->width = info.width;
    return status;
}

static dpf_status score_file(job *j, const char *weights, map_result *result, dpf_error *err) {
    const engine_args args = {
        .cfg = j->options.cfg, .weights = weights, .dpf = j->options.dpf, .threads = (int)j->options.threads};
    engine *net = NULL;
    *result = (map_result){0};
    dpf_status status = engine_open(&net, &args, err);
    if (!status)
        status = detector_score(net, &j->truth, &j->scoring, result, err);
    engine_close(net);
    return status;
}

static dpf_status score(void *self, const char *weights, report_score *scores, size_t room, size_t *count,
                        dpf_error *err) {
    job *j = self;
    map_result result;
    (void)room;
    *count = 0;
    dpf_status status = score_file(j, weights, &result, err);
    if (!status && result.stopped) {
        say("stopped while scoring '%s'", weights);
    } else if (!status) {
        printf("\n");
        detector_print(&result, &j->scoring, j->names.line);
        scores[(*count)++] = (report_score){.name = "mAP@0.50", .value = 100 * result.mean};
    }
    map_result_free(&result);
    return status;
}

static dpf_status watch(void *self, const char *weights, double *value, dpf_error *err) {
    map_result result;
    dpf_status status = score_file(self, weights, &result, err);
    *value = 100 * result.mean;
    map_result_free(&result);
    return status;
}

static dpf_status read_data(job *j, const char *path, dpf_error *err) {
    dpf_status status = datafile_read(&j->data, path, DATA_TRAIN | DATA_BACKUP, err);
    if (!status && j->map && (!j->data.has_valid || j->novalid))
        status = dpf_fail(err, DPF_ERR_ARGUMENT, "-map scores the list 'valid', but %s",
                          j->novalid ? "-novalid is given too" : "the data file has none");
    if (!status)
        status = imagelist_open(&j->train, j->data.train, "training list", err);
    return status;
}

static dpf_status read_args(job *j, int argc, char **argv, char *const *command_line, const char **data_path,
                            dpf_error *err) {
    train_options *o = &j->options;
    const char *words[3] = {0};
    const args_flag flags[] = {
        TRAIN_FLAGS(o),
        {"-map", ARGS_SWITCH, &j->map, NULL, 0, 0},
        {"-novalid", ARGS_SWITCH, &j->novalid, NULL, 0, 0},
        {"-dont_show", ARGS_IGNORED_SWITCH, NULL, NULL, 0, 0},
        ARGS_DARKNET_FLAGS,
    };
    dpf_status status = args_parse(argc, argv, flags, sizeof flags / sizeof *flags, words, 2, 3, USAGE, err);
    *data_path = words[0];
    return status ? status : train_options_take(o, "darknet detector train", words, command_line, err);
}

int detector_train(int argc, char **argv, char *const *command_line) {
    job j = {.scoring = MAP_DEFAULTS};
    dpf_error err;
    const char *data_path = NULL;
    int exit_status;
    dpf_status status = read_args(&j, argc, argv, command_line, &data_path, &err);
    if (!status)
        status = read_data(&j, data_path, &err);
    if (status) {
        exit_status = say_error(&err);
    } else {
        j.task = (train_task){
            .self = &j,
            .check = check,
            .load = load,
            .score = j.data.has_valid && !j.novalid ? score : NULL,
            .watch = j.map ? watch : NULL,
            .watch_name = "mAP@0.50",
        };
        j.options.backup = j.data.backup;
        exit_status = train_run(&j.options, &j.task, j.train);
    }
    imagelist_free(j.train);
    labels_free(&j.boxes);
    detector_truth_free(&j.truth);
    lines_free(&j.names);
    datafile_free(&j.data);
    free(j.batch);
    train_options_free(&j.options);
    return exit_status;
}
