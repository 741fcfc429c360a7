/* SPDX-License-Identifier: MIT
 *
 * Weights without their zeros: what comes out of the files row by row is what the whole
 * files hold, for each coding of a mask, as float32 and float16; and a file that is not
 * as it should be is refused in this way of reading, too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "dpf/core/random.h"
#include "dpf/model/container.h"
#include "dpf/model/container_parts.h"
#include "dpf/model/file.h"

#define CFG                                                                                                            \
    "[net]\nwidth=9\nheight=9\nchannels=5\n[conv]\nfilters=13\nsize=3\nbatch_normalize=1\n[conv]\nfilters=7\nsize=1\n" \
    "[conv]\nfilters=40\nsize=3\nbatch_normalize=1\n[connected]\noutput=3\n[conv]\nfilters=2\nsize=1\n"

typedef struct world {
    char cfg[64], weights[64], packed[64], folder[32];
    dpf_cfg *parsed;
    dpf_graph *graph;
    dpf_error err;
} world;

static int setup(void **state) {
    world *w = calloc(1, sizeof *w);
    strcpy(w->folder, "/tmp/dpf-rows-XXXXXX");
    if (!mkdtemp(w->folder) || dpf_cfg_parse(&w->parsed, "t.cfg", CFG, strlen(CFG), &w->err) != DPF_OK ||
        dpf_graph_new(&w->graph, w->parsed, NULL, &w->err) != DPF_OK)
        return -1;
    snprintf(w->cfg, sizeof w->cfg, "%s/a.cfg", w->folder);
    snprintf(w->weights, sizeof w->weights, "%s/a.weights", w->folder);
    snprintf(w->packed, sizeof w->packed, "%s/a.dpf", w->folder);
    *state = w;
    return dpf_file_replace(w->cfg, CFG, strlen(CFG), &w->err) == DPF_OK ? 0 : -1;
}

static int teardown(void **state) {
    world *w = *state;
    unlink(w->cfg);
    unlink(w->weights);
    unlink(w->packed);
    rmdir(w->folder);
    dpf_graph_free(w->graph);
    dpf_cfg_free(w->parsed);
    free(w);
    return 0;
}

static void ok(const world *w, dpf_status status) {
    if (status != DPF_OK)
        fail_msg("%s", w->err.text);
}

/* Random weights, that share of them not 0; the first and the last filter of each layer have none. */
static void write_weights(world *w, double density) {
    const dpf_weights_header header = {.minor = 2, .size = 20};
    uint64_t seed = 5;
    float *values = calloc(w->graph->parameters, sizeof *values);
    for (size_t i = 0; i < w->graph->parameters; i++)
        values[i] = 0.25f + (float)(random_next(&seed) >> 40) / 16777216.0f;
    for (size_t i = 0; i < w->graph->count; i++) {
        const dpf_graph_layer *l = &w->graph->layers[i];
        float *of = values + l->offset + l->parameters - l->weights;
        const size_t row = l->type == DPF_CONVOLUTIONAL ? l->weights / (size_t)l->filters : 0;
        for (size_t k = 0; row && k < l->weights; k++)
            if ((double)(random_next(&seed) >> 11) / 9007199254740992.0 >= density ||
                (density < 1 && (k < row || k >= l->weights - row)))
                of[k] = k % 3 ? 0.0f : -0.0f; /* kept in the file, but no value */
    }
    ok(w, dpf_weights_write(w->weights, &header, values, w->graph->parameters, &w->err));
    free(values);
}

/* The rows are those of the dense weights; ascending, none 0. */
static void same(const dpf_rows *rows, const float *dense) {
    float *spread = malloc((rows->rows * rows->width + 1) * sizeof *spread);
    assert_int_equal(rows->start[0], 0);
    assert_int_equal(rows->start[rows->rows], rows->count);
    for (size_t r = 0; r < rows->rows; r++)
        for (size_t i = rows->start[r]; i < rows->start[r + 1]; i++)
            assert_true(rows->value[i] != 0 && rows->column[i] < rows->width &&
                        (i == rows->start[r] || rows->column[i] > rows->column[i - 1]));
    dpf_rows_to_dense(rows, spread);
    for (size_t i = 0; i < rows->rows * rows->width; i++)
        assert_true(spread[i] == dense[i]);
    free(spread);
}

