/* SPDX-License-Identifier: MIT
 *
 * See mask.h.
 */
#include "mask.h"

size_t dpf_mask_words(size_t count) {
    return count / 64 + (count % 64 != 0);
}

void dpf_mask_fill(uint64_t *mask, size_t count) {
    for (size_t k = 0; k < count / 64; k++) {
        mask[k] = ~UINT64_C(0);
    }
    if (count % 64) {
        mask[count / 64] = (UINT64_C(1) << (count % 64)) - 1;
    }
}

size_t dpf_mask_count(const uint64_t *mask, size_t count) {
    size_t kept = 0;
    for (size_t k = 0; k < dpf_mask_words(count); k++) {
        kept += (size_t)__builtin_popcountll(mask[k]);
    }
    return kept;
}

/* Bit j: the key of weight j is smaller than the limit. Flags as bytes first, which
 * the compiler does in vector registers; then eight bytes of 0 or 1 become eight bits
 * by one multiplication that moves byte k to bit 56 + k. */
static uint64_t smaller(const float *weights, size_t count, uint32_t limit) {
    uint8_t flags[64] = {0};
    uint64_t bits = 0;
    if (count == 64) { /* a length known here, for the vector registers */
        for (size_t j = 0; j < 64; j++) {
            flags[j] = dpf_magnitude_key(weights[j]) < limit;
        }
    } else {
        for (size_t j = 0; j < count; j++) {
            flags[j] = dpf_magnitude_key(weights[j]) < limit;
        }
    }
    for (size_t k = 0; k < 64; k += 8) {
        uint64_t eight = 0;
        for (size_t b = 0; b < 8; b++) { /* one load where the machine is little-endian */
            eight |= (uint64_t)flags[k + b] << (8 * b);
        }
        bits |= (eight * UINT64_C(0x0102040810204080) >> 56) << k;
    }
    return bits;
}

/* The lowest n set bits of a word that has more than n. */
static uint64_t lowest_bits(uint64_t word, size_t n) {
    uint64_t rest = word;
    for (; n; n--) {
        rest &= rest - 1;
    }
    return word & ~rest;
}

/* Bit j: the key of weight j equals the threshold, and with grow it is kept so far. */
static uint64_t equal_bits(const dpf_ranked *tensor, size_t at, size_t count, uint64_t old, int grow) {
    uint64_t bits = smaller(tensor->weights + at, count, tensor->threshold + 1) &
                    ~smaller(tensor->weights + at, count, tensor->threshold);
    return grow ? bits & old : bits;
}

static size_t count_equal(const dpf_ranked *tensor, const dpf_chunk *chunk, const uint64_t *mask, int grow) {
    size_t equal = 0;
    for (size_t j = 0; j < chunk->count; j += 64) {
        size_t n = chunk->count - j < 64 ? chunk->count - j : 64;
        uint64_t old = mask[(chunk->first + j) / 64];
        equal += (size_t)__builtin_popcountll(equal_bits(tensor, chunk->first + j, n, old, grow));
    }
    return equal;
}

static void choose_chunk(const dpf_ranked *tensor, dpf_chunk *chunk, uint64_t *mask, int grow) {
    size_t ties = chunk->ties;
    chunk->flips = 0;
    chunk->revived = 0;
    for (size_t j = 0; j < chunk->count; j += 64) {
        size_t at = chunk->first + j;
        size_t n = chunk->count - j < 64 ? chunk->count - j : 64;
        uint64_t valid = n < 64 ? (UINT64_C(1) << n) - 1 : ~UINT64_C(0);
        uint64_t old = mask[at / 64];
        uint64_t pruned = smaller(tensor->weights + at, n, tensor->threshold);
        if (ties) {
            uint64_t equal = equal_bits(tensor, at, n, old, grow);
            size_t here = (size_t)__builtin_popcountll(equal);
            if (here > ties) {
                equal = lowest_bits(equal, ties);
                here = ties;
            }
            pruned |= equal;
            ties -= here;
        }
        uint64_t kept = ~pruned & valid;
        if (grow) {
            kept &= old;
        }
        chunk->flips += (size_t)__builtin_popcountll(kept ^ old);
        chunk->revived += (size_t)__builtin_popcountll(kept & ~old);
        mask[at / 64] = kept;
    }
}

