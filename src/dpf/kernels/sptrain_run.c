/* SPDX-License-Identifier: MIT
 *
 * sptrain: one unit of pictures after another, band by band: rows into planes, the
 * product, rows back. scratch holds the planes of the source, those of the result, and a
 * row that nobody reads, for strips that reach over the edge.
 */
#include <omp.h>
#include <string.h>

#include "sptrain_internal.h"

size_t sp_row_floats(const sp_side *side) {
    return (size_t)side->w * (side->kind == SP_PLAIN ? 1 : SP_LANES);
}

size_t sp_picture_floats(const sp_side *side) {
    return (size_t)side->maps * (size_t)side->h * (size_t)side->w;
}

/* Maps that a gather or scatter does at a time. */
static int maps_together(const sp_side *side) {
    return side->kind == SP_BLOCKED ? SP_LANES : 1;
}

/* Start of row `row` of map `map`, in the picture of this lane; -1: outside of it. `row` is that of the first strip. */
static ptrdiff_t row_at(const sptrain *sp, const sp_side *side, int strip_rows, int lane, int row, int map) {
    int r = row + lane / sp->unit * strip_rows * side->step;
    if (r < 0 || r >= side->h)
        return -1;
    size_t of_map = ((size_t)map * (size_t)side->h) * (size_t)side->w + (size_t)r * sp_row_floats(side);
    return (ptrdiff_t)((size_t)(lane % sp->unit) * sp_picture_floats(side) + of_map);
}

static void clear_vectors(float *to, size_t count) {
    for (size_t i = 0; i < count; ++i)
        memset(to + i * SP_LANES, 0, SP_LANES * sizeof *to);
}

/* The columns of the source's planes that no row is copied to; they stay as they are then. */
static void clear_margins(const sp_pass *p, float *planes) {
    const sp_side *side = &p->from;
    size_t columns = (size_t)p->plane_columns, rows = (size_t)p->band + (size_t)p->reach;
    for (int phase = 0; phase < side->step; ++phase) {
        size_t left = columns, right = 0; /* copied: [left, right) */
        for (int j = side->first_column; j < side->end; ++j) {
            size_t at = (size_t)((j + side->shift) / side->step);
            if ((j + side->shift) % side->step != phase)
                continue;
            left = at < left ? at : left;
            right = at + 1;
        }
        right = right < left ? left : right;
        for (size_t plane = (size_t)phase; plane < (size_t)side->maps * side->phases; plane += (size_t)side->step)
            for (size_t row = 0; row < rows; ++row) {
                float *to = planes + plane * side->plane + row * columns * SP_LANES;
                clear_vectors(to, left);
                clear_vectors(to + right * SP_LANES, columns - right);
            }
    }
}

/* Start of row `row` of map `map` of a unit whose lanes are the planes'; NULL: outside of it. */
static const float *shared_row(const sp_side *side, const float *unit, int row, int map) {
    if (row < 0 || row >= side->h)
        return NULL;
    return unit + ((size_t)map * (size_t)side->h + (size_t)row) * (size_t)side->w * SP_LANES;
}

/* A row of the source of `together` maps into planes. Returns 0 if it lies outside. */
static int load_row(const sptrain *sp, const sp_pass *p, const sp_loops *loops, const float *from, int row, int map,
                    float *to) {
    const sp_side *side = &p->from;
    if (side->kind == SP_PICTURES) {
        const float *at = shared_row(side, from, row, map);
        const float *next = map + 1 < side->maps ? shared_row(side, from, row, map + 1) : NULL;
        for (int j = 0; next && j < side->w; ++j) /* a jump that the hardware does not foresee */
            __builtin_prefetch(next + (size_t)j * SP_LANES, 0, 2);
        if (at)
            loops->copy_in(at, side, to);
        return at != NULL;
    }
    const float *lanes[SP_LANES];
    int inside = 0;
    for (int lane = 0; lane < SP_LANES; ++lane) {
        ptrdiff_t at = row_at(sp, side, p->strip_rows, lane, row, map);
        lanes[lane] = at < 0 ? sp->zeros : from + at;
        inside += at >= 0;
    }
    if (inside)
        (side->kind == SP_BLOCKED ? loops->gather_blocked : loops->gather_plain)(lanes, side, to);
    return inside;
}

void sp_load_band(const sptrain *sp, const sp_pass *p, const float *from, int band, int count, float *planes) {
    const sp_loops *loops = sp_loops_for_cpu();
    const sp_side *side = &p->from;
    size_t line = (size_t)p->plane_columns * SP_LANES;
    int together = maps_together(side), rows = (count + p->reach) * side->step;
    for (int q = 0; q < rows; ++q) {
        size_t phase = (size_t)(q % side->step) * (size_t)side->step;
        float *to = planes + phase * side->plane + (size_t)(q / side->step) * line;
        for (int map = 0; map < side->maps; map += together, to += (size_t)together * side->map) {
            int inside = load_row(sp, p, loops, from, band * side->step + q - side->shift, map, to);
            for (int m = 0; !inside && m < together; ++m)
                for (int i = 0; i < side->step; ++i)
                    clear_vectors(to + (size_t)m * side->map + (size_t)i * side->plane, (size_t)p->plane_columns);
        }
    }
}

static void store_row(const sptrain *sp, const sp_pass *p, const sp_loops *loops, const float *from, int row, int map,
                      float *to, int set, float *nowhere) {
    const sp_side *side = &p->to;
    if (side->kind == SP_PICTURES) {
        const float *at = shared_row(side, to, row, map);
        if (at)
            loops->copy_out(from, side, to + (at - to), set);
        return;
    }
    float *lanes[SP_LANES];
    int inside = 0;
    for (int lane = 0; lane < SP_LANES; ++lane) {
        ptrdiff_t at = row_at(sp, side, p->strip_rows, lane, row, map);
        lanes[lane] = at < 0 ? nowhere : to + at;
        inside += at >= 0;
    }
    if (inside)
        (side->kind == SP_BLOCKED ? loops->scatter_blocked : loops->scatter_plain)(from, side, lanes, set);
}

