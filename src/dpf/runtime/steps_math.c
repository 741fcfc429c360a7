/* SPDX-License-Identifier: MIT
 *
 * Steps that compute value by value, or over the channels of a pixel.
 */
#include "model.h"

#include <float.h>
#include <math.h>
#include <omp.h>
#include <string.h>

#include "../kernels/activate.h"
#include "../kernels/plane.h"

#define CHUNK ((size_t)1 << 12) /* floats that a thread does at a time */

static size_t chunk_count(size_t floats) {
    return (floats + CHUNK - 1) / CHUNK;
}

static size_t chunk_size(size_t floats, size_t i) {
    return floats - i * CHUNK < CHUNK ? floats - i * CHUNK : CHUNK;
}

static size_t out_floats(const rt_run *r) {
    return r->model->arrays[r->step->out].floats;
}

void rt_take_input(const rt_run *r) {
    const size_t floats = out_floats(r);
#pragma omp for schedule(static)
    for (size_t i = 0; i < chunk_count(floats); ++i)
        if (r->out != r->in[0])
            memcpy(r->out + i * CHUNK, r->in[0] + i * CHUNK, chunk_size(floats, i) * sizeof *r->out);
}

static void activate(const rt_run *r, dpf_activation act) {
    const size_t floats = act == DPF_LINEAR_ACT ? 0 : out_floats(r);
#pragma omp for schedule(static)
    for (size_t i = 0; i < chunk_count(floats); ++i)
        dpf_activate_array(r->out + i * CHUNK, chunk_size(floats, i), act, 1);
}

/* --- shortcuts ---------------------------------------------------------------------- */

static void add_floats(const dpf_graph_layer *l, const float *a, const float *b, float *to, size_t count) {
    const int vectors = l->activation == DPF_LINEAR_ACT || l->activation == DPF_RELU || l->activation == DPF_LEAKY;
    dpf_plane_ops()->add(a, b, to, count, l->alpha, l->beta, vectors ? l->activation : DPF_LINEAR_ACT);
    if (!vectors)
        dpf_activate_array(to, count, l->activation, 1);
}

static void add_equal(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    const rt_array *a = &r->model->arrays[r->step->in[0]], *b = &r->model->arrays[r->step->in[1]];
    const rt_array *to = &r->model->arrays[r->step->out];
    const size_t floats = out_floats(r), area = to->h * to->w;
    if (a->pitch == to->pitch && b->pitch == to->pitch) {
#pragma omp for schedule(static)
        for (size_t i = 0; i < chunk_count(floats); ++i)
            add_floats(l, r->in[0] + i * CHUNK, r->in[1] + i * CHUNK, r->out + i * CHUNK, chunk_size(floats, i));
        return;
    }
#pragma omp for schedule(static)
    for (size_t i = 0; i < (size_t)r->model->batch * to->c; ++i)
        add_floats(l, r->in[0] + i * a->pitch, r->in[1] + i * b->pitch, r->out + i * to->pitch, area);
}

/* Of different sizes: every stride-th pixel of the larger, as many channels as both have. */
void rt_add(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    const rt_array *to = &r->model->arrays[r->step->in[0]], *from = &r->model->arrays[r->step->in[1]];
    if (to->c == from->c && to->w == from->w && to->h == from->h) {
        add_equal(r);
        return;
    }
    size_t stride = from->w / to->w ? from->w / to->w : 1, sample = to->w / from->w ? to->w / from->w : 1;
    size_t w = to->w < from->w ? to->w : from->w, h = to->h < from->h ? to->h : from->h;
    size_t c = to->c < from->c ? to->c : from->c, batch = (size_t)r->model->batch;
    rt_take_input(r);
#pragma omp for schedule(static)
    for (size_t j = 0; j < batch * c; ++j) {
        size_t n = j / c, k = j % c;
        float *a = r->out + (n * to->c + k) * to->h * to->w;
        const float *b = r->in[1] + (n * from->c + k) * from->h * from->w;
        for (size_t y = 0; y < h; ++y)
            for (size_t x = 0; x < w; ++x) {
                float *at = a + y * sample * to->w + x * sample;
                *at = l->alpha * *at + l->beta * b[y * stride * from->w + x * stride];
            }
    }
    activate(r, l->activation);
}

