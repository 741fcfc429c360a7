/* SPDX-License-Identifier: MIT
 *
 * sptrain: from a mask to lists of nonzeros. Two walks over the bits of the mask, one that
 * counts and one that places, serve each pass: a list for every filter within every block
 * of channels, the filters of a block sorted by their counts, so that the branch at the
 * end of a filter is predicted.
 */
#include <stdlib.h>
#include <string.h>

#include "../core/mask.h"
#include "sptrain_internal.h"

/* The list that weight k of filter o belongs to. */
static size_t list_of(const sptrain *sp, sp_which which, size_t o, size_t k) {
    const sp_pass *p = &sp->pass[which];
    if (which == SP_FORWARD)
        return p->block_of[k] * p->filters + o;
    return p->block_of[o] * p->filters + sp->phase_of[k];
}

static void place(sptrain *sp, sp_which which, size_t j, size_t o, size_t k) {
    sp_pass *p = &sp->pass[which];
    size_t at = p->cursor[list_of(sp, which, o, k)]++;
    size_t map = which == SP_FORWARD ? 0 : o * p->from.map;
    p->nonzeros[at].distance = (int32_t)((size_t)p->distance[k] + map);
    p->origin[at] = (uint32_t)j;
}

/* Counts every kept weight in its list, or (placing) puts it there. */
static void walk(sptrain *sp, sp_which which, const uint64_t *mask, int placing) {
    size_t words = dpf_mask_words(sp->filter_size * (size_t)sp->shape.n), o = 0, base = 0;
    for (size_t i = 0; i < words; ++i)
        for (uint64_t bits = mask[i]; bits; bits &= bits - 1) {
            size_t j = i * 64 + (size_t)__builtin_ctzll(bits);
            while (j - base >= sp->filter_size) {
                base += sp->filter_size;
                ++o;
            }
            if (placing)
                place(sp, which, j, o, j - base);
            else
                sp->pass[which].cursor[list_of(sp, which, o, j - base)]++;
        }
}

/* The filters of block b by falling count, equal ones in their order; cursor: from counts to
 * places. Filters without a nonzero stand in the first block alone, which sets the sums.
 * starts: as many as the longest list has nonzeros, and two more. */
static void sort_block(sp_pass *p, size_t b, size_t longest, size_t *starts) {
    size_t *count = p->cursor + b * p->filters;
    memset(starts, 0, (longest + 2) * sizeof *starts);
    for (size_t f = 0; f < p->filters; ++f)
        starts[longest - count[f] + 1]++;
    for (size_t c = 0; c <= longest; ++c)
        starts[c + 1] += starts[c];
    sp_row *rows = p->rows_packed + p->row_first[b];
    size_t listed = b == 0 ? p->filters : starts[longest]; /* those with at least one */
    for (size_t f = 0; f < p->filters; ++f) {
        size_t at = starts[longest - count[f]]++;
        if (at < listed)
            rows[at] = (sp_row){(uint32_t)f, (uint32_t)count[f]};
    }
    size_t next = p->nonzero_first[b];
    for (size_t i = 0; i < listed; ++i) {
        count[rows[i].filter] = next;
        next += rows[i].count;
    }
    p->row_first[b + 1] = p->row_first[b] + listed;
    p->nonzero_first[b + 1] = next;
}

static dpf_status make_room(sp_pass *p, size_t count, dpf_error *err) {
    if (count <= p->room)
        return DPF_OK;
    sp_nonzero *nonzeros = realloc(p->nonzeros, count * sizeof *nonzeros);
    if (nonzeros)
        p->nonzeros = nonzeros;
    uint32_t *origin = realloc(p->origin, count * sizeof *origin);
    if (origin)
        p->origin = origin;
    if (!nonzeros || !origin)
        return dpf_fail_memory(err, count * (sizeof *nonzeros + sizeof *origin), "sparse weights");
    p->room = count;
    return DPF_OK;
}

static dpf_status pack(sptrain *sp, sp_which which, const uint64_t *mask, dpf_error *err) {
    sp_pass *p = &sp->pass[which];
    size_t count = dpf_mask_count(mask, sp->filter_size * (size_t)sp->shape.n);
    size_t lists = (size_t)p->blocks * p->filters, longest = 0;
    dpf_status status = make_room(p, count, err);
    if (status != DPF_OK)
        return status;
    memset(p->cursor, 0, lists * sizeof *p->cursor);
    walk(sp, which, mask, 0);
    for (size_t i = 0; i < lists; ++i)
        longest = p->cursor[i] > longest ? p->cursor[i] : longest;
    size_t *starts = malloc((longest + 2) * sizeof *starts);
    if (!starts)
        return dpf_fail_memory(err, (longest + 2) * sizeof *starts, "sparse weights");
    for (size_t b = 0; b < (size_t)p->blocks; ++b)
        sort_block(p, b, longest, starts);
    free(starts);
    walk(sp, which, mask, 1);
    p->nonzero_count = count;
    return DPF_OK;
}

dpf_status sptrain_set_mask(sptrain *sp, const uint64_t *mask, int passes, dpf_error *err) {
    static const int names[SP_PASSES] = {SPTRAIN_FORWARD, SPTRAIN_BACKWARD};
    dpf_status status = DPF_OK;
    for (int i = 0; i < SP_PASSES; ++i) {
        sp->pass[i].nonzero_count = 0;
        if (status == DPF_OK && passes & names[i])
            status = pack(sp, (sp_which)i, mask, err);
    }
    return status;
}

void sptrain_set_values(sptrain *sp, const float *w) {
    for (int i = 0; i < SP_PASSES; ++i) {
        const sp_pass *p = &sp->pass[i];
        for (size_t k = 0; k < p->nonzero_count; ++k)
            p->nonzeros[k].weight = w[p->origin[k]];
    }
}
