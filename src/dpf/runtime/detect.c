/* SPDX-License-Identifier: MIT
 *
 * From a detector's outputs to boxes in the picture.
 */
#include "boxes.h"
#include "context.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct decoder decoder;
typedef struct found found;

/* One pass over all boxes. */
struct decoder {
    dpf_context *c;
    rt_picture picture;
    float thresh;
    size_t count, box; /* entries so far; number of the box at hand */
    dpf_status (*take)(decoder *d, const found *f);
    dpf_detections *list; /* of take_box */
    dpf_error *err;
};

/* Coordinates of a box as shares of the network's input. */
typedef struct box {
    float x, y, w, h;
} box;

/* A box with an objectness above the threshold; its classes are `step` floats apart. */
struct found {
    box b;
    float objectness;
    const float *classes;
    int count;
    size_t step;
};

/* A share of the network's input becomes one of the picture. Cropped and stretched pictures, and
 * inputs that were no pictures, fill it. */
static box to_picture(const decoder *d, box b) {
    const dpf_graph *g = d->c->model->graph;
    if (d->picture.fit != DPF_FIT_LETTERBOX || !d->picture.width)
        return b;
    int w, h;
    if ((float)g->width / (float)d->picture.width < (float)g->height / (float)d->picture.height) {
        w = g->width;
        h = (int)((long)d->picture.height * g->width / d->picture.width);
    } else {
        h = g->height;
        w = (int)((long)d->picture.width * g->height / d->picture.height);
    }
    double net_w = g->width, net_h = g->height;
    return (box){(float)(((double)b.x - (net_w - w) / 2 / net_w) / (double)((float)w / (float)g->width)),
                 (float)(((double)b.y - (net_h - h) / 2 / net_h) / (double)((float)h / (float)g->height)),
                 b.w * ((float)g->width / (float)w), b.h * ((float)g->height / (float)h)};
}

static dpf_status add(decoder *d, box b, float objectness, float probability, int class_id) {
    dpf_context *c = d->c;
    if (d->count == c->found_room) {
        size_t room = c->found_room * 2 + 256;
        dpf_object *grown = realloc(c->found, room * sizeof *grown);
        if (!grown)
            return dpf_fail_memory(d->err, room * sizeof *grown, "detections");
        c->found = grown;
        c->found_room = room;
    }
    c->found[d->count++] = (dpf_object){b.x, b.y, b.w, b.h, objectness, probability, class_id, d->box};
    return DPF_OK;
}

/* An entry for each class above the threshold. */
static dpf_status take_classes(decoder *d, const found *f) {
    const box b = to_picture(d, f->b);
    for (int k = 0; k < f->count; ++k) {
        float probability = f->objectness * f->classes[(size_t)k * f->step];
        if (probability > d->thresh)
            RT_TRY(add(d, b, f->objectness, probability, k));
    }
    return DPF_OK;
}

static dpf_status count_box(decoder *d, const found *f) {
    (void)f;
    d->count++;
    return DPF_OK;
}

/* There is room: count_box has seen as many. */
static dpf_status take_box(decoder *d, const found *f) {
    const box b = to_picture(d, f->b);
    dpf_detection *to = &d->list->list[d->count++];
    to->box = (dpf_box){b.x, b.y, b.w, b.h};
    to->objectness = f->objectness;
    for (int k = 0; k < f->count && k < d->list->classes; ++k) {
        float probability = f->objectness * f->classes[(size_t)k * f->step];
        to->prob[k] = probability > d->thresh ? probability : 0;
    }
    return DPF_OK;
}

/* Box n of cell i. Anchors are pixels of the network's input, or for region cells. */
static dpf_status decode_cell(decoder *d, const dpf_graph_layer *l, const float *values, size_t i, size_t n) {
    const dpf_head *head = &l->head;
    const dpf_graph *g = d->c->model->graph;
    const int yolo = l->type == DPF_YOLO;
    const float unit_w = (float)(yolo ? g->width : l->w), unit_h = (float)(yolo ? g->height : l->h);
    const size_t area = (size_t)l->w * (size_t)l->h, coords = (size_t)head->coords;
    const float *v = values + n * (coords + 1 + (size_t)head->classes) * area + i;
    found f = {.objectness = head->background ? 1 : v[coords * area]};
    if (!(f.objectness > d->thresh))
        return DPF_OK;
    const size_t anchor = yolo ? (size_t)head->mask[n] : n, column = i % (size_t)l->w, row = i / (size_t)l->w;
    const float across = head->anchors[2 * anchor], down = head->anchors[2 * anchor + 1];
    f.b = (box){((float)column + v[0]) / (float)l->w, ((float)row + v[area]) / (float)l->h, 0, 0};
    if (head->new_coords) {
        f.b.w = v[2 * area] * v[2 * area] * 4 * across / unit_w;
        f.b.h = v[3 * area] * v[3 * area] * 4 * down / unit_h;
    } else {
        f.b.w = (float)(exp((double)v[2 * area]) * (double)across / (double)unit_w);
        f.b.h = (float)(exp((double)v[3 * area]) * (double)down / (double)unit_h);
    }
    f.classes = v + (coords + 1) * area;
    f.count = head->classes;
    f.step = area;
    return d->take(d, &f);
}

