/* SPDX-License-Identifier: MIT
 *
 * The sparse convolution against a sum in double precision, over awkward shapes,
 * for each instruction set that this machine has, with guard words around output and
 * scratch and with scratch full of NaN.
 *
 * Tolerance: a sum of n products in single precision, in any order, is within
 * n * 2^-24 * (sum of the products' magnitudes) of the true sum, to first order. The
 * fused activations add one rounding; the smooth ones, from a polynomial exp, are
 * allowed 1e-6 relative to 1 + |x|.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dpf/kernels/spconv.h"
#include "guarded.h"

static uint64_t state = 1;

static double uniform(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) / 9007199254740992.0;
}

static size_t below(size_t n) {
    return (size_t)(uniform() * (double)n);
}

static float *fill(size_t count) {
    float *x = malloc((count ? count : 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(uniform() * 2 - 1);
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
static void compare(const dpf_conv_shape *s, dpf_activation act, const float *x, const float *w, const float *bias,
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
static size_t out_count(const dpf_conv_shape *s, int pool) {
    size_t count = (size_t)s->batch * (size_t)s->n * (size_t)dpf_conv_out_h(s) * (size_t)dpf_conv_out_w(s);
    return pool ? count / 4 : count;
}

/* Runs one case on one instruction set and compares. */
static void run_one(const dpf_conv_shape *s, dpf_activation act, const float *x, const float *w, const float *bias,
                    spconv_options o, size_t off) {
    spconv *conv = NULL;
    dpf_error err;
    assert_int_equal(spconv_new(&conv, s, act, w, bias, &o, &err), DPF_OK);
    guarded out = guarded_new(out_count(s, o.pool), off), scratch = guarded_new(spconv_scratch(conv), 0);
    spconv_run(conv, x, out.at, scratch.at);
    compare(s, act, x, w, bias, out.at, o.pool, dpf_isa_name(o.isa));
    guarded_check_free(&scratch);
    guarded_check_free(&out);
    spconv_free(conv);
}

/* With gaps between the planes of input and output, of any width; those of the output are left alone but for what a
 * 1x1 layer may overwrite, up to spconv_whole. */
static void run_wide(const dpf_conv_shape *s, const float *x, const float *w, spconv_options o, size_t in_gap,
                     size_t out_gap) {
    const size_t area = (size_t)s->h * (size_t)s->w, planes = (size_t)s->batch * (size_t)s->c;
    const size_t filters = (size_t)s->batch * (size_t)s->n, pixels = out_count(s, o.pool) / filters;
    spconv *conv = NULL;
    dpf_error err;
    o.in_pitch = area + in_gap;
    o.out_pitch = pixels + out_gap;
    assert_int_equal(spconv_new(&conv, s, DPF_LEAKY, w, NULL, &o, &err), DPF_OK);
    guarded in = guarded_new(planes * o.in_pitch, 0), out = guarded_new(filters * o.out_pitch, 0);
    guarded scratch = guarded_new(spconv_scratch(conv), 0);
    float *dense = malloc(filters * pixels * sizeof *dense);
    assert_non_null(dense);
    for (size_t i = 0; i < planes * o.in_pitch; i++)
        in.at[i] = i % o.in_pitch < area ? x[i / o.in_pitch * area + i % o.in_pitch] : NAN;
    for (size_t i = 0; i < filters * o.out_pitch; i++)
        out.at[i] = 7;
    spconv_run(conv, in.at, out.at, scratch.at);
    const size_t may = s->size == 1 && s->stride == 1 && !s->pad ? spconv_whole(pixels) : pixels;
    for (size_t i = 0; i < filters * o.out_pitch; i++)
        if (i % o.out_pitch < pixels)
            dense[i / o.out_pitch * pixels + i % o.out_pitch] = out.at[i];
        else if (i % o.out_pitch >= may)
            assert_true(out.at[i] == 7);
    compare(s, DPF_LEAKY, x, w, NULL, dense, o.pool, dpf_isa_name(o.isa));
    free(dense);
    guarded_check_free(&in);
    guarded_check_free(&out);
    guarded_check_free(&scratch);
    spconv_free(conv);
}

