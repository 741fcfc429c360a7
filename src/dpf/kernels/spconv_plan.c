/* SPDX-License-Identifier: MIT
 *
 * The plan of a sparse convolution: strips, rows of a tile, planes and block, chosen by
 * a model of what a kernel costs. Its constants were fitted to two processors, see
 * dpf_cpu_wide; on another one the model still ranks plans sensibly.
 */
#include <math.h>

#include "spconv_internal.h"

#define LINE_FLOATS 16 /* of a cache line */
#define CACHE_SETS 64
#define CACHE_WAYS 8
#define MOST_PLANES 16          /* wider windows share planes */
#define MOST_SHIFTS 16          /* of a filter's sums, in each block */
#define LARGE_OUTPUT (4u << 20) /* bytes */
#define MIN_IMAGES_VECTORS 24   /* small pictures are put together up to about these */

static size_t round_down(size_t x, size_t to) {
    return x / to * to;
}

static size_t max_size(size_t a, size_t b) {
    return a > b ? a : b;
}

/* How many rows below a picture serve as the zeros above the next one, too. */
static size_t shared_rows(const infer_desc *d, size_t y_phases, size_t reach) {
    size_t before = 0, after = 0, rows = d->out_h + reach;
    while (before * d->stride + y_phases - 1 < d->pad)
        before++;
    while (after < rows && (rows - 1 - after) * d->stride >= d->pad + d->height)
        after++;
    /* never more than `reach`: the output's own rows must not overlap */
    return min_size(min_size(before, after), reach);
}

