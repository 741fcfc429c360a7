/* SPDX-License-Identifier: MIT
 *
 * See precision.h.
 */
#include "precision.h"

#include <stdint.h>
#include <stdlib.h>

static const size_t NONE = SIZE_MAX;

typedef struct record { /* one box for one class */
    float p;
    int class;
    size_t object; /* that it finds, counted over all pictures, or NONE */
    size_t order;
} record;

struct precision {
    precision_options options;
    int classes;
    record *records;
    size_t count, room;
    size_t objects; /* of the pictures so far */
    precision_class *of;
};

dpf_status precision_new(precision **out, const precision_options *options, int classes, dpf_error *err) {
    *out = NULL;
    precision *p = calloc(1, sizeof *p);
    if (p)
        p->of = calloc((size_t)classes + 1, sizeof *p->of);
    if (!p || !p->of) {
        precision_free(p);
        return dpf_fail_memory(err, (size_t)classes * sizeof *p->of, "the scores");
    }
    p->options = *options;
    p->classes = classes;
    *out = p;
    return DPF_OK;
}

void precision_free(precision *p) {
    if (!p)
        return;
    free(p->records);
    free(p->of);
    free(p);
}

static dpf_box box_of(const dn_box *b) {
    return (dpf_box){b->x, b->y, b->w, b->h};
}

/* The object of class k that the box overlaps most, beyond the threshold; NONE. */
static size_t match(const precision *p, dpf_box box, int k, const dn_boxes *truth, float *best) {
    size_t found = NONE;
    *best = 0;
    for (size_t i = 0; truth && i < truth->count; i++) {
        const float iou = dpf_box_iou(box, box_of(&truth->list[i]));
        if (truth->list[i].class == k && iou > p->options.iou && iou > *best) {
            *best = iou;
            found = i;
        }
    }
    return found;
}

static dpf_status make_room(precision *p, dpf_error *err) {
    if (p->count < p->room)
        return DPF_OK;
    const size_t room = p->room ? 2 * p->room : 4096;
    record *records = realloc(p->records, room * sizeof *records);
    if (!records)
        return dpf_fail_memory(err, room * sizeof *records, "the boxes that were found");
    p->records = records;
    p->room = room;
    return DPF_OK;
}

/* The second count. `first`: the picture's first record; the new one is the last. */
static void count_one(precision *p, size_t first, const record *r, float iou) {
    precision_class *c = &p->of[r->class];
    if (!(r->p > p->options.confidence))
        return;
    int taken = r->object == NONE;
    for (size_t z = first; z < p->count && !taken; z++)
        taken = p->records[z].object == r->object;
    if (taken) {
        c->false_positives++;
    } else {
        c->true_positives++;
        c->iou += (double)iou;
    }
}

dpf_status precision_add(precision *p, const dpf_detections *found, const dn_boxes *truth, const dn_boxes *difficult,
                         dpf_error *err) {
    const size_t first = p->count;
    for (size_t i = 0; i < truth->count; i++)
        p->of[truth->list[i].class].objects++;
    for (size_t i = 0; i < found->count; i++)
        for (int k = 0; k < p->classes; k++) {
            const dpf_detection *d = &found->list[i];
            float iou, other;
            if (!(d->prob[k] > 0))
                continue;
            dpf_status status = make_room(p, err);
            if (status)
                return status;
            const size_t object = match(p, d->box, k, truth, &iou);
            const record r = {d->prob[k], k, object == NONE ? NONE : p->objects + object, p->count};
            count_one(p, first, &r, iou);
            if (object == NONE && match(p, d->box, k, difficult, &other) != NONE)
                continue; /* neither right nor wrong */
            p->records[p->count++] = r;
            p->of[k].found++;
        }
    p->objects += truth->count;
    return DPF_OK;
}

/* By class; in a class the likeliest first. */
static int compare(const void *pa, const void *pb) {
    const record *a = pa, *b = pb;
    if (a->class != b->class)
        return a->class < b->class ? -1 : 1;
    if (a->p > b->p || a->p < b->p)
        return a->p > b->p ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

typedef struct point {
    double precision, recall;
} point;

/* Precision becomes the best at this recall or beyond, from the end backwards. */
static double area(point *curve, size_t count, int points) {
    double sum = 0;
    for (size_t i = count; i-- > 1;)
        if (curve[i].precision > curve[i - 1].precision)
            curve[i - 1].precision = curve[i].precision;
    if (!points) {
        for (size_t i = 0; i < count; i++)
            sum += (curve[i].recall - (i ? curve[i - 1].recall : 0)) * curve[i].precision;
        return sum;
    }
    size_t at = 0;
    for (int k = 0; k < points; k++) {
        while (at < count && curve[at].recall < (double)k / (points - 1))
            at++;
        sum += at < count ? curve[at].precision : 0;
    }
    return sum / points;
}

dpf_status precision_finish(precision *p, precision_class *classes, double *mean, dpf_error *err) {
    double sum = 0;
    point *curve = calloc(p->count + 1, sizeof *curve);
    unsigned char *taken = calloc(p->objects + 1, 1);
    if (!curve || !taken) {
        free(curve);
        free(taken);
        return dpf_fail_memory(err, p->count * sizeof *curve, "the curves of precision");
    }
    if (p->count)
        qsort(p->records, p->count, sizeof *p->records, compare);
    for (size_t first = 0, k = 0; k < (size_t)p->classes; k++) {
        size_t right = 0, n = 0;
        precision_class *c = &p->of[k];
        for (; first + n < p->count && p->records[first + n].class == (int)k; n++) {
            const size_t object = p->records[first + n].object;
            if (object != NONE && !taken[object]) {
                taken[object] = 1;
                right++;
            }
            curve[n] = (point){(double)right / (double)(n + 1), c->objects ? (double)right / (double)c->objects : 0};
        }
        c->ap = area(curve, n, p->options.points);
        sum += c->ap;
        first += n;
        classes[k] = *c;
    }
    free(curve);
    free(taken);
    *mean = p->classes ? sum / p->classes : 0;
    return DPF_OK;
}
