/* SPDX-License-Identifier: MIT
 *
 * One layer from its keys: shape, sources, parameters. The formulas are those of
 * Debian's Darknet; where it would read or write outside of its buffers, or divide
 * by zero, the cfg is refused.
 */
#include "graph_build.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static dpf_status set_output(dpf_build *build, dpf_graph_layer *layer, long c, long h, long w) {
    if (c <= 0 || h <= 0 || w <= 0 || c > DPF_MAX_DIM || h > DPF_MAX_DIM || w > DPF_MAX_DIM)
        return dpf_build_fail(build, layer, DPF_ERR_MISMATCH, "its output would be %ld x %ld x %ld", w, h, c);
    layer->out_c = (int)c;
    layer->out_h = (int)h;
    layer->out_w = (int)w;
    size_t plane;
    DPF_TRY(dpf_build_product(build, layer, (size_t)h, (size_t)w, &plane));
    return dpf_build_product(build, layer, plane, (size_t)c, &layer->outputs);
}

/* Darknet keeps no picture shape for some layers, only a number of floats. */
static void set_flat_output(dpf_graph_layer *layer, size_t outputs) {
    layer->out_c = layer->out_h = layer->out_w = 0;
    layer->outputs = outputs;
}

static void same_output(dpf_graph_layer *layer) {
    layer->out_c = layer->c;
    layer->out_h = layer->h;
    layer->out_w = layer->w;
    layer->outputs = layer->inputs;
}

static dpf_status need_picture(dpf_build *build, dpf_graph_layer *layer) {
    if (layer->c && layer->h && layer->w)
        return DPF_OK;
    return dpf_build_fail(build, layer, DPF_ERR_MISMATCH, "needs a picture (width, height, channels) as its input");
}

static dpf_status parse_stride(dpf_build *build, dpf_graph_layer *layer, long fallback) {
    DPF_TRY(dpf_build_int(build, layer, "stride", fallback, 1, DPF_MAX_DIM, &layer->stride));
    DPF_TRY(dpf_build_int(build, layer, "stride_x", layer->stride, 1, DPF_MAX_DIM, &layer->stride_x));
    return dpf_build_int(build, layer, "stride_y", layer->stride, 1, DPF_MAX_DIM, &layer->stride_y);
}

static dpf_status parse_padding(dpf_build *build, dpf_graph_layer *layer) {
    int pad;
    DPF_TRY(dpf_build_int(build, layer, "pad", 0, INT_MIN, INT_MAX, &pad));
    DPF_TRY(dpf_build_int(build, layer, "padding", 0, 0, DPF_MAX_DIM, &layer->pad));
    if (pad)
        layer->pad = layer->size / 2;
    return DPF_OK;
}

/* Weights of a convolution: filters * channels / groups * size * size. */
static dpf_status count_convolution(dpf_build *build, dpf_graph_layer *layer) {
    size_t area, per_filter;
    DPF_TRY(dpf_build_product(build, layer, (size_t)layer->size, (size_t)layer->size, &area));
    DPF_TRY(dpf_build_product(build, layer, area, (size_t)(layer->c / layer->groups), &per_filter));
    DPF_TRY(dpf_build_product(build, layer, per_filter, (size_t)layer->filters, &layer->weights));
    layer->biases = (size_t)layer->filters;
    layer->bn = layer->batch_normalize ? layer->biases : 0;
    return DPF_OK;
}

