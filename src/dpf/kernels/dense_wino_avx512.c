/* SPDX-License-Identifier: MIT
 *
 * See dense_wino.h. Compiled with the options of AVX-512; nothing here may run before
 * dpf_cpu_isa allowed it.
 */
#include "dense_wino.h"

#if defined(__AVX512F__)
#include <immintrin.h>

#define INLINE static inline __attribute__((always_inline))

typedef struct place {
    size_t picture, y, x; /* of a tile's first output */
} place;

static place place_of(const wino_job *j, size_t tile) {
    const size_t each = j->down * j->across, within = tile % each;
    return (place){tile / each, within / j->across * 4, within % j->across * 4};
}

/* Six values of a line into six points; x is overwritten. */
INLINE void points(__m512 x[6]) {
    const __m512 four = _mm512_set1_ps(4), five = _mm512_set1_ps(5);
    const __m512 a = _mm512_fnmadd_ps(four, x[2], x[4]), b = _mm512_fnmadd_ps(four, x[1], x[3]);
    const __m512 c = _mm512_sub_ps(x[4], x[2]), d = _mm512_sub_ps(x[3], x[1]), e = _mm512_add_ps(d, d);
    x[0] = _mm512_fmadd_ps(four, x[0], _mm512_fnmadd_ps(five, x[2], x[4]));
    x[5] = _mm512_fmadd_ps(four, x[1], _mm512_fnmadd_ps(five, x[3], x[5]));
    x[1] = _mm512_add_ps(a, b);
    x[2] = _mm512_sub_ps(a, b);
    x[3] = _mm512_add_ps(c, e);
    x[4] = _mm512_sub_ps(c, e);
}

/* Six points into four values of a line. */
INLINE void values(const __m512 m[6], __m512 y[4]) {
    const __m512 s1 = _mm512_add_ps(m[1], m[2]), d1 = _mm512_sub_ps(m[1], m[2]);
    const __m512 s2 = _mm512_add_ps(m[3], m[4]), d2 = _mm512_sub_ps(m[3], m[4]);
    y[0] = _mm512_add_ps(_mm512_add_ps(m[0], s1), s2);
    y[1] = _mm512_fmadd_ps(_mm512_set1_ps(2), d2, d1);
    y[2] = _mm512_fmadd_ps(_mm512_set1_ps(4), s2, s1);
    y[3] = _mm512_add_ps(_mm512_fmadd_ps(_mm512_set1_ps(8), d2, d1), m[5]);
}

/* 16 channels of one tile: 6x6 pixels, what is outside of the picture is 0, into 36 points, `pitch` floats apart. */
INLINE void transform_input(const wino_job *j, const float *plane, place p, float *to, size_t pitch, const int inside) {
    __m512 t[6][6]; /* by column, then point */
#pragma GCC unroll 6
    for (size_t x = 0; x < 6; ++x) {
        const size_t column = p.x + x - j->pad; /* wraps around left of the picture */
#pragma GCC unroll 6
        for (size_t y = 0; y < 6; ++y) {
            const size_t row = p.y + y - j->pad;
            t[x][y] = inside || (column < j->w && row < j->h)
                          ? _mm512_loadu_ps(plane + (row * j->w + column) * WINO_LANES)
                          : _mm512_setzero_ps();
        }
        points(t[x]);
    }
#pragma GCC unroll 6
    for (size_t y = 0; y < 6; ++y) {
        __m512 line[6];
#pragma GCC unroll 6
        for (size_t x = 0; x < 6; ++x)
            line[x] = t[x][y];
        points(line);
#pragma GCC unroll 6
        for (size_t x = 0; x < 6; ++x)
            _mm512_storeu_ps(to + (y * 6 + x) * pitch, line[x]);
    }
}

/* `count` tiles by `n` vectors of filters, one of the 36 products; in has `channels` floats a tile, out `row`. */
INLINE void multiply(const float *in, const float *w, size_t channels, float *out, size_t row, const size_t count,
                     const size_t n) {
    __m512 sum[WINO_GROUP][2];
#pragma GCC unroll 14
    for (size_t t = 0; t < count; ++t)
#pragma GCC unroll 2
        for (size_t b = 0; b < n; ++b)
            sum[t][b] = _mm512_setzero_ps();
    for (size_t c = 0; c < channels; ++c, w += WINO_LANES) {
        __m512 filters[2];
#pragma GCC unroll 2
        for (size_t b = 0; b < n; ++b)
            filters[b] = _mm512_loadu_ps(w + b * channels * WINO_LANES);
#pragma GCC unroll 14
        for (size_t t = 0; t < count; ++t) {
            const __m512 value = _mm512_set1_ps(in[t * channels + c]);
#pragma GCC unroll 2
            for (size_t b = 0; b < n; ++b)
                sum[t][b] = _mm512_fmadd_ps(value, filters[b], sum[t][b]);
        }
    }
#pragma GCC unroll 14
    for (size_t t = 0; t < count; ++t)
#pragma GCC unroll 2
        for (size_t b = 0; b < n; ++b)
            _mm512_storeu_ps(out + t * row + b * WINO_LANES, sum[t][b]);
}

#define CASE(count)                                                                                                    \
    case count:                                                                                                        \
        n == 1 ? multiply(in, w, channels, out, row, count, 1) : multiply(in, w, channels, out, row, count, 2);        \
        break;

