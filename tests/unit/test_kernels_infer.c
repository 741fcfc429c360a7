/* SPDX-License-Identifier: MIT
 *
 * Dense convolution for inference (dense.h), every kind, against a plain loop in double
 * precision: groups, strides, dilation, edges, activations, threads; and the conversions
 * between layouts.
 *
 * Tolerances are those that dense.h states: of the largest result 4e-6 and 2e-5 for
 * Winograd's algorithm in tiles of 2x2 and 4x4, and 2e-6 for the others, for inputs and
 * weights between -1 and 1.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dpf/core/random.h"
#include "dpf/kernels/cpu.h"
#include "dpf/kernels/dense.h"

enum { GUARD = 16 };
static const float guard = 12345.0f;

/* n floats, 64-byte aligned, between guard values. */
static float *guarded(size_t n) {
    size_t bytes = ((n + 2 * GUARD) * sizeof(float) + 63) / 64 * 64;
    float *all = aligned_alloc(64, bytes);
    assert_non_null(all);
    for (size_t i = 0; i < bytes / sizeof *all; ++i)
        all[i] = guard;
    return all + GUARD;
}

static void release(float *x, size_t n) {
    for (size_t i = 0; i < GUARD; ++i)
        assert_true(x[n + i] == guard && x[-1 - (ptrdiff_t)i] == guard);
    free(x - GUARD);
}

static float *random_floats(size_t n, uint64_t *seed) {
    float *x = guarded(n);
    for (size_t i = 0; i < n; ++i)
        x[i] = (float)(random_next(seed) >> 40) / 8388608.0f - 1;
    return x;
}

/* Where value i of plain planes stands in a layout. */
static size_t place(size_t i, size_t channels, size_t area, size_t lanes) {
    size_t picture = i / (channels * area), c = i / area % channels, blocks = (channels + lanes - 1) / lanes;
    return ((picture * blocks + c / lanes) * area + i % area) * lanes + c % lanes;
}

typedef struct size_pair {
    int h, w;
} size_pair;

/* Before pooling. */
static size_pair out_size(const dense_shape *s) {
    int span = (s->size - 1) * s->dilation + 1;
    return (size_pair){(s->h + 2 * s->pad - span) / s->stride_y + 1, (s->w + 2 * s->pad - span) / s->stride_x + 1};
}

static double one_output(const dense_shape *s, const float *x, const float *w, int picture, int filter, int i, int j) {
    double sum = 0;
    int group = s->c / s->groups, first = filter / (s->n / s->groups) * group;
    for (int c = 0; c < group; ++c)
        for (int u = 0; u < s->size; ++u)
            for (int v = 0; v < s->size; ++v) {
                int y = i * s->stride_y - s->pad + u * s->dilation, z = j * s->stride_x - s->pad + v * s->dilation;
                if (y >= 0 && y < s->h && z >= 0 && z < s->w)
                    sum += (double)x[((picture * s->c + first + c) * s->h + y) * s->w + z] *
                           (double)w[((filter * group + c) * s->size + u) * s->size + v];
            }
    return sum;
}

static void oracle(const dense_shape *s, const float *x, const float *w, const float *bias, double *y) {
    size_pair out = out_size(s);
    const int side = s->pool ? 2 : 1, across = out.w / side, area = out.h / side * across;
    for (int n = 0; n < s->batch * s->n; ++n)
        for (int at = 0; at < area; ++at) {
            double most = -INFINITY;
            for (int k = 0; k < side * side; ++k)
                most = fmax(most, one_output(s, x, w, n / s->n, n % s->n, at / across * side + k / side,
                                             at % across * side + k % side));
            y[n * area + at] = (double)bias[n % s->n] + most;
        }
}

