/* SPDX-License-Identifier: MIT
 *
 * Our versions of the layers of Darknet that would dominate the time once the
 * convolutions are fast: shortcut, max-pool, average-pool. Each computes what
 * Darknet's computes, on all cores, on plain tensors and on those in blocks of 16
 * channels (layout.h); none has state. A layer that does not have its usual form keeps
 * Darknet's function.
 */
#include "hooks.h"

#include <float.h>
#include <string.h>

#include "../kernels/plane.h"

static int threads = 1;

void dn_layers_set_threads(int count) {
    threads = count;
}

/* --- shortcut: out = f(alpha * input + beta * other) ------------------------------ */

/* The common part of two tensors of different size, in blocks of `lanes` channels (1 in
 * plain ones): out[i * sample] = s1 * out[i * sample] + s2 * add[i * stride]. */
static void mixed_add(int batch, int lanes, int w1, int h1, int c1, const float *add, int w2, int h2, int c2, float s1,
                      float s2, float *out) {
    int stride = w1 / w2 > 0 ? w1 / w2 : 1, sample = w2 / w1 > 0 ? w2 / w1 : 1;
    int minw = w1 < w2 ? w1 : w2, minh = h1 < h2 ? h1 : h2, minc = (c1 < c2 ? c1 : c2) / lanes;
    int row1 = w1 * lanes, row2 = w2 * lanes, blocks1 = c1 / lanes, blocks2 = c2 / lanes;
#pragma omp parallel for collapse(2) num_threads(threads) schedule(static)
    for (int b = 0; b < batch; ++b)
        for (int k = 0; k < minc; ++k)
            for (int j = 0; j < minh; ++j) {
                size_t plane1 = (size_t)k + (size_t)blocks1 * (size_t)b,
                       plane2 = (size_t)k + (size_t)blocks2 * (size_t)b;
                float *to = out + (size_t)row2 * ((size_t)j * (size_t)sample + (size_t)h2 * plane2);
                const float *from = add + (size_t)row1 * ((size_t)j * (size_t)stride + (size_t)h1 * plane1);
                for (int i = 0; i < minw; ++i, to += sample * lanes, from += stride * lanes)
                    for (int t = 0; t < lanes; ++t)
                        to[t] = s1 * to[t] + s2 * from[t];
            }
}

/* Floats from one channel of a pixel to the next pixel of it: 1 where layer `index` is plain. */
static int lanes_of(const network *net, int index) {
    const dn_layout *layout = dn_hooks_layout(net);
    return layout && dn_layout_blocked(layout, index) ? DN_BLOCK : 1;
}

/* Does the running backward pass overwrite the delta of layer `index`, instead of adding to it? */
static int sets_delta(const network *net, int index) {
    const dn_layout *layout = dn_hooks_layout(net);
    return layout && dn_layout_sets(layout, index, net->index);
}

/* to = or += s * d */
static void give_delta(int set, const float *d, float *to, size_t n, float s) {
    if (set)
        dpf_plane_ops()->affine(d, to, n, s, 0, DPF_LINEAR_ACT);
    else
        dpf_plane_ops()->accumulate(d, to, n, s);
}

/* 1: layer `index` is in lanes of pictures. To loops over planes of 16 lanes it is then batch/16 pictures of 16
 * times the channels. */
static int in_lanes(const network *net, int index) {
    const dn_layout *layout = dn_hooks_layout(net);
    return layout && dn_layout_lanes(layout, index);
}

/* The common part of the two sides of a shortcut of different sizes, in either direction. */
static void add_common(const layer *l, const network *net, int w1, int h1, int c1, const float *add, int w2, int h2,
                       int c2, float s1, float *out) {
    int lanes = lanes_of(net, net->index), pictures = in_lanes(net, net->index) ? DN_BLOCK : 1;
    mixed_add(l->batch / pictures, lanes, w1, h1, c1 * pictures, add, w2, h2, c2 * pictures, s1, l->beta, out);
}

