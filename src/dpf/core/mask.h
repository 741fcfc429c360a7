/* SPDX-License-Identifier: MIT
 *
 * Bit masks over weights: bit j (word j/64, bit j%64) = 1 keeps weight j.
 *
 * What must stay true: bits past the last weight are 0; a pruned weight becomes
 * +0 whatever it was, a kept one keeps its bits (also -0 and denormals).
 */
#ifndef DPF_CORE_MASK_H
#define DPF_CORE_MASK_H

#include <stddef.h>
#include <stdint.h>

#include "select.h"

/* Words for `count` bits. */
size_t dpf_mask_words(size_t count);

/* All kept. */
void dpf_mask_fill(uint64_t *mask, size_t count);

size_t dpf_mask_count(const uint64_t *mask, size_t count);

/* Turns the thresholds of a selection into masks and counts, per chunk, the bits
 * that changed. grow=1: what is pruned stays pruned (those weights must be 0);
 * floor of each tensor is then their number. */
void dpf_mask_choose(dpf_selection *selection, uint64_t *const *masks, int grow);

/* out = mask * in, over the chunk. Returns 0 if every weight of `in` is finite. */
int dpf_mask_apply(float *out, const float *in, const uint64_t *mask, size_t count);

#endif
