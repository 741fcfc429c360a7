/* SPDX-License-Identifier: MIT
 *
 * The runtime on its own: options change how it computes and not what, a batch is its
 * pictures, boxes and their suppression.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dpf/kernels/cpu.h"
#include "dpf/model/container.h"
#include "dpf/model/weights.h"
#include "runtime_world.h"

static void test_bad_arguments(void **unused) {
    (void)unused;
    dpf_model *m;
    dpf_error err;
    world_write(NET CONV(4, 3, ""));
    assert_int_equal(dpf_model_load(&m, world_path(), NULL, NULL, &err), DPF_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "needs its .weights file"));
    assert_int_equal(dpf_model_load(&m, world_path(), "/nowhere/x.weights", NULL, &err), DPF_ERR_IO);
    assert_int_equal(dpf_model_load(&m, "/nowhere/x.cfg", NULL, NULL, &err), DPF_ERR_IO);
    assert_int_equal(dpf_model_load(&m, world_path(), world_path(), NULL, &err), DPF_ERR_FORMAT);
    const dpf_model_options wrong[] = {{.threads = -1},
                                       {.batch = 1 << 20},
                                       {.sparsity = 1},
                                       {.sparsity = NAN},
                                       {.kernels = (dpf_kernels)(DPF_KERNELS_BLAS + 1)}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(dpf_model_load(&m, world_path(), world_path(), &wrong[i], &err), DPF_ERR_RANGE);
    assert_null(m);

    m = world_load(NET CONV(4, 3, ""), (dpf_model_options){.threads = 1});
    dpf_context *c;
    dpf_output_info o;
    size_t index;
    unsigned char pixel[4] = {0};
    assert_int_equal(dpf_context_new(&c, m, &err), DPF_OK);
    assert_int_equal(dpf_context_set_pixels(c, 1, pixel, 1, 1, 3, DPF_FIT_RESIZE, &err), DPF_ERR_ARGUMENT);
    assert_int_equal(dpf_context_set_pixels(c, 0, pixel, 1, 1, 4, DPF_FIT_RESIZE, &err), DPF_ERR_MISMATCH);
    assert_int_equal(dpf_context_set_pixels(c, 0, pixel, 0, 1, 3, DPF_FIT_RESIZE, &err), DPF_ERR_RANGE);
    assert_int_equal(dpf_model_output(m, 1, &o, &err), DPF_ERR_ARGUMENT);
    assert_int_equal(dpf_model_find_output(m, "yolo3", &index, &err), DPF_ERR_ARGUMENT);
    assert_int_equal(dpf_model_find_output(m, "convolutional0", &index, &err), DPF_OK);
    assert_int_equal(index, 0);
    dpf_context_free(c);
    dpf_model_free(m);
}

/* Engines, threads, batch and memory plan change how it is computed, not what. */
static void test_options_agree(void **unused) {
    (void)unused;
    float *input = world_input(32 * 32 * 3, 9), *want = NULL;
    size_t count = 0;
    for (int i = 0; i < 24; i++) {
        const int batch = 1 + 2 * (i / 12);
        dpf_model *m = world_load(world_detector, (dpf_model_options){.threads = 1 + i % 2,
                                                                      .batch = batch,
                                                                      .kernels = (dpf_kernels)(i % 6),
                                                                      .tune = i % 12 >= 6,
                                                                      .keep_layers = i % 4 == 3,
                                                                      .sparsity = 0.8});
        dpf_context *c;
        dpf_error err;
        dpf_model_info info;
        assert_int_equal(dpf_context_new(&c, m, &err), DPF_OK);
        for (int k = 1; k < batch; k++)
            assert_int_equal(dpf_context_set_planes(c, k, input, &err), DPF_OK);
        float *got = world_run(m, c, input, &count);
        dpf_model_get_info(m, &info);
        assert_true(info.useful < 0.35 * info.multiply_adds);
        for (size_t k = 0; k < count && want; k++)
            if (!(fabsf(got[k] - want[k]) <= 2e-5f * (1 + fabsf(want[k]))))
                fail_msg("options %d: value %zu is %g, was %g", i, k, (double)got[k], (double)want[k]);
        for (int k = 1; k < batch; k++) {
            const float *other;
            assert_int_equal(dpf_context_output(c, k, info.outputs - 1, &other, &err), DPF_OK);
            for (size_t n = 0; n < count; n++)
                assert_true(fabsf(other[n] - got[n]) <= 2e-5f * (1 + fabsf(got[n])));
        }
        if (!want)
            want = got;
        else
            free(got);
        dpf_context_free(c);
        dpf_model_free(m);
    }
    free(want);
    free(input);
}

