/* SPDX-License-Identifier: MIT
 *
 * The one source of the inner loops of plane.h. An including file defines
 * PLANE_TABLE (the name of its table) and PLANE_ISA (its name as a string) and is
 * compiled for that instruction set. Plain C: the compiler vectorises it, and
 * `omp simd reduction` lets it reorder the sums.
 */
#include <float.h>

#include "plane.h"

static float plane_sum(const float *x, size_t n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum) simdlen(16)
    for (size_t i = 0; i < n; ++i)
        sum += x[i];
    return sum;
}

static float plane_squares(const float *x, size_t n, float mean) {
    float sum = 0;
#pragma omp simd reduction(+ : sum) simdlen(16)
    for (size_t i = 0; i < n; ++i)
        sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

static void plane_affine(const float *x, float *y, size_t n, float a, float b, dpf_activation f) {
    switch (f) {
    case DPF_LINEAR_ACT:
#pragma omp simd
        for (size_t i = 0; i < n; ++i)
            y[i] = a * x[i] + b;
        break;
    case DPF_RELU:
#pragma omp simd
        for (size_t i = 0; i < n; ++i) {
            float v = a * x[i] + b;
            y[i] = v > 0 ? v : 0;
        }
        break;
    case DPF_LEAKY:
#pragma omp simd
        for (size_t i = 0; i < n; ++i) {
            float v = a * x[i] + b;
            y[i] = v > 0 ? v : 0.1f * v;
        }
        break;
    default:
        for (size_t i = 0; i < n; ++i)
            y[i] = dpf_activate(a * x[i] + b, f);
    }
}

/* d *= f'(y) */
static void plane_derive(float *d, const float *y, size_t n, dpf_activation f) {
    switch (f) {
    case DPF_LINEAR_ACT:
        break;
    case DPF_RELU:
#pragma omp simd
        for (size_t i = 0; i < n; ++i)
            d[i] = y[i] > 0 ? d[i] : 0;
        break;
    case DPF_LEAKY:
#pragma omp simd
        for (size_t i = 0; i < n; ++i)
            d[i] = y[i] > 0 ? d[i] : 0.1f * d[i];
        break;
    default:
        for (size_t i = 0; i < n; ++i)
            d[i] *= dpf_activation_gradient(y[i], f);
    }
}

static void plane_gradient(float *d, const float *y, const float *x, size_t n, float mean, dpf_activation f,
                           float sums[2]) {
    plane_derive(d, y, n, f);
    float s0 = 0, s1 = 0;
    if (x) {
#pragma omp simd reduction(+ : s0, s1) simdlen(16)
        for (size_t i = 0; i < n; ++i) {
            s0 += d[i];
            s1 += d[i] * (x[i] - mean);
        }
    } else {
        s0 = plane_sum(d, n);
    }
    sums[0] = s0;
    sums[1] = s1;
}

static void plane_normalise_gradient(float *d, const float *x, size_t n, float mean, float a, float b, float c) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i)
        d[i] = a * d[i] + b * (x[i] - mean) + c;
}

static void plane_add(const float *x, const float *z, float *y, size_t n, float s, float t, dpf_activation f) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i)
        y[i] = s * x[i] + t * z[i];
    if (f != DPF_LINEAR_ACT)
        plane_affine(y, y, n, 1, 0, f);
}

static void plane_accumulate(const float *x, float *y, size_t n, float s) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i)
        y[i] += s * x[i];
}

static float plane_dot(const float *x, const float *y, size_t n) {
    float sum = 0;
#pragma omp simd reduction(+ : sum) simdlen(16)
    for (size_t i = 0; i < n; ++i)
        sum += x[i] * y[i];
    return sum;
}

static void plane_max(const float *x, float *y, size_t n) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i)
        y[i] = x[i] > y[i] ? x[i] : y[i];
}

static void plane_max_pairs(const float *restrict x, float *restrict y, size_t n) {
#pragma omp simd
    for (size_t i = 0; i < n; ++i)
        y[i] = x[2 * i] > x[2 * i + 1] ? x[2 * i] : x[2 * i + 1];
}