static void multiply_some(const float *in, const float *w, size_t channels, float *out, size_t row, size_t count,
                          size_t n) {
    switch (count) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
        CASE(7)
        CASE(8)
        CASE(9)
        CASE(10)
        CASE(11)
        CASE(12)
        CASE(13)
        CASE(14)
    }
}

/* All products of the filter blocks [b, b + n). */
static void multiply_all(const wino_job *j, size_t b, size_t n) {
    const size_t in_pitch = wino_input_pitch(j->channels, j->group), pitch = wino_product_pitch(j->blocks, j->group);
    const size_t row = n * WINO_LANES;
    for (size_t p = 0; p < WINO_POINTS; ++p)
        for (size_t k = 0; k < n; k += 2)
            for (size_t t = 0; t < j->tiles; t += j->group) {
                const size_t count = j->tiles - t < j->group ? j->tiles - t : j->group;
                multiply_some(j->inputs + p * in_pitch + t * j->channels,
                              j->weights + (p * j->blocks + b + k) * j->channels * WINO_LANES, j->channels,
                              j->products + p * pitch + t * row + k * WINO_LANES, row, count, n - k < 2 ? 1 : 2);
            }
}

/* 16 filters of one tile: 36 points, `pitch` floats apart, into 4x4 values, and those to `plane` as far as they are
 * in the picture. */
INLINE void transform_output(const wino_job *j, const float *from, size_t pitch, const float *bias, place p,
                             float *plane, const int pool) {
    const __m512 slope = _mm512_set1_ps(j->slope), shift = _mm512_loadu_ps(bias);
    const size_t side = pool ? 2 : 1, width = j->out_w / side, height = j->out_h / side, each = 4 / side;
    __m512 t[6][4], y[4][4]; /* t: by column of points; y: by row */
#pragma GCC unroll 6
    for (size_t x = 0; x < 6; ++x) {
        __m512 m[6];
#pragma GCC unroll 6
        for (size_t k = 0; k < 6; ++k)
            m[k] = _mm512_loadu_ps(from + (k * 6 + x) * pitch);
        values(m, t[x]);
    }
#pragma GCC unroll 4
    for (size_t k = 0; k < 4; ++k) {
        __m512 line[6];
#pragma GCC unroll 6
        for (size_t x = 0; x < 6; ++x)
            line[x] = t[x][k];
        values(line, y[k]);
    }
#pragma GCC unroll 4
    for (size_t k = 0; k < each; ++k)
#pragma GCC unroll 4
        for (size_t x = 0; x < each; ++x) {
            const size_t row = p.y / side + k, column = p.x / side + x;
            __m512 v = y[k * side][x * side];
            if (pool)
                v = _mm512_max_ps(_mm512_max_ps(v, y[2 * k][2 * x + 1]),
                                  _mm512_max_ps(y[2 * k + 1][2 * x], y[2 * k + 1][2 * x + 1]));
            v = _mm512_add_ps(v, shift);
            if (row < height && column < width)
                _mm512_storeu_ps(plane + (row * width + column) * WINO_LANES,
                                 _mm512_max_ps(v, _mm512_mul_ps(v, slope)));
        }
}

static void take_inputs(const wino_job *j) {
    const size_t pitch = wino_input_pitch(j->channels, j->group), blocks = j->channels / WINO_LANES;
    const size_t area = j->h * j->w * WINO_LANES;
    for (size_t t = 0; t < j->tiles; ++t) {
        const place p = place_of(j, j->first + t);
        const int inside = p.y >= j->pad && p.x >= j->pad && p.y + 6 <= j->h + j->pad && p.x + 6 <= j->w + j->pad;
        for (size_t c = 0; c < blocks; ++c) {
            const float *plane = j->in + (p.picture * blocks + c) * area;
            float *to = j->inputs + t * j->channels + c * WINO_LANES;
            if (inside)
                transform_input(j, plane, p, to, pitch, 1);
            else
                transform_input(j, plane, p, to, pitch, 0);
        }
    }
}

/* Of the filter blocks [b, b + n). */
static void put_outputs(const wino_job *j, size_t b, size_t n) {
    const size_t pitch = wino_product_pitch(j->blocks, j->group);
    const size_t area = j->out_h * j->out_w / (j->pool ? 4 : 1) * WINO_LANES;
    for (size_t t = 0; t < j->tiles; ++t) {
        const place p = place_of(j, j->first + t);
        for (size_t k = 0; k < n; ++k) {
            const float *from = j->products + (t * n + k) * WINO_LANES, *bias = j->bias + (b + k) * WINO_LANES;
            float *plane = j->out + (p.picture * j->blocks + b + k) * area;
            if (j->pool)
                transform_output(j, from, pitch, bias, p, plane, 1);
            else
                transform_output(j, from, pitch, bias, p, plane, 0);
        }
    }
}

void dense_wino_tiles_avx512(const wino_job *j) {
    take_inputs(j);
    for (size_t b = 0; b < j->blocks; b += WINO_BLOCKS) {
        const size_t n = j->blocks - b < WINO_BLOCKS ? j->blocks - b : WINO_BLOCKS;
        multiply_all(j, b, n);
        put_outputs(j, b, n);
    }
}
#else
typedef int dense_wino_not_built; /* another processor family: the function is not referred to */
#endif