/* What oneDNN takes for itself during a run it gives back. */
static void test_no_allocation(void **unused) {
    (void)unused;
    dpf_model *m = world_load(world_detector, (dpf_model_options){.threads = 2, .sparsity = 0.8});
    float *input = world_input(32 * 32 * 3, 9);
    dpf_context *c;
    dpf_error err;
    assert_int_equal(dpf_context_new(&c, m, &err), DPF_OK);
    size_t before = 0;
    for (int i = 0; i < 60; i++) {
        if (i == 10)
            before = mallinfo2().uordblks;
        assert_int_equal(dpf_context_set_planes(c, 0, input, &err), DPF_OK);
        assert_int_equal(dpf_context_run(c, &err), DPF_OK);
    }
    assert_int_equal(mallinfo2().uordblks, before);
    dpf_context_free(c);
    dpf_model_free(m);
    free(input);
}

/* Nonzeros of the convolutions in order. */
static size_t kept_weights(const dpf_model *m, size_t kept[4]) {
    dpf_step_info info;
    dpf_error err;
    size_t count = 0;
    for (size_t k = 0; dpf_model_step(m, k, &info, &err) == DPF_OK && count < 4; k++)
        if (strcmp(info.what, "convolutional") == 0)
            kept[count++] = (size_t)(info.useful / (double)(info.h * info.w) + 0.5);
    return count;
}

/* One ranking over all layers prunes exactly as many, and of random weights most where a filter has the most of
 * them; of weights in files it takes the smallest wherever they are. */
static void test_one_ranking(void **unused) {
    (void)unused;
    static const char text[] =
        NET CONV(16, 3, "batch_normalize=1") CONV(32, 3, "") CONV(64, 3, "") CONV(8, 1, "") "[softmax]\n";
    static const size_t sizes[] = {432, 4608, 18432, 512};
    const dpf_model_options global = {.threads = 1, .sparsity = 0.75, .global = 1, .kernels = DPF_KERNELS_DIRECT};
    size_t kept[4], parameters = 0;
    dpf_model *m = world_load(text, global);
    assert_int_equal(kept_weights(m, kept), 4);
    assert_int_equal(kept[0] + kept[1] + kept[2], (432 + 4608 + 18432) / 4);
    assert_true(kept[0] > 250 && kept[1] * 4 > 4608 && kept[2] * 4 < 18432);
    assert_int_equal(kept[3], 512); /* the head is not prunable */
    dpf_model_free(m);
    for (size_t i = 0; i < 4; i++)
        parameters += sizes[i] + (i == 0 ? 4 * 16 : i == 3 ? 8 : (size_t)16 << i);
    float *values = calloc(parameters, sizeof *values);
    assert_non_null(values);
    size_t at = 4 * 16; /* small weights first, the largest in the third layer */
    for (size_t i = 0; i < 4; at += sizes[i++]) {
        at += i == 0 ? 0 : i == 3 ? 8 : (size_t)16 << i;
        for (size_t k = 0; k < sizes[i]; k++)
            values[at + k] = (float)(i + 1) + (float)k * 1e-6f;
    }
    assert_int_equal(at, parameters);
    char weights[128], packed[128];
    dpf_error err;
    snprintf(weights, sizeof weights, "%s.weights", world_path());
    snprintf(packed, sizeof packed, "%s.dpf", world_path());
    const dpf_weights_header header = {0, 2, 0, 0, 20};
    if (dpf_weights_write(weights, &header, values, parameters, &err) ||
        dpf_container_pack(world_path(), weights, packed, &(dpf_container_options){.level = 1}, &err))
        fail_msg("%s", err.text);
    for (int form = 0; form < 2; form++) {
        if (dpf_model_load(&m, form ? packed : world_path(), form ? NULL : weights, &global, &err))
            fail_msg("%s", err.text);
        assert_int_equal(kept_weights(m, kept), 4);
        assert_int_equal(kept[0] + kept[1], 0);
        assert_int_equal(kept[2], (432 + 4608 + 18432) / 4);
        dpf_model_free(m);
    }
    unlink(weights);
    unlink(packed);
    free(values);
}

