/* SPDX-License-Identifier: MIT
 *
 * How far two threads are apart. On a virtual machine its processors move about: when they no longer share a
 * third-level cache, everything that threads hand each other takes several times as long, and layers of some
 * microseconds show it.
 */
#ifndef DPF_BENCH_CORES_H
#define DPF_BENCH_CORES_H

#include <math.h>
#include <omp.h>
#include <stdatomic.h>

#include "timing.h"

/* Nanoseconds in which a cache line goes to the other thread and back, the least of some tries; 0: there is only one
 * processor, and nobody to go to. */
static inline double round_trip_ns(void) {
    enum { TRIES = 5, TRIPS = 5000 };
    double least = INFINITY;
    if (omp_get_num_procs() < 2)
        return 0;
    for (int i = 0; i < TRIES; i++) {
        atomic_int line = 0;
        int both = 0;
        double ms = 0;
#pragma omp parallel num_threads(2) shared(line, both, ms)
        {
            const int me = omp_get_thread_num();
#pragma omp single
            both = omp_get_num_threads() == 2;
            const double start = now_ms();
            for (int k = 0; both && k < TRIPS; k++) {
                while (me == 1 && atomic_load(&line) != 2 * k + 1)
                    ;
                atomic_store(&line, 2 * k + 1 + me);
                while (me == 0 && atomic_load(&line) != 2 * k + 2)
                    ;
            }
            if (me == 0)
                ms = now_ms() - start;
        }
        least = fmin(least, ms * 1e6 / TRIPS);
    }
    return least;
}

#endif