static dpf_status build_convolutional(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(need_picture(build, layer));
    DPF_TRY(dpf_build_int(build, layer, "filters", 1, 1, DPF_MAX_DIM, &layer->filters));
    DPF_TRY(dpf_build_int(build, layer, "size", 1, 1, DPF_MAX_DIM, &layer->size));
    DPF_TRY(parse_stride(build, layer, 1));
    DPF_TRY(dpf_build_int(build, layer, "dilation", 1, 1, DPF_MAX_DIM, &layer->dilation));
    if (layer->size == 1) /* nothing to spread; the fork resets it too */
        layer->dilation = 1;
    DPF_TRY(parse_padding(build, layer));
    DPF_TRY(dpf_build_int(build, layer, "groups", 1, 1, DPF_MAX_DIM, &layer->groups));
    DPF_TRY(dpf_build_int(build, layer, "batch_normalize", 0, INT_MIN, INT_MAX, &layer->batch_normalize));
    DPF_TRY(dpf_build_int(build, layer, "binary", 0, 0, 1, &layer->binary));
    DPF_TRY(dpf_build_int(build, layer, "xnor", 0, 0, 1, &layer->xnor));
    DPF_TRY(dpf_build_activation(build, layer, DPF_LOGISTIC_ACT));
    if (layer->c % layer->groups || layer->filters % layer->groups)
        return dpf_build_fail(build, layer, DPF_ERR_MISMATCH,
                              "groups=%d divides not both its %d input channels and its %d filters", layer->groups,
                              layer->c, layer->filters);
    long span = (long)layer->dilation * (layer->size - 1) + 1;
    long room = 2L * layer->pad * layer->dilation;
    if (room > DPF_MAX_DIM)
        return dpf_build_fail(build, layer, DPF_ERR_RANGE, "padding=%d is too much", layer->pad);
    if (span > layer->h + room || span > layer->w + room)
        return dpf_build_fail(build, layer, DPF_ERR_MISMATCH,
                              "a kernel of %ld x %ld does not fit into its padded input of %ld x %ld", span, span,
                              layer->w + room, layer->h + room);
    layer->pad *= layer->dilation;
    DPF_TRY(set_output(build, layer, layer->filters, (layer->h + room - span) / layer->stride_y + 1,
                       (layer->w + room - span) / layer->stride_x + 1));
    DPF_TRY(count_convolution(build, layer));
    layer->multiply_adds = (double)layer->weights * layer->out_h * layer->out_w;
    layer->prunable_default = !(layer->groups > 1 && layer->groups == layer->c);
    return DPF_OK;
}

static dpf_status build_deconvolutional(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(need_picture(build, layer));
    DPF_TRY(dpf_build_int(build, layer, "filters", 1, 1, DPF_MAX_DIM, &layer->filters));
    DPF_TRY(dpf_build_int(build, layer, "size", 1, 1, DPF_MAX_DIM, &layer->size));
    DPF_TRY(parse_stride(build, layer, 1));
    DPF_TRY(parse_padding(build, layer));
    DPF_TRY(dpf_build_int(build, layer, "batch_normalize", 0, INT_MIN, INT_MAX, &layer->batch_normalize));
    DPF_TRY(dpf_build_activation(build, layer, DPF_LOGISTIC_ACT));
    DPF_TRY(set_output(build, layer, layer->filters, (layer->h - 1L) * layer->stride + layer->size - 2L * layer->pad,
                       (layer->w - 1L) * layer->stride + layer->size - 2L * layer->pad));
    return count_convolution(build, layer);
}

/* Parameters of one fully connected layer inside another. */
static dpf_status count_connected(dpf_build *build, dpf_graph_layer *layer, size_t inputs, size_t outputs,
                                  size_t *sum) {
    size_t weights;
    DPF_TRY(dpf_build_product(build, layer, inputs, outputs, &weights));
    *sum += weights + outputs * (layer->batch_normalize ? 4 : 1);
    return *sum <= DPF_MAX_FLOATS ? DPF_OK : dpf_build_fail(build, layer, DPF_ERR_RANGE, "has too many parameters");
}

static dpf_status build_connected(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(dpf_build_int(build, layer, "output", 1, 1, DPF_MAX_DIM, &layer->filters));
    DPF_TRY(dpf_build_int(build, layer, "batch_normalize", 0, INT_MIN, INT_MAX, &layer->batch_normalize));
    DPF_TRY(dpf_build_activation(build, layer, DPF_LOGISTIC_ACT));
    DPF_TRY(set_output(build, layer, layer->filters, 1, 1));
    DPF_TRY(dpf_build_product(build, layer, layer->inputs, layer->outputs, &layer->weights));
    layer->biases = layer->outputs;
    layer->bn = layer->batch_normalize ? layer->outputs : 0;
    layer->multiply_adds = (double)layer->weights;
    return DPF_OK;
}

