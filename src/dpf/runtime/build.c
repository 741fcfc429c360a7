/* SPDX-License-Identifier: MIT
 *
 * From a graph to steps. Layers are taken in order; each chooses the layout it works in
 * from what its input has, and asks for a conversion where that does not do. Layers that
 * change nothing in inference (dropout, cost, a route of one layer) make no step.
 */
#include "model.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

dpf_status rt_fail(const rt_build *b, dpf_status status, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const dpf_graph_layer *l = &b->model->graph->layers[b->index];
    return dpf_fail(b->err, status, "%s:%d: layer %zu (%s) %s", b->model->cfg->file, l->line, b->index,
                    dpf_layer_type_name(l->type), text);
}

/* Room for one more; the old array is kept when there is none. */
static int grow(void **array, size_t count, size_t *room, size_t size) {
    if (count < *room)
        return 1;
    size_t more = *room * 2 + 16;
    void *grown = realloc(*array, more * size);
    if (!grown)
        return 0;
    *array = grown;
    *room = more;
    return 1;
}

dpf_status rt_array_new(rt_build *b, size_t c, size_t h, size_t w, size_t lanes, size_t *out) {
    dpf_model *m = b->model;
    size_t area, floats = 0;
    if (!__builtin_mul_overflow(h, w, &area))
        floats = dense_floats((size_t)m->batch, c, area, lanes);
    if (!floats || floats > SIZE_MAX / 64)
        return rt_fail(b, DPF_ERR_RANGE, "is too large: %zu pictures of %zu x %zu x %zu", (size_t)m->batch, w, h, c);
    if (!grow((void **)&m->arrays, m->array_count, &m->array_room, sizeof *m->arrays))
        return dpf_fail_memory(b->err, sizeof *m->arrays, "a plan");
    *out = m->array_count++;
    m->arrays[*out] = (rt_array){c, h, w, lanes, area, floats, m->step_count, m->step_count, RT_NONE, RT_NONE, 0};
    return DPF_OK;
}

dpf_status rt_widen(rt_build *b, size_t array) {
    rt_array *a = &b->model->arrays[array];
    a->pitch = spconv_whole(a->h * a->w);
    a->floats = dense_floats((size_t)b->model->batch, a->c, a->pitch, 1);
    if (!a->floats || a->floats > SIZE_MAX / 64)
        return rt_fail(b, DPF_ERR_RANGE, "is too large: %zu x %zu x %zu in wide planes", a->w, a->h, a->c);
    return DPF_OK;
}

dpf_status rt_step_new(rt_build *b, rt_step **out, const char *what, void (*run)(const rt_run *), const size_t *in,
                       size_t in_count, size_t array) {
    dpf_model *m = b->model;
    if (!grow((void **)&m->steps, m->step_count, &m->step_room, sizeof *m->steps))
        return dpf_fail_memory(b->err, sizeof *m->steps, "a plan");
    rt_step *s = &m->steps[m->step_count];
    *s = (rt_step){
        .run = run, .number = b->index, .what = what, .in_count = in_count, .out = array, .act = DPF_LINEAR_ACT};
    s->layer = &m->graph->layers[b->index];
    s->scratch = RT_NONE;
    s->in = malloc((in_count ? in_count : 1) * sizeof *s->in);
    if (!s->in)
        return dpf_fail_memory(b->err, in_count * sizeof *s->in, "a plan");
    memcpy(s->in, in, in_count * sizeof *in);
    for (size_t i = 0; i < in_count; ++i)
        m->arrays[in[i]].last = m->step_count;
    m->most_inputs = in_count > m->most_inputs ? in_count : m->most_inputs;
    m->arrays[array].first = m->arrays[array].last = m->step_count++;
    *out = s;
    return DPF_OK;
}

