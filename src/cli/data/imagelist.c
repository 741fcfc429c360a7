/* SPDX-License-Identifier: MIT
 *
 * See imagelist.h.
 */
#include "imagelist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "picture.h"
#include "../../dpf/core/random.h"
#include "../terminal/say.h"

/* Bad pictures beyond this many are only counted: a list whose disk is gone must
 * not bury its own message. */
enum { MOST_NAMED = 1000 };

enum { UNSEEN = 0, GOOD = 1, BAD = 2, WAITING = 3 };

typedef struct look { /* one picture being looked at */
    size_t entry;
    int good;
    char reason[120];
} look;

typedef struct permutation {
    size_t *order;
    size_t epoch;
    int filled;
} permutation;

struct imagelist {
    lines paths;
    unsigned char *state;
    size_t bad;
    permutation current, next; /* an iteration may reach into a second epoch */
    uint64_t seed;             /* of both */
};

dpf_status imagelist_open(imagelist **out, const char *path, const char *what, dpf_error *err) {
    *out = NULL;
    imagelist *list = calloc(1, sizeof *list);
    if (!list)
        return dpf_fail_memory(err, sizeof *list, what);
    dpf_status status = lines_read(&list->paths, path, what, err);
    if (status)
        goto fail;
    size_t n = list->paths.count;
    for (size_t i = 0; i < n; i++)
        if (!list->paths.line[i][0]) {
            status = dpf_fail(err, DPF_ERR_FORMAT, "%s:%zu: an empty line in a %s, one path a line is wanted", path,
                              i + 1, what);
            goto fail;
        }
    list->state = calloc(n, 1);
    list->current.order = calloc(n, sizeof(size_t));
    list->next.order = calloc(n, sizeof(size_t));
    if (!list->state || !list->current.order || !list->next.order) {
        status = dpf_fail_memory(err, n * (2 * sizeof(size_t) + 1), what);
        goto fail;
    }
    *out = list;
    return DPF_OK;
fail:
    imagelist_free(list);
    return status;
}

void imagelist_free(imagelist *list) {
    if (!list)
        return;
    lines_free(&list->paths);
    free(list->state);
    free(list->current.order);
    free(list->next.order);
    free(list);
}

size_t imagelist_count(const imagelist *list) {
    return list->paths.count;
}

const char *imagelist_path(const imagelist *list, size_t i) {
    return list->paths.line[i];
}

const char *imagelist_file(const imagelist *list) {
    return list->paths.file;
}

uint64_t imagelist_hash(const imagelist *list) {
    return lines_hash(&list->paths, list->paths.count);
}

size_t imagelist_bad(const imagelist *list) {
    return list->bad;
}

void imagelist_say_bad(const imagelist *list) {
    if (list->bad)
        say("%zu of %zu images cannot be used", list->bad, list->paths.count);
}

/* How many of the first `classes` labels occur in the path; the first and the last of them. */
static int count_matches(const char *path, const lines *labels, int classes, int *first, int *last) {
    int matches = 0;
    *first = *last = -1;
    for (int i = 0; i < classes; i++)
        if (strstr(path, labels->line[i])) {
            if (!matches++)
                *first = i;
            *last = i;
        }
    return matches;
}

dpf_status imagelist_match(const imagelist *list, const lines *labels, int classes, int *class_of, dpf_error *err) {
    const size_t n = list->paths.count;
    size_t worst = n; /* the first path that does not match one label */
#pragma omp parallel for schedule(static) reduction(min : worst)
    for (size_t i = 0; i < n; i++) {
        int first, last, matches = count_matches(list->paths.line[i], labels, classes, &first, &last);
        if (matches != 1 && !(matches == 0 && classes == 1) && i < worst)
            worst = i;
        if (class_of)
            class_of[i] = first < 0 ? 0 : first;
    }
    if (worst == n)
        return DPF_OK;
    const char *path = list->paths.line[worst];
    int first, last, matches = count_matches(path, labels, classes, &first, &last);
    if (!matches)
        return dpf_fail(err, DPF_ERR_MISMATCH,
                        "%s:%zu: no label of '%s' occurs in the path '%s'; exactly one must (it says the class)",
                        list->paths.file, worst + 1, labels->file, path);
    return dpf_fail(err, DPF_ERR_MISMATCH,
                    "%s:%zu: %d labels of '%s' occur in the path '%s': '%s' (line %d) and '%s' (line %d)%s; exactly "
                    "one must, for it says the class",
                    list->paths.file, worst + 1, matches, labels->file, path, labels->line[first], first + 1,
                    labels->line[last], last + 1, matches > 2 ? ", and more" : "");
}

/* reason: a verb phrase about the picture, or with own = 1 a sentence of its own */
static void say_bad(imagelist *list, size_t entry, const char *reason, int own) {
    list->bad++;
    if (list->bad <= MOST_NAMED && own)
        say("%s; '%s' is skipped", reason, list->paths.line[entry]);
    else if (list->bad <= MOST_NAMED)
        say("%s:%zu: '%s' %s; skipped", list->paths.file, entry + 1, list->paths.line[entry], reason);
    else if (list->bad == MOST_NAMED + 1)
        say("%s: more than %d images cannot be used; further ones are only counted", list->paths.file, MOST_NAMED);
}

