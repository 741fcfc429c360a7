/* SPDX-License-Identifier: MIT
 *
 * What `dpf inspect` counts, against counts made by hand.
 */
#include <setjmp.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "dpf/model/container.h"
#include "dpf/model/file.h"
#include "dpf/model/inspect.h"
#include "dpf/model/modelfile.h"

static const char CFG[] = "[net]\nwidth=4\nheight=4\nchannels=2\n"
                          "[conv]\nfilters=3\nsize=2\nbatch_normalize=1\n" /* 3x2x2x2, output 3x3 */
                          "[deconvolutional]\nfilters=2\nsize=2\n"         /* weights 3 channels x 2 filters x 2x2 */
                          "[local]\nfilters=2\nsize=4\n"                   /* one place */
                          "[connected]\noutput=3\nbatch_normalize=1\n";

typedef struct world {
    dpf_cfg *cfg;
    dpf_graph *graph;
    float *values;
} world;

static int setup(void **state) {
    world *w = calloc(1, sizeof *w);
    dpf_error err;
    if (dpf_cfg_parse(&w->cfg, "t.cfg", CFG, sizeof CFG - 1, &err) != DPF_OK ||
        dpf_graph_new(&w->graph, w->cfg, NULL, &err) != DPF_OK)
        fail_msg("%s", err.text);
    w->values = calloc(w->graph->parameters, sizeof *w->values);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    world *w = *state;
    free(w->values);
    dpf_graph_free(w->graph);
    dpf_cfg_free(w->cfg);
    free(w);
    return 0;
}

static dpf_facts look(const world *w, size_t layer, int half) {
    dpf_facts f;
    dpf_error err;
    if (dpf_inspect_layer(&f, w->graph, layer, w->values, half, &err) != DPF_OK)
        fail_msg("%s", err.text);
    return f;
}

static void test_convolution(void **state) {
    world *w = *state;
    float *v = w->values + dpf_weights_start(w->graph, 0);
    char shape[64];
    assert_int_equal(dpf_weights_start(w->graph, 0), 12); /* behind biases, scales, means, variances */
    for (size_t i = 0; i < 12; ++i)
        w->values[i] = 1; /* none of these is a weight */
    v[0] = 2;             /* filter 0, kernel 0 */
    v[3] = -1e-42F;       /* the same kernel: too small for some modes of the FPU, and still not 0 */
    v[15] = -0.0F;        /* filter 1: 0 */
    v[20] = 1;            /* filter 2, its second kernel */
    dpf_facts f = look(w, 0, 0);
    assert_int_equal(f.weights, 24);
    assert_int_equal(f.kept, 3);
    assert_int_equal(f.filters, 3);
    assert_int_equal(f.filters_kept, 2);
    assert_int_equal(f.kernels, 6);
    assert_int_equal(f.kernels_kept, 2);
    assert_true(fabs(f.mean - 3.0 / 24) < 1e-12);
    assert_true(fabs(f.deviation - sqrt(5.0 / 24 - 9.0 / 576)) < 1e-12);
    assert_true(f.multiply_adds == 24 * 9 && f.sparse_multiply_adds == 3 * 9);
    assert_int_equal(f.parameters, 36);
    assert_int_equal(f.bytes, 144);
    /* 12 other floats, three weights and -0.0 is a fourth mark in a mask of three bytes */
    assert_int_equal(f.packed, 48 + 12 + 3);
    assert_int_equal(look(w, 0, 1).packed, 48 + 6 + 3);
    dpf_describe_shape(w->graph, 0, shape, sizeof shape);
    assert_string_equal(shape, "3x2x2x2");
}

static void test_not_finite(void **state) {
    world *w = *state;
    float *v = w->values + dpf_weights_start(w->graph, 0);
    v[1] = NAN;
    v[2] = -INFINITY;
    dpf_facts f = look(w, 0, 0);
    assert_int_equal(f.not_finite, 2);
    assert_true(isnan(f.mean) && isnan(f.deviation));
    assert_int_equal(f.kept, 2);
}

