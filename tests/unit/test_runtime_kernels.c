/* SPDX-License-Identifier: MIT
 *
 * Which kernels the layers of the runtime get, and what they do besides: the maxpool that follows, planes that begin at
 * whole vectors. The result is always that of plain steps.
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
#include "dpf/runtime/model.h"
#include "runtime_world.h"

/* What is asked for is what runs, where it can: "kernel" of each convolution, and the reason names those it was
 * chosen from. */
static void test_kernels(void **unused) {
    (void)unused;
    static const struct {
        dpf_kernels kernels;
        const char *first, *second; /* convolutions 3x3 and 1x1 */
    } cases[] = {{DPF_KERNELS_SPARSE, "sparse", "sparse"},
                 {DPF_KERNELS_BLAS, "OpenBLAS", "OpenBLAS"},
                 {DPF_KERNELS_DIRECT, "oneDNN jit", "oneDNN jit_1x1"},
                 {DPF_KERNELS_WINOGRAD, "wino", "oneDNN jit_1x1"}};
    static const char text[] = NET CONV(64, 3, "") CONV(64, 3, "") CONV(32, 1, "");
#ifdef DPF_NO_DNNL
    const int compiled = 0;
#else
    const int compiled = dpf_cpu_isa() == DPF_ISA_AVX512; /* oneDNN's Winograd is */
#endif
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dpf_step_info info;
        dpf_error err;
        dpf_model *m = world_load(text, (dpf_model_options){.threads = 1, .kernels = cases[i].kernels});
        const char *found[3] = {""};
        size_t count = 0;
        for (size_t k = 0; dpf_model_step(m, k, &info, &err) == DPF_OK; k++)
            if (strcmp(info.what, "convolutional") == 0)
                found[count++] = info.kernel;
        assert_int_equal(count, 3);
        if (compiled && (!strstr(found[1], cases[i].first) || !strstr(found[2], cases[i].second)))
            fail_msg("wanted %s and %s, got %s and %s", cases[i].first, cases[i].second, found[1], found[2]);
        dpf_model_free(m);
    }
    for (int tune = 0; tune < 2; tune++) {
        dpf_step_info info;
        dpf_error err;
        dpf_model *m = world_load(text, (dpf_model_options){.threads = 1, .sparsity = 0.7, .tune = tune});
        assert_int_equal(dpf_model_step(m, 0, &info, &err), DPF_OK);
        if (!strstr(info.why, "30.0 % of weights") || !strstr(info.why, tune ? "measured" : "modelled") ||
            !strstr(info.why, "sparse "))
            fail_msg("reason: %s", info.why);
        dpf_model_free(m);
    }
}

/* Depthwise layers have a kernel of their own, but for different strides and dilation; where it is asked for by
 * nobody it does not run. The result is that of OpenBLAS. */
static void test_depthwise(void **unused) {
    (void)unused;
    static const struct {
        const char *keys;
        int own;
    } cases[] = {{"groups=3\nfilters=3\nsize=3\npad=1\nactivation=leaky\n", 1},
                 {"groups=3\nfilters=6\nsize=5\npad=1\nstride=2\nbatch_normalize=1\nactivation=relu6\n", 1},
                 {"groups=3\nfilters=3\nsize=7\nstride=2\npadding=2\nactivation=mish\n", 1},
                 {"groups=3\nfilters=3\nsize=3\npad=1\nstride_x=2\nstride_y=1\nactivation=leaky\n", 0},
                 {"groups=3\nfilters=3\nsize=3\npad=1\ndilation=2\nactivation=leaky\n", 0},
                 {"groups=1\nfilters=3\nsize=3\npad=1\nactivation=leaky\n", 0}};
    static const dpf_kernels kernels[] = {DPF_KERNELS_BLAS, DPF_KERNELS_AUTO, DPF_KERNELS_DENSE, DPF_KERNELS_AUTO};
    const int fitted = dpf_cpu_isa() == DPF_ISA_AVX512; /* to this the cost model is */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        float *result[4], *input = world_input(32 * 32 * 3, i);
        size_t count[4];
        snprintf(text, sizeof text, "%s[convolutional]\n%s", NET, cases[i].keys);
        for (int k = 0; k < 4; k++) {
            dpf_context *c;
            dpf_step_info info;
            dpf_error err;
            dpf_model *m =
                world_load(text, (dpf_model_options){.threads = 1 + k % 2, .kernels = kernels[k], .tune = k == 3});
            assert_int_equal(dpf_context_new(&c, m, &err), DPF_OK);
            for (size_t step = 0; dpf_model_step(m, step, &info, &err) == DPF_OK; step++)
                if (strcmp(info.what, "convolutional") == 0)
                    break; /* in front of it: a conversion */
            const int runs = strncmp(info.kernel, "depthwise ", 10) == 0;
            if (k == 3 ? cases[i].own && !strstr(info.why, "depthwise ")
                       : runs != (k && cases[i].own) && (fitted || !cases[i].own))
                fail_msg("case %zu, option %d: runs on %s; %s", i, k, info.kernel, info.why);
            result[k] = world_run(m, c, input, &count[k]);
            dpf_context_free(c);
            dpf_model_free(m);
        }
        for (int k = 1; k < 4; k++) {
            assert_int_equal(count[k], count[0]);
            for (size_t j = 0; j < count[0]; j++)
                assert_true(fabsf(result[k][j] - result[0][j]) <= 1e-5f);
        }
        for (int k = 0; k < 4; k++)
            free(result[k]);
        free(input);
    }
}

