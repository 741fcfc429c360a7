/* SPDX-License-Identifier: MIT
 *
 * The inner loops of a convolution of few channels, 3x3 with stride 1; private to this
 * folder. One call makes two rows of the output, for all filters, from four rows of the
 * input, which lie padded in the first-level cache.
 *
 * The filters are in the lanes of the vectors, 16 at a time: a tile of 2 x 8 pixels stays in
 * registers, and so do the nine taps of a channel, while each pixel of the input is
 * broadcast once for the nine products that it has at most. (The usual way, pixels in the
 * lanes, has to load a vector for each product or two.)
 */
#ifndef DPF_KERNELS_DENSE_FEW_H
#define DPF_KERNELS_DENSE_FEW_H

#include <stddef.h>

enum { FEW_LANES = 16, FEW_COLUMNS = 8, FEW_ROWS = 2, FEW_TAPS = 9 };

typedef struct few_job {
    const float *in;             /* channels x 4 rows, from the column left of the first output on */
    size_t channels, pitch;      /* pitch: floats from row to row, 2 + width rounded up to FEW_COLUMNS or more */
    const float *weights, *bias; /* blocks x channels x 9 x 16, blocks x 16 */
    size_t blocks;               /* of 16 filters */
    size_t width, rows;          /* of the output before pooling; rows: 1 or 2 */
    float slope;                 /* act(x) = max(x, slope * x), slope 0 to 1 */
    int pool;                    /* 1: of each 2 x 2 values the largest is stored; rows is 2 and width even then */
    float *out;                  /* of block 0: width (or half of it) x 16, then the next row */
    size_t out_row, out_block;   /* floats from row to row, from block to block */
} few_job;

#if defined(__x86_64__)
void dense_few_rows_avx512(const few_job *job);
#endif

#endif
