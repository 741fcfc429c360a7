/* SPDX-License-Identifier: MIT
 *
 * sptrain: the gradient of all weights, for tensors in lanes of pictures, unit by unit.
 * Every weight's sum runs over all pixels and over the lanes; 16 lanes are added up at the
 * end of a run of pixels, 16 weights (4 filters x 4 others) at a time.
 *
 * 3x3 filters of stride 1 go by Winograd's F(3x3, 4x4): tiles of 4x4 pixels of dy and 6x6
 * of x become 36 values each, whose products are added up for each value by itself:
 * a quarter of the multiplications. Tiles are transformed until there are `most` of them,
 * also from several units, and multiplied then. Other filters go by their definition, with
 * the planes of the forward pass as x.
 *
 * Scratch of a thread, behind that of the products: transformed tiles of x (36 values x
 * channels x most) and of dy; the sums (36 x filters/4 x channels/4 x 16, or filters/4 x
 * weights of a filter/4 x 16); a unit of dy; units of x and dy in lanes.
 */
#include "sptrain_internal.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "conv_impl.h"

enum { TILE = 4, VALUES = 36, TILES_TOGETHER = 8 };

static const size_t most_sums = 4 * 1024 * 1024;     /* floats: a thread adds up to these all the time */
static const size_t most_scratch = 24 * 1024 * 1024; /* floats a thread, or lanes are not for this layer */
static const size_t cache_bytes = 20 * 1024;         /* of the first-level cache, for runs of pixels */

static size_t divide_up(size_t a, size_t b) {
    return (a + b - 1) / b;
}

static int suits_winograd(const sptrain *sp, const sp_grad *grad) {
    const dpf_conv_shape *s = &sp->shape;
    size_t pixels = (size_t)dpf_conv_out_h(s) * (size_t)dpf_conv_out_w(s);
    size_t tiles = (size_t)grad->tile_rows * (size_t)grad->tile_columns;
    if (s->size != 3 || s->stride != 1 || s->c % 4 != 0 || s->n % 4 != 0)
        return 0;
    return 2 * pixels >= tiles * TILE * TILE && VALUES * (size_t)s->c * (size_t)s->n <= most_sums;
}

/* A unit in lanes, as planes without margins. */
static int place_whole(sp_side *whole, const sp_side *side) {
    *whole = *side;
    whole->step = 1;
    whole->phases = 1;
    whole->plane = whole->map = (size_t)side->h * (size_t)side->w * SP_LANES;
    whole->first_column = 0;
    whole->end = side->w;
    whole->column = calloc((size_t)side->w, sizeof *whole->column);
    for (int j = 0; whole->column && j < side->w; ++j)
        whole->column[j] = (size_t)j * SP_LANES;
    return whole->column == NULL;
}

int sp_grad_new(sptrain *sp, size_t at) {
    const dpf_conv_shape *s = &sp->shape;
    const sp_side *x = &sp->pass[SP_FORWARD].from, *dy = &sp->pass[SP_FORWARD].to;
    size_t c = (size_t)s->c, n = (size_t)s->n, x_unit = sp_picture_floats(x) * SP_LANES;
    size_t dy_unit = sp_picture_floats(dy) * SP_LANES;
    sp_grad grad = {.most = TILES_TOGETHER};
    if (sp->unit != SP_LANES)
        return 0;
    grad.tile_rows = (int)divide_up((size_t)dy->h, TILE);
    grad.tile_columns = (int)divide_up((size_t)dy->w, TILE);
    grad.winograd = suits_winograd(sp, &grad);
    grad.x_pitch = (c * grad.most | 1) * SP_LANES; /* odd, or values would share sets of the cache */
    grad.dy_pitch = (n * grad.most | 1) * SP_LANES;
    grad.sums = grad.winograd ? VALUES * n * c : divide_up(n, 4) * divide_up(sp->filter_size, 4) * SP_LANES;
    grad.at_x = (at + SP_LANES - 1) / SP_LANES * SP_LANES;
    grad.at_dy = grad.at_x + (grad.winograd ? VALUES * grad.x_pitch : 0);
    grad.at_sums = grad.at_dy + (grad.winograd ? VALUES * grad.dy_pitch : 0);
    grad.at_made = grad.at_sums + grad.sums;
    grad.at_own_x = grad.at_made + dy_unit;
    grad.at_own_dy = grad.at_own_x + x_unit;
    grad.end = grad.at_own_dy + dy_unit;
    if (grad.end > most_scratch)
        return 0;
    grad.possible = 1;
    grad.parts = dpf_aligned_floats((size_t)sp->threads * n * sp->filter_size);
    int failed = place_whole(&grad.whole_x, x) | place_whole(&grad.whole_dy, dy) | !grad.parts;
    sp->grad = grad;
    return failed;
}

void sp_grad_free(sp_grad *grad) {
    free(grad->whole_x.column);
    free(grad->whole_dy.column);
    free(grad->parts);
}

