/* SPDX-License-Identifier: MIT
 *
 * Steps that move or pool pixels. Those that keep the layout see an array as planes:
 * batch * blocks of height x width pixels of `lanes` floats each.
 */
#include "model.h"

#include <float.h>
#include <omp.h>
#include <string.h>

#include "../kernels/plane.h"

enum { SMALL_WINDOW = 3 };           /* in blocks: pixel by pixel, larger ones first by rows */
#define POOL_PLANE ((size_t)1 << 14) /* floats of a plane that a thread may copy to pool it at once */

static size_t planes_of(const rt_run *r, const rt_array *a) {
    return (size_t)r->model->batch * ((a->c + a->lanes - 1) / a->lanes);
}

static const rt_array *in_array(const rt_run *r) {
    return &r->model->arrays[r->step->in[0]];
}

static const rt_array *out_array(const rt_run *r) {
    return &r->model->arrays[r->step->out];
}

/* The part of a window that lies in the picture: [*first, *last). */
static void window(long at, long size, long length, size_t *first, size_t *last) {
    *first = at < 0 ? 0 : (size_t)at;
    *last = at + size > length ? (size_t)length : (size_t)(at + size < 0 ? 0 : at + size);
}

/* Along a line of `width` pixels, which holds the maxima of the window's rows. */
static void max_along(const float *restrict line, float *restrict to, const dpf_graph_layer *l, size_t width,
                      size_t out_w, size_t lanes) {
    for (size_t x = 0; x < out_w; ++x) {
        size_t first, last;
        window((long)x * l->stride_x - l->pad / 2, l->size, (long)width, &first, &last);
        for (size_t k = 0; k < lanes; ++k)
            to[x * lanes + k] = -FLT_MAX;
        for (size_t i = first; i < last; ++i)
            for (size_t k = 0; k < lanes; ++k) {
                float v = line[i * lanes + k];
                to[x * lanes + k] = v > to[x * lanes + k] ? v : to[x * lanes + k];
            }
    }
}

/* The same for stride 1: the whole line once for each pixel of the window. */
static void max_shifted(const plane_ops *ops, const float *line, float *to, const dpf_graph_layer *l, size_t width,
                        size_t out_w, size_t lanes) {
    for (size_t i = 0; i < out_w * lanes; ++i)
        to[i] = -FLT_MAX;
    for (long m = 0; m < l->size; ++m) {
        long shift = m - l->pad / 2; /* output x reads pixel x + shift */
        size_t first = shift < 0 ? (size_t)-shift : 0;
        size_t last = shift < 0 ? width + first : width > (size_t)shift ? width - (size_t)shift : 0;
        last = last < out_w ? last : out_w;
        if (first < last)
            ops->max(line + (size_t)((long)first + shift) * lanes, to + first * lanes, (last - first) * lanes);
    }
}

/* The maxima of the rows [first, last), of `floats` floats each. */
static void max_rows(const plane_ops *ops, const float *plane, float *line, size_t floats, size_t first, size_t last) {
    if (first >= last) {
        for (size_t i = 0; i < floats; ++i)
            line[i] = -FLT_MAX;
        return;
    }
    memcpy(line, plane + first * floats, floats * sizeof *line);
    for (size_t y = first + 1; y < last; ++y)
        ops->max(plane + y * floats, line, floats);
}

/* Windows of 2 x 2 that lie side by side on plain rows of an even width, for `rows` rows of output: all pairs
 * of the two rows each needs in one run, then those above each other. */
static void max_quads(const plane_ops *ops, const float *from, float *line, float *to, size_t out_w, size_t rows) {
    ops->max_pairs(from, line, 2 * rows * out_w);
    for (size_t y = 0; y < rows; ++y) {
        const float *upper = line + 2 * y * out_w, *lower = upper + out_w;
        for (size_t x = 0; x < out_w; ++x)
            to[y * out_w + x] = upper[x] > lower[x] ? upper[x] : lower[x];
    }
}

