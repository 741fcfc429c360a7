/* SPDX-License-Identifier: MIT
 *
 * See conv_oracle.h.
 */
#include "conv_oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 16 };
static const float guard = 12345.0f;

float *guarded(size_t n) {
    assert_true(n < (size_t)1 << 32);
    float *all = malloc((n + 2 * GUARD) * sizeof *all);
    assert_non_null(all);
    for (size_t i = 0; i < n + 2 * GUARD; ++i)
        all[i] = i < GUARD || i >= n + GUARD ? guard : (float)(rand() % 2001 - 1000) / 1000.0f;
    return all + GUARD;
}

void release(float *x, size_t n) {
    for (size_t i = 0; i < GUARD; ++i)
        assert_true(x[n + i] == guard && x[-1 - (ptrdiff_t)i] == guard);
    free(x - GUARD);
}

void close_to(const char *what, const dpf_conv_shape *s, const float *got, const double *want, size_t n) {
    double largest = 0;
    for (size_t i = 0; i < n; ++i)
        largest = fmax(largest, fabs(want[i]));
    for (size_t i = 0; i < n; ++i)
        if (!(fabs((double)got[i] - want[i]) <= 2e-5 * largest + 2e-6))
            fail_msg("%s at %zu: %g, should be %g; batch %d, %dx%dx%d, %d filters %dx%d/%d pad %d groups %d", what, i,
                     (double)got[i], want[i], s->batch, s->w, s->h, s->c, s->n, s->size, s->size, s->stride, s->pad,
                     s->groups);
}

void oracle(const dpf_conv_shape *s, const float *x, const float *w, const float *dy, double *y, double *dw,
            double *dx) {
    int oh = dpf_conv_out_h(s), ow = dpf_conv_out_w(s), cg = s->c / s->groups, ng = s->n / s->groups;
    for (int b = 0; b < s->batch; ++b)
        for (int o = 0; o < s->n; ++o)
            for (int at = 0; at < oh * ow; ++at) {
                int i = at / ow, j = at % ow;
                size_t out = ((size_t)b * (size_t)s->n + (size_t)o) * (size_t)(oh * ow) + (size_t)at;
                for (int k = 0; k < cg * s->size * s->size; ++k) {
                    int c = k / (s->size * s->size), u = k / s->size % s->size, v = k % s->size;
                    int yy = i * s->stride + u - s->pad, xx = j * s->stride + v - s->pad;
                    if (yy < 0 || yy >= s->h || xx < 0 || xx >= s->w)
                        continue;
                    size_t channel = (size_t)b * (size_t)s->c + (size_t)(o / ng * cg + c);
                    size_t in = (channel * (size_t)s->h + (size_t)yy) * (size_t)s->w + (size_t)xx;
                    size_t weight = (size_t)o * (size_t)(cg * s->size * s->size) + (size_t)k;
                    y[out] += (double)w[weight] * (double)x[in];
                    dw[weight] += (double)dy[out] * (double)x[in];
                    dx[in] += (double)dy[out] * (double)w[weight];
                }
            }
}

double *doubles(const float *from, size_t n) {
    assert_true(n < (size_t)1 << 32);
    double *d = calloc(n, sizeof *d);
    assert_non_null(d);
    for (size_t i = 0; from && i < n; ++i)
        d[i] = (double)from[i];
    return d;
}

void to_blocks(const float *from, float *to, size_t planes, size_t hw, int blocked, int back) {
    for (size_t c = 0; c < planes; ++c)
        for (size_t i = 0; i < hw; ++i) {
            size_t plain = c * hw + i, block = blocked ? (c / 16 * hw + i) * 16 + c % 16 : plain;
            to[back ? plain : block] = from[back ? block : plain];
        }
}

void see_chunk(void *context, int first, int count, int threads, float *y) {
    chunk_check *check = context;
    assert_true(threads >= 1 && y == check->y + (size_t)first * check->y_floats);
    for (int p = first; p < first + count; ++p)
        ++check->seen[p];
}

void make_chunk(void *context, int first, int count, int threads, float *y) {
    chunk_check *check = context;
    assert_true(threads >= 1);
    memcpy(y, check->dy + (size_t)first * check->y_floats, (size_t)count * check->y_floats * sizeof *y);
    for (int p = first; p < first + count; ++p)
        ++check->seen[p];
}

void expect_seen(chunk_check *check, int batch) {
    for (int p = 0; p < batch; ++p)
        assert_int_equal(check->seen[p], 1);
    memset(check->seen, 0, sizeof check->seen);
}
