/* SPDX-License-Identifier: MIT
 *
 * See sptrain.h: where everything lies, and how weights are packed. The times in the cost
 * model were measured on an AMD EPYC (Zen 4), in cycles of one core.
 */
#include "sptrain_internal.h"

#include <limits.h>
#include <stdlib.h>

#include "../core/mask.h"
#include "conv_impl.h"
#include "conv_plan.h"
#include "cpu.h"

static const size_t tile_bytes = 15 * 1024;  /* half of the first-level cache, for what a tile reads */
static const size_t band_bytes = 512 * 1024; /* of the second-level cache, for the planes of a band */

enum { LANE_BYTES = SP_LANES * sizeof(float) };

const sp_grad_loops *sp_grad_loops_for_cpu(void) {
#if defined(__x86_64__)
    return dpf_cpu_isa() >= DPF_ISA_AVX512 ? &sp_grad_loops_avx512 : NULL;
#else
    return NULL;
#endif
}

const sp_loops *sp_loops_for_cpu(void) {
#if defined(__x86_64__)
    return dpf_cpu_isa() >= DPF_ISA_AVX512 ? &sp_loops_avx512 : NULL;
#else
    return NULL;
#endif
}

/* --- geometry -------------------------------------------------------------------- */

static int divide_up(int a, int b) {
    return (a + b - 1) / b; /* NOLINT(clang-analyzer-core.DivideZero): b is never below 1 */
}

/* Floats of so many vectors: an odd number, because planes a power of two apart share sets
 * of the cache. */
static size_t odd_plane(int rows, int columns) {
    return ((size_t)rows * (size_t)columns | 1) * SP_LANES;
}

static void set_sides(sp_pass *p, const dpf_conv_shape *s, int blocks, sp_which which) {
    sp_side x = {
        .maps = s->c, .h = s->h, .w = s->w, .kind = blocks & DPF_BLOCK_X ? SP_BLOCKED : SP_PLAIN, .step = s->stride};
    sp_side y = {.maps = s->n, .kind = blocks & DPF_BLOCK_Y ? SP_BLOCKED : SP_PLAIN, .step = 1};
    y.h = dpf_conv_out_h(s);
    y.w = dpf_conv_out_w(s);
    p->reach = (s->size - 1) / s->stride;
    if (which == SP_FORWARD) {
        x.shift = s->pad;
        p->rows = y.h;
        p->columns = y.w;
        p->from = x;
        p->to = y;
    } else {
        int first = s->pad / s->stride;
        y.shift = p->reach - first;
        x.shift = s->pad % s->stride;
        p->rows = (s->pad + s->h - 1) / s->stride - first + 1;
        p->columns = (s->pad + s->w - 1) / s->stride - first + 1;
        p->from = y;
        p->to = x;
    }
    p->from.phases = (size_t)p->from.step * (size_t)p->from.step;
    p->to.phases = (size_t)p->to.step * (size_t)p->to.step;
    p->plane_columns = p->columns + p->reach;
    p->filters = (size_t)p->to.maps * p->to.phases;
}

/* Vectors of one map that a tile of the largest size reads. */
static size_t tile_reads(const sp_pass *p, int size) {
    if (p->from.step == 1)
        return (size_t)(p->reach + 1) * (size_t)(SP_MAX_TILE + p->reach);
    int phases = p->from.step < size ? p->from.step : size; /* that have a tap */
    return (size_t)size * (size_t)((SP_MAX_TILE - 1) * phases + size);
}

/* Everything but the arrays. Returns 0 where a distance would not fit. */
static int plan_pass(sp_pass *p, const dpf_conv_shape *s, int blocks, int strips, sp_which which) {
    *p = (sp_pass){0};
    set_sides(p, s, blocks, which);
    size_t fit = tile_bytes / (tile_reads(p, s->size) * LANE_BYTES);
    p->block = fit < 1 ? 1 : fit < (size_t)p->from.maps ? (int)fit : p->from.maps;
    p->blocks = divide_up(p->from.maps, p->block);
    p->strip_rows = divide_up(p->rows, strips);
    size_t in_row = (size_t)p->from.maps * p->from.phases * (size_t)p->plane_columns * LANE_BYTES;
    size_t out_row = p->filters * (size_t)p->columns * LANE_BYTES, over = (size_t)p->reach * in_row;
    size_t most = over < band_bytes ? (band_bytes - over) / (in_row + out_row) : 0;
    size_t least = 2 * (size_t)p->reach + 1; /* or too much is read twice */
    most = most < least ? least : most;
    int bands = most < (size_t)p->strip_rows ? divide_up(p->strip_rows, (int)most) : 1;
    p->band = divide_up(p->strip_rows, bands);
    p->from.plane = odd_plane(p->band + p->reach, p->plane_columns);
    p->to.plane = odd_plane(p->band, p->columns);
    p->from.map = p->from.plane * p->from.phases;
    p->to.map = p->to.plane * p->to.phases;
    return p->from.map <= (size_t)INT32_MAX / (size_t)p->from.maps;
}