/* Windows of 2 x 2 at every pixel of a plain plane; those over the edge are cut. */
static void max_overlapping(const plane_ops *ops, const float *from, float *line, float *to, size_t w, size_t h) {
    const size_t area = w * h;
    memcpy(line, from, area * sizeof *line);
    ops->max(from + w, line, area - w);
    memcpy(to, line, area * sizeof *to);
    ops->max(line + 1, to, area - 1);
    for (size_t y = 0; y < h; ++y)
        to[y * w + w - 1] = line[y * w + w - 1];
}

static void max_row(const rt_run *r, const plane_ops *ops, float *line, size_t plane_number, size_t y) {
    const dpf_graph_layer *l = r->step->layer;
    const rt_array *in = in_array(r), *out = out_array(r);
    size_t lanes = in->lanes, floats = in->w * lanes, first, last;
    float *to = r->out + (plane_number * out->h + y) * out->w * lanes;
    window((long)y * l->stride_y - l->pad / 2, l->size, (long)in->h, &first, &last);
    const float *plane = r->in[0] + plane_number * in->h * floats;
    if (lanes == PLANE_LANES && l->size <= SMALL_WINDOW) {
        ops->block_pool(plane, (int)in->w, (int)first, (int)last, -(l->pad / 2), l->size, l->stride_x, (int)out->w, to);
        return;
    }
    max_rows(ops, plane, line, floats, first, last);
    if (l->stride_x == 1)
        max_shifted(ops, line, to, l, in->w, out->w, lanes);
    else
        max_along(line, to, l, in->w, out->w, lanes);
}

size_t rt_maxpool_scratch(const rt_array *in) {
    size_t area = in->h * in->w, row = in->w * in->lanes;
    return area > row && area <= POOL_PLANE ? area : row;
}

/* The usual two kinds on plain planes have loops of their own. */
void rt_maxpool(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    const rt_array *in = in_array(r), *out = out_array(r);
    const plane_ops *ops = dpf_plane_ops();
    const size_t planes = planes_of(r, in), room = rt_maxpool_scratch(in);
    const int two = in->lanes == 1 && l->size == 2 && l->pad / 2 == 0;
    const int quads = two && l->stride_x == 2 && l->stride_y == 2 && in->w == 2 * out->w && in->h == 2 * out->h;
    const int overlapping =
        two && l->stride_x == 1 && l->stride_y == 1 && out->w == in->w && out->h == in->h && room >= in->h * in->w;
    const size_t height = out->h ? out->h : 1; /* never 0, which a static check cannot know */
    const size_t rows = quads && room >= height * in->w ? height : 1, jobs = planes * height / rows;
    float *line = r->scratch + (size_t)omp_get_thread_num() * room;
    if (overlapping) {
#pragma omp for schedule(static)
        for (size_t p = 0; p < planes; ++p)
            max_overlapping(ops, r->in[0] + p * in->h * in->w, line, r->out + p * in->h * in->w, in->w, in->h);
        return;
    }
#pragma omp for schedule(static)
    for (size_t j = 0; j < jobs; ++j) {
        if (quads)
            max_quads(ops, r->in[0] + j * 2 * rows * in->w, line, r->out + j * rows * out->w, out->w, rows);
        else
            max_row(r, ops, line, j / height, j % height);
        float *to = r->out + j * rows * out->w * in->lanes;
        if (r->step->act != DPF_LINEAR_ACT)
            ops->affine(to, to, rows * out->w * in->lanes, 1, 0, r->step->act);
    }
}

