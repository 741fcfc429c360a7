/* SPDX-License-Identifier: MIT
 *
 * The pruner over time: when masks change and when not, feedback and its absence,
 * figures, starting and resuming.
 */
#include "core_world.h"

/* w~ = m * w to the bit, +0 where pruned. */
static void check_pruned_weights(const world *w, const dpf_pruner *p) {
    size_t wrong = 0;
    for (size_t i = 0; i < TENSORS; i++) {
        for (size_t j = 0; j < sizes[i]; j++) {
            uint32_t dense, pruned;
            memcpy(&dense, &w->weights[i][j], sizeof dense);
            memcpy(&pruned, &dpf_pruner_pruned(p, i)[j], sizeof pruned);
            wrong += pruned != (kept(p, i, j) ? dense : 0);
        }
    }
    assert_int_equal(wrong, 0);
}

/* Figures against a recount from the masks before and now. */
static void check_flips(const dpf_pruner *p, uint64_t before[TENSORS][WORDS]) {
    size_t flips = 0, revived = 0;
    for (size_t i = 0; i < TENSORS; i++) {
        dpf_tensor_stats s;
        size_t f = 0, r = 0;
        for (size_t j = 0; j < sizes[i]; j++) {
            int was = (int)(before[i][j / 64] >> (j % 64) & 1);
            f += was != kept(p, i, j);
            r += !was && kept(p, i, j);
        }
        dpf_pruner_get_tensor_stats(p, i, &s);
        assert_int_equal(s.flips, f);
        assert_int_equal(s.revived, r);
        flips += f;
        revived += r;
    }
    assert_int_equal(stats_of(p).flips, flips);
    assert_int_equal(stats_of(p).revived, revived);
}

static void mask_changes_only_at_updates(void **state) {
    (void)state;
    static world w, dense;
    uint64_t masks[TENSORS][WORDS];
    make_world(&w, 0.9);
    w.options.begin = 5;
    w.options.hold = 150;
    w.options.initial_sparsity = 0.3;
    dpf_pruner *p = make_pruner(&w);
    const float *address = dpf_pruner_pruned(p, 1);
    assert_int_equal(dpf_pruner_start(p, 0, &err), DPF_OK);
    assert_int_equal(count_pruned(p), 0);
    size_t updates = 1, revived = 0;
    for (size_t t = 1; t <= 200; t++) {
        optimise(&w);
        dense = w;
        copy_masks(p, masks);
        uint64_t version = dpf_pruner_mask_version(p);
        assert_int_equal(dpf_pruner_advance(p, t, &err), DPF_OK);
        assert_memory_equal(&dense, &w, sizeof w); /* the optimiser's alone */
        check_pruned_weights(&w, p);
        if (t >= 5 && t <= 150 && (t % 16 == 0 || t == 100)) {
            dpf_pruner_stats s = stats_of(p);
            updates++;
            check_flips(p, masks);
            revived += s.revived;
            assert_int_equal(dpf_pruner_mask_version(p), version + 1);
            assert_int_equal(s.last_update, t);
            assert_int_equal(s.updates, updates);
            double left = t >= 100 ? 0 : pow(1 - (double)(t - 5) / 95, 3);
            assert_int_equal(count_pruned(p), (size_t)floor((0.9 - 0.6 * left) * 3197 + 0.5));
        } else {
            assert_true(same_masks(p, masks));
            assert_int_equal(dpf_pruner_mask_version(p), version);
        }
    }
    assert_int_equal(count_pruned(p), 2877); /* round(0.9 * 3197) */
    assert_true(stats_of(p).target == 0.9);
    assert_true(revived > 0);
    assert_ptr_equal(address, dpf_pruner_pruned(p, 1));
    dpf_pruner_free(p);
}

static void run_without_feedback(world *w) {
    static uint64_t before[TENSORS][WORDS];
    w->options.feedback = 0;
    dpf_pruner *p = make_pruner(w);
    assert_int_equal(dpf_pruner_start(p, 0, &err), DPF_OK);
    for (size_t t = 1; t <= 140; t++) {
        optimise(w);
        copy_masks(p, before);
        assert_int_equal(dpf_pruner_advance(p, t, &err), DPF_OK);
        check_pruned_weights(w, p);
        size_t back = 0, nonzero = 0;
        for (size_t i = 0; i < TENSORS; i++) {
            for (size_t j = 0; j < sizes[i]; j++) {
                back += !(before[i][j / 64] >> (j % 64) & 1) && kept(p, i, j);
                nonzero += !kept(p, i, j) && w->weights[i][j] != 0;
            }
        }
        assert_int_equal(back, 0);
        assert_int_equal(nonzero, 0);
        dpf_pruner_stats s = stats_of(p);
        assert_int_equal(count_pruned(p), (size_t)floor(s.target * 3197 + 0.5));
        assert_int_equal(s.kept, 3197 - count_pruned(p));
        if (s.last_update == t) {
            check_flips(p, before);
            assert_int_equal(s.revived, 0);
        }
    }
    assert_true(stats_of(p).target == w->options.sparsity);
    dpf_pruner_free(p);
}

