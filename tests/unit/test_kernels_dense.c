/* SPDX-License-Identifier: MIT
 *
 * The convolutions that training runs on, both back ends, against a plain loop in
 * double precision, on plain tensors and on blocks of channels; the loops of plane.h for
 * every instruction set of this CPU against the same in double; and the normalisation of
 * blocks against that of plain tensors. Outputs stand between guard values.
 *
 * Tolerance: a sum of n products of values up to 1 in single precision is off by at
 * most n * 2^-24 of the sum of magnitudes; n is a few thousand here and errors partly
 * cancel, so 2e-5 of the largest result is allowed, and a little for results near 0.
 * Winograd's algorithm, with factors up to 8 in its transforms, stays within that too.
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

#include "conv_oracle.h"
#include "dpf/kernels/blocknorm.h"
#include "dpf/kernels/conv_plan.h"
#include "dpf/kernels/cpu.h"
#include "dpf/kernels/plane.h"

static void check_conv(const dpf_conv_shape *s, int threads, dpf_conv_backend backend) {
    size_t nx = (size_t)s->batch * (size_t)(s->c * s->h * s->w);
    size_t ny = (size_t)s->batch * (size_t)(s->n * dpf_conv_out_h(s) * dpf_conv_out_w(s));
    size_t nw = (size_t)s->n * (size_t)(s->c / s->groups * s->size * s->size);
    float *x = guarded(nx), *w = guarded(nw), *y = guarded(ny), *dy = guarded(ny), *dw = guarded(nw), *dx = guarded(nx);
    double *y1 = doubles(NULL, ny), *dw1 = doubles(dw, nw), *dx1 = doubles(dx, nx); /* dw and dx accumulate */
    dpf_conv *conv;
    dpf_error err;
    if (dpf_conv_new(&conv, s, threads, backend, &err) != DPF_OK)
        fail_msg("%s", err.text);
    oracle(s, x, w, dy, y1, dw1, dx1);
    dpf_conv_forward(conv, x, w, y);
    close_to("y", s, y, y1, ny);
    dpf_conv_backward(conv, x, w, dy, dw, dx);
    close_to("dw", s, dw, dw1, nw);
    close_to("dx", s, dx, dx1, nx);
    dpf_conv_backward(conv, x, w, dy, dw, NULL); /* the first layer: no gradient of the input */
    close_to("dx, not asked for", s, dx, dx1, nx);
    dpf_conv_free(conv);
    release(x, nx);
    release(w, nw);
    release(y, ny);
    release(dy, ny);
    release(dw, nw);
    release(dx, nx);
    free(y1);
    free(dw1);
    free(dx1);
}

static void check_backend(dpf_conv_backend backend) {
    static const struct {
        int c, n, groups;
    } channels[] = {{1, 1, 1}, {3, 16, 1}, {16, 32, 1}, {17, 5, 1}, {8, 12, 4}, {7, 7, 7}, {16, 16, 16}};
    static const int sizes[] = {1, 2, 3, 5, 7}, sides[] = {1, 2, 7, 13, 16};
    int turn = 0;
    for (size_t g = 0; g < sizeof channels / sizeof *channels; ++g)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; ++k)
            for (int stride = 1; stride <= 3; ++stride) {
                int size = sizes[k], pad = turn % (size / 2 + 2), h = sides[turn % 5], w = sides[(turn / 2) % 5];
                if (h + 2 * pad < size || w + 2 * pad < size)
                    h = w = size + turn % 4;
                dpf_conv_shape s = {1 + turn % 5, channels[g].c,     h, w, channels[g].n, size, stride,
                                    pad,          channels[g].groups};
                check_conv(&s, 1 + turn % 3, backend);
                ++turn;
            }
}

static void test_conv_dnnl(void **state) {
    (void)state;
#ifdef DPF_NO_DNNL
    skip();
#else
    check_backend(DPF_CONV_DNNL);
#endif
}

static void test_conv_blas(void **state) {
    (void)state;
    check_backend(DPF_CONV_BLAS);
}

/* --- blocks of 16 channels ---------------------------------------------------------- */