void rt_local_avgpool(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    const rt_array *in = in_array(r), *out = out_array(r);
    size_t lanes = in->lanes, jobs = planes_of(r, in) * out->h;
#pragma omp for schedule(static)
    for (size_t j = 0; j < jobs; ++j) {
        const float *plane = r->in[0] + j / out->h * in->h * in->w * lanes;
        size_t top, bottom, left, right;
        window((long)(j % out->h) * l->stride_y - l->pad / 2, l->size, (long)in->h, &top, &bottom);
        for (size_t x = 0; x < out->w; ++x) {
            float *to = r->out + (j * out->w + x) * lanes;
            window((long)x * l->stride_x - l->pad / 2, l->size, (long)in->w, &left, &right);
            size_t count = bottom > top && right > left ? (bottom - top) * (right - left) : 0;
            memset(to, 0, lanes * sizeof *to);
            for (size_t y = top; count && y < bottom; ++y)
                for (size_t i = left; i < right; ++i)
                    for (size_t k = 0; k < lanes; ++k)
                        to[k] += plane[(y * in->w + i) * lanes + k];
            for (size_t k = 0; k < lanes; ++k)
                to[k] /= (float)count;
        }
    }
}

void rt_avgpool(const rt_run *r) {
    const rt_array *in = in_array(r);
    size_t lanes = in->lanes, planes = planes_of(r, in), area = in->h * in->w;
#pragma omp for schedule(static)
    for (size_t p = 0; p < planes; ++p) {
        const float *from = r->in[0] + p * area * lanes;
        float *to = r->out + p * lanes;
        memset(to, 0, lanes * sizeof *to);
        for (size_t i = 0; i < area; ++i)
            for (size_t k = 0; k < lanes; ++k)
                to[k] += from[i * lanes + k];
        for (size_t k = 0; k < lanes; ++k)
            to[k] /= (float)area;
    }
}

static void upsample_row(const float *from, float *to, const rt_array *in, const dpf_graph_layer *l) {
    size_t s = (size_t)l->stride, lanes = in->lanes, floats = in->w * lanes * s;
    for (size_t x = 0; x < in->w; ++x)
        for (size_t n = 0; n < s; ++n)
            for (size_t k = 0; k < lanes; ++k)
                to[(x * s + n) * lanes + k] = l->scale * from[x * lanes + k];
    for (size_t n = 1; n < s; ++n)
        memcpy(to + n * floats, to, floats * sizeof *to);
}

/* The other way: `stride` rows become one, pixels summed up. */
static void gather_row(const float *from, float *to, const rt_array *in, const dpf_graph_layer *l) {
    size_t s = (size_t)l->stride, lanes = in->lanes;
    memset(to, 0, in->w / s * lanes * sizeof *to);
    for (size_t i = 0; i < s * in->w; ++i)
        for (size_t k = 0; k < lanes; ++k)
            to[i % in->w / s * lanes + k] += l->scale * from[i * lanes + k];
}

/* A negative stride in the cfg is the layer's `reverse`. */
void rt_upsample(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    const rt_array *in = in_array(r), *out = out_array(r);
    size_t rows = l->reverse ? out->h : in->h, jobs = planes_of(r, in) * rows;
    size_t in_step = in->h / rows * in->w * in->lanes, out_step = out->h / rows * out->w * in->lanes;
#pragma omp for schedule(static)
    for (size_t j = 0; j < jobs; ++j)
        if (l->reverse)
            gather_row(r->in[0] + j * in_step, r->out + j * out_step, in, l);
        else
            upsample_row(r->in[0] + j * in_step, r->out + j * out_step, in, l);
}

/* Darknet's own order: an output is seen with the input's sizes, channel k of it takes the
 * pixels of phase k / (c / s^2) of channel k % (c / s^2). */
static void reorg_channel(const rt_run *r, size_t job) {
    const dpf_graph_layer *l = r->step->layer;
    size_t w = (size_t)l->w, h = (size_t)l->h, s = (size_t)l->stride, few = (size_t)l->c / (s * s);
    size_t picture = job / (size_t)l->c, k = job % (size_t)l->c;
    size_t dx = k / few % s, dy = k / few / s, base = picture * l->inputs;
    for (size_t y = 0; y < h; ++y)
        for (size_t x = 0; x < w; ++x) {
            size_t small = base + x + w * (y + h * k);
            size_t large = base + x * s + dx + w * s * (y * s + dy + h * s * (k % few));
            if (l->reverse)
                r->out[large] = r->in[0][small];
            else
                r->out[small] = r->in[0][large];
        }
}