/* A sparse convolution whose output only a maxpool reads does that as well, and dense ones of our own; with
 * oneDNN's Winograd the activation waits for it. One that others read, or whose rows are odd, does not. The result is
 * that of separate steps. */
static void test_pooled_convolution(void **unused) {
    (void)unused;
#define MAX "[maxpool]\nsize=2\nstride=2\n"
#define LEAKY16 NET CONV(16, 3, "activation=leaky")
#ifdef DPF_NO_DNNL
    const size_t few = 0;
#else
    const size_t few = dpf_cpu_isa() == DPF_ISA_AVX512;
#endif
    const struct {
        const char *text;
        size_t pooled;
        dpf_kernels kernels;
    } cases[] = {{LEAKY16 MAX CONV(32, 3, "activation=leaky") MAX CONV(32, 3, "activation=mish") MAX CONV(4, 1, ""), 0,
                  DPF_KERNELS_WINOGRAD},
                 {LEAKY16 MAX CONV(4, 1, ""), few, DPF_KERNELS_DENSE},
                 {LEAKY16 CONV(32, 3, "activation=relu") MAX CONV(4, 1, ""), few, DPF_KERNELS_DENSE},
                 {NET CONV(8, 3, "activation=leaky") MAX CONV(9, 3, "activation=mish") MAX CONV(4, 1, ""), 2,
                  DPF_KERNELS_SPARSE},
                 {NET CONV(8, 3, "activation=leaky") MAX CONV(4, 1, "") "[route]\nlayers=0\n" CONV(4, 1, ""), 0,
                  DPF_KERNELS_SPARSE},
                 {NET CONV(8, 3, "activation=leaky") MAX CONV(4, 1, "") "[route]\nlayers=1\n" CONV(4, 1, ""), 1,
                  DPF_KERNELS_SPARSE},
                 {NET CONV(8, 3, "stride=3") MAX CONV(4, 1, ""), 0, DPF_KERNELS_SPARSE},
                 {NET CONV(8, 3, "") "[maxpool]\nsize=2\nstride=1\n" CONV(4, 1, ""), 0, DPF_KERNELS_SPARSE},
                 {NET CONV(8, 3, "") "[maxpool]\nsize=3\nstride=2\n" CONV(4, 1, ""), 0, DPF_KERNELS_SPARSE}};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        float *input = world_input(32 * 32 * 3, i), *out[2];
        size_t count[2], pooled[2] = {0};
        for (int keep = 0; keep < 2; keep++) {
            dpf_model *m = world_load(cases[i / 2].text, (dpf_model_options){.threads = 2,
                                                                             .batch = 1 + (int)(i % 2),
                                                                             .kernels = cases[i / 2].kernels,
                                                                             .keep_layers = keep,
                                                                             .sparsity = 0.5});
            dpf_context *c;
            dpf_step_info info;
            dpf_error err;
            assert_int_equal(dpf_context_new(&c, m, &err), DPF_OK);
            out[keep] = world_run(m, c, input, &count[keep]);
            for (size_t k = 0; dpf_model_step(m, k, &info, &err) == DPF_OK; k++)
                pooled[keep] += strstr(info.kernel, "with maxpool") != NULL;
            dpf_context_free(c);
            dpf_model_free(m);
        }
        assert_int_equal(pooled[0], cases[i / 2].pooled);
        assert_int_equal(pooled[1], 0);
        assert_int_equal(count[0], count[1]);
        for (size_t k = 0; k < count[0]; k++)
            if (!(fabsf(out[0][k] - out[1][k]) <= 1e-5f * (1 + fabsf(out[1][k]))))
                fail_msg("net %zu at %zu: %g, should be %g", i, k, (double)out[0][k], (double)out[1][k]);
        free(out[0]);
        free(out[1]);
        free(input);
    }
}

