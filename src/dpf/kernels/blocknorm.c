/* SPDX-License-Identifier: MIT
 *
 * See blocknorm.h. work holds two sums for every channel of every picture, then three
 * coefficients a channel: [batch][channels][2 arrays], a, b, c.
 */
#include "blocknorm.h"

#include <math.h>

#include "plane.h"

enum { COEFFICIENTS = 3 };

size_t dpf_block_norm_work(size_t batch, size_t channels) {
    return (2 * batch + COEFFICIENTS) * channels;
}

static float *sums_of(const dpf_block_norm *norm, size_t picture, int which) {
    return norm->work + (2 * picture + (size_t)which) * norm->norm.channels;
}

static float *coefficient(const dpf_block_norm *norm, int which) {
    return norm->work + (2 * norm->norm.batch + (size_t)which) * norm->norm.channels;
}

/* Offset of a block of channels of picture p. */
static size_t at(const dpf_norm *norm, size_t p, size_t block) {
    return (p * norm->channels + block * PLANE_LANES) * norm->spatial;
}

void dpf_block_norm_statistics(const dpf_block_norm *norm, int first, int count, int threads, const float *x) {
    const plane_ops *ops = dpf_plane_ops();
    const dpf_norm *shape = &norm->norm;
    size_t blocks = shape->channels / PLANE_LANES;
#pragma omp parallel for collapse(2) num_threads(threads) if (threads > 1) schedule(static)
    for (int p = 0; p < count; ++p)
        for (size_t k = 0; k < blocks; ++k)
            ops->block_statistics(x + at(shape, (size_t)p, k), shape->spatial,
                                  sums_of(norm, (size_t)first + (size_t)p, 0) + k * PLANE_LANES,
                                  sums_of(norm, (size_t)first + (size_t)p, 1) + k * PLANE_LANES);
}

/* Mean and variance of the batch from those of its pictures. */
static void merge_statistics(const dpf_block_norm *norm, size_t c) {
    const dpf_norm *shape = &norm->norm;
    double pixels = (double)shape->spatial, n = (double)shape->batch * pixels, sum = 0, squares = 0;
    for (size_t p = 0; p < shape->batch; ++p)
        sum += (double)sums_of(norm, p, 0)[c];
    for (size_t p = 0; p < shape->batch; ++p) {
        double off = (double)sums_of(norm, p, 0)[c] / pixels - sum / n;
        squares += (double)sums_of(norm, p, 1)[c] + pixels * off * off;
    }
    shape->mean[c] = (float)(sum / n);
    shape->variance[c] = (float)(squares / (n - 1));
    shape->rolling_mean[c] = 0.99f * shape->rolling_mean[c] + 0.01f * shape->mean[c];
    shape->rolling_variance[c] = 0.99f * shape->rolling_variance[c] + 0.01f * shape->variance[c];
}

static void affine_coefficients(const dpf_block_norm *norm, const float *mean, const float *variance) {
    const dpf_norm *shape = &norm->norm;
    float *a = coefficient(norm, 0), *b = coefficient(norm, 1);
    for (size_t c = 0; c < shape->channels; ++c) {
        a[c] = shape->scales ? shape->scales[c] / (sqrtf(variance[c]) + 0.000001f) : 1;
        b[c] = shape->biases[c] - (shape->scales ? mean[c] * a[c] : 0);
    }
}

/* y = f(a * x + b) on count pictures. */
static void affine(const dpf_block_norm *norm, int count, int threads, const float *x, float *y) {
    const plane_ops *ops = dpf_plane_ops();
    const dpf_norm *shape = &norm->norm;
    const float *a = coefficient(norm, 0), *b = coefficient(norm, 1);
    size_t blocks = shape->channels / PLANE_LANES;
    int known = plane_block_knows(shape->activation);
#pragma omp parallel for collapse(2) num_threads(threads) if (threads > 1) schedule(static)
    for (int p = 0; p < count; ++p)
        for (size_t k = 0; k < blocks; ++k) {
            size_t from = at(shape, (size_t)p, k);
            ops->block_affine(x + from, y + from, shape->spatial, a + k * PLANE_LANES, b + k * PLANE_LANES,
                              known ? shape->activation : DPF_LINEAR_ACT);
            if (!known)
                ops->affine(y + from, y + from, shape->spatial * PLANE_LANES, 1, 0, shape->activation);
        }
}