dpf_status rt_scratch(rt_build *b, size_t step, size_t floats) {
    if (!floats)
        return DPF_OK;
    dpf_model *m = b->model;
    size_t array, batch = (size_t)m->batch;
    RT_TRY(rt_array_new(b, (floats + batch - 1) / batch, 1, 1, 1, &array));
    m->arrays[array].first = m->arrays[array].last = step;
    m->steps[step].scratch = array;
    return DPF_OK;
}

float *rt_floats(const rt_build *b, size_t count) {
    size_t bytes;
    float *x = NULL;
    if (!__builtin_mul_overflow(count + 16, sizeof *x, &bytes))
        x = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!x)
        dpf_fail_memory(b->err, (unsigned long long)count * sizeof *x, "weights");
    return x;
}

size_t rt_source(const rt_build *b, size_t i) {
    int from = b->model->graph->layers[b->index].from[i];
    return from < 0 ? b->model->input : b->of_layer[from];
}

void rt_result(rt_build *b, size_t array) {
    b->of_layer[b->index] = array;
}

/* Another name for the same memory in another layout. */
static dpf_status make_view(rt_build *b, size_t array, size_t lanes, size_t *out) {
    rt_array a = b->model->arrays[array];
    RT_TRY(rt_array_new(b, a.c, a.h, a.w, lanes, out));
    rt_array *view = &b->model->arrays[*out];
    view->share = array;
    view->source = array;
    view->first = a.first;
    view->last = a.last;
    return DPF_OK;
}

dpf_status rt_as(rt_build *b, size_t array, size_t lanes, size_t *out) {
    dpf_model *m = b->model;
    size_t root = m->arrays[array].source != RT_NONE ? m->arrays[array].source : array;
    for (size_t i = root; i < m->array_count; ++i)
        if ((i == root || m->arrays[i].source == root) && m->arrays[i].lanes == lanes && !rt_is_wide(&m->arrays[i])) {
            *out = i;
            return DPF_OK;
        }
    rt_array a = m->arrays[root];
    if (a.h * a.w == 1 && a.c % a.lanes == 0 && a.c % lanes == 0)
        return make_view(b, root, lanes, out);
    RT_TRY(rt_array_new(b, a.c, a.h, a.w, lanes, out));
    rt_step *s;
    RT_TRY(rt_step_new(b, &s, "convert", NULL, &root, 1, *out));
    m->arrays[*out].source = root;
    const int shape[4] = {m->batch, (int)a.c, (int)a.h, (int)a.w};
    RT_TRY(dense_relayout_new(&s->dense, shape, a.lanes, a.pitch, lanes, m->threads, b->err));
    dense_info info;
    dense_get_info(s->dense, &info);
    snprintf(s->kernel, sizeof s->kernel, "%s", info.name);
    if (rt_is_wide(&a))
        snprintf(s->why, sizeof s->why, "wide planes to %zu channels together", lanes);
    else
        snprintf(s->why, sizeof s->why, "%zu to %zu channels together", a.lanes, lanes);
    return rt_scratch(b, m->step_count - 1, info.scratch);
}

/* A layer that keeps the layout of its one input, c x h x w from the graph. */
static dpf_status build_follower(rt_build *b, const dpf_graph_layer *l, const char *what, void (*run)(const rt_run *),
                                 int in_place) {
    size_t in = rt_source(b, 0), out;
    RT_TRY(rt_as(b, in, b->model->arrays[in].lanes, &in));
    rt_array a = b->model->arrays[in];
    size_t lanes = a.lanes;
    if (l->out_c && (size_t)l->out_c == a.c)
        RT_TRY(rt_array_new(b, a.c, (size_t)l->out_h, (size_t)l->out_w, lanes, &out));
    else
        RT_TRY(rt_array_new(b, a.c, a.h, a.w, lanes, &out));
    rt_step *s;
    RT_TRY(rt_step_new(b, &s, what, run, &in, 1, out));
    s->in_place = in_place;
    rt_result(b, out);
    return DPF_OK;
}

