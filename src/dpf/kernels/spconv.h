/* SPDX-License-Identifier: MIT
 *
 * Convolution with unstructured sparse weights. A spconv is made once from the
 * weights of a layer (zeros are what is pruned) and run many times:
 *
 *   spconv_new      chooses tile and blocks, packs the nonzeros
 *   spconv_scratch  floats of working memory that a run needs
 *   spconv_run      computes; allocates nothing, writes nothing but output and scratch
 *   spconv_free
 *
 * How it works: the input of a layer is copied once into planes with zeros around
 * each image (not even that for most 1x1 layers); on such a plane, read as one long
 * line, every tap of the window is a constant distance. A tile of the output, some
 * vectors of consecutive pixels, stays in registers while the nonzeros of one filter
 * stream by, each one a weight and a distance. Channels are blocked so that what a
 * tile reads stays in the first-level cache; within a block the filters are sorted by
 * their count of nonzeros, so that the branch at the end of a filter is predicted.
 * Strides above one split each channel into stride*stride planes, after which they
 * are like stride one.
 *
 * A spconv is read-only after spconv_new (but for spconv_refresh_values), so any
 * number of threads may run it at once, each with a scratch of its own.
 */
#ifndef DPF_KERNELS_SPCONV_H
#define DPF_KERNELS_SPCONV_H

#include <stddef.h>

#include "../core/error.h"
#include "../core/rows.h"
#include "activation.h"
#include "conv.h"
#include "cpu.h"

typedef struct spconv spconv;

/* How taps reach the columns beside their own; for tests and measurements. */
typedef enum spconv_columns {
    SPCONV_COLUMNS_CHOSEN,
    SPCONV_COLUMNS_COPIED,    /* a copy of the input for each column of the window: all loads are aligned */
    SPCONV_COLUMNS_UNALIGNED, /* by loads across cache lines */
    SPCONV_COLUMNS_SHIFTED    /* sums move by lanes; only where the instruction set can */
} spconv_columns;

typedef struct spconv_options {
    int threads;     /* threads that a run will use; 0 = 1 */
    int refreshable; /* 1: remember where each value came from, for spconv_refresh_values */
    int isa_set;     /* 1: use `isa` below instead of dpf_cpu_isa(); it must be available */
    dpf_isa isa;
    size_t tile;  /* vectors of a tile, 0 = chosen; for tests and measurements */
    size_t block; /* channels of a block, 0 = chosen */
    spconv_columns columns;
    int no_in_place; /* 1: never read the input where it lies */
    /* Floats from channel to channel of input and output, at least their pixels; 0 = as many. A 1x1 layer (stride 1, no
     * padding) with spconv_whole of them reads its input where it lies: floats behind the pixels are read then, and
     * those of the output may be overwritten, up to spconv_whole. */
    size_t in_pitch, out_pitch;
    int pool; /* 1: of each 2 x 2 outputs only the largest is written; see spconv_can_pool */
} spconv_options;

typedef struct spconv_info {
    dpf_isa isa;
    size_t nonzeros;
    size_t packed_bytes; /* memory of the packed weights */
    size_t tile;         /* vectors of the largest tile */
    size_t tiles;        /* tiles of one picture, or of `images` */
    size_t block;        /* channels of a block */
    size_t planes;       /* planes a channel is copied to */
    spconv_columns columns;
    size_t parts;           /* shares that the filters are split into */
    size_t images;          /* pictures that share tiles */
    int in_place;           /* 1: the input is read where it lies */
    double cycles_modelled; /* cost model, processor cycles of a run on one thread */
} spconv_info;

/* `area` rounded up to whole vectors of any instruction set. */
size_t spconv_whole(size_t area);

/* Can pairs of rows and columns of the output be pooled? */
int spconv_can_pool(const dpf_conv_shape *shape);

/* weights: filters x channels/groups x size x size; bias: one a filter, or NULL
 * for zeros; both are copied. options may be NULL. On failure *out is NULL. */
dpf_status spconv_new(spconv **out, const dpf_conv_shape *shape, dpf_activation act, const float *weights,
                      const float *bias, const spconv_options *options, dpf_error *err);
/* The same of weights without their zeros: a filter a row. */
dpf_status spconv_new_rows(spconv **out, const dpf_conv_shape *shape, dpf_activation act, const dpf_rows *weights,
                           const float *bias, const spconv_options *options, dpf_error *err);
void spconv_free(spconv *conv); /* NULL is allowed */

/* Floats of scratch for one run; align it to 64 bytes. */
size_t spconv_scratch(const spconv *conv);

/* input: batch x channels x height x width, output: batch x filters x out x out, halves of both out if pooled, unless
 * options.in_pitch and out_pitch say more.
 * Fastest when input and output are 64-byte aligned; any float alignment works.
 * The result does not depend on what scratch held before; on options.threads, tile and block only as roundings do. */
void spconv_run(const spconv *conv, const float *input, float *output, float *scratch);

/* Takes new values for the same pattern of nonzeros from dense weights: entries
 * outside of the pattern are ignored, entries inside may be zero by now. Needs
 * options.refreshable. bias may be NULL: kept as it is. */
void spconv_refresh_values(spconv *conv, const float *weights, const float *bias);

void spconv_get_info(const spconv *conv, spconv_info *out);

#endif
