/* SPDX-License-Identifier: MIT
 *
 * The layers that end a detector. Darknet asserts that the layer before has just
 * the right number of outputs, and writes past its anchors when a cfg gives too many.
 */
#include "graph_build.h"

#include <string.h>

static dpf_status need_inputs(dpf_build *build, const dpf_graph_layer *layer, size_t wanted, const char *formula) {
    if (layer->inputs == wanted)
        return DPF_OK;
    return dpf_build_fail(build, layer, DPF_ERR_MISMATCH, "needs %zu inputs (%s) but the layer before has %zu", wanted,
                          formula, layer->inputs);
}

/* h * w * boxes * values, the outputs of a head on a picture; names the filters that are wanted. */
static dpf_status set_picture(dpf_build *build, dpf_graph_layer *layer, size_t boxes, size_t values) {
    size_t channels;
    DPF_TRY(dpf_build_product(build, layer, boxes, values, &channels));
    if (!layer->c || !layer->h || !layer->w)
        return dpf_build_fail(build, layer, DPF_ERR_MISMATCH, "needs a picture (width, height, channels) as its input");
    if ((size_t)layer->c != channels)
        return dpf_build_fail(
            build, layer, DPF_ERR_MISMATCH,
            "needs %zu channels (%zu boxes of %zu values), so filters=%zu in the layer before, not %d", channels, boxes,
            values, channels, layer->c);
    layer->out_c = layer->c;
    layer->out_h = layer->h;
    layer->out_w = layer->w;
    layer->outputs = layer->inputs;
    return DPF_OK;
}

/* Darknet starts from 0.5 for every anchor and takes what the cfg gives. */
static dpf_status parse_anchors(dpf_build *build, dpf_graph_layer *layer) {
    dpf_head *head = &layer->head;
    double *given;
    size_t count, wanted = 2 * (size_t)head->total;
    DPF_TRY(dpf_build_list(build, layer->keys, "anchors", &given, &count));
    if (given && count != wanted)
        return dpf_build_fail(build, layer, DPF_ERR_MISMATCH, "anchors= has %zu values, num=%d needs %zu", count,
                              head->total, wanted);
    head->anchors = dpf_build_alloc(build, wanted, sizeof *head->anchors);
    if (!head->anchors)
        return dpf_fail_memory(build->err, wanted * sizeof *head->anchors, "anchors");
    for (size_t i = 0; i < wanted; ++i)
        head->anchors[i] = given ? (float)given[i] : 0.5f;
    return DPF_OK;
}

static dpf_status parse_mask(dpf_build *build, dpf_graph_layer *layer) {
    dpf_head *head = &layer->head;
    long *given;
    size_t count;
    DPF_TRY(dpf_build_int_list(build, layer->keys, "mask", 0, head->total - 1, &given, &count));
    if (!given)
        count = (size_t)head->total;
    head->num = (int)count; /* a list is never longer than a cfg, far below INT_MAX */
    head->mask = dpf_build_alloc(build, count, sizeof *head->mask);
    if (!head->mask)
        return dpf_fail_memory(build->err, count * sizeof *head->mask, "mask");
    for (size_t i = 0; i < count; ++i)
        head->mask[i] = given ? (int)given[i] : (int)i;
    return DPF_OK;
}

static dpf_status parse_training(dpf_build *build, dpf_graph_layer *layer, int max_boxes) {
    dpf_head *head = &layer->head;
    DPF_TRY(dpf_build_int(build, layer, "max", max_boxes, 0, 1 << 20, &head->max_boxes));
    if (head->max_boxes > max_boxes) /* stock has room for max_boxes a picture and reads past it */
        DPF_TRY(dpf_build_issue(build, (int)build->index, dpf_section_find(layer->keys, "max")->line, 1,
                                "AlexeyAB's fork", "[%s] max=%d (more than %d)", layer->keys->type, head->max_boxes,
                                max_boxes));
    DPF_TRY(dpf_build_float(build, layer, "jitter", .2, &head->jitter));
    DPF_TRY(dpf_build_float(build, layer, "ignore_thresh", .5, &head->ignore_thresh));
    DPF_TRY(dpf_build_float(build, layer, "truth_thresh", 1, &head->truth_thresh));
    DPF_TRY(dpf_build_float(build, layer, "thresh", .5, &head->thresh));
    float random; /* forks take shares here */
    DPF_TRY(dpf_build_float(build, layer, "random", 0, &random));
    head->random = random != 0;
    const dpf_key *tree = dpf_section_find(layer->keys, "tree"), *map = dpf_section_find(layer->keys, "map");
    head->tree = tree && layer->type == DPF_REGION ? tree->value : NULL;
    head->map = map ? map->value : NULL;
    return DPF_OK;
}

