/* SPDX-License-Identifier: MIT
 *
 * Packing: from weights without their zeros to the streams that the tile kernels read,
 * part by part (a share of the filters), block by block (a range of channels),
 * filter by filter. After packing, everything but the values is fixed.
 */
#include <stdlib.h>
#include <string.h>

#include "spconv_internal.h"

#define MOST_FILLED 5 /* vectors of a tile; with more, fours that are not filled up cost less */

/* Filters of a part, ordered by how many fours of nonzeros they have in a block, before and between shifts, then by
 * their nonzeros: branches are predicted where the filter before went the same way. */
typedef struct order {
    uint64_t fours;
    uint32_t filter, count;
} order;

static int by_count(const void *a, const void *b) {
    const order *x = a, *y = b;
    if (x->fours != y->fours)
        return x->fours < y->fours ? -1 : 1;
    if (x->count != y->count)
        return x->count < y->count ? -1 : 1;
    return x->filter < y->filter ? -1 : 1;
}

const spk_table *spk_table_for(dpf_isa isa) {
#if defined(__x86_64__)
    if (isa == DPF_ISA_AVX512)
        return &spk_table_avx512;
    if (isa == DPF_ISA_AVX2)
        return &spk_table_avx2;
#endif
    (void)isa;
    return &spk_table_c;
}

/* Distance of a tap from the first pixel of a tile, relative to the block's first channel, in units. */
static uint16_t distance(const spk_plan *p, const infer_desc *d, size_t channel, size_t ky, size_t kx) {
    const size_t shared = p->x_planes < d->size; /* then columns have phases like rows */
    size_t plane = ky % d->stride * p->x_planes + (shared ? kx % d->stride : kx);
    size_t row = ky / d->stride * p->pitch, column = shared && !p->shifts ? kx / d->stride : 0;
    if (p->moved && row % SPK_ALIGN_FLOATS) {
        plane += p->y_phases * p->x_planes;
        row -= SPK_ALIGN_FLOATS / 2;
    }
    return (uint16_t)((channel * p->channel_floats + plane * p->plane_floats + row + column) / p->unit);
}

/* Splits each group's filters into parts with about the same number of nonzeros. */
static void split_filters(spconv *conv, const dpf_rows *weights) {
    const infer_desc *d = &conv->desc;
    const size_t filters = d->filters / d->groups;
    for (size_t g = 0; g < d->groups; g++) {
        const size_t *start = weights->start + g * filters;
        /* a filter costs something without nonzeros, too */
        size_t total = start[filters] - start[0] + filters, done = 0, filter = 0;
        for (size_t i = 0; i < conv->plan.parts; i++) {
            spk_part *part = &conv->parts[g * conv->plan.parts + i];
            *part = (spk_part){.filter = g * filters + filter, .group = g};
            size_t left = conv->plan.parts - 1 - i; /* parts after this one need a filter each */
            while (filter + left < filters && (!part->filters || !left || done * conv->plan.parts < total * (i + 1))) {
                done += start[filter + 1] - start[filter] + 1;
                part->filters++;
                filter++;
            }
            conv->part_filters = part->filters > conv->part_filters ? part->filters : conv->part_filters;
        }
    }
}

/* After how many shifts a weight's column of the input is reached. */
static size_t shifts_before(const spconv *conv, size_t column) {
    const size_t size = conv->desc.size;
    return conv->plan.shifts ? (size_t)conv->plan.shifts - column % size / conv->desc.stride : 0;
}

/* With few vectors a tile, a wrong guess at the end of some nonzeros costs more than to fill them up to a multiple of
 * four. Fillers have the weight zero and the tap of the nonzero before. */
static int fills_up(const spk_plan *p) {
    return p->shifts && p->tile <= MOST_FILLED;
}

/* Packs `count` nonzeros of a filter from weight number `from` on, all of one block that begins with channel
 * `first`; where sums are shifted, those of the last columns first. Returns the place behind them. */
