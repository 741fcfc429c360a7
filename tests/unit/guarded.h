/* SPDX-License-Identifier: MIT
 *
 * Arrays of floats inside of guard words, for tests of kernels: a kernel that writes beside
 * its array is found out, and one that reads there gets NaNs.
 */
#ifndef TESTS_UNIT_GUARDED_H
#define TESTS_UNIT_GUARDED_H

#include <stdlib.h>
#include <string.h>

enum { GUARDED_FLOATS = 64 }; /* before and after */

/* 64-byte aligned or off by some floats; all bits of what is in it are set, which makes NaNs, until it is written. */
typedef struct guarded {
    float *memory, *at;
    size_t count;
} guarded;

static inline guarded guarded_new(size_t count, size_t off) {
    guarded g = {.count = count};
    size_t bytes = ((count + off + 2 * GUARDED_FLOATS) * sizeof(float) + 63) / 64 * 64;
    g.memory = aligned_alloc(64, bytes);
    assert_non_null(g.memory);
    memset(g.memory, 0xff, bytes);
    g.at = g.memory + GUARDED_FLOATS + off;
    return g;
}

static inline void guarded_check_free(guarded *g) {
    for (float *p = g->memory; p < g->at; p++)
        assert_memory_equal(p, "\xff\xff\xff\xff", 4);
    for (float *p = g->at + g->count; p < g->at + g->count + GUARDED_FLOATS; p++)
        assert_memory_equal(p, "\xff\xff\xff\xff", 4);
    free(g->memory);
}

#endif
