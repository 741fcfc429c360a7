/* SPDX-License-Identifier: MIT
 *
 * Our versions of the layers of Darknet that would dominate the time once the
 * convolutions are fast: shortcut, max-pool, average-pool. Each computes what
 * Darknet's computes, on all cores; none has state. A layer that does not have its
 * usual form keeps Darknet's function.
 */
#include "hooks.h"

#include <float.h>

#include "../kernels/plane.h"

static int threads = 1;

void dn_layers_set_threads(int count) {
    threads = count;
}

/* --- shortcut: out = f(alpha * input + beta * other) ------------------------------ */

static int same_shape(const layer *l) {
    return l->w == l->out_w && l->h == l->out_h && l->c == l->out_c;
}

/* Row `row` (of all rows of all channels and pictures) of the common part of two
 * tensors of different size: out[i * sample] = s1 * out[i * sample] + s2 * add[i * stride]. */
static void mixed_add(int batch, int w1, int h1, int c1, const float *add, int w2, int h2, int c2, float s1, float s2,
                      float *out) {
    int stride = w1 / w2 > 0 ? w1 / w2 : 1, sample = w2 / w1 > 0 ? w2 / w1 : 1;
    int minw = w1 < w2 ? w1 : w2, minh = h1 < h2 ? h1 : h2, minc = c1 < c2 ? c1 : c2;
#pragma omp parallel for collapse(2) num_threads(threads) schedule(static)
    for (int b = 0; b < batch; ++b)
        for (int k = 0; k < minc; ++k)
            for (int j = 0; j < minh; ++j) {
                float *to =
                    out + (size_t)w2 * ((size_t)j * (size_t)sample + (size_t)h2 * ((size_t)k + (size_t)c2 * (size_t)b));
                const float *from =
                    add + (size_t)w1 * ((size_t)j * (size_t)stride + (size_t)h1 * ((size_t)k + (size_t)c1 * (size_t)b));
                for (int i = 0; i < minw; ++i)
                    to[i * sample] = s1 * to[i * sample] + s2 * from[i * stride];
            }
}

static void shortcut_forward(layer l, network net) {
    const plane_ops *ops = dpf_plane_ops();
    const float *other = net.layers[l.index].output;
    size_t n = (size_t)l.outputs;
    int same = same_shape(&l);
    dpf_activation f = (dpf_activation)l.activation;
    if (!same) {
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int b = 0; b < l.batch; ++b)
            ops->affine(net.input + (size_t)b * n, l.output + (size_t)b * n, n, 1, 0, DPF_LINEAR_ACT);
        mixed_add(l.batch, l.w, l.h, l.c, other, l.out_w, l.out_h, l.out_c, l.alpha, l.beta, l.output);
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
    float *other = net.layers[l.index].delta;
    size_t n = (size_t)l.outputs;
    int same = same_shape(&l);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int b = 0; b < l.batch; ++b) {
        float *d = l.delta + (size_t)b * n, sums[2];
        if (l.activation != LINEAR)
            ops->gradient(d, l.output + (size_t)b * n, NULL, n, 0, (dpf_activation)l.activation, sums);
        ops->accumulate(d, net.delta + (size_t)b * n, n, l.alpha);
        if (same)
            ops->accumulate(d, other + (size_t)b * n, n, l.beta);
    }
    if (!same)
        mixed_add(l.batch, l.out_w, l.out_h, l.out_c, l.delta, l.w, l.h, l.c, 1, l.beta, other);
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

static void maxpool_forward(layer l, network net) {
    size_t in = (size_t)l.h * (size_t)l.w, out = (size_t)l.out_h * (size_t)l.out_w;
    long planes = (long)l.batch * l.c;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long p = 0; p < planes; ++p)
        max_plane(&l, net.input, (size_t)p * in, l.output + (size_t)p * out, l.indexes + (size_t)p * out);
}

static void maxpool_backward(layer l, network net) {
    size_t out = (size_t)l.out_h * (size_t)l.out_w;
    long planes = (long)l.batch * l.c;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long p = 0; p < planes; ++p)
        for (size_t i = (size_t)p * out; i < (size_t)(p + 1) * out; ++i)
            if (l.indexes[i] >= 0)
                net.delta[l.indexes[i]] += l.delta[i];
}

/* --- average-pool ------------------------------------------------------------------ */

static void avgpool_forward(layer l, network net) {
    const plane_ops *ops = dpf_plane_ops();
    size_t in = (size_t)l.h * (size_t)l.w;
    long planes = (long)l.batch * l.c;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long p = 0; p < planes; ++p)
        l.output[p] = ops->sum(net.input + (size_t)p * in, in) / (float)in;
}

static void avgpool_backward(layer l, network net) {
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