/* Between sparse convolutions whose readers can do with it, planes are wide: those of the layers 0 to 4 and 8 here, not
 * of one that a maxpool (5) or a route of two (11) reads, nor of an output. What needs it otherwise (9, whose holes
 * sparse kernels do not do) has it converted. The result is that of planes without gaps. */
static void test_wide_planes(void **unused) {
    (void)unused;
    static const char text[] = "[net]\nwidth=26\nheight=26\nchannels=3\n" CONV(
        24, 3, "stride=2\nactivation=leaky") CONV(32, 1, "activation=leaky") CONV(32, 3, "activation=leaky")
        CONV(32, 1, "") "[shortcut]\nfrom=-3\nactivation=leaky\n" CONV(
            20, 1, "activation=leaky") "[maxpool]\nsize=2\nstride=1\n[route]\nlayers=4\n" CONV(12, 1, "activation=mish")
            CONV(16, 3, "dilation=2\nactivation=leaky") "[route]\nlayers=8\n" CONV(
                10, 1, "") "[route]\nlayers=-1,6\n" CONV(6, 1, "");
    const struct {
        dpf_kernels kernels;
        int tune, keep;
        size_t wide;
    } cases[] = {{DPF_KERNELS_BLAS, 0, 0, 0},
                 {DPF_KERNELS_SPARSE, 0, 0, dense_can_relayout() ? 6 : 0},
                 {DPF_KERNELS_SPARSE, 0, 1, 0},
                 {DPF_KERNELS_AUTO, 1, 0, RT_NONE}}; /* what is faster is not known here */
    enum { CASES = sizeof cases / sizeof *cases };
    for (int batch = 1; batch < 3; batch++) {
        float *input = world_input(26 * 26 * 3, 3), *out[CASES];
        size_t count[CASES];
        for (size_t i = 0; i < CASES; i++) {
            dpf_model *m = world_load(text, (dpf_model_options){.threads = 2,
                                                                .batch = batch,
                                                                .kernels = cases[i].kernels,
                                                                .tune = cases[i].tune,
                                                                .keep_layers = cases[i].keep,
                                                                .sparsity = 0.5});
            dpf_context *c;
            dpf_error err;
            size_t wide = 0;
            for (size_t k = 0; k < m->array_count; k++)
                wide += (size_t)rt_is_wide(&m->arrays[k]);
            if (cases[i].wide != RT_NONE)
                assert_int_equal(wide, cases[i].wide);
            assert_int_equal(dpf_context_new(&c, m, &err), DPF_OK);
            out[i] = world_run(m, c, input, &count[i]);
            assert_int_equal(count[i], count[0]);
            for (size_t k = 0; k < count[0]; k++)
                if (!(fabsf(out[i][k] - out[0][k]) <= 1e-5f * (1 + fabsf(out[0][k]))))
                    fail_msg("case %zu at %zu: %g, should be %g", i, k, (double)out[i][k], (double)out[0][k]);
            dpf_context_free(c);
            dpf_model_free(m);
        }
        for (size_t i = 0; i < CASES; i++)
            free(out[i]);
        free(input);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels),
        cmocka_unit_test(test_depthwise),
        cmocka_unit_test(test_pooled_convolution),
        cmocka_unit_test(test_wide_planes),
    };
    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