/* Small pictures share tiles, so that a tile has work for its nonzeros. */
static size_t images_of_a_tile(const infer_desc *d, const spk_plan *p, size_t vector) {
    size_t best = 1, pixels = p->rows * round_up(d->out_w, 8);
    for (size_t n = 1; n <= d->batch && n * pixels <= MIN_IMAGES_VECTORS * vector; n++)
        if (d->batch % n == 0)
            best = n;
    return best;
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

/* What the search goes through. */
typedef struct search {
    const infer_desc *desc;
    const spk_table *table;
    double density;
    const spconv_options *options;
    spk_plan best;
} search;

/* What pitches are multiples of where columns are not shifted. Loads that are aligned to half a vector of 64 bytes
 * cost more than others on some processors, but waste less. */
static size_t unit_of(const spk_table *table) {
    return min_size(table->vector, 8);
}

static size_t vectors_of(const search *s, const spk_plan *p, size_t rows) {
    return ((rows - 1) * p->pitch + p->strip + (size_t)p->shifts + s->table->vector - 1) / s->table->vector;
}

/* Processor cycles, of vectors of 64 bytes where vectors are meant. */
typedef struct costs {
    double resident;                   /* lines of the first-level cache that a block may fill */
    double kept;                       /* the same, where a large output drives out what is to be copied over */
    double aligned, halves, unaligned; /* a vector of a nonzero: loads aligned to 64, to 32, to 4 bytes */
    double missed;                     /* the same, beyond `resident` */
    double nonzero;
    double row;              /* the nonzeros of a filter in a block, or those between two shifts */
    double shift;            /* a vector of sums */
    double partial;          /* a vector of sums, from block to block */
    double fill[3];          /* a vector that is copied, by stride: 1, 2, more (a float then) */
    double read;             /* the same, on top of that, once for all planes of the same columns; stride 1 */
    double move;             /* a vector of a plane that is there twice */
    double plane;            /* a plane that is filled */
    double in_place;         /* a vector that is read where it lies */
    double store, store_row; /* a vector by places, with a row's share */
    double crossing;         /* the same, where lines of an output beyond the caches are halved */
    double store_pooled;     /* a vector of a tile whose rows are whole vectors */
    double store_whole, scatter, scatter_row; /* a vector in one piece; by segments, with a row's share */
    double shared;           /* a filter, where two threads' tiles of a picture meet and both write the same lines */
    double stream, streamed; /* a nonzero, where all are more bytes than that */
} costs;

/* AMD Zen 4; what has to do with shifts is estimated. */
static const costs narrow = {
    .resident = 460,
    .kept = INFINITY,
    .aligned = 1.12,
    .halves = 1.12,
    .unaligned = 1.51,
    .missed = 0.69,
    .nonzero = 0.6,
    .row = 3.4,
    .shift = 1,
    .partial = 1.84,
    .fill = {5.2, 7.5, 3},
    .read = 0,
    .move = 2,
    .plane = 2,
    .in_place = 0.7,
    .store = 6,
    .store_row = 1,
    .crossing = 0,
    .store_pooled = 4,
    .store_whole = 5,
    .scatter = 9.7,
    .scatter_row = 1.8,
    .shared = 300,
    .stream = 0.5,
    .streamed = 700e3,
};

/* AMD Zen 5: within 5 % of what plans took that were no more than a third slower than the best of their shape. */
static const costs wide = {
    .resident = 650,
    .kept = 380,
    .aligned = 0.529,
    .halves = 0.824,
    .unaligned = 0.913,
    .missed = 0.463,
    .nonzero = 0.69,
    .row = 6,
    .shift = 0,
    .partial = 1.53,
    .fill = {2.3, 4.1, 3},
    .read = 1.5,
    .move = 2,
    .plane = 2,
    .in_place = 1.64,
    .store = 3.8,
    .store_row = 1,
    .crossing = 0.8,
    .store_pooled = 2,
    .store_whole = 3.8,
    .scatter = 7,
    .scatter_row = 1.8,
    .shared = 30,
    .stream = 0.35,
    .streamed = 700e3,
};

/* Among the threads: the tiles or, with few of them, the filters, too, although each part copies the input for itself.
 * copying: the cycles of a tile that are for that. */
static void share_out(const search *s, const costs *k, spk_plan *p, double copying) {
    const size_t team = s->options->threads > 1 ? (size_t)s->options->threads : 1;
    const size_t jobs = p->chunks * s->desc->groups * p->tiles, rounds = (jobs + team - 1) / team;
    const size_t filters = s->desc->filters / s->desc->groups;
    const double all = (double)jobs * copying, parted = all + (p->cycles - all) / (double)team;
    p->wall = (double)rounds * p->cycles / (double)jobs + (p->chunks < team ? k->shared * (double)filters : 0);
    p->parts = 1;
    if (team > 1 && parted < p->wall) {
        p->parts = min_size(team, filters);
        p->wall = parted;
    }
}

/* Models what a run takes, on one thread and on all. */
static void plan_cost(const search *s, spk_plan *p) {
    const infer_desc *d = s->desc;
    const costs *k = dpf_cpu_wide() ? &wide : &narrow;
    const size_t group_channels = d->channels / d->groups, group_filters = d->filters / d->groups;
    double channels = (double)group_channels, filters = (double)group_filters;
    double rows = (double)p->lines / (double)p->row_tiles;
    double scale = (double)s->table->vector / LINE_FLOATS; /* cost of a vector against one of 64 bytes */
    /* vectors of a tile, some of which have a row less */
    double mean = (double)p->tile - ((double)p->tile_rows - rows) * (double)p->pitch / (double)s->table->vector;
    double nonzeros = s->density * (double)(d->size * d->size) * channels * filters;
    double planes = channels * (double)(p->y_phases * p->x_planes);
    double plane_lines = p->in_place ? mean * scale : (rows + (double)p->reach) * (double)p->pitch / LINE_FLOATS;
    double row_vectors = ceil((double)p->pitch / (double)s->table->vector);
    double moved = (double)(p->moved * p->x_planes);
    double used = plane_lines * (planes / channels + moved) * (double)p->block;
    double miss = used > k->resident ? 1 - k->resident / used : 0;
    double load = p->x_planes < d->size && !p->shifts                       ? k->unaligned
                  : p->pitch % LINE_FLOATS && p->tile_rows > 1 && !p->moved ? k->halves
                                                                            : k->aligned;
    double copy = d->stride <= 2 ? k->fill[d->stride - 1] : k->fill[2] * (double)s->table->vector; /* of a vector */
    if (d->stride == 1)
        copy += k->read / (double)p->x_planes;
    double fill = p->in_place ? planes * plane_lines * k->in_place
                              : planes * ((rows + (double)p->reach) * row_vectors * copy * scale + k->plane) +
                                    channels * moved * plane_lines * k->move;
    const int large = d->filters * d->out_h * d->out_w * sizeof(float) > LARGE_OUTPUT;
    if (large && !p->in_place && used > k->kept)
        fill *= used / k->kept;
    double compute = nonzeros * (mean * (load + miss * k->missed) * scale + k->nonzero);
    double blocks = (double)p->blocks;
    double sums = filters * (blocks * (double)(p->shifts + 1) * k->row + (blocks - 1) * mean * k->partial * scale);
    sums += filters * blocks * mean * (double)p->shifts * k->shift * scale;
    const int whole = p->strip % s->table->vector == 0 && /* each vector goes to the output in one piece */
                      (p->tile_rows == 1 || (p->pitch == p->strip && d->out_w % s->table->vector == 0));
    double store = filters * (whole && !s->options->pool ? mean * k->store_whole * scale
                                                         : mean * k->scatter * scale + rows * k->scatter_row);
    if (s->options->pool && p->pitch % s->table->vector == 0)
        store = filters * mean * k->store_pooled * scale;
    else if (!s->options->pool && s->table->store_lanes && !whole)
        store = filters *
                (mean * (k->store + (large && p->strip % LINE_FLOATS ? k->crossing : 0)) * scale + rows * k->store_row);
    double stream =
        nonzeros * 6.0 > k->streamed ? nonzeros * k->stream : 0; /* weights that come from beyond the second cache */
    p->cycles = (double)(p->chunks * d->groups * p->tiles) * (fill + compute + sums + store + stream);
    share_out(s, k, p, fill);
}

/* The better one by the model; a tile that was asked for is approached first. */
static void consider(search *s, spk_plan *p) {
    plan_cost(s, p);
    if (s->options->tile && p->tile != s->best.tile ? p->tile > s->best.tile : p->wall < s->best.wall)
        s->best = *p;
}

/* May tiles read the input where it lies? No load may cross the end of a channel, and
 * the channels of a block must not fight over cache sets. */
static int fits_in_place(const search *s, const spk_plan *p) {
    const infer_desc *d = s->desc;
    if (s->options->no_in_place || d->size != 1 || d->stride != 1 || d->pad || d->height != 1 || p->images != 1 ||
        d->in_pitch % LINE_FLOATS || d->in_pitch < round_up(d->width, LINE_FLOATS))
        return 0;
    size_t floats = p->tile * s->table->vector;
    size_t fair = (p->block * (floats / LINE_FLOATS + 1) + CACHE_SETS - 1) / CACHE_SETS;
    return worst_set(d->in_pitch, floats, p->block) <= max_size(fair + 2, CACHE_WAYS);
}

static void try_blocks(search *s, spk_plan *p) {
    size_t channels = s->desc->channels / s->desc->groups, last = 0;
    const size_t most = SPK_MOST_DISTANCE * p->unit / max_size(p->channel_floats, 1);
    for (size_t blocks = 1; most && blocks <= channels; blocks = blocks < 8 ? blocks + 1 : blocks + blocks / 8) {
        size_t block = s->options->block ? min_size(s->options->block, channels) : (channels + blocks - 1) / blocks;
        block = min_size(block, most);
        if (block == last)
            continue;
        last = p->block = block;
        p->blocks = (channels + block - 1) / block;
        consider(s, p);
        if (fits_in_place(s, p)) {
            spk_plan q = *p;
            q.in_place = 1;
            q.unit = q.plane_floats = q.channel_floats = s->desc->in_pitch;
            consider(s, &q);
        }
    }
}

/* Tiles of each number of rows, as even as can be. */
static void try_rows(search *s, spk_plan *p) {
    size_t most = s->options->tile ? min_size(s->options->tile, s->table->max_tile) : s->table->max_tile, last = 0;
    const size_t unit = p->row_unit, units = p->lines / unit;
    for (size_t n = 1; n <= units && vectors_of(s, p, n * unit) <= most; n++) {
        p->row_tiles = (units + n - 1) / n;
        p->tile_rows = (units + p->row_tiles - 1) / p->row_tiles * unit;
        if (p->tile_rows == last)
            continue;
        last = p->tile_rows;
        p->tile = vectors_of(s, p, last);
        p->tiles = p->strips * p->row_tiles;
        p->plane_floats = (last + p->reach) * p->pitch;
        const size_t row = p->strip + (size_t)p->shifts, wrapped = p->shifts && row > p->pitch ? row - p->pitch : 0;
        if (p->moved) { /* a tile reads from the last row on that begins a vector */
            const size_t read = round_down(p->reach * p->pitch, s->table->vector) + p->tile * s->table->vector;
            p->plane_floats = round_up(max_size(p->plane_floats + wrapped, read), s->table->vector);
        }
        const int unaligned = p->x_planes < s->desc->size && !p->shifts;
        p->unit = unaligned ? 1 : unit_of(s->table);
        p->slack = p->pitch % s->table->vector || wrapped || unaligned;
        p->channel_floats =
            (p->y_phases + p->moved) * p->x_planes * p->plane_floats + (p->slack ? s->table->vector : 0);
        try_blocks(s, p);
    }
}

/* Are columns to be reached that way? */
static int wants(const search *s, spconv_columns columns) {
    return s->options->columns == SPCONV_COLUMNS_CHOSEN || s->options->columns == columns;
}

/* Strips whose sums are shifted: as wide as their pitch has room for. */
static void try_shifts(search *s, spk_plan p, size_t even) {
    const infer_desc *d = s->desc;
    const size_t vector = s->table->vector;
    p.shifts = (int)p.reach;
    p.x_planes = p.y_phases;
    /* zeros to the right of a row are those to the left of the next one */
    const size_t wrapped = p.strips == 1 && d->stride == 1 ? d->width + d->pad : SIZE_MAX;
    const size_t need = min_size(even + p.reach, wrapped);
    for (size_t unit = vector / 2; unit <= vector; unit += unit) {
        p.pitch = round_up(need, unit);
        if (unit < vector && p.pitch % vector == 0)
            continue;
        p.moved = unit < vector ? min_size(d->stride, d->size - d->stride) : 0;
        p.strip = need == wrapped ? d->out_w : p.pitch - p.reach;
        if (s->options->pool)
            p.strip -= p.strip % 2;
        p.strips = (d->out_w + p.strip - 1) / p.strip;
        try_rows(s, &p);
    }
}

/* Strips of each number, as even as can be, and each way to reach columns. */
static void try_strips(search *s, spk_plan *p) {
    const infer_desc *d = s->desc;
    size_t last = 0, unit = unit_of(s->table), most = (d->out_w + unit - 1) / unit;
    for (size_t strips = 1, next; strips <= most; strips = next) {
        next = strips + (strips < 12 ? 1 : strips / 8);
        next = strips < most ? min_size(next, most) : next; /* the narrowest are always tried */
        size_t even = (d->out_w + strips - 1) / strips;
        p->strips = strips;
        if (p->reach && p->reach <= MOST_SHIFTS && s->table->shifts && wants(s, SPCONV_COLUMNS_SHIFTED))
            try_shifts(s, *p, even);
        p->strip = round_up(even, p->lines == 1 ? s->table->vector : unit);
        if (p->strip == last)
            continue;
        last = p->strip;
        p->strips = (d->out_w + p->strip - 1) / p->strip;
        if (d->size <= MOST_PLANES && wants(s, SPCONV_COLUMNS_COPIED)) {
            p->x_planes = d->size;
            p->pitch = p->strip;
            try_rows(s, p);
        }
        if (d->size > p->y_phases && wants(s, SPCONV_COLUMNS_UNALIGNED)) {
            p->x_planes = p->y_phases; /* as many as there are phases of columns */
            p->pitch = round_up(p->strip + p->reach, unit);
            try_rows(s, p);
        }
    }
}

void spk_plan_make(spk_plan *plan, const infer_desc *d, const spk_table *table, double density,
                   const spconv_options *options) {
    search s = {d, table, density, options, {.wall = INFINITY}};
    spk_plan p = {.y_phases = min_size(d->stride, d->size), .reach = (d->size - 1) / d->stride};
    p.rows = d->out_h + p.reach - shared_rows(d, p.y_phases, p.reach);
    p.row_unit = options->pool ? 2 : 1;
    p.images = options->pool ? 1 : images_of_a_tile(d, &p, table->vector);
    p.chunks = d->batch / p.images;
    p.lines = (p.images - 1) * p.rows + d->out_h;
    try_strips(&s, &p);
    if (!s.best.tiles && (options->tile || options->columns)) { /* two rows need more than that, or it cannot be so */
        const spconv_options other = {.threads = options->threads, .block = options->block, .pool = options->pool};
        s.options = &other;
        try_strips(&s, &p);
    }
    *plan = s.best;
}
