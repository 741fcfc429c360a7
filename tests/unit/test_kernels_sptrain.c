/* SPDX-License-Identifier: MIT
 *
 * The sparse convolution of training against a plain loop in double precision: tensors
 * plain, in blocks and in lanes of pictures, strides, sizes, pads, pictures in lanes and
 * strips of pictures in lanes, masks from empty to full, new masks and new values on the
 * same kernels; and the dense gradient of the weights. Outputs
 * stand between guard values; scratch starts as NaN, so that what is read before it was
 * written shows. Tolerance: as in test_kernels_dense.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "conv_oracle.h"
#include "dpf/core/mask.h"
#include "dpf/kernels/cpu.h"
#include "dpf/kernels/sptrain.h"

enum { BOTH = SPTRAIN_FORWARD | SPTRAIN_BACKWARD };

/* The arrays of one shape. b..: as the kernels have them. */
typedef struct world {
    dpf_conv_shape s;
    int blocks, unit, threads, lanes;
    size_t nx, ny, nw, in, out;
    float *x, *bx, *dy, *bdy, *w;
    uint64_t *mask;
    sptrain *sp;
    float *scratch;
} world;

/* Pictures x maps x hw plain to or from 16 pictures in lanes. */
static void to_lanes(const float *from, float *to, size_t batch, size_t maps, size_t hw, int back) {
    for (size_t b = 0; b < batch; ++b)
        for (size_t i = 0; i < maps * hw; ++i) {
            size_t plain = b * maps * hw + i, lane = (b / 16 * maps * hw + i) * 16 + b % 16;
            to[back ? plain : lane] = from[back ? lane : plain];
        }
}

/* x or dx (DPF_BLOCK_X) or y or dy from plain order to that of the kernels, or back. */
static void convert(const world *m, int which, const float *from, float *to, int back) {
    size_t n = which == DPF_BLOCK_X ? m->nx : m->ny, hw = which == DPF_BLOCK_X ? m->in : m->out;
    size_t batch = (size_t)m->s.batch;
    if (m->lanes & which)
        to_lanes(from, to, batch, n / batch / hw, hw, back);
    else
        to_blocks(from, to, n / hw, hw, m->blocks & which, back);
}

static void open_world(world *m, const dpf_conv_shape *s, int blocks, int unit, int threads) {
    dpf_error err;
    *m = (world){.s = *s, .blocks = blocks, .unit = unit, .threads = threads};
    m->in = (size_t)s->h * (size_t)s->w;
    m->out = (size_t)dpf_conv_out_h(s) * (size_t)dpf_conv_out_w(s);
    m->nx = (size_t)(s->batch * s->c) * m->in;
    m->ny = (size_t)(s->batch * s->n) * m->out;
    m->nw = (size_t)s->n * (size_t)s->c * (size_t)s->size * (size_t)s->size;
    m->x = guarded(m->nx);
    m->bx = guarded(m->nx);
    m->dy = guarded(m->ny);
    m->bdy = guarded(m->ny);
    m->w = guarded(m->nw);
    m->mask = calloc(dpf_mask_words(m->nw), sizeof *m->mask);
    convert(m, DPF_BLOCK_X, m->x, m->bx, 0);
    convert(m, DPF_BLOCK_Y, m->dy, m->bdy, 0);
    if (sptrain_new(&m->sp, s, blocks, unit, threads, &err) != DPF_OK)
        fail_msg("%s", err.text);
    size_t bytes = sptrain_scratch(m->sp) * (size_t)threads * sizeof(float);
    m->scratch = aligned_alloc(64, bytes);
    assert_non_null(m->scratch);
    memset(m->scratch, 0xff, bytes);
}

static void close_world(world *m) {
    sptrain_free(m->sp);
    release(m->x, m->nx);
    release(m->bx, m->nx);
    release(m->dy, m->ny);
    release(m->bdy, m->ny);
    release(m->w, m->nw);
    free(m->mask);
    free(m->scratch);
}

