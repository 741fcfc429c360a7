/* SPDX-License-Identifier: MIT
 *
 * What a detector finds in a picture, whoever ran the network: boxes with a
 * probability for each class, and the suppression of those that overlap.
 *
 * What must stay true: the order of the boxes after suppression is the one that
 * Darknet's own function leaves, because the counts of true and false positives of
 * AlexeyAB's fork depend on it.
 */
#ifndef DPF_MODEL_DETECTIONS_H
#define DPF_MODEL_DETECTIONS_H

#include <stddef.h>

#include "../core/error.h"

/* Centre and sides, as shares of the picture's width and height. */
typedef struct dpf_box {
    float x, y, w, h;
} dpf_box;

typedef struct dpf_detection {
    dpf_box box;
    float objectness;
    float *prob; /* one a class, 0 where it is not above the threshold; points into `probs` */
} dpf_detection;

typedef struct dpf_detections {
    size_t count;
    int classes;
    dpf_detection *list; /* `count` boxes, and as much room again for sorting */
    float *probs;        /* storage: count * classes */
} dpf_detections;

/* Room for `count` boxes, all zero. On failure *out holds nothing to free. */
dpf_status dpf_detections_new(dpf_detections *out, size_t count, int classes, dpf_error *err);
void dpf_detections_free(dpf_detections *detections); /* safe on a zeroed struct */

/* Intersection over union; 0 for boxes that do not meet. */
float dpf_box_iou(dpf_box a, dpf_box b);

/* Class by class, the likeliest box first: a box that overlaps a likelier one by more than
 * `threshold` loses that class. Of equal ones the earlier box is first. */
void dpf_detections_suppress(dpf_detections *detections, float threshold);

/* The same by objectness, whatever the class: a box that overlaps a better one loses
 * its objectness and all classes. */
void dpf_detections_suppress_any(dpf_detections *detections, float threshold);

#endif
