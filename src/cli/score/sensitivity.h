/* SPDX-License-Identifier: MIT
 *
 * The results of `dpf sensitivity`: how much a model loses when one layer alone is
 * pruned, at a few sparsities; what they suggest; and how they are shown.
 */
#ifndef DPF_CLI_SENSITIVITY_H
#define DPF_CLI_SENSITIVITY_H

#include <stddef.h>

#include "../../dpf/core/error.h"

enum { SENSITIVITY_LEVELS = 5 };
extern const double sensitivity_levels[SENSITIVITY_LEVELS]; /* 0.5, 0.7, 0.8, 0.9, 0.95 */

typedef struct sensitivity_layer {
    size_t layer, weights;
    int line; /* of its section in the cfg */
    char shape[64];
    double score[SENSITIVITY_LEVELS]; /* per cent */
    double suggested;                 /* share */
} sensitivity_layer;

typedef struct sensitivity_result {
    const char *model;   /* for titles */
    const char *metric;  /* "top-1" */
    double dense;        /* per cent */
    size_t recalibrated; /* training pictures that batch-norm statistics are of, for each score; 0: they stay */
    double as_given;     /* the score of the model with its own statistics */
    double drop;         /* that is allowed, in points */
    size_t images;
    sensitivity_layer *layers;
    size_t count;
} sensitivity_result;

/* The most that a layer may be pruned before its score falls `drop` points below `dense`: straight
 * lines between the levels, up to the first place where they fall that far; rounded down to a
 * hundredth, at most the highest level. */
double sensitivity_suggest(double dense, const double score[SENSITIVITY_LEVELS], double drop);

/* The share of all these layers' weights that the suggestions prune together. */
double sensitivity_total(const sensitivity_result *result);

dpf_status sensitivity_print(const sensitivity_result *result, dpf_error *err);
dpf_status sensitivity_csv(const sensitivity_result *result, const char *path, dpf_error *err);
dpf_status sensitivity_html(const sensitivity_result *result, const char *path, dpf_error *err);

#endif