static dpf_status build_local(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(need_picture(build, layer));
    DPF_TRY(dpf_build_int(build, layer, "filters", 1, 1, DPF_MAX_DIM, &layer->filters));
    DPF_TRY(dpf_build_int(build, layer, "size", 1, 1, DPF_MAX_DIM, &layer->size));
    DPF_TRY(parse_stride(build, layer, 1));
    DPF_TRY(dpf_build_int(build, layer, "pad", 0, INT_MIN, INT_MAX, &layer->pad));
    layer->pad = layer->pad != 0;
    DPF_TRY(dpf_build_activation(build, layer, DPF_LOGISTIC_ACT));
    int cut = layer->pad ? 1 : layer->size;
    if (cut > layer->h || cut > layer->w)
        return dpf_build_fail(build, layer, DPF_ERR_MISMATCH, "size=%d does not fit into its input of %d x %d",
                              layer->size, layer->w, layer->h);
    DPF_TRY(set_output(build, layer, layer->filters, (layer->h - cut) / layer->stride + 1,
                       (layer->w - cut) / layer->stride + 1));
    DPF_TRY(count_convolution(build, layer));
    size_t places = (size_t)layer->out_h * (size_t)layer->out_w;
    DPF_TRY(dpf_build_product(build, layer, layer->weights, places, &layer->weights));
    layer->biases = layer->outputs;
    layer->multiply_adds = (double)layer->weights;
    return DPF_OK;
}

static dpf_status build_maxpool(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(need_picture(build, layer));
    DPF_TRY(parse_stride(build, layer, 1));
    DPF_TRY(dpf_build_int(build, layer, "size", layer->stride, 1, DPF_MAX_DIM, &layer->size));
    DPF_TRY(dpf_build_int(build, layer, "padding", layer->size - 1, 0, DPF_MAX_DIM, &layer->pad));
    long h = (long)layer->h + layer->pad - layer->size, w = (long)layer->w + layer->pad - layer->size;
    if (h < 0 || w < 0)
        return dpf_build_fail(build, layer, DPF_ERR_MISMATCH,
                              "a window of %d x %d does not fit into its input of %d x %d with padding %d", layer->size,
                              layer->size, layer->w, layer->h, layer->pad);
    return set_output(build, layer, layer->c, h / layer->stride_y + 1, w / layer->stride_x + 1);
}

static dpf_status build_avgpool(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(need_picture(build, layer));
    return set_output(build, layer, layer->c, 1, 1);
}

/* Layer that a number of the cfg means: negative counts back from the layer at hand. */
static dpf_status resolve(dpf_build *build, dpf_graph_layer *layer, long number, int *out) {
    long index = number < 0 ? (long)build->index + number : number;
    if (index < 0)
        return dpf_build_fail(build, layer, DPF_ERR_RANGE, "reads layer %ld, which would be before the first", number);
    if (index >= (long)build->index)
        return dpf_build_fail(build, layer, DPF_ERR_RANGE, "reads layer %ld, which does not come before it", number);
    *out = (int)index;
    return DPF_OK;
}

/* Fills layer->from with the list of key `key`, after the previous layer if `before`. */
static dpf_status parse_sources(dpf_build *build, dpf_graph_layer *layer, const char *key, int before) {
    long *numbers;
    size_t count;
    DPF_TRY(dpf_build_int_list(build, layer->keys, key, INT_MIN, INT_MAX, &numbers, &count));
    if (!numbers)
        return dpf_build_fail(build, layer, DPF_ERR_FORMAT, "needs %s=", key);
    int *from = dpf_build_alloc(build, count + 1, sizeof *from);
    if (!from)
        return dpf_fail_memory(build->err, (count + 1) * sizeof *from, "layer numbers");
    size_t n = 0;
    if (before)
        from[n++] = (int)build->index - 1;
    for (size_t i = 0; i < count; ++i)
        DPF_TRY(resolve(build, layer, numbers[i], &from[n++]));
    layer->from = from;
    layer->from_count = n;
    return DPF_OK;
}

