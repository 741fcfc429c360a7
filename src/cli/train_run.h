/* SPDX-License-Identifier: MIT
 *
 * What the parts of the training loop share: train_start.c (before), train.c (the
 * loop), train_end.c (after).
 */
#ifndef DPF_CLI_TRAIN_RUN_H
#define DPF_CLI_TRAIN_RUN_H

#include "log.h"
#include "train.h"

enum { TRAIN_SAVE_EVERY = 1000 }; /* iterations between two saves of the dense weights */

typedef struct train_files {
    char *final, *last, *log, *report;
} train_files;

typedef struct train_state {
    const train_task *task;
    imagelist *list;
    dn_net *net;
    dn_info info;
    char *name; /* of the model */
    train_files files;
    train_log *log;
    uint64_t seed;
    const char **paths; /* of one iteration */
    size_t images;      /* an iteration */
    size_t first;       /* iteration at which this run began */
    size_t trained;     /* iterations of this run */
    size_t mask_updates;
    float average;
    double images_per_s; /* smoothed */
    double began, seconds;
} train_state;

/* Opens and checks everything; writes nothing but probes until all is good, then starts the log. */
dpf_status train_start(train_state *run, const train_options *options, dpf_error *err);

/* Saves the pruned model, scores it, writes the report, prints the summary. */
dpf_status train_finish(train_state *run, const train_options *options, dpf_error *err);

/* Closes the log's rows into NAME_report.html. */
dpf_status train_report(train_state *run, const train_options *options, const report_score *scores, size_t count,
                        dpf_error *err);

void train_free(train_state *run);

#endif