void dpf_block_norm_forward_train(const dpf_block_norm *norm, float *y) {
    for (size_t c = 0; c < norm->norm.channels; ++c)
        merge_statistics(norm, c);
    affine_coefficients(norm, norm->norm.mean, norm->norm.variance);
    affine(norm, (int)norm->norm.batch, norm->norm.threads, norm->x, y);
}

void dpf_block_norm_prepare(const dpf_block_norm *norm) {
    affine_coefficients(norm, norm->norm.rolling_mean, norm->norm.rolling_variance);
}

void dpf_block_norm_apply(const dpf_block_norm *norm, int count, int threads, float *y) {
    affine(norm, count, threads, y, y);
}

/* Adds up the sums of all pictures; leaves the coefficients of a*d*f'(y) + b*x + c. */
static void merge_gradient(const dpf_block_norm *norm, size_t c) {
    const dpf_norm *shape = &norm->norm;
    const float n = (float)shape->batch * (float)shape->spatial;
    double sum = 0, product = 0;
    for (size_t p = 0; p < shape->batch; ++p) {
        sum += (double)sums_of(norm, p, 0)[c];
        product += (double)sums_of(norm, p, 1)[c];
    }
    shape->bias_updates[c] += (float)sum;
    if (!shape->scales)
        return;
    float variance = shape->variance[c], scale = shape->scales[c];
    shape->scale_updates[c] += (float)product / (sqrtf(variance) + 0.000001f);
    float inverse = 1.0f / sqrtf(variance + 0.00001f);
    float mean_delta = -(float)sum * scale * inverse;
    float variance_delta = -0.5f * inverse * inverse * inverse * (float)product * scale;
    float slope = 2.0f * variance_delta / n;
    coefficient(norm, 0)[c] = scale * inverse;
    coefficient(norm, 1)[c] = slope;
    coefficient(norm, 2)[c] = mean_delta / n - slope * shape->mean[c];
}

/* What is left of the activation once dpf_block_norm_backward has changed delta. */
static dpf_activation rest_of(const dpf_norm *norm) {
    return plane_block_knows(norm->activation) ? norm->activation : DPF_LINEAR_ACT;
}

void dpf_block_norm_backward(const dpf_block_norm *norm, float *delta) {
    const plane_ops *ops = dpf_plane_ops();
    const dpf_norm *shape = &norm->norm;
    const float *zero = shape->biases; /* any floats: without x no mean is used */
    size_t blocks = shape->channels / PLANE_LANES;
#pragma omp parallel for collapse(2) num_threads(shape->threads) schedule(static)
    for (size_t p = 0; p < shape->batch; ++p)
        for (size_t k = 0; k < blocks; ++k) {
            size_t from = at(shape, p, k), c = k * PLANE_LANES;
            float unused[2];
            if (!plane_block_knows(shape->activation))
                ops->gradient(delta + from, norm->y + from, NULL, shape->spatial * PLANE_LANES, 0, shape->activation,
                              unused);
            ops->block_gradient(delta + from, norm->y + from, shape->scales ? norm->x + from : NULL, shape->spatial,
                                shape->scales ? shape->mean + c : zero + c, rest_of(shape), sums_of(norm, p, 0) + c,
                                sums_of(norm, p, 1) + c);
        }
    for (size_t c = 0; c < shape->channels; ++c)
        merge_gradient(norm, c);
}

void dpf_block_norm_gradient(const dpf_block_norm *norm, int first, int count, int threads, float *out) {
    const plane_ops *ops = dpf_plane_ops();
    const dpf_norm *shape = &norm->norm;
    const float *a = coefficient(norm, 0), *b = coefficient(norm, 1), *c = coefficient(norm, 2);
    size_t blocks = shape->channels / PLANE_LANES;
#pragma omp parallel for collapse(2) num_threads(threads) if (threads > 1) schedule(static)
    for (int p = 0; p < count; ++p)
        for (size_t k = 0; k < blocks; ++k) {
            size_t from = at(shape, (size_t)first + (size_t)p, k), channel = k * PLANE_LANES;
            ops->block_normalise_gradient(norm->delta + from, norm->y + from, shape->scales ? norm->x + from : NULL,
                                          out + at(shape, (size_t)p, k), shape->spatial, a + channel, b + channel,
                                          c + channel, rest_of(shape));
        }
}
