/* SPDX-License-Identifier: MIT
 *
 * See pruner.h. This file decides when a mask changes and how many weights of each
 * tensor are pruned; which ones is the business of select.c and mask.c.
 *
 * The counts, in this order:
 *   1. K = round(s_t * n) over all tensors;
 *   2. a tensor with a target of its own gets round(s_t' * count), where s_t' is the
 *      same ramp towards its own target;
 *   3. the other tensors get what is left of K: by one common ranking (scope=global)
 *      or in proportion to their size, by largest remainders (scope=layer);
 *   4. where step 3 has no room (all tensors have own targets, say), the counts of
 *      step 2 give way by single weights, so that the sum is always exactly K.
 */
#include "pruner.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mask.h"
#include "quota.h"
#include "schedule.h"
#include "select.h"

typedef struct owned_tensor {
    char *name;
    float *weights; /* borrowed */
    size_t count;
    double sparsity; /* own target, or negative */
    size_t cap;      /* at most so many may be pruned (min_density) */
    float *pruned;
    dpf_tensor_stats stats;
} owned_tensor;

struct dpf_pruner {
    dpf_options options;
    size_t count, total; /* tensors, weights */
    owned_tensor *tensors;
    uint64_t **masks;
    dpf_ranked *ranked;
    dpf_quota *quotas;
    dpf_selection selection;
    dpf_pruner_stats stats;
    uint64_t version;
    int started;
};

static size_t round_share(double share, size_t count) {
    double nearest = round(share * (double)count);
    return nearest >= (double)count ? count : (size_t)nearest;
}

/* The fewest weights to keep for a density of at least min_density. The product of
 * a decimal fraction and a count can miss a whole number by an ulp or two. */
static size_t fewest_kept(double min_density, size_t count) {
    double exact = min_density * (double)count;
    double nearest = round(exact);
    double kept = fabs(exact - nearest) <= 4 * DBL_EPSILON * exact ? nearest : ceil(exact);
    return kept >= (double)count ? count : (size_t)kept;
}

static int has_own_target(const owned_tensor *tensor) {
    return tensor->sparsity >= 0;
}

/* ---- new and free ---- */

/* `count` elements of `size` bytes, all zero, on a cache line of their own. */
static void *new_array(size_t count, size_t size, const char *what, dpf_error *err) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        dpf_fail_memory(err, SIZE_MAX, what);
        return NULL;
    }
    bytes = (bytes / 64 + 1) * 64;
    void *array = aligned_alloc(64, bytes);
    if (!array) {
        dpf_fail_memory(err, bytes, what);
        return NULL;
    }
    return memset(array, 0, bytes);
}

static dpf_status check_arguments(const dpf_options *o, const dpf_tensor *tensors, size_t count, dpf_error *err) {
    if (!o || (count && !tensors)) {
        return dpf_fail(err, DPF_ERR_ARGUMENT, "dpf_pruner_new: options or tensors missing");
    }
    if (o->update_every == 0 || o->begin > o->end || o->end > o->hold || !(o->sparsity >= 0 && o->sparsity < 1) ||
        !(o->initial_sparsity >= 0 && o->initial_sparsity <= o->sparsity) ||
        !(o->min_density >= 0 && o->min_density <= 1)) {
        return dpf_fail(err, DPF_ERR_ARGUMENT, "dpf_pruner_new: the options have not gone through dpf_options_finish");
    }
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = tensors[i].name ? tensors[i].name : "(unnamed)";
        if (!tensors[i].weights || !tensors[i].count) {
            return dpf_fail(err, DPF_ERR_ARGUMENT, "dpf_pruner_new: %s has no weights", name);
        }
        if (!(tensors[i].sparsity < 1)) {
            return dpf_fail(err, DPF_ERR_RANGE, "%s: sparsity=%g: must be at least 0 and below 1", name,
                            tensors[i].sparsity);
        }
        if (__builtin_add_overflow(total, tensors[i].count, &total)) {
            return dpf_fail(err, DPF_ERR_ARGUMENT, "dpf_pruner_new: more weights than can be counted");
        }
    }
    if (count == 0 && o->sparsity > 0) {
        return dpf_fail(err, DPF_ERR_RANGE, "[dpf] sparsity=%g cannot be reached: no layer is prunable", o->sparsity);
    }
    return DPF_OK;
}