static void without_feedback(void **state) {
    (void)state;
    static world w;
    for (size_t every = 1; every <= 7; every += 3) {
        for (int mode = 0; mode < 5; mode++) {
            make_world(&w, 0.9);
            w.options.update_every = every;
            w.options.scope = mode == 1 || mode == 3 ? DPF_LAYER : DPF_GLOBAL;
            w.options.min_density = mode == 2 ? 0.08 : 0;
            if (mode >= 3) {
                w.tensors[0].sparsity = 0.5;
                w.tensors[3].sparsity = 0.97;
            }
            if (mode == 4) {
                w.tensors[1].sparsity = 0.95;
                w.tensors[2].sparsity = 0.9;
                w.options.sparsity = (0.5 * 432 + 0.95 * 2000 + 0.9 * 65 + 0.97 * 700) / 3197;
            }
            run_without_feedback(&w);
        }
    }
}

/* Without feedback a kept weight that is zero by chance must not take the place of
 * one that was pruned before, not even if all are zero. */
static void without_feedback_among_zeros(void **state) {
    (void)state;
    static world w;
    uint64_t before[TENSORS][WORDS];
    make_world(&w, 0.5);
    w.options.feedback = 0;
    w.options.update_every = 1;
    for (size_t j = 0; j < sizes[1]; j++) {
        w.weights[1][j] = 1e-6F * (float)(sizes[1] - j); /* the last ones go first */
    }
    dpf_pruner *p = make_pruner(&w);
    assert_int_equal(dpf_pruner_start(p, 30, &err), DPF_OK);
    for (size_t t = 31; t <= 110; t++) {
        for (size_t i = 0; i < TENSORS; i++) {
            memset(w.weights[i], 0, sizeof w.weights[i]);
        }
        copy_masks(p, before);
        assert_int_equal(dpf_pruner_advance(p, t, &err), DPF_OK);
        check_flips(p, before);
        assert_int_equal(stats_of(p).revived, 0);
        assert_int_equal(count_pruned(p), (size_t)floor(stats_of(p).target * 3197 + 0.5));
    }
    assert_int_equal(count_pruned(p), 1599);
    dpf_pruner_free(p);
}

/* Starting at t with the weights of then gives the mask that going on gave. */
static void start_equals_advance(void **state) {
    (void)state;
    static world w;
    uint64_t masks[TENSORS][WORDS];
    make_world(&w, 0.9);
    dpf_pruner *p = make_pruner(&w);
    assert_int_equal(dpf_pruner_start(p, 0, &err), DPF_OK);
    for (size_t t = 1; t <= 112; t++) {
        optimise(&w);
        assert_int_equal(dpf_pruner_advance(p, t, &err), DPF_OK);
        dpf_pruner *q = make_pruner(&w);
        assert_int_equal(dpf_pruner_start(q, t, &err), DPF_OK);
        dpf_pruner_stats a = stats_of(p), b = stats_of(q);
        assert_true(a.target == b.target);
        assert_int_equal(a.kept, b.kept);
        assert_int_equal(a.last_update, b.last_update);
        assert_int_equal(b.updates, 1);
        assert_int_equal(b.flips + b.revived, 0);
        assert_int_equal(count_pruned(q), 3197 - b.kept);
        if (t == a.last_update) {
            copy_masks(p, masks);
            assert_true(same_masks(q, masks));
        }
        dpf_pruner_free(q);
    }
    dpf_pruner_free(p);
}

/* A finished, pruned model is loaded: its zeros are found again. */
static void start_on_pruned_weights(void **state) {
    (void)state;
    static world w;
    uint64_t masks[TENSORS][WORDS];
    for (int feedback = 0; feedback < 2; feedback++) {
        make_world(&w, 0.95);
        w.options.feedback = feedback;
        dpf_pruner *p = make_pruner(&w);
        assert_int_equal(dpf_pruner_start(p, 1000, &err), DPF_OK);
        copy_masks(p, masks);
        for (size_t i = 0; i < TENSORS; i++) {
            memcpy(w.weights[i], dpf_pruner_pruned(p, i), sizes[i] * sizeof(float));
        }
        dpf_pruner_free(p);
        p = make_pruner(&w);
        assert_int_equal(dpf_pruner_start(p, 1000, &err), DPF_OK);
        assert_true(same_masks(p, masks));
        assert_int_equal(dpf_pruner_start(p, 0, &err), DPF_OK); /* from scratch: the ramp begins anew */
        assert_int_equal(count_pruned(p), 0);
        dpf_pruner_free(p);
    }
}