static void compare(const dense_shape *s, dpf_activation act, const char *name, const float *got, size_t lanes,
                    const double *want, double bound) {
    size_pair out = out_size(s);
    size_t area = (size_t)(out.h * out.w / (s->pool ? 4 : 1)), n = (size_t)s->batch * (size_t)s->n * area;
    double largest = 0;
    for (size_t i = 0; i < n; ++i)
        largest = fmax(largest, fabs(want[i]));
    for (size_t i = 0; i < n; ++i) {
        double value = (double)got[place(i, (size_t)s->n, area, lanes)];
        double right = (double)dpf_activate((float)want[i], act);
        if (!(fabs(value - right) <= bound * largest + 1e-6))
            fail_msg("%s at %zu: %g, should be %g (largest %g); batch %d, %dx%dx%d, %d filters %dx%d/%d,%d pad %d "
                     "dilation %d groups %d",
                     name, i, value, right, largest, s->batch, s->w, s->h, s->c, s->n, s->size, s->size, s->stride_x,
                     s->stride_y, s->pad, s->dilation, s->groups);
    }
}

static double bound_of(dense_kind kind) {
    return kind == DENSE_WINOGRAD_4 || kind == DENSE_WINOGRAD ? 2e-5 : kind == DENSE_WINOGRAD_2 ? 4e-6 : 2e-6;
}

/* Returns 0 when the kind does not do the shape. */
static int check(const dense_shape *s, dense_kind kind, dpf_activation act, int threads) {
    static uint64_t seed = 1;
    size_pair out = out_size(s);
    size_t area = (size_t)s->h * (size_t)s->w, out_area = (size_t)(out.h * out.w / (s->pool ? 4 : 1)),
           batch = (size_t)s->batch;
    size_t nw = (size_t)s->n * (size_t)(s->c / s->groups) * (size_t)s->size * (size_t)s->size,
           nx = batch * (size_t)s->c * area;
    float *x = random_floats(nx, &seed), *w = random_floats(nw, &seed), *bias = random_floats((size_t)s->n, &seed);
    dense *d;
    dense_call *call;
    dense_info info;
    dpf_error err;
    dpf_status status = dense_new(&d, s, act, w, bias, threads, kind, &err);
    if (status) {
        if (status != DPF_ERR_UNSUPPORTED || d || kind == DENSE_AUTO || kind == DENSE_BLAS)
            fail_msg("kind %d: %s", (int)kind, err.text);
    } else {
        dense_get_info(d, &info);
        size_t nin = dense_floats(batch, (size_t)s->c, area, info.lanes_in);
        size_t nout = dense_floats(batch, (size_t)s->n, out_area, info.lanes_out);
        float *in = guarded(nin), *y = guarded(nout), *scratch = guarded(info.scratch);
        double *want = calloc(batch * (size_t)s->n * out_area, sizeof *want);
        assert_non_null(want);
        memset(in, 0, nin * sizeof *in);
        for (size_t i = 0; i < nx; ++i)
            in[place(i, (size_t)s->c, area, info.lanes_in)] = x[i];
        oracle(s, x, w, bias, want);
        assert_int_equal(dense_call_new(&call, d, in, y, scratch, &err), DPF_OK);
        for (int turn = 0; turn < 2; ++turn) { /* scratch is dirty the second time */
            assert_int_equal(dense_call_run(call), DPF_OK);
            compare(s, act, info.name, y, info.lanes_out, want, bound_of(kind));
        }
        if (kind == DENSE_WINOGRAD_2 || kind == DENSE_WINOGRAD_4)
            assert_non_null(strstr(info.name, kind == DENSE_WINOGRAD_2 ? "wino_2x3" : "wino_4x3"));
        dense_call_free(call);
        dense_free(d);
        release(in, nin);
        release(y, nout);
        release(scratch, info.scratch);
        free(want);
    }
    release(x, nx);
    release(w, nw);
    release(bias, (size_t)s->n);
    return status == DPF_OK;
}

