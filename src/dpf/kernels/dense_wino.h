/* SPDX-License-Identifier: MIT
 *
 * The inner loops of a Winograd convolution of our own, F(4x4, 3x3) by the points 0, 1, -1,
 * 2, -2 and infinity; private to this folder. One call takes some tiles of 4x4 outputs of
 * a picture or several from input to output: all that is in between stays in the
 * second-level cache, and the maxpool behind it costs nothing.
 *
 * Lanes of a vector are 16 channels of the input, then 16 filters. Between the two
 * transforms lie 36 matrix products, tiles x channels by channels x filters, of which some
 * tiles by two vectors of filters are in registers at a time.
 */
#ifndef DPF_KERNELS_DENSE_WINO_H
#define DPF_KERNELS_DENSE_WINO_H

#include <stddef.h>

enum {
    WINO_LANES = 16,
    WINO_POINTS = 36,
    WINO_GROUP = 14, /* tiles in registers, at most */
    WINO_GROUPS = 2, /* in a call */
    WINO_BLOCKS = 8  /* of 16 filters, whose products are kept at a time */
};

typedef struct wino_job {
    const float *in;             /* pictures x channels / 16 x h x w x 16 */
    float *out;                  /* pictures x blocks x height x width (halves of both if pooled) x 16 */
    const float *weights;        /* 36 x blocks x channels x 16, transformed */
    const float *bias;           /* blocks x 16 */
    size_t channels, h, w, pad;  /* of the input */
    size_t blocks, out_h, out_w; /* of the output, before pooling */
    size_t down, across;         /* tiles of a picture */
    size_t first, tiles, group;  /* of all pictures' tiles; at most WINO_GROUPS * group at a time */
    float slope;                 /* act(x) = max(x, slope * x), slope 0 to 1 */
    int pool;                    /* 1: of each 2x2 values only the largest is stored; out_h, out_w are even then */
    float *inputs, *products;    /* dense_wino_floats of each */
} wino_job;

/* Floats of the transformed inputs and of the products, for calls of that group size. */
static inline size_t wino_input_pitch(size_t channels, size_t group) {
    return WINO_GROUPS * group * channels + WINO_LANES; /* more than a multiple of a cache's way */
}
static inline size_t wino_product_pitch(size_t blocks, size_t group) {
    const size_t most = blocks < WINO_BLOCKS ? blocks : WINO_BLOCKS;
    return WINO_GROUPS * group * most * WINO_LANES + WINO_LANES;
}

#if defined(__x86_64__)
void dense_wino_tiles_avx512(const wino_job *job);
#endif

#endif
