/* SPDX-License-Identifier: MIT
 *
 * The loops of depthwise.h, written once and compiled for each instruction set: the
 * including file defines
 *   DW_V              floats of a vector
 *   DW_FMA(a, b, c)   a * b + c
 *   dw_lanes, DW_LANES(from, to)  some lanes of a vector, 0 <= from <= DW_V, 0 <= to <= DW_V
 *   DW_LOAD_LANES(p, lanes)  those of the vector at p, zeros in the others; touches no
 *                     other memory
 *   DW_STORE_FEW(p, v, count)  the first `count` lanes, less than all; touches no other memory
 *   DW_MAX(a, b), DW_MIN(a, b)  b where one is not a number
 *   DW_EVEN(a, b), DW_ODD(a, b)  every second lane of a, then of b
 *   DW_SHIFT(a, b, n) perhaps: lanes n and up of a, then those of b; then also
 *   DW_LOAD_REST(p, n, lanes)  like DW_LOAD_LANES, but only the first n matter; n is at most 6
 *   DW_TABLE          name of the table to define
 * Loops over window and sums have constant bounds and must be unrolled completely, so
 * that sums and weights stay in registers.
 */
#include "depthwise_internal.h"

typedef float dw_vec __attribute__((vector_size(DW_V * sizeof(float)), may_alias));
typedef int dw_ivec __attribute__((vector_size(DW_V * sizeof(float)), may_alias));
/* The same in memory, at any float's address. */
typedef float dw_mem __attribute__((vector_size(DW_V * sizeof(float)), aligned(4), may_alias));

#define DW_UNROLL _Pragma("GCC unroll 8")
#define DW_INLINE static inline __attribute__((always_inline))

DW_INLINE dw_vec dw_load(const float *p) {
    return *(const dw_mem *)p;
}

DW_INLINE void dw_store(float *p, dw_vec v) {
    *(dw_mem *)p = v;
}

DW_INLINE dw_vec dw_set(float x) {
    return x - (dw_vec){0};
}

/* The lanes of a vector at column `at` that lie in a row of `width` floats. */
DW_INLINE dw_lanes dw_lanes_at(ptrdiff_t at, ptrdiff_t width) {
    const ptrdiff_t from = at >= 0 ? 0 : at > -DW_V ? -at : DW_V;
    const ptrdiff_t to = at >= width ? 0 : width - at < DW_V ? width - at : DW_V;
    return DW_LANES((int)from, (int)to);
}

/* A whole vector, or what a row of less than one has. */
DW_INLINE void dw_put(float *to, dw_vec v, ptrdiff_t count) {
    if (count >= DW_V)
        dw_store(to, v);
    else
        DW_STORE_FEW(to, v, count);
}

/* First column of the strip that begins at x: the last one begins earlier rather than
 * being narrower, and computes some outputs again, to the same values. */
DW_INLINE ptrdiff_t dw_column(ptrdiff_t x, ptrdiff_t out_w) {
    return x + DW_V <= out_w ? x : out_w >= DW_V ? out_w - DW_V : 0;
}

enum { DW_MOST = 7 }; /* size of the largest window that is unrolled */

/* What the columns of a K wide window see of a row, a vector each. inside: all of it lies in the picture. */
#ifdef DW_SHIFT
DW_INLINE void dw_row(const float *row, dw_vec *v, const dw_lanes *lanes, int K, int S, int inside) {
    dw_vec of[2], rest[2];
    DW_UNROLL for (int s = 0; s < S; s++) of[s] =
        inside ? dw_load(row + s * DW_V) : DW_LOAD_LANES(row + s * DW_V, lanes[s]);
    rest[0] = DW_LOAD_REST(row + S * DW_V, K - S, inside ? DW_LANES(0, K - S) : lanes[S]);
    if (S == 2) {
        const dw_vec a = of[0], b = of[1], c = rest[0];
        of[0] = DW_EVEN(a, b);
        of[1] = DW_ODD(a, b);
        if (K > 3) {
            rest[0] = DW_EVEN(c, c);
            rest[1] = DW_ODD(c, c);
        }
    }
    DW_UNROLL for (int k = 0; k < K; k++) v[k] = k < S ? of[k] : DW_SHIFT(of[k % S], rest[k % S], k / S);
}

/* Lanes of the vectors that dw_row loads, at column `at` of a row. */
DW_INLINE void dw_row_lanes(dw_lanes *lanes, ptrdiff_t at, ptrdiff_t width, int K, int S) {
    (void)K;
    DW_UNROLL for (int s = 0; s <= S; s++) lanes[s] = dw_lanes_at(at + s * DW_V, width);
}
#else
DW_INLINE void dw_row(const float *row, dw_vec *v, const dw_lanes *lanes, int K, int S, int inside) {
    if (S == 1)
        DW_UNROLL for (int k = 0; k < K; k++) v[k] = inside ? dw_load(row + k) : DW_LOAD_LANES(row + k, lanes[k]);
    if (S == 2)
        DW_UNROLL for (int k = 0; k < K; k += 2) {
            const dw_vec a = inside ? dw_load(row + k) : DW_LOAD_LANES(row + k, lanes[k]);
            const dw_vec b = inside ? dw_load(row + k + DW_V) : DW_LOAD_LANES(row + k + DW_V, lanes[k + 1]);
            v[k] = DW_EVEN(a, b);
            if (k + 1 < K)
                v[k + 1] = DW_ODD(a, b);
        }
}