/* Both files layer by layer, convolutions as rows, against `values`. */
static void compare(world *w, const float *values, const float *packed_values) {
    dpf_container_stream *packed;
    dpf_weights_stream *plain;
    float *part = malloc((w->graph->parameters + 1) * sizeof *part);
    ok(w, dpf_container_stream_open(&packed, w->packed, &w->err));
    ok(w, dpf_weights_stream_open(&plain, w->graph, w->weights, &w->err));
    for (size_t i = 0; i < w->graph->count; i++) {
        const dpf_graph_layer *l = &w->graph->layers[i];
        const size_t weights = l->type == DPF_CONVOLUTIONAL ? l->weights : 0, others = l->parameters - weights;
        const size_t at = l->offset + others;
        dpf_rows rows;
        size_t kept;
        ok(w, dpf_container_stream_next(packed, part, others, &w->err));
        assert_memory_equal(part, packed_values + l->offset, others * sizeof *part);
        ok(w, dpf_weights_stream_next(plain, part, others, &w->err));
        assert_memory_equal(part, values + l->offset, others * sizeof *part);
        if (!weights)
            continue;
        const size_t filters = (size_t)l->filters, width = weights / filters;
        kept = dpf_container_stream_kept(packed, weights);
        ok(w, dpf_container_stream_next_rows(packed, &rows, filters, width, &w->err));
        assert_true(rows.count <= kept && kept <= weights);
        same(&rows, packed_values + at);
        dpf_rows_free(&rows);
        ok(w, dpf_weights_stream_kept(plain, weights, &kept, &w->err));
        ok(w, dpf_weights_stream_next_rows(plain, &rows, filters, width, kept, &w->err));
        assert_int_equal(rows.count, kept);
        same(&rows, values + at);
        dpf_rows_free(&rows);
    }
    ok(w, dpf_container_stream_finish(packed, &w->err));
    dpf_container_stream_close(packed);
    dpf_weights_stream_close(plain);
    free(part);
}

static void test_same_as_whole(void **state) {
    static const double densities[] = {0, 0.004, 0.1, 0.5, 1};
    world *w = *state;
    for (size_t i = 0; i < 2 * sizeof densities / sizeof *densities; i++) {
        dpf_weights whole;
        dpf_container packed;
        write_weights(w, densities[i / 2]);
        ok(w, dpf_container_pack(w->cfg, w->weights, w->packed, &(dpf_container_options){.half = i % 2}, &w->err));
        ok(w, dpf_weights_read(&whole, w->graph, w->weights, &w->err));
        ok(w, dpf_container_read(&packed, w->packed, &w->err));
        compare(w, whole.values, packed.weights.values);
        dpf_container_free(&packed);
        dpf_weights_free(&whole);
    }
}

/* Rows that are not where the file has a layer's weights, or of another size. */
static void test_wrong_place(void **state) {
    world *w = *state;
    dpf_container_stream *s;
    dpf_rows rows;
    float part[64];
    const dpf_graph_layer *l = &w->graph->layers[0];
    write_weights(w, 0.3);
    ok(w, dpf_container_pack(w->cfg, w->weights, w->packed, NULL, &w->err));
    ok(w, dpf_container_stream_open(&s, w->packed, &w->err));
    assert_int_equal(dpf_container_stream_kept(s, l->weights), l->weights);
    assert_int_equal(dpf_container_stream_next_rows(s, &rows, 13, 45, &w->err), DPF_ERR_FORMAT);
    ok(w, dpf_container_stream_next(s, part, 52, &w->err));
    assert_int_equal(dpf_container_stream_kept(s, l->weights - 1), l->weights - 1);
    assert_true(dpf_container_stream_kept(s, l->weights) < l->weights);
    assert_int_equal(dpf_container_stream_next_rows(s, &rows, 13, 44, &w->err), DPF_ERR_FORMAT);
    assert_null(rows.start);
    ok(w, dpf_container_stream_next_rows(s, &rows, 13, 45, &w->err));
    dpf_rows_free(&rows);
    dpf_container_stream_close(s);
}

