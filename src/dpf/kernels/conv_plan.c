/* SPDX-License-Identifier: MIT
 *
 * See conv_plan.h. Winograd's F(4x4, 3x3) makes 4x4 outputs from 6x6 inputs with 36
 * multiplications a pair of channels instead of 144. Measured with oneDNN 2.6 on one core
 * of an AMD EPYC (Zen 4), against its direct convolution, forward, backward-data and
 * backward-weights of 3x3 filters, c channels to c filters, h x h pixels:
 *
 *   c 16, h 32: 1.5, 1.1, 1.5 times    c 32, h 16: 1.7, 1.8, 2.0    c 64, h 8: 2.0, 2.0, 2.1
 *   c 64, h 56: 2.5, 2.5, 2.3          c 128, h 28: 2.4, 2.4, 2.0   c 256, h 14: 1.9, 2.0, 2.2
 *
 * as long as a chunk has enough tiles (a few dozen) to pay for the transform of the
 * weights, and not so many that the transformed tensors leave the caches.
 */
#include "conv_plan.h"

enum { TILE = 4, TRANSFORMED = 36, TILES_LEAST = 32, TILES_MOST = 400 };

static const size_t chunk_bytes = 768 * 1024;             /* of the second-level cache */
static const size_t transformed_bytes = 16 * 1024 * 1024; /* every worker of every layer has these */

static size_t tiles_of(int outputs) {
    return ((size_t)outputs + TILE - 1) / TILE;
}

/* Tiles of one picture. */
static size_t tiles(const dpf_conv_shape *s) {
    return tiles_of(dpf_conv_out_h(s)) * tiles_of(dpf_conv_out_w(s));
}

/* The largest divisor of the batch that keeps every worker busy and fits `most` units,
 * of which a picture takes `each`. */
static int largest_chunk(int batch, int workers, size_t each, size_t most) {
    int best = 1;
    for (int q = 2; (long)q * workers <= batch; ++q)
        if (batch % q == 0 && (size_t)q * each <= most)
            best = q;
    return best;
}

/* The most tiles that a chunk should have. */
static size_t most_tiles(const dpf_conv_shape *s) {
    size_t fit = transformed_bytes / (TRANSFORMED * sizeof(float) * ((size_t)s->c + (size_t)s->n));
    return fit < TILES_MOST ? fit : TILES_MOST;
}

static int suits_winograd(const dpf_conv_shape *s, int chunk) {
    size_t c = (size_t)s->c, n = (size_t)s->n, all = (size_t)chunk * tiles(s);
    size_t pixels = (size_t)dpf_conv_out_h(s) * (size_t)dpf_conv_out_w(s);
    if (s->size != 3 || s->stride != 1 || s->pad != 1 || s->groups != 1 || c % 16 != 0 || n % 16 != 0)
        return 0;
    if (all < TILES_LEAST || 5 * pixels < 3 * tiles(s) * TILE * TILE) /* tiles over the edge are wasted */
        return 0;
    size_t weights = TRANSFORMED * sizeof(float) * c * n, pictures = TRANSFORMED * sizeof(float) * all * (c + n);
    return weights <= transformed_bytes && pictures <= transformed_bytes;
}

conv_plan dpf_conv_plan(const dpf_conv_shape *s, int threads, int allow_winograd) {
    int enough = s->batch >= threads;
    conv_plan plan = {s->batch, enough ? threads : 1, enough ? 1 : threads, 0};
    size_t in = (size_t)s->c * (size_t)s->h * (size_t)s->w;
    size_t out = (size_t)s->n * (size_t)dpf_conv_out_h(s) * (size_t)dpf_conv_out_w(s);
    int chunk = enough ? largest_chunk(s->batch, threads, tiles(s), most_tiles(s)) : s->batch;
    if (allow_winograd && suits_winograd(s, chunk)) {
        plan.winograd = 1;
        plan.chunk = chunk;
    } else if (enough) { /* input, output and their conversions; every chunk streams all weights, too */
        size_t weights = sizeof(float) * (size_t)s->n * (size_t)(s->c / s->groups) * (size_t)(s->size * s->size);
        size_t most = weights > chunk_bytes ? weights : chunk_bytes;
        plan.chunk = largest_chunk(s->batch, threads, 2 * sizeof(float) * (in + out), most);
    }
    return plan;
}
