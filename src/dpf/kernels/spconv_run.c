/* SPDX-License-Identifier: MIT
 *
 * Running a sparse convolution: copy the input onto planes, then tiles. Threads
 * share either the chunks (whole images) or, within a chunk, tiles and parts of the
 * filters. Of small planes each thread makes a copy of its own; large ones it copies
 * together with the others. What a thread computes never depends on how many there are.
 */
#include <omp.h>

#include "spconv_internal.h"

/* Planes that threads copy together move from core to core in every run, which made
 * runs up to 4 times as long where the cores share no cache. Beyond these bytes for all
 * threads together, copying everything in each thread costs more. Measured with two
 * threads only. */
#define OWN_PLANES_BYTES ((size_t)4 << 20)

static size_t round_up(size_t x, size_t to) {
    return (x + to - 1) / to * to;
}

static size_t planes_floats(const spconv *conv) {
    return conv->plan.in_place ? 0 : conv->desc.channels * conv->plan.channel_floats;
}

static size_t sums_floats(const spconv *conv) {
    /* one tile a filter; a single block needs none */
    size_t tile = conv->plan.tile * conv->table->vector;
    return round_up(conv->plan.blocks > 1 ? conv->part_filters * tile : 0, SPK_ALIGN_FLOATS);
}

/* Threads on whole chunks when there is a fair share for each, else within a chunk. */
static int over_chunks(const spconv *conv) {
    return conv->threads > 1 && conv->plan.chunks >= 2 * (size_t)conv->threads;
}

/* Does each thread have planes of its own? */
static int own_planes(const spconv *conv) {
    return over_chunks(conv) || planes_floats(conv) <= OWN_PLANES_BYTES / sizeof(float) / (size_t)conv->threads;
}

size_t spconv_scratch(const spconv *conv) {
    size_t team = (size_t)conv->threads;
    return (own_planes(conv) ? team : 1) * planes_floats(conv) + team * sums_floats(conv);
}

/* Copies one channel of a chunk's images onto its planes. */
static void copy_channel(const spconv *conv, const float *input, float *planes, size_t channel) {
    const infer_desc *d = &conv->desc;
    const spk_plan *p = &conv->plan;
    size_t area = d->height * d->width;
    for (size_t phase = 0; phase < p->phases; phase++) {
        float *plane = planes + channel * p->channel_floats + phase * p->plane_floats;
        for (size_t n = 0; n < p->images; n++) {
            spk_copy copy = {.from = input + (n * d->channels + channel) * area,
                             .to = plane + n * p->image_pitch,
                             .width = d->width,
                             .height = d->height,
                             .pitch = p->pitch,
                             .rows = p->rows,
                             .stride = d->stride,
                             .pad = d->pad,
                             .phase_y = phase / p->axis_phases,
                             .phase_x = phase % p->axis_phases};
            conv->table->copy(&copy);
        }
        for (size_t i = p->images * p->image_pitch; i < p->plane_used; i++)
            plane[i] = 0; /* the zeros after the last row, and the round-up */
    }
}