/* Weights that come without their zeros give the same bits; of a wrong size they are refused. */
static void test_rows(void **unused) {
    (void)unused;
    const dpf_conv_shape s = {1, 6, 12, 12, 8, 3, 1, 1, 2};
    const size_t width = 27;
    float *x = fill(6 * 144), *w = fill(8 * width);
    for (size_t i = 0; i < 8 * width; i++)
        w[i] *= uniform() < 0.3 || i / width == 5;
    memset(w, 0, width * sizeof *w);
    spconv *conv[2];
    dpf_rows rows;
    guarded out[2];
    assert_int_equal(dpf_rows_from_dense(&rows, w, 8, width, NULL), DPF_OK);
    assert_int_equal(spconv_new(&conv[0], &s, DPF_LINEAR_ACT, w, NULL, NULL, NULL), DPF_OK);
    assert_int_equal(spconv_new_rows(&conv[1], &s, DPF_LINEAR_ACT, &rows, NULL, NULL, NULL), DPF_OK);
    for (int i = 0; i < 2; i++) {
        guarded scratch = guarded_new(spconv_scratch(conv[i]), 0);
        out[i] = guarded_new(8 * 144, 0);
        spconv_run(conv[i], x, out[i].at, scratch.at);
        guarded_check_free(&scratch);
        spconv_free(conv[i]);
    }
    compare(&s, DPF_LINEAR_ACT, x, w, NULL, out[1].at, 0, "rows");
    assert_memory_equal(out[0].at, out[1].at, 8 * 144 * sizeof(float));
    guarded_check_free(&out[0]);
    guarded_check_free(&out[1]);
    rows.width++;
    assert_int_equal(spconv_new_rows(&conv[0], &s, DPF_LINEAR_ACT, &rows, NULL, NULL, NULL), DPF_ERR_MISMATCH);
    dpf_rows_free(&rows);
    free(x);
    free(w);
}

static void prune(float *w, size_t count, double density) {
    for (size_t i = 0; i < count; i++)
        if (uniform() >= density)
            w[i] = 0;
}

/* One shape at one density: every instruction set, default and forced tiles, threads. */
static void run_case(dpf_conv_shape s, dpf_activation act, double density, int with_bias) {
    size_t weights = (size_t)s.n * (size_t)(s.c / s.groups) * (size_t)s.size * (size_t)s.size;
    float *x = fill((size_t)s.batch * (size_t)s.c * (size_t)s.h * (size_t)s.w), *w = fill(weights);
    float *bias = with_bias ? fill((size_t)s.n) : NULL;
    prune(w, weights, density);
    for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++) {
        spconv_options o = {.isa_set = 1, .isa = isa, .threads = 1};
        run_one(&s, act, x, w, bias, o, 0);
        o.threads = 1 + (int)below(4);
        o.tile = 1 + below(24);
        o.block = 1 + below((size_t)s.c);
        o.no_in_place = (int)below(2);
        for (o.columns = SPCONV_COLUMNS_COPIED; o.columns <= SPCONV_COLUMNS_SHIFTED; o.columns++)
            run_one(&s, act, x, w, bias, o, 1);
        o.columns = (spconv_columns)below(SPCONV_COLUMNS_SHIFTED + 1);
        if (!spconv_can_pool(&s))
            continue;
        o.pool = 1;
        run_one(&s, act, x, w, bias, o, 1);
        run_one(&s, act, x, w, bias, (spconv_options){.isa_set = 1, .isa = isa, .pool = 1}, 0);
    }
    free(x);
    free(w);
    free(bias);
}

