/* SPDX-License-Identifier: MIT
 *
 * networks ROUNDS CFG...: whole networks by our runtime, dense and sparse, on one thread
 * and on all, against the forward pass of Darknet as it is installed, in one interleaved
 * run; batch 1, random weights, of which that share of each prunable layer is zeros, or
 * (kernels "auto one ranking") of all of them together, the smallest, as in training.
 * Writes CSV:
 *
 *   network, threads, sparsity (%), kernels    what runs; "libdarknet": the rival
 *   ms, median ms                              minimum and median of all runs
 *   over direct, over dense, over libdarknet   how many times as fast as that on as many
 *                                              threads (libdarknet has one), by minima;
 *                                              over dense: the best dense kernel a layer
 *   median over ...                            the same by medians
 *   MB                                         weights and arrays
 *
 * A round is one run of the rival and some of each of ours. A cfg that the installed
 * Darknet cannot run has no rival.
 */
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dpf/core/random.h"
#include "dpf/darknet/adapter.h"
#include "dpf/dpf.h"
#include "dpf/kernels/cpu.h"
#include "timing.h"

enum { MOST_ROUNDS = 200, INNER = 4, KINDS = 8, CASES = 1 + 2 * KINDS, DIRECT = 0, DENSE = 1, OTHERS = 3 };

static const struct {
    const char *name;
    dpf_kernels kernels;
    double sparsity;
    int global;
} kinds[KINDS] = {
    {"direct", DPF_KERNELS_DIRECT, 0, 0},
    {"dense", DPF_KERNELS_DENSE, 0, 0},
    {"auto", DPF_KERNELS_AUTO, 0.8, 0},
    {"auto", DPF_KERNELS_AUTO, 0.9, 0},
    {"auto", DPF_KERNELS_AUTO, 0.95, 0},
    {"auto one ranking", DPF_KERNELS_AUTO, 0.8, 1},
    {"auto one ranking", DPF_KERNELS_AUTO, 0.9, 1},
    {"auto one ranking", DPF_KERNELS_AUTO, 0.95, 1},
};

/* Case 0 is the rival. */
typedef struct net_case {
    int threads, kind;
    dpf_model *model;
    dpf_context *context;
    double ms[MOST_ROUNDS * INNER];
    int count;
} net_case;

static dn_net *rival;
static net_case cases[CASES];

static void die(const dpf_error *err) {
    fprintf(stderr, "bench/networks: %s\n", err->text);
    exit(1);
}

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* Returns how many cases there are. */
static int open_cases(const char *cfg) {
    dpf_error err;
    const dn_open_args args = {.cfg_path = cfg, .batch = 1, .threads = 1, .quiet = 1, .unhooked = 1};
    const int cores = omp_get_num_procs();
    int count = 1;
    if (dn_open(&rival, &args, &err) != DPF_OK) {
        fprintf(stderr, "bench/networks: no rival: %s\n", err.text);
        rival = NULL;
    }
    memset(cases, 0, sizeof cases);
    cases[0].threads = 1;
    for (int threads = 1; threads <= 2 && threads <= cores; threads++)
        for (int k = 0; k < KINDS; k++) {
            net_case *c = &cases[count++];
            const dpf_model_options o = {.threads = threads,
                                         .kernels = kinds[k].kernels,
                                         .sparsity = kinds[k].sparsity,
                                         .global = kinds[k].global,
                                         .tune = kinds[k].kernels != DPF_KERNELS_DIRECT,
                                         .random = 1,
                                         .seed = 1};
            c->threads = threads;
            c->kind = k;
            if (dpf_model_load(&c->model, cfg, NULL, &o, &err) || dpf_context_new(&c->context, c->model, &err))
                die(&err);
        }
    return count;
}

static void close_cases(int count) {
    for (int i = 1; i < count; i++) {
        dpf_context_free(cases[i].context);
        dpf_model_free(cases[i].model);
    }
    dn_close(rival);
    rival = NULL;
}