/* Keeps about `kept` of 1000 weights, and none of filter 0 and of channel 1. */
static void choose_mask(world *m, int kept) {
    dpf_error err;
    size_t filter = m->nw / (size_t)m->s.n, taps = (size_t)m->s.size * (size_t)m->s.size;
    memset(m->mask, 0, dpf_mask_words(m->nw) * sizeof *m->mask);
    for (size_t j = 0; j < m->nw; ++j)
        if (kept == 1000 || (rand() % 1000 < kept && j >= filter && j / taps % (size_t)m->s.c != 1))
            m->mask[j / 64] |= UINT64_C(1) << (j % 64);
    assert_int_equal(sptrain_set_mask(m->sp, m->mask, BOTH, &err), DPF_OK);
}

/* The whole backward pass: dw added to what is there, dx overwritten, added to (twice_dx is right then), or left
 * out; dy given or made. */
static void check_gradients(world *m, const double *twice_dx, double *dw1) {
    const dpf_conv_shape *s = &m->s;
    float *dx = guarded(m->nx), *bdx = guarded(m->nx), *dw = guarded(m->nw), *twice_dw = guarded(m->nw);
    chunk_check check = {.dy = m->bdy, .y_floats = m->ny / (size_t)s->batch};
    const dpf_chunk_hook before = {make_chunk, &check};
    memset(dw, 0, m->nw * sizeof *dw);
    for (int set = 1; set >= 0; --set) {
        dpf_conv_gradients g = {.x = m->bx, .dy = m->bdy, .dw = dw, .dx = bdx, .set_dx = set};
        if (set)
            g.before = &before;
        sptrain_gradients(m->sp, &g, m->scratch);
        if (set)
            expect_seen(&check, s->batch);
        for (size_t i = 0; i < m->nw; ++i)
            dw1[i] *= 2 - set;
        close_to(set ? "dw" : "dw, added", s, dw, dw1, m->nw);
    }
    convert(m, DPF_BLOCK_X, bdx, dx, 1);
    close_to("dx of the whole pass", s, dx, twice_dx, m->nx);
    memset(twice_dw, 0, m->nw * sizeof *twice_dw);
    for (int i = 0; i < 2; ++i)
        sptrain_gradients(m->sp, &(dpf_conv_gradients){.x = m->bx, .dy = m->bdy, .dw = twice_dw}, m->scratch);
    assert_memory_equal(dw, twice_dw, m->nw * sizeof *dw);
    release(dx, m->nx);
    release(bdx, m->nx);
    release(dw, m->nw);
    release(twice_dw, m->nw);
}

static void check_results(world *m) {
    const dpf_conv_shape *s = &m->s;
    float *pruned = guarded(m->nw), *y = guarded(m->ny), *by = guarded(m->ny), *dx = guarded(m->nx),
          *bdx = guarded(m->nx);
    double *y1 = doubles(NULL, m->ny), *dw1 = doubles(NULL, m->nw), *dx1 = doubles(NULL, m->nx);
    chunk_check check = {.y = by, .y_floats = m->ny / (size_t)s->batch};
    const dpf_chunk_hook after = {see_chunk, &check};
    dpf_mask_apply(pruned, m->w, m->mask, m->nw);
    oracle(s, m->x, pruned, m->dy, y1, dw1, dx1);
    sptrain_set_values(m->sp, m->w);
    sptrain_forward(m->sp, m->bx, by, m->scratch, &after);
    expect_seen(&check, s->batch);
    convert(m, DPF_BLOCK_Y, by, y, 1);
    close_to("y", s, y, y1, m->ny);
    size_t x_unit = m->nx / (size_t)s->batch * (size_t)m->unit, y_unit = m->ny / (size_t)s->batch * (size_t)m->unit;
    for (int set = 1; set >= 0; --set) { /* first overwritten, then added to: twice the gradient */
        if (set)
            sptrain_backward(m->sp, s->batch, m->bdy, bdx, 1, m->scratch);
        for (size_t u = 0; !set && u < (size_t)(s->batch / m->unit); ++u)
            sptrain_backward(m->sp, m->unit, m->bdy + u * y_unit, bdx + u * x_unit, 0, m->scratch);
        convert(m, DPF_BLOCK_X, bdx, dx, 1);
        for (size_t i = 0; !set && i < m->nx; ++i)
            dx1[i] *= 2;
        close_to(set ? "dx, set" : "dx, added", s, dx, dx1, m->nx);
    }
    if (sptrain_can_lanes(m->sp))
        check_gradients(m, dx1, dw1);
    release(pruned, m->nw);
    release(y, m->ny);
    release(by, m->ny);
    release(dx, m->nx);
    release(bdx, m->nx);
    free(y1);
    free(dw1);
    free(dx1);
}