static const dpf_conv_shape shapes[] = {
    /* batch, c, h, w, n, size, stride, pad, groups */
    {1, 1, 1, 1, 1, 1, 1, 0, 1},      {1, 1, 1, 1, 1, 3, 1, 1, 1},     {1, 3, 1, 7, 2, 3, 1, 1, 1},
    {1, 2, 7, 1, 3, 3, 1, 1, 1},      {1, 16, 13, 13, 24, 3, 1, 1, 1}, {1, 40, 13, 13, 8, 1, 1, 0, 1},
    {1, 8, 16, 16, 8, 1, 1, 0, 1},    {1, 32, 8, 6, 16, 1, 1, 0, 1},   {1, 3, 37, 41, 5, 3, 1, 1, 1},
    {1, 3, 17, 19, 7, 3, 2, 1, 1},    {1, 4, 16, 16, 6, 3, 2, 1, 1},   {1, 4, 15, 17, 6, 3, 3, 1, 1},
    {1, 5, 11, 13, 4, 5, 1, 2, 1},    {1, 3, 23, 29, 4, 7, 2, 3, 1},   {1, 2, 12, 11, 3, 7, 3, 3, 1},
    {1, 6, 14, 14, 6, 3, 1, 0, 1},    {1, 6, 9, 10, 4, 3, 1, 2, 1},    {1, 6, 9, 10, 4, 3, 1, 3, 1},
    {1, 6, 9, 10, 4, 3, 2, 3, 1},     {1, 6, 9, 10, 4, 1, 1, 1, 1},    {1, 6, 9, 11, 4, 1, 2, 0, 1},
    {1, 6, 9, 11, 4, 1, 3, 1, 1},     {1, 6, 9, 11, 4, 2, 1, 0, 1},    {1, 6, 9, 11, 4, 2, 2, 1, 1},
    {1, 8, 12, 12, 8, 3, 1, 1, 4},    {1, 9, 12, 13, 6, 3, 2, 1, 3},   {1, 11, 12, 13, 11, 3, 1, 1, 11},
    {1, 11, 12, 13, 11, 3, 2, 1, 11}, {1, 6, 12, 13, 12, 5, 1, 2, 6},  {4, 5, 7, 7, 6, 3, 1, 1, 1},
    {6, 8, 7, 7, 9, 1, 1, 0, 1},      {3, 4, 8, 8, 5, 3, 2, 1, 1},     {8, 4, 4, 4, 8, 3, 1, 1, 2},
    {16, 3, 5, 5, 4, 3, 1, 1, 1},     {2, 16, 32, 32, 16, 3, 1, 1, 1}, {1, 7, 3, 100, 3, 3, 1, 1, 1},
    {1, 7, 100, 3, 3, 3, 1, 1, 1},    {1, 3, 20, 20, 4, 2, 5, 0, 1},   {1, 2, 5, 5, 3, 5, 1, 0, 1},
    {1, 2, 4, 4, 3, 7, 1, 3, 1},      {1, 2, 3, 3, 2, 3, 2, 2, 1},     {1, 300, 7, 7, 5, 1, 1, 0, 1},
    {1, 130, 7, 7, 9, 3, 1, 1, 1},    {2, 64, 8, 8, 64, 3, 1, 1, 1},   {1, 64, 14, 14, 16, 3, 2, 1, 1},
};
#define SHAPES (sizeof shapes / sizeof *shapes)

static void test_shapes(void **unused) {
    (void)unused;
    static const double densities[] = {0, 0.03, 0.1, 0.4, 1};
    for (size_t i = 0; i < SHAPES; i++)
        for (size_t d = 0; d < 5; d++)
            run_case(shapes[i], d % 2 ? DPF_LEAKY : DPF_LINEAR_ACT, densities[d], d != 2);
}

static void test_random_shapes(void **unused) {
    (void)unused;
    for (int i = 0; i < 150; i++) {
        dpf_conv_shape s = {.groups = 1 + (int)below(3), .size = 1 + (int)below(5)};
        s.batch = 1 + (int)below(5);
        s.c = s.groups * (1 + (int)below(20));
        s.n = s.groups * (1 + (int)below(12));
        s.stride = 1 + (int)below(3);
        s.pad = (int)below(4);
        s.h = s.size + (int)below(24);
        s.w = s.size + (int)below(40);
        run_case(s, DPF_RELU, uniform(), 1);
    }
}

