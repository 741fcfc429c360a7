/* SPDX-License-Identifier: MIT
 *
 * The depthwise convolution against a sum in double precision, over awkward shapes, for
 * each instruction set that this machine has, with guard words around the output and NaNs
 * around the input.
 *
 * Tolerance: a sum of n products in single precision is within n * 2^-24 * (sum of the
 * products' magnitudes) of the true sum, to first order, twice that without fused
 * multiply-adds. The fused activations add one rounding; the smooth ones, from a
 * polynomial exp, are allowed 1e-6 relative to 1 + |x|.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dpf/kernels/depthwise.h"
#include "guarded.h"

static uint64_t state = 1;

static size_t below(size_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)(state >> 33) % n;
}

static size_t product(int a, int b, int c) {
    return (size_t)a * (size_t)b * (size_t)c;
}

/* An array with values below 1. */
static guarded values_new(size_t count, size_t off) {
    guarded g = guarded_new(count, off);
    for (size_t i = 0; i < count; i++)
        g.at[i] = (float)below(2001) / 1000.0f - 1;
    return g;
}

/* One output in double precision; *magnitude: the products' and the bias's. */
static double oracle(const dpf_conv_shape *s, const float *x, const float *w, const float *bias, int image, int filter,
                     int oy, int ox, double *magnitude) {
    int channel = image * s->c + filter / (s->n / s->c);
    double sum = bias ? (double)bias[filter] : 0;
    *magnitude = fabs(sum);
    for (int u = 0; u < s->size; u++)
        for (int k = 0; k < s->size; k++) {
            int y = oy * s->stride - s->pad + u, xx = ox * s->stride - s->pad + k;
            if (y < 0 || y >= s->h || xx < 0 || xx >= s->w)
                continue;
            double product =
                (double)x[(channel * s->h + y) * s->w + xx] * (double)w[(filter * s->size + u) * s->size + k];
            sum += product;
            *magnitude += fabs(product);
        }
    return sum;
}

static int is_fused(dpf_activation act) {
    return act == DPF_LINEAR_ACT || act == DPF_LEAKY || act == DPF_RELU || act == DPF_RELU6 || act == DPF_RELIE;
}

static void compare(const dpf_conv_shape *s, dpf_activation act, const float *x, const float *w, const float *bias,
                    const float *got, const char *what) {
    const int out_h = dpf_conv_out_h(s), out_w = dpf_conv_out_w(s);
    const double taps = (double)(s->size * s->size) + 2;
    for (int i = 0; i < s->batch * s->n * out_h * out_w; i++) {
        const int plane = i / (out_h * out_w), y = i / out_w % out_h, column = i % out_w;
        double magnitude, sum = oracle(s, x, w, bias, plane / s->n, plane % s->n, y, column, &magnitude);
        double bound = taps * 0x1p-23 * magnitude, want = (double)dpf_activate((float)sum, act);
        if (!is_fused(act))
            bound = 1.2 * bound + 1e-6 * (1 + fabs(sum));
        if (!(fabs((double)got[i] - want) <= bound))
            fail_msg("%s: batch %d, %d channels of %dx%d, %d filters of %d, stride %d, pad %d, activation %d: "
                     "[%d][%d][%d] is %.9g, should be %.9g within %.3g",
                     what, s->batch, s->c, s->w, s->h, s->n, s->size, s->stride, s->pad, (int)act, plane, y, column,
                     (double)got[i], want, bound);
    }
}

/* One shape: every instruction set, with one thread and some, bands as chosen and others, which give the same bits. */
static void run_case(dpf_conv_shape s, dpf_activation act, int with_bias, int zeros) {
    const size_t count = (size_t)s.batch * product(s.n, dpf_conv_out_h(&s), dpf_conv_out_w(&s));
    s.groups = s.c;
    guarded x = values_new((size_t)s.batch * product(s.c, s.h, s.w), below(3)), b = values_new((size_t)s.n, 0);
    guarded w = values_new(product(s.n, s.size, s.size), 0);
    const float *bias = with_bias ? b.at : NULL;
    for (size_t i = 0; i < w.count; i++)
        w.at[i] = zeros ? 0 : w.at[i];
    for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++) {
        guarded first = guarded_new(count, below(3));
        for (int turn = 0; turn < 3; turn++) {
            const depthwise_options o = {
                .threads = turn ? 1 + (int)below(4) : 1, .isa_set = 1, .isa = isa, .rows = (size_t)turn * below(4)};
            depthwise *conv;
            dpf_error err;
            guarded out = guarded_new(count, below(3));
            assert_int_equal(depthwise_new(&conv, &s, act, w.at, bias, &o, &err), DPF_OK);
            depthwise_run(conv, x.at, turn ? out.at : first.at);
            depthwise_free(conv);
            if (turn)
                assert_memory_equal(out.at, first.at, count * sizeof(float));
            guarded_check_free(&out);
        }
        compare(&s, act, x.at, w.at, bias, first.at, dpf_isa_name(isa));
        guarded_check_free(&first);
    }
    guarded_check_free(&x);
    guarded_check_free(&w);
    guarded_check_free(&b);
}

