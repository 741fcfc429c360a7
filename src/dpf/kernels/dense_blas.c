/* SPDX-License-Identifier: MIT
 *
 * Dense convolution for inference as im2col and OpenBLAS: output rows are taken in
 * bands, so that the columns of a band stay in the second-level cache and the scratch
 * stays small. The product runs on the calling thread and those that OpenBLAS has:
 * its number of threads is a setting of the whole process, which a library leaves alone.
 */
#include "dense_impl.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

#include "conv_impl.h"
#include "plane.h"

#define BAND_FLOATS ((size_t)1 << 18) /* of columns; a row at least */

typedef struct blas_dense {
    dense_shape s;
    size_t out_h, out_w;
    size_t m, k; /* of a group: filters, taps */
    size_t band; /* rows of the output at a time */
    int direct;  /* 1: the input is its own columns */
    int threads;
    float *weights, *bias;
} blas_dense;

static void blas_destroy(void *state) {
    blas_dense *b = state;
    free(b->weights);
    free(b->bias);
    free(b);
}

/* One row of columns: tap (channel, u, v) over the output rows [first, first + rows). */
static void fill_row(const blas_dense *b, const float *plane, float *row, long u, long v, size_t first, size_t rows) {
    const dense_shape *s = &b->s;
    for (size_t y = 0; y < rows; ++y) {
        long in_y = (long)(first + y) * s->stride_y - s->pad + u * s->dilation;
        float *to = row + y * b->out_w;
        if (in_y < 0 || in_y >= s->h) {
            memset(to, 0, b->out_w * sizeof *to);
            continue;
        }
        const float *from = plane + in_y * s->w;
        long in_x = v * s->dilation - s->pad;
        for (size_t x = 0; x < b->out_w; ++x, in_x += s->stride_x)
            to[x] = in_x >= 0 && in_x < s->w ? from[in_x] : 0;
    }
}

static void fill_rows(const blas_dense *b, const float *in, float *columns, size_t first, size_t rows) {
    size_t area = (size_t)b->s.h * (size_t)b->s.w, size = (size_t)b->s.size;
#pragma omp for schedule(static)
    for (size_t k = 0; k < b->k; ++k)
        fill_row(b, in + k / (size * size) * area, columns + k * rows * b->out_w, (long)(k / size % size),
                 (long)(k % size), first, rows);
}

static void add_bias_rows(const blas_dense *b, float *out) {
    const plane_ops *ops = dpf_plane_ops();
    size_t planes = (size_t)b->s.batch * (size_t)b->s.n, area = b->out_h * b->out_w;
#pragma omp for schedule(static)
    for (size_t i = 0; i < planes; ++i)
        ops->affine(out + i * area, out + i * area, area, 1, b->bias[i % (size_t)b->s.n], DPF_LINEAR_ACT);
}

/* OpenMP allocates a team of one anew each time, so one thread goes without. */
static void fill_columns(const blas_dense *b, const float *in, float *columns, size_t first, size_t rows) {
    if (b->threads == 1) {
        fill_rows(b, in, columns, first, rows);
        return;
    }
#pragma omp parallel num_threads(b->threads)
    fill_rows(b, in, columns, first, rows);
}

static void add_bias(const blas_dense *b, float *out) {
    if (b->threads == 1) {
        add_bias_rows(b, out);
        return;
    }
#pragma omp parallel num_threads(b->threads)
    add_bias_rows(b, out);
}

static dpf_status blas_run(void *state) {
    const dense_arrays *call = state;
    const blas_dense *b = call->state;
    size_t area = b->out_h * b->out_w, groups = (size_t)b->s.groups;
    size_t in_step = (size_t)b->s.c / groups * (size_t)b->s.h * (size_t)b->s.w;
    for (size_t g = 0; g < (size_t)b->s.batch * groups; ++g) {
        const float *in = call->in + g * in_step, *w = b->weights + g % groups * b->m * b->k;
        float *out = call->out + g * b->m * area;
        for (size_t first = 0; first < b->out_h; first += b->band) {
            size_t rows = b->out_h - first < b->band ? b->out_h - first : b->band, n = rows * b->out_w;
            const float *columns = b->direct ? in + first * b->out_w : call->scratch;
            if (!b->direct)
                fill_columns(b, in, call->scratch, first, rows);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)b->m, (int)n, (int)b->k, 1, w, (int)b->k,
                        columns, b->direct ? (int)area : (int)n, 0, out + first * b->out_w, (int)area);
        }
    }
    add_bias(b, call->out);
    return DPF_OK;
}

static const dense_backend blas_backend = {blas_destroy, dense_arrays_bind, free, blas_run};

dpf_status dense_blas_create(dense *d, const dense_shape *s, const int out[2], dpf_activation act, const float *weights,
                             const float *bias, dpf_error *err) {
    size_t m = (size_t)(s->n / s->groups), k = (size_t)(s->c / s->groups) * (size_t)s->size * (size_t)s->size;
    size_t count = (size_t)s->n * k;
    blas_dense *b = calloc(1, sizeof *b);
    if (!b)
        return dpf_fail_memory(err, sizeof *b, "a convolution");
    *b = (blas_dense){.s = *s, .out_h = (size_t)out[0], .out_w = (size_t)out[1], .m = m, .k = k, .threads = d->threads};
    b->direct = s->size == 1 && s->stride_x == 1 && s->stride_y == 1 && s->pad == 0;
    size_t rows = BAND_FLOATS / (k * b->out_w);
    b->band = b->direct || rows > b->out_h ? b->out_h : rows ? rows : 1;
    b->weights = dpf_aligned_floats(count);
    b->bias = dpf_aligned_floats((size_t)s->n);
    if (!b->weights || !b->bias) {
        blas_destroy(b);
        return dpf_fail_memory(err, count * sizeof(float), "weights");
    }
    memcpy(b->weights, weights, count * sizeof *weights);
    memcpy(b->bias, bias, (size_t)s->n * sizeof *bias);
    d->backend = &blas_backend;
    d->state = b;
    d->act = act;
    d->info.scratch = b->direct ? 0 : b->band * b->out_w * k;
    d->info.bytes = (count + (size_t)s->n) * sizeof(float);
    strcpy(d->name, "OpenBLAS");
    return DPF_OK;
}