static void no_sparsity_changes_nothing(void **state) {
    (void)state;
    static world w;
    make_world(&w, 0);
    for (int feedback = 0; feedback < 2; feedback++) {
        w.options.feedback = feedback;
        dpf_pruner *p = make_pruner(&w);
        assert_int_equal(dpf_pruner_start(p, 0, &err), DPF_OK);
        for (size_t t = 1; t < 120; t++) {
            optimise(&w); /* with -0 among them */
            assert_int_equal(dpf_pruner_advance(p, t, &err), DPF_OK);
            for (size_t i = 0; i < TENSORS; i++) {
                assert_memory_equal(dpf_pruner_pruned(p, i), w.weights[i], sizes[i] * sizeof(float));
            }
        }
        dpf_pruner_free(p);
    }
}

static void resume(void **state) {
    (void)state;
    static world w, saved, end;
    uint64_t masks[TENSORS][WORDS], end_masks[TENSORS][WORDS];
    const uint64_t *pointers[TENSORS] = {masks[0], masks[1], masks[2], masks[3]};
    for (int feedback = 0; feedback < 2; feedback++) {
        make_world(&w, 0.9);
        w.options.feedback = feedback;
        dpf_pruner *p = make_pruner(&w);
        assert_int_equal(dpf_pruner_start(p, 0, &err), DPF_OK);
        dpf_pruner_stats stats = {0};
        for (size_t t = 1; t <= 130; t++) {
            optimise(&w);
            assert_int_equal(dpf_pruner_advance(p, t, &err), DPF_OK);
            if (t == 55) { /* between two updates */
                saved = w;
                stats = stats_of(p);
                copy_masks(p, masks);
            }
        }
        end = w;
        copy_masks(p, end_masks);
        dpf_pruner_stats end_stats = stats_of(p);
        dpf_pruner_free(p);

        w = saved;
        p = make_pruner(&w);
        uint64_t version = dpf_pruner_mask_version(p);
        assert_int_equal(dpf_pruner_restore(p, 55, pointers, &stats, &err), DPF_OK);
        assert_int_equal(dpf_pruner_mask_version(p), version + 1);
        assert_true(same_masks(p, masks));
        check_pruned_weights(&w, p);
        size_t kept_in_tensors = 0;
        for (size_t i = 0; i < TENSORS; i++) {
            dpf_tensor_stats one;
            dpf_pruner_get_tensor_stats(p, i, &one);
            assert_int_equal(one.count, sizes[i]);
            kept_in_tensors += one.kept;
        }
        assert_int_equal(kept_in_tensors, stats.kept);
        for (size_t t = 56; t <= 130; t++) {
            optimise(&w);
            assert_int_equal(dpf_pruner_advance(p, t, &err), DPF_OK);
        }
        assert_memory_equal(&w, &end, sizeof w);
        assert_true(same_masks(p, end_masks));
        dpf_pruner_stats now = stats_of(p);
        assert_memory_equal(&now, &end_stats, sizeof now);
        dpf_pruner_free(p);
    }
}

/* A resumed run may ask for less than was pruned. With feedback the mask follows;
 * without it what is pruned stays pruned, and nothing more is. */
static void resume_with_a_lower_target(void **state) {
    (void)state;
    static world w;
    uint64_t masks[TENSORS][WORDS];
    const uint64_t *pointers[TENSORS] = {masks[0], masks[1], masks[2], masks[3]};
    for (int mode = 0; mode < 4; mode++) {
        make_world(&w, 0.9);
        w.tensors[0].sparsity = mode & 2 ? 0.5 : -1;
        dpf_pruner *p = make_pruner(&w);
        assert_int_equal(dpf_pruner_start(p, 100, &err), DPF_OK);
        dpf_pruner_stats stats = stats_of(p);
        copy_masks(p, masks);
        dpf_pruner_free(p);
        w.options.sparsity = 0.5;
        w.options.feedback = mode & 1;
        w.options.scope = mode & 2 ? DPF_LAYER : DPF_GLOBAL;
        p = make_pruner(&w);
        assert_int_equal(dpf_pruner_restore(p, 100, pointers, &stats, &err), DPF_OK);
        optimise(&w);
        assert_int_equal(dpf_pruner_advance(p, 112, &err), DPF_OK);
        assert_int_equal(count_pruned(p), w.options.feedback ? 1599 : 2877);
        assert_int_equal(same_masks(p, masks), !w.options.feedback);
        check_pruned_weights(&w, p);
        dpf_pruner_free(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mask_changes_only_at_updates),
        cmocka_unit_test(without_feedback),
        cmocka_unit_test(without_feedback_among_zeros),
        cmocka_unit_test(start_equals_advance),
        cmocka_unit_test(start_on_pruned_weights),
        cmocka_unit_test(no_sparsity_changes_nothing),
        cmocka_unit_test(resume),
        cmocka_unit_test(resume_with_a_lower_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