/* Measured like those of sptrain.c. */
double sp_grad_cycles(const sptrain *sp, int lanes) {
    const dpf_conv_shape *s = &sp->shape;
    const sp_grad *grad = &sp->grad;
    double c = (double)s->c, n = (double)s->n, pixels = (double)dpf_conv_out_h(s) * (double)dpf_conv_out_w(s);
    double x_pixels = (double)s->h * (double)s->w, cycles;
    if (grad->winograd) {
        double tiles = (double)grad->tile_rows * (double)grad->tile_columns;
        cycles = tiles * (1.25 * VALUES * c * n + 430 * (c + n));
        cycles += lanes & DPF_BLOCK_X ? 0 : 8 * x_pixels * c;
    } else {
        cycles = pixels * (1.2 * n * (double)sp->filter_size) + (lanes & DPF_BLOCK_X ? 3 : 8) * x_pixels * c;
    }
    cycles += lanes & DPF_BLOCK_Y ? 0 : 8 * pixels * n;
    return cycles / SP_LANES;
}

/* --- one thread's part ------------------------------------------------------------- */

static void multiply_tiles(const sptrain *sp, float *scratch, size_t count) {
    const sp_grad *grad = &sp->grad;
    size_t c = (size_t)sp->shape.c, n = (size_t)sp->shape.n;
    for (size_t i = 0; i < VALUES; ++i)
        sp_grad_loops_for_cpu()->multiply(scratch + grad->at_x + i * grad->x_pitch,
                                          scratch + grad->at_dy + i * grad->dy_pitch, c, n, grad->most * SP_LANES,
                                          count, scratch + grad->at_sums + i * c * n);
}

/* Fetches what the tile at (row, column) of a map does not share with the tile above it: from one map to the next is a
 * jump that the hardware does not foresee. */
static void fetch_tile(const sp_side *whole, const float *map, int row, int column) {
    for (int i = row; i < row + TILE && i < whole->h; ++i)
        for (int j = column; j < column + TILE && j < whole->w; ++j)
            __builtin_prefetch(map + ((size_t)i * (size_t)whole->w + (size_t)j) * SP_LANES, 0, 2);
}

/* Adds a unit in lanes; *filled: transformed tiles that wait. */
static void add_tiles(const sptrain *sp, const float *x, const float *dy, float *scratch, size_t *filled) {
    const sp_grad *grad = &sp->grad;
    const sp_grad_loops *loops = sp_grad_loops_for_cpu();
    const sp_side *of_x = &grad->whole_x, *of_dy = &grad->whole_dy;
    int tiles = grad->tile_rows * grad->tile_columns, pad = sp->shape.pad, room;
    for (int tile = 0; tile < tiles; tile += room) {
        room = (int)(grad->most - *filled);
        room = room < tiles - tile ? room : tiles - tile;
        for (int i = 0; i < of_x->maps + of_dy->maps; ++i)
            for (int k = tile; k < tile + room; ++k) {
                int row = k / grad->tile_columns * TILE, column = k % grad->tile_columns * TILE;
                size_t map = (size_t)(i < of_x->maps ? i : i - of_x->maps);
                size_t place = (map * grad->most + *filled + (size_t)(k - tile)) * SP_LANES;
                if (i + 1 < of_x->maps)
                    fetch_tile(of_x, x + (map + 1) * of_x->map, row, column);
                if (i < of_x->maps)
                    loops->transform_x(x + map * of_x->map, of_x->h, of_x->w, row - pad, column - pad,
                                       scratch + grad->at_x + place, grad->x_pitch);
                else
                    loops->transform_dy(dy + map * of_dy->map, of_dy->h, of_dy->w, row, column,
                                        scratch + grad->at_dy + place, grad->dy_pitch);
            }
        *filled += (size_t)room;
        if (*filled == grad->most) {
            multiply_tiles(sp, scratch, *filled);
            *filled = 0;
        }
    }
}

/* Adds `rows` rows of positions from row `first` of the band on, whose planes stand at the start of scratch. */
static void correlate_rows(const sptrain *sp, int band, int first, int rows, const float *dy, float *scratch) {
    const sp_pass *p = &sp->pass[SP_FORWARD];
    const sp_side *of_dy = &sp->grad.whole_dy;
    size_t row_x = (size_t)p->plane_columns * SP_LANES, row_dy = (size_t)of_dy->w * SP_LANES;
    size_t last_o = (size_t)of_dy->maps - 1, last_k = sp->filter_size - 1;
    float *sums = scratch + sp->grad.at_sums, some[SP_LANES];
    for (size_t o = 0; o <= last_o; o += 4)
        for (size_t k = 0; k <= last_k; k += 4, sums += SP_LANES) {
            const float *px[4], *py[4];
            for (size_t i = 0; i < 4; ++i) { /* what is too much is computed, and left alone in the end */
                size_t at = k + i < last_k ? k + i : last_k, map = o + i < last_o ? o + i : last_o;
                px[i] = scratch + p->distance[at] + (size_t)first * row_x;
                py[i] = dy + map * of_dy->map + (size_t)(band + first) * row_dy;
            }
            sp_grad_loops_for_cpu()->correlate(px, py, rows, p->columns, row_x, row_dy, some);
            for (int i = 0; i < SP_LANES; ++i)
                sums[i] += some[i];
        }
}

