/* SPDX-License-Identifier: MIT
 *
 * Which weights are pruned: the pruner against an oracle that sorts, on data made of
 * ties, zeros of both signs, denormals and extremes; caps, own targets, scopes,
 * numbers of threads.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <omp.h>

#include "dpf/core/pruner.h"

enum { MOST_TENSORS = 9 };

typedef struct element {
    uint32_t key;
    size_t tensor, index;
} element;

typedef struct problem {
    dpf_options options;
    dpf_tensor tensors[MOST_TENSORS];
    size_t count, total;
} problem;

static uint64_t random_state = 88172645463325252ULL;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static size_t below(size_t limit) {
    return (size_t)(next_random() >> 20) % limit;
}

static double unit(void) {
    return (double)(next_random() >> 11) * 0x1p-53;
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The kinds of data: 0 any finite pattern of bits, 1 bell-shaped, 2 few distinct
 * values, 3 zeros of both signs and denormals, 4 all equal. */
static float draw(int kind) {
    uint32_t sign = (uint32_t)(next_random() & 1) << 31;
    switch (kind) {
    case 0: {
        uint32_t bits = (uint32_t)next_random();
        return (bits & 0x7f800000U) == 0x7f800000U ? from_bits(sign | 0x7f7fffffU) : from_bits(bits);
    }
    case 1:
        return (float)((unit() + unit() + unit() + unit() - 2) * 0.1);
    case 2:
        return from_bits(sign | bits_of((float)below(5) * 0.25F));
    case 3:
        return from_bits(sign | (below(3) ? (uint32_t)below(6) : (uint32_t)below(0x800100U)));
    default:
        return from_bits(sign | bits_of(0.5F));
    }
}

static void make_problem(problem *p, size_t largest) {
    *p = (problem){.count = 1 + below(MOST_TENSORS)};
    int mixed = below(4) == 0, kind = (int)below(5);
    for (size_t i = 0; i < p->count; i++) {
        size_t n = 1 + below(below(3) ? largest : 70);
        float *weights = malloc(n * sizeof *weights);
        assert_non_null(weights);
        kind = mixed ? (int)below(5) : kind;
        for (size_t j = 0; j < n; j++) {
            weights[j] = draw(kind);
        }
        p->tensors[i] = (dpf_tensor){.name = "layer", .weights = weights, .count = n, .sparsity = -1};
        p->total += n;
    }
    p->options = (dpf_options){.sparsity = below(5) ? unit() : (double)below(2) * 0.999,
                               .update_every = 1,
                               .end = 100,
                               .hold = 100,
                               .feedback = 1};
    p->options.initial_sparsity = below(3) ? 0 : p->options.sparsity * unit();
}

static void free_problem(problem *p) {
    for (size_t i = 0; i < p->count; i++) {
        free(p->tensors[i].weights);
    }
}

