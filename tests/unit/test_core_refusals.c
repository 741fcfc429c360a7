/* SPDX-License-Identifier: MIT
 *
 * What the pruner refuses: weights that are no numbers, targets out of reach, saved
 * masks that do not fit, broken contracts; and that nothing has changed then.
 */
#include "core_world.h"

static void resume_refuses(void **state) {
    (void)state;
    static world w;
    uint64_t masks[TENSORS][WORDS], before[TENSORS][WORDS];
    const uint64_t *pointers[TENSORS] = {masks[0], masks[1], masks[2], masks[3]};
    make_world(&w, 0.9);
    dpf_pruner *p = make_pruner(&w);
    assert_int_equal(dpf_pruner_start(p, 64, &err), DPF_OK);
    dpf_pruner_stats good = stats_of(p);
    copy_masks(p, masks);
    copy_masks(p, before);
    uint64_t version = dpf_pruner_mask_version(p);
    for (int kind = 0; kind < 8; kind++) {
        dpf_pruner_stats stats = good;
        size_t t = 70;
        switch (kind) {
        case 0:
            stats.kept++;
            break;
        case 1:
            stats.count--;
            break;
        case 2:
            stats.target = 1;
            break;
        case 3:
            stats.target = NAN;
            break;
        case 4:
            t = 63; /* before the masks were chosen */
            break;
        case 5:
            masks[0][432 / 64] |= UINT64_C(1) << 60; /* past the last weight */
            break;
        case 6:
            masks[1][0] ^= 1;
            break;
        default:
            break;
        }
        dpf_status want = kind == 7 ? DPF_ERR_ARGUMENT : DPF_ERR_MISMATCH;
        assert_int_equal(dpf_pruner_restore(p, t, pointers, kind == 7 ? NULL : &stats, &err), want);
        dpf_pruner_stats now = stats_of(p);
        assert_memory_equal(&now, &good, sizeof now);
        assert_true(same_masks(p, before));
        assert_int_equal(dpf_pruner_mask_version(p), version);
        copy_masks(p, masks);
    }
    assert_int_equal(dpf_pruner_restore(p, 64, NULL, &good, &err), DPF_ERR_ARGUMENT);
    dpf_pruner_free(p);
}

static void bad_weights(void **state) {
    (void)state;
    static world w;
    uint64_t masks[TENSORS][WORDS];
    static const float bad[] = {(float)NAN, -(float)NAN, INFINITY, -INFINITY};
    static const size_t at[][2] = {{0, 0}, {1, 1999}, {2, 64}, {3, 333}};
    static const size_t times[] = {16, 17, 100, 160, 1001, 1002}; /* at, between and after the updates */
    for (int feedback = 0; feedback < 2; feedback++) {
        for (size_t k = 0; k < 4; k++) {
            make_world(&w, 0);
            w.options.feedback = feedback;
            dpf_pruner *p = make_pruner(&w);
            float *spot = &w.weights[at[k][0]][at[k][1]];
            float old = *spot;
            *spot = bad[k];
            assert_int_equal(dpf_pruner_start(p, 0, &err), DPF_ERR_NUMERIC);
            *spot = old;
            assert_int_equal(dpf_pruner_start(p, 0, &err), DPF_OK);
            for (size_t t = 0; t < 6; t++) {
                char want[100];
                snprintf(want, sizeof want, "layer %zu: weight %zu of %zu is %s", at[k][0], at[k][1], sizes[at[k][0]],
                         k < 2 ? "NaN" : "infinite");
                copy_masks(p, masks);
                uint64_t version = dpf_pruner_mask_version(p);
                *spot = bad[k];
                err = (dpf_error){0};
                assert_int_equal(dpf_pruner_advance(p, times[t], &err), DPF_ERR_NUMERIC);
                assert_int_equal(err.status, DPF_ERR_NUMERIC);
                assert_non_null(strstr(err.text, want));
                assert_true(same_masks(p, masks));
                assert_int_equal(dpf_pruner_mask_version(p), version);
                *spot = old;
                assert_int_equal(dpf_pruner_advance(p, times[t], &err), DPF_OK);
            }
            dpf_pruner_free(p);
        }
    }
    make_world(&w, 0.5); /* the largest finite number is no infinity */
    w.weights[2][3] = 3.402823466e38F;
    dpf_pruner *p = make_pruner(&w);
    assert_int_equal(dpf_pruner_start(p, 500, &err), DPF_OK);
    dpf_pruner_free(p);
}

static void expect_new(world *w, dpf_status want, const char *text) {
    dpf_pruner *p = (dpf_pruner *)w; /* anything but NULL: a failure has to clear it */
    err = (dpf_error){0};
    dpf_status status = dpf_pruner_new(&p, &w->options, w->tensors, TENSORS, &err);
    if (status != want || !strstr(err.text, text)) {
        print_error("status %d, \"%s\", wanted %d, \"%s\"\n", (int)status, err.text, (int)want, text);
        fail();
    }
    assert_int_equal(p == NULL, want != DPF_OK);
    dpf_pruner_free(p);
}

