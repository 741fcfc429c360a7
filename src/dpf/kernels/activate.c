/* SPDX-License-Identifier: MIT
 *
 * See activate.h.
 */
#include "activate.h"

#include <omp.h>
#include <string.h>

#include "cpu.h"
#include "plane.h"
#include "spconv_internal.h"

#define CHUNK ((size_t)1 << 12) /* floats at a time, a multiple of every vector */
#define WIDEST 16               /* floats of the widest vector */

static void activate_chunk(const spk_table *table, float *x, size_t count, dpf_activation act) {
    size_t whole = count - count % table->vector, rest = count - whole;
    float tail[WIDEST] = {0};
    table->activate(act, x, whole);
    if (!rest)
        return;
    memcpy(tail, x + whole, rest * sizeof *x);
    table->activate(act, tail, table->vector);
    memcpy(x + whole, tail, rest * sizeof *x);
}

static void activate(const spk_table *table, float *x, size_t count, dpf_activation act) {
    if (act == DPF_RELU || act == DPF_LEAKY) /* plane.h has these in vectors */
        dpf_plane_ops()->affine(x, x, count, 1, 0, act);
    else
        activate_chunk(table, x, count, act);
}

void dpf_activate_array(float *x, size_t count, dpf_activation act, int threads) {
    const spk_table *table = spk_table_for(dpf_cpu_isa());
    size_t chunks = (count + CHUNK - 1) / CHUNK;
    if (act == DPF_LINEAR_ACT)
        return;
    if (threads <= 1 || chunks <= 1) { /* even a team of one costs more than a few hundred values */
        activate(table, x, count, act);
        return;
    }
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < chunks; ++i)
        activate(table, x + i * CHUNK, i + 1 < chunks ? CHUNK : count - i * CHUNK, act);
}
