/* SPDX-License-Identifier: MIT
 *
 * What the files of sptrain share: the geometry of a pass and its packed weights.
 *
 * Both passes are one problem: `filters` maps are computed from `channels` maps. A source
 * pixel of row r lies at the coordinate q = r + shift (columns alike), in the plane of
 * phase q % step, at index q / step. The positions of the output are a grid; position a
 * reads the indices a .. a + reach and is the destination's row a * step + phase - shift.
 *   forward   source x: step = stride, shift = pad; destination y: step 1, shift 0
 *   backward  source dy: step 1, shift = reach - first; destination dx: step = stride,
 *             shift = pad % stride; `first` = pad / stride is the index of row 0
 *
 * In a plane every point is a vector of SP_LANES floats: lane = picture + unit * strip,
 * and a strip is `strip_rows` rows of positions.
 */
#ifndef DPF_KERNELS_SPTRAIN_INTERNAL_H
#define DPF_KERNELS_SPTRAIN_INTERNAL_H

#include "sptrain.h"

enum { SP_LANES = 16, SP_MAX_TILE = 8 };

typedef enum sp_which { SP_FORWARD, SP_BACKWARD, SP_PASSES } sp_which;

typedef struct sp_nonzero {
    int32_t distance; /* from the tile's first float to the tap, in floats */
    float weight;
} sp_nonzero;

/* The nonzeros of one filter within one block of channels. */
typedef struct sp_row {
    uint32_t filter, count;
} sp_row;

/* One side of a pass in Darknet's memory. */
typedef struct sp_side {
    int maps, h, w;
    int blocked;           /* in blocks of 16 maps */
    int step, shift;       /* see above; the same for rows and columns */
    size_t phases;         /* step * step */
    size_t plane, map;     /* floats of a plane of the band, of the planes of a map */
    int first_column, end; /* columns of the tensor that have a place in the planes: [first_column, end) */
    size_t *column;        /* offset of each of them in the planes of a map */
} sp_side;

typedef struct sp_pass {
    sp_side from, to;
    int reach;
    int rows, columns;     /* positions */
    int strip_rows, band;  /* rows of positions of a strip, and of those that are worked on at a time */
    int plane_columns;     /* of a plane of the source */
    int block, blocks;     /* maps of the source that are read at a time, so that they fit the L1 cache */
    size_t filters;        /* to.maps * to.phases */
    uint32_t *block_of;    /* by index in a filter of the weights (forward); by filter (backward) */
    int32_t *distance;     /* the same */
    size_t *row_first;     /* blocks + 1: rows of each block */
    size_t *nonzero_first; /* blocks + 1 */
    sp_row *rows_packed;   /* filters a block, sorted by count */
    size_t *cursor;        /* working memory of packing: blocks x filters */
    sp_nonzero *nonzeros;  /* room for `room` */
    uint32_t *origin;      /* of each nonzero: index of its weight */
    size_t nonzero_count, room;
} sp_pass;

struct sptrain {
    dpf_conv_shape shape;
    int unit, strips, threads;
    size_t filter_size; /* weights of a filter */
    sp_pass pass[SP_PASSES];
    uint32_t *phase_of; /* backward: by index in a filter of the weights, the map * phases + phase that it adds to */
    float *zeros;       /* a row of any source, for strips that reach over the edge */
    size_t row_floats;  /* of the longest row of a tensor */
    size_t scratch;
};

/* The inner loops. Columns and lanes as in sp_side; `lanes` are the rows' starts. */
typedef struct sp_loops {
    /* All filters of a block on a tile of `index` consecutive positions; first: from 0, else on top. */
    void (*tile[SP_MAX_TILE + 1])(const float *in, const sp_row *rows, size_t row_count, const sp_nonzero *nonzeros,
                                  float *out, size_t out_pitch, int first);
    /* A row of 16 maps (blocked), or of one (plain), from the tensor into planes and back. */
    void (*gather_blocked)(const float *const *lanes, const sp_side *side, float *planes);
    void (*gather_plain)(const float *const *lanes, const sp_side *side, float *planes);
    void (*scatter_blocked)(const float *planes, const sp_side *side, float *const *lanes, int set);
    void (*scatter_plain)(const float *planes, const sp_side *side, float *const *lanes, int set);
} sp_loops;

/* NULL: not on this CPU. */
const sp_loops *sp_loops_for_cpu(void);

#if defined(__x86_64__)
extern const sp_loops sp_loops_avx512;
#endif

#endif
