/* SPDX-License-Identifier: MIT
 *
 * Mean average precision (mAP) from what was found and what is there, by the
 * definition that users of Darknet know from AlexeyAB's fork:
 *
 *   - a box finds the object of its class that it overlaps most, if by more than the
 *     IoU threshold; of several boxes for one object the likeliest counts, the others
 *     are false;
 *   - AP of a class is the area under its curve of precision over recall, each
 *     precision being the best at this recall or beyond (points = 0), or the mean of
 *     that at 11 or 101 evenly spaced recalls;
 *   - mAP is the mean over all classes; a class without objects counts as 0.
 *
 * True and false positives are counted a second time at a confidence threshold, in the
 * order in which the boxes come: the first one that finds an object is right.
 */
#ifndef DPF_CLI_PRECISION_H
#define DPF_CLI_PRECISION_H

#include <stddef.h>

#include "../../dpf/darknet/adapter.h"
#include "../../dpf/model/detections.h"

typedef struct precision_options {
    float iou;        /* 0.5 */
    float confidence; /* 0.25, of the second count */
    int points;       /* 0, 11 or 101 */
} precision_options;

typedef struct precision_class {
    double ap; /* 0..1 */
    size_t objects, found;
    size_t true_positives, false_positives; /* at the confidence threshold */
    double iou;                             /* sum over the true ones */
} precision_class;

typedef struct precision precision; /* collects */

dpf_status precision_new(precision **out, const precision_options *options, int classes, dpf_error *err);
void precision_free(precision *p);

/* One picture, after suppression; difficult: objects that may be found or missed, or NULL. */
dpf_status precision_add(precision *p, const dpf_detections *found, const dn_boxes *truth, const dn_boxes *difficult,
                         dpf_error *err);

/* Fills `classes` entries and mAP, 0..1. Call once, at the end. */
dpf_status precision_finish(precision *p, precision_class *classes, double *mean, dpf_error *err);

#endif