size_t imagelist_entry(const imagelist *list, const char *path) {
    /* all paths stand in one text, so their addresses ascend */
    size_t low = 0, high = list->paths.count;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (list->paths.line[middle] <= path)
            low = middle;
        else
            high = middle;
    }
    return low;
}

void imagelist_drop(imagelist *list, size_t i, const char *reason) {
    if (list->state[i] == BAD)
        return;
    list->state[i] = BAD;
    say_bad(list, i, reason, 1);
}

int imagelist_is_bad(const imagelist *list, size_t i) {
    return list->state[i] == BAD;
}

/* Looks at those of the entries that were not looked at before: decoding on all
 * cores, then the messages one after the other, so that their order is the list's. */
static dpf_status look_at(imagelist *list, const size_t *entries, size_t count, dpf_error *err) {
    size_t waiting = 0;
    look *looks = NULL;
    for (size_t i = 0; i < count; i++) {
        if (list->state[entries[i]] != UNSEEN)
            continue;
        if (!looks && !(looks = malloc((count - i) * sizeof *looks)))
            return dpf_fail_memory(err, (count - i) * sizeof *looks, "looking at pictures");
        list->state[entries[i]] = WAITING; /* an entry may stand here twice */
        looks[waiting++].entry = entries[i];
    }
#pragma omp parallel for schedule(dynamic, 4)
    for (size_t i = 0; i < waiting; i++)
        looks[i].good = !picture_check(list->paths.line[looks[i].entry], looks[i].reason, sizeof looks[i].reason);
    for (size_t i = 0; i < waiting; i++) {
        list->state[looks[i].entry] = looks[i].good ? GOOD : BAD;
        if (!looks[i].good)
            say_bad(list, looks[i].entry, looks[i].reason, 0);
    }
    free(looks);
    return DPF_OK;
}

static void fill(permutation *p, size_t n, uint64_t seed, size_t epoch) {
    uint64_t state = random_stream(seed, epoch);
    for (size_t i = 0; i < n; i++)
        p->order[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)random_below(&state, i);
        size_t keep = p->order[i - 1];
        p->order[i - 1] = p->order[j];
        p->order[j] = keep;
    }
    p->epoch = epoch;
    p->filled = 1;
}

static const size_t *order_of(imagelist *list, uint64_t seed, size_t epoch) {
    if (seed != list->seed)
        list->current.filled = list->next.filled = 0;
    list->seed = seed;
    if (list->current.filled && list->current.epoch == epoch)
        return list->current.order;
    if (!list->next.filled || list->next.epoch != epoch)
        fill(&list->next, list->paths.count, seed, epoch);
    /* the newer one becomes current; the older buffer is free for the epoch to come */
    permutation keep = list->current;
    list->current = list->next;
    list->next = keep;
    return list->current.order;
}

/* The first good picture after place `at` of the permutation, going round; an error when there is none. */
static dpf_status next_good(imagelist *list, const size_t *order, size_t at, size_t *entry, dpf_error *err) {
    const size_t n = list->paths.count;
    for (size_t step = 1; step <= n; step++) {
        *entry = order[(at + step) % n];
        dpf_status status = look_at(list, entry, 1, err);
        if (status || list->state[*entry] == GOOD)
            return status;
    }
    return dpf_fail(err, DPF_ERR_FORMAT, "%s: none of its %zu images can be used", list->paths.file, n);
}

dpf_status imagelist_draw(imagelist *list, uint64_t seed, size_t iteration, size_t count, const char **paths,
                          dpf_error *err) {
    const size_t n = list->paths.count;
    const size_t first = iteration * count;
    size_t *entries = calloc(count, sizeof *entries);
    if (!entries)
        return dpf_fail_memory(err, count * sizeof *entries, "the pictures of an iteration");
    for (size_t i = 0; i < count; i++)
        entries[i] = order_of(list, seed, (first + i) / n)[(first + i) % n];
    dpf_status status = look_at(list, entries, count, err);
    for (size_t i = 0; i < count && !status; i++) {
        if (list->state[entries[i]] != GOOD)
            status = next_good(list, order_of(list, seed, (first + i) / n), (first + i) % n, &entries[i], err);
        paths[i] = list->paths.line[entries[i]];
    }
    free(entries);
    return status;
}

dpf_status imagelist_range(imagelist *list, size_t first, size_t count, size_t *entries, size_t *good, dpf_error *err) {
    for (size_t i = 0; i < count; i++)
        entries[i] = first + i;
    *good = 0;
    dpf_status status = look_at(list, entries, count, err);
    for (size_t i = 0; i < count && !status; i++)
        if (list->state[first + i] == GOOD)
            entries[(*good)++] = first + i;
    return status;
}