static void test_wide(void **unused) {
    (void)unused;
    static const dpf_conv_shape cases[] = {{1, 24, 13, 13, 9, 1, 1, 0, 1}, {2, 24, 7, 7, 6, 1, 1, 0, 2},
                                           {3, 8, 13, 11, 6, 3, 1, 1, 1},  {1, 6, 14, 14, 5, 3, 2, 1, 1},
                                           {1, 5, 12, 18, 4, 3, 1, 1, 1},  {1, 6, 9, 10, 4, 1, 1, 1, 1}};
    static const size_t gaps[] = {0, 1, 7, 15, 16, 40};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const dpf_conv_shape *s = &cases[i];
        const size_t area = (size_t)s->h * (size_t)s->w, pixels = out_count(s, 0) / (size_t)s->batch / (size_t)s->n;
        const size_t weights = (size_t)s->n * (size_t)(s->c / s->groups) * (size_t)s->size * (size_t)s->size;
        float *x = fill((size_t)s->batch * (size_t)s->c * area), *w = fill(weights);
        prune(w, weights, 0.4);
        for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++) {
            const size_t whole_in = spconv_whole(area) - area, whole_out = spconv_whole(pixels) - pixels;
            spconv_options o = {.isa_set = 1, .isa = isa, .threads = 2};
            run_wide(s, x, w, o, whole_in, whole_out);
            run_wide(s, x, w, o, whole_in, 0);
            run_wide(s, x, w, o, 0, whole_out);
            run_wide(s, x, w, o, whole_in + 16, whole_out + 16);
            for (o.tile = 1; o.tile < 12; o.tile += 3)
                run_wide(s, x, w, o, gaps[below(6)], gaps[below(6)]);
            o = (spconv_options){.isa_set = 1, .isa = isa, .pool = 1};
            if (spconv_can_pool(s))
                run_wide(s, x, w, o, 5, 3);
        }
        spconv *conv;
        spconv_options o = {.in_pitch = area - 1};
        assert_int_equal(spconv_new(&conv, s, DPF_LEAKY, w, NULL, &o, NULL), DPF_ERR_ARGUMENT);
        o = (spconv_options){.out_pitch = pixels - 1};
        assert_int_equal(spconv_new(&conv, s, DPF_LEAKY, w, NULL, &o, NULL), DPF_ERR_ARGUMENT);
        free(x);
        free(w);
    }
}

static void test_one_weight(void **unused) {
    (void)unused;
    dpf_conv_shape s = {1, 5, 10, 9, 4, 3, 1, 1, 1};
    size_t weights = 4 * 5 * 9;
    for (size_t k = 0; k < weights; k += 7) {
        float *x = fill(5 * 10 * 9), *w = calloc(weights, sizeof *w);
        assert_non_null(w);
        w[k] = 0.7f;
        for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++)
            run_one(&s, DPF_LINEAR_ACT, x, w, NULL, (spconv_options){.isa_set = 1, .isa = isa}, 0);
        free(x);
        free(w);
    }
}

static void test_every_tile(void **unused) {
    (void)unused;
    /* behind the first three, the last of which has whole vectors: rows of no more than half a vector */
    static const dpf_conv_shape cases[] = {{1, 3, 18, 22, 3, 3, 1, 1, 1}, {1, 3, 19, 23, 3, 3, 1, 1, 1},
                                           {1, 3, 13, 64, 3, 3, 1, 1, 1}, {1, 3, 20, 7, 3, 3, 1, 1, 1},
                                           {1, 3, 21, 6, 3, 4, 1, 2, 1},  {1, 3, 40, 14, 3, 3, 2, 1, 1},
                                           {1, 3, 41, 13, 3, 5, 2, 2, 1}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const dpf_conv_shape *s = &cases[c];
        const size_t weights = 9 * (size_t)s->size * (size_t)s->size;
        float *x = fill(3 * (size_t)s->h * (size_t)s->w), *w = fill(weights);
        prune(w, weights, 0.5);
        for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++)
            for (size_t i = 24 * SPCONV_COLUMNS_COPIED; i < 24 * (SPCONV_COLUMNS_SHIFTED + 1); i++) {
                const spconv_columns columns = (spconv_columns)(i / 24);
                const spconv_options o = {
                    .isa_set = 1, .isa = isa, .tile = i % 24 + 1, .block = 2, .pool = c == 0, .columns = columns};
                run_one(s, DPF_LINEAR_ACT, x, w, NULL, o, 0);
            }
        free(x);
        free(w);
    }
}

