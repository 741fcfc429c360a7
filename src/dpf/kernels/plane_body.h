/* SPDX-License-Identifier: MIT
 *
 * The one source of the inner loops of plane.h. An including file defines
 * PLANE_TABLE (the name of its table) and PLANE_ISA (its name as a string) and is
 * compiled for that instruction set. Plain C: the compiler vectorises it, and
 * `omp simd reduction` lets it reorder the sums.
 */
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

const plane_ops PLANE_TABLE = {PLANE_ISA,    plane_sum,       plane_squares,
                               plane_affine, plane_gradient,  plane_normalise_gradient,
                               plane_add,    plane_accumulate};
