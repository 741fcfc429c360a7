/* SPDX-License-Identifier: MIT
 *
 * What the commands about detectors share: names, what is there, what is found, the score.
 */
#ifndef DPF_CLI_DETECTOR_H
#define DPF_CLI_DETECTOR_H

#include "../data/datafile.h"
#include "engine.h"
#include "../data/imagelist.h"
#include "../data/labels.h"
#include "precision.h"

/* Reads the names of a data file's classes. `classes` of the data file, where it is given, must be
 * the network's. */
dpf_status detector_names(lines *out, const datafile *data, const char *cfg, int classes, dpf_error *err);
dpf_status detector_fits(const datafile *data, const char *cfg, int classes, dpf_error *err);

/* The pictures of a validation list, with what is in them. Open once, score any number of
 * networks. */
typedef struct detector_truth {
    imagelist *list;
    labels boxes;
    imagelist *difficult_list; /* of the key `difficult`, or NULL */
    labels difficult;
} detector_truth;
dpf_status detector_truth_open(detector_truth *out, const datafile *data, int classes, dpf_error *err);
void detector_truth_free(detector_truth *truth); /* safe on a zeroed struct */

/* Runs a function over the good pictures of a list, in order: decodes on all cores, detects one
 * by one, suppresses overlaps. Stops early when the user asks for it (stop.h). */
typedef struct detector_pass {
    engine *net;
    imagelist *list;
    int letterbox;
    float threshold;   /* 0.005 */
    float suppression; /* 0.45; 0: the caller sees to it */
    const char *what;  /* for the line that shows progress; NULL: there is none */
    void *self;
    dpf_status (*each)(void *self, size_t entry, const dn_picture *picture, dpf_detections *found, dpf_error *err);
} detector_pass;
dpf_status detector_run(const detector_pass *pass, size_t *pictures, dpf_error *err);

typedef struct map_options {
    precision_options precision;
    float threshold; /* boxes below it are not looked at */
    int letterbox;
} map_options;
#define MAP_DEFAULTS                                                                                                   \
    (map_options) {                                                                                                    \
        .precision = {.iou = .5f, .confidence = .25f}, .threshold = .005f                                              \
    }

typedef struct map_result {
    double mean; /* mAP, 0..1 */
    int classes;
    precision_class *of; /* malloc'd */
    size_t pictures;
    int stopped; /* 1: a signal came, the rest is not valid */
} map_result;

/* Scores a network, printing nothing but errors; then the table, whose last line is
 * "mAP@0.50 = 33.03 %". names: NULL, or one a class. */
dpf_status detector_score(engine *net, detector_truth *truth, const map_options *options, map_result *out,
                          dpf_error *err);
void detector_print(const map_result *result, const map_options *options, char *const *names);
void map_result_free(map_result *result);

#endif
