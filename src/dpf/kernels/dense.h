/* SPDX-License-Identifier: MIT
 *
 * Dense 2-D convolution for inference, bias and activation fused where the library
 * underneath can; and conversion between the layouts of activations that it likes.
 *
 * A layout is a number of lanes: an array of batch x channels x height x width is kept
 * as batch x blocks x height x width x lanes, blocks = channels / lanes rounded up;
 * channels past the last are zeros or garbage that nobody reads. lanes = 1 is Darknet's
 * plain order, lanes = channels has all channels of a pixel together.
 *
 * A dense is made once from the weights of a layer and is read-only afterwards; a
 * dense_call ties it to arrays and may be run by one thread at a time. Running
 * allocates nothing here (oneDNN and OpenBLAS make and free small things inside).
 *
 * With oneDNN: its direct convolutions in the layout that is fastest for them, or
 * Winograd's F(2x2, 3x3) or F(4x4, 3x3). Without it, or where it cannot: im2col in bands and OpenBLAS,
 * on as many threads as OpenBLAS has been told to use, whatever `threads` says. A first
 * layer of few channels has a kernel of our own, and there is a Winograd of our own; both
 * can do the maxpool that comes behind, too.
 *
 * Winograd multiplies less and rounds more: 16 products for a tile of 2x2 outputs, whose
 * transforms add and halve; 36 for one of 4x4, whose transforms have factors up to 8. A
 * value is off by at most 4e-6 and 2e-5 of the largest of the result (direct: 2e-6), up to
 * 1024 channels; tests hold all three bounds. Transformed weights take 16/9 and 4 times the
 * memory.
 */
#ifndef DPF_KERNELS_DENSE_H
#define DPF_KERNELS_DENSE_H

#include <stddef.h>

#include "../core/error.h"
#include "activation.h"

#define DENSE_FEW_CHANNELS 4 /* or fewer: a first layer, whose input stays in plain planes */

typedef struct dense_shape {
    int batch, c, h, w; /* input */
    int n;              /* filters */
    int size, stride_x, stride_y, pad, dilation, groups;
    int pool; /* 1: of each 2x2 results only the largest is written; DENSE_FEW and DENSE_WINOGRAD can do that */
} dense_shape;

/* Each but the first fails with DPF_ERR_UNSUPPORTED where it cannot do the shape. */
typedef enum dense_kind {
    DENSE_AUTO = 0, /* direct, else BLAS */
    DENSE_DIRECT = 1,
    DENSE_WINOGRAD_2 = 2, /* tiles of 2x2; AVX-512, 3x3 with stride 1 */
    DENSE_WINOGRAD_4 = 3, /* tiles of 4x4; the same */
    DENSE_BLAS = 4,       /* any shape */
    DENSE_FEW = 5,        /* our own: AVX-512, 3x3 with stride 1 of few channels, pad 0 or 1; where oneDNN is there */
    DENSE_WINOGRAD = 6    /* our own, tiles of 4x4: the same, but of whole blocks of 16 channels and filters */
} dense_kind;

typedef struct dense dense;
typedef struct dense_call dense_call;

typedef struct dense_info {
    const char *name;           /* "oneDNN jit:avx512_core", "OpenBLAS" */
    size_t lanes_in, lanes_out; /* layouts of input and output */
    size_t scratch;             /* floats that a call needs besides */
    size_t bytes;               /* memory that holds the weights */
} dense_info;

/* weights: n x c/groups x size x size, bias: n; both are copied. act must be a function
 * of one value. On failure *out is NULL. */
dpf_status dense_new(dense **out, const dense_shape *shape, dpf_activation act, const float *weights, const float *bias,
                     int threads, dense_kind kind, dpf_error *err);

/* Copies an array of that shape from one layout to another. pitch_in: floats from plane to plane of the input where
 * lanes_in is 1, at least height * width. */
dpf_status dense_relayout_new(dense **out, const int shape[4], size_t lanes_in, size_t pitch_in, size_t lanes_out,
                              int threads, dpf_error *err);
int dense_can_relayout(void); /* 0: built without oneDNN, which does it */
void dense_free(dense *d);    /* NULL is allowed */
void dense_get_info(const dense *d, dense_info *out);

/* Floats of an array in a layout; 0 when that is more than a size_t counts. */
size_t dense_floats(size_t batch, size_t channels, size_t area, size_t lanes);

/* The arrays are borrowed, 64-byte aligned, and must outlive the call. */
dpf_status dense_call_new(dense_call **out, const dense *d, const float *in, float *result, float *scratch,
                          dpf_error *err);
void dense_call_free(dense_call *call);
dpf_status dense_call_run(const dense_call *call); /* DPF_OK, or DPF_ERR_MEMORY from oneDNN */

#endif