/* --- blocks of PLANE_LANES channels ------------------------------------------------- */

#pragma GCC diagnostic ignored "-Wpsabi" /* everything that returns a vector is inlined */

typedef float lanes __attribute__((vector_size(PLANE_LANES * sizeof(float)), may_alias));
typedef int lanes_mask __attribute__((vector_size(PLANE_LANES * sizeof(float)), may_alias));
/* The same in memory, at any float's address. */
typedef float lanes_at __attribute__((vector_size(PLANE_LANES * sizeof(float)), aligned(4), may_alias));
typedef int lanes_mask_at __attribute__((vector_size(PLANE_LANES * sizeof(float)), aligned(4), may_alias));

#define LOAD(p) (*(const lanes_at *)(p))
#define STORE(p, v) (*(lanes_at *)(p) = (v))

/* d * f'(y), or f(v) when both arguments are v; f is a constant wherever this is inlined.
 * By pointer, for a vector as a parameter would depend on the instruction set. */
static inline __attribute__((always_inline)) lanes bend(const lanes *v, const lanes *by, dpf_activation f) {
    if (f == DPF_LINEAR_ACT)
        return *v;
    lanes_mask positive = *by > 0;
    lanes other = {0};
    if (f == DPF_LEAKY)
        other = 0.1f * *v;
    return (lanes)(((lanes_mask)*v & positive) | ((lanes_mask)other & ~positive));
}

/* Four sums run side by side: one would wait for its own last addition. */
static void plane_block_statistics(const float *x, size_t n, float *sum, float *squares) {
    lanes s[4] = {{0}}, q[4] = {{0}};
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; ++k)
            s[k] += LOAD(x + (i + k) * PLANE_LANES);
    for (; i < n; ++i)
        s[0] += LOAD(x + i * PLANE_LANES);
    s[0] = (s[0] + s[1]) + (s[2] + s[3]);
    STORE(sum, s[0]);
    lanes mean = s[0] / (float)n;
    for (i = 0; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; ++k) {
            lanes d = LOAD(x + (i + k) * PLANE_LANES) - mean;
            q[k] += d * d;
        }
    for (; i < n; ++i) {
        lanes d = LOAD(x + i * PLANE_LANES) - mean;
        q[0] += d * d;
    }
    STORE(squares, (q[0] + q[1]) + (q[2] + q[3]));
}

static inline __attribute__((always_inline)) void block_affine(const float *x, float *y, size_t n, const float *a,
                                                               const float *b, dpf_activation f) {
    lanes scale = LOAD(a), shift = LOAD(b);
    for (size_t i = 0; i < n * PLANE_LANES; i += PLANE_LANES) {
        lanes v = scale * LOAD(x + i) + shift;
        STORE(y + i, bend(&v, &v, f));
    }
}

static void plane_block_affine(const float *x, float *y, size_t n, const float *a, const float *b, dpf_activation f) {
    if (f == DPF_RELU)
        block_affine(x, y, n, a, b, DPF_RELU);
    else if (f == DPF_LEAKY)
        block_affine(x, y, n, a, b, DPF_LEAKY);
    else
        block_affine(x, y, n, a, b, DPF_LINEAR_ACT);
}

static inline __attribute__((always_inline)) void block_affine_add(const float *x, const float *z, float *y, size_t n,
                                                                   const float *a, const float *b, dpf_activation f) {
    lanes scale = LOAD(a), shift = LOAD(b);
    for (size_t i = 0; i < n * PLANE_LANES; i += PLANE_LANES) {
        lanes v = scale * LOAD(x + i) + shift + LOAD(z + i);
        STORE(y + i, bend(&v, &v, f));
    }
}

static void plane_block_affine_add(const float *x, const float *z, float *y, size_t n, const float *a, const float *b,
                                   dpf_activation f) {
    if (f == DPF_RELU)
        block_affine_add(x, z, y, n, a, b, DPF_RELU);
    else if (f == DPF_LEAKY)
        block_affine_add(x, z, y, n, a, b, DPF_LEAKY);
    else
        block_affine_add(x, z, y, n, a, b, DPF_LINEAR_ACT);
}