static void check_shape(const dpf_conv_shape *s, int blocks, int unit, int threads) {
    static const int kept[] = {100, 1000, 0, 20};
    static int turn;
    world m;
    open_world(&m, s, blocks, unit, threads);
    ++turn;
    for (int i = 0; i < 2; ++i) { /* two masks, one after another */
        choose_mask(&m, kept[(turn + i) % 4]);
        check_results(&m);
        m.w[m.nw / 2] += 1; /* new values, same mask */
        if (i == 0)
            check_results(&m);
        if (sptrain_can_lanes(m.sp)) {
            m.lanes = turn % 4;
            sptrain_set_lanes(m.sp, m.lanes);
            convert(&m, DPF_BLOCK_X, m.x, m.bx, 0);
            convert(&m, DPF_BLOCK_Y, m.dy, m.bdy, 0);
        }
    }
    close_world(&m);
}

static void need_kernels(void) {
    if (dpf_cpu_isa() < DPF_ISA_AVX512)
        skip();
}

static void test_shapes(void **state) {
    (void)state;
    need_kernels();
    static const struct {
        int c, n, blocks;
    } channels[] = {{2, 3, 0}, {16, 16, 3}, {32, 16, 3}, {16, 17, 1}, {5, 32, 2}};
    static const int sizes[] = {1, 2, 3, 5, 7}, sides[] = {1, 2, 9, 13, 17, 5};
    int turn = 0;
    for (size_t g = 0; g < sizeof channels / sizeof *channels; ++g)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; ++k)
            for (int stride = 1; stride <= 3; ++stride, ++turn) {
                int size = sizes[k], pad = turn % (size / 2 + 2), h = sides[turn % 6], w = sides[(turn / 2) % 6];
                int unit = 1 << turn % 5;
                if (h + 2 * pad < size || w + 2 * pad < size)
                    h = w = size + turn % 4;
                dpf_conv_shape s = {unit * (1 + turn % 2), channels[g].c, h, w, channels[g].n, size, stride, pad, 1};
                check_shape(&s, channels[g].blocks, unit, 1 + turn % 3);
            }
}

/* Pictures in lanes: for the gradient of the weights by Winograd's algorithm and by definition. */
static void test_lanes(void **state) {
    (void)state;
    need_kernels();
    static const int shapes[][6] = {/* c, n, side, size, stride, pad */
                                    {16, 16, 14, 3, 1, 1}, {32, 16, 9, 3, 1, 1}, {16, 48, 8, 3, 1, 1},
                                    {4, 12, 11, 3, 1, 0},  {8, 4, 10, 3, 1, 2},  {3, 16, 12, 3, 1, 1},
                                    {16, 32, 10, 3, 2, 1}, {7, 5, 9, 5, 2, 2},   {32, 16, 7, 1, 1, 0}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i)
        for (int turn = 0; turn < 4; ++turn) { /* every combination of lanes */
            const int *a = shapes[i];
            const dpf_conv_shape s = {turn == 1 ? 48 : 16, a[0], a[2], a[2] + turn, a[1], a[3], a[4], a[5], 1};
            int blocks = (s.c % 16 ? 0 : DPF_BLOCK_X) + (s.n % 16 ? 0 : DPF_BLOCK_Y);
            check_shape(&s, turn == 3 ? 0 : blocks, 16, 1 + turn % 3);
        }
}