/* A layer that works on plain arrays. */
static dpf_status build_plain(rt_build *b, const dpf_graph_layer *l, const char *what, void (*run)(const rt_run *),
                              int in_place) {
    size_t in, out;
    RT_TRY(rt_as(b, rt_source(b, 0), 1, &in));
    if (l->out_c)
        RT_TRY(rt_array_new(b, (size_t)l->out_c, (size_t)l->out_h, (size_t)l->out_w, 1, &out));
    else
        RT_TRY(rt_array_new(b, l->outputs, 1, 1, 1, &out));
    rt_step *s;
    RT_TRY(rt_step_new(b, &s, what, run, &in, 1, out));
    s->in_place = in_place;
    rt_result(b, out);
    return DPF_OK;
}

/* Sources one after another, all in the layout of the first where no block is cut, else plain. */
static dpf_status build_route(rt_build *b, const dpf_graph_layer *l) {
    dpf_model *m = b->model;
    size_t lanes = m->arrays[rt_source(b, 0)].lanes, groups = (size_t)l->route_groups, out;
    if (l->from_count == 1 && groups == 1) {
        rt_result(b, rt_source(b, 0));
        return DPF_OK;
    }
    for (size_t i = 0; i < l->from_count; ++i)
        if (m->arrays[rt_source(b, i)].c / groups % lanes)
            lanes = 1;
    if (lanes != 8 && lanes != 16)
        lanes = 1;
    size_t *in = malloc(l->from_count * sizeof *in);
    if (!in)
        return dpf_fail_memory(b->err, l->from_count * sizeof *in, "a plan");
    dpf_status status = DPF_OK;
    for (size_t i = 0; i < l->from_count && !status; ++i)
        status = rt_as(b, rt_source(b, i), lanes, &in[i]);
    if (!status && l->out_c)
        status = rt_array_new(b, (size_t)l->out_c, (size_t)l->out_h, (size_t)l->out_w, lanes, &out);
    else if (!status)
        status = rt_array_new(b, l->outputs, 1, 1, 1, &out);
    rt_step *s;
    if (!status)
        status = rt_step_new(b, &s, "route", rt_concat, in, l->from_count, out);
    free(in);
    if (!status)
        rt_result(b, out);
    return status;
}

/* Stock Darknet adds one layer, of any size that divides; forks add several of equal size,
 * each with a weight perhaps. */
static dpf_status build_shortcut(rt_build *b, const dpf_graph_layer *l) {
    dpf_model *m = b->model;
    size_t first = rt_source(b, 0), out;
    rt_array a = m->arrays[first];
    int same = 1, weighted = l->opaque > 0 || l->from_count > 2;
    for (size_t i = 1; i < l->from_count; ++i) {
        const rt_array *other = &m->arrays[rt_source(b, i)];
        same = same && other->c == a.c && other->h == a.h && other->w == a.w;
        if (weighted && (other->h != a.h || other->w != a.w))
            return rt_fail(b, DPF_ERR_UNSUPPORTED, "adds several layers of different sizes");
    }
    size_t lanes = same && !weighted ? a.lanes : 1;
    size_t *in = malloc(l->from_count * sizeof *in);
    if (!in)
        return dpf_fail_memory(b->err, l->from_count * sizeof *in, "a plan");
    dpf_status status = DPF_OK;
    int wide = 0;
    for (size_t i = 0; i < l->from_count && !status; ++i) {
        in[i] = rt_source(b, i);
        if (!same || weighted || m->arrays[in[i]].lanes != lanes) /* else wide planes will do, too */
            status = rt_as(b, in[i], lanes, &in[i]);
        wide |= rt_is_wide(&m->arrays[in[i]]);
    }
    if (!status)
        status = rt_array_new(b, a.c, a.h, a.w, lanes, &out);
    if (!status && wide && rt_wants_wide(b))
        status = rt_widen(b, out);
    rt_step *s = NULL;
    if (!status)
        status = rt_step_new(b, &s, "shortcut", weighted ? rt_weighted_add : rt_add, in, l->from_count, out);
    free(in);
    if (status)
        return status;
    s->in_place = same && l->from_count == 2;
    rt_result(b, out);
    if (!l->opaque)
        return DPF_OK;
    s->weights = rt_floats(b, l->opaque);
    if (!s->weights)
        return DPF_ERR_MEMORY;
    memcpy(s->weights, b->values, l->opaque * sizeof *s->weights);
    return DPF_OK;
}

