/* SPDX-License-Identifier: MIT
 *
 * Weights put into an open network and taken out again; and batch-norm statistics
 * from pictures, against means and variances computed here from the network's own outputs.
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

#include "dpf/darknet/adapter.h"
#include "dpf/model/inspect.h"
#include "dpf/model/weights.h"

enum { SIDE = 8, BATCH = 3, ROUNDS = 2, PICTURES = BATCH * ROUNDS };

static const char NORMED[] =
    "[net]\nbatch=1\nwidth=8\nheight=8\nchannels=3\n"
    "[convolutional]\nbatch_normalize=1\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
    "[dropout]\nprobability=.5\n"
    "[convolutional]\nbatch_normalize=1\nfilters=2\nsize=1\nactivation=linear\n";
/* the first layer of the other alone, without normalisation: what goes into it */
static const char PLAIN[] = "[net]\nbatch=1\nwidth=8\nheight=8\nchannels=3\n"
                            "[convolutional]\nfilters=4\nsize=3\nstride=2\npad=1\nactivation=linear\n";

static char folder[] = "/tmp/dpf-recalibrate-XXXXXX", path[PICTURES][64];
static const char *paths[PICTURES];

static dn_net *open_text(const char *text, int batch) {
    char name[96];
    dn_net *net;
    dpf_error err;
    snprintf(name, sizeof name, "%s/t.cfg", folder);
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    const dn_open_args args = {.cfg_path = name, .batch = batch, .threads = 1, .seed = 5, .quiet = 1};
    if (dn_open(&net, &args, &err) != DPF_OK)
        fail_msg("%s", err.text);
    unlink(name);
    return net;
}

static dn_data *load(dn_net *net, size_t first, size_t count) {
    dn_data *data;
    dpf_error err;
    const dn_load_args args = {.paths = paths + first, .count = count, .whole = 1};
    if (dn_load(net, &args, &data, &err) != DPF_OK)
        fail_msg("%s", err.text);
    return data;
}

/* Small PPM pictures, each another gradient. */
static int setup(void **state) {
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (int i = 0; i < PICTURES; ++i) {
        snprintf(path[i], sizeof path[i], "%s/%d.ppm", folder, i);
        paths[i] = path[i];
        FILE *file = fopen(path[i], "wb");
        assert_non_null(file);
        fprintf(file, "P6\n%d %d\n255\n", SIDE, SIDE);
        for (int k = 0; k < SIDE * SIDE * 3; ++k)
            fputc((k * (5 + 4 * i) + 40 * i) % 256, file);
        fclose(file);
    }
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (int i = 0; i < PICTURES; ++i)
        unlink(path[i]);
    return rmdir(folder);
}

static void test_values(void **state) {
    (void)state;
    dn_net *net = open_text(NORMED, 1);
    const size_t count = dn_graph(net)->parameters;
    float *in = calloc(count, sizeof *in), *out = calloc(count, sizeof *out);
    dpf_error err;
    for (size_t i = 0; i < count; ++i)
        in[i] = i % 7 ? (float)i * 0.25F : -0.0F;
    in[3] = NAN;
    assert_int_equal(dn_set_values(net, in, &err), DPF_OK);
    assert_int_equal(dn_get_values(net, out, &err), DPF_OK);
    assert_memory_equal(in, out, count * sizeof *in);
    assert_int_equal(dn_seen(net), 0);
    free(in);
    free(out);
    dn_close(net);
}

/* Mean and variance of channel c of what the plain network gives for all pictures. */
static void expect(const float *output, size_t c, double *mean, double *variance) {
    const size_t area = 16, n = PICTURES * area;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < PICTURES; ++i)
        for (size_t k = 0; k < area; ++k)
            sum += (double)output[(i * 4 + c) * area + k];
    *mean = sum / (double)n;
    for (size_t i = 0; i < PICTURES; ++i)
        for (size_t k = 0; k < area; ++k)
            squares += pow((double)output[(i * 4 + c) * area + k] - *mean, 2);
    *variance = squares / (double)(n - 1);
}