static void check_blocked(const dpf_conv_shape *s, int blocks, int threads) {
    int x_blocked = blocks & DPF_BLOCK_X, y_blocked = blocks & DPF_BLOCK_Y;
    size_t in = (size_t)s->h * (size_t)s->w, out = (size_t)dpf_conv_out_h(s) * (size_t)dpf_conv_out_w(s);
    size_t batch = (size_t)s->batch, cx = batch * (size_t)s->c, cy = batch * (size_t)s->n, nx = cx * in, ny = cy * out;
    size_t nw = (size_t)s->n * (size_t)(s->c / s->groups * s->size * s->size);
    float *x = guarded(nx), *w = guarded(nw), *y = guarded(ny), *dy = guarded(ny), *dw = guarded(nw), *dx = guarded(nx);
    float *bx = guarded(nx), *by = guarded(ny), *bdy = guarded(ny), *bdx = guarded(nx);
    double *y1 = doubles(NULL, ny), *dw1 = doubles(dw, nw), *dx1 = doubles(NULL, nx);
    chunk_check check = {.dy = bdy, .y = by, .y_floats = (size_t)s->n * out};
    const dpf_chunk_hook after = {see_chunk, &check}, before = {make_chunk, &check};
    dpf_conv *conv;
    dpf_error err;
    if (dpf_conv_new_blocked(&conv, s, blocks, threads, &err) != DPF_OK)
        fail_msg("%s", err.text);
    oracle(s, x, w, dy, y1, dw1, dx1);
    to_blocks(x, bx, cx, in, x_blocked, 0);
    to_blocks(dy, bdy, cy, out, y_blocked, 0);
    dpf_conv_forward_hooked(conv, bx, w, by, y_blocked ? &after : NULL);
    to_blocks(by, y, cy, out, y_blocked, 1);
    close_to("y", s, y, y1, ny);
    if (y_blocked)
        expect_seen(&check, s->batch);
    dpf_conv_gradients gradients = {bx, w, y_blocked ? NULL : bdy, y_blocked ? &before : NULL, NULL, dw, bdx, 1};
    dpf_conv_backward_hooked(conv, &gradients);
    close_to("dw", s, dw, dw1, nw);
    to_blocks(bdx, dx, cx, in, x_blocked, 1);
    close_to("dx, set", s, dx, dx1, nx);
    if (y_blocked)
        expect_seen(&check, s->batch);
    gradients = (dpf_conv_gradients){.x = bx, .w = w, .dy = bdy, .dw = dw, .dx = bdx};
    dpf_conv_backward_hooked(conv, &gradients);
    to_blocks(bdx, dx, cx, in, x_blocked, 1);
    for (size_t i = 0; i < nx; ++i)
        dx1[i] *= 2;
    close_to("dx, added", s, dx, dx1, nx);
    dpf_conv_free(conv);
    float *const arrays[] = {x, bx, dx, bdx, y, by, dy, bdy, w, dw};
    const size_t sizes[] = {nx, nx, nx, nx, ny, ny, ny, ny, nw, nw};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i)
        release(arrays[i], sizes[i]);
    free(y1);
    free(dw1);
    free(dx1);
}

static void test_conv_blocked(void **state) {
    (void)state;
    if (!dpf_conv_can_block())
        skip();
    static const struct {
        int c, n, groups, blocks;
    } kinds[] = {{3, 16, 1, DPF_BLOCK_Y},
                 {16, 16, 1, DPF_BLOCK_X | DPF_BLOCK_Y},
                 {48, 32, 1, DPF_BLOCK_X | DPF_BLOCK_Y},
                 {16, 16, 1, DPF_BLOCK_Y},
                 {32, 5, 1, DPF_BLOCK_X},
                 {32, 16, 1, DPF_BLOCK_X},
                 {32, 16, 2, DPF_BLOCK_X | DPF_BLOCK_Y},
                 {64, 32, 2, DPF_BLOCK_X | DPF_BLOCK_Y},
                 {16, 16, 16, DPF_BLOCK_X | DPF_BLOCK_Y}};
    static const int sizes[] = {1, 3, 5}, sides[] = {1, 4, 9, 13}, batches[] = {1, 2, 6, 8};
    int turn = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; ++k)
        for (size_t z = 0; z < sizeof sizes / sizeof *sizes; ++z)
            for (int stride = 1; stride <= 2; ++stride, ++turn) {
                dpf_conv_shape s = {
                    batches[turn % 4], kinds[k].c, sides[turn % 3 + 1], sides[turn / 2 % 3 + 1], kinds[k].n,
                    sizes[z],          stride,     sizes[z] / 2,        kinds[k].groups};
                check_blocked(&s, kinds[k].blocks, 1 + turn % 3);
            }
}