static void out_of_reach(void **state) {
    (void)state;
    static world w;
    make_world(&w, 0.9);
    w.options.min_density = 0.2;
    expect_new(&w, DPF_ERR_RANGE,
               "[dpf] sparsity=0.9 cannot be reached: it asks for 2877 of 3197 prunable weights, but "
               "min_density leaves at most 2557");
    w.options.min_density = 0.1; /* caps of 388, 1800, 58 and 630 fall one short */
    expect_new(&w, DPF_ERR_RANGE, "at most 2876");
    make_world(&w, 0.9);
    w.tensors[1].sparsity = 0.2;
    expect_new(&w, DPF_ERR_RANGE, "but the layers' own sparsity keys leave at most 1598");
    w.options.min_density = 0.01;
    expect_new(&w, DPF_ERR_RANGE, "but min_density and the layers' own sparsity keys leave");
    make_world(&w, 0.3);
    w.tensors[1].sparsity = 0.9;
    expect_new(&w, DPF_ERR_RANGE,
               "[dpf] sparsity=0.3 cannot be reached: it asks for 959 of 3197 prunable weights, but "
               "the layers' own sparsity keys alone prune");
    make_world(&w, 0.9);
    w.options.initial_sparsity = 0.9;
    w.tensors[1].sparsity = 0.9;
    w.tensors[0].sparsity = 0.99;
    expect_new(&w, DPF_OK, "");
    w.options.min_density = 0.05;
    expect_new(&w, DPF_ERR_RANGE, "layer 0: sparsity=0.99 cannot be reached: [dpf] min_density=0.05 lets at most");
    make_world(&w, 0.9);
    w.tensors[2].sparsity = 1;
    expect_new(&w, DPF_ERR_RANGE, "layer 2: sparsity=1: must be at least 0 and below 1");
    w.tensors[2].sparsity = NAN;
    expect_new(&w, DPF_ERR_RANGE, "layer 2: sparsity=");
    make_world(&w, 0.5);
    for (size_t i = 0; i < TENSORS; i++) {
        w.tensors[i].sparsity = 0.6;
    }
    expect_new(&w, DPF_ERR_RANGE, "cannot be reached");
}

static void broken_contracts(void **state) {
    (void)state;
    static world w;
    dpf_pruner *p;
    make_world(&w, 0.9);
    assert_int_equal(dpf_pruner_new(NULL, &w.options, w.tensors, TENSORS, &err), DPF_ERR_ARGUMENT);
    assert_int_equal(dpf_pruner_new(&p, NULL, w.tensors, TENSORS, &err), DPF_ERR_ARGUMENT);
    assert_null(p);
    assert_int_equal(dpf_pruner_new(&p, &w.options, NULL, TENSORS, &err), DPF_ERR_ARGUMENT);
    assert_int_equal(dpf_pruner_new(&p, &w.options, w.tensors, 0, &err), DPF_ERR_RANGE);
    assert_non_null(strstr(err.text, "no layer is prunable"));
    w.options.sparsity = 0;
    assert_int_equal(dpf_pruner_new(&p, &w.options, NULL, 0, &err), DPF_OK);
    assert_int_equal(dpf_pruner_start(p, 0, &err), DPF_OK);
    assert_int_equal(dpf_pruner_advance(p, 16, &err), DPF_OK);
    assert_int_equal(dpf_pruner_tensors(p), 0);
    assert_null(dpf_pruner_pruned(p, 0));
    assert_null(dpf_pruner_mask(p, 0));
    dpf_pruner_free(p);
    dpf_pruner_free(NULL);

    make_world(&w, 0.9);
    w.tensors[2].count = 0;
    expect_new(&w, DPF_ERR_ARGUMENT, "layer 2 has no weights");
    make_world(&w, 0.9);
    w.tensors[2].weights = NULL;
    expect_new(&w, DPF_ERR_ARGUMENT, "layer 2 has no weights");
    make_world(&w, 0.9);
    w.tensors[2].count = SIZE_MAX;
    expect_new(&w, DPF_ERR_ARGUMENT, "more weights");
    make_world(&w, 0);
    w.tensors[2].count = SIZE_MAX / 2;
    expect_new(&w, DPF_ERR_MEMORY, "pruned weights");
    make_world(&w, 0.9);
    w.options.update_every = 0;
    expect_new(&w, DPF_ERR_ARGUMENT, "dpf_options_finish");
    make_world(&w, 0.9);
    w.options.begin = 101;
    expect_new(&w, DPF_ERR_ARGUMENT, "dpf_options_finish");
    make_world(&w, 0.9);
    w.options.hold = 99;
    expect_new(&w, DPF_ERR_ARGUMENT, "dpf_options_finish");
    make_world(&w, 1);
    expect_new(&w, DPF_ERR_ARGUMENT, "dpf_options_finish");
    make_world(&w, NAN);
    expect_new(&w, DPF_ERR_ARGUMENT, "dpf_options_finish");

    make_world(&w, 0.9);
    p = make_pruner(&w);
    assert_int_equal(dpf_pruner_advance(p, 1, &err), DPF_ERR_ARGUMENT);
    assert_int_equal(dpf_pruner_tensors(p), TENSORS);
    assert_true(dpf_pruner_options(p)->sparsity == 0.9);
    dpf_pruner_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resume_refuses),
        cmocka_unit_test(bad_weights),
        cmocka_unit_test(out_of_reach),
        cmocka_unit_test(broken_contracts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
