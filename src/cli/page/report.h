/* SPDX-License-Identifier: MIT
 *
 * NAME_report.html: one self-contained page about one training run.
 */
#ifndef DPF_CLI_REPORT_H
#define DPF_CLI_REPORT_H

#include <stddef.h>

#include "../../dpf/core/error.h"

typedef struct report_row { /* one iteration, also one line of NAME_log.csv */
    size_t iteration;
    float loss, average_loss, rate;
    double sparsity; /* of the mask in use, share of prunable weights */
    double images_per_s;
    size_t flips;   /* mask bits that changed before this iteration, 0 when the mask did not */
    size_t revived; /* of these, pruned -> kept */
    int scored;     /* 1: the model was scored after this iteration */
    double score;   /* 0..100 */
} report_row;

typedef struct report_layer {
    int index;      /* layer number as Darknet counts */
    char shape[64]; /* "64 x 32 x 3 x 3 /1", filters x channels/group x size x size /stride */
    size_t weights, kept;
    int prunable;
} report_layer;

typedef struct report_score { /* one point of accuracy, e.g. top-1 after validation */
    size_t iteration;
    char name[32]; /* "top-1", "mAP@0.50" */
    double value;  /* 0..100 */
} report_score;

typedef struct report {
    const char *title;    /* name of the model */
    const char *command;  /* the command line of the run */
    const char *cfg_text; /* the [dpf] section as used, or NULL */
    const report_row *rows;
    size_t rows_count;
    const report_layer *layers;
    size_t layers_count;
    const report_score *scores;
    size_t scores_count;
    size_t parameters;      /* all parameters of the model, prunable or not */
    double seconds;         /* wall time of the run */
    double target_sparsity; /* -1: dense run */
} report;

/* Replaces the file in one step. Any string may be NULL (those inside of arrays are
 * terminated) and any number may be NaN or infinite; text is escaped. Size of the
 * page: under 300 kB for runs of any length and networks of a hundred layers. */
dpf_status report_write(const report *report, const char *path, dpf_error *err);

#endif