/* Its weights lie channel by channel: filter 1 of 2 has the odd kernels. */
static void test_deconvolution(void **state) {
    world *w = *state;
    float *v = w->values + dpf_weights_start(w->graph, 1);
    v[1 * 4 + 1] = 1;
    v[5 * 4 + 3] = 1;
    dpf_facts f = look(w, 1, 0);
    assert_int_equal(f.weights, 24);
    assert_int_equal(f.kept, 2);
    assert_int_equal(f.filters, 2);
    assert_int_equal(f.filters_kept, 1);
    assert_int_equal(f.kernels, 6);
    assert_int_equal(f.kernels_kept, 2);
}

static void test_connected_and_total(void **state) {
    world *w = *state;
    const dpf_graph_layer *l = &w->graph->layers[3];
    size_t start = dpf_weights_start(w->graph, 3);
    assert_int_equal(start, l->offset + 3); /* weights come before the batch-norm values there */
    w->values[start + l->weights - 1] = 1;
    w->values[start + l->weights] = 1; /* a scale */
    dpf_facts f = look(w, 3, 0), total = {0};
    assert_int_equal(f.kept, 1);
    assert_int_equal(f.filters, 3);
    assert_int_equal(f.filters_kept, 1);
    assert_int_equal(f.kernels, l->weights);
    dpf_facts_add(&total, &f);
    f = look(w, 2, 0);
    dpf_facts_add(&total, &f);
    assert_int_equal(total.weights, l->weights + w->graph->layers[2].weights);
    assert_int_equal(total.filters, 5);
    assert_int_equal(total.kept, 1);
    assert_true(total.mean == 0);
}

/* Both forms of a model, and what is written of it. */
static void test_model(void **state) {
    world *w = *state;
    char folder[] = "/tmp/dpf-model-XXXXXX", cfg[64], weights[64], packed[64], renamed[64];
    dpf_error err;
    dpf_modelfile model, again;
    const dpf_weights_header header = {0, 2, 5, 77, 20};
    assert_non_null(mkdtemp(folder));
    snprintf(cfg, sizeof cfg, "%s/m.cfg", folder);
    snprintf(weights, sizeof weights, "%s/m.weights", folder);
    snprintf(packed, sizeof packed, "%s/m.dpf", folder);
    snprintf(renamed, sizeof renamed, "%s/other", folder);
    for (size_t i = 0; i < w->graph->parameters; ++i)
        w->values[i] = i % 3 ? 0 : (float)i;
    assert_int_equal(dpf_file_replace(cfg, CFG, sizeof CFG - 1, &err), DPF_OK);
    assert_int_equal(dpf_weights_write(weights, &header, w->values, w->graph->parameters, &err), DPF_OK);

    assert_int_equal(dpf_modelfile_open(&model, cfg, NULL, &err), DPF_OK);
    assert_true(!model.packed && !model.weights.values);
    assert_int_equal(dpf_modelfile_read(&model, weights, &err), DPF_OK);
    assert_int_equal(dpf_modelfile_write(&model, packed, 0, &err), DPF_OK);
    assert_int_equal(rename(packed, renamed), 0);
    assert_true(dpf_modelfile_is_packed(renamed)); /* by its first bytes */
    assert_true(!dpf_modelfile_is_packed(cfg) && !dpf_modelfile_is_packed(folder));
    assert_int_equal(dpf_modelfile_open(&again, renamed, NULL, &err), DPF_OK);
    assert_true(again.packed && again.weights.count == w->graph->parameters && again.weights.header.seen == 77);
    assert_memory_equal(again.weights.values, w->values, w->graph->parameters * sizeof(float));
    assert_string_equal(again.text, CFG);
    dpf_modelfile_free(&again);
    dpf_modelfile_free(&model);

    /* a name that ends in .dpf is never taken for a cfg */
    assert_int_equal(rename(cfg, packed), 0);
    assert_int_equal(dpf_modelfile_open(&model, packed, NULL, &err), DPF_ERR_FORMAT);
    assert_non_null(strstr(err.text, "not a .dpf file"));
    assert_null(model.cfg);
    unlink(packed);
    unlink(renamed);
    unlink(weights);
    rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_convolution, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_finite, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deconvolution, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connected_and_total, setup, teardown),
        cmocka_unit_test_setup_teardown(test_model, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
