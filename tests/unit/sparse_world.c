/* SPDX-License-Identifier: MIT
 *
 * See sparse_world.h.
 */
#include "sparse_world.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guarded.h"

static uint64_t state = 1;

double sparse_uniform(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) / 9007199254740992.0;
}

size_t sparse_below(size_t n) {
    return (size_t)(sparse_uniform() * (double)n);
}

float *sparse_fill(size_t count) {
    float *x = malloc((count ? count : 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(sparse_uniform() * 2 - 1);
    return x;
}

static double oracle(const dpf_conv_shape *s, const float *x, const float *w, size_t image, size_t filter, long oy,
                     long ox, double *magnitude) {
    size_t channels = (size_t)(s->c / s->groups), group = filter / (size_t)(s->n / s->groups);
    double sum = 0;
    *magnitude = 0;
    for (size_t c = 0; c < channels; c++)
        for (long ky = 0; ky < s->size; ky++)
            for (long kx = 0; kx < s->size; kx++) {
                long y = oy * s->stride - s->pad + ky, xx = ox * s->stride - s->pad + kx;
                if (y < 0 || y >= s->h || xx < 0 || xx >= s->w)
                    continue;
                size_t from =
                    ((image * (size_t)s->c + group * channels + c) * (size_t)s->h + (size_t)y) * (size_t)s->w +
                    (size_t)xx;
                size_t at = ((filter * channels + c) * (size_t)s->size + (size_t)ky) * (size_t)s->size + (size_t)kx;
                double product = (double)x[from] * (double)w[at];
                sum += product;
                *magnitude += fabs(product);
            }
    return sum;
}

static int is_fused(dpf_activation act) {
    return act == DPF_LINEAR_ACT || act == DPF_LEAKY || act == DPF_RELU || act == DPF_RELU6 || act == DPF_RELIE;
}

/* What the output should be at one pixel, and within what. */
static double expected(const dpf_conv_shape *s, dpf_activation act, const float *x, const float *w, const float *bias,
                       size_t image, size_t filter, size_t y, size_t xx, double *bound) {
    int weights = s->c / s->groups * s->size * s->size;
    double taps = (double)weights + 2;
    double magnitude, b = bias ? (double)bias[filter] : 0;
    double sum = oracle(s, x, w, image, filter, (long)y, (long)xx, &magnitude) + b;
    *bound = taps * 0x1p-24 * (magnitude + fabs(b)) * 1.2;
    if (!is_fused(act))
        *bound = 1.2 * *bound + 1e-6 * (1 + fabs(sum));
    return (double)dpf_activate((float)sum, act);
}

/* pool: got holds the largest of each 2 x 2 outputs; it is off by no more than any of them. */
void sparse_compare(const dpf_conv_shape *s, dpf_activation act, const float *x, const float *w, const float *bias,
                    const float *got, int pool, const char *what) {
    size_t side = pool ? 2 : 1, at = 0;
    size_t out_h = (size_t)dpf_conv_out_h(s) / side, out_w = (size_t)dpf_conv_out_w(s) / side;
    for (size_t n = 0; n < (size_t)s->batch; n++)
        for (size_t m = 0; m < (size_t)s->n; m++)
            for (size_t y = 0; y < out_h; y++)
                for (size_t xx = 0; xx < out_w; xx++, at++) {
                    double want = -INFINITY, bound = 0;
                    for (size_t i = 0; i < side * side; i++) {
                        double within, one = expected(s, act, x, w, bias, n, m, y * side + i / side,
                                                      xx * side + i % side, &within);
                        want = fmax(want, one);
                        bound = fmax(bound, within);
                    }
                    if (!(fabs((double)got[at] - want) <= bound))
                        fail_msg("%s: batch %d, %d channels of %dx%d, %d filters of %d, stride %d, pad %d, groups %d, "
                                 "activation %d, pool %d: [%zu][%zu][%zu][%zu] is %.9g, should be %.9g within %.3g",
                                 what, s->batch, s->c, s->w, s->h, s->n, s->size, s->stride, s->pad, s->groups,
                                 (int)act, pool, n, m, y, xx, (double)got[at], want, bound);
                }
}

/* Floats of the output. */
size_t sparse_out_count(const dpf_conv_shape *s, int pool) {
    size_t count = (size_t)s->batch * (size_t)s->n * (size_t)dpf_conv_out_h(s) * (size_t)dpf_conv_out_w(s);
    return pool ? count / 4 : count;
}

/* Runs one case on one instruction set and compares. */
void sparse_run(const dpf_conv_shape *s, dpf_activation act, const float *x, const float *w, const float *bias,
                spconv_options o, size_t off) {
    spconv *conv = NULL;
    dpf_error err;
    assert_int_equal(spconv_new(&conv, s, act, w, bias, &o, &err), DPF_OK);
    guarded out = guarded_new(sparse_out_count(s, o.pool), off), scratch = guarded_new(spconv_scratch(conv), 0);
    spconv_run(conv, x, out.at, scratch.at);
    sparse_compare(s, act, x, w, bias, out.at, o.pool, dpf_isa_name(o.isa));
    guarded_check_free(&scratch);
    guarded_check_free(&out);
    spconv_free(conv);
}

void sparse_prune(float *w, size_t count, double density) {
    for (size_t i = 0; i < count; i++)
        if (sparse_uniform() >= density)
            w[i] = 0;
}

/* One shape at one density: every instruction set, default and forced tiles, threads. */
void sparse_run_case(dpf_conv_shape s, dpf_activation act, double density, int with_bias) {
    size_t weights = (size_t)s.n * (size_t)(s.c / s.groups) * (size_t)s.size * (size_t)s.size;
    float *x = sparse_fill((size_t)s.batch * (size_t)s.c * (size_t)s.h * (size_t)s.w), *w = sparse_fill(weights);
    float *bias = with_bias ? sparse_fill((size_t)s.n) : NULL;
    sparse_prune(w, weights, density);
    for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++) {
        spconv_options o = {.isa_set = 1, .isa = isa, .threads = 1};
        sparse_run(&s, act, x, w, bias, o, 0);
        o.threads = 1 + (int)sparse_below(4);
        o.tile = 1 + sparse_below(24);
        o.block = 1 + sparse_below((size_t)s.c);
        o.no_in_place = (int)sparse_below(2);
        for (o.columns = SPCONV_COLUMNS_COPIED; o.columns <= SPCONV_COLUMNS_SHIFTED; o.columns++)
            sparse_run(&s, act, x, w, bias, o, 1);
        o.columns = (spconv_columns)sparse_below(SPCONV_COLUMNS_SHIFTED + 1);
        if (!spconv_can_pool(&s))
            continue;
        o.pool = 1;
        sparse_run(&s, act, x, w, bias, o, 1);
        sparse_run(&s, act, x, w, bias, (spconv_options){.isa_set = 1, .isa = isa, .pool = 1}, 0);
    }
    free(x);
    free(w);
    free(bias);
}
