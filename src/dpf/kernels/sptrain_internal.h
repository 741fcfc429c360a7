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

/* How a tensor lies in memory; the last: a unit of 16 pictures as maps x h x w x 16. */
typedef enum sp_kind { SP_PLAIN, SP_BLOCKED, SP_PICTURES } sp_kind;

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
    sp_kind kind;
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

/* The gradient of the weights: see sptrain_grad.c. at_..: offsets in the scratch of a thread. */
typedef struct sp_grad {
    int possible, winograd;
    int tile_rows, tile_columns;          /* tiles of a picture */
    size_t most;                          /* tiles that are multiplied at a time */
    size_t x_pitch, dy_pitch;             /* floats from one value of a transformed tile to the next */
    size_t sums;                          /* floats */
    size_t at_x, at_dy, at_sums, at_made; /* transformed tiles; sums; a unit of dy */
    size_t at_own_x, at_own_dy, end;      /* units in the order of SP_PICTURES */
    sp_side whole_x, whole_dy;            /* such units as planes */
    float *parts;                         /* threads x weights */
} sp_grad;

struct sptrain {
    dpf_conv_shape shape;
    int unit, strips, threads, blocks;
    sp_grad grad;       /* where a unit is 16 pictures */
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
    /* The same for a tensor that has the planes' lanes. */
    void (*copy_in)(const float *row, const sp_side *side, float *planes);
    void (*copy_out)(const float *planes, const sp_side *side, float *row, int set);
} sp_loops;

/* Those of the gradient of the weights; vectors hold 16 pictures. Tiles: at sptrain_grad.c. */
typedef struct sp_grad_loops {
    /* The tile at (row, column) of a plane of h x w pixels, of which some may lie outside, to 36 values, `pitch` apart.
     */
    void (*transform_x)(const float *plane, int h, int w, int row, int column, float *to, size_t pitch);
    void (*transform_dy)(const float *plane, int h, int w, int row, int column, float *to, size_t pitch);
    /* For each 4 filters, for each 4 channels: adds 16 sums of products over `count` tiles and all lanes. pitch: from
     * one map to the next. */
    void (*multiply)(const float *x, const float *dy, size_t channels, size_t filters, size_t pitch, size_t count,
                     float *sums);
    /* Such sums of 36 positions to the gradient of filters x channels x 3 x 3 weights. */
    void (*finish)(const float *sums, size_t channels, size_t filters, float *dw);
    /* sums[4 * i + k]: of the products of dy[i] and x[k] over rows x columns pixels and all lanes. */
    void (*correlate)(const float *const x[4], const float *const dy[4], int rows, int columns, size_t x_row,
                      size_t dy_row, float sums[SP_LANES]);
} sp_grad_loops;

/* Rows of the source that positions band .. band + count - 1 of every strip read, into planes; `prepare` first. */
void sp_load_band(const sptrain *sp, const sp_pass *p, const float *from, int band, int count, float *planes);
/* Clears what no row is copied to: margins, and the row at the end of scratch that nobody reads. */
void sp_prepare(const sptrain *sp, const sp_pass *p, float *scratch);

/* One unit of pictures, on a prepared scratch. */
void sp_run_unit(const sptrain *sp, const sp_pass *p, const float *from, float *to, int set, float *scratch);

/* A unit of a tensor of this side as maps x h x w x 16, whose planes are `whole`. */
void sp_load_whole(const sptrain *sp, const sp_side *side, const sp_side *whole, const float *from, float *to);

size_t sp_row_floats(const sp_side *side);
size_t sp_picture_floats(const sp_side *side);

/* Plans sp->grad, if it is possible, with its part of scratch from `at` on. Returns 0, or 1 when out of memory. */
int sp_grad_new(sptrain *sp, size_t at);
void sp_grad_free(sp_grad *grad);
/* Cycles that it takes a picture. */
double sp_grad_cycles(const sptrain *sp, int lanes);

/* NULL: not on this CPU. */
const sp_loops *sp_loops_for_cpu(void);

#if defined(__x86_64__)
extern const sp_loops sp_loops_avx512;
extern const sp_grad_loops sp_grad_loops_avx512;
#endif
const sp_grad_loops *sp_grad_loops_for_cpu(void);

#endif