void rt_reorg(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    size_t batch = (size_t)r->model->batch, area = (size_t)l->w * (size_t)l->h, c = (size_t)l->c;
    if (l->extra && !l->flatten) {
#pragma omp for schedule(static)
        for (size_t n = 0; n < batch; ++n) {
            memcpy(r->out + n * l->outputs, r->in[0] + n * l->inputs, l->inputs * sizeof(float));
            memset(r->out + n * l->outputs + l->inputs, 0, (l->outputs - l->inputs) * sizeof(float));
        }
        return;
    }
    if (!l->flatten) {
#pragma omp for schedule(static)
        for (size_t j = 0; j < batch * c; ++j)
            reorg_channel(r, j);
        return;
    }
#pragma omp for schedule(static)
    for (size_t n = 0; n < batch; ++n)
        for (size_t k = 0; k < c; ++k)
            for (size_t i = 0; i < area; ++i) {
                size_t planes = n * l->outputs + k * area + i, pixels = n * l->outputs + i * c + k;
                if (l->reverse)
                    r->out[planes] = r->in[0][n * l->inputs + i * c + k];
                else
                    r->out[pixels] = r->in[0][n * l->inputs + k * area + i];
            }
}

/* Space to depth: output channel (dy * s + dx) * c + k. */
void rt_reorg3d(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    size_t s = (size_t)l->stride, c = (size_t)l->c, w = (size_t)l->out_w, h = (size_t)l->out_h;
    size_t jobs = (size_t)r->model->batch * c * s * s;
#pragma omp for schedule(static)
    for (size_t j = 0; j < jobs; ++j) {
        size_t k = j % c, phase = j / c % (s * s), n = j / (c * s * s);
        const float *from = r->in[0] + (n * c + k) * w * h * s * s + phase / s * w * s + phase % s;
        float *to = r->out + j * w * h;
        for (size_t y = 0; y < h; ++y)
            for (size_t x = 0; x < w; ++x)
                to[y * w + x] = from[y * s * w * s + x * s];
    }
}

void rt_crop(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    const rt_array *in = in_array(r), *out = out_array(r);
    float scale = l->noadjust ? 1 : 2, shift = l->noadjust ? 0 : -1;
    size_t top = (in->h - out->h) / 2, left = (in->w - out->w) / 2, rows = planes_of(r, in) * out->h;
#pragma omp for schedule(static)
    for (size_t j = 0; j < rows; ++j) {
        const float *from = r->in[0] + (j / out->h * in->h + j % out->h + top) * in->w + left;
        for (size_t x = 0; x < out->w; ++x)
            r->out[j * out->w + x] = from[x] * scale + shift;
    }
}

/* Sources one after another; of each the group of channels that the layer names. */
void rt_concat(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    const rt_array *out = out_array(r);
    size_t batch = (size_t)r->model->batch, groups = (size_t)l->route_groups, at = 0;
    size_t step = out->floats / batch;
    for (size_t i = 0; i < r->step->in_count; ++i) {
        const rt_array *in = &r->model->arrays[r->step->in[i]];
        size_t whole = in->floats / batch, part = whole / groups;
#pragma omp for schedule(static)
        for (size_t n = 0; n < 4 * batch; ++n) { /* in quarters, so that one picture has work for threads */
            size_t first = part * (n % 4) / 4, last = part * (n % 4 + 1) / 4;
            memcpy(r->out + n / 4 * step + at + first,
                   r->in[i] + n / 4 * whole + (size_t)l->route_group_id * part + first, (last - first) * sizeof(float));
        }
        at += part;
    }
}

/* Of each group of channels as many floats from its start as the output has. */
void rt_first_floats(const rt_run *r) {
    const rt_array *in = in_array(r), *out = out_array(r);
    size_t parts = (size_t)r->model->batch * (size_t)r->step->layer->groups;
    size_t from = in->floats / parts, to = out->floats / parts;
#pragma omp for schedule(static)
    for (size_t i = 0; i < parts; ++i)
        memcpy(r->out + i * to, r->in[0] + i * from, to * sizeof *r->out);
}
