/* SPDX-License-Identifier: MIT
 *
 * `darknet dpf bench MODEL.dpf|CFG [WEIGHTS]`: how long does a picture take, and where
 * does the time go? Times are of runs one after another in one process, caches warm;
 * the minimum says what the machine can do, the median what it did.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../dpf/core/random.h"
#include "../../dpf/model/modelfile.h"
#include "../terminal/args.h"
#include "dpf_run.h"
#include "../terminal/say.h"
#include "verbs.h"

enum { MOST_RUNS = 100000, LEAST_RUNS = 5, WARM_UP = 2 };

static const char USAGE[] =
    "darknet dpf bench MODEL.dpf|CFG [WEIGHTS] [-sparsity S] [-scope layer|global] [-threads N] [-batch N] "
    "[-kernels auto|dense|sparse|direct|winograd|blas] [-tune] [-seconds N] [-seed N] [-per-layer]";

typedef struct bench {
    dpf_model *model;
    dpf_context *context;
    dpf_model_info info;
    float *input;         /* of one picture */
    double *ms, *step_ms; /* of each run; of each step, the least of all runs */
    double *run_ms;       /* of each step in the run at hand */
    size_t runs;
    double seconds;
} bench;

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static dpf_status run_once(bench *b, double *ms, dpf_error *err) {
    for (int i = 0; i < b->info.batch; i++) {
        dpf_status status = dpf_context_set_planes(b->context, i, b->input, err);
        if (status)
            return status;
    }
    memset(b->run_ms, 0, b->info.steps * sizeof *b->run_ms);
    double start = now_ms();
    dpf_status status = dpf_context_run_timed(b->context, b->run_ms, err);
    *ms = now_ms() - start;
    return status;
}

static dpf_status measure(bench *b, dpf_error *err) {
    double ignored, start = 0;
    dpf_status status = DPF_OK;
    for (int i = 0; i < WARM_UP && !status; i++)
        status = run_once(b, &ignored, err);
    start = now_ms();
    while (!status && b->runs < MOST_RUNS && (b->runs < LEAST_RUNS || now_ms() - start < 1e3 * b->seconds)) {
        status = run_once(b, &b->ms[b->runs], err);
        for (size_t i = 0; i < b->info.steps; i++)
            if (b->runs == 0 || b->run_ms[i] < b->step_ms[i])
                b->step_ms[i] = b->run_ms[i];
        b->runs++;
    }
    qsort(b->ms, b->runs, sizeof *b->ms, by_value);
    return status;
}

static dpf_status prepare(bench *b, const char *path, const char *weights, const dpf_model_options *options,
                          dpf_error *err) {
    dpf_status status = dpf_model_load(&b->model, path, weights, options, err);
    if (!status)
        status = dpf_context_new(&b->context, b->model, err);
    if (status)
        return status;
    dpf_model_get_info(b->model, &b->info);
    b->input = malloc((b->info.inputs + 1) * sizeof *b->input);
    b->ms = malloc(MOST_RUNS * sizeof *b->ms);
    b->step_ms = calloc(b->info.steps + 1, sizeof *b->step_ms);
    b->run_ms = calloc(b->info.steps + 1, sizeof *b->run_ms);
    if (!b->input || !b->ms || !b->step_ms || !b->run_ms)
        return dpf_fail_memory(err, b->info.inputs * sizeof *b->input, "a measurement");
    uint64_t state = 1;
    for (size_t i = 0; i < b->info.inputs; i++)
        b->input[i] = (float)((double)(random_next(&state) >> 40) / 16777216.0);
    return DPF_OK;
}