/* batch, c, h, w, n, size, stride_x, stride_y, pad, dilation, groups, pool */
static const dense_shape shapes[] = {
    {1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0},     {1, 3, 17, 19, 16, 3, 1, 1, 1, 1, 1, 0},
    {2, 16, 13, 13, 32, 3, 1, 1, 1, 1, 1, 0}, {1, 7, 11, 5, 5, 3, 2, 2, 1, 1, 1, 0},
    {3, 16, 8, 9, 16, 3, 2, 1, 1, 1, 1, 0},   {1, 24, 9, 9, 24, 3, 1, 1, 1, 1, 24, 0},
    {2, 32, 10, 7, 64, 3, 1, 1, 1, 1, 2, 0},  {1, 8, 12, 12, 8, 3, 1, 1, 2, 2, 1, 0},
    {1, 16, 7, 7, 48, 5, 1, 1, 2, 1, 1, 0},   {4, 64, 6, 6, 17, 1, 1, 1, 0, 1, 1, 0},
    {1, 3, 23, 29, 8, 7, 2, 2, 3, 1, 1, 0},   {2, 20, 5, 5, 12, 1, 2, 2, 0, 1, 4, 0},
    {1, 48, 31, 3, 16, 3, 1, 1, 0, 1, 1, 0},  {1, 128, 13, 13, 255, 1, 1, 1, 0, 1, 1, 0},
};
static const dpf_activation acts[] = {DPF_LINEAR_ACT, DPF_LEAKY, DPF_RELU,      DPF_MISH, DPF_SWISH, DPF_LOGISTIC_ACT,
                                      DPF_RELU6,      DPF_ELU,   DPF_HARDSWISH, DPF_TANH, DPF_LOGGY, DPF_STAIR};

static size_t check_all(dense_kind kind) {
    size_t done = 0, acts_count = sizeof acts / sizeof *acts - 1; /* stair jumps: left out */
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i)
        for (int threads = 1; threads <= 3; threads += 2)
            done += (size_t)check(&shapes[i], kind, acts[(i + (size_t)threads) % acts_count], threads);
    return done;
}

static void test_blas(void **unused) {
    (void)unused;
    assert_int_equal(check_all(DENSE_BLAS), 2 * (sizeof shapes / sizeof *shapes));
}

static void test_auto(void **unused) {
    (void)unused;
    assert_int_equal(check_all(DENSE_AUTO), 2 * (sizeof shapes / sizeof *shapes));
}

static void test_direct(void **unused) {
    (void)unused;
    size_t done = check_all(DENSE_DIRECT);
#ifdef DPF_NO_DNNL
    assert_int_equal(done, 0);
#else
    assert_true(done > 0);
#endif
}

/* Those that Winograd's algorithm is for: tiles that fit and that reach over the edge, both tile sizes, many
 * channels, where errors add up; and that it refuses what is not 3x3 with stride 1. oneDNN has tiles of 2x2 for some of
 * the shapes only. */
static void test_winograd(void **unused) {
    (void)unused;
    static const dense_shape fit[] = {
        {1, 16, 12, 12, 16, 3, 1, 1, 1, 1, 1, 0},  {2, 32, 13, 20, 48, 3, 1, 1, 1, 1, 1, 0},
        {1, 1024, 6, 6, 16, 3, 1, 1, 1, 1, 1, 0},  {1, 512, 13, 13, 32, 3, 1, 1, 1, 1, 1, 0},
        {1, 128, 26, 26, 64, 3, 1, 1, 1, 1, 1, 0}, {1, 64, 52, 52, 32, 3, 1, 1, 1, 1, 1, 0},
    };
    static const dense_kind tiles[] = {DENSE_WINOGRAD_2, DENSE_WINOGRAD_4};
    int done[2] = {0};
    for (size_t k = 0; k < 2; ++k) {
        check_all(tiles[k]);
        for (size_t i = 0; i < sizeof fit / sizeof *fit; ++i)
            for (int threads = 1; threads <= 2; ++threads)
                done[k] += check(&fit[i], tiles[k], i % 2 ? DPF_LEAKY : DPF_RELU, threads);
        assert_false(check(&shapes[0], tiles[k], DPF_RELU, 1));
        assert_false(check(&shapes[4], tiles[k], DPF_RELU, 1));
    }
#ifndef DPF_NO_DNNL
    if (dpf_cpu_isa() < DPF_ISA_AVX512)
        return;
    assert_true(done[0] > 0);
    assert_int_equal(done[1], 2 * sizeof fit / sizeof *fit);
#else
    assert_int_equal(done[0] + done[1], 0);
#endif
}

