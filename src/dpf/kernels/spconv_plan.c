/* SPDX-License-Identifier: MIT
 *
 * The plan of a sparse convolution: geometry of the planes, and the choice of tile
 * and block by a model of what a kernel costs. The constants were fitted to AMD
 * Zen 4 (32 KiB first-level cache, one 64-byte load a cycle); on another processor
 * the model still ranks plans sensibly.
 */
#include <math.h>

#include "spconv_internal.h"

#define LINE_FLOATS 16 /* of a cache line */
#define CACHE_SETS 64
#define CACHE_WAYS 8
#define COPY_MIN_IMAGES_VECTORS 12

static size_t round_up(size_t x, size_t to) {
    return (x + to - 1) / to * to;
}

static size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

static size_t max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

/* How many of the first rows or columns of a plane are padding in every phase. */
static size_t zeros_before(size_t pad, size_t stride, size_t axis_phases) {
    size_t n = 0;
    while (n * stride + axis_phases - 1 < pad)
        n++;
    return n;
}

/* How many of the last ones of `count` are. */
static size_t zeros_after(size_t pad, size_t stride, size_t extent, size_t count) {
    size_t n = 0;
    while (n < count && (count - 1 - n) * stride >= pad + extent)
        n++;
    return n;
}

/* Planes of `images` images each. A row's right zeros are the next row's left ones,
 * and likewise between images: the pitch leaves the shared ones out. */
static void plan_planes(spk_plan *p, const infer_desc *d, size_t vector, size_t images) {
    p->images = images;
    p->chunks = d->batch / images;
    p->axis_phases = min_size(d->stride, d->size);
    p->phases = p->axis_phases * p->axis_phases;
    p->reach = (d->size - 1) / d->stride;
    size_t columns = d->out_w + p->reach, rows = d->out_h + p->reach;
    size_t before = zeros_before(d->pad, d->stride, p->axis_phases);
    /* never more than `reach`: the output's own pixels must not overlap */
    before = min_size(before, p->reach);
    size_t share_x = min_size(before, zeros_after(d->pad, d->stride, d->width, columns));
    size_t share_y = min_size(before, zeros_after(d->pad, d->stride, d->height, rows));
    p->pitch = columns - share_x;
    p->rows = rows - share_y;
    p->image_pitch = p->rows * p->pitch;
    p->line = (images - 1) * p->image_pitch + (d->out_h - 1) * p->pitch + d->out_w;
    p->vectors = (p->line + vector - 1) / vector;
    size_t read = p->vectors * vector + p->reach * (p->pitch + 1);
    size_t written = images * p->image_pitch + share_y * p->pitch + share_x;
    p->plane_floats = round_up(max_size(read, written), LINE_FLOATS);
    p->plane_used = p->plane_floats;
    p->channel_floats = p->phases * p->plane_floats;
    p->in_place = 0;
}

/* Most cache lines that fall into one set when `channels` channels, `pitch` floats
 * apart, are each read over `floats` floats. */
static size_t worst_set(size_t pitch, size_t floats, size_t channels) {
    unsigned short used[CACHE_SETS] = {0};
    size_t worst = 0;
    for (size_t c = 0; c < channels; c++) {
        size_t first = c * pitch / LINE_FLOATS, last = (c * pitch + floats - 1) / LINE_FLOATS;
        for (size_t l = first; l <= last; l++) {
            size_t n = ++used[l % CACHE_SETS];
            worst = max_size(worst, n);
        }
    }
    return worst;
}

/* Floats of one channel that a tile of `tile` vectors reads. */
static size_t tile_reads(const spk_plan *p, size_t vector, size_t tile) {
    return p->phases * min_size(p->plane_floats, tile * vector + p->reach * (p->pitch + 1));
}

/* Modelled cycles of all tiles on one thread, with `tile` vectors at most in a tile. */
static double plan_cost(const spk_plan *p, const infer_desc *d, const spk_table *table, double density, size_t tile,
                        size_t block) {
    size_t channels = d->channels / d->groups, filters = d->filters / d->groups;
    size_t tiles = (p->vectors + tile - 1) / tile;
    double mean = (double)p->vectors / (double)tiles; /* vectors of a tile */
    double scale = (double)table->vector / 16.0;      /* cost of a vector against one of 64 bytes */
    double blocks = ceil((double)channels / (double)block);
    double taps = density * (double)(d->size * d->size);
    double nonzeros = taps * (double)channels * (double)filters;
    double lines = (double)tile_reads(p, table->vector, tile) / LINE_FLOATS + 1;
    double resident = 440.0; /* of 512 lines; weights and sums take the rest */
    double used = lines * (double)min_size(block, channels);
    double miss = used > resident ? 1 - resident / used : 0;
    miss = min_size(block, channels) == channels && tiles == 1 && taps * (double)filters < 2 ? 1 : miss;
    int split = d->size > 1 || p->channel_floats % LINE_FLOATS;
    double load = (split ? 1.70 : 1.15) * scale;
    double fill = lines * blocks * 2.0 * (double)min_size(block, channels); /* of the tile's input, once a part */
    double compute = nonzeros * (mean * (load + miss * (split ? 0.8 : 1.6) * scale) + 1.1);
    double sums = (double)filters * (blocks * (mean * 0.5 * scale + 16.0) + (blocks - 1) * mean * 2.0 * scale);
    double store = (double)filters * mean * 4.0 * scale;
    double stream = nonzeros * 8.0 > 700e3 ? nonzeros * 1.2 : 0; /* weights that come from beyond the second cache */
    return (double)(p->chunks * d->groups) * (double)tiles * (fill + compute + sums + store + stream);
}

