/* SPDX-License-Identifier: MIT
 *
 * A part of spconv_kernel.h, which includes it: copying what a tile reads onto planes. Each
 * function does as much of an spk_pack as its comment says; rows in the padding become zeros,
 * and so do columns. What lies behind a row or a plane may be overwritten as long as it is
 * written later.
 */
#ifndef DPF_KERNELS_SPCONV_PLANES_H
#define DPF_KERNELS_SPCONV_PLANES_H

/* Which lanes of a vector, whose first one is column `at` of a picture, lie in it. */
typedef struct spk_columns {
    int from, to;
} spk_columns;

VEC_INLINE spk_columns spk_columns_at(ptrdiff_t at, ptrdiff_t width) {
    if (at <= -VEC_FLOATS || at >= width)
        return (spk_columns){0, 0};
    return (spk_columns){at < 0 ? (int)-at : 0, width - at < VEC_FLOATS ? (int)(width - at) : VEC_FLOATS};
}

/* A vector of each of `rows` rows, `step` floats apart in the picture and `pitch` on the plane. */
VEC_INLINE void spk_pack_rows(float *to, size_t pitch, const float *from, size_t step, size_t rows) {
    for (size_t j = 0; j < rows; j++)
        vec_store(to + j * pitch, vec_load(from + j * step));
}

VEC_INLINE void spk_pack_part(float *to, size_t pitch, const float *from, size_t step, size_t rows, vec_lanes lanes) {
    for (size_t j = 0; j < rows; j++)
        vec_store(to + j * pitch, VEC_LOAD_LANES(from + j * step, lanes));
}

VEC_INLINE void spk_pack_zeros(float *to, size_t pitch, size_t rows) {
    for (size_t j = 0; j < rows; j++)
        vec_store(to + j * pitch, (vec){0});
}

/* Every second column: some lanes of the vector at `from`, and of the next one. */
VEC_INLINE void spk_pack_even(float *to, size_t pitch, const float *from, size_t step, size_t rows, spk_columns a,
                              spk_columns b) {
    const vec_lanes first = VEC_LANES(a.from, a.to), second = VEC_LANES(b.from, b.to);
    for (size_t j = 0; j < rows; j++, from += step)
        vec_store(to + j * pitch, VEC_EVEN(a.to > a.from ? VEC_LOAD_LANES(from, first) : (vec){0},
                                           b.to > b.from ? VEC_LOAD_LANES(from + VEC_FLOATS, second) : (vec){0}));
}

/* A vector of each row of all channels, on one plane; its first lane is column `at` of the picture. */
static void spk_pack_column(const spk_pack *p, float *to, const spk_run *run, size_t runs, ptrdiff_t at) {
    const ptrdiff_t width = (ptrdiff_t)p->width, stride = (ptrdiff_t)p->stride;
    const spk_columns c = spk_columns_at(at, width), next = spk_columns_at(at + VEC_FLOATS, width);
    const vec_lanes lanes = VEC_LANES(c.from, c.to);
    const size_t step = p->width * p->stride, pitch = p->pitch;
    for (; runs; runs--, to += run->rows * pitch, run++) {
        const float *from = p->from + run->from + at;
        float *line = to;
        for (size_t k = 0; k < p->channels; k++, from += p->area, line += p->channel_floats)
            if (run->from < 0 || (c.from == c.to && next.from == next.to && stride <= 2))
                spk_pack_zeros(line, pitch, run->rows);
            else if (stride == 1 && c.from == 0 && c.to == VEC_FLOATS)
                spk_pack_rows(line, pitch, from, step, run->rows);
            else if (stride == 1)
                spk_pack_part(line, pitch, from, step, run->rows, lanes);
            else if (stride == 2)
                spk_pack_even(line, pitch, from, step, run->rows, c, next);
            else
                for (size_t j = 0; j < run->rows; j++)
                    for (ptrdiff_t i = 0; i < VEC_FLOATS; i++)
                        line[j * pitch + (size_t)i] = at + i * stride >= 0 && at + i * stride < width
                                                          ? from[(ptrdiff_t)(j * step) + i * stride]
                                                          : 0;
    }
}

/* Vectors first .. end - 1 of each row, all of which lie in the picture; stride 1. */
static void spk_pack_inside(const spk_pack *p, float *to, const spk_run *runs, size_t run_count, ptrdiff_t at,
                            size_t first, size_t end) {
    for (size_t k = 0; k < p->channels; k++, to += p->channel_floats, at += (ptrdiff_t)p->area) {
        float *line = to;
        for (const spk_run *run = runs; run < runs + run_count; run++) {
            const float *from = p->from + run->from + at;
            for (size_t j = 0; j < run->rows; j++, line += p->pitch, from += p->width)
                for (size_t x = first; x < end; x++)
                    vec_store(line + x * VEC_FLOATS, run->from < 0 ? vec_set(0) : vec_load(from + x * VEC_FLOATS));
        }
    }
}

/* One plane of all channels; its first column is column `at` of the picture. The last
 * vector of a row may reach into the next row or behind the plane, so these come first. */