/* A kind of our own does all of these shapes, where AVX-512 and oneDNN are there, but fuses straight lines only, which
 * a maxpool on the way needs; that is refused by others. */
static void check_ours(dense_kind kind, const dense_shape *fit, size_t count) {
    static const dpf_activation lines[] = {DPF_LEAKY, DPF_RELU, DPF_LINEAR_ACT, DPF_RELIE};
#ifdef DPF_NO_DNNL
    const int there = 0;
#else
    const int there = dpf_cpu_isa() >= DPF_ISA_AVX512;
#endif
    for (size_t i = 0; i < count; ++i)
        for (int threads = 1; threads <= 3; threads += 2) {
            assert_int_equal(check(&fit[i], kind, lines[(i + (size_t)threads / 2) % 4], threads), there);
            assert_int_equal(check(&fit[i], kind, DPF_MISH, threads), there && !fit[i].pool);
            assert_false(fit[i].pool && check(&fit[i], DENSE_DIRECT, DPF_LEAKY, threads));
        }
}

/* All channel counts, edges, tails of columns, rows and filters; pooled where rows and columns are even. */
static void test_few_channels(void **unused) {
    (void)unused;
    static const dense_shape fit[] = {
        {1, 3, 16, 24, 16, 3, 1, 1, 1, 1, 1, 0}, {2, 1, 5, 41, 32, 3, 1, 1, 1, 1, 1, 0},
        {1, 4, 9, 3, 5, 3, 1, 1, 0, 1, 1, 0},    {1, 2, 1, 1, 33, 3, 1, 1, 1, 1, 1, 0},
        {3, 3, 7, 8, 16, 3, 1, 1, 1, 1, 1, 0},   {1, 3, 16, 24, 16, 3, 1, 1, 1, 1, 1, 1},
        {2, 4, 6, 10, 40, 3, 1, 1, 1, 1, 1, 1},  {1, 1, 4, 6, 16, 3, 1, 1, 0, 1, 1, 1},
        {1, 3, 2, 2, 16, 3, 1, 1, 1, 1, 1, 1},
    };
    static const dense_shape odd = {1, 3, 7, 8, 16, 3, 1, 1, 1, 1, 1, 1}, five = {1, 5, 8, 8, 16, 3, 1, 1, 1, 1, 1, 0};
    check_ours(DENSE_FEW, fit, sizeof fit / sizeof *fit);
    assert_false(check(&odd, DENSE_FEW, DPF_LEAKY, 1));
    assert_false(check(&five, DENSE_FEW, DPF_LEAKY, 1));
    check_all(DENSE_FEW);
}

/* Whole tiles and cut ones, one register group and several, filters that fill a pair of vectors and that do not, more
 * filters than are kept at a time, calls that straddle pictures; pooled where rows and columns are even. */