/* Many bands a strip; more blocks of channels than one. */
static void test_bands(void **state) {
    (void)state;
    need_kernels();
    check_shape(&(dpf_conv_shape){1, 32, 40, 70, 16, 3, 1, 1, 1}, 3, 1, 1);
    check_shape(&(dpf_conv_shape){1, 32, 40, 65, 16, 3, 2, 1, 1}, 3, 1, 1);
    check_shape(&(dpf_conv_shape){1, 160, 30, 40, 16, 1, 1, 0, 1}, 3, 1, 1);
}

/* The same bits whatever the number of threads and the units of a call. */
static void test_repeats(void **state) {
    (void)state;
    need_kernels();
    const dpf_conv_shape s = {8, 16, 12, 12, 32, 3, 1, 1, 1};
    float *results[2][2] = {{NULL}};
    world m;
    for (int threads = 1; threads <= 2; ++threads) {
        srand(1);
        open_world(&m, &s, 3, 4, threads);
        choose_mask(&m, 200);
        sptrain_set_values(m.sp, m.w);
        float *y = calloc(m.ny, sizeof *y), *dx = calloc(m.nx, sizeof *dx);
        assert_true(y && dx);
        sptrain_forward(m.sp, m.bx, y, m.scratch, NULL);
        sptrain_backward(m.sp, threads == 1 ? 8 : 4, m.bdy, dx, 1, m.scratch);
        if (threads == 2)
            sptrain_backward(m.sp, 4, m.bdy + m.ny / 2, dx + m.nx / 2, 1, m.scratch);
        results[threads - 1][0] = y;
        results[threads - 1][1] = dx;
        if (threads == 1)
            close_world(&m);
    }
    assert_memory_equal(results[0][0], results[1][0], m.ny * sizeof(float));
    assert_memory_equal(results[0][1], results[1][1], m.nx * sizeof(float));
    close_world(&m);
    for (int i = 0; i < 4; ++i)
        free(results[i / 2][i % 2]);
}

static void test_unit(void **state) {
    (void)state;
    need_kernels();
    const dpf_conv_shape s = {128, 16, 32, 32, 16, 3, 1, 1, 1};
    dpf_conv_shape t = s;
    assert_int_equal(sptrain_unit(&s, 4, 2), 16);
    assert_int_equal(sptrain_unit(&s, 64, 2), 16);
    assert_int_equal(sptrain_unit(&s, 128, 2), 0); /* a thread would be idle */
    t.groups = 2;
    assert_int_equal(sptrain_unit(&t, 4, 2), 0);
    t = s;
    t.batch = 24;
    assert_int_equal(sptrain_unit(&t, 12, 2), 4); /* 8 and 12 are no multiples of one another */
    assert_int_equal(sptrain_unit(&t, 3, 2), 1);
    t.batch = 16;
    assert_int_equal(sptrain_unit(&t, 4, 2), 8); /* a unit for each thread */
    t.batch = 1;
    assert_int_equal(sptrain_unit(&t, 1, 2), 0);
}

/* The choice follows from shape and mask: dense when full, sparse when thin. */
static void test_choice(void **state) {
    (void)state;
    need_kernels();
    const dpf_conv_shape s = {32, 64, 16, 16, 64, 3, 1, 1, 1};
    world m;
    open_world(&m, &s, 3, 16, 1);
    choose_mask(&m, 1000);
    assert_int_equal(sptrain_choose(m.sp, m.mask), 0);
    choose_mask(&m, 50);
    assert_int_equal(sptrain_choose(m.sp, m.mask), BOTH);
    close_world(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),  cmocka_unit_test(test_lanes), cmocka_unit_test(test_bands),
        cmocka_unit_test(test_repeats), cmocka_unit_test(test_unit),  cmocka_unit_test(test_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