/* The weight of source i for channel k, normalised over the sources as the cfg asks. */
static float source_weight(const rt_step *s, size_t i, size_t k) {
    const dpf_graph_layer *l = s->layer;
    const dpf_key *key = dpf_section_find(l->keys, "weights_normalization");
    size_t step = l->opaque / l->from_count, n = step > 1 ? k : 0;
    float w = s->weights[i * step + n], most = -FLT_MAX, sum = 1e-4f;
    int soft = key && strcmp(key->value, "softmax") == 0;
    int positive = key && (strcmp(key->value, "relu") == 0 || strcmp(key->value, "avg_relu") == 0);
    if (!soft && !positive)
        return w;
    for (size_t j = 0; j < l->from_count; ++j)
        most = fmaxf(most, s->weights[j * step + n]);
    for (size_t j = 0; j < l->from_count; ++j) {
        float v = s->weights[j * step + n];
        sum += soft ? expf(v - most) : fmaxf(v, 0);
    }
    return (soft ? expf(w - most) : fmaxf(w, 0)) / sum;
}

void rt_weighted_add(const rt_run *r) {
    const rt_step *s = r->step;
    const rt_array *out = &r->model->arrays[s->out];
    const plane_ops *ops = dpf_plane_ops();
    size_t area = out->h * out->w, jobs = (size_t)r->model->batch * out->c;
#pragma omp for schedule(static)
    for (size_t j = 0; j < jobs; ++j) {
        size_t n = j / out->c, k = j % out->c;
        float *to = r->out + j * area;
        memset(to, 0, area * sizeof *to);
        for (size_t i = 0; i < s->in_count; ++i) {
            size_t channels = r->model->arrays[s->in[i]].c;
            if (k < channels)
                ops->accumulate(r->in[i] + (n * channels + k) * area, to, area,
                                s->weights ? source_weight(s, i, k) : 1);
        }
        dpf_activate_array(to, area, s->layer->activation, 1);
    }
}

/* --- factors and activations --------------------------------------------------------- */

void rt_scale_channels(const rt_run *r) {
    const rt_array *out = &r->model->arrays[r->step->out];
    size_t area = out->h * out->w, jobs = (size_t)r->model->batch * out->c;
    const plane_ops *ops = dpf_plane_ops();
#pragma omp for schedule(static)
    for (size_t j = 0; j < jobs; ++j) {
        ops->affine(r->in[0] + j * area, r->out + j * area, area, r->in[1][j], 0, DPF_LINEAR_ACT);
        dpf_activate_array(r->out + j * area, area, r->step->layer->activation, 1);
    }
}

void rt_multiply(const rt_run *r) {
    size_t floats = out_floats(r);
#pragma omp for schedule(static)
    for (size_t i = 0; i < chunk_count(floats); ++i) {
        size_t first = i * CHUNK, n = chunk_size(floats, i);
        for (size_t k = first; k < first + n; ++k)
            r->out[k] = r->in[0][k] * r->in[1][k];
        dpf_activate_array(r->out + first, n, r->step->layer->activation, 1);
    }
}

void rt_activation(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    rt_take_input(r);
    activate(r, l->type == DPF_LOGISTIC ? DPF_LOGISTIC_ACT : l->activation);
}

void rt_batchnorm_run(const rt_run *r) {
    const rt_array *out = &r->model->arrays[r->step->out];
    const plane_ops *ops = dpf_plane_ops();
    size_t area = out->h * out->w, jobs = (size_t)r->model->batch * out->c;
#pragma omp for schedule(static)
    for (size_t j = 0; j < jobs; ++j)
        ops->affine(r->in[0] + j * area, r->out + j * area, area, r->step->weights[j % out->c],
                    r->step->bias[j % out->c], DPF_LINEAR_ACT);
}

/* --- over the channels of a pixel ------------------------------------------------------ */

static void normalize_pixel(const float *in, float *out, size_t channels, size_t area, dpf_activation act) {
    int soft = act != DPF_NORM_CHAN;
    float sum = 1e-4f, most = 0;
    if (act == DPF_NORM_CHAN_SOFTMAX_MAXVAL) {
        most = in[0];
        for (size_t k = 1; k < channels; ++k)
            most = fmaxf(most, in[k * area]);
    }
    for (size_t k = 0; k < channels; ++k)
        sum += soft ? expf(in[k * area] - most) : fmaxf(in[k * area], 0);
    for (size_t k = 0; k < channels; ++k)
        out[k * area] = (soft ? expf(in[k * area] - most) : fmaxf(in[k * area], 0)) / sum;
}

void rt_normalize_channels(const rt_run *r) {
    const rt_array *out = &r->model->arrays[r->step->out];
    size_t area = out->h * out->w, jobs = (size_t)r->model->batch * area;
#pragma omp for schedule(static)
    for (size_t j = 0; j < jobs; ++j) {
        size_t at = j / area * out->c * area + j % area;
        normalize_pixel(r->in[0] + at, r->out + at, out->c, area, r->step->layer->activation);
    }
}