/* One tile of one part: all blocks. */
static void run_tile(const spconv *conv, const float *planes, float *output, float *sums, const spk_part *part,
                     size_t tile) {
    const infer_desc *d = &conv->desc;
    const spk_plan *p = &conv->plan;
    size_t area = d->out_h * d->out_w, vector = conv->table->vector;
    size_t first = conv->tile_first[tile], vectors = conv->tile_first[tile + 1] - first;
    const spk_segment *segments = conv->segments + conv->tile_segment[tile];
    spk_job job = {.partial = sums,
                   .bias = conv->bias + part->filter,
                   .slope = 1,
                   .cap = __builtin_inff(),
                   .post = DPF_LINEAR_ACT,
                   .out = output + part->filter * area,
                   .out_pitch = area,
                   .segments = segments,
                   .segment_count = conv->tile_segment[tile + 1] - conv->tile_segment[tile]};
    switch (d->act) {
    case DPF_LINEAR_ACT:
        break;
    case DPF_LEAKY:
        job.slope = 0.1f;
        break;
    case DPF_RELIE:
        job.slope = 0.01f;
        break;
    case DPF_RELU6:
        job.cap = 6;
        job.slope = 0;
        break;
    case DPF_RELU:
        job.slope = 0;
        break;
    default:
        job.post = d->act;
        break;
    }
    if (job.post == DPF_LINEAR_ACT && job.segment_count == 1 && segments->count == vectors * vector)
        job.direct = job.out + segments->to;
    const float *in = planes + part->group * (d->channels / d->groups) * p->channel_floats + first * vector;
    for (size_t b = 0; b < p->blocks; b++) {
        job.in = in + b * p->block * p->channel_floats;
        job.rows = conv->rows + part->block_row[b];
        job.row_count = part->block_row[b + 1] - part->block_row[b];
        job.nonzeros = conv->nonzeros + part->block_nonzero[b];
        job.first = b == 0;
        job.last = b + 1 == p->blocks;
        conv->table->kernels[vectors](&job);
    }
}

/* A chunk on the calling thread alone. */
static void run_chunk(const spconv *conv, const float *input, float *output, float *planes, float *sums) {
    const float *from = input;
    if (!conv->plan.in_place) {
        for (size_t c = 0; c < conv->desc.channels; c++)
            copy_channel(conv, input, planes, c);
        from = planes;
    }
    for (size_t i = 0; i < conv->part_count; i++)
        for (size_t t = 0; t < conv->plan.tiles; t++)
            run_tile(conv, from, output, sums, &conv->parts[i], t);
}

/* A chunk on the calling team; every thread of it comes here. */
static void run_chunk_shared(const spconv *conv, const float *input, float *output, float *planes, float *sums) {
    const float *from = input;
    if (!conv->plan.in_place && own_planes(conv)) {
        for (size_t c = 0; c < conv->desc.channels; c++)
            copy_channel(conv, input, planes, c);
        from = planes;
    } else if (!conv->plan.in_place) {
#pragma omp for schedule(static)
        for (size_t c = 0; c < conv->desc.channels; c++)
            copy_channel(conv, input, planes, c);
        from = planes;
    }
    /* part by part within a tile, so that threads that stay together read other weights */
    size_t jobs = conv->part_count * conv->plan.tiles;
#pragma omp for schedule(static)
    for (size_t j = 0; j < jobs; j++)
        run_tile(conv, from, output, sums, &conv->parts[j / conv->plan.tiles], j % conv->plan.tiles);
}

void spconv_run(const spconv *conv, const float *input, float *output, float *scratch) {
    const infer_desc *d = &conv->desc;
    const spk_plan *p = &conv->plan;
    size_t in_floats = p->images * d->channels * d->height * d->width;
    size_t out_floats = p->images * d->filters * d->out_h * d->out_w;
    size_t planes = planes_floats(conv), sums = sums_floats(conv);
    if (conv->threads == 1) {
        for (size_t n = 0; n < p->chunks; n++)
            run_chunk(conv, input + n * in_floats, output + n * out_floats, scratch, scratch + planes);
        return;
    }
    int own = own_planes(conv), over = over_chunks(conv);
#pragma omp parallel num_threads(conv->threads)
    {
        size_t thread = (size_t)omp_get_thread_num();
        float *my_planes = own ? scratch + thread * (planes + sums) : scratch;
        float *my_sums = own ? my_planes + planes : scratch + planes + thread * sums;
        if (over) {
#pragma omp for schedule(static)
            for (size_t n = 0; n < p->chunks; n++)
                run_chunk(conv, input + n * in_floats, output + n * out_floats, my_planes, my_sums);
        } else {
            for (size_t n = 0; n < p->chunks; n++)
                run_chunk_shared(conv, input + n * in_floats, output + n * out_floats, my_planes, my_sums);
        }
    }
}