int sptrain_unit(const dpf_conv_shape *s, int chunk, int threads) {
    sp_pass p;
    if (!sp_loops_for_cpu() || s->groups != 1 ||
        (size_t)s->n * (size_t)s->c > UINT32_MAX / ((size_t)s->size * (size_t)s->size))
        return 0;
    for (int unit = SP_LANES; unit >= 1; unit /= 2) {
        int span = unit > chunk ? unit : chunk;
        if (s->batch % unit != 0 || (chunk > 0 && chunk % unit != 0 && unit % chunk != 0) || s->batch / span < threads)
            continue;
        int strips = SP_LANES / unit;
        return plan_pass(&p, s, 0, strips, SP_FORWARD) && plan_pass(&p, s, 0, strips, SP_BACKWARD) ? unit : 0;
    }
    return 0;
}

/* --- the cost model ---------------------------------------------------------------- */

/* Cycles a row of a map takes on its way into planes or out of them, for each of its pixels of a unit. */
static double pixel_cycles(int in_lanes, double transposed) {
    return in_lanes ? 3.0 : transposed;
}

/* Cycles a picture of this pass with so many nonzeros. */
static double sparse_cycles(const sptrain *sp, sp_which which, size_t nonzeros, int lanes) {
    const sp_pass *p = &sp->pass[which];
    int from = which == SP_FORWARD ? DPF_BLOCK_X : DPF_BLOCK_Y, to = DPF_BLOCK_X + DPF_BLOCK_Y - from;
    double vectors = (double)p->strip_rows * (double)p->columns, bands = (double)p->strip_rows / (double)p->band;
    double product = vectors * (1.25 * (double)nonzeros + 2.0 * (double)p->filters * (double)p->blocks);
    double read_rows = ((double)p->strip_rows + bands * (double)p->reach) * (double)p->from.step;
    double gather = pixel_cycles(lanes & from, 8) * read_rows * (double)p->from.w * (double)p->from.maps;
    double rows = (double)p->strip_rows * (double)p->to.step;
    double scatter = pixel_cycles(lanes & to, 13) * rows * (double)p->to.w * (double)p->to.maps;
    return (product + gather + scatter) / (double)sp->unit;
}

/* The same for a dense convolution by oneDNN. */
static double dense_cycles(const sptrain *sp) {
    const dpf_conv_shape *s = &sp->shape;
    double pixels = (double)dpf_conv_out_h(s) * (double)dpf_conv_out_w(s), c = (double)s->c, n = (double)s->n;
    double products = pixels * c * n * (double)(s->size * s->size) / SP_LANES;
    if (dpf_conv_plan(s, sp->threads, 1).winograd) /* a quarter of the products, and transforms of input and output */
        return 0.26 * products + 50 * pixels * (c + n) / SP_LANES;
    return products;
}

/* --- building ---------------------------------------------------------------------- */

/* Where the columns of a side lie in its planes. */
static int place_columns(sp_side *side, int plane_columns) {
    side->column = calloc((size_t)side->w, sizeof *side->column);
    if (!side->column)
        return 1;
    side->first_column = side->shift < 0 ? -side->shift : 0;
    for (side->end = side->first_column; side->end < side->w; ++side->end) {
        int q = side->end + side->shift;
        if (q / side->step >= plane_columns)
            break;
        side->column[side->end] = (size_t)(q % side->step) * side->plane + (size_t)(q / side->step) * SP_LANES;
    }
    return 0;
}

static int build_pass(sptrain *sp, sp_which which) {
    sp_pass *p = &sp->pass[which];
    const dpf_conv_shape *s = &sp->shape;
    size_t blocks = (size_t)p->blocks, taps = (size_t)s->size * (size_t)s->size;
    size_t entries = which == SP_FORWARD ? sp->filter_size : (size_t)s->n;
    p->block_of = calloc(entries, sizeof *p->block_of);
    p->distance = calloc(sp->filter_size, sizeof *p->distance);
    p->row_first = calloc(blocks + 1, sizeof *p->row_first);
    p->nonzero_first = calloc(blocks + 1, sizeof *p->nonzero_first);
    p->rows_packed = calloc(blocks * p->filters, sizeof *p->rows_packed);
    p->cursor = calloc(blocks * p->filters, sizeof *p->cursor);
    if (!p->block_of || !p->distance || !p->row_first || !p->nonzero_first || !p->rows_packed || !p->cursor ||
        place_columns(&p->from, p->plane_columns) || place_columns(&p->to, p->columns))
        return 1;
    for (size_t i = 0; i < entries; ++i)
        p->block_of[i] = (uint32_t)((which == SP_FORWARD ? i / taps : i) / (size_t)p->block);
    size_t stride = (size_t)s->stride, size = (size_t)s->size, pitch = (size_t)p->plane_columns,
           reach = (size_t)p->reach;
    for (size_t k = 0; k < sp->filter_size; ++k) {
        size_t map = k / taps, u = k % taps / size, v = k % size, phase = u % stride * stride + v % stride;
        size_t row = u / stride, column = v / stride;
        if (which == SP_FORWARD) {
            p->distance[k] = (int32_t)(map * p->from.map + phase * p->from.plane + (row * pitch + column) * SP_LANES);
        } else {
            p->distance[k] = (int32_t)(((reach - row) * pitch + reach - column) * SP_LANES);
            sp->phase_of[k] = (uint32_t)(map * p->to.phases + phase);
        }
    }
    return 0;
}