static dpf_status build_yolo(dpf_build *build, dpf_graph_layer *layer) {
    dpf_head *head = &layer->head;
    DPF_TRY(dpf_build_int(build, layer, "classes", 20, 0, 1 << 20, &head->classes));
    DPF_TRY(dpf_build_int(build, layer, "num", 1, 1, 1 << 16, &head->total));
    DPF_TRY(parse_mask(build, layer));
    DPF_TRY(parse_anchors(build, layer));
    DPF_TRY(parse_training(build, layer, 90));
    DPF_TRY(dpf_build_int(build, layer, "new_coords", 0, 0, 1, &head->new_coords));
    DPF_TRY(dpf_build_float(build, layer, "scale_x_y", 1, &head->scale_x_y));
    DPF_TRY(dpf_build_float(build, layer, "beta_nms", .6, &head->beta_nms));
    head->coords = layer->type == DPF_GAUSSIAN_YOLO ? 8 : 4;
    return set_picture(build, layer, (size_t)head->num, (size_t)head->classes + (size_t)head->coords + 1);
}

static dpf_status build_region(dpf_build *build, dpf_graph_layer *layer) {
    dpf_head *head = &layer->head;
    DPF_TRY(dpf_build_int(build, layer, "coords", 4, 4, 1 << 16, &head->coords));
    DPF_TRY(dpf_build_int(build, layer, "classes", 20, 0, 1 << 20, &head->classes));
    DPF_TRY(dpf_build_int(build, layer, "num", 1, 1, 1 << 16, &head->total));
    head->num = head->total;
    DPF_TRY(dpf_build_int(build, layer, "softmax", 0, 0, 1, &head->softmax));
    DPF_TRY(dpf_build_int(build, layer, "background", 0, 0, 1, &head->background));
    DPF_TRY(dpf_build_int(build, layer, "rescore", 0, 0, 1, &head->rescore));
    DPF_TRY(dpf_build_int(build, layer, "sqrt", 0, 0, 1, &head->sqrt));
    DPF_TRY(dpf_build_int(build, layer, "bias_match", 0, 0, 1, &head->bias_match));
    DPF_TRY(dpf_build_int(build, layer, "classfix", 0, -1, 1, &head->classfix));
    DPF_TRY(parse_anchors(build, layer));
    DPF_TRY(parse_training(build, layer, 30));
    return set_picture(build, layer, (size_t)head->num, (size_t)head->classes + (size_t)head->coords + 1);
}

static dpf_status build_detection(dpf_build *build, dpf_graph_layer *layer) {
    dpf_head *head = &layer->head;
    DPF_TRY(dpf_build_int(build, layer, "coords", 1, 0, 1 << 10, &head->coords));
    DPF_TRY(dpf_build_int(build, layer, "classes", 1, 0, 1 << 20, &head->classes));
    DPF_TRY(dpf_build_int(build, layer, "num", 1, 1, 1 << 10, &head->num));
    head->total = head->num;
    DPF_TRY(dpf_build_int(build, layer, "side", 7, 1, 1 << 10, &head->side));
    DPF_TRY(dpf_build_int(build, layer, "softmax", 0, 0, 1, &head->softmax));
    DPF_TRY(dpf_build_int(build, layer, "sqrt", 0, 0, 1, &head->sqrt));
    DPF_TRY(dpf_build_int(build, layer, "rescore", 0, 0, 1, &head->rescore));
    DPF_TRY(parse_training(build, layer, 90));
    size_t side = (size_t)head->side, wanted;
    size_t values = (1 + (size_t)head->coords) * (size_t)head->num + (size_t)head->classes;
    DPF_TRY(dpf_build_product(build, layer, side * side, values, &wanted));
    DPF_TRY(need_inputs(build, layer, wanted, "side * side * ((1 + coords) * num + classes)"));
    layer->outputs = layer->inputs;
    return DPF_OK;
}

static dpf_status build_iseg(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(dpf_build_int(build, layer, "classes", 20, 0, 1 << 20, &layer->head.classes));
    DPF_TRY(dpf_build_int(build, layer, "ids", 32, 0, 1 << 20, &layer->extra));
    return set_picture(build, layer, 1, (size_t)layer->head.classes + (size_t)layer->extra);
}

dpf_status dpf_build_head(dpf_build *build, dpf_graph_layer *layer) {
    switch (layer->type) {
    case DPF_REGION:
        return build_region(build, layer);
    case DPF_DETECTION:
        return build_detection(build, layer);
    case DPF_ISEG:
        return build_iseg(build, layer);
    default:
        return build_yolo(build, layer);
    }
}
