/* SPDX-License-Identifier: MIT
 *
 * `darknet classifier train DATA CFG [WEIGHTS]`: reads and checks what a
 * classifier is trained from, then hands over to the loop of train.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../terminal/args.h"
#include "../score/classifier.h"
#include "../terminal/say.h"
#include "verbs.h"
#include "../train/train.h"

static const char USAGE[] = "darknet classifier train DATA CFG [WEIGHTS] [-clear] [-seed N] [-dpf FILE | -dense] "
                            "[-threads N] [-kernels auto|dense] [-force] [-novalid] "
                            "[-keep K] [-save_every N]";

typedef struct job {
    train_options options;
    datafile data;
    lines labels;
    imagelist *train, *valid; /* valid: NULL when not wanted */
    int *class_of;            /* of the pictures in valid */
    int novalid;
} job;

static dpf_status check(void *self, const dn_net *net, const dn_info *info, dpf_error *err) {
    const job *j = self;
    (void)net;
    if (info->width != info->height)
        return dpf_fail(err, DPF_ERR_RANGE,
                        "'%s': width=%d and height=%d: must be equal, for Darknet crops training pictures of a "
                        "classifier to squares",
                        j->options.cfg, info->width, info->height);
    return classifier_fits(&j->data, j->options.cfg, info, err);
}

static dpf_status load(void *self, dn_net *net, const char *const *paths, size_t count, size_t iteration, dn_data **out,
                       dpf_error *err) {
    const job *j = self;
    const dn_load_args args = {
        .paths = paths,
        .count = count,
        .labels = (const char *const *)j->labels.line,
        .classes = j->data.classes,
        .iteration = iteration,
        .augment = 1,
    };
    return dn_load(net, &args, out, err);
}

static dpf_status score(void *self, const char *weights, report_score *scores, size_t room, size_t *count,
                        dpf_error *err) {
    job *j = self;
    (void)room; /* MOST_SCORES of the loop is more than the two of a classifier */
    const classifier_model model = {j->options.cfg,          weights, j->options.dpf,
                                    (int)j->options.threads, 0,       ENGINE_DARKNET};
    printf("\n");
    return classifier_score(&j->data, &j->labels, j->valid, j->class_of, &model, scores, count, err);
}

static dpf_status read_data(job *j, const char *path, dpf_error *err) {
    dpf_status status = datafile_read(&j->data, path, DATA_TRAIN | DATA_LABELS | DATA_BACKUP | DATA_CLASSES, err);
    if (!status)
        status = classifier_labels(&j->labels, &j->data, j->data.labels, "label list", err);
    if (!status)
        status = imagelist_open(&j->train, j->data.train, "training list", err);
    if (!status)
        status = imagelist_match(j->train, &j->labels, j->data.classes, NULL, err);
    if (status || j->novalid || !j->data.has_valid)
        return status;
    /* found now, not after hours of training */
    return classifier_valid_list(&j->valid, &j->class_of, &j->data, &j->labels, err);
}

static dpf_status read_args(job *j, int argc, char **argv, char *const *command_line, const char **data_path,
                            dpf_error *err) {
    train_options *o = &j->options;
    const char *words[3] = {0};
    const args_flag flags[] = {
        TRAIN_FLAGS(o),
        {"-novalid", ARGS_SWITCH, &j->novalid, NULL, 0, 0},
        ARGS_DARKNET_FLAGS,
    };
    dpf_status status = args_parse(argc, argv, flags, sizeof flags / sizeof *flags, words, 2, 3, USAGE, err);
    *data_path = words[0];
    return status ? status : train_options_take(o, "darknet classifier train", words, command_line, err);
}

int classifier_train(int argc, char **argv, char *const *command_line) {
    job j = {0};
    dpf_error err;
    const char *data_path = NULL;
    int exit_status;
    dpf_status status = read_args(&j, argc, argv, command_line, &data_path, &err);
    if (!status)
        status = read_data(&j, data_path, &err);
    if (status) {
        exit_status = say_error(&err);
    } else {
        const train_task task = {.self = &j,
                                 .hash = lines_hash(&j.labels, (size_t)j.data.classes),
                                 .check = check,
                                 .load = load,
                                 .score = j.valid ? score : NULL};
        j.options.backup = j.data.backup;
        exit_status = train_run(&j.options, &task, j.train);
    }
    imagelist_free(j.train);
    imagelist_free(j.valid);
    lines_free(&j.labels);
    datafile_free(&j.data);
    free(j.class_of);
    train_options_free(&j.options);
    return exit_status;
}