/* The ties that are left to the tensor's own choice: with grow and a threshold of
 * zero the weights pruned so far are among the equal ones and are taken anyway. */
static size_t free_ties(const dpf_ranked *tensor, int grow) {
    if (grow && tensor->ties && tensor->threshold == 0) {
        return tensor->ties > tensor->floor ? tensor->ties - tensor->floor : 0;
    }
    return tensor->ties;
}

/* Deals the ties out to the chunks, from the first: a read of its own, but of few
 * tensors (one in a common ranking), and of none when no two weights are equal. */
static void deal_ties(dpf_selection *s, uint64_t *const *masks, int grow) {
#pragma omp parallel for schedule(dynamic) if (s->parallel)
    for (size_t c = 0; c < s->chunk_count; c++) {
        dpf_chunk *chunk = &s->chunks[c];
        const dpf_ranked *tensor = &s->tensors[chunk->tensor];
        chunk->ties = free_ties(tensor, grow) ? count_equal(tensor, chunk, masks[chunk->tensor], grow) : 0;
    }
    size_t left = 0;
    for (size_t c = 0; c < s->chunk_count; c++) {
        dpf_chunk *chunk = &s->chunks[c];
        if (chunk->first == 0) {
            left = free_ties(&s->tensors[chunk->tensor], grow);
        }
        chunk->ties = chunk->ties < left ? chunk->ties : left;
        left -= chunk->ties;
    }
}

void dpf_mask_choose(dpf_selection *s, uint64_t *const *masks, int grow) {
    deal_ties(s, masks, grow);
#pragma omp parallel for schedule(dynamic) if (s->parallel)
    for (size_t c = 0; c < s->chunk_count; c++) {
        dpf_chunk *chunk = &s->chunks[c];
        choose_chunk(&s->tensors[chunk->tensor], chunk, masks[chunk->tensor], grow);
    }
}

/* Four mask bits as four lanes of all ones or zeros: a load in place of shifts that
 * the compiler cannot do in vector registers. */
#define LANES(n)                                                                                                       \
    { (n) & 1 ? ~0U : 0U, (n)&2 ? ~0U : 0U, (n)&4 ? ~0U : 0U, (n)&8 ? ~0U : 0U }
static const uint32_t lanes[16][4] = {LANES(0),  LANES(1),  LANES(2),  LANES(3), LANES(4),  LANES(5),
                                      LANES(6),  LANES(7),  LANES(8),  LANES(9), LANES(10), LANES(11),
                                      LANES(12), LANES(13), LANES(14), LANES(15)};

int dpf_mask_apply(float *out, const float *in, const uint64_t *mask, size_t count) {
    uint32_t largest[4] = {0};
    size_t j = 0;
    for (; j + 4 <= count; j += 4) {
        const uint32_t *lane = lanes[mask[j / 64] >> (j % 64) & 15];
        uint32_t bits[4];
        memcpy(bits, in + j, sizeof bits);
        for (int k = 0; k < 4; k++) {
            uint32_t key = bits[k] & 0x7fffffffU;
            /* signed compare: the one that SSE2 has; keys have 31 bits */
            largest[k] = (int32_t)key > (int32_t)largest[k] ? key : largest[k];
            bits[k] &= lane[k];
        }
        memcpy(out + j, bits, sizeof bits);
    }
    for (; j < count; j++) {
        uint32_t key = dpf_magnitude_key(in[j]);
        largest[0] = key > largest[0] ? key : largest[0];
        out[j] = mask[j / 64] >> (j % 64) & 1 ? in[j] : 0.0F;
    }
    int bad = 0;
    for (int k = 0; k < 4; k++) {
        bad |= largest[k] >= DPF_INFINITY_KEY;
    }
    return bad;
}