static size_t pack_filter(spconv *conv, const dpf_rows *weights, size_t filter, size_t first, size_t from, size_t count,
                          size_t at, uint32_t *counts) {
    const infer_desc *d = &conv->desc;
    const size_t window = d->size * d->size;
    for (size_t shifts = 0; shifts <= (size_t)conv->plan.shifts; shifts++) {
        const size_t begin = at;
        for (size_t i = from; i < from + count; i++) {
            const size_t column = weights->column[i], c = column / window, k = column % window;
            if (shifts_before(conv, column) != shifts)
                continue;
            conv->distances[at] = distance(&conv->plan, d, c - first, k / d->size, k % d->size);
            conv->values[at] = weights->value[i];
            if (conv->origin)
                conv->origin[at] = (uint32_t)(filter * weights->width + column);
            at++;
        }
        for (; fills_up(&conv->plan) && (at - begin) % 4; at++) {
            conv->distances[at] = conv->distances[at - 1];
            conv->values[at] = 0;
            if (conv->origin)
                conv->origin[at] = SPK_FILLER;
        }
        counts[shifts] = (uint32_t)(at - begin);
    }
    return at;
}

/* Nonzeros of a filter from weight number `from` on, up to column `to`. */
static size_t count_filter(const dpf_rows *weights, size_t filter, size_t from, size_t to) {
    size_t end = from;
    while (end < weights->start[filter + 1] && weights->column[end] < to)
        end++;
    return end - from;
}

/* As of order; of windows with many columns the first shifts alone. */
static uint64_t count_fours(const spconv *conv, const dpf_rows *weights, size_t from, size_t count) {
    enum { GROUPS = 5, BITS = 12 };
    uint64_t groups[GROUPS] = {0}, fours = 0;
    if (!conv->plan.shifts)
        return 0;
    for (size_t i = from; i < from + count; i++) {
        const size_t shifts = shifts_before(conv, weights->column[i]);
        if (shifts < GROUPS)
            groups[shifts]++;
    }
    for (size_t g = 0; g < GROUPS; g++)
        fours = fours << BITS | (groups[g] + (fills_up(&conv->plan) ? 3 : 0)) / 4;
    return fours;
}

/* Fills rows and nonzeros. `sorted` and `next`, the weights to come of each filter, have room for the filters of a
 * part. */
static void pack_parts(spconv *conv, const dpf_rows *weights, order *sorted, size_t *next) {
    const spk_plan *p = &conv->plan;
    const size_t window = conv->desc.size * conv->desc.size, channels = conv->desc.channels / conv->desc.groups;
    size_t row = 0, nonzero = 0;
    for (size_t i = 0; i < conv->part_count; i++) {
        spk_part *part = &conv->parts[i];
        part->block_row = conv->part_index + i * 2 * (p->blocks + 1);
        part->block_nonzero = part->block_row + p->blocks + 1;
        memcpy(next, weights->start + part->filter, part->filters * sizeof *next);
        for (size_t b = 0; b < p->blocks; b++) {
            size_t from = b * p->block, to = from + p->block < channels ? from + p->block : channels;
            part->block_row[b] = row;
            part->block_nonzero[b] = nonzero;
            for (size_t f = 0; f < part->filters; f++) {
                const size_t count = count_filter(weights, part->filter + f, next[f], to * window);
                sorted[f] = (order){count_fours(conv, weights, next[f], count), (uint32_t)f, (uint32_t)count};
            }
            qsort(sorted, part->filters, sizeof *sorted, by_count);
            for (size_t f = 0; f < part->filters; f++) {
                /* the first block writes the bias and the last one the output, nonzeros or not */
                if (!sorted[f].count && b && b + 1 < p->blocks)
                    continue;
                size_t *filter_next = &next[sorted[f].filter];
                nonzero = pack_filter(conv, weights, part->filter + sorted[f].filter, from, *filter_next,
                                      sorted[f].count, nonzero, conv->counts + row * (size_t)(p->shifts + 1));
                conv->filters[row++] = sorted[f].filter;
                *filter_next += sorted[f].count;
            }
        }
        part->block_row[p->blocks] = row;
        part->block_nonzero[p->blocks] = nonzero;
    }
    conv->row_count = row;
    conv->packed_count = nonzero;
    memset(conv->distances + nonzero, 0, SPK_READ_AHEAD * sizeof *conv->distances);
}

