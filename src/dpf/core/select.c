/* SPDX-License-Identifier: MIT
 *
 * See select.h. The key of 31 bits is taken apart into digits of 11, 10 and 10
 * bits. Each level counts, per tensor, the digits of those keys that share the
 * digits found so far, and picks the next digit from the running sums.
 */
#include "select.h"

#include <stdlib.h>

enum { LEVELS = 3, TOP_SIZE = 2048, NEXT_SIZE = 1024, CHUNK = 1 << 17, BLOCK = 1024, GROUP = 32 };
static const unsigned level_shift[LEVELS] = {20, 10, 0};
static const unsigned level_bits[LEVELS] = {11, 10, 10};

/* Below this many weights a team of threads costs more than it saves. */
static const size_t parallel_from = (size_t)1 << 17;

dpf_status dpf_selection_init(dpf_selection *selection, dpf_ranked *tensors, size_t count, dpf_error *err) {
    dpf_selection s = {.tensors = tensors, .count = count};
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        s.chunk_count += tensors[i].count / CHUNK + (tensors[i].count % CHUNK != 0);
        total += tensors[i].count;
    }
    s.parallel = total >= parallel_from;
    /* One spare element each: calloc(0) may return NULL without being out of memory. */
    s.chunks = calloc(s.chunk_count + 1, sizeof *s.chunks);
    s.top = calloc(count + 1, TOP_SIZE * sizeof *s.top);
    s.next = calloc(count + 1, NEXT_SIZE * sizeof *s.next);
    if (!s.chunks || !s.top || !s.next) {
        dpf_selection_clear(&s);
        return dpf_fail_memory(
            err, (s.chunk_count + 1) * sizeof *s.chunks + (count + 1) * (TOP_SIZE + NEXT_SIZE) * sizeof *s.top,
            "the ranking of the weights");
    }
    size_t c = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t first = 0; first < tensors[i].count; first += CHUNK) {
            size_t left = tensors[i].count - first;
            s.chunks[c++] = (dpf_chunk){.tensor = i, .first = first, .count = left < CHUNK ? left : CHUNK};
        }
    }
    *selection = s;
    return DPF_OK;
}

void dpf_selection_clear(dpf_selection *selection) {
    free(selection->chunks);
    free(selection->top);
    free(selection->next);
    selection->chunks = NULL;
    selection->top = NULL;
    selection->next = NULL;
}

/* Adds a thread's counts of one chunk to the tensor's row. */
static void add_counts(size_t *row, const uint32_t *counts, size_t size) {
    for (size_t b = 0; b < size; b++) {
        if (counts[b]) {
#pragma omp atomic
            row[b] += counts[b];
        }
    }
}

static void count_top_digits(const float *weights, size_t count, size_t *row) {
    /* Weights cluster in few digits; two sets of counters let two increments of
     * the same digit overlap. */
    uint32_t even[TOP_SIZE] = {0}, odd[TOP_SIZE] = {0};
    size_t j = 0;
    for (; j + 1 < count; j += 2) {
        even[dpf_magnitude_key(weights[j]) >> 20]++;
        odd[dpf_magnitude_key(weights[j + 1]) >> 20]++;
    }
    if (j < count) {
        even[dpf_magnitude_key(weights[j]) >> 20]++;
    }
    for (size_t b = 0; b < TOP_SIZE; b++) {
        even[b] += odd[b];
    }
    add_counts(row, even, TOP_SIZE);
}

/* Writes the lower digit of every matching key of a block to match[]; returns how many. */
static size_t gather_matches(const float *weights, size_t length, uint32_t prefix, unsigned shift, uint32_t *match) {
    size_t matches = 0;
    /* Whether a key matches is close to random: gather without a branch. */
    for (size_t j = 0; j < length; j++) {
        uint32_t digits = dpf_magnitude_key(weights[j]) >> shift;
        match[matches] = digits & (NEXT_SIZE - 1);
        matches += digits >> 10 == prefix;
    }
    return matches;
}

