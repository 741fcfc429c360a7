/* SPDX-License-Identifier: MIT
 *
 * Pruning in one shot: exact counts, the smallest weights, nothing else touched; and what
 * `dpf sensitivity` suggests.
 */
#include <setjmp.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "cli/score/sensitivity.h"
#include "dpf/model/inspect.h"
#include "dpf/model/prune.h"

#define NET "[net]\nwidth=8\nheight=8\nchannels=3\n"
#define LAYERS                                                                                                         \
    "[conv]\nfilters=5\nsize=3\nbatch_normalize=1\n"                                                                   \
    "[conv]\nfilters=7\nsize=1\n"                                                                                      \
    "[conv]\nfilters=4\nsize=1\nprune=0\n"
enum { FIRST = 135, SECOND = 35, THIRD = 28, PRUNABLE = FIRST + SECOND };

typedef struct world {
    dpf_cfg *cfg;
    dpf_graph *graph;
    float *values, *dense;
} world;

/* Every magnitude occurs once in all prunable weights; those of the second layer are the larger ones. */
static world make(const char *text) {
    world w;
    dpf_error err;
    if (dpf_cfg_parse(&w.cfg, "t.cfg", text, strlen(text), &err) != DPF_OK ||
        dpf_graph_new(&w.graph, w.cfg, NULL, &err) != DPF_OK)
        fail_msg("%s", err.text);
    w.values = calloc(w.graph->parameters, sizeof(float));
    w.dense = calloc(w.graph->parameters, sizeof(float));
    for (size_t i = 0; i < w.graph->parameters; ++i)
        w.values[i] = 1e-6F; /* biases and batch-norm values: smaller than every weight */
    for (size_t layer = 0; layer < 3; ++layer)
        for (size_t k = 0, n = w.graph->layers[layer].weights; k < n; ++k)
            w.values[dpf_weights_start(w.graph, layer) + k] =
                (k % 2 ? -1.0F : 1.0F) * ((float)((k * 11) % n + 1) + (layer == 1 ? 1000.0F : 0.0F));
    memcpy(w.dense, w.values, w.graph->parameters * sizeof(float));
    return w;
}

static void unmake(world *w) {
    free(w->values);
    free(w->dense);
    dpf_graph_free(w->graph);
    dpf_cfg_free(w->cfg);
}

static size_t zeros(const world *w, size_t layer) {
    size_t n = 0;
    for (size_t k = 0; k < w->graph->layers[layer].weights; ++k)
        n += w->values[dpf_weights_start(w->graph, layer) + k] == 0;
    return n;
}

/* What is not 0 has its bits, what is 0 was not larger than what is left, and nothing but prunable weights is 0. */
static void check_rest(const world *w, size_t layer, size_t pruned) {
    size_t start = dpf_weights_start(w->graph, layer), seen = 0;
    assert_int_equal(zeros(w, layer), pruned);
    for (size_t i = 0; i < w->graph->parameters; ++i) {
        int here = i >= start && i < start + w->graph->layers[layer].weights;
        if (here && w->values[i] == 0) {
            ++seen;
            assert_false(signbit(w->values[i]));
            assert_true(fabsf(w->dense[i]) < (float)(pruned + 1) + (layer == 1 ? 1000.0F : 0.0F));
        } else if (here) {
            assert_memory_equal(&w->values[i], &w->dense[i], sizeof(float));
        }
    }
    assert_int_equal(seen, pruned);
}

static void test_global(void **state) {
    (void)state;
    world w = make(NET LAYERS);
    dpf_options options;
    dpf_pruned result;
    dpf_error err;
    assert_int_equal(dpf_prune_options(&options, w.graph, 0.7, -1, &err), DPF_OK);
    assert_int_equal(dpf_prune(&result, w.graph, &options, w.values, &err), DPF_OK);
    assert_int_equal(result.weights, PRUNABLE);
    assert_int_equal(result.zeros, 0);
    assert_int_equal(result.pruned, 119); /* 0.7 * 170 */
    check_rest(&w, 0, 119);               /* the second layer's are all larger */
    check_rest(&w, 1, 0);
    check_rest(&w, 2, 0); /* prune=0 */
    for (size_t i = 0; i < 20; ++i)
        assert_memory_equal(&w.values[i], &w.dense[i], sizeof(float)); /* biases, batch-norm */
    unmake(&w);
}

static void test_layer_scope(void **state) {
    (void)state;
    world w = make(NET LAYERS);
    dpf_options options;
    dpf_pruned result;
    dpf_error err;
    assert_int_equal(dpf_prune_options(&options, w.graph, 0.5, DPF_LAYER, &err), DPF_OK);
    assert_int_equal(dpf_prune(&result, w.graph, &options, w.values, &err), DPF_OK);
    assert_int_equal(result.pruned, 85);
    size_t first = zeros(&w, 0);
    assert_true(first == 67 || first == 68);
    check_rest(&w, 0, first);
    check_rest(&w, 1, 85 - first);
    unmake(&w);
}

