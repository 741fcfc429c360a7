/* SPDX-License-Identifier: MIT
 *
 * What the parts of the training loop share: train_start.c (before), train.c (the
 * loop), train_state.c (checkpoints), train_end.c (after).
 */
#ifndef DPF_CLI_TRAIN_RUN_H
#define DPF_CLI_TRAIN_RUN_H

#include "log.h"
#include "train.h"

typedef struct train_files {
    char *final, *last, *log, *report;
    char *best, *trial; /* where the task watches its score */
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
    size_t averaged;    /* iterations that `average` is of, earlier runs included */
    size_t mask_updates;
    float average;
    dpf_state state;         /* found beside the weights; empty: there was none */
    int resumed;             /* 1: there was */
    const char *no_state;    /* why this network gets no .state file; NULL: it gets one */
    size_t saved;            /* iteration of the last checkpoint of this run */
    double saved_when;       /* progress_now() then */
    double seconds_before;   /* spent by the runs that this one goes on from */
    int unsavable, log_late; /* 1: memory no longer holds a whole iteration; the log lacks rows */
    double images_per_s;     /* smoothed */
    double began, seconds;
    double best; /* score so far at the final sparsity, or -1 */
} train_state;

/* Opens and checks everything; writes nothing but probes until all is good, then starts the log. */
dpf_status train_start(train_state *run, const train_options *options, dpf_error *err);

/* Saves the pruned model, scores it, writes the report, prints the summary. */
dpf_status train_finish(train_state *run, const train_options *options, dpf_error *err);

/* Closes the log's rows into NAME_report.html. */
dpf_status train_report(train_state *run, const train_options *options, const report_score *scores, size_t count,
                        dpf_error *err);

/* Looks for a state beside the weights to go on from, and takes over its seed. Before the net is opened. */
dpf_status train_state_find(train_state *run, const train_options *options, dpf_error *err);

/* Does it fit the pictures? Takes over its figures. After the net was opened. */
dpf_status train_state_take(train_state *run, const train_options *options, dpf_error *err);

/* Is there room for a checkpoint? Writes one under a name of its own and takes it away again. */
dpf_status train_state_probe(train_state *run, const train_options *options, dpf_error *err);

/* Writes NAME_last.weights and NAME_last.state, unless that was done for this iteration. */
dpf_status train_state_save(train_state *run, dpf_error *err);

/* Saves when the time has come: every save_every iterations, with -keep also under the
 * iteration's name, and every TRAIN_SAVE_SECONDS. */
enum { TRAIN_SAVE_SECONDS = 600 };
dpf_status train_state_save_due(train_state *run, const train_options *options, dpf_error *err);

/* Takes the best score so far from the log's rows. */
void train_watch_start(train_state *run);

/* After an iteration: scores the pruned model when it is time, into *row, and keeps the best. */
dpf_status train_watch(train_state *run, report_row *row, dpf_error *err);

void train_free(train_state *run);

#endif