static inline __attribute__((always_inline)) void block_gradient_to(const float *d, const float *y, const float *x,
                                                                    float *g, float *more, size_t n, const float *mean,
                                                                    dpf_activation f, float *s0, float *s1) {
    lanes g0[2] = {{0}}, g1[2] = {{0}}, middle = LOAD(mean);
    for (size_t i = 0; i < n; ++i) {
        size_t at = i * PLANE_LANES;
        lanes v = LOAD(d + at), by = LOAD(y + at), bent = bend(&v, &by, f);
        STORE(g + at, bent);
        if (more)
            STORE(more + at, LOAD(more + at) + bent);
        g0[i % 2] += bent;
        g1[i % 2] += bent * (LOAD(x + at) - middle);
    }
    STORE(s0, g0[0] + g0[1]);
    STORE(s1, g1[0] + g1[1]);
}

static void plane_block_gradient_to(const float *d, const float *y, const float *x, float *g, float *more, size_t n,
                                    const float *mean, dpf_activation f, float *s0, float *s1) {
    if (f == DPF_RELU)
        block_gradient_to(d, y, x, g, more, n, mean, DPF_RELU, s0, s1);
    else if (f == DPF_LEAKY)
        block_gradient_to(d, y, x, g, more, n, mean, DPF_LEAKY, s0, s1);
    else
        block_gradient_to(d, y, x, g, more, n, mean, DPF_LINEAR_ACT, s0, s1);
}

static inline __attribute__((always_inline)) void block_gradient(const float *d, const float *y, const float *x,
                                                                 size_t n, const float *mean, dpf_activation f,
                                                                 float *s0, float *s1) {
    lanes g0[4] = {{0}}, g1[4] = {{0}}, middle = LOAD(mean);
    size_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (size_t k = 0; k < 4; ++k) {
            size_t at = (i + k) * PLANE_LANES;
            lanes v = LOAD(d + at), by = LOAD(y + at), g = bend(&v, &by, f);
            g0[k] += g;
            g1[k] += g * (LOAD(x + at) - middle);
        }
    for (; i < n; ++i) {
        size_t at = i * PLANE_LANES;
        lanes v = LOAD(d + at), by = LOAD(y + at), g = bend(&v, &by, f);
        g0[0] += g;
        g1[0] += g * (LOAD(x + at) - middle);
    }
    STORE(s0, (g0[0] + g0[1]) + (g0[2] + g0[3]));
    STORE(s1, (g1[0] + g1[1]) + (g1[2] + g1[3]));
}

/* Without x: its sums of g * (x - mean) are not wanted, so d stands in for x. */
static void plane_block_gradient(const float *d, const float *y, const float *x, size_t n, const float *mean,
                                 dpf_activation f, float *s0, float *s1) {
    const float *z = x ? x : d;
    if (f == DPF_RELU)
        block_gradient(d, y, z, n, mean, DPF_RELU, s0, s1);
    else if (f == DPF_LEAKY)
        block_gradient(d, y, z, n, mean, DPF_LEAKY, s0, s1);
    else
        block_gradient(d, y, z, n, mean, DPF_LINEAR_ACT, s0, s1);
}

static inline __attribute__((always_inline)) void block_normalise(const float *d, const float *y, const float *x,
                                                                  float *out, size_t n, const float *a, const float *b,
                                                                  const float *c, dpf_activation f) {
    lanes scale = LOAD(a), slope = LOAD(b), shift = LOAD(c);
    for (size_t i = 0; i < n * PLANE_LANES; i += PLANE_LANES) {
        lanes v = LOAD(d + i), by = LOAD(y + i);
        STORE(out + i, scale * bend(&v, &by, f) + (slope * LOAD(x + i) + shift));
    }
}

