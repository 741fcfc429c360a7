/* SPDX-License-Identifier: MIT
 *
 * The sparse convolution against a sum in double precision, over awkward shapes,
 * for each instruction set that this machine has.
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
#include "sparse_world.h"

/* Weights that come without their zeros give the same bits; of a wrong size they are refused. */
static void test_rows(void **unused) {
    (void)unused;
    const dpf_conv_shape s = {1, 6, 12, 12, 8, 3, 1, 1, 2};
    const size_t width = 27;
    float *x = sparse_fill(6 * 144), *w = sparse_fill(8 * width);
    for (size_t i = 0; i < 8 * width; i++)
        w[i] *= sparse_uniform() < 0.3 || i / width == 5;
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
    sparse_compare(&s, DPF_LINEAR_ACT, x, w, NULL, out[1].at, 0, "rows");
    assert_memory_equal(out[0].at, out[1].at, 8 * 144 * sizeof(float));
    guarded_check_free(&out[0]);
    guarded_check_free(&out[1]);
    rows.width++;
    assert_int_equal(spconv_new_rows(&conv[0], &s, DPF_LINEAR_ACT, &rows, NULL, NULL, NULL), DPF_ERR_MISMATCH);
    dpf_rows_free(&rows);
    free(x);
    free(w);
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
            sparse_run_case(shapes[i], d % 2 ? DPF_LEAKY : DPF_LINEAR_ACT, densities[d], d != 2);
}

static void test_random_shapes(void **unused) {
    (void)unused;
    for (int i = 0; i < 150; i++) {
        dpf_conv_shape s = {.groups = 1 + (int)sparse_below(3), .size = 1 + (int)sparse_below(5)};
        s.batch = 1 + (int)sparse_below(5);
        s.c = s.groups * (1 + (int)sparse_below(20));
        s.n = s.groups * (1 + (int)sparse_below(12));
        s.stride = 1 + (int)sparse_below(3);
        s.pad = (int)sparse_below(4);
        s.h = s.size + (int)sparse_below(24);
        s.w = s.size + (int)sparse_below(40);
        sparse_run_case(s, DPF_RELU, sparse_uniform(), 1);
    }
}

static void test_one_weight(void **unused) {
    (void)unused;
    dpf_conv_shape s = {1, 5, 10, 9, 4, 3, 1, 1, 1};
    size_t weights = 4 * 5 * 9;
    for (size_t k = 0; k < weights; k += 7) {
        float *x = sparse_fill(5 * 10 * 9), *w = calloc(weights, sizeof *w);
        assert_non_null(w);
        w[k] = 0.7f;
        for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++)
            sparse_run(&s, DPF_LINEAR_ACT, x, w, NULL, (spconv_options){.isa_set = 1, .isa = isa}, 0);
        free(x);
        free(w);
    }
}

static void test_activations(void **unused) {
    (void)unused;
    for (int act = 0; act < DPF_ACTIVATIONS; act++) {
        if (act == DPF_NORM_CHAN || act == DPF_NORM_CHAN_SOFTMAX || act == DPF_NORM_CHAN_SOFTMAX_MAXVAL ||
            act == DPF_STAIR) /* stair jumps: no tolerance fits */
            continue;
        sparse_run_case((dpf_conv_shape){1, 12, 11, 13, 6, 3, 1, 1, 1}, (dpf_activation)act, 0.8, 1);
        sparse_run_case((dpf_conv_shape){1, 12, 8, 8, 6, 1, 1, 0, 1}, (dpf_activation)act, 0.8, 1);
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
        size_t count = sparse_out_count(s, 0);
        float *x = sparse_fill((size_t)s->batch * (size_t)s->c * area), *w = sparse_fill(weights),
              *first = malloc(count * sizeof *first);
        assert_non_null(first);
        sparse_prune(w, weights, 0.2);
        for (int threads = 1; threads <= 5; threads++) {
            spconv *conv = NULL;
            spconv_options o = {.threads = threads};
            assert_int_equal(spconv_new(&conv, s, DPF_LEAKY, w, NULL, &o, NULL), DPF_OK);
            guarded out = guarded_new(count, 0), scratch = guarded_new(spconv_scratch(conv), 0);
            spconv_run(conv, x, out.at, scratch.at);
            sparse_compare(s, DPF_LEAKY, x, w, NULL, out.at, 0, "threads");
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
    float *x = sparse_fill(6 * 144), *w = sparse_fill(8 * 6 * 9), *bias = sparse_fill(8);
    sparse_prune(w, 8 * 6 * 9, 0.3);
    spconv *conv = NULL;
    spconv_options o = {.refreshable = 1};
    assert_int_equal(spconv_new(&conv, &s, DPF_LINEAR_ACT, w, NULL, &o, NULL), DPF_OK);
    int zeroed = 0;
    for (size_t i = 0; i < 8 * 6 * 9; i++)
        if (w[i] != 0) {
            w[i] = zeroed ? (float)sparse_uniform() : 0.0f;
            zeroed = 1;
        }
    spconv_refresh_values(conv, w, bias);
    guarded out = guarded_new(8 * 144, 0), scratch = guarded_new(spconv_scratch(conv), 0);
    spconv_run(conv, x, out.at, scratch.at);
    sparse_compare(&s, DPF_LINEAR_ACT, x, w, bias, out.at, 0, "refreshed");
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
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_random_shapes),
        cmocka_unit_test(test_one_weight),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_activation_range),
        cmocka_unit_test(test_threads_agree),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_refresh),
        cmocka_unit_test(test_bad_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
