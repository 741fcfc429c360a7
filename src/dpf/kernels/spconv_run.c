/* SPDX-License-Identifier: MIT
 *
 * Running a sparse convolution: one job for each tile and part of the filters, each
 * independent of the others, with a buffer and sums of the thread's own. Block by block
 * of channels a job copies what its tile reads into the buffer and adds what the
 * nonzeros of its filters make of it. What a job computes never depends on which
 * threads there are.
 */
#include <omp.h>

#include "spconv_internal.h"

static size_t buffer_floats(const spconv *conv) {
    return conv->plan.in_place ? 0 : round_up(conv->plan.block * conv->plan.channel_floats, SPK_ALIGN_FLOATS);
}

static size_t sums_floats(const spconv *conv) {
    /* one tile a filter; a single block needs none */
    size_t tile = conv->plan.tile * conv->table->vector;
    return round_up(conv->plan.blocks > 1 ? conv->part_filters * tile : 0, SPK_ALIGN_FLOATS);
}

size_t spconv_scratch(const spconv *conv) {
    return (size_t)conv->threads * (buffer_floats(conv) + sums_floats(conv));
}

/* Copies what the tile reads of some channels. */
static void pack_block(const spconv *conv, const spk_tile *tile, const float *input, size_t channels, float *buffer) {
    const infer_desc *d = &conv->desc;
    const spk_plan *p = &conv->plan;
    spk_pack pack = {.from = input,
                     .to = buffer,
                     .channels = channels,
                     .area = d->in_pitch,
                     .channel_floats = p->channel_floats,
                     .runs = conv->runs + tile->run,
                     .run_count = conv->run_count + (size_t)(tile - conv->tiles) * p->y_phases,
                     .rows = tile->rows + p->reach,
                     .phases = p->y_phases,
                     .column = (ptrdiff_t)(tile->column * d->stride) - (ptrdiff_t)d->pad,
                     .width = d->width,
                     .stride = d->stride,
                     .x_planes = p->x_planes,
                     .pitch = p->pitch,
                     .plane_floats = p->plane_floats,
                     .moved = p->moved,
                     .slack = p->slack};
    conv->table->pack(&pack);
}

/* What a job has of activation and store. */
static spk_job job_of(const spconv *conv, float *output, float *sums, const spk_part *part, const spk_tile *tile) {
    const infer_lines lines = infer_lines_of(conv->desc.act);
    const size_t pitch = conv->desc.out_pitch;
    spk_job job = {.partial = sums,
                   .bias = conv->bias + part->filter,
                   .slope = lines.slope,
                   .cap = lines.cap,
                   .post = lines.post,
                   .out = output + part->filter * pitch,
                   .out_pitch = pitch,
                   .segments = conv->segments + tile->segment,
                   .segment_count = tile->segments,
                   .pool = conv->pool ? conv->plan.pitch : 0,
                   .unit = conv->plan.unit * sizeof(float),
                   .shifts = conv->plan.shifts};
    if (job.post == DPF_LINEAR_ACT) {
        job.place = tile->places ? conv->places + tile->place : NULL;
        job.places = tile->places;
        job.row = tile->row;
        job.row_step = tile->row_step;
        job.row_last = tile->row_last;
    }
    return job;
}

/* One tile of one part: all blocks. */
static void run_tile(const spconv *conv, const float *input, float *output, float *scratch, const spk_part *part,
                     const spk_tile *tile) {
    const infer_desc *d = &conv->desc;
    const spk_plan *p = &conv->plan;
    size_t channels = d->channels / d->groups;
    spk_job job = job_of(conv, output, scratch + buffer_floats(conv), part, tile);
    const float *from = input + part->group * channels * d->in_pitch;
    for (size_t b = 0; b < p->blocks; b++) {
        size_t first = b * p->block, left = channels - first;
        job.in = scratch;
        if (p->in_place)
            job.in = from + first * d->in_pitch + tile->column;
        else
            pack_block(conv, tile, from + first * d->in_pitch, left < p->block ? left : p->block, scratch);
        job.row_count = part->block_row[b + 1] - part->block_row[b];
        job.filters = conv->filters + part->block_row[b];
        job.counts = conv->counts + part->block_row[b] * (size_t)(p->shifts + 1);
        job.distances = conv->distances + part->block_nonzero[b];
        job.values = conv->values + part->block_nonzero[b];
        job.first = b == 0;
        job.last = b + 1 == p->blocks;
        conv->table->kernels[tile->vectors](&job);
    }
}

/* Job i of chunks x parts x tiles: part by part within a chunk, so that threads that
 * stay together read other weights. */
static void run_job(const spconv *conv, size_t i, const float *input, float *output, float *scratch) {
    const infer_desc *d = &conv->desc;
    const spk_plan *p = &conv->plan;
    size_t in_floats = p->images * d->channels * d->in_pitch;
    size_t out_floats = p->images * d->filters * d->out_pitch;
    size_t jobs = conv->part_count * p->tiles, chunk = i / jobs, part = i % jobs / p->tiles, tile = i % p->tiles;
    run_tile(conv, input + chunk * in_floats, output + chunk * out_floats, scratch, &conv->parts[part],
             &conv->tiles[tile]);
}

void spconv_run(const spconv *conv, const float *input, float *output, float *scratch) {
    size_t each = buffer_floats(conv) + sums_floats(conv);
    size_t jobs = conv->plan.chunks * conv->part_count * conv->plan.tiles;
    if (conv->threads == 1) { /* a team of one would be allocated */
        for (size_t i = 0; i < jobs; i++)
            run_job(conv, i, input, output, scratch);
        return;
    }
#pragma omp parallel for schedule(static) num_threads(conv->threads)
    for (size_t i = 0; i < jobs; i++)
        run_job(conv, i, input, output, scratch + (size_t)omp_get_thread_num() * each);
}
