/* SPDX-License-Identifier: MIT
 *
 * Non-maximum suppression: in each class, from the most probable box on, boxes that
 * overlap it too much go. Of equal probabilities the box that came first stays.
 */
#include "context.h"

#include <math.h>

#include "../model/detections.h"

static int compare(const dpf_object *a, const dpf_object *b) {
    if (a->probability != b->probability)
        return a->probability > b->probability ? -1 : 1;
    return a->box < b->box ? -1 : a->box > b->box;
}

static int by_class(const dpf_object *a, const dpf_object *b) {
    if (a->class_id != b->class_id)
        return a->class_id < b->class_id ? -1 : 1;
    return compare(a, b);
}

static int by_probability(const dpf_object *a, const dpf_object *b) {
    int difference = compare(a, b);
    return difference ? difference : a->class_id < b->class_id ? -1 : a->class_id > b->class_id;
}

typedef int (*order)(const dpf_object *a, const dpf_object *b);

/* Lets found[at] sink to where no entry below it comes later. */
static void sink(dpf_object *found, size_t at, size_t count, order before) {
    const dpf_object one = found[at];
    for (size_t next; (next = 2 * at + 1) < count; at = next) {
        next += next + 1 < count && before(&found[next], &found[next + 1]) < 0;
        if (before(&one, &found[next]) >= 0)
            break;
        found[at] = found[next];
    }
    found[at] = one;
}

/* Heap sort: qsort allocates, which a run must not. No two entries are equal in these orders. */
static void sort(dpf_object *found, size_t count, order before) {
    for (size_t i = count / 2; i-- > 0;)
        sink(found, i, count, before);
    for (size_t last = count; last-- > 1;) {
        const dpf_object most = found[0];
        found[0] = found[last];
        found[last] = most;
        sink(found, 0, last, before);
    }
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
    sort(found, count, by_class);
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
    sort(found, count, by_probability);
    while (count && found[count - 1].probability == 0)
        --count;
    return count;
}