static dpf_status build_scale(rt_build *b, const dpf_graph_layer *l) {
    dpf_model *m = b->model;
    size_t in[2] = {rt_source(b, 1), rt_source(b, 0)}, out; /* the larger first: it may be overwritten */
    rt_array big = m->arrays[in[0]], small = m->arrays[in[1]];
    int sam = l->type == DPF_SAM;
    if (big.c != small.c || (sam ? big.h != small.h || big.w != small.w : small.h * small.w != 1))
        return rt_fail(b, DPF_ERR_UNSUPPORTED, "has inputs of %zu x %zu x %zu and %zu x %zu x %zu", small.w, small.h,
                       small.c, big.w, big.h, big.c);
    size_t lanes = sam ? big.lanes : 1;
    RT_TRY(rt_as(b, in[0], lanes, &in[0]));
    RT_TRY(rt_as(b, in[1], lanes, &in[1]));
    RT_TRY(rt_array_new(b, big.c, big.h, big.w, lanes, &out));
    rt_step *s;
    RT_TRY(rt_step_new(b, &s, dpf_layer_type_name(l->type), sam ? rt_multiply : rt_scale_channels, in, 2, out));
    s->in_place = 1;
    rt_result(b, out);
    return DPF_OK;
}

/* weights: factors, bias: shifts of the channels. */
static dpf_status build_batchnorm(rt_build *b, const dpf_graph_layer *l) {
    RT_TRY(build_plain(b, l, "batchnorm", rt_batchnorm_run, 1));
    rt_step *s = &b->model->steps[b->model->step_count - 1];
    s->weights = rt_floats(b, l->bn);
    s->bias = rt_floats(b, l->bn);
    if (!s->weights || !s->bias)
        return DPF_ERR_MEMORY;
    for (size_t i = 0; i < l->bn; ++i) {
        double factor, shift;
        rt_batchnorm(b, l, b->values, i, &factor, &shift, 0);
        s->weights[i] = (float)factor;
        s->bias[i] = (float)shift;
    }
    return DPF_OK;
}

/* Weights and biases of a step's own function. */
static dpf_status own_weights(rt_build *b, const dpf_graph_layer *l, size_t step) {
    float *w, *bias;
    rt_step *s = &b->model->steps[step];
    rt_fold(b, l, &w, &bias);
    s->weights = rt_floats(b, l->weights);
    s->bias = rt_floats(b, l->biases);
    if (!s->weights || !s->bias)
        return DPF_ERR_MEMORY;
    memcpy(s->weights, w, l->weights * sizeof *w);
    memcpy(s->bias, bias, l->biases * sizeof *bias);
    s->multiply_adds = l->multiply_adds;
    return DPF_OK;
}

static dpf_status build_connected(rt_build *b, const dpf_graph_layer *l) {
    RT_TRY(build_plain(b, l, "connected", rt_connected, 0));
    return own_weights(b, l, b->model->step_count - 1);
}

static dpf_status build_local(rt_build *b, const dpf_graph_layer *l) {
    if (l->pad && l->size != 3)
        return rt_fail(b, DPF_ERR_UNSUPPORTED, "has pad=1 with size=%d, for which Darknet reads past its input",
                       l->size);
    RT_TRY(build_plain(b, l, "local", rt_local, 0));
    size_t at = b->model->step_count - 1;
    RT_TRY(own_weights(b, l, at));
    size_t taps = (size_t)l->c * (size_t)l->size * (size_t)l->size;
    return rt_scratch(b, at, taps * (size_t)b->model->threads);
}

