/* SPDX-License-Identifier: MIT
 *
 * Winograd's F(4x4, 3x3) for dense convolution, in blocks of 16 channels, pooled on the way
 * if wished. Tiles are shared out among the threads evenly, and each thread's among its
 * calls, so that the registers' tiles are full.
 */
#include <stdlib.h>
#include <string.h>

#include "conv_impl.h"
#include "cpu.h"
#include "dense_impl.h"
#include "dense_wino.h"

#if defined(__x86_64__) && !defined(DPF_NO_DNNL) /* who wants plain planes has oneDNN convert them */
typedef struct wino_dense {
    wino_job job; /* all but arrays and tiles */
    size_t tiles; /* of all pictures */
    int threads;
    float *weights, *bias;
} wino_dense;

static void destroy(void *state) {
    wino_dense *d = state;
    free(d->weights);
    free(d->bias);
    free(d);
}

static size_t input_floats(const wino_job *j) {
    return WINO_POINTS * wino_input_pitch(j->channels, j->group);
}

static size_t thread_floats(const wino_job *j) {
    return input_floats(j) + WINO_POINTS * wino_product_pitch(j->blocks, j->group);
}

static void run_tiles(const dense_arrays *call, size_t first, size_t last, float *scratch) {
    const wino_dense *d = call->state;
    wino_job job = d->job;
    const size_t most = WINO_GROUPS * job.group;
    job.in = call->in;
    job.out = call->out;
    job.inputs = scratch;
    job.products = scratch + input_floats(&job);
    for (size_t t = first; t < last; t += most) {
        job.first = t;
        job.tiles = last - t < most ? last - t : most;
        dense_wino_tiles_avx512(&job);
    }
}

static dpf_status run(void *state) {
    const dense_arrays *call = state;
    const wino_dense *d = call->state;
    dense_share(call, d->threads, d->tiles, thread_floats(&d->job), run_tiles);
    return DPF_OK;
}

static const dense_backend wino_backend = {destroy, dense_arrays_bind, free, run};

/* A 3x3 filter at the 36 points: G w G', where the rows of G are the points. */
static void transform_filter(const float *w, double out[WINO_POINTS]) {
    static const double g[6][3] = {{1.0 / 4, 0, 0},
                                   {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                   {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                   {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                   {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                   {0, 0, 1}};
    for (size_t p = 0; p < WINO_POINTS; ++p) {
        out[p] = 0;
        for (size_t k = 0; k < 9; ++k)
            out[p] += g[p / 6][k / 3] * g[p % 6][k % 3] * (double)w[k];
    }
}

static void take_weights(wino_dense *d, const float *weights, const float *bias) {
    const size_t channels = d->job.channels, blocks = d->job.blocks, filters = blocks * WINO_LANES;
    double at[WINO_POINTS];
    memcpy(d->bias, bias, filters * sizeof *bias);
    for (size_t n = 0; n < filters; ++n)
        for (size_t c = 0; c < channels; ++c) {
            transform_filter(weights + (n * channels + c) * 9, at);
            for (size_t p = 0; p < WINO_POINTS; ++p)
                d->weights[((p * blocks + n / WINO_LANES) * channels + c) * WINO_LANES + n % WINO_LANES] = (float)at[p];
        }
}

/* Tiles of a register group, so that the calls of a thread are few and alike. */
static size_t group_of(size_t tiles, size_t threads) {
    const size_t each = (tiles + threads - 1) / threads, most = WINO_GROUP * WINO_GROUPS;
    const size_t calls = (each + most - 1) / most, a_call = (each + calls - 1) / calls;
    return (a_call + WINO_GROUPS - 1) / WINO_GROUPS;
}

dpf_status dense_wino_create(dense *d, const dense_shape *s, const int out[2], dpf_activation act, const float *weights,
                             const float *bias, dpf_error *err) {
    const float slope = dense_slope(act);
    if (dpf_cpu_isa() < DPF_ISA_AVX512 || s->c % WINO_LANES || s->n % WINO_LANES || s->groups != 1 || s->size != 3 ||
        s->stride_x != 1 || s->stride_y != 1 || s->dilation != 1 || s->pad > 1 ||
        (s->pool && (slope < 0 || out[0] % 2 || out[1] % 2)))
        return dpf_fail(err, DPF_ERR_UNSUPPORTED, "there is no Winograd of our own for %d filters %dx%d over %d", s->n,
                        s->size, s->size, s->c);
    wino_dense *w = calloc(1, sizeof *w);
    const size_t weight_count = (size_t)WINO_POINTS * (size_t)s->n * (size_t)s->c;
    if (!w)
        return dpf_fail_memory(err, sizeof *w, "a convolution");
    w->weights = dpf_aligned_floats(weight_count);
    w->bias = dpf_aligned_floats((size_t)s->n);
    if (!w->weights || !w->bias) {
        destroy(w);
        return dpf_fail_memory(err, weight_count * sizeof *w->weights, "weights");
    }
    const size_t down = ((size_t)out[0] + 3) / 4, across = ((size_t)out[1] + 3) / 4;
    w->threads = d->threads;
    w->tiles = (size_t)s->batch * down * across;
    w->job = (wino_job){.weights = w->weights,
                        .bias = w->bias,
                        .channels = (size_t)s->c,
                        .h = (size_t)s->h,
                        .w = (size_t)s->w,
                        .pad = (size_t)s->pad,
                        .blocks = (size_t)s->n / WINO_LANES,
                        .out_h = (size_t)out[0],
                        .out_w = (size_t)out[1],
                        .down = down,
                        .across = across,
                        .group = group_of(w->tiles, (size_t)d->threads),
                        .slope = slope < 0 ? 1 : slope,
                        .pool = s->pool};
    take_weights(w, weights, bias);
    d->backend = &wino_backend;
    d->state = w;
    d->act = slope < 0 ? act : DPF_LINEAR_ACT;
    d->info.lanes_in = d->info.lanes_out = WINO_LANES;
    d->info.scratch = (size_t)d->threads * thread_floats(&w->job);
    d->info.bytes = (weight_count + (size_t)s->n) * sizeof(float);
    strcpy(d->name, s->pool ? "Winograd 4x4 avx512 with maxpool" : "Winograd 4x4 avx512");
    return DPF_OK;
}
#else
dpf_status dense_wino_create(dense *d, const dense_shape *s, const int out[2], dpf_activation act, const float *weights,
                             const float *bias, dpf_error *err) {
    (void)d, (void)s, (void)out, (void)act, (void)weights, (void)bias;
    return dpf_fail(err, DPF_ERR_UNSUPPORTED, "the Winograd of our own needs AVX-512 and oneDNN");
}
#endif
