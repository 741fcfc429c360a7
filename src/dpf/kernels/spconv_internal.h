/* SPDX-License-Identifier: MIT
 *
 * What the files of spconv share: the packed form and the call of a tile kernel.
 *
 * A plane: image rows of `pitch` floats, images of `image_pitch` floats, all with
 * the zeros that the padding needs; a tap is a distance on it. Output pixel (n,y,x)
 * has the line index n*image_pitch + y*pitch + x; indices with x >= out_w are
 * computed and dropped. Every index that a tile reads lies inside the plane of
 * its channel (plane_floats covers the round-up), and is written before it is read.
 */
#ifndef DPF_KERNELS_SPCONV_INTERNAL_H
#define DPF_KERNELS_SPCONV_INTERNAL_H

#include <stdint.h>

#include "infer_desc.h"
#include "spconv.h"

#define SPK_MAX_TILE 24 /* vectors; kernels exist for each size up to isa's own limit */
#define SPK_ALIGN_FLOATS 16

typedef struct spk_nonzero {
    int32_t distance; /* from the tile's first float to the tap, in floats */
    float weight;
} spk_nonzero;

/* The nonzeros of one filter within one block of channels. */
typedef struct spk_row {
    uint32_t filter; /* within the part */
    uint32_t count;
} spk_row;

/* Consecutive output pixels of a tile that are consecutive in the output, too. */
typedef struct spk_segment {
    uint32_t from;  /* float of the tile */
    uint32_t count; /* floats */
    size_t to;      /* float of the output, for filter 0 and the first image of the chunk */
} spk_segment;

/* One call of a tile kernel: all filters of a part over one block of channels. */
typedef struct spk_job {
    const float *in; /* the plane of the block's first channel, at the tile's first pixel */
    const spk_row *rows;
    const spk_nonzero *nonzeros;
    size_t row_count;
    int first, last; /* first block: start from the bias; last: activate and store */
    float *partial;  /* sums so far, one tile a filter */
    const float *bias;
    float slope, cap;    /* act(x) = min(x > 0 ? x : slope * x, cap) */
    dpf_activation post; /* applied to the tile afterwards; DPF_LINEAR_ACT: nothing */
    float *out;          /* of the part's first filter */
    size_t out_pitch;    /* floats from filter to filter */
    float *direct;       /* where filter 0's whole tile goes, or NULL: by segments */
    const spk_segment *segments;
    size_t segment_count;
} spk_job;

typedef void (*spk_kernel)(const spk_job *job);

/* Copies `count` rows (a row of the plane each) of one channel and image; see spconv_run.c. */
typedef struct spk_copy {
    const float *from;
    float *to;
    size_t width, height; /* of the image */
    size_t pitch, rows;   /* of the plane */
    size_t stride, pad;
    size_t phase_y, phase_x;
} spk_copy;

/* The functions of one instruction set. */
typedef struct spk_table {
    size_t vector;                        /* floats of a vector */
    size_t max_tile;                      /* vectors */
    spk_kernel kernels[SPK_MAX_TILE + 1]; /* by vectors of the tile; [0] unused */
    void (*copy)(const spk_copy *copy);
    void (*activate)(dpf_activation act, float *x, size_t count); /* count a multiple of the vector */
} spk_table;

extern const spk_table spk_table_c;
#if defined(__x86_64__)
extern const spk_table spk_table_avx2;
extern const spk_table spk_table_avx512;
#endif

const spk_table *spk_table_for(dpf_isa isa);

/* Where everything lies, from shape and choice of tile and block alone. */
typedef struct spk_plan {
    size_t images, chunks;           /* images of a plane; batch = images * chunks */
    size_t axis_phases, phases;      /* min(stride, size) and its square */
    size_t reach;                    /* (size - 1) / stride: how far a tap reaches on a plane, rows or columns */
    size_t pitch, rows, image_pitch; /* rows: of an image on the plane */
    size_t plane_floats, channel_floats;
    size_t plane_used;    /* floats of a plane that any tile reads; the rest only spreads the cache sets */
    size_t line;          /* output indices of a plane: 1 + the last pixel's */
    size_t vectors;       /* of the line, rounded up */
    size_t tiles, tile;   /* tile: vectors of the largest */
    size_t block, blocks; /* channels of a block, blocks of a group */
    size_t parts;         /* of a group's filters */
    int in_place;
    double cycles;
} spk_plan;

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
    int threads;
    size_t nonzero_count, row_count, part_count, part_filters; /* part_filters: of the largest part */
    spk_nonzero *nonzeros;
    spk_row *rows;
    uint32_t *origin; /* refreshable: index into the dense weights of each nonzero */
    float *bias;
    spk_part *parts;
    size_t *part_index;   /* storage of the parts' block tables */
    size_t *tile_first;   /* tiles + 1: first vector of each tile */
    size_t *tile_segment; /* tiles + 1 */
    spk_segment *segments;
};

/* The plan for a tile of `tile` vectors and blocks of `block` channels; 0: chosen by the cost model. */
void spk_plan_make(spk_plan *plan, const infer_desc *desc, const spk_table *table, double density, size_t tile,
                   size_t block, int threads, int no_in_place);

#endif