/* batch, c, h, w, n, size, stride, pad */
static const dpf_conv_shape shapes[] = {
    {1, 1, 1, 1, 1, 1, 1, 0, 0},     {1, 1, 1, 1, 1, 3, 1, 1, 0},   {1, 2, 1, 1, 2, 5, 2, 2, 0},
    {1, 1, 1, 1, 1, 7, 1, 3, 0},     {1, 3, 7, 7, 3, 3, 1, 1, 0},   {2, 5, 10, 10, 5, 3, 1, 1, 0},
    {1, 4, 13, 17, 4, 3, 1, 1, 0},   {1, 2, 20, 20, 2, 3, 1, 1, 0}, {1, 3, 31, 47, 3, 3, 1, 1, 0},
    {1, 1, 2, 64, 1, 3, 1, 1, 0},    {1, 2, 64, 2, 2, 3, 1, 1, 0},  {3, 2, 18, 18, 2, 3, 1, 0, 0},
    {1, 2, 3, 34, 2, 3, 1, 0, 0},    {1, 2, 19, 33, 2, 3, 1, 2, 0}, {1, 2, 20, 40, 2, 3, 2, 1, 0},
    {1, 3, 29, 31, 3, 3, 2, 1, 0},   {1, 2, 33, 67, 2, 3, 2, 0, 0}, {1, 2, 9, 70, 2, 3, 3, 1, 0},
    {1, 2, 10, 10, 2, 5, 1, 2, 0},   {1, 2, 23, 41, 2, 5, 1, 2, 0}, {1, 2, 17, 36, 2, 5, 1, 0, 0},
    {2, 3, 14, 14, 3, 5, 2, 2, 0},   {1, 2, 37, 73, 2, 5, 2, 2, 0}, {1, 2, 21, 69, 2, 5, 2, 0, 0},
    {1, 1, 2, 2, 1, 5, 1, 2, 0},     {1, 2, 3, 3, 2, 7, 1, 3, 0},   {1, 2, 16, 39, 2, 7, 1, 3, 0},
    {1, 2, 25, 71, 2, 7, 2, 3, 0},   {1, 2, 4, 4, 2, 9, 1, 4, 0},   {1, 2, 12, 19, 2, 11, 2, 5, 0},
    {1, 1, 6, 50, 1, 2, 1, 0, 0},    {1, 2, 8, 37, 2, 4, 2, 1, 0},  {1, 2, 11, 43, 2, 6, 5, 3, 0},
    {1, 2, 15, 40, 2, 1, 2, 0, 0},   {1, 1, 3, 3, 1, 3, 1, 20, 0},  {1, 1, 5, 5, 1, 3, 2, 40, 0},
    {1, 3, 12, 21, 6, 3, 1, 1, 0},   {2, 2, 9, 18, 10, 5, 2, 2, 0}, {1, 1, 150, 90, 1, 3, 1, 1, 0},
    {1, 37, 10, 10, 37, 3, 1, 1, 0}, {2, 19, 7, 7, 19, 5, 2, 2, 0}, {2, 16, 3, 5, 16, 4, 1, 2, 0},
    {1, 1, 16, 16, 1, 3, 1, 1, 0},   {1, 1, 17, 32, 1, 3, 1, 1, 0}, {1, 1, 5, 3000, 1, 3, 1, 1, 0},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static const dpf_activation acts[] = {DPF_LEAKY, DPF_LINEAR_ACT, DPF_RELU,         DPF_RELU6,     DPF_RELIE,
                                      DPF_MISH,  DPF_SWISH,      DPF_LOGISTIC_ACT, DPF_HARDSWISH, DPF_ELU,
                                      DPF_TANH,  DPF_GELU,       DPF_HARD_MISH,    DPF_SELU};
enum { ACTS = sizeof acts / sizeof *acts };

static void test_shapes(void **unused) {
    (void)unused;
    for (size_t i = 0; i < SHAPES; i++)
        run_case(shapes[i], acts[i % 2], i % 3 != 0, 0);
}

static void test_random_shapes(void **unused) {
    (void)unused;
    for (int i = 0; i < 200; i++) {
        const int size = 1 + (int)below(i % 3 ? 7 : 9), c = 1 + (int)below(4), pad = (int)below((size_t)size);
        const dpf_conv_shape s = {.batch = 1 + (int)below(2),
                                  .c = c,
                                  .h = size + (int)below(20),
                                  .w = size + (int)below(i % 2 ? 20 : 80),
                                  .n = c * (1 + (int)below(3)),
                                  .size = size,
                                  .stride = 1 + (int)below(i % 4 ? 2 : 4),
                                  .pad = pad};
        run_case(s, acts[below(5)], (int)below(2), 0);
    }
}

static void test_activations(void **unused) {
    (void)unused;
    for (size_t i = 0; i < ACTS; i++) {
        run_case((dpf_conv_shape){1, 3, 11, 21, 3, 3, 1, 1, 0}, acts[i], 1, 0);
        run_case((dpf_conv_shape){1, 2, 13, 9, 2, 4, 3, 2, 0}, acts[i], 1, 0);
        run_case((dpf_conv_shape){1, 21, 7, 7, 21, 3, 1, 1, 0}, acts[i], 1, 0);
    }
}

/* Nothing but the bias comes out of it. */
static void test_zero_weights(void **unused) {
    (void)unused;
    for (size_t i = 0; i < SHAPES; i += 3)
        run_case(shapes[i], DPF_LEAKY, 1, 1);
    run_case(shapes[4], DPF_LOGISTIC_ACT, 0, 1);
}

/* A picture with an infinity or a NaN keeps it where the window sees it, and nowhere else. */
static void test_not_numbers(void **unused) {
    (void)unused;
    const dpf_conv_shape s = {1, 1, 9, 40, 1, 3, 1, 1, 1};
    const float w[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++) {
        const depthwise_options o = {.isa_set = 1, .isa = isa};
        guarded x = values_new(360, 0), out = guarded_new(360, 0);
        depthwise *conv;
        x.at[4 * 40 + 17] = NAN;
        assert_int_equal(depthwise_new(&conv, &s, DPF_RELU6, w, NULL, &o, NULL), DPF_OK);
        depthwise_run(conv, x.at, out.at);
        for (int i = 0; i < 360; i++)
            assert_int_equal(isnan(out.at[i]) != 0, abs(i / 40 - 4) <= 1 && abs(i % 40 - 17) <= 1);
        depthwise_free(conv);
        guarded_check_free(&x);
        guarded_check_free(&out);
    }
}

static void test_refused(void **unused) {
    (void)unused;
    const float w[64] = {0};
    depthwise *conv = (depthwise *)&conv;
    dpf_error err;
    dpf_conv_shape s = {1, 4, 8, 8, 4, 3, 1, 1, 2};
    assert_int_equal(depthwise_new(&conv, &s, DPF_LEAKY, w, NULL, NULL, &err), DPF_ERR_UNSUPPORTED);
    assert_null(conv);
    assert_non_null(strstr(err.text, "groups=2 with 4 channels"));
    s.groups = 4;
    s.n = 6;
    assert_int_equal(depthwise_new(&conv, &s, DPF_LEAKY, w, NULL, NULL, &err), DPF_ERR_RANGE);
    s.n = 4;
    s.size = 11;
    assert_int_equal(depthwise_new(&conv, &s, DPF_LEAKY, w, NULL, NULL, NULL), DPF_ERR_RANGE);
    s.size = 3;
    assert_int_equal(depthwise_new(&conv, &s, DPF_NORM_CHAN, w, NULL, NULL, &err), DPF_ERR_UNSUPPORTED);
    assert_int_equal(depthwise_new(&conv, &s, DPF_LEAKY, w, NULL, NULL, &err), DPF_OK);
    depthwise_info info;
    depthwise_get_info(conv, &info);
    assert_int_equal(info.isa, dpf_cpu_isa());
    assert_int_equal(info.bytes, 40 * sizeof(float));
    assert_true(info.unrolled && info.cycles_modelled > 0);
    depthwise_free(conv);
    depthwise_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),       cmocka_unit_test(test_random_shapes), cmocka_unit_test(test_activations),
        cmocka_unit_test(test_zero_weights), cmocka_unit_test(test_not_numbers),   cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