static int by_rank(const void *a, const void *b) {
    const element *x = a, *y = b;
    if (x->key != y->key) {
        return x->key < y->key ? -1 : 1;
    }
    if (x->tensor != y->tensor) {
        return x->tensor < y->tensor ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

static size_t nearest(double share, size_t count) {
    return (size_t)floor(share * (double)count + 0.5);
}

static int kept(const dpf_pruner *pruner, size_t i, size_t j) {
    return (int)(dpf_pruner_mask(pruner, i)[j / 64] >> (j % 64) & 1);
}

/* The pruned set by the definition: walk up the sorted weights and prune each one
 * whose tensor still has room. */
static void check_by_sorting(const problem *p, const dpf_pruner *pruner, size_t together, const size_t *room_of) {
    element *all = malloc((p->total + 1) * sizeof *all);
    assert_non_null(all);
    size_t n = 0, room[MOST_TENSORS], left = together;
    memcpy(room, room_of, sizeof room);
    for (size_t i = 0; i < p->count; i++) {
        for (size_t j = 0; j < p->tensors[i].count; j++) {
            all[n++] = (element){bits_of(p->tensors[i].weights[j]) & 0x7fffffffU, i, j};
        }
    }
    qsort(all, n, sizeof *all, by_rank);
    size_t wrong = 0;
    for (size_t k = 0; k < n; k++) {
        int own = p->tensors[all[k].tensor].sparsity >= 0 || p->options.scope == DPF_LAYER;
        int prune = room[all[k].tensor] > 0 && (own || left > 0);
        if (prune) {
            room[all[k].tensor]--;
            left -= !own;
        }
        wrong += kept(pruner, all[k].tensor, all[k].index) == prune;
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(left, 0);
    free(all);
}

/* Figures, w~ and the spare bits agree with the mask. */
static size_t check_consistent(const problem *p, const dpf_pruner *pruner, size_t *pruned_of) {
    size_t pruned = 0;
    for (size_t i = 0; i < p->count; i++) {
        const float *out = dpf_pruner_pruned(pruner, i);
        size_t n = p->tensors[i].count, here = 0, wrong = 0;
        for (size_t j = 0; j < n; j++) {
            int keep = kept(pruner, i, j);
            here += !keep;
            wrong += bits_of(out[j]) != (keep ? bits_of(p->tensors[i].weights[j]) : 0);
        }
        assert_int_equal(wrong, 0);
        if (n % 64) {
            assert_true(dpf_pruner_mask(pruner, i)[n / 64] >> (n % 64) == 0);
        }
        dpf_tensor_stats stats;
        dpf_pruner_get_tensor_stats(pruner, i, &stats);
        assert_int_equal(stats.count, n);
        assert_int_equal(stats.kept, n - here);
        pruned_of[i] = here;
        pruned += here;
    }
    dpf_pruner_stats stats;
    dpf_pruner_get_stats(pruner, &stats);
    assert_int_equal(stats.count, p->total);
    assert_int_equal(stats.kept, p->total - pruned);
    assert_int_equal(pruned, nearest(stats.target, p->total));
    return pruned;
}

static dpf_pruner *start(const problem *p, size_t t) {
    dpf_pruner *pruner;
    dpf_error err = {0};
    if (dpf_pruner_new(&pruner, &p->options, p->tensors, p->count, &err) || dpf_pruner_start(pruner, t, &err)) {
        print_error("%s\n", err.text);
        fail();
    }
    return pruner;
}

static void global_ranking(void **state) {
    (void)state;
    for (int round = 0; round < 600; round++) {
        problem p;
        size_t pruned_of[MOST_TENSORS], room[MOST_TENSORS] = {0};
        make_problem(&p, 1500);
        dpf_pruner *pruner = start(&p, below(130));
        size_t pruned = check_consistent(&p, pruner, pruned_of);
        for (size_t i = 0; i < p.count; i++) {
            room[i] = p.tensors[i].count;
        }
        check_by_sorting(&p, pruner, pruned, room);
        dpf_pruner_free(pruner);
        free_problem(&p);
    }
}

static void min_density(void **state) {
    (void)state;
    size_t solved = 0, capped = 0;
    for (int round = 0; round < 900; round++) {
        problem p;
        size_t pruned_of[MOST_TENSORS], room[MOST_TENSORS] = {0}, most = 0;
        make_problem(&p, 1500);
        p.options.min_density = below(2) ? unit() * (1 - p.options.sparsity) : (double)below(20) * 0.05;
        for (size_t i = 0; i < p.count; i++) {
            /* the fewest kept, in whole thousandths to keep clear of rounding */
            double least = p.options.min_density * (double)p.tensors[i].count;
            double whole = floor(least + 0.5);
            size_t keep = (size_t)(fabs(least - whole) < 1e-9 ? whole : ceil(least));
            room[i] = p.tensors[i].count - keep;
            most += room[i];
        }
        dpf_pruner *pruner;
        dpf_error err = {0};
        dpf_status status = dpf_pruner_new(&pruner, &p.options, p.tensors, p.count, &err);
        if (most < nearest(p.options.sparsity, p.total)) {
            assert_int_equal(status, DPF_ERR_RANGE);
            assert_null(pruner);
            assert_non_null(strstr(err.text, "min_density"));
        } else {
            assert_int_equal(status, DPF_OK);
            assert_int_equal(dpf_pruner_start(pruner, below(130), &err), DPF_OK);
            size_t pruned = check_consistent(&p, pruner, pruned_of);
            check_by_sorting(&p, pruner, pruned, room);
            for (size_t i = 0; i < p.count; i++) {
                assert_true(pruned_of[i] <= room[i]);
                capped += room[i] < p.tensors[i].count && pruned_of[i] == room[i];
            }
            solved++;
        }
        dpf_pruner_free(pruner);
        free_problem(&p);
    }
    assert_true(solved > 300 && capped > 300); /* the cases that this test is for did occur */
}

/* Each layer's count is its share of the total, up to less than one weight. */
static void layer_scope(void **state) {
    (void)state;
    for (int round = 0; round < 600; round++) {
        problem p;
        size_t pruned_of[MOST_TENSORS];
        make_problem(&p, 1500);
        p.options.scope = DPF_LAYER;
        dpf_pruner *pruner = start(&p, below(130));
        size_t pruned = check_consistent(&p, pruner, pruned_of);
        check_by_sorting(&p, pruner, 0, pruned_of);
        for (size_t i = 0; i < p.count; i++) {
            double share = (double)pruned * (double)p.tensors[i].count / (double)p.total;
            assert_true(fabs((double)pruned_of[i] - share) < 1);
        }
        dpf_pruner_free(pruner);
        free_problem(&p);
    }
}

static void own_targets(void **state) {
    (void)state;
    size_t solved = 0;
    for (int round = 0; round < 900; round++) {
        problem p;
        size_t pruned_of[MOST_TENSORS], room[MOST_TENSORS] = {0}, own = 0, others = 0, off = 0;
        make_problem(&p, 1500);
        p.options.scope = below(3) ? DPF_GLOBAL : DPF_LAYER;
        for (size_t i = 0; i < p.count; i++) {
            p.tensors[i].sparsity = below(3) ? -1 : unit();
        }
        dpf_pruner *pruner;
        dpf_error err = {0};
        dpf_status status = dpf_pruner_new(&pruner, &p.options, p.tensors, p.count, &err);
        if (status) {
            assert_int_equal(status, DPF_ERR_RANGE);
            assert_non_null(strstr(err.text, "sparsity"));
            free_problem(&p);
            continue;
        }
        size_t t = below(130);
        assert_int_equal(dpf_pruner_start(pruner, t, &err), DPF_OK);
        size_t pruned = check_consistent(&p, pruner, pruned_of);
        double left = t >= 100 ? 0 : pow(1 - (double)t / 100, 3);
        for (size_t i = 0; i < p.count; i++) {
            room[i] = p.options.scope == DPF_LAYER ? pruned_of[i] : p.tensors[i].count;
            if (p.tensors[i].sparsity >= 0) {
                double final = p.tensors[i].sparsity;
                double first = fmin(p.options.initial_sparsity, final);
                double share = (final + (first - final) * left) * (double)p.tensors[i].count;
                assert_true(fabs((double)pruned_of[i] - share) < 2.01); /* rounded, may give way by one */
                off += fabs((double)pruned_of[i] - share) > 0.5 + 1e-6;
                room[i] = pruned_of[i];
                own += pruned_of[i];
            } else {
                others += p.tensors[i].count;
            }
        }
        if (pruned > own && pruned - own < others) {
            assert_int_equal(off, 0); /* the others had room, so nothing had to give way */
        }
        check_by_sorting(&p, pruner, p.options.scope == DPF_LAYER ? 0 : pruned - own, room);
        solved++;
        dpf_pruner_free(pruner);
        free_problem(&p);
    }
    assert_true(solved > 300);
}

/* All layers have own targets: nobody else can make up for the rounding. */
static void only_own_targets(void **state) {
    (void)state;
    float weights[7][5];
    problem p = {.count = 7, .total = 35};
    p.options = (dpf_options){.sparsity = 0.5, .update_every = 1, .end = 100, .hold = 100, .feedback = 1};
    for (size_t i = 0; i < 7; i++) {
        for (size_t j = 0; j < 5; j++) {
            weights[i][j] = draw(1);
        }
        p.tensors[i] = (dpf_tensor){.name = "layer", .weights = weights[i], .count = 5, .sparsity = 0.5};
    }
    for (int scope = DPF_GLOBAL; scope <= DPF_LAYER; scope++) {
        p.options.scope = (dpf_scope)scope;
        for (size_t t = 0; t <= 100; t++) {
            size_t pruned_of[MOST_TENSORS];
            dpf_pruner *pruner = start(&p, t);
            size_t pruned = check_consistent(&p, pruner, pruned_of);
            check_by_sorting(&p, pruner, 0, pruned_of);
            assert_true(t < 100 || pruned == 18); /* round(17.5); 7 * round(2.5) would be 21 */
            for (size_t i = 0; i < 7; i++) {
                assert_true(t < 100 || pruned_of[i] == 2 || pruned_of[i] == 3);
            }
            dpf_pruner_free(pruner);
        }
    }
}

/* Equal magnitudes: the lower tensor, then the lower index, goes first. */
static void tie_order(void **state) {
    (void)state;
    float a[70], b[70];
    for (size_t j = 0; j < 70; j++) {
        a[j] = j % 2 ? 1.0F : -1.0F;
        b[j] = j % 3 ? -1.0F : 1.0F;
    }
    b[3] = -0.0F; /* both zeros are the same magnitude and below all others */
    b[66] = 0.0F;
    problem p = {.count = 2, .total = 140};
    p.options =
        (dpf_options){.sparsity = 75.0 / 140, .update_every = 1, .schedule = DPF_CONSTANT, .hold = 9, .feedback = 1};
    p.tensors[0] = (dpf_tensor){.name = "a", .weights = a, .count = 70, .sparsity = -1};
    p.tensors[1] = (dpf_tensor){.name = "b", .weights = b, .count = 70, .sparsity = -1};
    dpf_pruner *pruner = start(&p, 0);
    for (size_t j = 0; j < 70; j++) { /* 75 pruned = 2 zeros + 70 of a + the first 3 of b */
        assert_int_equal(kept(pruner, 0, j), 0);
        assert_int_equal(kept(pruner, 1, j), j > 3 && j != 66);
    }
    dpf_pruner_free(pruner);
}

/* Large enough for several chunks and threads, with ties across all of them. */
static void any_number_of_threads(void **state) {
    (void)state;
    static const size_t sizes[] = {150000, 131072, 1, 262145, 77};
    int before = omp_get_max_threads();
    for (int kind = 0; kind < 5; kind++) {
        for (int mode = 0; mode < 3; mode++) {
            problem p = {.count = 5};
            p.options = (dpf_options){.sparsity = mode == 1 ? 0.55 : 0.8,
                                      .update_every = 1,
                                      .schedule = DPF_CONSTANT,
                                      .hold = 9,
                                      .feedback = 1,
                                      .scope = mode == 2 ? DPF_LAYER : DPF_GLOBAL,
                                      .min_density = mode == 1 ? 0.4 : 0};
            for (size_t i = 0; i < p.count; i++) {
                float *weights = malloc(sizes[i] * sizeof *weights);
                assert_non_null(weights);
                for (size_t j = 0; j < sizes[i]; j++) {
                    weights[j] = draw(kind) * (i == 1 ? 0.5F : 1.0F);
                }
                p.tensors[i] = (dpf_tensor){.name = "layer", .weights = weights, .count = sizes[i], .sparsity = -1};
                p.total += sizes[i];
            }
            omp_set_num_threads(1);
            dpf_pruner *one = start(&p, 5);
            size_t pruned_of[MOST_TENSORS], room[MOST_TENSORS] = {0};
            size_t pruned = check_consistent(&p, one, pruned_of);
            for (size_t i = 0; i < p.count; i++) {
                size_t keep = (size_t)ceil(p.options.min_density * (double)sizes[i] - 1e-9);
                room[i] = mode == 2 ? pruned_of[i] : sizes[i] - keep;
            }
            check_by_sorting(&p, one, mode == 2 ? 0 : pruned, room);
            for (int threads = 2; threads <= 7; threads += 1 + threads / 3) {
                omp_set_num_threads(threads);
                dpf_pruner *many = start(&p, 5);
                for (size_t i = 0; i < p.count; i++) {
                    assert_memory_equal(dpf_pruner_mask(one, i), dpf_pruner_mask(many, i), (sizes[i] + 63) / 64 * 8);
                    assert_memory_equal(dpf_pruner_pruned(one, i), dpf_pruner_pruned(many, i), sizes[i] * 4);
                }
                dpf_pruner_free(many);
            }
            dpf_pruner_free(one);
            free_problem(&p);
        }
    }
    omp_set_num_threads(before);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(global_ranking),        cmocka_unit_test(min_density),      cmocka_unit_test(layer_scope),
        cmocka_unit_test(own_targets),           cmocka_unit_test(only_own_targets), cmocka_unit_test(tie_order),
        cmocka_unit_test(any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