/* Masks that are none: each way to be wrong, each found before anything beyond the run is named. */
static void test_bad_masks(void **unused) {
    static const unsigned char bits[] = {0x05, 0x80, 0x01}, more[] = {0x05, 0x80, 0x03}, gaps[] = {0, 1, 12};
    static const unsigned char far[] = {0, 1, 14}, endless[] = {0x80, 0x80, 0x80},
                               huge[] = {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
    (void)unused;
    const struct {
        dpfc_run run;
        const unsigned char *mask;
        int end;
        uint64_t sum;
    } cases[] = {
        {{.coding = DPFC_BITMASK, .count = 17, .kept = 4, .mask_size = 3}, bits, 0, 0 + 2 + 15 + 16},
        {{.coding = DPFC_BITMASK, .count = 17, .kept = 5, .mask_size = 3}, bits, -1, 0 + 2 + 15 + 16},
        {{.coding = DPFC_BITMASK, .count = 17, .kept = 3, .mask_size = 3}, bits, -1, 0 + 2 + 15},
        {{.coding = DPFC_BITMASK, .count = 17, .kept = 3, .mask_size = 2}, bits, -1, 0 + 2 + 15},
        {{.coding = DPFC_BITMASK, .count = 17, .kept = 5, .mask_size = 3}, more, -1, 0 + 2 + 15 + 16},
        {{.coding = DPFC_INDEX, .count = 17, .kept = 3, .mask_size = 3}, gaps, 0, 0 + 2 + 15},
        {{.coding = DPFC_INDEX, .count = 17, .kept = 2, .mask_size = 3}, gaps, -1, 0 + 2},
        {{.coding = DPFC_INDEX, .count = 17, .kept = 4, .mask_size = 3}, gaps, -1, 0 + 2 + 15},
        {{.coding = DPFC_INDEX, .count = 17, .kept = 3, .mask_size = 3}, far, -1, 0 + 2},
        {{.coding = DPFC_INDEX, .count = 17, .kept = 1, .mask_size = 3}, endless, -1, 0},
        {{.coding = DPFC_INDEX, .count = 17, .kept = 2, .mask_size = 10}, huge, -1, 0},
        {{.coding = DPFC_ALL, .count = 3, .kept = 3, .mask_size = 0}, NULL, 0, 0 + 1 + 2},
        {{.coding = DPFC_ALL, .count = 3, .kept = 2, .mask_size = 0}, NULL, -1, 0},
        {{.coding = DPFC_ALL, .count = 3, .kept = 3, .mask_size = 1}, bits, -1, 0},
        {{.coding = 3, .count = 3, .kept = 3, .mask_size = 0}, NULL, -1, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dpfc_marks marks = {.run = &cases[i].run, .mask = cases[i].mask};
        uint64_t place, sum = 0;
        int found;
        while ((found = dpfc_marks_next(&marks, &place)) > 0) {
            assert_true(place < cases[i].run.count);
            sum += place;
        }
        if (found != cases[i].end || sum != cases[i].sum)
            fail_msg("case %zu ends with %d after places that sum to %llu", i, found, (unsigned long long)sum);
    }
}

/* There never is more room than what was asked for. */
static void test_room(void **unused) {
    dpf_rows rows;
    dpf_error err;
    (void)unused;
    assert_int_equal(dpf_rows_new(&rows, 3, 4, 2, &err), DPF_OK);
    assert_true(dpf_rows_put(&rows, 1, 1.0f) && dpf_rows_put(&rows, 2, 0.0f) && dpf_rows_put(&rows, 11, 2.0f));
    assert_false(dpf_rows_put(&rows, 11, 3.0f));
    dpf_rows_done(&rows);
    const float want[12] = {0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
    same(&rows, want);
    dpf_rows_free(&rows);
    assert_int_equal(dpf_rows_new(&rows, 3, 4, 13, &err), DPF_ERR_RANGE);
    assert_int_equal(dpf_rows_new(&rows, SIZE_MAX / 2, 4, 1, &err), DPF_ERR_RANGE);
    assert_null(rows.start);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_same_as_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_place, setup, teardown),
        cmocka_unit_test(test_bad_masks),
        cmocka_unit_test(test_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