static dpf_status build_lrn(rt_build *b, const dpf_graph_layer *l) {
    RT_TRY(build_plain(b, l, "normalization", rt_lrn, 0));
    return rt_scratch(b, b->model->step_count - 1, (size_t)l->h * (size_t)l->w * (size_t)b->model->threads);
}

static dpf_status build_same(rt_build *b) {
    rt_result(b, rt_source(b, 0));
    return DPF_OK;
}

static dpf_status build_maxpool(rt_build *b, const dpf_graph_layer *l) {
    if (b->pooled) {
        b->pooled = 0;
        return build_same(b);
    }
    RT_TRY(build_follower(b, l, "maxpool", rt_maxpool, 0));
    size_t at = b->model->step_count - 1;
    b->model->steps[at].act = b->waiting;
    b->waiting = DPF_LINEAR_ACT;
    const rt_array *in = &b->model->arrays[b->model->steps[at].in[0]];
    return rt_scratch(b, at, rt_maxpool_scratch(in) * (size_t)b->model->threads);
}

static dpf_status build_layer(rt_build *b, const dpf_graph_layer *l) {
    switch (l->type) {
    case DPF_CONVOLUTIONAL:
        return rt_build_convolution(b, l);
    case DPF_CONNECTED:
        return build_connected(b, l);
    case DPF_LOCAL:
        return build_local(b, l);
    case DPF_MAXPOOL:
        return build_maxpool(b, l);
    case DPF_LOCAL_AVGPOOL:
        return build_follower(b, l, "local_avgpool", rt_local_avgpool, 0);
    case DPF_AVGPOOL:
        return build_follower(b, l, "avgpool", rt_avgpool, 0);
    case DPF_UPSAMPLE:
        return build_follower(b, l, "upsample", rt_upsample, 0);
    case DPF_LOGISTIC:
    case DPF_ACTIVATION:
        return build_follower(b, l, "activation", rt_activation, 1);
    case DPF_ROUTE:
        return build_route(b, l);
    case DPF_SHORTCUT:
        return build_shortcut(b, l);
    case DPF_SCALE_CHANNELS:
    case DPF_SAM:
        return build_scale(b, l);
    case DPF_REORG:
        if (l->flatten && l->extra)
            return rt_fail(b, DPF_ERR_UNSUPPORTED,
                           "has both flatten and extra, for which Darknet reads past its input");
        return build_plain(b, l, "reorg", rt_reorg, 0);
    case DPF_REORG3D:
        if (l->reverse || l->flatten || l->extra)
            return rt_fail(b, DPF_ERR_UNSUPPORTED, "with reverse, flatten or extra cannot be run");
        return build_plain(b, l, "reorg3d", rt_reorg3d, 0);
    case DPF_CROP:
        return build_plain(b, l, "crop", rt_crop, 0);
    case DPF_BATCHNORM:
        return build_batchnorm(b, l);
    case DPF_NORMALIZATION:
        return build_lrn(b, l);
    case DPF_L2NORM:
        return build_plain(b, l, "l2norm", rt_l2norm, 1);
    case DPF_SOFTMAX:
        return build_plain(b, l, "softmax", rt_softmax, 1);
    case DPF_YOLO:
        return build_plain(b, l, "yolo", rt_yolo, 1);
    case DPF_REGION:
        return build_plain(b, l, "region", rt_region, 1);
    case DPF_DETECTION:
        return build_plain(b, l, "detection", rt_detection, 1);
    case DPF_DROPOUT:
    case DPF_COST:
    case DPF_EMPTY:
        return build_same(b);
    default:
        return rt_fail(b, DPF_ERR_UNSUPPORTED, "cannot be run by this program's own engine; libdarknet may");
    }
}