/* Can exactly round(s_t * n) be pruned at t? As the ramps of all targets have one
 * shape, the counts are straight lines between its two ends: looking there is
 * enough. Rounding in between is made up for by step 4 (head of this file). */
static dpf_status check_reachable(const dpf_pruner *p, size_t t, const char *key, double value, dpf_error *err) {
    size_t wanted = round_share(dpf_schedule_target(&p->options, p->options.sparsity, t), p->total);
    size_t least = 0, most = 0, own = 0;
    for (size_t i = 0; i < p->count; i++) {
        const owned_tensor *tensor = &p->tensors[i];
        if (!has_own_target(tensor)) {
            most += tensor->cap;
            continue;
        }
        size_t k = round_share(dpf_schedule_target(&p->options, tensor->sparsity, t), tensor->count);
        if (k > tensor->cap) {
            return dpf_fail(err, DPF_ERR_RANGE,
                            "%s: sparsity=%g cannot be reached: [dpf] min_density=%g lets at most %zu of its %zu "
                            "weights be pruned",
                            tensor->name, tensor->sparsity, p->options.min_density, tensor->cap, tensor->count);
        }
        own++;
        least += k - (k > 0);
        most += k + (k < tensor->cap);
    }
    if (wanted > most) {
        const char *why = own && p->options.min_density > 0 ? "min_density and the layers' own sparsity keys leave"
                          : own                             ? "the layers' own sparsity keys leave"
                                                            : "min_density leaves";
        return dpf_fail(err, DPF_ERR_RANGE,
                        "[dpf] %s=%g cannot be reached: it asks for %zu of %zu prunable weights, but %s at most %zu "
                        "(%.4f) to prune (min_density=%g, layers with a sparsity key: %zu of %zu)",
                        key, value, wanted, p->total, why, most, (double)most / (double)p->total,
                        p->options.min_density, own, p->count);
    }
    if (wanted < least) {
        return dpf_fail(err, DPF_ERR_RANGE,
                        "[dpf] %s=%g cannot be reached: it asks for %zu of %zu prunable weights, but the layers' own "
                        "sparsity keys alone prune %zu (%.4f); raise it or lower theirs",
                        key, value, wanted, p->total, least, (double)least / (double)p->total);
    }
    return DPF_OK;
}

static dpf_status adopt_tensor(dpf_pruner *p, size_t i, const dpf_tensor *given, dpf_error *err) {
    owned_tensor *tensor = &p->tensors[i];
    const char *name = given->name ? given->name : "(unnamed)";
    size_t kept = p->options.scope == DPF_GLOBAL ? fewest_kept(p->options.min_density, given->count) : 0;
    tensor->weights = given->weights;
    tensor->count = given->count;
    tensor->sparsity = given->sparsity;
    tensor->cap = given->count - kept;
    tensor->stats.count = given->count;
    tensor->stats.kept = given->count;
    p->total += given->count;
    tensor->name = strdup(name);
    if (!tensor->name) {
        return dpf_fail_memory(err, strlen(name) + 1, "the name of a layer");
    }
    tensor->pruned = new_array(given->count, sizeof *tensor->pruned, "pruned weights", err);
    if (!tensor->pruned) {
        return DPF_ERR_MEMORY;
    }
    p->masks[i] = new_array(dpf_mask_words(given->count), sizeof **p->masks, "a mask", err);
    if (!p->masks[i]) {
        return DPF_ERR_MEMORY;
    }
    dpf_mask_fill(p->masks[i], given->count);
    p->ranked[i].weights = given->weights;
    p->ranked[i].count = given->count;
    return DPF_OK;
}

