/* SPDX-License-Identifier: MIT
 *
 * The tiles of a sparse convolution: for each, which rows of the input it reads and
 * which floats of its result go where in the output.
 */
#include <stdlib.h>

#include "spconv_internal.h"

/* Where line `line` of the pictures below each other is: picture and row of it. */
static size_t row_of_line(const spk_plan *p, size_t line, size_t *image) {
    *image = min_size(line / p->rows, p->images - 1);
    return line - *image * p->rows;
}

/* The rows that a tile's planes are filled from. Returns how many runs they are. */
static size_t list_runs(const spconv *conv, const spk_tile *tile, size_t line, spk_run *runs, size_t *run_count) {
    const infer_desc *d = &conv->desc;
    const spk_plan *p = &conv->plan;
    size_t all = 0;
    ptrdiff_t step = (ptrdiff_t)(d->stride * d->width);
    for (size_t phase = 0; phase < p->y_phases; phase++, run_count++) {
        size_t n = 0;
        spk_run *run = runs + all;
        for (size_t j = 0; j < tile->rows + p->reach; j++) {
            size_t image, y = row_of_line(p, line + j, &image) * d->stride + phase; /* in the padded picture */
            ptrdiff_t from = -1;
            if (y >= d->pad && y - d->pad < d->height)
                from = (ptrdiff_t)(image * d->channels * d->in_pitch + (y - d->pad) * d->width);
            spk_run *last = n ? &run[n - 1] : NULL;
            if (last &&
                (from < 0 ? last->from < 0 : last->from >= 0 && last->from + (ptrdiff_t)last->rows * step == from))
                last->rows++;
            else
                run[n++] = (spk_run){1, from};
        }
        *run_count = n;
        all += n;
    }
    return all;
}

/* Returns how many segments the tile has. */
static size_t list_segments(const spconv *conv, const spk_tile *tile, size_t line, spk_segment *segments) {
    const infer_desc *d = &conv->desc;
    const spk_plan *p = &conv->plan;
    size_t n = 0, count = min_size(p->strip, d->out_w - tile->column);
    for (size_t j = 0; j < tile->rows && conv->pool; j += 2)
        segments[n++] = (spk_segment){(uint32_t)(j * p->pitch), (uint32_t)count / 2,
                                      (line + j) / 2 * (d->out_w / 2) + tile->column / 2};
    for (size_t j = 0; j < tile->rows && !conv->pool; j++) {
        size_t image, y = row_of_line(p, line + j, &image);
        if (y >= d->out_h)
            continue;
        size_t from = j * p->pitch;
        size_t to = image * d->filters * d->out_pitch + y * d->out_w + tile->column;
        spk_segment *last = n ? &segments[n - 1] : NULL;
        if (last && last->from + last->count == from && last->to + last->count == to)
            last->count += (uint32_t)count;
        else
            segments[n++] = (spk_segment){(uint32_t)from, (uint32_t)count, to};
    }
    return n;
}

/* The same vector by vector: the places of the lanes of each, first and second ones. Returns how many there are at
 * most, 0 where two do not do. */
static int list_places(const spconv *conv, const spk_tile *tile, const spk_segment *segments, spk_place *places) {
    const size_t vector = conv->table->vector;
    int most = 1;
    for (size_t s = 0; s < tile->segments; s++)
        for (size_t at = segments[s].from, end = at + segments[s].count, next; at < end; at = next) {
            const size_t t = at / vector, lane = at % vector;
            next = min_size((t + 1) * vector, end);
            const int second = places[t].lanes != 0;
            spk_place *p = &places[second ? tile->vectors + t : t];
            if (p->lanes)
                return 0;
            most = second ? 2 : most;
            p->to = (ptrdiff_t)(segments[s].to + at - segments[s].from) - (ptrdiff_t)lane;
            p->lanes = ((1u << (next - at)) - 1) << lane;
        }
    return most;
}

/* Finds out whether the tile's vectors are rows of the output, or pairs of them become one. */
static void find_rows(const spconv *conv, spk_tile *tile, const spk_segment *s) {
    const size_t n = tile->segments, lines = conv->pool ? 2 : 1, vector = conv->table->vector;
    if (!n || tile->vectors % (n * lines))
        return;
    const size_t row = tile->vectors / (n * lines), whole = (row + lines - 1) / lines * vector, count = s->count;
    const size_t step = n > 1 ? s[1].to - s->to : 0;
    if (count * lines > row * vector || count + vector < whole || (conv->pool && row * vector != conv->plan.pitch))
        return;
    for (size_t i = 0; i < n; i++)
        if (s[i].from != i * lines * row * vector || s[i].to != s->to + i * step || s[i].count != count)
            return;
    tile->row = row;
    tile->row_step = step;
    tile->row_last = (int)(count + vector - whole);
}

dpf_status spk_tiles_make(spconv *conv, dpf_error *err) {
    const spk_plan *p = &conv->plan;
    size_t vector = conv->table->vector, run = 0, segment = 0, place = 0;
    size_t rows = p->strips * p->y_phases * (p->lines + p->row_tiles * p->reach), segments = p->strips * p->lines;
    conv->tiles = calloc(p->tiles, sizeof *conv->tiles);
    conv->runs = calloc(rows, sizeof *conv->runs);
    conv->run_count = calloc(p->tiles * p->y_phases, sizeof *conv->run_count);
    conv->segments = calloc(segments, sizeof *conv->segments);
    conv->places = calloc(2 * p->tiles * p->tile, sizeof *conv->places);
    if (!conv->tiles || !conv->runs || !conv->run_count || !conv->segments || !conv->places)
        return dpf_fail_memory(err, segments * sizeof *conv->segments, "the plan of a convolution");
    for (size_t i = 0; i < p->tiles; i++) {
        spk_tile *t = &conv->tiles[i];
        size_t at = i / p->strips, units = p->lines / p->row_unit, line = at * units / p->row_tiles * p->row_unit;
        t->column = i % p->strips * p->strip;
        t->rows = (at + 1) * units / p->row_tiles * p->row_unit - line;
        size_t floats = (t->rows - 1) * p->pitch + min_size(p->strip, conv->desc.out_w - t->column) + (size_t)p->shifts;
        t->vectors = (floats + vector - 1) / vector;
        t->run = run;
        run += list_runs(conv, t, line, conv->runs + run, conv->run_count + i * p->y_phases);
        t->segment = segment;
        t->segments = list_segments(conv, t, line, conv->segments + segment);
        t->place = place;
        find_rows(conv, t, conv->segments + segment);
        if (!conv->pool && !t->row && conv->table->store_lanes)
            t->places = list_places(conv, t, conv->segments + segment, conv->places + place);
        place += 2 * t->vectors;
        segment += t->segments;
    }
    return DPF_OK;
}