/* Options that change the result and that no step knows. */
static dpf_status check_options(const rt_build *b) {
    static const char *const keys[] = {"antialiasing", "share_index",   "deform",       "rotate",
                                       "sway",         "stretch",       "stretch_sway", "coordconv",
                                       "bin_output",   "maxpool_depth", "out_channels", "scale_wh"};
    const dpf_graph_layer *l = &b->model->graph->layers[b->index];
    for (size_t i = 0; i < sizeof keys / sizeof *keys; ++i) {
        const dpf_key *key = dpf_section_find(l->keys, keys[i]);
        if (key && strcmp(key->value, "0") != 0)
            return rt_fail(b, DPF_ERR_UNSUPPORTED, "has %s=%.40s (line %d), which this program's own engine cannot run",
                           key->key, key->value, key->line);
    }
    if (l->xnor)
        return rt_fail(b, DPF_ERR_UNSUPPORTED, "has xnor=1, which this program's own engine cannot run");
    if ((l->type == DPF_SOFTMAX && l->tree) || (l->type == DPF_REGION && l->head.tree))
        return rt_fail(b, DPF_ERR_UNSUPPORTED, "has a tree=, which this program's own engine cannot run");
    if (l->type == DPF_DETECTION && l->head.coords != 4)
        return rt_fail(b, DPF_ERR_UNSUPPORTED, "has coords=%d; only 4 can be run", l->head.coords);
    return DPF_OK;
}

int rt_is_output(const dpf_model *m, size_t layer) {
    dpf_layer_type type = m->graph->layers[layer].type;
    return m->keep_layers || layer == m->graph->output_layer || type == DPF_YOLO || type == DPF_REGION ||
           type == DPF_DETECTION;
}

static dpf_status build_outputs(rt_build *b) {
    dpf_model *m = b->model;
    m->outputs = calloc(m->graph->count, sizeof *m->outputs);
    if (!m->outputs)
        return dpf_fail_memory(b->err, m->graph->count * sizeof *m->outputs, "a plan");
    for (b->index = 0; b->index < m->graph->count; ++b->index) {
        if (!rt_is_output(m, b->index))
            continue;
        rt_output *o = &m->outputs[m->output_count++];
        o->layer = b->index;
        snprintf(o->name, sizeof o->name, "%s%zu", dpf_layer_type_name(m->graph->layers[b->index].type), b->index);
        RT_TRY(rt_as(b, b->of_layer[b->index], 1, &o->array));
        m->arrays[o->array].last = RT_ALWAYS;
    }
    return DPF_OK;
}

dpf_status rt_build_all(dpf_model *m, rt_parameters *parameters, dpf_error *err) {
    const dpf_graph *g = m->graph;
    rt_build b = {.model = m, .waiting = DPF_LINEAR_ACT, .err = err};
    b.of_layer = calloc(g->count, sizeof *b.of_layer);
    if (!b.of_layer)
        return dpf_fail_memory(err, g->count * sizeof *b.of_layer, "a plan");
    dpf_status status = DPF_OK;
    if (g->channels && g->height && g->width)
        status = rt_array_new(&b, (size_t)g->channels, (size_t)g->height, (size_t)g->width, 1, &m->input);
    else
        status = rt_array_new(&b, g->inputs, 1, 1, 1, &m->input);
    for (b.index = 0; b.index < g->count && !status; ++b.index) {
        status = check_options(&b);
        if (!status)
            status = rt_parameters_next(parameters, g, b.index, &b.values, &b.rows, err);
        if (!status)
            status = build_layer(&b, &g->layers[b.index]);
    }
    if (!status)
        status = build_outputs(&b);
    free(b.of_layer);
    for (size_t i = 0; i < m->step_count && !status; ++i) {
        m->multiply_adds += m->steps[i].multiply_adds;
        m->useful += m->steps[i].useful;
    }
    return status;
}