dpf_status dpf_pruner_new(dpf_pruner **out, const dpf_options *options, const dpf_tensor *tensors, size_t count,
                          dpf_error *err) {
    if (!out) {
        return dpf_fail(err, DPF_ERR_ARGUMENT, "dpf_pruner_new: no place for the result");
    }
    *out = NULL;
    dpf_status status = check_arguments(options, tensors, count, err);
    if (status) {
        return status;
    }
    dpf_pruner *p = calloc(1, sizeof *p);
    if (!p) {
        return dpf_fail_memory(err, sizeof *p, "the pruner");
    }
    p->options = *options;
    status = DPF_ERR_MEMORY;
    p->tensors = new_array(count, sizeof *p->tensors, "the prunable layers", err);
    p->masks = p->tensors ? new_array(count, sizeof *p->masks, "the prunable layers", err) : NULL;
    p->ranked = p->masks ? new_array(count, sizeof *p->ranked, "the prunable layers", err) : NULL;
    p->quotas = p->ranked ? new_array(count, sizeof *p->quotas, "the prunable layers", err) : NULL;
    if (!p->quotas) {
        goto fail;
    }
    p->count = count;
    for (size_t i = 0; i < count; i++) {
        status = adopt_tensor(p, i, &tensors[i], err);
        if (status) {
            goto fail;
        }
    }
    status = check_reachable(p, p->options.end, "sparsity", p->options.sparsity, err);
    if (!status && p->options.schedule != DPF_CONSTANT) {
        status = check_reachable(p, p->options.begin, "initial_sparsity", p->options.initial_sparsity, err);
    }
    if (!status) {
        status = dpf_selection_init(&p->selection, p->ranked, count, err);
    }
    if (status) {
        goto fail;
    }
    p->stats.count = p->total;
    p->stats.kept = p->total;
    *out = p;
    return DPF_OK;
fail:
    dpf_pruner_free(p);
    return status;
}

void dpf_pruner_free(dpf_pruner *p) {
    if (!p) {
        return;
    }
    for (size_t i = 0; i < p->count; i++) {
        free(p->tensors[i].name);
        free(p->tensors[i].pruned);
        free(p->masks[i]);
    }
    dpf_selection_clear(&p->selection);
    free(p->tensors);
    free(p->masks);
    free(p->ranked);
    free(p->quotas);
    free(p);
}

/* ---- one mask ---- */

static dpf_status fail_not_finite(const dpf_pruner *p, size_t i, size_t j, dpf_error *err) {
    float w = p->tensors[i].weights[j];
    return dpf_fail(err, DPF_ERR_NUMERIC, "%s: weight %zu of %zu is %s: training has diverged", p->tensors[i].name, j,
                    p->tensors[i].count, dpf_magnitude_key(w) > DPF_INFINITY_KEY ? "NaN" : "infinite");
}

/* The selection found none, but another read did: says where. */
static dpf_status find_not_finite(const dpf_pruner *p, dpf_error *err) {
    for (size_t i = 0; i < p->count; i++) {
        for (size_t j = 0; j < p->tensors[i].count; j++) {
            if (dpf_magnitude_key(p->tensors[i].weights[j]) >= DPF_INFINITY_KEY) {
                return fail_not_finite(p, i, j, err);
            }
        }
    }
    return DPF_OK;
}

/* out = mask * dense, for every tensor; in place when out_dense. */
static int apply_masks(dpf_pruner *p, int to_dense) {
    int bad = 0;
#pragma omp parallel for schedule(static) reduction(| : bad) if (p->selection.parallel)
    for (size_t c = 0; c < p->selection.chunk_count; c++) {
        const dpf_chunk *chunk = &p->selection.chunks[c];
        owned_tensor *tensor = &p->tensors[chunk->tensor];
        float *out = to_dense ? tensor->weights : tensor->pruned;
        bad |= dpf_mask_apply(out + chunk->first, tensor->weights + chunk->first,
                              p->masks[chunk->tensor] + chunk->first / 64, chunk->count);
    }
    return bad;
}

