/* SPDX-License-Identifier: MIT
 *
 * See detections.h.
 */
#include "detections.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

dpf_status dpf_detections_new(dpf_detections *out, size_t count, int classes, dpf_error *err) {
    const size_t width = classes > 0 ? (size_t)classes : 1;
    *out = (dpf_detections){0};
    if (count > SIZE_MAX / sizeof(dpf_detection) / width / 2 - 1)
        return dpf_fail_memory(err, SIZE_MAX, "the boxes that were found");
    dpf_detections d = {.count = count, .classes = classes};
    d.list = calloc(2 * count + 1, sizeof *d.list); /* the second half is room for sorting */
    d.probs = calloc(count * width + 1, sizeof *d.probs);
    if (!d.list || !d.probs) {
        dpf_detections_free(&d);
        return dpf_fail_memory(err, count * width * sizeof *d.probs, "the boxes that were found");
    }
    for (size_t i = 0; i < count; ++i)
        d.list[i].prob = d.probs + i * width;
    *out = d;
    return DPF_OK;
}

void dpf_detections_free(dpf_detections *detections) {
    free(detections->list);
    free(detections->probs);
    *detections = (dpf_detections){0};
}

/* Length that two stretches, each given by centre and length, share; negative: the gap. */
static float shared(float x1, float w1, float x2, float w2) {
    const float left1 = x1 - w1 / 2, left2 = x2 - w2 / 2, right1 = x1 + w1 / 2, right2 = x2 + w2 / 2;
    return (right1 < right2 ? right1 : right2) - (left1 > left2 ? left1 : left2);
}

float dpf_box_iou(dpf_box a, dpf_box b) {
    const float w = shared(a.x, a.w, b.x, b.w), h = shared(a.y, a.h, b.y, b.h);
    if (!(w > 0 && h > 0))
        return 0;
    const float both = w * h;
    return both / (a.w * a.h + b.w * b.h - both);
}

/* Merge sort by falling key, stable: qsort need not be, and the order is a result. */
static void sort(dpf_detection *list, dpf_detection *room, size_t count, int class) {
    if (count < 2)
        return;
    const size_t half = count / 2;
    sort(list, room, half, class);
    sort(list + half, room, count - half, class);
    memcpy(room, list, half * sizeof *list);
    for (size_t i = 0, j = half, to = 0; i < half; ++to) {
        const int second = j < count && (class < 0 ? list[j].objectness > room[i].objectness
                                                   : list[j].prob[class] > room[i].prob[class]);
        list[to] = second ? list[j++] : room[i++];
    }
}

void dpf_detections_suppress(dpf_detections *detections, float threshold) {
    dpf_detection *list = detections->list;
    for (int k = 0; k < detections->classes; ++k) {
        size_t likely = 0; /* those that do not have the class at all come last */
        sort(list, list + detections->count, detections->count, k);
        while (likely < detections->count && list[likely].prob[k] > 0)
            ++likely;
        for (size_t i = 0; i < likely; ++i)
            for (size_t j = i + 1; j < likely && list[i].prob[k] > 0; ++j)
                if (list[j].prob[k] > 0 && dpf_box_iou(list[i].box, list[j].box) > threshold)
                    list[j].prob[k] = 0;
    }
}

void dpf_detections_suppress_any(dpf_detections *detections, float threshold) {
    dpf_detection *list = detections->list;
    sort(list, list + detections->count, detections->count, -1);
    for (size_t i = 0; i < detections->count; ++i)
        for (size_t j = i + 1; j < detections->count && list[i].objectness > 0; ++j)
            if (list[j].objectness > 0 && dpf_box_iou(list[i].box, list[j].box) > threshold) {
                list[j].objectness = 0;
                memset(list[j].prob, 0, (size_t)detections->classes * sizeof(float));
            }
}