dpf_status sptrain_new(sptrain **out, const dpf_conv_shape *s, int blocks, int unit, int threads, dpf_error *err) {
    *out = NULL;
    sptrain *sp = calloc(1, sizeof *sp);
    if (!sp)
        return dpf_fail_memory(err, sizeof *sp, "a sparse convolution");
    sp->shape = *s;
    sp->unit = unit;
    sp->blocks = blocks;
    sp->strips = SP_LANES / unit;
    sp->threads = threads;
    sp->filter_size = (size_t)s->c * (size_t)s->size * (size_t)s->size;
    sp->phase_of = calloc(sp->filter_size, sizeof *sp->phase_of);
    size_t longest = 0;
    int failed = !sp->phase_of;
    for (int i = 0; i < SP_PASSES; ++i) {
        sp_pass *p = &sp->pass[i];
        plan_pass(p, s, blocks, sp->strips, (sp_which)i);
        failed = failed || build_pass(sp, (sp_which)i);
        size_t floats = (size_t)p->from.maps * p->from.map + (size_t)p->to.maps * p->to.map;
        sp->scratch = floats > sp->scratch ? floats : sp->scratch;
        longest = (size_t)p->from.w > longest ? (size_t)p->from.w : longest;
    }
    sp->row_floats = longest * SP_LANES;
    sp->scratch += sp->row_floats;
    failed = failed || sp_grad_new(sp, sp->scratch);
    sp->zeros = dpf_aligned_floats(sp->row_floats);
    if (failed || !sp->zeros) {
        size_t bytes = sp->filter_size * sizeof(float);
        sptrain_free(sp);
        return dpf_fail_memory(err, bytes, "a sparse convolution");
    }
    for (size_t i = 0; i < sp->row_floats; ++i)
        sp->zeros[i] = 0;
    *out = sp;
    return DPF_OK;
}

void sptrain_free(sptrain *sp) {
    if (!sp)
        return;
    for (int i = 0; i < SP_PASSES; ++i) {
        sp_pass *p = &sp->pass[i];
        free(p->from.column);
        free(p->to.column);
        free(p->block_of);
        free(p->distance);
        free(p->row_first);
        free(p->nonzero_first);
        free(p->rows_packed);
        free(p->cursor);
        free(p->nonzeros);
        free(p->origin);
    }
    sp_grad_free(&sp->grad);
    free(sp->phase_of);
    free(sp->zeros);
    free(sp);
}

size_t sptrain_scratch(const sptrain *sp) {
    return sp->grad.possible ? sp->grad.end : sp->scratch;
}

int sptrain_choose(const sptrain *sp, const uint64_t *mask) {
    size_t nonzeros = dpf_mask_count(mask, sp->filter_size * (size_t)sp->shape.n);
    double most = 0.95 * dense_cycles(sp); /* near a tie the model may be wrong */
    int forward = sparse_cycles(sp, SP_FORWARD, nonzeros, 0) < most;
    int backward = sparse_cycles(sp, SP_BACKWARD, nonzeros, 0) < most;
    return (forward ? SPTRAIN_FORWARD : 0) + (backward ? SPTRAIN_BACKWARD : 0);
}

int sptrain_can_lanes(const sptrain *sp) {
    return sp->grad.possible;
}

void sptrain_set_lanes(sptrain *sp, int lanes) {
    sp_kind x = lanes & DPF_BLOCK_X ? SP_PICTURES : sp->blocks & DPF_BLOCK_X ? SP_BLOCKED : SP_PLAIN;
    sp_kind y = lanes & DPF_BLOCK_Y ? SP_PICTURES : sp->blocks & DPF_BLOCK_Y ? SP_BLOCKED : SP_PLAIN;
    sp->pass[SP_FORWARD].from.kind = sp->pass[SP_BACKWARD].to.kind = x;
    sp->pass[SP_FORWARD].to.kind = sp->pass[SP_BACKWARD].from.kind = y;
}

double sptrain_cycles(const sptrain *sp, const uint64_t *mask, int lanes, int with_dx) {
    size_t nonzeros = dpf_mask_count(mask, sp->filter_size * (size_t)sp->shape.n);
    double dense = dense_cycles(sp), forward = sparse_cycles(sp, SP_FORWARD, nonzeros, lanes);
    double backward = with_dx ? sparse_cycles(sp, SP_BACKWARD, nonzeros, lanes) : 0;
    if (lanes)
        return forward + backward + sp_grad_cycles(sp, lanes);
    return (forward < dense ? forward : dense) + (backward < dense ? backward : dense) + dense;
}