/* Does any of GROUP keys match? Done in vector registers. */
static int group_matches(const float *weights, uint32_t first, uint32_t span) {
    uint32_t any = 0;
    for (size_t j = 0; j < GROUP; j++) {
        any |= (uint32_t)(dpf_magnitude_key(weights[j]) - first < span);
    }
    return any != 0;
}

/* rare: few keys match, so most groups can be passed over. */
static void count_next_digits(const float *weights, size_t count, uint32_t prefix, unsigned shift, int rare,
                              size_t *row) {
    uint32_t counts[NEXT_SIZE] = {0};
    uint32_t match[BLOCK];
    size_t step = rare ? GROUP : BLOCK;
    for (size_t start = 0; start < count; start += step) {
        size_t length = count - start < step ? count - start : step;
        if (rare && length == GROUP && !group_matches(weights + start, prefix << shift << 10, 1U << shift << 10)) {
            continue;
        }
        size_t matches = gather_matches(weights + start, length, prefix, shift, match);
        for (size_t j = 0; j < matches; j++) {
            counts[match[j]]++;
        }
    }
    add_counts(row, counts, NEXT_SIZE);
}

/* Fills the histograms of `level` (>= 1) for the active tensors and turns them into
 * running sums. Level 0 was done by the scan. */
static void count_level(dpf_selection *s, int level) {
    for (size_t i = 0; i < s->count; i++) {
        if (s->tensors[i].active) {
            memset(s->next + i * NEXT_SIZE, 0, NEXT_SIZE * sizeof *s->next);
        }
    }
#pragma omp parallel for schedule(dynamic) if (s->parallel)
    for (size_t c = 0; c < s->chunk_count; c++) {
        const dpf_chunk *chunk = &s->chunks[c];
        const dpf_ranked *tensor = &s->tensors[chunk->tensor];
        if (tensor->active && tensor->equal) {
            count_next_digits(tensor->weights + chunk->first, chunk->count, tensor->prefix, level_shift[level],
                              tensor->equal < tensor->count / (4 * GROUP), s->next + chunk->tensor * NEXT_SIZE);
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->tensors[i].active) {
            size_t *row = s->next + i * NEXT_SIZE;
            for (size_t b = 1; b < NEXT_SIZE; b++) {
                row[b] += row[b - 1];
            }
        }
    }
}

int dpf_selection_scan(dpf_selection *s, size_t *bad_tensor, size_t *bad_index) {
    memset(s->top, 0, s->count * TOP_SIZE * sizeof *s->top);
#pragma omp parallel for schedule(dynamic) if (s->parallel)
    for (size_t c = 0; c < s->chunk_count; c++) {
        const dpf_chunk *chunk = &s->chunks[c];
        count_top_digits(s->tensors[chunk->tensor].weights + chunk->first, chunk->count,
                         s->top + chunk->tensor * TOP_SIZE);
    }
    for (size_t i = 0; i < s->count; i++) {
        size_t *row = s->top + i * TOP_SIZE;
        for (size_t b = 1; b < TOP_SIZE; b++) {
            row[b] += row[b - 1];
        }
        if (row[TOP_SIZE - 1] == row[(DPF_INFINITY_KEY >> 20) - 1]) {
            continue; /* the top digit tells: 2^20 divides that key */
        }
        size_t j = 0;
        while (dpf_magnitude_key(s->tensors[i].weights[j]) < DPF_INFINITY_KEY) {
            j++;
        }
        *bad_tensor = i;
        *bad_index = j;
        return 1;
    }
    return 0;
}

static const size_t *level_row(const dpf_selection *s, int level, size_t i) {
    return level ? s->next + i * NEXT_SIZE : s->top + i * TOP_SIZE;
}

static size_t clamp(size_t value, size_t low, size_t high) {
    return value < low ? low : value > high ? high : value;
}

/* Goes one digit down in tensor i: the keys below the digit are settled. */
static void take_digit(dpf_selection *s, int level, size_t i, uint32_t digit) {
    const size_t *row = level_row(s, level, i);
    dpf_ranked *tensor = &s->tensors[i];
    size_t before = digit ? row[digit - 1] : 0;
    tensor->below += before;
    tensor->equal = row[digit] - before;
    tensor->prefix = (tensor->prefix << level_bits[level]) | digit;
}

