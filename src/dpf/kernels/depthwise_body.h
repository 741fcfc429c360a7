/* SPDX-License-Identifier: MIT
 *
 * The loops of depthwise.h, written once and compiled for each instruction set: the
 * including file brings the vectors of simd.h and defines
 *   DW_SHIFT(a, b, n) perhaps: lanes n and up of a, then those of b; then also
 *   DW_LOAD_REST(p, n, lanes)  like VEC_LOAD_LANES, but only the first n matter; n is at most 6
 *   DW_TABLE          name of the table to define
 * Loops over window and sums have constant bounds and must be unrolled completely, so
 * that sums and weights stay in registers.
 */
#include "depthwise_internal.h"

#define DW_UNROLL _Pragma("GCC unroll 8")

/* The lanes of a vector at column `at` that lie in a row of `width` floats. */
VEC_INLINE vec_lanes dw_lanes_at(ptrdiff_t at, ptrdiff_t width) {
    const ptrdiff_t from = at >= 0 ? 0 : at > -VEC_FLOATS ? -at : VEC_FLOATS;
    const ptrdiff_t to = at >= width ? 0 : width - at < VEC_FLOATS ? width - at : VEC_FLOATS;
    return VEC_LANES((int)from, (int)to);
}

/* A whole vector, or what a row of less than one has. */
VEC_INLINE void dw_put(float *to, vec v, ptrdiff_t count) {
    if (count >= VEC_FLOATS)
        vec_store(to, v);
    else
        VEC_STORE_FIRST(to, v, count);
}

/* First column of the strip that begins at x: the last one begins earlier rather than
 * being narrower, and computes some outputs again, to the same values. */
VEC_INLINE ptrdiff_t dw_column(ptrdiff_t x, ptrdiff_t out_w) {
    return x + VEC_FLOATS <= out_w ? x : out_w >= VEC_FLOATS ? out_w - VEC_FLOATS : 0;
}

enum { DW_MOST = 7 }; /* size of the largest window that is unrolled */

/* What the columns of a K wide window see of a row, a vector each. inside: all of it lies in the picture. */
#ifdef DW_SHIFT
VEC_INLINE void dw_row(const float *row, vec *v, const vec_lanes *lanes, int K, int S, int inside) {
    vec of[2], rest[2];
    DW_UNROLL for (int s = 0; s < S; s++) of[s] =
        inside ? vec_load(row + s * VEC_FLOATS) : VEC_LOAD_LANES(row + s * VEC_FLOATS, lanes[s]);
    rest[0] = DW_LOAD_REST(row + S * VEC_FLOATS, K - S, inside ? VEC_LANES(0, K - S) : lanes[S]);
    if (S == 2) {
        const vec a = of[0], b = of[1], c = rest[0];
        of[0] = VEC_EVEN(a, b);
        of[1] = VEC_ODD(a, b);
        if (K > 3) {
            rest[0] = VEC_EVEN(c, c);
            rest[1] = VEC_ODD(c, c);
        }
    }
    DW_UNROLL for (int k = 0; k < K; k++) v[k] = k < S ? of[k] : DW_SHIFT(of[k % S], rest[k % S], k / S);
}

/* Lanes of the vectors that dw_row loads, at column `at` of a row. */
VEC_INLINE void dw_row_lanes(vec_lanes *lanes, ptrdiff_t at, ptrdiff_t width, int K, int S) {
    (void)K;
    DW_UNROLL for (int s = 0; s <= S; s++) lanes[s] = dw_lanes_at(at + s * VEC_FLOATS, width);
}
#else
VEC_INLINE void dw_row(const float *row, vec *v, const vec_lanes *lanes, int K, int S, int inside) {
    if (S == 1)
        DW_UNROLL for (int k = 0; k < K; k++) v[k] = inside ? vec_load(row + k) : VEC_LOAD_LANES(row + k, lanes[k]);
    if (S == 2)
        DW_UNROLL for (int k = 0; k < K; k += 2) {
            const vec a = inside ? vec_load(row + k) : VEC_LOAD_LANES(row + k, lanes[k]);
            const vec b = inside ? vec_load(row + k + VEC_FLOATS) : VEC_LOAD_LANES(row + k + VEC_FLOATS, lanes[k + 1]);
            v[k] = VEC_EVEN(a, b);
            if (k + 1 < K)
                v[k + 1] = VEC_ODD(a, b);
        }
}

VEC_INLINE void dw_row_lanes(vec_lanes *lanes, ptrdiff_t at, ptrdiff_t width, int K, int S) {
    DW_UNROLL for (int k = 0; k < K; k += S) {
        lanes[k] = dw_lanes_at(at + k, width);
        if (S == 2)
            lanes[k + 1] = dw_lanes_at(at + k + VEC_FLOATS, width);
    }
}
#endif

/* A strip of plane p from top to bottom. Rows of the input are taken in groups of S: the output in row y is complete
 * after groups y to y + A - 1; sum[i] is that of the row whose group i this one is. */