/* The two usual max-poolings on plain planes, and odd sizes beside them, against their definition. */
static void test_maxpool(void **unused) {
    (void)unused;
    static const int sizes[][5] = {{8, 6, 2, 2, 1},    {7, 9, 2, 2, 1},   {13, 13, 2, 1, 1},
                                   {200, 90, 2, 2, 0}, {5, 5, 3, 2, 2},   {1, 1, 2, 1, 1},
                                   {13, 13, 5, 1, 4},  {2, 300, 2, 1, 1}, {150, 150, 2, 1, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const int *s = sizes[i], w = s[0], h = s[1];
        char text[256];
        snprintf(text, sizeof text,
                 "[net]\nwidth=%d\nheight=%d\nchannels=5\n[maxpool]\nsize=%d\nstride=%d\npadding=%d\n", w, h, s[2],
                 s[3], s[4]);
        dpf_model *m = world_load(text, (dpf_model_options){.threads = 2});
        dpf_context *c;
        dpf_error err;
        dpf_output_info o;
        size_t count;
        float *in = world_input(5 * (size_t)w * (size_t)h, i);
        assert_int_equal(dpf_context_new(&c, m, &err), DPF_OK);
        float *out = world_run(m, c, in, &count);
        assert_int_equal(dpf_model_output(m, 0, &o, &err), DPF_OK);
        for (size_t at = 0; at < count; at++) {
            int x0 = (int)(at % o.w) * s[3] - s[4] / 2, y0 = (int)(at / o.w % o.h) * s[3] - s[4] / 2;
            float most = -INFINITY;
            for (int y = y0; y < y0 + s[2]; y++)
                for (int x = x0; x < x0 + s[2]; x++)
                    if (x >= 0 && x < w && y >= 0 && y < h)
                        most = fmaxf(most, in[((int)(at / (o.w * o.h)) * h + y) * w + x]);
            if (out[at] != most)
                fail_msg("pooling %zu at %zu: %g, should be %g", i, at, (double)out[at], (double)most);
        }
        free(in);
        free(out);
        dpf_context_free(c);
        dpf_model_free(m);
    }
}

/* Memory is shared over time: far less than the sum of all layers. */
static void test_memory(void **unused) {
    (void)unused;
    char text[8192] = NET;
    for (int i = 0; i < 40; i++)
        strcat(text, CONV(32, 3, "activation=leaky"));
    dpf_model *m = world_load(text, (dpf_model_options){.threads = 1, .kernels = DPF_KERNELS_DIRECT});
    dpf_model *kept =
        world_load(text, (dpf_model_options){.threads = 1, .kernels = DPF_KERNELS_DIRECT, .keep_layers = 1});
    dpf_model_info info, all;
    dpf_model_get_info(m, &info);
    dpf_model_get_info(kept, &all);
    size_t layer = 32 * 32 * 32 * sizeof(float);
    assert_true(info.context_bytes < 16 * layer); /* OpenBLAS has a megabyte of columns */
    assert_true(all.context_bytes >= 40 * layer);
    dpf_model_free(m);
    dpf_model_free(kept);
}

/* One cell of 1 x 1: what comes out of the head is what goes in, so boxes can be written down. */
static void test_boxes(void **unused) {
    (void)unused;
    static const char head[] =
        "[net]\nwidth=2\nheight=1\nchannels=16\n[yolo]\nmask=0,1\nanchors=1,1,2,1\nclasses=3\nnum=2\nnew_coords=1\n"
        "scale_x_y=2\n";
    dpf_model *m = world_load(head, (dpf_model_options){.threads = 1});
    dpf_context *c;
    dpf_error err;
    const dpf_object *found;
    size_t count;
    float in[16][2] = {{0}};
    assert_int_equal(dpf_context_new(&c, m, &err), DPF_OK);
    for (int n = 0; n < 2; n++) { /* two boxes in the left cell, nearly the same place */
        in[8 * n + 0][0] = 0.5f;  /* 2 * 0.5 - 0.5 = the cell's middle */
        in[8 * n + 1][0] = 0.5f;
        in[8 * n + 2][0] = n ? 0.5f : 0.7071068f; /* squared, times 4, times the anchor */
        in[8 * n + 3][0] = 0.5f;
        in[8 * n + 4][0] = n ? 0.9f : 0.8f;
        in[8 * n + 5][0] = 1;
        in[8 * n + 7][0] = n ? 0 : 1;
    }
    assert_int_equal(dpf_context_set_planes(c, 0, &in[0][0], &err), DPF_OK);
    assert_int_equal(dpf_context_run(c, &err), DPF_OK);
    assert_int_equal(dpf_context_detections(c, 0, NULL, &found, &count, &err), DPF_OK);
    assert_int_equal(count, 2); /* class 0 of the better box, class 2 of the other */
    assert_int_equal(found[0].class_id, 0);
    assert_true(fabsf(found[0].probability - 0.9f) < 1e-6f && fabsf(found[1].probability - 0.8f) < 1e-6f);
    assert_int_equal(found[1].class_id, 2);
    assert_true(fabsf(found[0].x - 0.25f) < 1e-6f && fabsf(found[0].y - 0.5f) < 1e-6f);
    assert_true(fabsf(found[0].w - 1) < 1e-6f && fabsf(found[0].h - 1) < 1e-6f);
    assert_true(fabsf(found[1].w - 1) < 1e-6f);

    const dpf_detect_options none = {.nms = DPF_NMS_NONE}, high = {.thresh = 0.85},
                             box = {.width = 100, .height = 100, .fit = DPF_FIT_LETTERBOX};
    assert_int_equal(dpf_context_detections(c, 0, &none, &found, &count, &err), DPF_OK);
    assert_int_equal(count, 3);
    assert_int_equal(dpf_context_detections(c, 0, &high, &found, &count, &err), DPF_OK);
    assert_int_equal(count, 1);
    /* a square in the middle of 2 x 1: the share of x moves, 0.25 is its left edge */
    assert_int_equal(dpf_context_detections(c, 0, &box, &found, &count, &err), DPF_OK);
    assert_true(fabsf(found[0].x) < 1e-6f && fabsf(found[0].w - 2) < 1e-6f);
    const dpf_detect_options wrong = {.thresh = 2};
    assert_int_equal(dpf_context_detections(c, 0, &wrong, &found, &count, &err), DPF_ERR_RANGE);
    dpf_context_free(c);
    dpf_model_free(m);
}

/* Layers that stock Darknet lacks, or crashes on, against their definitions. */
static void test_fork_layers(void **unused) {
    (void)unused;
    dpf_model *m =
        world_load("[net]\nwidth=4\nheight=4\nchannels=3\n[reorg3d]\nstride=2\n[avgpool]\n[scale_channels]\nfrom=0\n"
                   "[sam]\nfrom=0\n[activation]\nactivation=relu6\n[local_avgpool]\nsize=2\nstride=2\npadding=0\n",
                   (dpf_model_options){.threads = 1, .keep_layers = 1});
    dpf_context *c;
    dpf_error err;
    float in[48];
    const float *layer[6];
    for (int i = 0; i < 48; i++)
        in[i] = (float)(i % 7) - 2;
    assert_int_equal(dpf_context_new(&c, m, &err), DPF_OK);
    assert_int_equal(dpf_context_set_planes(c, 0, in, &err), DPF_OK);
    assert_int_equal(dpf_context_run(c, &err), DPF_OK);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(dpf_context_output(c, 0, i, &layer[i], &err), DPF_OK);
    for (int k = 0; k < 12; k++) {
        float mean = 0, average = 0;
        for (int i = 0; i < 4; i++) {
            int y = i / 2 * 2 + k / 3 / 2, x = i % 2 * 2 + k / 3 % 2;
            assert_true(layer[0][4 * k + i] == in[k % 3 * 16 + y * 4 + x]);
            mean += layer[0][4 * k + i] / 4;
        }
        assert_true(fabsf(layer[1][k] - mean) < 1e-6f);
        for (int i = 0; i < 4; i++) {
            float scaled = mean * layer[0][4 * k + i], product = scaled * layer[0][4 * k + i];
            float bent = product < 0 ? 0 : product > 6 ? 6 : product;
            assert_true(fabsf(layer[2][4 * k + i] - scaled) < 1e-5f);
            assert_true(fabsf(layer[3][4 * k + i] - product) < 1e-4f);
            assert_true(fabsf(layer[4][4 * k + i] - bent) < 1e-4f);
            average += bent / 4;
        }
        assert_true(fabsf(layer[5][k] - average) < 1e-4f);
    }
    dpf_context_free(c);
    dpf_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_arguments), cmocka_unit_test(test_memory),      cmocka_unit_test(test_options_agree),
        cmocka_unit_test(test_no_allocation), cmocka_unit_test(test_maxpool),     cmocka_unit_test(test_boxes),
        cmocka_unit_test(test_fork_layers),   cmocka_unit_test(test_one_ranking),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
