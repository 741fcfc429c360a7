/* SPDX-License-Identifier: MIT
 *
 * Dense convolution of up to four channels, as a network's first layer is: 3x3 with
 * stride 1 on plain planes, results in blocks of 16 channels, pooled on the way if wished.
 * Pairs of output rows are shared out among the threads.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "dense_few.h"
#include "dense_impl.h"

#if defined(__x86_64__) && !defined(DPF_NO_DNNL) /* who wants plain planes of the result has oneDNN convert them */
typedef struct few_dense {
    dense_shape s;
    size_t out_h, out_w, pitch, blocks;
    float slope;
    int threads;
    float *weights, *bias; /* as in few_job, padded with zeros to whole blocks */
} few_dense;

static void destroy(void *state) {
    few_dense *f = state;
    free(f->weights);
    free(f->bias);
    free(f);
}

/* Floats of the four rows of all channels. */
static size_t rows_floats(const few_dense *f) {
    return (size_t)f->s.c * (FEW_ROWS + 2) * f->pitch;
}

/* Four rows of a picture, the first of them input row `top`. What is left and right of the picture is 0 already, and
 * stays so. */
static void take_rows(const few_dense *f, const float *picture, long top, float *to) {
    const size_t h = (size_t)f->s.h, w = (size_t)f->s.w, pad = (size_t)f->s.pad;
    for (size_t c = 0; c < (size_t)f->s.c; ++c)
        for (long y = top; y < top + FEW_ROWS + 2; ++y, to += f->pitch)
            if (y < 0 || y >= (long)h)
                memset(to, 0, f->pitch * sizeof *to);
            else
                memcpy(to + pad, picture + (c * h + (size_t)y) * w, w * sizeof *to);
}

/* The pairs [first, last) of rows, over all pictures. */
static void run_pairs(const dense_arrays *call, size_t first, size_t last, float *rows) {
    const few_dense *f = call->state;
    const size_t pairs = (f->out_h + 1) / 2, side = f->s.pool ? 2 : 1;
    const size_t area = f->out_h / side * (f->out_w / side);
    few_job job = {.in = rows,
                   .channels = (size_t)f->s.c,
                   .pitch = f->pitch,
                   .weights = f->weights,
                   .bias = f->bias,
                   .blocks = f->blocks,
                   .width = f->out_w,
                   .slope = f->slope,
                   .pool = f->s.pool,
                   .out_row = f->out_w / side * FEW_LANES,
                   .out_block = area * FEW_LANES};
    memset(rows, 0, rows_floats(f) * sizeof *rows);
    for (size_t i = first; i < last; ++i) {
        const size_t picture = i / pairs, y = i % pairs * 2;
        take_rows(f, call->in + picture * (size_t)f->s.c * (size_t)f->s.h * (size_t)f->s.w, (long)y - f->s.pad, rows);
        job.rows = f->out_h - y < 2 ? 1 : 2;
        job.out = call->out + picture * f->blocks * job.out_block + y / side * job.out_row;
        dense_few_rows_avx512(&job);
    }
}

static dpf_status run(void *state) {
    const dense_arrays *call = state;
    const few_dense *f = call->state;
    dense_share(call, f->threads, (f->out_h + 1) / 2 * (size_t)f->s.batch, rows_floats(f), run_pairs);
    return DPF_OK;
}

static const dense_backend few_backend = {destroy, dense_arrays_bind, free, run};

/* Filters into lanes. */
static void take_weights(few_dense *f, const float *weights, const float *bias) {
    const size_t taps = (size_t)f->s.c * FEW_TAPS;
    for (size_t n = 0; n < (size_t)f->s.n; ++n) {
        f->bias[n] = bias[n];
        for (size_t t = 0; t < taps; ++t)
            f->weights[(n / FEW_LANES * taps + t) * FEW_LANES + n % FEW_LANES] = weights[n * taps + t];
    }
}

dpf_status dense_few_create(dense *d, const dense_shape *s, const int out[2], dpf_activation act, const float *weights,
                            const float *bias, dpf_error *err) {
    const float slope = dense_slope(act);
    if (dpf_cpu_isa() < DPF_ISA_AVX512 || s->c > DENSE_FEW_CHANNELS || s->groups != 1 || s->size != 3 ||
        s->stride_x != 1 || s->stride_y != 1 || s->dilation != 1 || s->pad > 1 ||
        (s->pool && (slope < 0 || out[0] % 2 || out[1] % 2)))
        return dpf_fail(err, DPF_ERR_UNSUPPORTED,
                        "there is no convolution of few channels for %d filters %dx%d over %d", s->n, s->size, s->size,
                        s->c);
    few_dense *f = calloc(1, sizeof *f);
    const size_t blocks = ((size_t)s->n + FEW_LANES - 1) / FEW_LANES, taps = (size_t)s->c * FEW_TAPS;
    if (!f)
        return dpf_fail_memory(err, sizeof *f, "a convolution");
    f->s = *s;
    f->out_h = (size_t)out[0];
    f->out_w = (size_t)out[1];
    f->pitch = (f->out_w + FEW_COLUMNS - 1) / FEW_COLUMNS * FEW_COLUMNS + 2;
    f->blocks = blocks;
    f->slope = slope < 0 ? 1 : slope;
    f->threads = d->threads;
    f->weights = calloc(blocks * taps * FEW_LANES, sizeof *f->weights);
    f->bias = calloc(blocks * FEW_LANES, sizeof *f->bias);
    if (!f->weights || !f->bias) {
        destroy(f);
        return dpf_fail_memory(err, blocks * taps * FEW_LANES * sizeof *f->weights, "weights");
    }
    take_weights(f, weights, bias);
    d->backend = &few_backend;
    d->state = f;
    d->act = slope < 0 ? act : DPF_LINEAR_ACT;
    d->info.lanes_in = 1;
    d->info.lanes_out = FEW_LANES;
    d->info.scratch = (size_t)d->threads * rows_floats(f);
    d->info.bytes = blocks * (taps + 1) * FEW_LANES * sizeof(float);
    strcpy(d->name, s->pool ? "few channels avx512 with maxpool" : "few channels avx512");
    return DPF_OK;
}
#else
dpf_status dense_few_create(dense *d, const dense_shape *s, const int out[2], dpf_activation act, const float *weights,
                            const float *bias, dpf_error *err) {
    (void)d, (void)s, (void)out, (void)act, (void)weights, (void)bias;
    return dpf_fail(err, DPF_ERR_UNSUPPORTED, "the convolution of few channels needs AVX-512 and oneDNN");
}
#endif
