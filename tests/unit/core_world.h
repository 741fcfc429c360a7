/* SPDX-License-Identifier: MIT
 *
 * A small "network" for the tests of the pruner: four weight arrays of odd sizes, and
 * an optimiser that is a random walk. The same seed gives the same walk.
 */
#ifndef TESTS_CORE_WORLD_H
#define TESTS_CORE_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dpf/core/pruner.h"

enum { TENSORS = 4, MOST = 2000, WORDS = MOST / 64 + 1 };
static const size_t sizes[TENSORS] = {432, 2000, 65, 700};

/* A "network" whose optimiser is a random walk. */
typedef struct world {
    dpf_options options;
    dpf_tensor tensors[TENSORS];
    float weights[TENSORS][MOST];
    uint64_t seed;
} world;

static dpf_error err; /* of the last call */

static inline double walk(world *w) {
    w->seed = w->seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return ((double)(w->seed >> 33) / 4294967296.0 - 0.25) * 0.5;
}

static inline void make_world(world *w, double sparsity) {
    memset(w, 0, sizeof *w);
    w->seed = 42;
    w->options = (dpf_options){.sparsity = sparsity, .update_every = 16, .end = 100, .hold = 1000, .feedback = 1};
    static const char *const names[] = {"layer 0", "layer 1", "layer 2", "layer 3"};
    for (size_t i = 0; i < TENSORS; i++) {
        w->tensors[i] = (dpf_tensor){names[i], w->weights[i], sizes[i], -1};
        for (size_t j = 0; j < sizes[i]; j++) {
            w->weights[i][j] = (float)walk(w);
        }
    }
}

/* Every dense weight moves, pruned or not; some land on zero, of either sign. */
static inline void optimise(world *w) {
    for (size_t i = 0; i < TENSORS; i++) {
        for (size_t j = 0; j < sizes[i]; j++) {
            double step = walk(w);
            w->weights[i][j] += (float)step * 0.2F;
            if (fabs(step) < 0.002) {
                w->weights[i][j] = step < 0 ? -0.0F : 0.0F;
            }
        }
    }
}

static inline dpf_pruner *make_pruner(world *w) {
    dpf_pruner *p;
    if (dpf_pruner_new(&p, &w->options, w->tensors, TENSORS, &err)) {
        print_error("%s\n", err.text);
        fail();
    }
    return p;
}

static inline int kept(const dpf_pruner *p, size_t i, size_t j) {
    return (int)(dpf_pruner_mask(p, i)[j / 64] >> (j % 64) & 1);
}

static inline void copy_masks(const dpf_pruner *p, uint64_t masks[TENSORS][WORDS]) {
    memset(masks, 0, sizeof(uint64_t[TENSORS][WORDS]));
    for (size_t i = 0; i < TENSORS; i++) {
        memcpy(masks[i], dpf_pruner_mask(p, i), (sizes[i] + 63) / 64 * 8);
    }
}

static inline int same_masks(const dpf_pruner *p, uint64_t masks[TENSORS][WORDS]) {
    uint64_t now[TENSORS][WORDS];
    copy_masks(p, now);
    return memcmp(now, masks, sizeof now) == 0;
}

static inline dpf_pruner_stats stats_of(const dpf_pruner *p) {
    dpf_pruner_stats stats;
    dpf_pruner_get_stats(p, &stats);
    return stats;
}

static inline size_t count_pruned(const dpf_pruner *p) {
    size_t pruned = 0;
    for (size_t i = 0; i < TENSORS; i++) {
        for (size_t j = 0; j < sizes[i]; j++) {
            pruned += !kept(p, i, j);
        }
    }
    return pruned;
}

#endif