/* Windows so large that a block of channels is limited by what distances reach, or a single channel is beyond it. */
static void test_far_taps(void **unused) {
    (void)unused;
    enum { FAR = 31, TOO_FAR = 260 };
    const dpf_conv_shape far = {1, 64, 8, 8, 3, FAR, 1, FAR / 2, 1};
    const dpf_conv_shape too_far = {1, 1, 8, 8, 1, TOO_FAR, 1, TOO_FAR / 2, 1};
    float *x = fill(64 * 8 * 8), *w = fill(3 * 64 * FAR * FAR);
    prune(w, 3 * 64 * FAR * FAR, 0.1);
    for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++)
        run_one(&far, DPF_LINEAR_ACT, x, w, NULL, (spconv_options){.isa_set = 1, .isa = isa, .block = 64}, 0);
    for (dpf_conv_shape s = {1, 2, 20, 20, 3, 15, 1, 7, 1}; s.size < 20; s.size++) /* sums move by up to a vector */
        for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++) {
            const spconv_options o = {.isa_set = 1, .isa = isa, .columns = SPCONV_COLUMNS_SHIFTED};
            run_one(&s, DPF_LINEAR_ACT, x, w, NULL, o, 0);
        }
    spconv *conv;
    assert_int_equal(spconv_new(&conv, &too_far, DPF_LINEAR_ACT, w, NULL, NULL, NULL), DPF_ERR_UNSUPPORTED);
    assert_null(conv);
    free(x);
    free(w);
}

/* The way to reach columns is the one that was asked for, where the instruction set has it. */
static void test_columns(void **unused) {
    (void)unused;
    static const dpf_conv_shape cases[] = {{1, 3, 19, 23, 3, 3, 1, 1, 1}, {1, 3, 19, 23, 3, 5, 2, 1, 1}};
    float *w = fill(3 * 3 * 25);
    for (size_t i = 0; i < 2; i++)
        for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++)
            for (spconv_columns columns = SPCONV_COLUMNS_COPIED; columns <= SPCONV_COLUMNS_SHIFTED; columns++) {
                const spconv_options o = {.isa_set = 1, .isa = isa, .columns = columns};
                spconv *conv;
                spconv_info info;
                assert_int_equal(spconv_new(&conv, &cases[i], DPF_RELU, w, NULL, &o, NULL), DPF_OK);
                spconv_get_info(conv, &info);
                if (columns != SPCONV_COLUMNS_SHIFTED || isa == DPF_ISA_AVX512)
                    assert_int_equal(info.columns, columns);
                else
                    assert_int_not_equal(info.columns, columns);
                spconv_free(conv);
            }
    free(w);
}

