/* SPDX-License-Identifier: MIT
 *
 * The inner loops of sptrain for AVX-512: 16 floats a vector. Compiled with the options of
 * that instruction set; nothing here may run before dpf_cpu_isa allowed it. The loops over
 * a tile have constant bounds and must be unrolled completely, so that sums stay in
 * registers.
 */
#include "sptrain_internal.h"

#if defined(__AVX512F__)
#include <immintrin.h>

#define UNROLL _Pragma("GCC unroll 16")

#define TILE(T)                                                                                                        \
    static void tile_##T(const float *in, const sp_row *rows, size_t row_count, const sp_nonzero *nonzeros,            \
                         float *out, size_t out_pitch, int first) {                                                    \
        for (size_t i = 0; i < row_count; ++i) {                                                                       \
            const sp_nonzero *end = nonzeros + rows[i].count;                                                          \
            float *to = out + rows[i].filter * out_pitch;                                                              \
            __m512 sum[T];                                                                                             \
            UNROLL for (int t = 0; t < (T); ++t) sum[t] =                                                              \
                first ? _mm512_setzero_ps() : _mm512_loadu_ps(to + t * SP_LANES);                                      \
            for (; nonzeros < end; ++nonzeros) {                                                                       \
                const float *p = in + nonzeros->distance;                                                              \
                __m512 weight = _mm512_set1_ps(nonzeros->weight);                                                      \
                UNROLL for (int t = 0; t < (T); ++t) sum[t] =                                                          \
                    _mm512_fmadd_ps(weight, _mm512_load_ps(p + t * SP_LANES), sum[t]);                                 \
            }                                                                                                          \
            UNROLL for (int t = 0; t < (T); ++t) _mm512_storeu_ps(to + t * SP_LANES, sum[t]);                          \
        }                                                                                                              \
    }

TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
TILE(7)
TILE(8)

static inline __attribute__((always_inline)) __m512 low(__m512 a, __m512 b) {
    return _mm512_castpd_ps(_mm512_unpacklo_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

static inline __attribute__((always_inline)) __m512 high(__m512 a, __m512 b) {
    return _mm512_castpd_ps(_mm512_unpackhi_pd(_mm512_castps_pd(a), _mm512_castps_pd(b)));
}

/* Rows become columns. */
static inline __attribute__((always_inline)) void transpose(__m512 r[16]) {
    __m512 t[16];
    UNROLL for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL for (int i = 0; i < 16; i += 4) {
        r[i] = low(t[i], t[i + 2]);
        r[i + 1] = high(t[i], t[i + 2]);
        r[i + 2] = low(t[i + 1], t[i + 3]);
        r[i + 3] = high(t[i + 1], t[i + 3]);
    }
    UNROLL for (int i = 0; i < 4; ++i) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
    UNROLL for (int i = 0; i < 4; ++i) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        r[i + 4] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
        r[i + 12] = _mm512_shuffle_f32x4(t[i + 4], t[i + 12], 0xdd);
    }
}

static void gather_blocked(const float *const *lanes, const sp_side *side, float *planes) {
    for (int j = side->first_column; j < side->end; ++j) {
        __m512 r[16];
        UNROLL for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_ps(lanes[i] + (size_t)j * SP_LANES);
        transpose(r);
        float *to = planes + side->column[j];
        UNROLL for (size_t i = 0; i < 16; ++i) _mm512_store_ps(to + i * side->map, r[i]);
    }
}

static __mmask16 first_of(int count) {
    return (__mmask16)(count < 16 ? (1U << count) - 1 : 0xffffU);
}

static void gather_plain(const float *const *lanes, const sp_side *side, float *planes) {
    for (int j = side->first_column; j < side->end; j += 16) {
        __m512 r[16];
        int count = side->end - j < 16 ? side->end - j : 16;
        UNROLL for (int i = 0; i < 16; ++i) r[i] = _mm512_maskz_loadu_ps(first_of(count), lanes[i] + j);
        transpose(r);
        UNROLL for (int i = 0; i < 16; ++i) if (i < count) _mm512_store_ps(planes + side->column[j + i], r[i]);
    }
}

static void scatter_blocked(const float *planes, const sp_side *side, float *const *lanes, int set) {
    for (int j = side->first_column; j < side->end; ++j) {
        __m512 r[16];
        const float *from = planes + side->column[j];
        UNROLL for (size_t i = 0; i < 16; ++i) r[i] = _mm512_load_ps(from + i * side->map);
        transpose(r);
        if (!set)
            UNROLL for (int i = 0; i < 16; ++i) r[i] =
                _mm512_add_ps(r[i], _mm512_loadu_ps(lanes[i] + (size_t)j * SP_LANES));
        UNROLL for (int i = 0; i < 16; ++i) _mm512_storeu_ps(lanes[i] + (size_t)j * SP_LANES, r[i]);
    }
}

static void scatter_plain(const float *planes, const sp_side *side, float *const *lanes, int set) {
    for (int j = side->first_column; j < side->end; j += 16) {
        __m512 r[16];
        int count = side->end - j < 16 ? side->end - j : 16;
        __mmask16 mask = first_of(count);
        UNROLL for (int i = 0; i < 16; ++i) r[i] = _mm512_load_ps(planes + side->column[j + (i < count ? i : 0)]);
        transpose(r);
        if (!set)
            UNROLL for (int i = 0; i < 16; ++i) r[i] = _mm512_add_ps(r[i], _mm512_maskz_loadu_ps(mask, lanes[i] + j));
        UNROLL for (int i = 0; i < 16; ++i) _mm512_mask_storeu_ps(lanes[i] + j, mask, r[i]);
    }
}

static void copy_in(const float *row, const sp_side *side, float *planes) {
    for (int j = side->first_column; j < side->end; ++j)
        _mm512_store_ps(planes + side->column[j], _mm512_loadu_ps(row + (size_t)j * SP_LANES));
}

static void copy_out(const float *planes, const sp_side *side, float *row, int set) {
    for (int j = side->first_column; j < side->end; ++j) {
        float *to = row + (size_t)j * SP_LANES;
        __m512 v = _mm512_load_ps(planes + side->column[j]);
        _mm512_storeu_ps(to, set ? v : _mm512_add_ps(v, _mm512_loadu_ps(to)));
    }
}

const sp_loops sp_loops_avx512 = {
    .tile = {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6, tile_7, tile_8},
    .gather_blocked = gather_blocked,
    .gather_plain = gather_plain,
    .scatter_blocked = scatter_blocked,
    .scatter_plain = scatter_plain,
    .copy_in = copy_in,
    .copy_out = copy_out,
};
#endif