/* The schedule of the section does not matter: what counts is the end of its ramp. Flags stand in for keys. */
static void test_section(void **state) {
    (void)state;
    world w = make(NET "[dpf]\nsparsity=0.6\nscope=layer\nbegin=50\nend=90\ninitial_sparsity=0.1\n" LAYERS);
    dpf_options options;
    dpf_pruned result;
    dpf_error err;
    assert_int_equal(dpf_prune_options(&options, w.graph, -1, -1, &err), DPF_OK);
    assert_int_equal(options.scope, DPF_LAYER);
    assert_int_equal(dpf_prune(&result, w.graph, &options, w.values, &err), DPF_OK);
    assert_int_equal(result.pruned, 102);
    check_rest(&w, 0, 81);
    check_rest(&w, 1, 21);
    assert_int_equal(dpf_prune_options(&options, w.graph, 0.9, DPF_GLOBAL, &err), DPF_OK);
    assert_int_equal(options.scope, DPF_GLOBAL);
    assert_true(options.sparsity == 0.9);
    size_t weights, zero;
    dpf_prunable_zeros(w.graph, w.values, &weights, &zero);
    assert_int_equal(weights, PRUNABLE);
    assert_int_equal(zero, 102);
    unmake(&w);
}

static void test_refusals(void **state) {
    (void)state;
    world w = make(NET LAYERS);
    dpf_options options;
    dpf_pruned result;
    dpf_error err;
    assert_int_equal(dpf_prune_options(&options, w.graph, -1, -1, &err), DPF_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "no [dpf] section"));
    assert_int_equal(dpf_prune_options(&options, w.graph, 0.5, -1, &err), DPF_OK);
    w.values[dpf_weights_start(w.graph, 1) + 3] = NAN;
    memcpy(w.dense, w.values, w.graph->parameters * sizeof(float));
    assert_int_equal(dpf_prune(&result, w.graph, &options, w.values, &err), DPF_ERR_NUMERIC);
    assert_non_null(strstr(err.text, "layer 1"));
    assert_memory_equal(w.values, w.dense, w.graph->parameters * sizeof(float)); /* nothing has changed */
    unmake(&w);
    w = make(NET "[conv]\nfilters=2\nprune=0\n[conv]\nfilters=2\nprune=0\n[conv]\nfilters=2\nprune=0\n");
    assert_int_equal(dpf_prune_options(&options, w.graph, 0.5, -1, &err), DPF_OK);
    assert_int_equal(dpf_prune(&result, w.graph, &options, w.values, &err), DPF_ERR_RANGE);
    assert_non_null(strstr(err.text, "nothing to prune"));
    unmake(&w);
}

static void test_one_layer(void **state) {
    (void)state;
    world w = make(NET LAYERS);
    dpf_error err;
    assert_int_equal(dpf_prune_layer(w.graph, 1, 0.8, w.values, &err), DPF_OK);
    check_rest(&w, 1, 28);
    check_rest(&w, 0, 0);
    check_rest(&w, 2, 0);
    unmake(&w);
}

static void test_suggestion(void **state) {
    (void)state;
    const double flat[] = {90, 90, 90, 90, 89.5}, steep[] = {86, 80, 70, 60, 50}, bend[] = {90, 89.5, 87.5, 80, 70};
    const double gain[] = {92, 91, 88, 80, 10}, back[] = {80, 90, 90, 90, 90};
    assert_true(fabs(sensitivity_suggest(90, flat, 1) - 0.95) < 1e-12);
    assert_true(fabs(sensitivity_suggest(90, steep, 1) - 0.12) < 1e-12); /* 0.125: 0 loses 0, 50 % loses 4 */
    assert_true(fabs(sensitivity_suggest(90, bend, 1) - 0.72) < 1e-12);  /* 0.725: 70 % loses 0.5, 80 % 2.5 */
    assert_true(fabs(sensitivity_suggest(90, gain, 1) - 0.75) < 1e-12);  /* what is gained at 50 % is no credit */
    assert_true(fabs(sensitivity_suggest(90, back, 1) - 0.05) < 1e-12);  /* the first fall counts */
    sensitivity_layer layers[2] = {{.weights = 100, .suggested = 0.5}, {.weights = 300, .suggested = 0.9}};
    const sensitivity_result result = {.layers = layers, .count = 2};
    assert_true(fabs(sensitivity_total(&result) - 0.8) < 1e-12);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_global),   cmocka_unit_test(test_layer_scope), cmocka_unit_test(test_section),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_one_layer),   cmocka_unit_test(test_suggestion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