/* Shapes that Winograd's algorithm takes: whole tiles, tiles over the edge, few channels and
 * more, one worker and two, all threads in one primitive. */
static void test_conv_winograd(void **state) {
    (void)state;
    if (!dpf_conv_can_block())
        skip();
    static const struct {
        dpf_conv_shape s;
        int threads;
    } cases[] = {{{16, 16, 12, 12, 16, 3, 1, 1, 1}, 2},
                 {{9, 32, 13, 20, 16, 3, 1, 1, 1}, 1},
                 {{6, 16, 16, 15, 48, 3, 1, 1, 1}, 3},
                 {{8, 64, 16, 16, 64, 3, 1, 1, 1}, 2},
                 {{1, 16, 31, 32, 32, 3, 1, 1, 1}, 2}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        assert_int_equal(dpf_conv_plan(&cases[i].s, cases[i].threads, 1).winograd, 1);
        check_conv(&cases[i].s, cases[i].threads, DPF_CONV_DNNL);
        check_blocked(&cases[i].s, DPF_BLOCK_X | DPF_BLOCK_Y, cases[i].threads);
    }
}

/* The same numbers through dpf_norm on plain tensors and dpf_block_norm on blocks. */
static void check_block_norm(int batch, size_t channels, size_t hw, dpf_activation f, int scaled) {
    size_t planes = (size_t)batch * channels, n = planes * hw;
    float *x = guarded(n), *y = guarded(n), *delta = guarded(n), *bx = guarded(n), *by = guarded(n), *bd = guarded(n);
    float *work = guarded(dpf_block_norm_work((size_t)batch, channels)), *out = guarded(n), *back = guarded(n);
    float *parts[2][8]; /* scales, biases, mean, variance, their running values, gradients */
    for (int k = 0; k < 8; ++k) {
        parts[0][k] = guarded(channels);
        parts[1][k] = guarded(channels);
        for (size_t c = 0; c < channels && (k == 3 || k == 5); ++c)
            parts[0][k][c] = fabsf(parts[0][k][c]) + 0.5f; /* variances */
        memcpy(parts[1][k], parts[0][k], channels * sizeof(float));
    }
    dpf_norm norms[2];
    for (int k = 0; k < 2; ++k)
        norms[k] =
            (dpf_norm){(size_t)batch, channels,    hw,          2,           f,           scaled ? parts[k][0] : NULL,
                       parts[k][1],   parts[k][2], parts[k][3], parts[k][4], parts[k][5], parts[k][6],
                       parts[k][7]};
    dpf_block_norm block = {norms[1], work, bx, by, bd, 0};
    to_blocks(x, bx, planes, hw, 1, 0);
    to_blocks(delta, bd, planes, hw, 1, 0);
    if (scaled) {
        dpf_norm_forward_train(&norms[0], x, y);
        for (int p = batch - 1; p >= 0; --p)
            dpf_block_norm_statistics(&block, p, 1, 1 + p % 2, bx + (size_t)p * channels * hw);
        dpf_block_norm_forward_train(&block, by);
    } else {
        dpf_norm_forward(&norms[0], x, y);
        memcpy(by, bx, n * sizeof *by);
        dpf_block_norm_prepare(&block);
        dpf_block_norm_apply(&block, batch, 2, by);
    }
    to_blocks(by, back, planes, hw, 1, 1);
    for (size_t i = 0; i < n; ++i)
        assert_true(fabsf(back[i] - y[i]) <= 1e-4f * (1 + fabsf(y[i])));
    to_blocks(y, by, planes, hw, 1, 0); /* the same side of every kink */
    dpf_norm_backward(&norms[0], x, y, delta);
    dpf_block_norm_backward(&block, bd);
    dpf_block_norm_gradient(&block, 0, 1, 1, out);
    dpf_block_norm_gradient(&block, 1, batch - 1, 2, out + channels * hw);
    to_blocks(out, back, planes, hw, 1, 1);
    for (size_t i = 0; i < n; ++i)
        assert_true(fabsf(back[i] - delta[i]) <= 1e-4f * (1 + fabsf(delta[i])));
    for (int k = 0; k < 8; ++k) {
        for (size_t c = 0; c < channels; ++c)
            assert_true(fabsf(parts[0][k][c] - parts[1][k][c]) <= 2e-4f * (1 + fabsf(parts[0][k][c])));
        release(parts[0][k], channels);
        release(parts[1][k], channels);
    }
    float *const arrays[] = {x, y, delta, bx, by, bd, out, back};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; ++i)
        release(arrays[i], n);
    release(work, dpf_block_norm_work((size_t)batch, channels));
}