static void test_statistics(void **state) {
    (void)state;
    dpf_error err;
    dn_net *net = open_text(NORMED, BATCH), *plain = open_text(PLAIN, 1);
    const size_t count = dn_graph(net)->parameters, few = dn_graph(plain)->parameters;
    float *before = calloc(count, sizeof *before), *after = calloc(count, sizeof *after);
    float *first = calloc(few, sizeof *first), output[PICTURES * 4 * 16];
    dn_recalibration *r;
    assert_int_equal(dn_get_values(net, before, &err), DPF_OK);
    assert_int_equal(dn_recalibrate_start(&r, net, &err), DPF_OK);
    assert_int_equal(dn_recalibrate_layers(r), 2);
    for (size_t k = 0; k < ROUNDS; ++k) {
        dn_data *data = load(net, k * BATCH, BATCH);
        assert_int_equal(dn_recalibrate_add(r, data, &err), DPF_OK);
        dn_data_free(data);
    }
    assert_int_equal(dn_recalibrate_finish(r, &err), DPF_OK);
    dn_recalibrate_free(r);
    assert_int_equal(dn_get_values(net, after, &err), DPF_OK);

    /* layer 0 holds 4 biases, 4 scales, 4 means, 4 variances, weights; the plain one 4 biases, weights */
    memcpy(first + 4, before + 16, (few - 4) * sizeof *first);
    assert_int_equal(dn_set_values(plain, first, &err), DPF_OK);
    dn_data *all = load(plain, 0, PICTURES);
    assert_int_equal(dn_predict(plain, all, output, &err), DPF_OK);
    dn_data_free(all);
    for (size_t c = 0; c < 4; ++c) {
        double mean, variance;
        expect(output, c, &mean, &variance);
        /* floats summed in another order */
        assert_true(fabs((double)after[8 + c] - mean) < 1e-5);
        assert_true(fabs((double)after[12 + c] - variance) < 1e-5 * (1 + variance));
    }
    /* nothing but statistics has changed: those of layer 0, and of the layer behind the dropout */
    const size_t second = dn_graph(net)->layers[2].offset;
    size_t changed = 0;
    for (size_t i = 0; i < count; ++i) {
        int statistic = (i >= 8 && i < 16) || (i >= second + 4 && i < second + 8);
        if (memcmp(&before[i], &after[i], sizeof(float)) != 0) {
            assert_true(statistic);
            ++changed;
        }
    }
    assert_int_equal(changed, 12);
    free(before);
    free(after);
    free(first);
    dn_close(net);
    dn_close(plain);
}

/* Twice the same: no random number (of the dropout) gets in. */
static void test_repeats(void **state) {
    (void)state;
    dpf_error err;
    float *values[2];
    size_t count = 0;
    for (int run = 0; run < 2; ++run) {
        dn_net *net = open_text(NORMED, BATCH);
        dn_recalibration *r;
        count = dn_graph(net)->parameters;
        values[run] = calloc(count, sizeof **values);
        for (int i = 0; i <= run; ++i) {
            dn_data *data = load(net, 0, BATCH);
            if (i < run) { /* one more forward pass before: draws numbers if anything does */
                float output[BATCH * 2 * 16];
                assert_int_equal(dn_predict(net, data, output, &err), DPF_OK);
                dn_data_free(data);
                continue;
            }
            assert_int_equal(dn_recalibrate_start(&r, net, &err), DPF_OK);
            assert_int_equal(dn_recalibrate_add(r, data, &err), DPF_OK);
            assert_int_equal(dn_recalibrate_finish(r, &err), DPF_OK);
            dn_recalibrate_free(r);
            dn_data_free(data);
        }
        assert_int_equal(dn_get_values(net, values[run], &err), DPF_OK);
        dn_close(net);
    }
    assert_memory_equal(values[0], values[1], count * sizeof **values);
    free(values[0]);
    free(values[1]);
}

static void test_refusals(void **state) {
    (void)state;
    dpf_error err;
    dn_net *net = open_text(NORMED, BATCH);
    dn_recalibration *r, *another;
    assert_int_equal(dn_recalibrate_start(&r, net, &err), DPF_OK);
    assert_int_equal(dn_recalibrate_start(&another, net, &err), DPF_ERR_ARGUMENT);
    assert_null(another);
    assert_int_equal(dn_recalibrate_finish(r, &err), DPF_ERR_ARGUMENT); /* no pictures */
    dn_data *data = load(net, 0, 1);
    assert_int_equal(dn_recalibrate_add(r, data, &err), DPF_ERR_ARGUMENT);
    dn_data_free(data);
    dn_recalibrate_free(r);
    dn_close(net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