static void test_pool(void **unused) {
    (void)unused;
    enum { WINDOW = 101 };
    float *large = fill(WINDOW * WINDOW);
    static const dpf_conv_shape cases[] = {{1, 3, 50, 66, 5, 3, 1, 1, 1}, {1, 16, 26, 26, 12, 3, 1, 1, 1},
                                           {2, 6, 8, 120, 4, 3, 1, 1, 2}, {3, 5, 2, 2, 4, 3, 1, 1, 1},
                                           {1, 4, 36, 44, 6, 3, 2, 1, 1}, {1, 5, 12, 18, 4, 1, 1, 0, 1},
                                           {1, 2, 10, 8, 3, 4, 1, 2, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (spconv_can_pool(&cases[i])) {
            run_case(cases[i], DPF_LEAKY, 0.3, 1);
            run_case(cases[i], DPF_MISH, 0.3, 1);
            continue;
        }
        float one[32] = {1};
        spconv *conv = NULL;
        spconv_options o = {.pool = 1};
        assert_int_equal(spconv_new(&conv, &cases[i], DPF_RELU, one, NULL, &o, NULL), DPF_ERR_ARGUMENT);
    }
    spconv *conv = NULL;
    const dpf_conv_shape wide = {1, 1, 120, 120, 1, WINDOW, 1, 0, 1};
    spconv_options o = {.isa_set = 1, .isa = DPF_ISA_C, .pool = 1};
    assert_int_equal(spconv_new(&conv, &wide, DPF_RELU, large, NULL, &o, NULL), DPF_ERR_UNSUPPORTED);
    free(large);
}

static void test_activations(void **unused) {
    (void)unused;
    for (int act = 0; act < DPF_ACTIVATIONS; act++) {
        if (act == DPF_NORM_CHAN || act == DPF_NORM_CHAN_SOFTMAX || act == DPF_NORM_CHAN_SOFTMAX_MAXVAL ||
            act == DPF_STAIR) /* stair jumps: no tolerance fits */
            continue;
        run_case((dpf_conv_shape){1, 12, 11, 13, 6, 3, 1, 1, 1}, (dpf_activation)act, 0.8, 1);
        run_case((dpf_conv_shape){1, 12, 8, 8, 6, 1, 1, 0, 1}, (dpf_activation)act, 0.8, 1);
    }
}

/* The smooth activations far from zero, where exp overflows or vanishes. */
static void test_activation_range(void **unused) {
    (void)unused;
    static const dpf_activation acts[] = {DPF_LOGISTIC_ACT, DPF_SWISH, DPF_MISH, DPF_TANH, DPF_ELU, DPF_GELU};
    enum { COUNT = 64 };
    dpf_conv_shape s = {1, 1, 1, COUNT, 1, 1, 1, 0, 1};
    float x[COUNT], one = 1;
    for (int i = 0; i < COUNT; i++)
        x[i] = ldexpf(i % 2 ? 1.0f : -1.0f, i / 2 - 20) * 1.1f;
    for (size_t a = 0; a < sizeof acts / sizeof *acts; a++)
        for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++) {
            spconv *conv = NULL;
            spconv_options o = {.isa_set = 1, .isa = isa};
            assert_int_equal(spconv_new(&conv, &s, acts[a], &one, NULL, &o, NULL), DPF_OK);
            guarded out = guarded_new(COUNT, 0), scratch = guarded_new(spconv_scratch(conv), 0);
            spconv_run(conv, x, out.at, scratch.at);
            for (int i = 0; i < COUNT; i++) {
                float want = dpf_activate(x[i], acts[a]);
                if (!(fabsf(out.at[i] - want) <= 1e-6f * (1 + fabsf(want))))
                    fail_msg("activation %d of %g is %g, should be %g", (int)acts[a], (double)x[i], (double)out.at[i],
                             (double)want);
            }
            guarded_check_free(&scratch);
            guarded_check_free(&out);
            spconv_free(conv);
        }
}

/* Right with any number of threads, that share out pictures, parts
 * of the filters, or the tiles of a large picture; and the same bits in each run. */
static void test_threads_agree(void **unused) {
    (void)unused;
    static const dpf_conv_shape cases[] = {
        {4, 24, 20, 20, 30, 3, 1, 1, 1}, {1, 24, 20, 20, 30, 3, 1, 1, 1}, {2, 12, 201, 200, 2, 3, 1, 1, 1}};
    for (size_t i = 0; i < 3; i++) {
        const dpf_conv_shape *s = &cases[i];
        size_t weights = (size_t)s->n * (size_t)s->c * 9, area = (size_t)s->h * (size_t)s->w;
        size_t count = out_count(s, 0);
        float *x = fill((size_t)s->batch * (size_t)s->c * area), *w = fill(weights),
              *first = malloc(count * sizeof *first);
        assert_non_null(first);
        prune(w, weights, 0.2);
        for (int threads = 1; threads <= 5; threads++) {
            spconv *conv = NULL;
            spconv_options o = {.threads = threads};
            assert_int_equal(spconv_new(&conv, s, DPF_LEAKY, w, NULL, &o, NULL), DPF_OK);
            guarded out = guarded_new(count, 0), scratch = guarded_new(spconv_scratch(conv), 0);
            spconv_run(conv, x, out.at, scratch.at);
            compare(s, DPF_LEAKY, x, w, NULL, out.at, 0, "threads");
            memcpy(first, out.at, count * sizeof *first);
            for (int again = 0; again < 3; again++) {
                spconv_run(conv, x, out.at, scratch.at);
                assert_memory_equal(first, out.at, count * sizeof *first);
            }
            guarded_check_free(&scratch);
            guarded_check_free(&out);
            spconv_free(conv);
        }
        free(first);
        free(x);
        free(w);
    }
}