static inline __attribute__((always_inline)) void block_derive(const float *d, const float *y, float *out, size_t n,
                                                               dpf_activation f) {
    for (size_t i = 0; i < n * PLANE_LANES; i += PLANE_LANES) {
        lanes v = LOAD(d + i), by = LOAD(y + i);
        STORE(out + i, bend(&v, &by, f));
    }
}

static void plane_block_normalise_gradient(const float *d, const float *y, const float *x, float *out, size_t n,
                                           const float *a, const float *b, const float *c, dpf_activation f) {
    if (f == DPF_RELU)
        x ? block_normalise(d, y, x, out, n, a, b, c, DPF_RELU) : block_derive(d, y, out, n, DPF_RELU);
    else if (f == DPF_LEAKY)
        x ? block_normalise(d, y, x, out, n, a, b, c, DPF_LEAKY) : block_derive(d, y, out, n, DPF_LEAKY);
    else
        x ? block_normalise(d, y, x, out, n, a, b, c, DPF_LINEAR_ACT) : block_derive(d, y, out, n, DPF_LINEAR_ACT);
}

static void plane_block_max(const float *in, int h, int w, int x0, int y0, int size, int stride, int out_w, float *out,
                            int *where) {
    int y_first = y0 < 0 ? 0 : y0, y_last = y0 + size < h ? y0 + size : h;
    for (int j = 0; j < out_w; ++j, x0 += stride, out += PLANE_LANES, where += PLANE_LANES) {
        int x_first = x0 < 0 ? 0 : x0, x_last = x0 + size < w ? x0 + size : w;
        lanes max = (lanes){0} - FLT_MAX;
        lanes_mask at = {0};
        at -= 1;
        for (int y = y_first; y < y_last; ++y)
            for (int x = x_first; x < x_last; ++x) {
                lanes v = LOAD(in + (size_t)(y * w + x) * PLANE_LANES);
                lanes_mask more = v > max;
                max = (lanes)(((lanes_mask)v & more) | ((lanes_mask)max & ~more));
                at = ((y * w + x) & more) | (at & ~more);
            }
        STORE(out, max);
        *(lanes_mask_at *)where = at;
    }
}

static inline __attribute__((always_inline)) void keep_larger(lanes *most, const lanes *v) {
    lanes_mask more = *v > *most;
    *most = (lanes)(((lanes_mask)*v & more) | ((lanes_mask)*most & ~more));
}

static void plane_block_pool(const float *in, int w, int y_first, int y_last, int x0, int size, int stride, int out_w,
                             float *out) {
    const size_t ahead = (size_t)size * (size_t)w * PLANE_LANES; /* oneDNN may have written it past the caches */
    for (int j = 0; j < out_w; ++j, x0 += stride, out += PLANE_LANES) {
        int x_first = x0 < 0 ? 0 : x0, x_last = x0 + size < w ? x0 + size : w;
        lanes max = (lanes){0} - FLT_MAX;
        for (int y = y_first; y < y_last; ++y)
            for (int x = x_first; x < x_last; ++x) {
                const float *from = in + ((size_t)y * (size_t)w + (size_t)x) * PLANE_LANES;
                lanes v = LOAD(from);
                __builtin_prefetch(from + ahead);
                keep_larger(&max, &v);
            }
        STORE(out, max);
    }
}

#undef LOAD
#undef STORE

const plane_ops PLANE_TABLE = {.isa = PLANE_ISA,
                               .sum = plane_sum,
                               .squares = plane_squares,
                               .affine = plane_affine,
                               .gradient = plane_gradient,
                               .normalise_gradient = plane_normalise_gradient,
                               .add = plane_add,
                               .accumulate = plane_accumulate,
                               .dot = plane_dot,
                               .max = plane_max,
                               .max_pairs = plane_max_pairs,
                               .block_statistics = plane_block_statistics,
                               .block_affine = plane_block_affine,
                               .block_affine_add = plane_block_affine_add,
                               .block_gradient = plane_block_gradient,
                               .block_gradient_to = plane_block_gradient_to,
                               .block_normalise_gradient = plane_block_normalise_gradient,
                               .block_pool = plane_block_pool,
                               .block_max = plane_block_max};