static void shortcut_forward(layer l, network net) {
    const plane_ops *ops = dpf_plane_ops();
    const float *other = net.layers[l.index].output;
    size_t n = (size_t)l.outputs;
    int same = dn_shortcut_is_plain(&l);
    dpf_activation f = (dpf_activation)l.activation;
    dpf_block_norm left;
    int joined = dn_hooks_left_norm(&net, net.index - 1, &left);
    if (joined)
        dpf_block_norm_shortcut(&left, same ? other : NULL, same ? f : DPF_LINEAR_ACT, l.output);
    if (joined && same)
        return;
    if (!same) {
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int b = 0; b < (joined ? 0 : l.batch); ++b)
            ops->affine(net.input + (size_t)b * n, l.output + (size_t)b * n, n, 1, 0, DPF_LINEAR_ACT);
        add_common(&l, &net, l.w, l.h, l.c, other, l.out_w, l.out_h, l.out_c, l.alpha, l.output);
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int b = 0; b < l.batch; ++b) {
        float *y = l.output + (size_t)b * n;
        if (same)
            ops->add(net.input + (size_t)b * n, other + (size_t)b * n, y, n, l.alpha, l.beta, f);
        else if (f != DPF_LINEAR_ACT)
            ops->affine(y, y, n, 1, 0, f);
    }
}

static void shortcut_backward(layer l, network net) {
    const plane_ops *ops = dpf_plane_ops();
    const dn_layout *layout = dn_hooks_layout(&net);
    float *other = net.layers[l.index].delta;
    size_t n = (size_t)l.outputs, n_other = (size_t)l.w * (size_t)l.h * (size_t)l.c;
    int same = dn_shortcut_is_plain(&l), set = sets_delta(&net, net.index - 1);
    int set_other = l.index != net.index - 1 && sets_delta(&net, l.index); /* both one layer: set it, then add */
    int joined = layout && dn_layout_joined(layout, net.index - 1);        /* that layer takes l.delta itself */
    if (joined && same)
        return;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int b = 0; b < l.batch; ++b) {
        float *d = l.delta + (size_t)b * n, sums[2];
        if (l.activation != LINEAR)
            ops->gradient(d, l.output + (size_t)b * n, NULL, n, 0, (dpf_activation)l.activation, sums);
        if (!joined)
            give_delta(set, d, net.delta + (size_t)b * n, n, l.alpha);
        if (same)
            give_delta(set_other, d, other + (size_t)b * n, n, l.beta);
        else if (set_other)
            memset(other + (size_t)b * n_other, 0, n_other * sizeof *other);
    }
    if (!same)
        add_common(&l, &net, l.out_w, l.out_h, l.out_c, l.delta, l.w, l.h, l.c, 1, other);
}

/* --- max-pool --------------------------------------------------------------------- */

/* One channel of one picture; `base` is the index of its first value in the input. */
static void max_plane(const layer *l, const float *in, size_t base, float *out, int *indexes) {
    int offset = -l->pad / 2;
    for (int i = 0; i < l->out_h; ++i)
        for (int j = 0; j < l->out_w; ++j) {
            int y0 = offset + i * l->stride, x0 = offset + j * l->stride;
            float max = -FLT_MAX;
            int where = -1;
            for (int y = y0 < 0 ? 0 : y0; y < y0 + l->size && y < l->h; ++y)
                for (int x = x0 < 0 ? 0 : x0; x < x0 + l->size && x < l->w; ++x) {
                    float value = in[base + (size_t)y * (size_t)l->w + (size_t)x];
                    if (value > max) {
                        max = value;
                        where = (int)base + y * l->w + x;
                    }
                }
            *out++ = max;
            *indexes++ = where;
        }
}

/* In blocks, `indexes` counts pixels within the plane; nothing but our backward reads it. */
static void maxpool_forward_blocked(const layer *l, const float *input) {
    const plane_ops *ops = dpf_plane_ops();
    size_t in = (size_t)l->h * (size_t)l->w * DN_BLOCK, row = (size_t)l->out_w * DN_BLOCK;
    int offset = -l->pad / 2;
    long planes = (long)l->batch * l->c / DN_BLOCK;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long p = 0; p < planes; ++p)
        for (int i = 0; i < l->out_h; ++i) {
            size_t out = ((size_t)p * (size_t)l->out_h + (size_t)i) * row;
            ops->block_max(input + (size_t)p * in, l->h, l->w, offset, offset + i * l->stride, l->size, l->stride,
                           l->out_w, l->output + out, l->indexes + out);
        }
}

static void maxpool_backward_blocked(const layer *l, float *delta, int set) {
    size_t in = (size_t)l->h * (size_t)l->w * DN_BLOCK, out = (size_t)l->out_h * (size_t)l->out_w * DN_BLOCK;
    long planes = (long)l->batch * l->c / DN_BLOCK;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long p = 0; p < planes; ++p) {
        float *to = delta + (size_t)p * in;
        if (set)
            memset(to, 0, in * sizeof *to);
        for (size_t i = 0; i < out; ++i) {
            int pixel = l->indexes[(size_t)p * out + i];
            if (pixel >= 0)
                to[(size_t)pixel * DN_BLOCK + i % DN_BLOCK] += l->delta[(size_t)p * out + i];
        }
    }
}