static void store_band(const sptrain *sp, const sp_pass *p, const sp_loops *loops, const float *planes, int band,
                       int count, float *to, int set, float *nowhere) {
    const sp_side *side = &p->to;
    size_t line = (size_t)p->columns * SP_LANES;
    int together = maps_together(side);
    for (int q = 0; q < count * side->step; ++q) {
        size_t phase = (size_t)(q % side->step) * (size_t)side->step;
        const float *from = planes + phase * side->plane + (size_t)(q / side->step) * line;
        for (int map = 0; map < side->maps; map += together, from += (size_t)together * side->map)
            store_row(sp, p, loops, from, band * side->step + q - side->shift, map, to, set, nowhere);
    }
}

/* Where a product goes: floats from one row of positions, and from one filter, to the next. */
typedef struct sp_target {
    float *to;
    size_t row, filter;
    int set;
} sp_target;

static void multiply_row(const sp_pass *p, const sp_loops *loops, const float *from, const sp_target *target, int row) {
    int tiles = (p->columns + SP_MAX_TILE - 1) / SP_MAX_TILE;
    for (int tile = 0, column = 0; tile < tiles; ++tile) {
        int width = p->columns / tiles + (tile < p->columns % tiles);
        const float *in = from + ((size_t)row * (size_t)p->plane_columns + (size_t)column) * SP_LANES;
        float *out = target->to + (size_t)row * target->row + (size_t)column * SP_LANES;
        for (int b = 0; b < p->blocks; ++b)
            loops->tile[width](in, p->rows_packed + p->row_first[b], p->row_first[b + 1] - p->row_first[b],
                               p->nonzeros + p->nonzero_first[b], out, target->filter, b == 0 && target->set);
        column += width;
    }
}

/* A result in lanes of pictures whose rows are rows of positions is written at once. */
static int goes_at_once(const sp_pass *p) {
    return p->to.kind == SP_PICTURES && p->to.step == 1;
}

void sp_run_unit(const sptrain *sp, const sp_pass *p, const float *from, float *to, int set, float *scratch) {
    const sp_loops *loops = sp_loops_for_cpu();
    float *result = scratch + (size_t)p->from.maps * p->from.map;
    float *nowhere = scratch + sp->scratch - sp->row_floats;
    size_t line = (size_t)p->columns * SP_LANES;
    for (int band = 0; band < p->strip_rows; band += p->band) {
        int count = p->strip_rows - band < p->band ? p->strip_rows - band : p->band, at_once = goes_at_once(p);
        const sp_target target = {at_once ? to + (size_t)band * line : result, line,
                                  at_once ? (size_t)p->to.h * line : p->to.plane, at_once ? set : 1};
        sp_load_band(sp, p, from, band, count, scratch);
        for (int row = 0; row < count; ++row)
            multiply_row(p, loops, scratch, &target, row);
        if (!at_once)
            store_band(sp, p, loops, result, band, count, to, set, nowhere);
    }
}

void sp_prepare(const sptrain *sp, const sp_pass *p, float *scratch) {
    clear_margins(p, scratch);
    memset(scratch + sp->scratch - sp->row_floats, 0, sp->row_floats * sizeof *scratch);
}

void sp_load_whole(const sptrain *sp, const sp_side *side, const sp_side *whole, const float *from, float *to) {
    const sp_loops *loops = sp_loops_for_cpu();
    int together = maps_together(side);
    for (int map = 0; map < side->maps; map += together)
        for (int row = 0; row < side->h; ++row) {
            const float *lanes[SP_LANES];
            for (int lane = 0; lane < SP_LANES; ++lane)
                lanes[lane] = from + row_at(sp, side, 0, lane, row, map);
            float *planes = to + (size_t)map * whole->map + (size_t)row * (size_t)side->w * SP_LANES;
            (side->kind == SP_BLOCKED ? loops->gather_blocked : loops->gather_plain)(lanes, whole, planes);
        }
}

void sptrain_forward(const sptrain *sp, const float *x, float *y, float *scratch, const dpf_chunk_hook *after) {
    const sp_pass *p = &sp->pass[SP_FORWARD];
    size_t x_unit = sp_picture_floats(&p->from) * (size_t)sp->unit,
           y_unit = sp_picture_floats(&p->to) * (size_t)sp->unit;
    int units = sp->shape.batch / sp->unit;
#pragma omp parallel num_threads(sp->threads) if (sp->threads > 1)
    {
        int team = omp_get_num_threads(), me = omp_get_thread_num();
        float *own = scratch + (size_t)me * sptrain_scratch(sp);
        sp_prepare(sp, p, own);
        for (int u = (int)((long)units * me / team); u < (int)((long)units * (me + 1) / team); ++u) {
            sp_run_unit(sp, p, x + (size_t)u * x_unit, y + (size_t)u * y_unit, 1, own);
            if (after)
                after->run(after->context, u * sp->unit, sp->unit, 1, y + (size_t)u * y_unit);
        }
    }
}

void sptrain_backward(const sptrain *sp, int count, const float *dy, float *dx, int set_dx, float *scratch) {
    const sp_pass *p = &sp->pass[SP_BACKWARD];
    sp_prepare(sp, p, scratch);
    for (int first = 0; first < count; first += sp->unit)
        sp_run_unit(sp, p, dy + (size_t)first * sp_picture_floats(&p->from),
                    dx + (size_t)first * sp_picture_floats(&p->to), set_dx, scratch);
}
