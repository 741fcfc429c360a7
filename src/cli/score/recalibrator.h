/* SPDX-License-Identifier: MIT
 *
 * Batch-norm statistics anew from pictures of the list `train` of a data file (no labels
 * needed), once or again and again for other weights of one network. The network is
 * opened once, and pictures that fit into memory are decoded once.
 *
 * What must stay true: the pictures are always the same ones in the same order, so that
 * equal weights get equal statistics.
 */
#ifndef DPF_CLI_RECALIBRATOR_H
#define DPF_CLI_RECALIBRATOR_H

#include "../../dpf/core/error.h"
#include "../../dpf/model/graph.h"

typedef struct recalibrator recalibrator;

typedef struct recalibrator_args {
    const char *data;       /* the data file */
    const char *cfg;        /* or the .dpf */
    const dpf_graph *graph; /* of that cfg */
    int threads;            /* 0: all cores */
    size_t images;          /* the first good ones of so many, drawn in a fixed order */
    int progress;           /* 1: a line on a terminal */
} recalibrator_args;

/* Does the network have such statistics at all? */
int recalibrator_fits(const dpf_graph *graph);

/* Fails when there is no list of at least two pictures. On failure *out is NULL. */
dpf_status recalibrator_open(recalibrator **out, const recalibrator_args *args, dpf_error *err);
void recalibrator_close(recalibrator *r); /* NULL is allowed */

/* How many pictures a run takes: at most args.images. */
size_t recalibrator_images(const recalibrator *r);

/* Puts the statistics of the network with these weights into `values`: all floats of a .weights file.
 * *stopped = 1: a signal came (stop.h), `values` are as they were. */
dpf_status recalibrator_run(recalibrator *r, float *values, int *stopped, dpf_error *err);

#endif
