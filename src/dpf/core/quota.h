/* SPDX-License-Identifier: MIT
 *
 * Splitting a whole number over tensors in given shares: largest remainders.
 */
#ifndef DPF_CORE_QUOTA_H
#define DPF_CORE_QUOTA_H

#include <stddef.h>

typedef struct dpf_quota {
    int member;       /* 0: not part of the split, left alone */
    double want;      /* the share, a real number */
    size_t low, high; /* what it may be */
    size_t got;       /* out */
} dpf_quota;

/* Rounds every share to the nearest whole number within low..high. Returns the sum. */
size_t dpf_quota_round(dpf_quota *quotas, size_t count);

/* Then moves them by single weights until the sum is exactly `total`: the next one
 * goes to (comes from) the tensor that is furthest below (above) its share; of
 * equals, to the first. `total` must lie between the sums of low and high. */
void dpf_quota_split(dpf_quota *quotas, size_t count, size_t total);

#endif