/* w~ = m * w, and without feedback w itself. */
static dpf_status refresh(dpf_pruner *p, dpf_error *err) {
    if (!p->options.feedback) {
        apply_masks(p, 1);
    }
    return apply_masks(p, 0) ? find_not_finite(p, err) : DPF_OK;
}

/* Fills in how many weights each tensor loses at t; see the head of this file.
 * grow: no tensor may lose fewer than before. Returns what is left to the tensors
 * that are ranked together. */
static size_t choose_counts(dpf_pruner *p, size_t t, double target, int grow) {
    size_t floors = 0, free_floors = 0, free_caps = 0, free_count = 0;
    for (size_t i = 0; i < p->count; i++) {
        const owned_tensor *tensor = &p->tensors[i];
        dpf_quota *q = &p->quotas[i];
        q->low = grow ? tensor->count - tensor->stats.kept : 0;
        q->high = tensor->cap > q->low ? tensor->cap : q->low;
        floors += q->low;
        q->member = has_own_target(tensor);
        if (q->member) {
            q->want = dpf_schedule_target(&p->options, tensor->sparsity, t) * (double)tensor->count;
        } else {
            free_floors += q->low;
            free_caps += q->high;
            free_count += tensor->count;
        }
    }
    size_t wanted = round_share(target, p->total);
    wanted = wanted > floors ? wanted : floors;
    size_t own = dpf_quota_round(p->quotas, p->count);
    if (own + free_floors > wanted) {
        own = wanted - free_floors;
    } else if (own + free_caps < wanted) {
        own = wanted - free_caps;
    }
    dpf_quota_split(p->quotas, p->count, own);
    for (size_t i = 0; i < p->count; i++) { /* the own targets are settled; turn to the others */
        dpf_quota *q = &p->quotas[i];
        q->member = !q->member;
        if (q->member) {
            q->want = (double)(wanted - own) * ((double)p->tensors[i].count / (double)free_count);
        }
    }
    if (p->options.scope == DPF_LAYER) {
        dpf_quota_split(p->quotas, p->count, wanted - own);
    }
    for (size_t i = 0; i < p->count; i++) {
        dpf_ranked *r = &p->ranked[i];
        r->together = p->options.scope == DPF_GLOBAL && p->quotas[i].member;
        r->floor = p->quotas[i].low;
        r->cap = p->quotas[i].high;
        r->pruned = p->quotas[i].got;
    }
    return p->options.scope == DPF_GLOBAL ? wanted - own : 0;
}

static void collect_stats(dpf_pruner *p, size_t t, double target, int from_scratch) {
    p->stats.kept = 0;
    p->stats.flips = 0;
    p->stats.revived = 0;
    for (size_t i = 0; i < p->count; i++) {
        owned_tensor *tensor = &p->tensors[i];
        tensor->stats.flips = 0;
        tensor->stats.revived = 0;
        tensor->stats.kept = tensor->count - p->ranked[i].pruned;
        p->stats.kept += tensor->stats.kept;
    }
    for (size_t c = 0; c < p->selection.chunk_count && !from_scratch; c++) {
        const dpf_chunk *chunk = &p->selection.chunks[c];
        p->tensors[chunk->tensor].stats.flips += chunk->flips;
        p->tensors[chunk->tensor].stats.revived += chunk->revived;
        p->stats.flips += chunk->flips;
        p->stats.revived += chunk->revived;
    }
    p->stats.target = target;
    p->stats.last_update = t;
    p->stats.updates++;
    p->version++;
}

/* A new mask with the target of iteration t. Nothing has changed when it fails. */
static dpf_status update_masks(dpf_pruner *p, size_t t, int from_scratch, dpf_error *err) {
    size_t tensor, index;
    if (dpf_selection_scan(&p->selection, &tensor, &index)) {
        return fail_not_finite(p, tensor, index, err);
    }
    int grow = !p->options.feedback && !from_scratch;
    double target = dpf_schedule_target(&p->options, p->options.sparsity, t);
    size_t common = choose_counts(p, t, target, grow);
    dpf_selection_run(&p->selection, common);
    dpf_mask_choose(&p->selection, p->masks, grow);
    collect_stats(p, t, target, from_scratch);
    return DPF_OK;
}

