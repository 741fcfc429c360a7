/* SPDX-License-Identifier: MIT
 *
 * What the files of spconv share: the plan, the packed form, and the call of a tile
 * kernel.
 *
 * The output of a layer is cut into strips of columns and those into tiles of some rows;
 * several small pictures may lie below each other and share a tile. What a tile reads of
 * a block of channels is copied beforehand into a buffer that fits the first-level
 * cache, each channel as some planes: rows of `pitch` floats with the padding in them.
 * With a plane for each column of the window (x_planes == size) and each phase of the
 * rows, every tap of the window is a plane and a whole number of rows down, so that all
 * loads are aligned to 8 floats. With one plane for each phase of the columns the planes
 * are fewer, but the loads cross cache lines; or, with shifts, it is the sums that move: what
 * the last column of the window adds is summed first, moved a lane down and added to, and so on.
 * Output pixel (y, x) of a tile has the index y*pitch + x; indices beyond the strip and
 * the rows between two pictures are computed and dropped. Whatever a tile reads was
 * written before.
 */
#ifndef DPF_KERNELS_SPCONV_INTERNAL_H
#define DPF_KERNELS_SPCONV_INTERNAL_H

#include <stdint.h>

#include "infer_desc.h"
#include "spconv.h"

#define SPK_MAX_TILE 24 /* vectors; kernels exist for each size up to isa's own limit */
#define SPK_ALIGN_FLOATS 16
#define SPK_MOST_DISTANCE UINT16_MAX
#define SPK_FILLER UINT32_MAX
#define SPK_READ_AHEAD 4 /* distances behind the last nonzero of a job that kernels read, and do not use */

static inline size_t round_up(size_t x, size_t to) {
    return (x + to - 1) / to * to;
}