static void print_layers(const bench *b) {
    dpf_error err;
    printf("%5s %-14s %-19s %9s %9s %9s  %s\n", "layer", "what", "output", "ms", "GFLOP/s", "dense-eq", "kernel");
    for (size_t i = 0; i < b->info.steps; i++) {
        dpf_step_info s;
        char shape[64], useful[32] = "", all[32] = "";
        if (dpf_model_step(b->model, i, &s, &err) != DPF_OK)
            return;
        double per_second = 2e-6 / (b->step_ms[i] > 0 ? b->step_ms[i] : 1e-6);
        snprintf(shape, sizeof shape, "%zu x %zu x %zu", s.w, s.h, s.c);
        if (s.multiply_adds > 0) {
            snprintf(useful, sizeof useful, "%.1f", s.useful * per_second);
            snprintf(all, sizeof all, "%.1f", s.multiply_adds * per_second);
        }
        printf("%5d %-14s %-19s %9.3f %9s %9s  %s%s%s\n", s.layer, s.what, shape, b->step_ms[i], useful, all, s.kernel,
               s.why[0] ? "; " : "", s.why);
    }
}

static void print_result(const bench *b) {
    double sum = 0, least = b->ms[0], median = b->ms[b->runs / 2];
    for (size_t i = 0; i < b->info.steps; i++)
        sum += b->step_ms[i];
    printf("input %d x %d x %d, batch %d, threads %d, runs %zu\n", b->info.width, b->info.height, b->info.channels,
           b->info.batch, b->info.threads, b->runs);
    printf("multiply-adds %.3f G, with weights that are not zero %.3f G (%.1f %%)\n", b->info.multiply_adds / 1e9,
           b->info.useful / 1e9, 100 * b->info.useful / (b->info.multiply_adds > 0 ? b->info.multiply_adds : 1));
    printf("memory: weights %.2f MB, arrays %.2f MB\n", (double)b->info.weight_bytes / 1e6,
           (double)b->info.context_bytes / 1e6);
    printf("useful %.1f GFLOP/s, dense-equivalent %.1f GFLOP/s (minimum time)\n", 2e-6 * b->info.useful / least,
           2e-6 * b->info.multiply_adds / least);
    printf("ms a run: minimum %.3f, median %.3f; sum of the steps' minima %.3f\n", least, median, sum);
}

int dpf_run_bench(int argc, char **argv) {
    bench b = {.seconds = 2};
    dpf_model_options options = {0};
    uint64_t threads = 0, batch = 1, seconds = 2;
    int per_layer = 0;
    const char *words[2], *kernels = NULL, *scope = "layer";
    const args_flag flags[] = {
        {"-sparsity", ARGS_SHARE, &options.sparsity, NULL, 0, 0},
        {"-scope", ARGS_TEXT, &scope, NULL, 0, 0},
        {"-threads", ARGS_COUNT, &threads, NULL, 1, 1024},
        {"-batch", ARGS_COUNT, &batch, NULL, 1, 1024},
        {"-kernels", ARGS_TEXT, &kernels, NULL, 0, 0},
        {"-tune", ARGS_SWITCH, &options.tune, NULL, 0, 0},
        {"-seconds", ARGS_COUNT, &seconds, NULL, 1, 3600},
        {"-seed", ARGS_COUNT, &options.seed, NULL, 0, UINT64_MAX},
        {"-per-layer", ARGS_SWITCH, &per_layer, NULL, 0, 0},
    };
    dpf_error err;
    dpf_status status = args_parse(argc, argv, flags, sizeof flags / sizeof *flags, words, 1, 2, USAGE, &err);
    if (!status)
        status = dpf_run_kernels(kernels, &options.kernels, &err);
    if (!status && strcmp(scope, "global") != 0 && strcmp(scope, "layer") != 0)
        status = dpf_fail(&err, DPF_ERR_RANGE, "-scope '%s': 'layer' or 'global' is wanted", scope);
    if (status)
        return say_error(&err);
    options.global = strcmp(scope, "global") == 0;
    options.threads = (int)threads;
    options.batch = (int)batch;
    options.random = !words[1] && !dpf_modelfile_is_packed(words[0]);
    b.seconds = (double)seconds;
    status = prepare(&b, words[0], words[1], &options, &err);
    if (!status)
        status = measure(&b, &err);
    if (!status && per_layer)
        print_layers(&b);
    if (!status)
        print_result(&b);
    dpf_context_free(b.context);
    dpf_model_free(b.model);
    free(b.input);
    free(b.ms);
    free(b.step_ms);
    free(b.run_ms);
    return status ? say_error(&err) : EXIT_GOOD;
}
