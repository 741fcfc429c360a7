/* SPDX-License-Identifier: MIT
 *
 * What every benchmark needs: a clock, and the order for a median.
 */
#ifndef DPF_BENCH_TIMING_H
#define DPF_BENCH_TIMING_H

#include <time.h>

/* Milliseconds on a clock that never goes back. */
static inline double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

/* For qsort: doubles, smallest first; minimum and median are then x[0] and x[n / 2]. */
static inline int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

#endif
