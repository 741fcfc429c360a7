/* SPDX-License-Identifier: MIT
 *
 * Ranking by magnitude: which k weights are the smallest. The bits of |w|, read
 * as an unsigned number, sort like |w| itself (denormals included, -0 equals 0),
 * so a radix descent over these 31 bits finds the exact threshold in three reads
 * of the weights, without sorting and whatever the mode of the FPU is.
 *
 * What must stay true: the result is the one a stable sort by (|w|, tensor, index)
 * would give, from the lowest; of equal magnitudes the lower tensor, then the
 * lower index, is pruned first. It never depends on the number of threads: only
 * integers are added up across them.
 */
#ifndef DPF_CORE_SELECT_H
#define DPF_CORE_SELECT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "error.h"

/* One weight array in a selection. */
typedef struct dpf_ranked {
    const float *weights;
    size_t count;
    int together;       /* in: 1 = ranked with the others of this kind, 0 = `pruned` is given */
    size_t floor, cap;  /* in: at least and at most so many are pruned; together only */
    size_t pruned;      /* in with together=0, else out: how many are pruned */
    uint32_t threshold; /* out: smaller magnitude keys are pruned, ... */
    size_t ties;        /* ... and the first `ties` of those that equal it */
    /* working state of the descent */
    int active;
    uint32_t prefix;
    size_t below, equal;
} dpf_ranked;

/* A piece of one tensor: the unit of work of one thread. `first` is a multiple of
 * 64, so that no two pieces share a word of the mask. */
typedef struct dpf_chunk {
    size_t tensor, first, count;
    size_t ties; /* for the mask: how many of the equal keys here are pruned */
    size_t flips, revived;
} dpf_chunk;

typedef struct dpf_selection {
    dpf_ranked *tensors;
    size_t count;
    dpf_chunk *chunks;
    size_t chunk_count;
    int parallel;       /* enough work for threads to pay off */
    size_t *top, *next; /* histograms, one row a tensor: of the top digit, of a lower one */
} dpf_selection;

/* Keys from here on are infinity, then NaNs. Bits are tested, not isnan(): that one
 * is a constant under some compiler options. */
#define DPF_INFINITY_KEY 0x7f800000U

static inline uint32_t dpf_magnitude_key(float weight) {
    uint32_t bits;
    memcpy(&bits, &weight, sizeof bits);
    return bits & 0x7fffffffU;
}

/* Prepares for `count` tensors with weights and count already set by the caller in
 * *tensors (borrowed). On failure *selection needs no clearing. */
dpf_status dpf_selection_init(dpf_selection *selection, dpf_ranked *tensors, size_t count, dpf_error *err);
void dpf_selection_clear(dpf_selection *selection);

/* First read of the weights. Returns 0 when all are finite, else 1 and where the
 * first NaN or infinity is. Must precede dpf_selection_run. */
int dpf_selection_scan(dpf_selection *selection, size_t *tensor, size_t *index);

/* Chooses thresholds: `total` weights over the tensors ranked together (the sum of
 * their floors <= total <= the sum of their caps), `pruned` in each other one. A
 * tensor that reaches its cap keeps its largest weights and the others fill up. */
void dpf_selection_run(dpf_selection *selection, size_t total);

#endif