static void test_block_norm(void **state) {
    (void)state;
    static const size_t pixels[] = {1, 3, 4, 63, 130};
    for (size_t k = 0; k < 5; ++k)
        for (int scaled = 0; scaled <= 1; ++scaled) {
            check_block_norm(2 + (int)k, 16, pixels[k], DPF_RELU, scaled);
            check_block_norm(3, 48, pixels[k], DPF_LEAKY, scaled);
            check_block_norm(4, 32, pixels[k], k % 2 ? DPF_TANH : DPF_LINEAR_ACT, scaled);
        }
}

static void test_conv_refusals(void **state) {
    (void)state;
    dpf_conv *conv = NULL;
    dpf_error err;
    dpf_conv_shape groups = {1, 6, 8, 8, 8, 3, 1, 1, 4}, large = {1, 3, 4, 4, 8, 7, 1, 1, 1};
    assert_int_equal(dpf_conv_new(&conv, &groups, 1, DPF_CONV_AUTO, &err), DPF_ERR_RANGE);
    assert_null(conv);
    assert_non_null(strstr(err.text, "groups=4"));
    assert_int_equal(dpf_conv_new(&conv, &large, 1, DPF_CONV_AUTO, &err), DPF_ERR_RANGE);
    assert_non_null(strstr(err.text, "7x7"));
    if (!dpf_conv_can_block())
        return;
    dpf_conv_shape eight = {1, 8, 4, 4, 16, 3, 1, 1, 1};
    assert_int_equal(dpf_conv_new_blocked(&conv, &eight, DPF_BLOCK_X, 1, &err), DPF_ERR_RANGE);
    assert_null(conv);
}

static void test_same_bits_again(void **state) {
    (void)state;
    dpf_conv_shape s = {12, 16, 9, 9, 24, 3, 1, 1, 1};
    size_t nx = 12 * 16 * 81, ny = 12 * 24 * 81, nw = 24 * 16 * 9;
    float *x = guarded(nx), *w = guarded(nw), *dy = guarded(ny), *a = calloc(nw, sizeof *a), *b = calloc(nw, sizeof *b);
    for (int turn = 0; turn < 2; ++turn) {
        dpf_conv *conv;
        dpf_error err;
        assert_int_equal(dpf_conv_new(&conv, &s, 2, DPF_CONV_AUTO, &err), DPF_OK);
        dpf_conv_backward(conv, x, w, dy, turn ? b : a, NULL);
        dpf_conv_free(conv);
    }
    assert_memory_equal(a, b, nw * sizeof *a);
    release(x, nx);
    release(w, nw);
    release(dy, ny);
    free(a);
    free(b);
}

/* --- the loops of plane.h ---------------------------------------------------------- */

static void near(float got, double want, double magnitude) {
    if (!(fabs((double)got - want) <= 1e-5 * magnitude + 1e-6))
        fail_msg("%g, should be %g", (double)got, want);
}

