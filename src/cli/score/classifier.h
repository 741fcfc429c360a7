/* SPDX-License-Identifier: MIT
 *
 * What the commands about classifiers share: labels, the validation list, the score.
 */
#ifndef DPF_CLI_CLASSIFIER_H
#define DPF_CLI_CLASSIFIER_H

#include "../../dpf/darknet/adapter.h"
#include "../data/datafile.h"
#include "engine.h"
#include "../data/imagelist.h"
#include "../page/report.h"

/* Reads the label (or name) list of a data file: the first `classes` lines must be
 * there and not be empty. */
dpf_status classifier_labels(lines *out, const datafile *data, const char *path, const char *what, dpf_error *err);

/* Opens the list `valid` of the data file and finds the class of each picture in its path.
 * *list and *class_of (malloc'd, one an entry) are the caller's, also after a failure. */
dpf_status classifier_valid_list(imagelist **list, int **class_of, const datafile *data, const lines *labels,
                                 dpf_error *err);

/* Do the network's outputs fit the classes of the data file? */
dpf_status classifier_fits(const datafile *data, const char *cfg, const dn_info *info, dpf_error *err);

/* Scores a model on the list `valid` of the data file; the last line printed is
 * "top1 91.23 % top5 99.81 % of 10000 images". Fills two scores at most. */
typedef struct classifier_model {
    const char *cfg, *weights, *dpf;
    int threads;
    int remarks; /* say what is odd about the cfg; after a training it has been said */
    engine_choice engine;
} classifier_model;
dpf_status classifier_score(const datafile *data, const lines *labels, imagelist *list, const int *class_of,
                            const classifier_model *model, report_score *scores, size_t *count, dpf_error *err);

#endif