static inline size_t min_size(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Consecutive output pixels of a tile that are consecutive in the output, too. Where it is pooled: the
 * maxima that are made of two rows of the tile. */
typedef struct spk_segment {
    uint32_t from;  /* float of the tile */
    uint32_t count; /* floats of the output */
    size_t to;      /* float of the output, for filter 0 and the first image of the chunk */
} spk_segment;

/* Which lanes of a vector of the tile go to the output; lane 0 would be float `to` of it, for filter 0 and the
 * first image of the chunk. */
typedef struct spk_place {
    ptrdiff_t to;
    uint32_t lanes; /* bits */
} spk_place;

/* One call of a tile kernel: all filters of a part over one block of channels. */
typedef struct spk_job {
    const float *in; /* the first plane of the block's first channel */
    /* The rows, each the nonzeros of one filter within the block of channels: */
    size_t row_count;
    const uint32_t *filters; /* within the part */
    const uint32_t *counts;  /* of nonzeros; shifts + 1 a row */
    /* The nonzeros, row after row */
    const uint16_t *distances; /* from the first pixel of the first plane to the tap ... */
    size_t unit;               /* ... in units of that many bytes */
    const float *values;
    int shifts;      /* how often the sums of a row move down a lane, after the nonzeros of one of its counts */
    int first, last; /* first block: start from the bias; last: activate and store */
    float *partial;  /* sums so far, one tile a filter */
    const float *bias;
    float slope, cap;    /* act(x) = min(x > 0 ? x : slope * x, cap) */
    dpf_activation post; /* applied to the tile afterwards; DPF_LINEAR_ACT: nothing */
    float *out;          /* of the part's first filter */
    size_t out_pitch;    /* floats from filter to filter */
    const spk_segment *segments;
    size_t segment_count;
    size_t pool; /* floats from row to row of the tile, or 0: not pooled */
    /* one a vector, then a second one of each unless `places` is 1; NULL: by segments */
    const spk_place *place;
    int places;
    size_t row, row_step; /* as of spk_tile */
    int row_last;
} spk_job;

typedef void (*spk_kernel)(const spk_job *job);

/* Rows of a plane that lie in the picture at even distances, or in the padding. */
typedef struct spk_run {
    size_t rows;
    ptrdiff_t from; /* first row, from the channel in the first picture; negative: padding */
} spk_run;

/* What a tile reads of a block of channels, to be copied onto planes. */
typedef struct spk_pack {
    const float *from;                     /* the first channel in the first picture */
    float *to;                             /* its first plane */
    size_t channels, area, channel_floats; /* floats from channel to channel, in the picture and on the planes */
    const spk_run *runs;                   /* of a plane, phase after phase */
    const size_t *run_count;               /* by phase */
    size_t phases;                         /* of the rows */
    size_t rows;                           /* of a plane */
    ptrdiff_t column; /* of the picture, that comes first in the first plane; negative: in the padding */
    size_t width;     /* of the picture */
    size_t stride, x_planes;
    size_t pitch, plane_floats; /* of a plane */
    size_t moved;               /* phases of the rows whose planes are there once more, half a vector down */
    int slack; /* 1: a vector behind each plane is set to zero, since loads may begin in the last row */
} spk_pack;

/* The functions of one instruction set. */
typedef struct spk_table {
    size_t vector;                        /* floats of a vector */
    size_t max_tile;                      /* vectors */
    int store_lanes;                      /* 1: kernels can store by places */
    spk_kernel kernels[SPK_MAX_TILE + 1]; /* by vectors of the tile; [0] unused */
    void (*pack)(const spk_pack *pack);
    void (*activate)(dpf_activation act, float *x, size_t count); /* count a multiple of the vector */
    int shifts;                                                   /* 1: kernels can move sums by lanes */
} spk_table;

extern const spk_table spk_table_c;
#if defined(__x86_64__)
extern const spk_table spk_table_avx2;
extern const spk_table spk_table_avx512;
#endif

const spk_table *spk_table_for(dpf_isa isa);

/* Where everything lies, from shape and choice of tile and block alone. */
typedef struct spk_plan {
    size_t images, chunks; /* pictures that share tiles; batch = images * chunks */
    size_t y_phases;       /* of the rows: min(stride, size) */
    size_t x_planes;       /* size or, to share planes, min(stride, size) */
    size_t reach;          /* (size - 1) / stride: how many rows a tap reaches down */
    int shifts;            /* reach where sums are moved instead of the columns, otherwise 0 */
    size_t strip, strips;  /* columns of a strip; the last one may have fewer */
    size_t rows, lines;    /* rows from picture to picture; of all pictures together */
    size_t tile_rows, row_tiles;
    size_t row_unit; /* that tiles are made of: 2 where rows are pooled, 1 otherwise */
    size_t pitch, plane_floats, channel_floats;
    size_t unit;          /* floats that all distances are multiples of */
    size_t moved;         /* as of spk_pack */
    size_t tiles, tile;   /* tile: vectors of the largest */
    size_t block, blocks; /* channels of a block, blocks of a group */
    size_t parts;         /* of a group's filters */
    int slack;            /* 1: a vector behind the planes of each channel, see spk_pack */
    int in_place;         /* 1: tiles read the input where it lies */
    double cycles, wall;  /* modelled: of a run on one thread; from its begin to its end on all of them */
} spk_plan;

typedef struct spk_tile {
    size_t column;        /* first one, of the output */
    size_t vectors, rows; /* rows: of the output */
    size_t run, segment;  /* first ones, of spconv.runs and spconv.segments */
    size_t segments;
    size_t place; /* first one, of spconv.places */
    int places;   /* of each vector; 0: only segments will do */
    /* Where all vectors together are rows of the output (pooled: pairs of rows) that begin with a vector: vectors of a
     * row, floats from row to row in the output, and lanes of the last vector of each that go there. Otherwise 0. */
    size_t row, row_step;
    int row_last;
} spk_tile;

/* The filters of one part of a group and their nonzeros, block after block. */
typedef struct spk_part {
    size_t filter, filters; /* first one (over all groups) and count */
    size_t group;
    size_t *block_row;     /* blocks + 1 */
    size_t *block_nonzero; /* blocks + 1 */
} spk_part;

struct spconv {
    infer_desc desc;
    spk_plan plan;
    const spk_table *table;
    dpf_isa isa;
    int threads, pool;
    size_t nonzero_count, row_count, part_count, part_filters; /* part_filters: of the largest part */
    size_t packed_count;                                       /* nonzeros and what fills up fours of them */
    /* as of spk_job; those of all parts behind each other */
    uint16_t *distances;
    float *values;
    uint32_t *filters, *counts;
    uint32_t *origin; /* refreshable: index into the dense weights of each nonzero, or SPK_FILLER */
    float *bias;
    spk_part *parts;
    size_t *part_index; /* storage of the parts' block tables */
    spk_tile *tiles;
    spk_run *runs;
    size_t *run_count; /* y_phases a tile */
    spk_segment *segments;
    spk_place *places;
};

/* Chooses by the cost model; `tile` (vectors at most) and `block` (channels) other than 0
 * are kept as far as the shape allows. No tiles: the window is too large to be pooled, or for distances at all. */
void spk_plan_make(spk_plan *plan, const infer_desc *desc, const spk_table *table, double density,
                   const spconv_options *options);

/* Lists the tiles of a plan, with their rows of the input and segments of the output. */
dpf_status spk_tiles_make(spconv *conv, dpf_error *err);

#endif