static dpf_status build_route(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(parse_sources(build, layer, "layers", 0));
    DPF_TRY(dpf_build_int(build, layer, "groups", 1, 1, DPF_MAX_DIM, &layer->route_groups));
    DPF_TRY(dpf_build_int(build, layer, "group_id", 0, 0, layer->route_groups - 1, &layer->route_group_id));
    const dpf_graph_layer *first = &build->graph->layers[layer->from[0]];
    long channels = 0;
    size_t outputs = 0;
    for (size_t i = 0; i < layer->from_count; ++i) {
        const dpf_graph_layer *next = &build->graph->layers[layer->from[i]];
        if (next->out_w != first->out_w || next->out_h != first->out_h)
            return dpf_build_fail(build, layer, DPF_ERR_MISMATCH,
                                  "joins layers of different sizes: layer %d is %d x %d, layer %d is %d x %d",
                                  layer->from[0], first->out_w, first->out_h, layer->from[i], next->out_w, next->out_h);
        if (next->out_c % layer->route_groups || next->outputs % (size_t)layer->route_groups)
            return dpf_build_fail(build, layer, DPF_ERR_MISMATCH,
                                  "groups=%d does not divide the %d channels of layer %d", layer->route_groups,
                                  next->out_c, layer->from[i]);
        channels += next->out_c / layer->route_groups;
        outputs += next->outputs / (size_t)layer->route_groups;
        if (outputs > DPF_MAX_FLOATS)
            return dpf_build_fail(build, layer, DPF_ERR_RANGE, "its output would be too large");
    }
    layer->c = layer->h = layer->w = 0; /* many inputs, no single shape */
    layer->inputs = outputs;
    if (first->out_w && first->out_h)
        return set_output(build, layer, channels, first->out_h, first->out_w);
    set_flat_output(layer, outputs);
    return DPF_OK;
}

/* One edge must divide the other, alike in both directions: Darknet asserts it. */
static int sizes_fit(const dpf_graph_layer *a, const dpf_graph_layer *b) {
    if (a->out_w <= 0 || a->out_h <= 0 || b->out_w <= 0 || b->out_h <= 0)
        return 0;
    return a->out_w / b->out_w == a->out_h / b->out_h && b->out_w / a->out_w == b->out_h / a->out_h;
}

static dpf_status build_shortcut(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(parse_sources(build, layer, "from", 1));
    DPF_TRY(dpf_build_activation(build, layer, DPF_LINEAR_ACT));
    DPF_TRY(dpf_build_float(build, layer, "alpha", 1, &layer->alpha));
    DPF_TRY(dpf_build_float(build, layer, "beta", 1, &layer->beta));
    const dpf_graph_layer *before = &build->graph->layers[build->index - 1];
    for (size_t i = 1; i < layer->from_count; ++i) {
        const dpf_graph_layer *other = &build->graph->layers[layer->from[i]];
        if (!sizes_fit(before, other))
            return dpf_build_fail(build, layer, DPF_ERR_MISMATCH,
                                  "adds layer %d of %d x %d x %d to %d x %d x %d: the sizes do not fit", layer->from[i],
                                  other->out_w, other->out_h, other->out_c, layer->w, layer->h, layer->c);
    }
    same_output(layer);
    const dpf_key *key = dpf_section_find(layer->keys, "weights_type");
    if (key && strncmp(key->value, "per_", 4) == 0) /* a fork's layer with weights of its own */
        DPF_TRY(dpf_build_product(build, layer, layer->from_count,
                                  strcmp(key->value, "per_channel") == 0 ? (size_t)layer->c : 1, &layer->opaque));
    return DPF_OK;
}