static void maxpool_forward(layer l, network net) {
    if (lanes_of(&net, net.index) > 1) {
        maxpool_forward_blocked(&l, net.input);
        return;
    }
    size_t in = (size_t)l.h * (size_t)l.w, out = (size_t)l.out_h * (size_t)l.out_w;
    long planes = (long)l.batch * l.c;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long p = 0; p < planes; ++p)
        max_plane(&l, net.input, (size_t)p * in, l.output + (size_t)p * out, l.indexes + (size_t)p * out);
}

static void maxpool_backward(layer l, network net) {
    if (lanes_of(&net, net.index) > 1) {
        maxpool_backward_blocked(&l, net.delta, sets_delta(&net, net.index - 1));
        return;
    }
    size_t out = (size_t)l.out_h * (size_t)l.out_w;
    long planes = (long)l.batch * l.c;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long p = 0; p < planes; ++p)
        for (size_t i = (size_t)p * out; i < (size_t)(p + 1) * out; ++i)
            if (l.indexes[i] >= 0)
                net.delta[l.indexes[i]] += l.delta[i];
}

/* --- average-pool ------------------------------------------------------------------ */

/* Where lane t of plane p of the input goes to. The output is plain: in blocks, with one pixel an output, that
 * is the order of the input's lanes. */
static size_t average_of(const layer *l, int lanes, long p, int t) {
    if (!lanes)
        return (size_t)p * DN_BLOCK + (size_t)t;
    return ((size_t)(p / l->c) * DN_BLOCK + (size_t)t) * (size_t)l->c + (size_t)(p % l->c);
}

static void avgpool_forward_blocked(const layer *l, const float *input, int lanes) {
    size_t pixels = (size_t)l->h * (size_t)l->w;
    long planes = (long)l->batch * l->c / DN_BLOCK;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long p = 0; p < planes; ++p) {
        const float *in = input + (size_t)p * pixels * DN_BLOCK;
        float sum[DN_BLOCK] = {0};
        for (size_t i = 0; i < pixels; ++i, in += DN_BLOCK)
            for (int t = 0; t < DN_BLOCK; ++t)
                sum[t] += in[t];
        for (int t = 0; t < DN_BLOCK; ++t)
            l->output[average_of(l, lanes, p, t)] = sum[t] / (float)pixels;
    }
}

static void avgpool_backward_blocked(const layer *l, float *delta, int set, int lanes) {
    size_t pixels = (size_t)l->h * (size_t)l->w;
    long planes = (long)l->batch * l->c / DN_BLOCK;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long p = 0; p < planes; ++p) {
        float *to = delta + (size_t)p * pixels * DN_BLOCK, share[DN_BLOCK];
        for (int t = 0; t < DN_BLOCK; ++t)
            share[t] = l->delta[average_of(l, lanes, p, t)] / (float)pixels;
        for (size_t i = 0; i < pixels; ++i, to += DN_BLOCK)
            for (int t = 0; t < DN_BLOCK; ++t)
                to[t] = set ? share[t] : to[t] + share[t];
    }
}

static void avgpool_forward(layer l, network net) {
    if (lanes_of(&net, net.index - 1) > 1) {
        avgpool_forward_blocked(&l, net.input, in_lanes(&net, net.index - 1));
        return;
    }
    const plane_ops *ops = dpf_plane_ops();
    size_t in = (size_t)l.h * (size_t)l.w;
    long planes = (long)l.batch * l.c;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long p = 0; p < planes; ++p)
        l.output[p] = ops->sum(net.input + (size_t)p * in, in) / (float)in;
}

static void avgpool_backward(layer l, network net) {
    if (lanes_of(&net, net.index - 1) > 1) {
        avgpool_backward_blocked(&l, net.delta, sets_delta(&net, net.index - 1), in_lanes(&net, net.index - 1));
        return;
    }
    size_t in = (size_t)l.h * (size_t)l.w;
    long planes = (long)l.batch * l.c;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long p = 0; p < planes; ++p)
        for (size_t i = 0; i < in; ++i)
            net.delta[(size_t)p * in + i] += l.delta[p] / (float)in;
}

void dn_layers_attach(layer *l) {
    if (l->type == SHORTCUT) {
        l->forward = shortcut_forward;
        l->backward = shortcut_backward;
    } else if (l->type == MAXPOOL) {
        l->forward = maxpool_forward;
        l->backward = maxpool_backward;
    } else if (l->type == AVGPOOL) {
        l->forward = avgpool_forward;
        l->backward = avgpool_backward;
    }
}
