/* SPDX-License-Identifier: MIT
 *
 * How long a mask update takes: ranks N million weights (60 unless told otherwise) of
 * one network and chooses the mask, on one thread and on all.
 *
 *   rank [MILLIONS [SPARSITY]]
 *
 * "update" is dpf_pruner_start: ranking, mask and w~. "refresh" is what an iteration
 * without an update costs: w~ alone. Ranking is the difference.
 */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dpf/core/pruner.h"
#include "timing.h"

enum { LAYERS = 20, REPEATS = 7 };

/* Bell-shaped, of another width per layer, as trained weights are. */
static void fill(float *weights, size_t count, float width, unsigned long long *state) {
    for (size_t j = 0; j < count; j++) {
        float sum = 0;
        *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
        for (int k = 0; k < 4; k++) {
            sum += (float)(*state >> (k * 16) & 0xffff) - 32767.5F;
        }
        weights[j] = sum * width / 65536;
    }
}

static void print_cpu(void) {
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "model name", 10) == 0) {
            printf("CPU%s", strchr(line, ':'));
            break;
        }
    }
    if (f) {
        fclose(f);
    }
}

static int measure(const dpf_options *options, const dpf_tensor *tensors, int threads) {
    double update[REPEATS], refresh[REPEATS], ranking[REPEATS];
    dpf_pruner *pruner;
    dpf_error err;
    omp_set_num_threads(threads);
    if (dpf_pruner_new(&pruner, options, tensors, LAYERS, &err)) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (int r = -1; r < REPEATS; r++) { /* the first round warms up */
        double start = now_ms();
        dpf_status status = dpf_pruner_start(pruner, 16, &err);
        double middle = now_ms();
        status = status ? status : dpf_pruner_advance(pruner, 17, &err);
        double end = now_ms();
        if (status) {
            fprintf(stderr, "%s\n", err.text);
            dpf_pruner_free(pruner);
            return 1;
        }
        if (r >= 0) {
            update[r] = middle - start;
            refresh[r] = end - middle;
            ranking[r] = update[r] - refresh[r];
        }
    }
    dpf_pruner_free(pruner);
    qsort(update, REPEATS, sizeof *update, by_value);
    qsort(refresh, REPEATS, sizeof *refresh, by_value);
    qsort(ranking, REPEATS, sizeof *ranking, by_value);
    printf("%7d  %8.1f %8.1f  %8.1f %8.1f  %8.1f %8.1f\n", threads, update[0], update[REPEATS / 2], refresh[0],
           refresh[REPEATS / 2], ranking[0], ranking[REPEATS / 2]);
    return 0;
}

int main(int argc, char **argv) {
    double millions = argc > 1 ? atof(argv[1]) : 60;
    double sparsity = argc > 2 ? atof(argv[2]) : 0.9;
    if (!(millions >= 0.001 && millions <= 10000) || !(sparsity >= 0 && sparsity < 1)) {
        fprintf(stderr, "usage: rank [MILLIONS of weights, 0.001 to 10000 [SPARSITY, 0 <= s < 1]]\n");
        return 1;
    }
    size_t count = (size_t)(millions * 1e6 / LAYERS);
    float *weights = malloc(LAYERS * count * sizeof *weights);
    if (!weights) {
        fprintf(stderr, "out of memory: %zu bytes for the weights\n", LAYERS * count * sizeof *weights);
        return 1;
    }
    dpf_tensor tensors[LAYERS];
    unsigned long long state = 1;
    for (size_t i = 0; i < LAYERS; i++) {
        fill(weights + i * count, count, 0.02F + 0.01F * (float)(i % 7), &state);
        tensors[i] = (dpf_tensor){.name = "layer", .weights = weights + i * count, .count = count, .sparsity = -1};
    }
    dpf_options options = {
        .sparsity = sparsity, .update_every = 16, .schedule = DPF_CONSTANT, .hold = 1000, .feedback = 1};
    print_cpu();
    printf("%zu weights in %d layers, sparsity %g, one global ranking; ms, %d rounds\n", LAYERS * count, LAYERS,
           sparsity, REPEATS);
    printf("threads    update: min, median   refresh: min, median   ranking: min, median\n");
    int failed = measure(&options, tensors, 1);
    int all = omp_get_num_procs();
    if (!failed && all > 1) {
        failed = measure(&options, tensors, all);
    }
    free(weights);
    return failed;
}