static dpf_status build_upsample(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(need_picture(build, layer));
    DPF_TRY(dpf_build_int(build, layer, "stride", 2, -DPF_MAX_DIM, DPF_MAX_DIM, &layer->stride));
    DPF_TRY(dpf_build_float(build, layer, "scale", 1, &layer->scale));
    if (layer->stride == 0)
        return dpf_build_fail(build, layer, DPF_ERR_RANGE, "stride=0 is out of range");
    if (layer->stride > 0)
        return set_output(build, layer, layer->c, (long)layer->h * layer->stride, (long)layer->w * layer->stride);
    layer->reverse = 1;
    layer->stride = -layer->stride;
    if (layer->h % layer->stride || layer->w % layer->stride)
        return dpf_build_fail(build, layer, DPF_ERR_MISMATCH, "stride %d does not divide its input of %d x %d",
                              layer->stride, layer->w, layer->h);
    return set_output(build, layer, layer->c, layer->h / layer->stride, layer->w / layer->stride);
}

static dpf_status build_reorg(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(need_picture(build, layer));
    DPF_TRY(dpf_build_int(build, layer, "stride", 1, 1, 1 << 12, &layer->stride));
    DPF_TRY(dpf_build_int(build, layer, "reverse", 0, 0, 1, &layer->reverse));
    DPF_TRY(dpf_build_int(build, layer, "flatten", 0, 0, 1, &layer->flatten));
    DPF_TRY(dpf_build_int(build, layer, "extra", 0, 0, DPF_MAX_DIM, &layer->extra));
    if (layer->extra) {
        if (layer->inputs > DPF_MAX_FLOATS - (size_t)layer->extra)
            return dpf_build_fail(build, layer, DPF_ERR_RANGE, "its output would be too large");
        set_flat_output(layer, layer->inputs + (size_t)layer->extra);
        return DPF_OK;
    }
    int s = layer->stride, ss = s * s;
    int sizes_divide = layer->reverse || (layer->h % s == 0 && layer->w % s == 0);
    int spreads = !layer->reverse && (layer->flatten || layer->type == DPF_REORG3D); /* pixels to channels only */
    int channels_divide = spreads || layer->c % ss == 0;
    if (!sizes_divide || !channels_divide)
        return dpf_build_fail(build, layer, DPF_ERR_MISMATCH, "stride %d does not divide its input of %d x %d x %d", s,
                              layer->w, layer->h, layer->c);
    if (layer->reverse)
        return set_output(build, layer, layer->c / ss, (long)layer->h * s, (long)layer->w * s);
    return set_output(build, layer, (long)layer->c * ss, layer->h / s, layer->w / s);
}

static dpf_status build_crop(dpf_build *build, dpf_graph_layer *layer) {
    int h, w;
    DPF_TRY(need_picture(build, layer));
    DPF_TRY(dpf_build_int(build, layer, "crop_height", 1, 1, DPF_MAX_DIM, &h));
    DPF_TRY(dpf_build_int(build, layer, "crop_width", 1, 1, DPF_MAX_DIM, &w));
    DPF_TRY(dpf_build_int(build, layer, "flip", 0, 0, 1, &layer->flip));
    DPF_TRY(dpf_build_int(build, layer, "noadjust", 0, 0, 1, &layer->noadjust));
    if (h > layer->h || w > layer->w)
        return dpf_build_fail(build, layer, DPF_ERR_MISMATCH, "cuts %d x %d out of an input of %d x %d", w, h, layer->w,
                              layer->h);
    return set_output(build, layer, layer->c, h, w);
}

static dpf_status build_softmax(dpf_build *build, dpf_graph_layer *layer) {
    float spatial;
    DPF_TRY(dpf_build_int(build, layer, "groups", 1, 1, DPF_MAX_DIM, &layer->groups));
    DPF_TRY(dpf_build_float(build, layer, "temperature", 1, &layer->temperature));
    DPF_TRY(dpf_build_float(build, layer, "spatial", 0, &spatial));
    layer->spatial = spatial != 0;
    const dpf_key *tree = dpf_section_find(layer->keys, "tree");
    layer->tree = tree ? tree->value : NULL;
    if (layer->inputs % (size_t)layer->groups)
        return dpf_build_fail(build, layer, DPF_ERR_MISMATCH, "groups=%d does not divide its %zu inputs", layer->groups,
                              layer->inputs);
    if (layer->temperature == 0)
        return dpf_build_fail(build, layer, DPF_ERR_RANGE, "temperature=0 is out of range");
    set_flat_output(layer, layer->inputs);
    return DPF_OK;
}