static dpf_status allocate(spconv *conv, int refreshable, dpf_error *err) {
    const spk_plan *p = &conv->plan;
    const infer_desc *d = &conv->desc;
    conv->part_count = p->parts * d->groups;
    conv->parts = calloc(conv->part_count, sizeof *conv->parts);
    conv->part_index = calloc(conv->part_count * 2 * (p->blocks + 1), sizeof *conv->part_index);
    conv->filters = calloc(p->blocks * d->filters, sizeof *conv->filters);
    conv->counts = calloc(p->blocks * d->filters * (size_t)(p->shifts + 1), sizeof *conv->counts);
    /* the memory of fillers that do not come to be is never touched */
    const size_t most = conv->nonzero_count + (fills_up(p) ? 3 * p->blocks * d->filters * (size_t)(p->shifts + 1) : 0);
    conv->distances = malloc((most + SPK_READ_AHEAD) * sizeof *conv->distances);
    conv->values = malloc((most + 1) * sizeof *conv->values);
    if (refreshable)
        conv->origin = malloc((most + 1) * sizeof *conv->origin);
    conv->bias = calloc(d->filters, sizeof *conv->bias);
    if (!conv->parts || !conv->part_index || !conv->filters || !conv->counts || !conv->distances || !conv->values ||
        !conv->bias || (refreshable && !conv->origin))
        return dpf_fail_memory(err, conv->nonzero_count * 2 * sizeof *conv->values, "packed weights");
    return spk_tiles_make(conv, err);
}

/* Where the planes of input and output begin. The picture of a 1x1 layer is a single row; what lies behind it is part
 * of it where it lies there in both. */
static void set_pitch(infer_desc *d, const spconv_options *o) {
    const size_t area = d->height * d->width, whole = spconv_whole(area);
    d->in_pitch = o->in_pitch ? o->in_pitch : area;
    d->out_pitch = o->out_pitch ? o->out_pitch : d->out_h * d->out_w / (o->pool ? 4 : 1);
    if (d->size == 1 && d->stride == 1 && !d->pad && !o->pool) {
        d->width = d->out_w = d->in_pitch >= whole && d->out_pitch >= whole ? whole : area;
        d->height = d->out_h = 1;
    }
}

static dpf_status build(spconv **out, const infer_desc *desc, const dpf_rows *weights, const float *bias,
                        const spconv_options *o, dpf_error *err) {
    order *sorted = NULL;
    size_t *next = NULL;
    spconv *conv = calloc(1, sizeof *conv);
    if (!conv)
        return dpf_fail_memory(err, sizeof *conv, "a convolution");
    conv->desc = *desc;
    set_pitch(&conv->desc, o);
    conv->isa = o->isa_set ? o->isa : dpf_cpu_isa();
    conv->table = spk_table_for(conv->isa);
    conv->threads = o->threads > 1 ? o->threads : 1;
    conv->pool = o->pool;
    conv->nonzero_count = weights->count;
    spk_plan_make(&conv->plan, &conv->desc, conv->table, (double)conv->nonzero_count / (double)desc->weights, o);
    dpf_status status = DPF_OK;
    if (!conv->plan.tiles)
        status = dpf_fail(err, DPF_ERR_UNSUPPORTED, "a window of %zu is too large%s", desc->size,
                          o->pool ? " to pool the output" : "");
    else
        status = allocate(conv, o->refreshable, err);
    if (status != DPF_OK)
        goto fail;
    split_filters(conv, weights);
    sorted = malloc((conv->part_filters + 1) * sizeof *sorted);
    next = malloc((conv->part_filters + 1) * sizeof *next);
    if (!sorted || !next) {
        status = dpf_fail_memory(err, conv->part_filters * (sizeof *sorted + sizeof *next), "sorting filters");
        goto fail;
    }
    pack_parts(conv, weights, sorted, next);
    if (bias)
        memcpy(conv->bias, bias, desc->filters * sizeof *bias);
    free(sorted);
    free(next);
    *out = conv;
    return DPF_OK;
fail:
    free(sorted);
    free(next);
    spconv_free(conv);
    return status;
}

size_t spconv_whole(size_t area) {
    return round_up(area, SPK_ALIGN_FLOATS);
}

int spconv_can_pool(const dpf_conv_shape *shape) {
    return dpf_conv_out_h(shape) % 2 == 0 && dpf_conv_out_w(shape) % 2 == 0;
}