VEC_INLINE void dw_strip(const dw_job *j, size_t p, ptrdiff_t x, const vec_lanes *lanes, int K, int S, int inside) {
    const int A = (K + S - 1) / S;
    const ptrdiff_t out_w = j->out_w, count = inside || out_w >= VEC_FLOATS ? VEC_FLOATS : out_w, end = j->end;
    const ptrdiff_t column = x * S - j->pad, height = j->height, width = j->width;
    const float *weights = j->weights + p * (size_t)(K * K);
    const vec bias = vec_set(j->bias[p]), slope = vec_set(j->slope), cap = vec_set(j->cap);
    vec w[DW_MOST][DW_MOST], v[DW_MOST], sum[DW_MOST];
    DW_UNROLL for (int u = 0; u < K; u++) DW_UNROLL for (int k = 0; k < K; k++) w[u][k] = vec_set(weights[u * K + k]);
    DW_UNROLL for (int i = 0; i < A; i++) sum[i] = bias;
    ptrdiff_t done = 1 - A, y = j->first * S - j->pad; /* y: of the input; done: rows of the output */
    const float *row = j->in + p * j->in_area + y * width + column;
    float *out = j->out + p * j->out_area + j->first * out_w + x;
    for (const ptrdiff_t rows = end - j->first; done < rows; done++) {
        DW_UNROLL for (int s = 0; s < S; s++, y++, row += width) {
            if (y < 0 || y >= height)
                continue;
            dw_row(row, v, lanes, K, S, inside);
            DW_UNROLL for (int k = 0; k < K; k++) DW_UNROLL for (int i = 0; i < A; i++) if (i * S + s < K) sum[i] =
                VEC_FMA(w[i * S + s][k], v[k], sum[i]);
        }
        if (done >= 0) {
            dw_put(out, VEC_MIN(cap, VEC_MAX(slope * sum[A - 1], sum[A - 1])), count);
            out += out_w;
        }
        DW_UNROLL for (int i = A - 1; i > 0; i--) sum[i] = sum[i - 1];
        sum[0] = bias;
    }
}

VEC_INLINE void dw_strips(const dw_job *j, int K, int S) {
    for (ptrdiff_t at = 0; at < j->out_w; at += VEC_FLOATS) {
        const ptrdiff_t x = dw_column(at, j->out_w), column = x * S - j->pad;
        /* one column of the last pair of stride 2 is not needed, but loaded */
        const int inside = column >= 0 && column + K - 1 + S * VEC_FLOATS <= j->width;
        vec_lanes lanes[DW_MOST + 1] = {0};
        dw_row_lanes(lanes, column, j->width, K, S);
        for (size_t p = 0; p < j->planes && inside; p++)
            dw_strip(j, p, x, lanes, K, S, 1);
        for (size_t p = 0; p < j->planes && !inside; p++)
            dw_strip(j, p, x, lanes, K, S, 0);
    }
}

static void dw_3x3(const dw_job *j) {
    dw_strips(j, 3, 1);
}

static void dw_3x3_2(const dw_job *j) {
    dw_strips(j, 3, 2);
}

static void dw_5x5(const dw_job *j) {
    dw_strips(j, 5, 1);
}

static void dw_5x5_2(const dw_job *j) {
    dw_strips(j, 5, 2);
}

static void dw_7x7(const dw_job *j) {
    dw_strips(j, 7, 1);
}

static void dw_7x7_2(const dw_job *j) {
    dw_strips(j, 7, 2);
}

/* What one column of the window sees of a row; the first output's is at column `at` of the picture. */
VEC_INLINE vec dw_tap(const float *row, ptrdiff_t at, ptrdiff_t width, ptrdiff_t stride) {
    vec v = {0};
    if (stride == 1)
        return at >= 0 && at + VEC_FLOATS <= width ? vec_load(row + at)
                                                   : VEC_LOAD_LANES(row + at, dw_lanes_at(at, width));
    if (stride == 2 && at >= 0 && at + 2 * VEC_FLOATS <= width)
        return VEC_EVEN(vec_load(row + at), vec_load(row + at + VEC_FLOATS));
    if (stride == 2)
        return VEC_EVEN(VEC_LOAD_LANES(row + at, dw_lanes_at(at, width)),
                        VEC_LOAD_LANES(row + at + VEC_FLOATS, dw_lanes_at(at + VEC_FLOATS, width)));
    for (int i = 0; i < VEC_FLOATS; i++)
        if (at + i * stride >= 0 && at + i * stride < width)
            v[i] = row[at + i * stride];
    return v;
}

/* Any window: a vector of outputs at a time. */
static void dw_any_plane(const dw_job *j, size_t p) {
    const float *in = j->in + p * j->in_area, *weights = j->weights + p * (size_t)(j->size * j->size);
    float *out = j->out + p * j->out_area;
    const vec bias = vec_set(j->bias[p]), slope = vec_set(j->slope), cap = vec_set(j->cap);
    const ptrdiff_t size = j->size, stride = j->stride, width = j->width, out_w = j->out_w;
    for (ptrdiff_t y = j->first; y < j->end; y++) {
        const ptrdiff_t top = y * stride - j->pad, left = j->height - top;
        const ptrdiff_t u_first = top < 0 ? -top : 0, u_end = left < size ? left : size;
        for (ptrdiff_t at = 0; at < out_w; at += VEC_FLOATS) {
            const ptrdiff_t x = dw_column(at, out_w), column = x * stride - j->pad;
            vec sum = bias;
            for (ptrdiff_t u = u_first; u < u_end; u++)
                for (ptrdiff_t k = 0; k < size; k++)
                    sum = VEC_FMA(vec_set(weights[u * size + k]),
                                  dw_tap(in + (top + u) * width, column + k, width, stride), sum);
            dw_put(out + y * out_w + x, VEC_MIN(cap, VEC_MAX(slope * sum, sum)), out_w);
        }
    }
}

static void dw_any(const dw_job *j) {
    for (size_t p = 0; p < j->planes; p++)
        dw_any_plane(j, p);
}

const dw_table DW_TABLE = {
    .vector = VEC_FLOATS, .unrolled = {{dw_3x3, dw_3x3_2}, {dw_5x5, dw_5x5_2}, {dw_7x7, dw_7x7_2}}, .any = dw_any};