static void test_refresh(void **unused) {
    (void)unused;
    dpf_conv_shape s = {1, 6, 12, 12, 8, 3, 1, 1, 1};
    float *x = fill(6 * 144), *w = fill(8 * 6 * 9), *bias = fill(8);
    prune(w, 8 * 6 * 9, 0.3);
    spconv *conv = NULL;
    spconv_options o = {.refreshable = 1};
    assert_int_equal(spconv_new(&conv, &s, DPF_LINEAR_ACT, w, NULL, &o, NULL), DPF_OK);
    int zeroed = 0;
    for (size_t i = 0; i < 8 * 6 * 9; i++)
        if (w[i] != 0) {
            w[i] = zeroed ? (float)uniform() : 0.0f;
            zeroed = 1;
        }
    spconv_refresh_values(conv, w, bias);
    guarded out = guarded_new(8 * 144, 0), scratch = guarded_new(spconv_scratch(conv), 0);
    spconv_run(conv, x, out.at, scratch.at);
    compare(&s, DPF_LINEAR_ACT, x, w, bias, out.at, 0, "refreshed");
    guarded_check_free(&scratch);
    guarded_check_free(&out);
    spconv_free(conv);
    free(x);
    free(w);
    free(bias);
}

static void test_bad_shapes(void **unused) {
    (void)unused;
    static const dpf_conv_shape bad[] = {
        {0, 1, 1, 1, 1, 1, 1, 0, 1},
        {1, 0, 1, 1, 1, 1, 1, 0, 1},
        {1, 1, 1, 1, 1, 1, 0, 0, 1},
        {1, 3, 4, 4, 4, 3, 1, 1, 2},
        {1, 4, 4, 4, 3, 3, 1, 1, 2},
        {1, 1, 2, 2, 1, 3, 1, 0, 1},
        {1, 1, 2, 2, 1, 3, 1, -1, 1},
        {1, 1, 2, 2, 1, 3, 1, 1, 0},
        {1, 1, 2, 2, 1, 3, 1, 5000, 1},
        {1, 1, 2000000000, 2000000000, 1, 1, 1, 0, 1},
        {1, 100000, 1000, 1000, 1, 1, 1, 0, 1},
        {1, 60000, 1, 1, 60000, 1, 1, 0, 1},
    };
    float w = 1;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        spconv *conv = (spconv *)&w;
        dpf_error err = {0};
        assert_int_equal(spconv_new(&conv, &bad[i], DPF_LINEAR_ACT, &w, NULL, NULL, &err), DPF_ERR_RANGE);
        assert_null(conv);
        assert_true(err.text[0] != 0);
    }
    spconv *conv = NULL;
    assert_int_equal(spconv_new(&conv, &shapes[0], DPF_NORM_CHAN, &w, NULL, NULL, NULL), DPF_ERR_UNSUPPORTED);
    assert_int_equal(spconv_new(&conv, &shapes[0], DPF_ACTIVATIONS, &w, NULL, NULL, NULL), DPF_ERR_UNSUPPORTED);
    spconv_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),        cmocka_unit_test(test_random_shapes),
        cmocka_unit_test(test_one_weight),    cmocka_unit_test(test_every_tile),
        cmocka_unit_test(test_activations),   cmocka_unit_test(test_activation_range),
        cmocka_unit_test(test_threads_agree), cmocka_unit_test(test_rows),
        cmocka_unit_test(test_refresh),       cmocka_unit_test(test_bad_shapes),
        cmocka_unit_test(test_far_taps),      cmocka_unit_test(test_wide),
        cmocka_unit_test(test_columns),       cmocka_unit_test(test_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
