/* SPDX-License-Identifier: MIT
 *
 * Pixels to the network's input, with Darknet's arithmetic: values / 255, then linear
 * interpolation first along the rows, then between them, corner pixels on corner pixels.
 * What must stay true: the order of the operations, so that the floats are Darknet's.
 */
#include "context.h"

#include <stdlib.h>
#include <string.h>

#define MOST_EDGE (1 << 16)

/* A rectangle of the pixels. */
typedef struct source {
    const unsigned char *pixels;
    size_t row, channels;   /* of the whole picture: pixels a row, floats a pixel */
    size_t left, top, w, h; /* the rectangle */
} source;

/* A rectangle of the input's planes. */
typedef struct target {
    float *planes;
    size_t row, area; /* of a plane */
    size_t left, top, w, h;
} target;

static float pixel(const source *s, size_t x, size_t y, size_t channel) {
    unsigned char value = s->pixels[((s->top + y) * s->row + s->left + x) * s->channels + channel];
    return (float)((double)value / 255.);
}

/* One row of the rectangle, stretched to w pixels. */
static void stretch_row(const source *s, float *to, size_t w, size_t y, size_t channel) {
    float scale = (float)(s->w - 1) / (float)(w - 1);
    for (size_t x = 0; x < w; ++x) {
        if (x == w - 1 || s->w == 1) {
            to[x] = pixel(s, s->w - 1, y, channel);
            continue;
        }
        float at = (float)x * scale;
        size_t left = (size_t)at;
        float share = at - (float)left;
        to[x] = (1 - share) * pixel(s, left, y, channel) + share * pixel(s, left + 1, y, channel);
    }
}

static void stretch_columns(const source *s, const target *t, const float *part, float *plane) {
    float scale = t->h > 1 ? (float)(s->h - 1) / (float)(t->h - 1) : 0;
    for (size_t y = 0; y < t->h; ++y) {
        float at = (float)y * scale;
        size_t above = (size_t)at;
        float share = at - (float)above;
        float *to = plane + (t->top + y) * t->row + t->left;
        const float *from = part + above * t->w;
        for (size_t x = 0; x < t->w; ++x)
            to[x] = (1 - share) * from[x];
        if (y == t->h - 1 || s->h == 1)
            continue;
        for (size_t x = 0; x < t->w; ++x)
            to[x] += share * from[t->w + x];
    }
}

static dpf_status stretch(dpf_context *c, const source *s, const target *t, size_t channels, dpf_error *err) {
    RT_TRY(rt_grow(&c->part, &c->part_floats, t->w * s->h, err));
    for (size_t k = 0; k < channels; ++k) {
        for (size_t y = 0; y < s->h; ++y)
            stretch_row(s, c->part + y * t->w, t->w, y, k);
        stretch_columns(s, t, c->part, t->planes + k * t->area);
    }
    return DPF_OK;
}

/* The largest rectangle of the picture's shape that fits, in Darknet's whole numbers. */
static void fit_inside(int width, int height, int net_w, int net_h, int *w, int *h) {
    if ((float)net_w / (float)width < (float)net_h / (float)height) {
        *w = net_w;
        *h = (int)((long)height * net_w / width);
    } else {
        *h = net_h;
        *w = (int)((long)width * net_h / height);
    }
}

static dpf_status check_pixels(const dpf_context *c, int width, int height, int channels, dpf_error *err) {
    const dpf_graph *g = c->model->graph;
    if (!g->width || !g->height || !g->channels)
        return dpf_fail(err, DPF_ERR_MISMATCH, "%s: the network's input is no picture", c->model->cfg->file);
    if (channels != g->channels)
        return dpf_fail(err, DPF_ERR_MISMATCH, "a picture of %d channels; %s wants %d", channels, c->model->cfg->file,
                        g->channels);
    if (width < 1 || height < 1 || width > MOST_EDGE || height > MOST_EDGE)
        return dpf_fail(err, DPF_ERR_RANGE, "a picture of %d x %d (allowed: 1 to %d)", width, height, MOST_EDGE);
    return DPF_OK;
}

dpf_status dpf_context_set_pixels(dpf_context *c, int image, const unsigned char *pixels, int width, int height,
                                  int channels, dpf_fit fit, dpf_error *err) {
    RT_TRY(rt_check_image(c, image, err));
    RT_TRY(check_pixels(c, width, height, channels, err));
    const dpf_graph *g = c->model->graph;
    source s = {pixels, (size_t)width, (size_t)channels, 0, 0, (size_t)width, (size_t)height};
    target t = {rt_memory(c, c->model->input) + (size_t)image * g->inputs,
                (size_t)g->width,
                (size_t)g->width * (size_t)g->height,
                0,
                0,
                (size_t)g->width,
                (size_t)g->height};
    if (fit == DPF_FIT_LETTERBOX) {
        int w, h;
        fit_inside(width, height, g->width, g->height, &w, &h);
        if (w < 1 || h < 1)
            return dpf_fail(err, DPF_ERR_RANGE, "a picture of %d x %d is too narrow for a letterbox of %d x %d", width,
                            height, g->width, g->height);
        t.w = (size_t)w;
        t.h = (size_t)h;
        t.left = (size_t)(g->width - w) / 2;
        t.top = (size_t)(g->height - h) / 2;
        for (size_t i = 0; i < g->inputs; ++i)
            t.planes[i] = 0.5f;
    } else if (fit == DPF_FIT_CROP) {
        int edge = width < height ? width : height;
        s.left = (size_t)(width - edge) / 2;
        s.top = (size_t)(height - edge) / 2;
        s.w = s.h = (size_t)edge;
    }
    RT_TRY(stretch(c, &s, &t, (size_t)channels, err));
    c->pictures[image] = (rt_picture){width, height, fit};
    return DPF_OK;
}
