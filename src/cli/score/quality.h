/* SPDX-License-Identifier: MIT
 *
 * One number for how good a model is, for commands that ask for it again and again while
 * they change the weights: top-1 accuracy of a classifier, mAP@0.50 of a detector, on the
 * list `valid` of a data file. The network is opened once, and pictures that fit into memory
 * are decoded once.
 *
 * What must stay true: the number is the one that `classifier valid` and `detector map`
 * print for the same weights and pictures.
 */
#ifndef DPF_CLI_QUALITY_H
#define DPF_CLI_QUALITY_H

#include "../../dpf/core/error.h"
#include "../../dpf/model/modelfile.h"

typedef struct quality quality;

typedef struct quality_args {
    const char *data;       /* the data file */
    const char *cfg;        /* or the .dpf */
    const dpf_graph *graph; /* of that cfg: is it a detector? */
    int threads;            /* 0: all cores */
    size_t images;          /* classifier: at most so many, evenly spread over the list; 0: all */
} quality_args;

/* Fails when the data file has no list `valid`. On failure *out is NULL. */
dpf_status quality_open(quality **out, const quality_args *args, dpf_error *err);
void quality_close(quality *q); /* NULL is allowed */

/* "top-1", "mAP@0.50" */
const char *quality_name(const quality *q);
size_t quality_images(const quality *q); /* how many there are to look at */

/* In per cent, for these weights: all floats of a .weights file. *stopped = 1: a signal came (stop.h), there
 * is no result. */
dpf_status quality_measure(quality *q, const float *values, double *percent, int *stopped, dpf_error *err);

#endif
