/* SPDX-License-Identifier: MIT
 *
 * The schedule: monotone, lands exactly, updates at the promised iterations only;
 * against the formula of the paper in long double.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <math.h>
#include <cmocka.h>

#include "dpf/core/schedule.h"

/* Odd begins, ends and holds, with begin = end, end = hold and gaps below p. */
static const size_t spans[][3] = {{0, 100, 100}, {0, 1, 1},     {0, 0, 0},      {7, 7, 7},      {7, 8, 9},
                                  {3, 101, 205}, {13, 49, 151}, {31, 331, 333}, {49, 50, 1000}, {1, 997, 999}};
enum { SPANS = sizeof spans / sizeof *spans };

static dpf_options make(size_t span, size_t p, dpf_schedule_kind kind, double initial) {
    return (dpf_options){.sparsity = 0.9,
                         .initial_sparsity = initial,
                         .update_every = p,
                         .schedule = kind,
                         .begin = spans[span][0],
                         .end = spans[span][1],
                         .hold = spans[span][2],
                         .feedback = 1};
}

static void check_run(const dpf_options *o) {
    double last_target = 0, at_last_update = -1;
    size_t last_update = 0;
    int updated = 0, landed = 0;
    for (size_t t = 0; t <= o->hold + 2 * o->update_every; t++) {
        double s = dpf_schedule_target(o, o->sparsity, t);
        assert_true(s >= last_target && s <= o->sparsity);
        last_target = s;
        int want = t >= o->begin && t <= o->hold && (t % o->update_every == 0 || t == o->end);
        assert_int_equal(dpf_schedule_is_update(o, t), want);
        if (want) {
            updated = 1;
            last_update = t;
            at_last_update = s;
            landed |= t == o->end;
        }
        size_t found = SIZE_MAX;
        assert_int_equal(dpf_schedule_last_update(o, t, &found), updated);
        assert_true(updated ? found == last_update : found == SIZE_MAX);
        assert_true(t >= o->begin || s == 0);
        assert_true(t < o->end || s == o->sparsity);
        if (t == o->begin && t < o->end && o->schedule != DPF_CONSTANT) {
            assert_true(s == o->initial_sparsity);
        }
    }
    assert_true(landed);
    assert_true(at_last_update == o->sparsity); /* exactly, no tolerance */
}

static void lands_for_any_p(void **state) {
    (void)state;
    for (size_t span = 0; span < SPANS; span++) {
        for (size_t p = 1; p <= 50; p++) {
            for (int kind = DPF_CUBIC; kind <= DPF_CONSTANT; kind++) {
                dpf_options o = make(span, p, (dpf_schedule_kind)kind, (double)(p % 3) * 0.123);
                check_run(&o);
            }
        }
    }
}

static void follows_the_formula(void **state) {
    (void)state;
    for (int kind = DPF_CUBIC; kind <= DPF_LINEAR; kind++) {
        dpf_options o = make(7, 16, (dpf_schedule_kind)kind, 0.2);
        for (size_t t = 31; t <= 331; t++) {
            long double left = 1 - (long double)(t - 31) / 300;
            long double u = kind == DPF_CUBIC ? left * left * left : left;
            long double want = (long double)0.9 + ((long double)0.2 - (long double)0.9) * u;
            /* a handful of roundings of numbers below one */
            assert_true(fabsl(want - (long double)dpf_schedule_target(&o, 0.9, t)) < 1e-15L);
        }
    }
    dpf_options o = make(0, 16, DPF_CUBIC, 0);
    assert_true(fabs(dpf_schedule_target(&o, 0.9, 50) - 0.7875) < 1e-15); /* 0.9 * (1 - 1/8) */
}

/* A layer's own target below initial_sparsity is a constant, not a falling ramp. */
static void own_targets(void **state) {
    (void)state;
    dpf_options o = make(0, 16, DPF_CUBIC, 0.5);
    for (size_t t = 0; t <= 100; t++) {
        assert_true(dpf_schedule_target(&o, 0.25, t) == 0.25);
        assert_true(dpf_schedule_target(&o, 0.0, t) == 0.0);
    }
    assert_true(dpf_schedule_target(&o, 0.75, 0) == 0.5);
    assert_true(dpf_schedule_target(&o, 0.75, 100) == 0.75);
}

/* Iteration numbers near the end of the type, as with training for ever. */
static void far_away(void **state) {
    (void)state;
    dpf_options o = make(0, 16, DPF_CUBIC, 0);
    o.hold = SIZE_MAX;
    size_t update = 0;
    assert_int_equal(dpf_schedule_is_update(&o, SIZE_MAX), SIZE_MAX % 16 == 0);
    assert_int_equal(dpf_schedule_last_update(&o, SIZE_MAX, &update), 1);
    assert_true(update == SIZE_MAX - 15);
    assert_true(dpf_schedule_target(&o, 0.9, SIZE_MAX) == 0.9);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lands_for_any_p),
        cmocka_unit_test(follows_the_formula),
        cmocka_unit_test(own_targets),
        cmocka_unit_test(far_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
