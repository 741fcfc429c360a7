/* SPDX-License-Identifier: MIT
 *
 * Convolution as im2col and a matrix product per picture and group, the products by
 * OpenBLAS on one thread each, pictures shared out among our own threads. Serves
 * machines without oneDNN, and shapes that oneDNN refuses.
 */
#include "conv_impl.h"

#include <cblas.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

typedef struct blas_conv {
    dpf_conv_shape s;
    int threads;
    size_t m, n, k; /* of one group: filters, output pixels, channels * size * size */
    float *columns; /* threads x k x n */
    float *dw;      /* threads x all weights */
    size_t weights;
} blas_conv;

static void blas_destroy(void *state) {
    blas_conv *conv = state;
    free(conv->columns);
    free(conv->dw);
    free(conv);
}

static dpf_status blas_create(void **state, const dpf_conv_shape *s, int blocks, int threads, dpf_error *err) {
    (void)blocks; /* dpf_conv_new_blocked never comes here */
    blas_conv *conv = calloc(1, sizeof *conv);
    if (!conv)
        return dpf_fail_memory(err, sizeof *conv, "a convolution");
    conv->s = *s;
    conv->threads = threads < s->batch ? threads : s->batch;
    conv->m = (size_t)(s->n / s->groups);
    conv->n = (size_t)dpf_conv_out_h(s) * (size_t)dpf_conv_out_w(s);
    conv->k = (size_t)(s->c / s->groups) * (size_t)s->size * (size_t)s->size;
    conv->weights = (size_t)s->n * conv->k;
    conv->columns = dpf_aligned_floats((size_t)conv->threads * conv->k * conv->n);
    conv->dw = dpf_aligned_floats((size_t)conv->threads * conv->weights);
    if (!conv->columns || !conv->dw) {
        dpf_fail_memory(err, sizeof(float) * (unsigned long long)threads * conv->k * conv->n, "im2col");
        blas_destroy(conv);
        return DPF_ERR_MEMORY;
    }
    *state = conv;
    return DPF_OK;
}

/* The range of outputs [*first, *last) whose input position o * stride + tap - pad lies in the picture. */
static void valid_range(int tap, int pad, int stride, int in, int out, int *first, int *last) {
    int low = pad - tap, high = in - 1 + pad - tap;
    *first = low > 0 ? (low + stride - 1) / stride : 0;
    *last = high < 0 ? 0 : high / stride + 1;
    if (*last > out)
        *last = out;
    if (*first > *last)
        *first = *last;
}

/* to_columns = 1: col = patches of im. 0: im += patches of col. */
static void im2col(const dpf_conv_shape *s, float *im, float *col, int to_columns) {
    int out_h = dpf_conv_out_h(s), out_w = dpf_conv_out_w(s), channels = s->c / s->groups;
    for (int tap = 0; tap < channels * s->size * s->size; ++tap) {
        int c = tap / (s->size * s->size), u = tap / s->size % s->size, v = tap % s->size;
        int first_x, last_x;
        valid_range(v, s->pad, s->stride, s->w, out_w, &first_x, &last_x);
        for (int i = 0; i < out_h; ++i, col += out_w) {
            int y = i * s->stride + u - s->pad;
            if (to_columns)
                memset(col, 0, (size_t)out_w * sizeof *col);
            if (y < 0 || y >= s->h)
                continue;
            float *row = im + ((size_t)c * (size_t)s->h + (size_t)y) * (size_t)s->w;
            int shift = v - s->pad;
            if (to_columns)
                for (int j = first_x; j < last_x; ++j)
                    col[j] = row[j * s->stride + shift];
            else
                for (int j = first_x; j < last_x; ++j)
                    row[j * s->stride + shift] += col[j];
        }
    }
}

static int is_plain_1x1(const dpf_conv_shape *s) {
    return s->size == 1 && s->stride == 1 && s->pad == 0;
}

/* One picture of one group; y set: forward, else backward. */
static void blas_one(blas_conv *conv, size_t b, int g, float *columns, const float *x, const float *w, float *y,
                     const float *dy, float *dw, float *dx) {
    const dpf_conv_shape *s = &conv->s;
    size_t in_group = (size_t)(s->c / s->groups) * (size_t)s->h * (size_t)s->w;
    size_t x_at = (b * (size_t)s->groups + (size_t)g) * in_group;
    size_t y_at = (b * (size_t)s->groups + (size_t)g) * conv->m * conv->n;
    const float *wg = w + (size_t)g * conv->m * conv->k;
    int m = (int)conv->m, n = (int)conv->n, k = (int)conv->k;
    int plain = is_plain_1x1(s);
    const float *patches = plain ? x + x_at : columns;
    if (!plain)
        im2col(s, (float *)(x + x_at), columns, 1); /* only reads x when to_columns is 1 */
    if (y) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, wg, k, patches, n, 0, y + y_at, n);
        return;
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, k, n, 1, dy + y_at, n, patches, n, 1,
                dw + (size_t)g * conv->m * conv->k, k);
    if (!dx)
        return;
    if (plain) {
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, n, m, 1, wg, k, dy + y_at, n, 1, dx + x_at, n);
        return;
    }
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, k, n, m, 1, wg, k, dy + y_at, n, 0, columns, n);
    im2col(s, dx + x_at, columns, 0);
}

static void blas_run(blas_conv *conv, const float *x, const float *w, float *y, const float *dy, float *dx) {
    int blas_threads = openblas_get_num_threads();
    openblas_set_num_threads(1);
#pragma omp parallel num_threads(conv->threads)
    {
        size_t t = (size_t)omp_get_thread_num();
        float *columns = conv->columns + t * conv->k * conv->n;
        float *dw = conv->dw + t * conv->weights;
        if (dy)
            memset(dw, 0, conv->weights * sizeof *dw);
#pragma omp for schedule(static)
        for (int b = 0; b < conv->s.batch; ++b)
            for (int g = 0; g < conv->s.groups; ++g)
                blas_one(conv, (size_t)b, g, columns, x, w, y, dy, dw, dx);
    }
    openblas_set_num_threads(blas_threads);
}

static void blas_forward(void *state, const float *x, const float *w, float *y, const dpf_chunk_hook *after) {
    (void)after; /* only with blocked tensors */
    blas_run(state, x, w, y, NULL, NULL);
}

static void blas_backward(void *state, const dpf_conv_gradients *g) { /* hooks and set_dx: as above */
    blas_conv *conv = state;
    blas_run(conv, g->x, g->w, NULL, g->dy, g->dx);
    dpf_sum_parts(g->dw, conv->dw, conv->weights, conv->weights, conv->threads, conv->threads);
}

const conv_backend dpf_conv_blas = {"OpenBLAS", blas_create, blas_destroy, NULL, blas_forward, blas_backward};