static void run_rival(const float *input) {
    dpf_detections found;
    dpf_error err;
    double start = now_ms();
    if (dn_detect(rival, input, 0, 0, 1, &found, &err) != DPF_OK) /* nothing is above 1: forward is all there is */
        die(&err);
    cases[0].ms[cases[0].count++] = now_ms() - start;
    dpf_detections_free(&found);
}

static void run_case(net_case *c, const float *input) {
    dpf_error err;
    for (int i = 0; i < INNER; i++) {
        if (dpf_context_set_planes(c->context, 0, input, &err) != DPF_OK)
            die(&err);
        double start = now_ms();
        if (dpf_context_run(c->context, &err) != DPF_OK)
            die(&err);
        c->ms[c->count++] = now_ms() - start;
    }
}

static void print_ratio(const net_case *mine, const net_case *other, int middle) {
    if (other->count == 0)
        printf(",");
    else if (middle)
        printf(",%.2f", other->ms[other->count / 2] / mine->ms[mine->count / 2]);
    else
        printf(",%.2f", other->ms[0] / mine->ms[0]);
}

static void print_case(const char *network, const net_case *c) {
    if (c->count == 0)
        return;
    if (c == &cases[0]) {
        printf("%s,1,0,libdarknet,%.3f,%.3f,,,,,,,\n", network, c->ms[0], c->ms[c->count / 2]);
        return;
    }
    const net_case *first = &cases[1 + (c->threads - 1) * KINDS];
    const net_case *others[OTHERS] = {&first[DIRECT], &first[DENSE], &cases[0]};
    dpf_model_info info;
    dpf_model_get_info(c->model, &info);
    printf("%s,%d,%.0f,%s,%.3f,%.3f", network, c->threads, 100 * kinds[c->kind].sparsity, kinds[c->kind].name, c->ms[0],
           c->ms[c->count / 2]);
    for (int middle = 0; middle < 2; middle++)
        for (size_t i = 0; i < OTHERS; i++)
            print_ratio(c, others[i], middle);
    printf(",%.1f\n", (double)(info.weight_bytes + info.context_bytes) / 1e6);
}

static void measure(const char *cfg, int rounds) {
    dpf_model_info info;
    const int count = open_cases(cfg);
    dpf_model_get_info(cases[1].model, &info);
    float *input = malloc((info.inputs + 1) * sizeof *input);
    uint64_t seed = 1;
    if (!input)
        exit(1);
    for (size_t i = 0; i < info.inputs; i++)
        input[i] = (float)((double)(random_next(&seed) >> 40) / 16777216.0);
    for (int r = -1; r < rounds; r++) {
        if (rival)
            run_rival(input);
        for (int i = 1; i < count; i++)
            run_case(&cases[i], input);
        for (int i = 0; i < count && r < 0; i++) /* the first round warms up */
            cases[i].count = 0;
    }
    for (int i = 0; i < count; i++) {
        qsort(cases[i].ms, (size_t)cases[i].count, sizeof(double), by_value);
    }
    for (int i = 0; i < count; i++)
        print_case(name_of(cfg), &cases[i]);
    fflush(stdout);
    free(input);
    close_cases(count);
}

int main(int argc, char **argv) {
    const int rounds = argc > 2 ? atoi(argv[1]) : 0;
    if (rounds < 1 || rounds > MOST_ROUNDS) {
        fprintf(stderr, "usage: networks ROUNDS CFG...; 1 to %d rounds\n", MOST_ROUNDS);
        return 1;
    }
    printf("# whole networks, batch 1, random weights, %s; minimum and median of %d runs, interleaved\n",
           dpf_isa_name(dpf_cpu_isa()), rounds * INNER);
    printf("network,threads,sparsity,kernels,ms,median ms,over direct,over dense,over libdarknet,median over direct,"
           "median over dense,median over libdarknet,MB\n");
    for (int i = 2; i < argc; i++)
        measure(argv[i], rounds);
    return 0;
}
