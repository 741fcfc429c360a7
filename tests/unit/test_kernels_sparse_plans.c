/* SPDX-License-Identifier: MIT
 *
 * Plans of the sparse convolution that tests of shapes alone would not reach: every tile, each way to reach columns,
 * large windows, planes with gaps, pooled outputs.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "dpf/kernels/spconv.h"
#include "guarded.h"
#include "sparse_world.h"

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
        float *x = sparse_fill(3 * (size_t)s->h * (size_t)s->w), *w = sparse_fill(weights);
        sparse_prune(w, weights, 0.5);
        for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++)
            for (size_t i = 24 * SPCONV_COLUMNS_COPIED; i < 24 * (SPCONV_COLUMNS_SHIFTED + 1); i++) {
                const spconv_columns columns = (spconv_columns)(i / 24);
                const spconv_options o = {
                    .isa_set = 1, .isa = isa, .tile = i % 24 + 1, .block = 2, .pool = c == 0, .columns = columns};
                sparse_run(s, DPF_LINEAR_ACT, x, w, NULL, o, 0);
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
    float *x = sparse_fill(64 * 8 * 8), *w = sparse_fill(3 * 64 * FAR * FAR);
    sparse_prune(w, 3 * 64 * FAR * FAR, 0.1);
    for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++)
        sparse_run(&far, DPF_LINEAR_ACT, x, w, NULL, (spconv_options){.isa_set = 1, .isa = isa, .block = 64}, 0);
    for (dpf_conv_shape s = {1, 2, 20, 20, 3, 15, 1, 7, 1}; s.size < 20; s.size++) /* sums move by up to a vector */
        for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++) {
            const spconv_options o = {.isa_set = 1, .isa = isa, .columns = SPCONV_COLUMNS_SHIFTED};
            sparse_run(&s, DPF_LINEAR_ACT, x, w, NULL, o, 0);
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
    float *w = sparse_fill(3 * 3 * 25);
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
    float *large = sparse_fill(WINDOW * WINDOW);
    static const dpf_conv_shape cases[] = {{1, 3, 50, 66, 5, 3, 1, 1, 1}, {1, 16, 26, 26, 12, 3, 1, 1, 1},
                                           {2, 6, 8, 120, 4, 3, 1, 1, 2}, {3, 5, 2, 2, 4, 3, 1, 1, 1},
                                           {1, 4, 36, 44, 6, 3, 2, 1, 1}, {1, 5, 12, 18, 4, 1, 1, 0, 1},
                                           {1, 2, 10, 8, 3, 4, 1, 2, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (spconv_can_pool(&cases[i])) {
            sparse_run_case(cases[i], DPF_LEAKY, 0.3, 1);
            sparse_run_case(cases[i], DPF_MISH, 0.3, 1);
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

/* With gaps between the planes of input and output, of any width; those of the output are left alone but for what a
 * 1x1 layer may overwrite, up to spconv_whole. */
static void run_wide(const dpf_conv_shape *s, const float *x, const float *w, spconv_options o, size_t in_gap,
                     size_t out_gap) {
    const size_t area = (size_t)s->h * (size_t)s->w, planes = (size_t)s->batch * (size_t)s->c;
    const size_t filters = (size_t)s->batch * (size_t)s->n, pixels = sparse_out_count(s, o.pool) / filters;
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
    sparse_compare(s, DPF_LEAKY, x, w, NULL, dense, o.pool, dpf_isa_name(o.isa));
    free(dense);
    guarded_check_free(&in);
    guarded_check_free(&out);
    guarded_check_free(&scratch);
    spconv_free(conv);
}

static void test_wide(void **unused) {
    (void)unused;
    static const dpf_conv_shape cases[] = {{1, 24, 13, 13, 9, 1, 1, 0, 1}, {2, 24, 7, 7, 6, 1, 1, 0, 2},
                                           {3, 8, 13, 11, 6, 3, 1, 1, 1},  {1, 6, 14, 14, 5, 3, 2, 1, 1},
                                           {1, 5, 12, 18, 4, 3, 1, 1, 1},  {1, 6, 9, 10, 4, 1, 1, 1, 1}};
    static const size_t gaps[] = {0, 1, 7, 15, 16, 40};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const dpf_conv_shape *s = &cases[i];
        const size_t area = (size_t)s->h * (size_t)s->w,
                     pixels = sparse_out_count(s, 0) / (size_t)s->batch / (size_t)s->n;
        const size_t weights = (size_t)s->n * (size_t)(s->c / s->groups) * (size_t)s->size * (size_t)s->size;
        float *x = sparse_fill((size_t)s->batch * (size_t)s->c * area), *w = sparse_fill(weights);
        sparse_prune(w, weights, 0.4);
        for (dpf_isa isa = DPF_ISA_C; isa <= dpf_cpu_isa(); isa++) {
            const size_t whole_in = spconv_whole(area) - area, whole_out = spconv_whole(pixels) - pixels;
            spconv_options o = {.isa_set = 1, .isa = isa, .threads = 2};
            run_wide(s, x, w, o, whole_in, whole_out);
            run_wide(s, x, w, o, whole_in, 0);
            run_wide(s, x, w, o, 0, whole_out);
            run_wide(s, x, w, o, whole_in + 16, whole_out + 16);
            for (o.tile = 1; o.tile < 12; o.tile += 3)
                run_wide(s, x, w, o, gaps[sparse_below(6)], gaps[sparse_below(6)]);
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_tile), cmocka_unit_test(test_far_taps), cmocka_unit_test(test_columns),
        cmocka_unit_test(test_pool),       cmocka_unit_test(test_wide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
