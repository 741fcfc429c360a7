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

/* Functions of their own: within others their loops run out of registers. */
#define SPK_COPY static __attribute__((noinline)) void

/* A vector of zeros in each of `rows` rows of all channels. */
SPK_COPY spk_pack_zeros(const spk_pack *p, float *to, size_t rows) {
    const size_t channels = p->channels, next = p->channel_floats, pitch = p->pitch;
    for (size_t j = 0; j < rows; j++)
        for (size_t k = 0; k < channels; k++)
            vec_store(to + j * pitch + k * next, (vec){0});
}

/* Some lanes of a vector of the picture. */
SPK_COPY spk_pack_part(const spk_pack *p, float *to, const float *from, size_t rows, spk_columns c) {
    const size_t area = p->area, next = p->channel_floats, step = p->width, pitch = p->pitch;
    const vec_lanes lanes = VEC_LANES(c.from, c.to);
    for (size_t k = p->channels; k; k--, from += area, to += next)
        for (size_t j = 0; j < rows; j++)
            vec_store(to + j * pitch, VEC_LOAD_LANES(from + j * step, lanes));
}

/* Two whole vectors next to each other. */
SPK_COPY spk_pack_two(const spk_pack *p, float *to, const float *from, size_t rows) {
    const size_t area = p->area, next = p->channel_floats, step = p->width, pitch = p->pitch;
    for (size_t k = p->channels; k; k--, from += area, to += next)
        for (size_t j = 0; j < rows; j++) {
            vec_store(to + j * pitch, vec_load(from + j * step));
            vec_store(to + j * pitch + VEC_FLOATS, vec_load(from + j * step + VEC_FLOATS));
        }
}

/* Every second column: some lanes of the vector at `from`, and of the next one. */
SPK_COPY spk_pack_even(const spk_pack *p, float *to, const float *from, size_t rows, spk_columns a, spk_columns b) {
    const size_t area = p->area, next = p->channel_floats, step = 2 * p->width, pitch = p->pitch;
    const vec_lanes first = VEC_LANES(a.from, a.to), second = VEC_LANES(b.from, b.to);
    for (size_t k = p->channels; k; k--, from += area, to += next)
        for (size_t j = 0; j < rows; j++)
            vec_store(to + j * pitch, VEC_EVEN(VEC_LOAD_LANES(from + j * step, first),
                                               VEC_LOAD_LANES(from + j * step + VEC_FLOATS, second)));
}

/* Columns any number apart, whose first one is column `at`. */
static void spk_pack_apart(const spk_pack *p, float *to, const float *from, size_t rows, ptrdiff_t at) {
    const ptrdiff_t stride = (ptrdiff_t)p->stride, width = (ptrdiff_t)p->width;
    for (size_t k = 0; k < p->channels; k++)
        for (size_t j = 0; j < rows; j++)
            for (ptrdiff_t i = 0; i < VEC_FLOATS; i++)
                to[k * p->channel_floats + j * p->pitch + (size_t)i] =
                    at + i * stride >= 0 && at + i * stride < width
                        ? from[(ptrdiff_t)(k * p->area + j * p->width * p->stride) + i * stride]
                        : 0;
}

/* A vector of each row of all channels, on one plane; its first lane is column `at` of the picture. Or two vectors,
 * which lie in the picture; stride 1. */
static void spk_pack_column(const spk_pack *p, float *to, const spk_run *run, size_t runs, ptrdiff_t at, int two) {
    const spk_columns c = spk_columns_at(at, (ptrdiff_t)p->width);
    const spk_columns next = spk_columns_at(at + VEC_FLOATS, (ptrdiff_t)p->width);
    for (; runs; runs--, to += run->rows * p->pitch, run++) {
        const float *from = p->from + run->from + at;
        if (run->from < 0)
            for (int i = 0; i <= two; i++)
                spk_pack_zeros(p, to + i * VEC_FLOATS, run->rows);
        else if (p->stride > 2)
            spk_pack_apart(p, to, from, run->rows, at);
        else if (p->stride == 2)
            spk_pack_even(p, to, from, run->rows, c, next);
        else if (two)
            spk_pack_two(p, to, from, run->rows);
        else
            spk_pack_part(p, to, from, run->rows, c);
    }
}

/* One plane of all channels; its first column is column `at` of the picture. The last
 * vector of a row may reach into the next row or behind the plane, so these come first. */
static void spk_pack_plane(const spk_pack *p, float *to, const spk_run *run, size_t runs, ptrdiff_t at) {
    if (p->slack)
        spk_pack_zeros(p, to + p->rows * p->pitch, 1);
    for (size_t x = (p->pitch + VEC_FLOATS - 1) / VEC_FLOATS; x-- > 0;) {
        ptrdiff_t first = at + (ptrdiff_t)(x * VEC_FLOATS * p->stride);
        const int two = p->stride == 1 && x && first >= VEC_FLOATS && first + VEC_FLOATS <= (ptrdiff_t)p->width;
        if (two) {
            x--;
            first -= VEC_FLOATS;
        }
        spk_pack_column(p, to + x * VEC_FLOATS, run, runs, first, two);
    }
}

/* Every column of two vectors from column `at` of the picture on: even ones on a plane, odd ones on the next; perhaps
 * even ones from the second on once more, on a third plane. */