/* Darknet lists the boxes of yolo cell by cell, those of region one box of all cells after another. */
static dpf_status decode_cells(decoder *d, const dpf_graph_layer *l, const float *values) {
    const size_t area = (size_t)l->w * (size_t)l->h, num = (size_t)l->head.num;
    for (size_t k = 0; k < area * num; ++k, ++d->box) {
        const int yolo = l->type == DPF_YOLO;
        RT_TRY(decode_cell(d, l, values, yolo ? k / num : k % area, yolo ? k % num : k / area));
    }
    return DPF_OK;
}

/* detection: all classes of all cells, then objectness of all boxes, then their coordinates. */
static dpf_status decode_grid(decoder *d, const dpf_graph_layer *l, const float *values) {
    const dpf_head *head = &l->head;
    size_t side = (size_t)head->side, cells = side * side, num = (size_t)head->num, classes = (size_t)head->classes;
    for (size_t i = 0; i < cells; ++i)
        for (size_t n = 0; n < num; ++n, ++d->box) {
            const float objectness = values[cells * classes + i * num + n];
            const float *v = values + cells * (classes + num) + (i * num + n) * 4;
            size_t column = i % side, row = i / side;
            box b = {(v[0] + (float)column) / (float)side, (v[1] + (float)row) / (float)side,
                     head->sqrt ? v[2] * v[2] : v[2], head->sqrt ? v[3] * v[3] : v[3]};
            const found f = {b, objectness, values + i * classes, head->classes, 1};
            RT_TRY(d->take(d, &f));
        }
    return DPF_OK;
}

static dpf_status decode(decoder *d, int image) {
    const dpf_model *m = d->c->model;
    for (size_t i = 0; i < m->output_count; ++i) {
        const dpf_graph_layer *l = &m->graph->layers[m->outputs[i].layer];
        const float *values;
        RT_TRY(dpf_context_output(d->c, image, i, &values, d->err));
        if (l->type == DPF_YOLO || l->type == DPF_REGION)
            RT_TRY(decode_cells(d, l, values));
        else if (l->type == DPF_DETECTION)
            RT_TRY(decode_grid(d, l, values));
    }
    return DPF_OK;
}

/* nms_kind= of the last head: forks suppress by distance, too, even where they call it greedynms. */
static void nms_of_cfg(const dpf_model *m, int *diou, double *beta) {
    for (size_t i = 0; i < m->graph->count; ++i) {
        const dpf_graph_layer *l = &m->graph->layers[i];
        const dpf_key *key = l->type == DPF_YOLO ? dpf_section_find(l->keys, "nms_kind") : NULL;
        if (!key)
            continue;
        *diou = strcmp(key->value, "greedynms") == 0 || strcmp(key->value, "diounms") == 0;
        *beta = strcmp(key->value, "diounms") == 0 ? (double)l->head.beta_nms : 0.6;
    }
}

dpf_status dpf_context_detections(dpf_context *c, int image, const dpf_detect_options *options, const dpf_object **out,
                                  size_t *count, dpf_error *err) {
    static const dpf_detect_options none;
    const dpf_detect_options *o = options ? options : &none;
    *out = NULL;
    *count = 0;
    RT_TRY(rt_check_image(c, image, err));
    if (!(o->thresh >= 0 && o->thresh <= 1) || !(o->overlap >= 0 && o->overlap <= 1) || !(o->beta >= 0))
        return dpf_fail(err, DPF_ERR_RANGE, "thresh=%g, overlap=%g, beta=%g: out of range (allowed: 0 to 1)", o->thresh,
                        o->overlap, o->beta);
    decoder d = {.c = c, .picture = c->pictures[image], .take = take_classes, .err = err};
    d.thresh = o->thresh > 0 ? (float)o->thresh : 0.5f;
    if (o->width > 0 && o->height > 0)
        d.picture = (rt_picture){o->width, o->height, o->fit};
    RT_TRY(decode(&d, image));
    int diou = o->nms == DPF_NMS_DIOU;
    double beta = o->beta > 0 ? o->beta : 0.6;
    if (o->nms == DPF_NMS_CFG)
        nms_of_cfg(c->model, &diou, &beta);
    double overlap = o->nms == DPF_NMS_NONE ? INFINITY : o->overlap > 0 ? o->overlap : 0.45;
    *count = rt_suppress(c->found, d.count, overlap, diou, beta);
    *out = c->found;
    return DPF_OK;
}

dpf_status dpf_context_boxes(dpf_context *c, int image, float threshold, int w, int h, dpf_detections *out,
                             dpf_error *err) {
    dpf_model_info info;
    decoder d = {.c = c, .thresh = threshold, .take = count_box, .list = out, .err = err};
    *out = (dpf_detections){0};
    RT_TRY(rt_check_image(c, image, err));
    if (w > 0 && h > 0)
        d.picture = (rt_picture){w, h, DPF_FIT_LETTERBOX};
    RT_TRY(decode(&d, image));
    dpf_model_get_info(c->model, &info);
    RT_TRY(dpf_detections_new(out, d.count, info.classes, err));
    d.take = take_box;
    d.count = 0;
    return decode(&d, image);
}