/* How many would be pruned over the tensors ranked together, if the threshold lay
 * just above `digit`. */
static size_t pruned_through(const dpf_selection *s, int level, uint32_t digit) {
    size_t sum = 0;
    for (size_t i = 0; i < s->count; i++) {
        const dpf_ranked *tensor = &s->tensors[i];
        if (tensor->active) {
            sum += clamp(tensor->below + level_row(s, level, i)[digit], tensor->floor, tensor->cap);
        }
    }
    return sum;
}

static void start_descent(dpf_ranked *tensor) {
    tensor->active = 1;
    tensor->prefix = 0;
    tensor->below = 0;
    tensor->equal = tensor->count;
}

/* Takes the threshold that the descent found, when it yields the wanted count. */
static void settle(dpf_ranked *tensor) {
    if (tensor->pruned < tensor->below || tensor->pruned > tensor->below + tensor->equal) {
        return; /* cut off by floor or cap: stays active, for a threshold of its own */
    }
    tensor->threshold = tensor->prefix;
    tensor->ties = tensor->pruned - tensor->below;
    if (tensor->ties == tensor->equal) {
        tensor->threshold++; /* all of the equal ones: no need to count them off */
        tensor->ties = 0;
    }
    tensor->active = 0;
}

/* One threshold for all: the number pruned, clamped to each tensor's floor and cap,
 * still grows with the threshold, so the digits can be searched one after another. */
static void rank_together(dpf_selection *s, size_t total) {
    for (int level = 0; level < LEVELS; level++) {
        if (level) {
            count_level(s, level);
        }
        uint32_t low = 0, high = (1U << level_bits[level]) - 1;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (pruned_through(s, level, middle) >= total) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        for (size_t i = 0; i < s->count; i++) {
            if (s->tensors[i].active) {
                take_digit(s, level, i, low);
            }
        }
    }
    size_t left = total;
    for (size_t i = 0; i < s->count; i++) {
        dpf_ranked *tensor = &s->tensors[i];
        if (tensor->active) {
            tensor->pruned = clamp(tensor->below, tensor->floor, tensor->cap);
            left -= tensor->pruned;
        }
    }
    for (size_t i = 0; i < s->count; i++) { /* the ties, in the order of the tensors */
        dpf_ranked *tensor = &s->tensors[i];
        if (tensor->active) {
            size_t most = clamp(tensor->below + tensor->equal, tensor->floor, tensor->cap);
            size_t take = most - tensor->pruned < left ? most - tensor->pruned : left;
            tensor->pruned += take;
            left -= take;
            settle(tensor);
        }
    }
}

/* Each active tensor by itself; `pruned` says how many. */
static void rank_alone(dpf_selection *s) {
    for (int level = 0; level < LEVELS; level++) {
        if (level) {
            count_level(s, level);
        }
        for (size_t i = 0; i < s->count; i++) {
            dpf_ranked *tensor = &s->tensors[i];
            if (!tensor->active) {
                continue;
            }
            const size_t *row = level_row(s, level, i);
            uint32_t digit = 0;
            while (tensor->below + row[digit] < tensor->pruned) {
                digit++;
            }
            take_digit(s, level, i, digit);
        }
    }
    for (size_t i = 0; i < s->count; i++) {
        if (s->tensors[i].active) {
            settle(&s->tensors[i]);
        }
    }
}

void dpf_selection_run(dpf_selection *s, size_t total) {
    int any = 0;
    for (size_t i = 0; i < s->count; i++) {
        s->tensors[i].active = 0;
        if (s->tensors[i].together) {
            start_descent(&s->tensors[i]);
            any = 1;
        }
    }
    if (any) {
        rank_together(s, total);
    }
    any = 0;
    for (size_t i = 0; i < s->count; i++) {
        dpf_ranked *tensor = &s->tensors[i];
        if (tensor->together && !tensor->active) {
            continue; /* settled by the common threshold */
        }
        tensor->threshold = 0;
        tensor->ties = 0;
        tensor->active = 0;
        if (tensor->pruned) {
            start_descent(tensor);
            any = 1;
        }
    }
    if (any) {
        rank_alone(s);
    }
}