/* ---- the events ---- */

dpf_status dpf_pruner_start(dpf_pruner *p, size_t t, dpf_error *err) {
    size_t update = 0;
    /* Before the first update point the target is that of iteration 0 or of the time
     * before `begin`: none, which is what the schedule says of an iteration that is
     * before `begin`; there is none when begin = 0, but then 0 is an update point. */
    dpf_schedule_last_update(&p->options, t, &update);
    dpf_status status = update_masks(p, update, 1, err);
    if (status) {
        return status;
    }
    p->started = 1;
    return refresh(p, err);
}

dpf_status dpf_pruner_advance(dpf_pruner *p, size_t t, dpf_error *err) {
    if (!p->started) {
        return dpf_fail(err, DPF_ERR_ARGUMENT, "dpf_pruner_advance before dpf_pruner_start");
    }
    if (dpf_schedule_is_update(&p->options, t)) {
        if (!p->options.feedback) {
            apply_masks(p, 1); /* pruned weights rank lowest only once they are zero again */
        }
        dpf_status status = update_masks(p, t, 0, err);
        if (status) {
            return status;
        }
    }
    return refresh(p, err);
}

dpf_status dpf_pruner_restore(dpf_pruner *p, size_t t, const uint64_t *const *masks, const dpf_pruner_stats *stats,
                              dpf_error *err) {
    if (!stats || (p->count && !masks)) {
        return dpf_fail(err, DPF_ERR_ARGUMENT, "dpf_pruner_restore: masks or figures missing");
    }
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++) {
        size_t count = p->tensors[i].count;
        if (count % 64 && masks[i][count / 64] >> (count % 64)) {
            return dpf_fail(err, DPF_ERR_MISMATCH, "%s: the saved mask covers more than its %zu weights",
                            p->tensors[i].name, count);
        }
        kept += dpf_mask_count(masks[i], count);
    }
    if (stats->count != p->total || stats->kept != kept) {
        return dpf_fail(err, DPF_ERR_MISMATCH,
                        "the saved masks keep %zu of %zu weights, but the figures saved with them say %zu of %zu", kept,
                        p->total, stats->kept, stats->count);
    }
    if (!(stats->target >= 0 && stats->target < 1) || stats->last_update > t) {
        return dpf_fail(err, DPF_ERR_MISMATCH,
                        "the saved masks were chosen at iteration %zu for sparsity %g: not possible at iteration %zu",
                        stats->last_update, stats->target, t);
    }
    for (size_t i = 0; i < p->count; i++) {
        owned_tensor *tensor = &p->tensors[i];
        memcpy(p->masks[i], masks[i], dpf_mask_words(tensor->count) * sizeof **masks);
        tensor->stats.kept = dpf_mask_count(masks[i], tensor->count);
        tensor->stats.flips = 0;
        tensor->stats.revived = 0;
    }
    p->stats = *stats;
    p->version++;
    p->started = 1;
    return refresh(p, err);
}

/* ---- reading ---- */

const float *dpf_pruner_pruned(const dpf_pruner *p, size_t i) {
    return i < p->count ? p->tensors[i].pruned : NULL;
}

const uint64_t *dpf_pruner_mask(const dpf_pruner *p, size_t i) {
    return i < p->count ? p->masks[i] : NULL;
}

uint64_t dpf_pruner_mask_version(const dpf_pruner *p) {
    return p->version;
}

size_t dpf_pruner_tensors(const dpf_pruner *p) {
    return p->count;
}

void dpf_pruner_get_stats(const dpf_pruner *p, dpf_pruner_stats *out) {
    *out = p->stats;
}

void dpf_pruner_get_tensor_stats(const dpf_pruner *p, size_t i, dpf_tensor_stats *out) {
    *out = i < p->count ? p->tensors[i].stats : (dpf_tensor_stats){0};
}

const dpf_options *dpf_pruner_options(const dpf_pruner *p) {
    return &p->options;
}