static void add_bands(const sptrain *sp, const float *x, const float *dy, float *scratch) {
    const sp_pass *p = &sp->pass[SP_FORWARD];
    int together = (int)(cache_bytes / (8 * (size_t)p->plane_columns * SP_LANES * sizeof(float)));
    together = together < 1 ? 1 : together;
    sp_prepare(sp, p, scratch);
    for (int band = 0; band < p->rows; band += p->band) {
        int count = p->rows - band < p->band ? p->rows - band : p->band;
        sp_load_band(sp, p, x, band, count, scratch);
        for (int row = 0; row < count; row += together)
            correlate_rows(sp, band, row, count - row < together ? count - row : together, dy, scratch);
    }
}

static void add_unit(const sptrain *sp, const float *x, const float *dy, float *scratch, size_t *filled) {
    const sp_grad *grad = &sp->grad;
    const sp_side *of_x = &sp->pass[SP_FORWARD].from, *of_dy = &sp->pass[SP_FORWARD].to;
    if (of_dy->kind != SP_PICTURES) {
        sp_load_whole(sp, of_dy, &grad->whole_dy, dy, scratch + grad->at_own_dy);
        dy = scratch + grad->at_own_dy;
    }
    if (!grad->winograd) {
        add_bands(sp, x, dy, scratch);
        return;
    }
    if (of_x->kind != SP_PICTURES) {
        sp_load_whole(sp, of_x, &grad->whole_x, x, scratch + grad->at_own_x);
        x = scratch + grad->at_own_x;
    }
    add_tiles(sp, x, dy, scratch, filled);
}

/* From sums to the thread's part of dw. */
static void finish(const sptrain *sp, float *scratch, size_t filled, float *part) {
    const float *sums = scratch + sp->grad.at_sums;
    size_t n = (size_t)sp->shape.n;
    if (sp->grad.winograd) {
        if (filled)
            multiply_tiles(sp, scratch, filled);
        sp_grad_loops_for_cpu()->finish(sums, (size_t)sp->shape.c, n, part);
        return;
    }
    for (size_t o = 0; o < n; o += 4)
        for (size_t k = 0; k < sp->filter_size; k += 4, sums += SP_LANES)
            for (size_t i = 0; i < SP_LANES; ++i)
                if (o + i / 4 < n && k + i % 4 < sp->filter_size)
                    part[(o + i / 4) * sp->filter_size + k + i % 4] = sums[i];
}

/* The units of thread t. */
static void run_part(const sptrain *sp, const dpf_conv_gradients *g, int t, float *scratch) {
    const sp_grad *grad = &sp->grad;
    const sp_pass *backward = &sp->pass[SP_BACKWARD];
    size_t x_unit = sp_picture_floats(&backward->to) * SP_LANES, y_unit = sp_picture_floats(&backward->from) * SP_LANES;
    size_t filled = 0;
    int units = sp->shape.batch / SP_LANES;
    memset(scratch + grad->at_sums, 0, grad->sums * sizeof *scratch);
    for (int u = (int)((long)units * t / sp->threads); u < (int)((long)units * (t + 1) / sp->threads); ++u) {
        const float *dy = g->before ? scratch + grad->at_made : g->dy + (size_t)u * y_unit;
        if (g->before)
            g->before->run(g->before->context, u * SP_LANES, SP_LANES, 1, scratch + grad->at_made);
        if (g->dx) {
            sp_prepare(sp, backward, scratch);
            sp_run_unit(sp, backward, dy, g->dx + (size_t)u * x_unit, g->set_dx, scratch);
        }
        add_unit(sp, g->x + (size_t)u * x_unit, dy, scratch, &filled);
    }
    finish(sp, scratch, filled, grad->parts + (size_t)t * (size_t)sp->shape.n * sp->filter_size);
}

void sptrain_gradients(const sptrain *sp, const dpf_conv_gradients *gradients, float *scratch) {
    size_t weights = (size_t)sp->shape.n * sp->filter_size;
#pragma omp parallel num_threads(sp->threads) if (sp->threads > 1)
    for (int t = omp_get_thread_num(); t < sp->threads; t += omp_get_num_threads())
        run_part(sp, gradients, t, scratch + (size_t)t * sptrain_scratch(sp));
    dpf_sum_parts(gradients->dw, sp->grad.parts, weights, weights, sp->threads, sp->threads);
}