SPK_COPY spk_pack_pairs(const spk_pack *p, float *to, const float *from, size_t rows, ptrdiff_t at, int third) {
    const size_t area = p->area, next = p->channel_floats, step = 2 * p->width, pitch = p->pitch;
    const size_t plane = p->plane_floats;
    vec_lanes lanes[4];
    for (int i = 0; i < 4; i++) {
        const spk_columns c = spk_columns_at(at + i / 2 * 2 + i % 2 * VEC_FLOATS, (ptrdiff_t)p->width);
        lanes[i] = VEC_LANES(c.from, c.to);
    }
    for (size_t k = p->channels; k; k--, from += area, to += next)
        for (size_t j = 0; j < rows; j++) {
            const float *row = from + j * step;
            const vec x = VEC_LOAD_LANES(row, lanes[0]), y = VEC_LOAD_LANES(row + VEC_FLOATS, lanes[1]);
            vec_store(to + j * pitch, VEC_EVEN(x, y));
            vec_store(to + j * pitch + plane, VEC_ODD(x, y));
            if (third)
                vec_store(to + j * pitch + 2 * plane,
                          VEC_EVEN(VEC_LOAD_LANES(row + 2, lanes[2]), VEC_LOAD_LANES(row + 2 + VEC_FLOATS, lanes[3])));
        }
}

/* Two or three planes of a phase of the rows at stride 2, the first one from a column of the picture on; their pitch
 * is a multiple of a vector. */
static void spk_pack_planes(const spk_pack *p, float *to, const spk_run *run, size_t runs, ptrdiff_t column,
                            size_t planes) {
    for (; runs; runs--, to += run->rows * p->pitch, run++)
        for (size_t x = 0; x < p->pitch; x += VEC_FLOATS) {
            const ptrdiff_t at = column + (ptrdiff_t)(2 * x);
            if (run->from >= 0)
                spk_pack_pairs(p, to + x, p->from + run->from + at, run->rows, at, planes == 3);
            else
                for (size_t i = 0; i < planes; i++)
                    spk_pack_zeros(p, to + x + i * p->plane_floats, run->rows);
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

/* A row of half a vector: even columns on a plane and odd ones on the next, or all on one, each once more `again`
 * floats further. */
VEC_INLINE void spk_store_halves(float *to, vec x, size_t stride, size_t odd, size_t again) {
    const vec first = stride == 2 ? VEC_EVEN(x, (vec){0}) : x, second = VEC_ODD(x, (vec){0});
    VEC_STORE_FIRST(to, first, VEC_FLOATS / 2);
    if (again)
        VEC_STORE_FIRST(to + again, first, VEC_FLOATS / 2);
    if (stride == 1)
        return;
    VEC_STORE_FIRST(to + odd, second, VEC_FLOATS / 2);
    if (again)
        VEC_STORE_FIRST(to + odd + again, second, VEC_FLOATS / 2);
}

/* Such rows of all channels. */
SPK_COPY spk_pack_halves(const spk_pack *p, float *to, const spk_run *run, size_t again) {
    const size_t channels = p->channels, area = p->area, next = p->channel_floats, odd = p->plane_floats;
    const size_t rows = run->rows, stride = p->stride, step = stride * p->width, pitch = VEC_FLOATS / 2;
    const spk_columns c = spk_columns_at(p->column, (ptrdiff_t)p->width);
    const vec_lanes lanes = VEC_LANES(c.from, c.to);
    const float *from = p->from + run->from + p->column;
    if (run->from < 0)
        for (size_t j = 0; j < rows; j++)
            for (size_t k = 0; k < channels; k++)
                spk_store_halves(to + j * pitch + k * next, (vec){0}, stride, odd, again);
    else
        for (size_t k = channels; k; k--, from += area, to += next)
            for (size_t j = 0; j < rows; j++)
                spk_store_halves(to + j * pitch, VEC_LOAD_LANES(from + j * step, lanes), stride, odd, again);
}

/* All planes, where rows are half a vector and columns have planes by phases. Planes that are there once more have
 * each row half a vector earlier. Their first row so comes at the end of the plane before: should that have a row
 * there, it is written later, and of what lies behind its rows only columns to the left of the picture matter. */
static void spk_pack_narrow(const spk_pack *p) {
    const size_t planes = p->phases * p->x_planes, moved = p->moved * p->x_planes, half = VEC_FLOATS / 2;
    const spk_run *run = p->runs;
    for (size_t i = 0; p->slack && i < planes + moved; i++)
        spk_pack_zeros(p, p->to + i * p->plane_floats + p->rows * half - (i < planes ? 0 : half), 1);
    for (size_t y = 0; y < p->phases; y++) {
        float *to = p->to + y * p->x_planes * p->plane_floats;
        for (const spk_run *end = run + p->run_count[y]; run < end; to += run++->rows * half)
            spk_pack_halves(p, to, run, y < p->moved ? planes * p->plane_floats - half : 0);
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
    if (2 * p->pitch == VEC_FLOATS && p->stride <= 2 && p->x_planes == p->stride) {
        spk_pack_narrow(p);
        return;
    }
    for (size_t y = 0; y < p->phases; run += p->run_count[y++]) {
        size_t plane = 0;
        if (p->stride == 2 && p->pitch % VEC_FLOATS == 0)
            for (size_t count; plane + 2 <= p->x_planes; plane += count, to += count * p->plane_floats) {
                count = p->x_planes - plane == 3 ? 3 : 2;
                spk_pack_planes(p, to, run, p->run_count[y], p->column + (ptrdiff_t)plane, count);
            }
        for (; plane < p->x_planes; plane++, to += p->plane_floats)
            spk_pack_plane(p, to, run, p->run_count[y], p->column + (ptrdiff_t)plane);
    }
    if (p->moved)
        spk_pack_moved(p);
}

#endif