static void check_plane(const plane_ops *ops, size_t n, dpf_activation f) {
    float *x = guarded(n), *y = guarded(n), *z = guarded(n), *d = guarded(n), *copy = guarded(n), sums[2];
    double sum = 0, squares = 0, s0 = 0, s1 = 0;
    for (size_t i = 0; i < n; ++i) {
        sum += (double)x[i];
        squares += ((double)x[i] - 0.25) * ((double)x[i] - 0.25);
    }
    near(ops->sum(x, n), sum, (double)n);
    near(ops->squares(x, n, 0.25f), squares, (double)n);
    ops->affine(x, y, n, 1.5f, -0.125f, f);
    for (size_t i = 0; i < n; ++i)
        near(y[i], (double)dpf_activate(1.5f * x[i] - 0.125f, f), f == DPF_STAIR ? 1e6 : 1); /* stair jumps */
    memcpy(copy, d, n * sizeof *d);
    ops->gradient(d, y, x, n, 0.25f, f, sums);
    for (size_t i = 0; i < n; ++i) {
        near(d[i], (double)copy[i] * (double)dpf_activation_gradient(y[i], f), 1);
        s0 += (double)d[i];
        s1 += (double)d[i] * ((double)x[i] - 0.25);
    }
    near(sums[0], s0, (double)n);
    near(sums[1], s1, (double)n);
    memcpy(copy, d, n * sizeof *d);
    ops->normalise_gradient(d, x, n, 0.25f, 0.5f, -2.0f, 0.75f);
    for (size_t i = 0; i < n; ++i)
        near(d[i], 0.5 * (double)copy[i] - 2.0 * ((double)x[i] - 0.25) + 0.75, 4);
    ops->add(x, d, z, n, 0.5f, 2.0f, DPF_LINEAR_ACT);
    for (size_t i = 0; i < n; ++i)
        near(z[i], 0.5 * (double)x[i] + 2.0 * (double)d[i], 8);
    memcpy(copy, z, n * sizeof *z);
    ops->accumulate(x, z, n, -3.0f);
    for (size_t i = 0; i < n; ++i)
        near(z[i], (double)copy[i] - 3.0 * (double)x[i], 8);
    release(x, n);
    release(y, n);
    release(z, n);
    release(d, n);
    release(copy, n);
}

/* A row of max-pooling in blocks against the windows one by one. */
static void check_block_max(const plane_ops *ops, int h, int w, int size, int stride, int offset) {
    int out_w = (w + stride - 1) / stride;
    float *in = guarded((size_t)(h * w) * 16), *out = guarded((size_t)out_w * 16);
    int *where = calloc((size_t)out_w * 16, sizeof *where);
    for (int y0 = offset; y0 < h; y0 += stride) {
        const int top = y0 < 0 ? 0 : y0, bottom = y0 + size < h ? y0 + size : h;
        float *pooled = guarded((size_t)out_w * 16);
        ops->block_max(in, h, w, offset, y0, size, stride, out_w, out, where);
        ops->block_pool(in, w, top, bottom, offset, size, stride, out_w, pooled);
        for (int j = 0; j < out_w * 16; ++j)
            assert_true(where[j] < 0 || pooled[j] == out[j]);
        release(pooled, (size_t)out_w * 16);
        for (int j = 0; j < out_w * 16; ++j) {
            float max = -INFINITY;
            int at = -1;
            for (int y = y0; y < y0 + size; ++y)
                for (int x = j / 16 * stride + offset; x < j / 16 * stride + offset + size; ++x)
                    if (y >= 0 && y < h && x >= 0 && x < w && in[(y * w + x) * 16 + j % 16] > max) {
                        at = y * w + x;
                        max = in[at * 16 + j % 16];
                    }
            assert_int_equal(where[j], at);
            assert_true(at < 0 || out[j] == max);
        }
    }
    release(in, (size_t)(h * w) * 16);
    release(out, (size_t)out_w * 16);
    free(where);
}

static void check_planes(const plane_ops *ops) {
    check_block_max(ops, 5, 7, 2, 2, 0);
    check_block_max(ops, 4, 4, 3, 1, -1);
    check_block_max(ops, 6, 5, 1, 3, 0);
    check_block_max(ops, 3, 3, 2, 2, -2);
    for (size_t n = 0; n < 70; ++n)
        check_plane(ops, n, (dpf_activation)(n % DPF_STOCK_ACTIVATIONS));
    for (int f = 0; f < DPF_ACTIVATIONS; ++f)
        check_plane(ops, 1021, (dpf_activation)f);
}

static void test_planes(void **state) {
    (void)state;
    check_planes(&dpf_plane_ops_c);
#if defined(__x86_64__)
    if (dpf_cpu_isa() >= DPF_ISA_AVX2)
        check_planes(&dpf_plane_ops_avx2);
    if (dpf_cpu_isa() >= DPF_ISA_AVX512)
        check_planes(&dpf_plane_ops_avx512);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv_dnnl),       cmocka_unit_test(test_conv_blas),  cmocka_unit_test(test_conv_refusals),
        cmocka_unit_test(test_same_bits_again), cmocka_unit_test(test_planes),     cmocka_unit_test(test_conv_blocked),
        cmocka_unit_test(test_conv_winograd),   cmocka_unit_test(test_block_norm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