static dpf_status build_cost(dpf_build *build, dpf_graph_layer *layer) {
    static const char *const kinds[] = {"sse", "masked", "smooth", "L1", "seg", "wgan", NULL};
    const dpf_key *type = dpf_section_find(layer->keys, "type");
    layer->cost_type = type ? type->value : "sse";
    DPF_TRY(dpf_build_float(build, layer, "scale", 1, &layer->scale));
    size_t i = 0;
    while (kinds[i] && strcmp(kinds[i], layer->cost_type) != 0)
        ++i;
    if (!kinds[i])
        return dpf_build_fail(build, layer, DPF_ERR_FORMAT,
                              "type=%.60s is not known (allowed: sse, masked, smooth, L1, seg, wgan)",
                              layer->cost_type);
    set_flat_output(layer, layer->inputs);
    return DPF_OK;
}

static dpf_status build_dropout(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(dpf_build_float(build, layer, "probability", .5, &layer->probability));
    if (build->index == 0)
        return dpf_build_fail(build, layer, DPF_ERR_MISMATCH, "cannot be the first layer");
    if (layer->probability < 0 || layer->probability >= 1)
        return dpf_build_fail(build, layer, DPF_ERR_RANGE, "probability=%g is out of range (allowed: 0 to below 1)",
                              (double)layer->probability);
    same_output(layer);
    return DPF_OK;
}

static dpf_status build_normalization(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(need_picture(build, layer));
    DPF_TRY(dpf_build_float(build, layer, "alpha", .0001, &layer->alpha));
    DPF_TRY(dpf_build_float(build, layer, "beta", .75, &layer->beta));
    DPF_TRY(dpf_build_float(build, layer, "kappa", 1, &layer->kappa));
    DPF_TRY(dpf_build_int(build, layer, "size", 5, 1, DPF_MAX_DIM, &layer->size));
    if (layer->size / 2 >= layer->c) /* Darknet would sum channels past the last */
        return dpf_build_fail(build, layer, DPF_ERR_MISMATCH, "size=%d is too much for %d channels", layer->size,
                              layer->c);
    same_output(layer);
    return DPF_OK;
}

static dpf_status build_batchnorm(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(need_picture(build, layer));
    same_output(layer);
    layer->bn = (size_t)layer->c;
    return DPF_OK;
}

static dpf_status build_recurrent(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(dpf_build_int(build, layer, "output", 1, 1, DPF_MAX_DIM, &layer->filters));
    DPF_TRY(dpf_build_int(build, layer, "batch_normalize", 0, INT_MIN, INT_MAX, &layer->batch_normalize));
    if (layer->type == DPF_RNN)
        DPF_TRY(dpf_build_activation(build, layer, DPF_LOGISTIC_ACT));
    size_t outputs = (size_t)layer->filters;
    int from_input = layer->type == DPF_RNN ? 1 : layer->type == DPF_GRU ? 3 : 4;
    int from_state = layer->type == DPF_RNN ? 2 : from_input;
    for (int i = 0; i < from_input; ++i)
        DPF_TRY(count_connected(build, layer, layer->inputs, outputs, &layer->opaque));
    for (int i = 0; i < from_state; ++i)
        DPF_TRY(count_connected(build, layer, outputs, outputs, &layer->opaque));
    set_flat_output(layer, outputs);
    return DPF_OK;
}