DW_INLINE void dw_row_lanes(dw_lanes *lanes, ptrdiff_t at, ptrdiff_t width, int K, int S) {
    DW_UNROLL for (int k = 0; k < K; k += S) {
        lanes[k] = dw_lanes_at(at + k, width);
        if (S == 2)
            lanes[k + 1] = dw_lanes_at(at + k + DW_V, width);
    }
}
#endif

/* A strip of plane p from top to bottom. Rows of the input are taken in groups of S: the output in row y is complete
 * after groups y to y + A - 1; sum[i] is that of the row whose group i this one is. */
DW_INLINE void dw_strip(const dw_job *j, size_t p, ptrdiff_t x, const dw_lanes *lanes, int K, int S, int inside) {
    const int A = (K + S - 1) / S;
    const ptrdiff_t out_w = j->out_w, count = inside || out_w >= DW_V ? DW_V : out_w, end = j->end;
    const ptrdiff_t column = x * S - j->pad, height = j->height, width = j->width;
    const float *weights = j->weights + p * (size_t)(K * K);
    const dw_vec bias = dw_set(j->bias[p]), slope = dw_set(j->slope), cap = dw_set(j->cap);
    dw_vec w[DW_MOST][DW_MOST], v[DW_MOST], sum[DW_MOST];
    DW_UNROLL for (int u = 0; u < K; u++) DW_UNROLL for (int k = 0; k < K; k++) w[u][k] = dw_set(weights[u * K + k]);
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
                DW_FMA(w[i * S + s][k], v[k], sum[i]);
        }
        if (done >= 0) {
            dw_put(out, DW_MIN(cap, DW_MAX(slope * sum[A - 1], sum[A - 1])), count);
            out += out_w;
        }
        DW_UNROLL for (int i = A - 1; i > 0; i--) sum[i] = sum[i - 1];
        sum[0] = bias;
    }
}

DW_INLINE void dw_strips(const dw_job *j, int K, int S) {
    for (ptrdiff_t at = 0; at < j->out_w; at += DW_V) {
        const ptrdiff_t x = dw_column(at, j->out_w), column = x * S - j->pad;
        /* one column of the last pair of stride 2 is not needed, but loaded */
        const int inside = column >= 0 && column + K - 1 + S * DW_V <= j->width;
        dw_lanes lanes[DW_MOST + 1] = {0};
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
DW_INLINE dw_vec dw_tap(const float *row, ptrdiff_t at, ptrdiff_t width, ptrdiff_t stride) {
    dw_vec v = {0};
    if (stride == 1)
        return at >= 0 && at + DW_V <= width ? dw_load(row + at) : DW_LOAD_LANES(row + at, dw_lanes_at(at, width));
    if (stride == 2 && at >= 0 && at + 2 * DW_V <= width)
        return DW_EVEN(dw_load(row + at), dw_load(row + at + DW_V));
    if (stride == 2)
        return DW_EVEN(DW_LOAD_LANES(row + at, dw_lanes_at(at, width)),
                       DW_LOAD_LANES(row + at + DW_V, dw_lanes_at(at + DW_V, width)));
    for (int i = 0; i < DW_V; i++)
        if (at + i * stride >= 0 && at + i * stride < width)
            v[i] = row[at + i * stride];
    return v;
}

/* Any window: a vector of outputs at a time. */
static void dw_any_plane(const dw_job *j, size_t p) {
    const float *in = j->in + p * j->in_area, *weights = j->weights + p * (size_t)(j->size * j->size);
    float *out = j->out + p * j->out_area;
    const dw_vec bias = dw_set(j->bias[p]), slope = dw_set(j->slope), cap = dw_set(j->cap);
    const ptrdiff_t size = j->size, stride = j->stride, width = j->width, out_w = j->out_w;
    for (ptrdiff_t y = j->first; y < j->end; y++) {
        const ptrdiff_t top = y * stride - j->pad, left = j->height - top;
        const ptrdiff_t u_first = top < 0 ? -top : 0, u_end = left < size ? left : size;
        for (ptrdiff_t at = 0; at < out_w; at += DW_V) {
            const ptrdiff_t x = dw_column(at, out_w), column = x * stride - j->pad;
            dw_vec sum = bias;
            for (ptrdiff_t u = u_first; u < u_end; u++)
                for (ptrdiff_t k = 0; k < size; k++)
                    sum = DW_FMA(dw_set(weights[u * size + k]),
                                 dw_tap(in + (top + u) * width, column + k, width, stride), sum);
            dw_put(out + y * out_w + x, DW_MIN(cap, DW_MAX(slope * sum, sum)), out_w);
        }
    }
}

static void dw_any(const dw_job *j) {
    for (size_t p = 0; p < j->planes; p++)
        dw_any_plane(j, p);
}

const dw_table DW_TABLE = {
    .vector = DW_V, .unrolled = {{dw_3x3, dw_3x3_2}, {dw_5x5, dw_5x5_2}, {dw_7x7, dw_7x7_2}}, .any = dw_any};