static void spk_pack_plane(const spk_pack *p, float *to, const spk_run *run, size_t runs, ptrdiff_t at) {
    size_t last = (p->pitch - 1) / VEC_FLOATS, first = last, end = last;
    if (p->pitch % VEC_FLOATS == 0)
        last++;
    if (p->stride == 1 && (ptrdiff_t)p->width >= at) {
        first = at < 0 ? (size_t)(VEC_FLOATS - 1 - at) / VEC_FLOATS : 0;
        end = (size_t)((ptrdiff_t)p->width - at) / VEC_FLOATS;
        end = end < last ? end : last;
        first = first + 1 < end ? first : end; /* a single one is no faster that way */
    }
    if (p->slack)
        for (size_t k = 0; k < p->channels; k++)
            vec_store(to + k * p->channel_floats + p->rows * p->pitch, (vec){0});
    for (size_t x = (p->pitch + VEC_FLOATS - 1) / VEC_FLOATS; x-- > 0;)
        if (x < first || x >= end)
            spk_pack_column(p, to + x * VEC_FLOATS, run, runs, at + (ptrdiff_t)(x * VEC_FLOATS * p->stride));
    if (first < end)
        spk_pack_inside(p, to, run, runs, at, first, end);
}

/* Even columns to a plane, odd ones to the next: what rows of two vectors at `from` hold. */
VEC_INLINE void spk_pack_pairs(float *to, size_t plane_floats, size_t pitch, const float *from, size_t step,
                               size_t rows, spk_columns a, spk_columns b) {
    const vec_lanes first = VEC_LANES(a.from, a.to), second = VEC_LANES(b.from, b.to);
    for (size_t j = 0; j < rows; j++, from += step, to += pitch) {
        const vec x = a.to > a.from ? VEC_LOAD_LANES(from, first) : (vec){0};
        const vec y = b.to > b.from ? VEC_LOAD_LANES(from + VEC_FLOATS, second) : (vec){0};
        vec_store(to, VEC_EVEN(x, y));
        vec_store(to + plane_floats, VEC_ODD(x, y));
    }
}

/* Both planes of a phase of the rows at stride 2; their pitch is a multiple of a vector. */
static void spk_pack_planes(const spk_pack *p, float *to, const spk_run *runs, size_t run_count) {
    const ptrdiff_t width = (ptrdiff_t)p->width;
    const size_t step = 2 * p->width;
    for (size_t k = 0; k < p->channels; k++, to += p->channel_floats) {
        float *line = to;
        for (const spk_run *run = runs; run < runs + run_count; line += run++->rows * p->pitch)
            for (size_t x = 0; x < p->pitch; x += VEC_FLOATS) {
                const ptrdiff_t at = p->column + (ptrdiff_t)(2 * x);
                const spk_columns none = {0, 0};
                const int padding = run->from < 0;
                spk_pack_pairs(line + x, p->plane_floats, p->pitch, p->from + k * p->area + run->from + at, step,
                               run->rows, padding ? none : spk_columns_at(at, width),
                               padding ? none : spk_columns_at(at + VEC_FLOATS, width));
            }
    }
}

/* A single row of each channel, from a column of the picture on; stride 1. */
static void spk_pack_row(const spk_pack *p) {
    const size_t width = p->width - (size_t)p->column, inside = (width < p->pitch ? width : p->pitch) / VEC_FLOATS;
    const spk_columns c = spk_columns_at(0, (ptrdiff_t)(width - inside * VEC_FLOATS));
    const vec_lanes lanes = VEC_LANES(c.from, c.to);
    const float *from = p->from + p->runs->from + p->column;
    float *to = p->to;
    for (size_t k = 0; k < p->channels; k++, from += p->area, to += p->channel_floats) {
        size_t x = 0;
        for (; x < inside; x++)
            vec_store(to + x * VEC_FLOATS, vec_load(from + x * VEC_FLOATS));
        for (; x * VEC_FLOATS < p->pitch; x++)
            vec_store(to + x * VEC_FLOATS, x == inside ? VEC_LOAD_LANES(from + x * VEC_FLOATS, lanes) : (vec){0});
    }
}

/* Planes once more, from their second half vector on. */
static void spk_pack_moved(const spk_pack *p) {
    const size_t planes = p->moved * p->x_planes, offset = p->phases * p->x_planes * p->plane_floats;
    for (size_t k = 0; k < p->channels; k++) {
        float *to = p->to + k * p->channel_floats;
        for (size_t i = 0; i < planes * p->plane_floats; i += VEC_FLOATS)
            vec_store(to + offset + i, vec_load(to + i + VEC_FLOATS / 2));
    }
}

/* All planes, in ascending order. */
static void spk_pack_block(const spk_pack *p) {
    float *to = p->to;
    const spk_run *run = p->runs;
    if (p->rows == 1 && p->phases == 1 && p->x_planes == 1 && p->stride == 1 && p->column >= 0 &&
        (size_t)p->column < p->width && run->from >= 0 && p->pitch % VEC_FLOATS == 0) {
        spk_pack_row(p);
        return;
    }
    for (size_t y = 0; y < p->phases; run += p->run_count[y++]) {
        if (p->stride == 2 && p->x_planes == 2 && p->pitch % VEC_FLOATS == 0) {
            spk_pack_planes(p, to, run, p->run_count[y]);
            to += 2 * p->plane_floats;
            continue;
        }
        for (size_t plane = 0; plane < p->x_planes; plane++, to += p->plane_floats)
            spk_pack_plane(p, to, run, p->run_count[y], p->column + (ptrdiff_t)plane);
    }
    if (p->moved)
        spk_pack_moved(p);
}

#endif