static void test_own_winograd(void **unused) {
    (void)unused;
    static const dense_shape fit[] = {
        {1, 16, 8, 8, 16, 3, 1, 1, 1, 1, 1, 0},    {3, 32, 13, 21, 48, 3, 1, 1, 1, 1, 1, 0},
        {1, 16, 1, 1, 32, 3, 1, 1, 1, 1, 1, 0},    {1, 16, 52, 36, 16, 3, 1, 1, 1, 1, 1, 0},
        {1, 1024, 6, 6, 16, 3, 1, 1, 1, 1, 1, 0},  {1, 48, 9, 7, 144, 3, 1, 1, 0, 1, 1, 0},
        {2, 64, 26, 26, 160, 3, 1, 1, 1, 1, 1, 0}, {1, 512, 13, 13, 32, 3, 1, 1, 1, 1, 1, 0},
        {1, 16, 8, 8, 16, 3, 1, 1, 1, 1, 1, 1},    {2, 32, 6, 10, 48, 3, 1, 1, 1, 1, 1, 1},
        {1, 16, 12, 12, 272, 3, 1, 1, 0, 1, 1, 1}, {3, 16, 2, 2, 16, 3, 1, 1, 1, 1, 1, 1},
    };
    static const dense_shape odd = {1, 16, 7, 8, 16, 3, 1, 1, 1, 1, 1, 1},
                             part = {1, 24, 8, 8, 16, 3, 1, 1, 1, 1, 1, 0};
    check_ours(DENSE_WINOGRAD, fit, sizeof fit / sizeof *fit);
    assert_false(check(&odd, DENSE_WINOGRAD, DPF_LEAKY, 1));
    assert_false(check(&part, DENSE_WINOGRAD, DPF_LEAKY, 1));
    check_all(DENSE_WINOGRAD);
}

static void check_relayout(const int shape[4], size_t from, size_t gap, size_t to, int threads) {
    uint64_t seed = 3;
    size_t batch = (size_t)shape[0], c = (size_t)shape[1], area = (size_t)shape[2] * (size_t)shape[3];
    const size_t pitch = area + gap; /* of planes, where they are plain */
    size_t nin = dense_floats(batch, c, pitch, from), nout = dense_floats(batch, c, area, to);
    float *in = random_floats(nin, &seed), *out = guarded(nout);
    dense *d;
    dense_call *call;
    dense_info info;
    dpf_error err;
    dpf_status status = dense_relayout_new(&d, shape, from, pitch, to, threads, &err);
#ifdef DPF_NO_DNNL
    assert_int_equal(status, DPF_ERR_UNSUPPORTED); /* nothing asks for it there: all arrays are plain */
    release(in, nin);
    release(out, nout);
    return;
#endif
    if (status != DPF_OK)
        fail_msg("%s", err.text);
    dense_get_info(d, &info);
    float *scratch = guarded(info.scratch);
    assert_int_equal(dense_call_new(&call, d, in, out, scratch, &err), DPF_OK);
    assert_int_equal(dense_call_run(call), DPF_OK);
    for (size_t i = 0; i < batch * c * area; ++i)
        assert_true(out[place(i, c, area, to)] == in[gap ? i / area * pitch + i % area : place(i, c, area, from)]);
    dense_call_free(call);
    dense_free(d);
    release(in, nin);
    release(out, nout);
    release(scratch, info.scratch);
}

static void test_relayout(void **unused) {
    (void)unused;
    static const int sizes[][4] = {{1, 32, 5, 7}, {2, 255, 13, 13}, {3, 3, 4, 4}, {1, 1, 1, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i) {
        size_t lanes[] = {1, 8, 16, (size_t)sizes[i][1]};
        for (size_t a = 0; a < 4; ++a)
            for (size_t b = 0; b < 4; ++b)
                if (lanes[a] != lanes[b])
                    check_relayout(sizes[i], lanes[a], 0, lanes[b], 1 + (int)(a + b) % 2);
        for (size_t b = 0; b < 4; ++b)
            check_relayout(sizes[i], 1, 13, lanes[b], 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_blas),        cmocka_unit_test(test_auto),
                                       cmocka_unit_test(test_direct),      cmocka_unit_test(test_winograd),
                                       cmocka_unit_test(test_relayout),    cmocka_unit_test(test_few_channels),
                                       cmocka_unit_test(test_own_winograd)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
