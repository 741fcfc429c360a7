/* SPDX-License-Identifier: MIT
 *
 * The tiles of a sparse convolution: for each, which rows of the input it reads and
 * which floats of its result go where in the output.
 */
#include <stdlib.h>

#include "spconv_internal.h"

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

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
                from = (ptrdiff_t)(image * d->channels * d->height * d->width + (y - d->pad) * d->width);
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
    for (size_t j = 0; j < tile->rows; j++) {
        size_t image, y = row_of_line(p, line + j, &image);
        if (y >= d->out_h)
            continue;
        size_t from = j * p->pitch;
        size_t to = image * d->filters * d->out_h * d->out_w + y * d->out_w + tile->column;
        spk_segment *last = n ? &segments[n - 1] : NULL;
        if (last && last->from + last->count == from && last->to + last->count == to)
            last->count += (uint32_t)count;
        else
            segments[n++] = (spk_segment){(uint32_t)from, (uint32_t)count, to};
    }
    return n;
}

dpf_status spk_tiles_make(spconv *conv, dpf_error *err) {
    const spk_plan *p = &conv->plan;
    size_t vector = conv->table->vector, run = 0, segment = 0;
    size_t rows = p->strips * p->y_phases * (p->lines + p->row_tiles * p->reach), segments = p->strips * p->lines;
    conv->tiles = calloc(p->tiles, sizeof *conv->tiles);
    conv->runs = calloc(rows, sizeof *conv->runs);
    conv->run_count = calloc(p->tiles * p->y_phases, sizeof *conv->run_count);
    conv->segments = calloc(segments, sizeof *conv->segments);
    if (!conv->tiles || !conv->runs || !conv->run_count || !conv->segments)
        return dpf_fail_memory(err, segments * sizeof *conv->segments, "the plan of a convolution");
    for (size_t i = 0; i < p->tiles; i++) {
        spk_tile *t = &conv->tiles[i];
        size_t at = i / p->strips, line = at * p->lines / p->row_tiles;
        t->column = i % p->strips * p->strip;
        t->rows = (at + 1) * p->lines / p->row_tiles - line;
        size_t floats = (t->rows - 1) * p->pitch + min_size(p->strip, conv->desc.out_w - t->column);
        t->vectors = (floats + vector - 1) / vector;
        t->run = run;
        run += list_runs(conv, t, line, conv->runs + run, conv->run_count + i * p->y_phases);
        t->segment = segment;
        t->segments = list_segments(conv, t, line, conv->segments + segment);
        segment += t->segments;
    }
    return DPF_OK;
}