/* Spreads the channels over the cache's sets, at the price of some memory. */
static void plan_pitch(spk_plan *p, size_t vector) {
    size_t floats = min_size(p->plane_floats, p->tile * vector + p->reach * (p->pitch + 1));
    size_t channels = p->block * p->phases;
    size_t best = p->plane_floats, least = worst_set(best, floats, channels);
    size_t fair = (channels * (floats / LINE_FLOATS + 1) + CACHE_SETS - 1) / CACHE_SETS;
    for (size_t more = LINE_FLOATS; least > fair + 1 && more <= CACHE_SETS * LINE_FLOATS; more += LINE_FLOATS) {
        size_t worst = worst_set(p->plane_floats + more, floats, channels);
        if (worst < least) {
            least = worst;
            best = p->plane_floats + more;
        }
    }
    p->plane_floats = best;
    p->channel_floats = p->phases * best;
}

/* A 1x1 layer at stride 1 without padding can read the input where it lies, when no
 * load would cross the end of a channel and the channels do not fight over cache sets. */
static void plan_in_place(spk_plan *p, const infer_desc *d, size_t vector) {
    size_t area = d->height * d->width;
    if (d->size != 1 || d->stride != 1 || d->pad || area % max_size(vector, LINE_FLOATS) || p->images != 1)
        return;
    size_t floats = p->tile * vector;
    size_t fair = (p->block * (floats / LINE_FLOATS + 1) + CACHE_SETS - 1) / CACHE_SETS;
    if (worst_set(area, floats, p->block) > max_size(fair + 2, CACHE_WAYS))
        return;
    p->in_place = 1;
    p->plane_floats = p->channel_floats = area;
}

/* Small images share a plane, so that a tile has work for its nonzeros. */
static size_t images_of_a_plane(const infer_desc *d, const spk_plan *p, size_t vector) {
    size_t best = 1, pixels = (d->out_h + p->reach) * (d->out_w + p->reach);
    for (size_t n = 1; n <= d->batch && n * pixels <= 2 * COPY_MIN_IMAGES_VECTORS * vector; n++)
        if (d->batch % n == 0)
            best = n;
    return best;
}

/* Takes these tiles (sizes differ by one at most) and this block if they cost less than *least. */
static void consider(spk_plan *p, const infer_desc *d, const spk_table *table, double density, size_t tiles,
                     size_t block, double *least) {
    size_t largest = (p->vectors + tiles - 1) / tiles;
    double cost = plan_cost(p, d, table, density, largest, block);
    if (!(cost < *least))
        return;
    *least = cost;
    p->tile = largest;
    p->tiles = tiles;
    p->block = block;
}

void spk_plan_make(spk_plan *p, const infer_desc *d, const spk_table *table, double density, size_t tile, size_t block,
                   int threads, int no_in_place) {
    *p = (spk_plan){.reach = (d->size - 1) / d->stride};
    plan_planes(p, d, table->vector, images_of_a_plane(d, p, table->vector));
    size_t channels = d->channels / d->groups, filters = d->filters / d->groups;
    double least = INFINITY;
    for (size_t t = 1; t <= min_size(table->max_tile, p->vectors); t++) {
        if (tile && t != min_size(min_size(tile, table->max_tile), p->vectors))
            continue;
        size_t even = (p->vectors + t - 1) / t;
        for (size_t b = 1; b <= channels; b = b < 8 ? b + 1 : b + b / 8) {
            size_t blocks = (channels + b - 1) / b;
            size_t used = block ? min_size(block, channels) : (channels + blocks - 1) / blocks;
            consider(p, d, table, density, even, used, &least);
            if (block)
                break;
        }
        if (!block && channels > 1) /* one block for everything is worth a look of its own */
            consider(p, d, table, density, even, channels, &least);
    }
    p->cycles = least;
    p->blocks = (channels + p->block - 1) / p->block;
    plan_pitch(p, table->vector);
    if (!no_in_place)
        plan_in_place(p, d, table->vector);
    size_t team = threads > 1 ? (size_t)threads : 1;
    p->parts = 1;
    if (team > 1 && p->chunks * d->groups * p->tiles < 4 * team)
        p->parts = min_size(team, filters);
}
