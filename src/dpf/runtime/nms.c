/* SPDX-License-Identifier: MIT
 *
 * Non-maximum suppression: in each class, from the most probable box on, boxes that
 * overlap it too much go. Of equal probabilities the box that came first stays.
 */
#include "context.h"

#include <math.h>
#include <stdlib.h>

#include "../model/detections.h"

static int compare(const dpf_object *a, const dpf_object *b) {
    if (a->probability != b->probability)
        return a->probability > b->probability ? -1 : 1;
    return a->box < b->box ? -1 : a->box > b->box;
}

static int by_class(const void *x, const void *y) {
    const dpf_object *a = x, *b = y;
    if (a->class_id != b->class_id)
        return a->class_id < b->class_id ? -1 : 1;
    return compare(a, b);
}

static int by_probability(const void *x, const void *y) {
    const dpf_object *a = x, *b = y;
    int order = compare(a, b);
    return order ? order : a->class_id < b->class_id ? -1 : a->class_id > b->class_id;
}

static float iou(const dpf_object *a, const dpf_object *b) {
    return dpf_box_iou((dpf_box){a->x, a->y, a->w, a->h}, (dpf_box){b->x, b->y, b->w, b->h});
}

/* Of the box around both, the extent in one direction. */
static double span(float a, float length_a, float b, float length_b) {
    float low = fminf(a - length_a / 2, b - length_b / 2), high = fmaxf(a + length_a / 2, b + length_b / 2);
    return (double)high - (double)low;
}

/* Squared distance of the centres over the squared diagonal of the box around both, to the power beta. */
static double distance_term(const dpf_object *a, const dpf_object *b, double beta) {
    double w = span(a->x, a->w, b->x, b->w), h = span(a->y, a->h, b->y, b->h), diagonal = w * w + h * h;
    double x = (double)a->x - (double)b->x, y = (double)a->y - (double)b->y;
    return diagonal > 0 ? pow((x * x + y * y) / diagonal, beta) : 0;
}

size_t rt_suppress(dpf_object *found, size_t count, double overlap, int diou, double beta) {
    if (!count)
        return 0;
    qsort(found, count, sizeof *found, by_class);
    for (size_t i = 0; i < count && overlap <= 1; ++i) {
        if (found[i].probability == 0)
            continue;
        for (size_t k = i + 1; k < count && found[k].class_id == found[i].class_id; ++k) {
            double both = (double)iou(&found[i], &found[k]);
            if (both > overlap && diou)
                both -= distance_term(&found[i], &found[k], beta);
            if (both > overlap)
                found[k].probability = 0;
        }
    }
    qsort(found, count, sizeof *found, by_probability);
    while (count && found[count - 1].probability == 0)
        --count;
    return count;
}