void rt_l2norm(const rt_run *r) {
    const rt_array *out = &r->model->arrays[r->step->out];
    size_t area = out->h * out->w, jobs = (size_t)r->model->batch * area;
#pragma omp for schedule(static)
    for (size_t j = 0; j < jobs; ++j) {
        size_t at = j / area * out->c * area + j % area;
        float sum = 0;
        for (size_t k = 0; k < out->c; ++k)
            sum += r->in[0][at + k * area] * r->in[0][at + k * area];
        for (size_t k = 0; k < out->c; ++k)
            r->out[at + k * area] = r->in[0][at + k * area] / sqrtf(sum);
    }
}

/* Darknet's window slides by adding the channel that enters and taking off the one that
 * leaves; it starts one channel short (channels 0 to size/2 - 1), and so do we. */
static void lrn_picture(const dpf_graph_layer *l, const float *in, float *out, float *norms) {
    long area = (long)l->w * l->h, half = l->size / 2, behind = (l->size - 1) / 2 + 1;
    for (long i = 0; i < area; ++i)
        norms[i] = l->kappa;
    for (long k = 0; k < half; ++k)
        for (long i = 0; i < area; ++i)
            norms[i] += l->alpha * in[k * area + i] * in[k * area + i];
    for (long k = 0; k < l->c; ++k) {
        if (k > 0 && k - behind >= 0)
            for (long i = 0; i < area; ++i)
                norms[i] -= l->alpha * in[(k - behind) * area + i] * in[(k - behind) * area + i];
        if (k > 0 && k + half < l->c)
            for (long i = 0; i < area; ++i)
                norms[i] += l->alpha * in[(k + half) * area + i] * in[(k + half) * area + i];
        for (long i = 0; i < area; ++i)
            out[k * area + i] = in[k * area + i] * powf(norms[i], -l->beta);
    }
}

void rt_lrn(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    size_t batch = (size_t)r->model->batch, area = (size_t)l->w * (size_t)l->h;
#pragma omp for schedule(static)
    for (size_t n = 0; n < batch; ++n)
        lrn_picture(l, r->in[0] + n * l->inputs, r->out + n * l->outputs,
                    r->scratch + (size_t)omp_get_thread_num() * area);
}

/* --- connected and local --------------------------------------------------------------- */

void rt_connected(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    const plane_ops *ops = dpf_plane_ops();
    size_t batch = (size_t)r->model->batch;
#pragma omp for schedule(static)
    for (size_t o = 0; o < l->outputs; ++o)
        for (size_t n = 0; n < batch; ++n) /* a row of weights serves all pictures while it is in cache */
            r->out[n * l->outputs + o] =
                ops->dot(r->step->weights + o * l->inputs, r->in[0] + n * l->inputs, l->inputs) + r->step->bias[o];
    activate(r, l->activation);
}

/* The window of an output pixel as one run of floats. */
static void gather(const dpf_graph_layer *l, const float *in, float *column, size_t place) {
    long y0 = (long)(place / (size_t)l->out_w) * l->stride - l->pad;
    long x0 = (long)(place % (size_t)l->out_w) * l->stride - l->pad;
    for (long c = 0; c < l->c; ++c)
        for (long y = y0; y < y0 + l->size; ++y)
            for (long x = x0; x < x0 + l->size; ++x)
                *column++ = y < 0 || x < 0 || y >= l->h || x >= l->w ? 0 : in[(c * l->h + y) * l->w + x];
}

void rt_local(const rt_run *r) {
    const dpf_graph_layer *l = r->step->layer;
    const plane_ops *ops = dpf_plane_ops();
    size_t places = (size_t)l->out_h * (size_t)l->out_w, filters = (size_t)l->filters;
    size_t taps = (size_t)l->c * (size_t)l->size * (size_t)l->size, jobs = (size_t)r->model->batch * places;
#pragma omp for schedule(static)
    for (size_t j = 0; j < jobs; ++j) {
        size_t n = j / places, place = j % places;
        float *column = r->scratch + (size_t)omp_get_thread_num() * taps;
        const float *w = r->step->weights + place * filters * taps;
        gather(l, r->in[0] + n * l->inputs, column, place);
        for (size_t f = 0; f < filters; ++f)
            r->out[n * l->outputs + f * places + place] =
                ops->dot(w + f * taps, column, taps) + r->step->bias[f * places + place];
    }
    activate(r, l->activation);
}
