/* SPDX-License-Identifier: MIT
 *
 * See detector.h: how well a detector finds what is there. The definition stands in precision.h.
 */
#include <stdio.h>
#include <stdlib.h>

#include "detector.h"
#include "../terminal/stop.h"

typedef struct scorer {
    precision *scores;
    const detector_truth *truth;
} scorer;

static dpf_status add(void *self, size_t entry, const dn_picture *picture, dpf_detections *found, dpf_error *err) {
    const scorer *s = self;
    (void)picture;
    const dn_boxes *difficult = s->truth->difficult.of ? &s->truth->difficult.of[entry] : NULL;
    return precision_add(s->scores, found, &s->truth->boxes.of[entry], difficult, err);
}

dpf_status detector_score(engine *net, detector_truth *truth, const map_options *options, map_result *out,
                          dpf_error *err) {
    scorer s = {.truth = truth};
    map_result result = {.classes = engine_classes(net)};
    *out = (map_result){0};
    result.of = calloc((size_t)result.classes + 1, sizeof *result.of);
    if (!result.of)
        return dpf_fail_memory(err, (size_t)result.classes * sizeof *result.of, "the scores");
    dpf_status status = precision_new(&s.scores, &options->precision, result.classes, err);
    const detector_pass pass = {
        .net = net,
        .list = truth->list,
        .letterbox = options->letterbox,
        .threshold = options->threshold,
        .suppression = .45f,
        .what = "map",
        .self = &s,
        .each = add,
    };
    if (!status)
        status = detector_run(&pass, &result.pictures, err);
    result.stopped = stop_signal() != 0;
    if (!status)
        status = precision_finish(s.scores, result.of, &result.mean, err);
    precision_free(s.scores);
    if (status)
        map_result_free(&result);
    *out = result;
    return status;
}

void map_result_free(map_result *result) {
    free(result->of);
    *result = (map_result){0};
}

static double share(double part, double whole) {
    return whole > 0 ? part / whole : 0;
}

void detector_print(const map_result *result, const map_options *options, char *const *names) {
    precision_class all = {0};
    const precision_options *o = &options->precision;
    printf("%5s  %-20s %8s %8s %8s %8s %9s %8s %8s\n", "class", "name", "AP %", "objects", "TP", "FP", "precision",
           "recall", "avg IoU");
    for (int k = 0; k < result->classes; k++) {
        const precision_class *c = &result->of[k];
        const double tp = (double)c->true_positives, found = tp + (double)c->false_positives;
        printf("%5d  %-20s %8.2f %8zu %8zu %8zu %9.2f %8.2f %8.2f\n", k, names ? names[k] : "", 100 * c->ap, c->objects,
               c->true_positives, c->false_positives, share(tp, found), share(tp, (double)c->objects),
               100 * share(c->iou, found));
        all.objects += c->objects;
        all.found += c->found;
        all.true_positives += c->true_positives;
        all.false_positives += c->false_positives;
        all.iou += c->iou;
    }
    const double tp = (double)all.true_positives, found = tp + (double)all.false_positives;
    const double exact = share(tp, found), recall = share(tp, (double)all.objects);
    printf("\nfor confidence %.2f: precision = %.2f, recall = %.2f, F1-score = %.2f\n", (double)o->confidence, exact,
           recall, share(2 * exact * recall, exact + recall));
    printf("for confidence %.2f: TP = %zu, FP = %zu, FN = %zu, average IoU = %.2f %%\n", (double)o->confidence,
           all.true_positives, all.false_positives, all.objects - all.true_positives, 100 * share(all.iou, found));
    printf("%zu images, %zu objects, %zu boxes above %g; IoU threshold %.0f %%, ", result->pictures, all.objects,
           all.found, (double)options->threshold, 100 * (double)o->iou);
    if (o->points)
        printf("precision at %d recalls\n", o->points);
    else
        printf("area under the curve for each unique recall\n");
    printf("mAP@%.2f = %.2f %%\n", (double)o->iou, 100 * result->mean);
    fflush(stdout);
}