/* Three 3x3 convolutions: input to hidden, hidden to hidden, hidden to output. */
static dpf_status build_crnn(dpf_build *build, dpf_graph_layer *layer) {
    int hidden;
    DPF_TRY(need_picture(build, layer));
    DPF_TRY(dpf_build_int(build, layer, "output_filters", 1, 1, DPF_MAX_DIM, &layer->filters));
    DPF_TRY(dpf_build_int(build, layer, "hidden_filters", 1, 1, DPF_MAX_DIM, &hidden));
    DPF_TRY(dpf_build_int(build, layer, "batch_normalize", 0, INT_MIN, INT_MAX, &layer->batch_normalize));
    DPF_TRY(dpf_build_activation(build, layer, DPF_LOGISTIC_ACT));
    size_t in = (size_t)layer->c * 9, mid = (size_t)hidden, out = (size_t)layer->filters;
    DPF_TRY(count_connected(build, layer, in, mid, &layer->opaque));
    DPF_TRY(count_connected(build, layer, mid * 9, mid, &layer->opaque));
    DPF_TRY(count_connected(build, layer, mid * 9, out, &layer->opaque));
    return set_output(build, layer, layer->filters, layer->h, layer->w);
}

/* Scales the channels of an earlier layer by the layer before, or both pixel by pixel. */
static dpf_status build_scale(dpf_build *build, dpf_graph_layer *layer) {
    DPF_TRY(parse_sources(build, layer, "from", 1));
    DPF_TRY(dpf_build_activation(build, layer, DPF_LINEAR_ACT));
    const dpf_graph_layer *other = &build->graph->layers[layer->from[1]];
    if (other->out_c != layer->c)
        return dpf_build_fail(build, layer, DPF_ERR_MISMATCH, "scales %d channels of layer %d by %d", other->out_c,
                              layer->from[1], layer->c);
    return set_output(build, layer, other->out_c, other->out_h, other->out_w);
}

static dpf_status build_passing(dpf_build *build, dpf_graph_layer *layer) {
    if (layer->type == DPF_ACTIVATION)
        DPF_TRY(dpf_build_activation(build, layer, DPF_LINEAR_ACT));
    same_output(layer);
    return DPF_OK;
}

static dpf_status build_foreign(dpf_build *build, dpf_graph_layer *layer) {
    return dpf_build_fail(build, layer, DPF_ERR_UNSUPPORTED, "only %s has this layer", dpf_type_needs(layer->type));
}

dpf_status dpf_build_layer(dpf_build *build, dpf_graph_layer *layer) {
    typedef dpf_status builder(dpf_build *, dpf_graph_layer *);
    static builder *const builders[DPF_LAYER_TYPES] = {
        [DPF_CONVOLUTIONAL] = build_convolutional,
        [DPF_DECONVOLUTIONAL] = build_deconvolutional,
        [DPF_CONNECTED] = build_connected,
        [DPF_LOCAL] = build_local,
        [DPF_MAXPOOL] = build_maxpool,
        [DPF_LOCAL_AVGPOOL] = build_maxpool,
        [DPF_AVGPOOL] = build_avgpool,
        [DPF_ROUTE] = build_route,
        [DPF_SHORTCUT] = build_shortcut,
        [DPF_UPSAMPLE] = build_upsample,
        [DPF_REORG] = build_reorg,
        [DPF_REORG3D] = build_reorg,
        [DPF_DROPOUT] = build_dropout,
        [DPF_SOFTMAX] = build_softmax,
        [DPF_COST] = build_cost,
        [DPF_CROP] = build_crop,
        [DPF_BATCHNORM] = build_batchnorm,
        [DPF_NORMALIZATION] = build_normalization,
        [DPF_RNN] = build_recurrent,
        [DPF_GRU] = build_recurrent,
        [DPF_LSTM] = build_recurrent,
        [DPF_CRNN] = build_crnn,
        [DPF_SCALE_CHANNELS] = build_scale,
        [DPF_SAM] = build_scale,
        [DPF_REGION] = dpf_build_head,
        [DPF_YOLO] = dpf_build_head,
        [DPF_GAUSSIAN_YOLO] = dpf_build_head,
        [DPF_DETECTION] = dpf_build_head,
        [DPF_ISEG] = dpf_build_head,
        [DPF_CONV_LSTM] = build_foreign,
        [DPF_HISTORY] = build_foreign,
        [DPF_CONTRASTIVE] = build_foreign,
        [DPF_IMPLICIT] = build_foreign,
    };
    builder *build_it = builders[layer->type] ? builders[layer->type] : build_passing;
    return build_it(build, layer);
}