/* Checks everything but the weights. */
static dpf_status check(infer_desc *desc, const dpf_conv_shape *shape, dpf_activation act, const spconv_options *o,
                        dpf_error *err) {
    dpf_status status = infer_desc_make(desc, shape, act, err);
    if (status == DPF_OK && o->isa_set && o->isa > dpf_cpu_isa())
        status = dpf_fail(err, DPF_ERR_UNSUPPORTED, "%s is not there, or DPF_ISA forbids it", dpf_isa_name(o->isa));
    if (status == DPF_OK && o->pool && !spconv_can_pool(shape))
        status =
            dpf_fail(err, DPF_ERR_ARGUMENT, "%zu x %zu outputs cannot be pooled in pairs", desc->out_w, desc->out_h);
    const size_t area = status == DPF_OK ? desc->out_h * desc->out_w / (o->pool ? 4 : 1) : 0;
    if (status == DPF_OK &&
        ((o->in_pitch && o->in_pitch < desc->height * desc->width) || (o->out_pitch && o->out_pitch < area)))
        status = dpf_fail(err, DPF_ERR_ARGUMENT, "planes of %zu and %zu floats do not hold %zu x %zu and %zu pixels",
                          o->in_pitch, o->out_pitch, desc->width, desc->height, area);
    return status;
}

dpf_status spconv_new_rows(spconv **out, const dpf_conv_shape *shape, dpf_activation act, const dpf_rows *weights,
                           const float *bias, const spconv_options *options, dpf_error *err) {
    static const spconv_options none;
    const spconv_options *o = options ? options : &none;
    infer_desc desc;
    *out = NULL;
    dpf_status status = check(&desc, shape, act, o, err);
    if (status != DPF_OK)
        return status;
    if (weights->rows != desc.filters || weights->width != desc.weights / desc.filters)
        return dpf_fail(err, DPF_ERR_MISMATCH, "weights of %zu filters with %zu each, not %zu with %zu", weights->rows,
                        weights->width, desc.filters, desc.weights / desc.filters);
    return build(out, &desc, weights, bias, o, err);
}

dpf_status spconv_new(spconv **out, const dpf_conv_shape *shape, dpf_activation act, const float *weights,
                      const float *bias, const spconv_options *options, dpf_error *err) {
    static const spconv_options none;
    const spconv_options *o = options ? options : &none;
    infer_desc desc;
    dpf_rows rows;
    *out = NULL;
    dpf_status status = check(&desc, shape, act, o, err);
    if (status == DPF_OK)
        status = dpf_rows_from_dense(&rows, weights, desc.filters, desc.weights / desc.filters, err);
    if (status != DPF_OK)
        return status;
    status = build(out, &desc, &rows, bias, o, err);
    dpf_rows_free(&rows);
    return status;
}

void spconv_free(spconv *conv) {
    if (!conv)
        return;
    free(conv->filters);
    free(conv->counts);
    free(conv->distances);
    free(conv->values);
    free(conv->origin);
    free(conv->bias);
    free(conv->parts);
    free(conv->part_index);
    free(conv->tiles);
    free(conv->runs);
    free(conv->run_count);
    free(conv->segments);
    free(conv->places);
    free(conv);
}

void spconv_refresh_values(spconv *conv, const float *weights, const float *bias) {
    if (conv->origin)
        for (size_t i = 0; i < conv->packed_count; i++)
            conv->values[i] = conv->origin[i] == SPK_FILLER ? 0 : weights[conv->origin[i]];
    if (bias)
        memcpy(conv->bias, bias, conv->desc.filters * sizeof *bias);
}

void spconv_get_info(const spconv *conv, spconv_info *out) {
    const spk_plan *p = &conv->plan;
    *out = (spconv_info){.isa = conv->isa,
                         .nonzeros = conv->nonzero_count,
                         .packed_bytes = conv->packed_count * (sizeof *conv->distances + sizeof *conv->values) +
                                         conv->row_count * (size_t)(p->shifts + 2) * sizeof *conv->counts +
                                         (conv->origin ? conv->packed_count * sizeof *conv->origin : 0),
                         .tile = p->tile,
                         .tiles = p->tiles,
                         .block = p->block,
                         .planes = p->y_phases * p->x_planes,
                         .columns = p->shifts                       ? SPCONV_COLUMNS_SHIFTED
                                    : p->x_planes < conv->desc.size ? SPCONV_COLUMNS_UNALIGNED
                                                                    : SPCONV_COLUMNS_COPIED,
                         .parts = p->parts,
                         .images = p->images,
                         .in_place = p->in_place,
                         .cycles_modelled = p->cycles};
}
