/* SPDX-License-Identifier: MIT
 *
 * See blocknorm.h. A tensor is `items` (pictures, or 16 pictures in lanes) of `runs` (16
 * channels, or one), each of them PLANE_LANES x spatial floats. work holds for each item
 * two arrays of sums, a lane of each run, then three coefficients for each lane of each
 * run: a, b, c.
 */
#include "blocknorm.h"

#include <math.h>

#include "plane.h"

enum { COEFFICIENTS = 3 };

size_t dpf_block_norm_work(size_t batch, size_t channels) {
    return (2 * batch + COEFFICIENTS * PLANE_LANES) * channels;
}

static size_t runs_of(const dpf_block_norm *norm) {
    return norm->lanes ? norm->norm.channels : norm->norm.channels / PLANE_LANES;
}

/* Items that hold so many pictures. */
static size_t items_in(const dpf_block_norm *norm, int pictures) {
    return norm->lanes ? (size_t)pictures / PLANE_LANES : (size_t)pictures;
}

static float *sums_of(const dpf_block_norm *norm, size_t item, int which) {
    return norm->work + (2 * item + (size_t)which) * runs_of(norm) * PLANE_LANES;
}

/* The sum of one channel of one picture. */
static double sum_at(const dpf_block_norm *norm, size_t picture, int which, size_t c) {
    if (norm->lanes)
        return (double)sums_of(norm, picture / PLANE_LANES, which)[c * PLANE_LANES + picture % PLANE_LANES];
    return (double)sums_of(norm, picture, which)[c];
}

static float *coefficient(const dpf_block_norm *norm, int which) {
    return norm->work + 2 * norm->norm.batch * norm->norm.channels + (size_t)which * runs_of(norm) * PLANE_LANES;
}

static void set_coefficient(const dpf_block_norm *norm, int which, size_t c, float value) {
    size_t times = norm->lanes ? PLANE_LANES : 1;
    for (size_t i = 0; i < times; ++i)
        coefficient(norm, which)[c * times + i] = value;
}

/* Offset of a run of an item. */
static size_t at(const dpf_block_norm *norm, size_t item, size_t run) {
    return (item * runs_of(norm) + run) * PLANE_LANES * norm->norm.spatial;
}

void dpf_block_norm_statistics(const dpf_block_norm *norm, int first, int count, int threads, const float *x) {
    const plane_ops *ops = dpf_plane_ops();
    size_t runs = runs_of(norm), items = items_in(norm, count), before = items_in(norm, first);
#pragma omp parallel for collapse(2) num_threads(threads) if (threads > 1) schedule(static)
    for (size_t i = 0; i < items; ++i)
        for (size_t k = 0; k < runs; ++k)
            ops->block_statistics(x + at(norm, i, k), norm->norm.spatial,
                                  sums_of(norm, before + i, 0) + k * PLANE_LANES,
                                  sums_of(norm, before + i, 1) + k * PLANE_LANES);
}

/* Mean and variance of the batch from those of its pictures. */
static void merge_statistics(const dpf_block_norm *norm, size_t c) {
    const dpf_norm *shape = &norm->norm;
    double pixels = (double)shape->spatial, n = (double)shape->batch * pixels, sum = 0, squares = 0;
    for (size_t p = 0; p < shape->batch; ++p)
        sum += sum_at(norm, p, 0, c);
    for (size_t p = 0; p < shape->batch; ++p) {
        double off = sum_at(norm, p, 0, c) / pixels - sum / n;
        squares += sum_at(norm, p, 1, c) + pixels * off * off;
    }
    shape->mean[c] = (float)(sum / n);
    shape->variance[c] = (float)(squares / (n - 1));
    shape->rolling_mean[c] = 0.99f * shape->rolling_mean[c] + 0.01f * shape->mean[c];
    shape->rolling_variance[c] = 0.99f * shape->rolling_variance[c] + 0.01f * shape->variance[c];
}

static void affine_coefficients(const dpf_block_norm *norm, const float *mean, const float *variance) {
    const dpf_norm *shape = &norm->norm;
    for (size_t c = 0; c < shape->channels; ++c) {
        float a = shape->scales ? shape->scales[c] / (sqrtf(variance[c]) + 0.000001f) : 1;
        set_coefficient(norm, 0, c, a);
        set_coefficient(norm, 1, c, shape->biases[c] - (shape->scales ? mean[c] * a : 0));
    }
}

/* y = f(a * x + b) on count pictures. */
static void affine(const dpf_block_norm *norm, int count, int threads, const float *x, float *y) {
    const plane_ops *ops = dpf_plane_ops();
    const dpf_norm *shape = &norm->norm;
    const float *a = coefficient(norm, 0), *b = coefficient(norm, 1);
    size_t runs = runs_of(norm), items = items_in(norm, count);
    int known = plane_block_knows(shape->activation);
#pragma omp parallel for collapse(2) num_threads(threads) if (threads > 1) schedule(static)
    for (size_t i = 0; i < items; ++i)
        for (size_t k = 0; k < runs; ++k) {
            size_t from = at(norm, i, k);
            ops->block_affine(x + from, y + from, shape->spatial, a + k * PLANE_LANES, b + k * PLANE_LANES,
                              known ? shape->activation : DPF_LINEAR_ACT);
            if (!known)
                ops->affine(y + from, y + from, shape->spatial * PLANE_LANES, 1, 0, shape->activation);
        }
}

void dpf_block_norm_merge(const dpf_block_norm *norm) {
    for (size_t c = 0; c < norm->norm.channels; ++c)
        merge_statistics(norm, c);
    affine_coefficients(norm, norm->norm.mean, norm->norm.variance);
}

void dpf_block_norm_shortcut(const dpf_block_norm *norm, const float *z, dpf_activation f, float *y) {
    const plane_ops *ops = dpf_plane_ops();
    const dpf_norm *shape = &norm->norm;
    const float *a = coefficient(norm, 0), *b = coefficient(norm, 1);
    size_t runs = runs_of(norm), items = items_in(norm, (int)shape->batch);
#pragma omp parallel for collapse(2) num_threads(shape->threads) schedule(static)
    for (size_t i = 0; i < items; ++i)
        for (size_t k = 0; k < runs; ++k) {
            size_t from = at(norm, i, k), lanes = k * PLANE_LANES;
            if (z)
                ops->block_affine_add(norm->x + from, z + from, y + from, shape->spatial, a + lanes, b + lanes, f);
            else
                ops->block_affine(norm->x + from, y + from, shape->spatial, a + lanes, b + lanes, f);
        }
}

void dpf_block_norm_forward_train(const dpf_block_norm *norm, float *y) {
    dpf_block_norm_merge(norm);
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
        sum += sum_at(norm, p, 0, c);
        product += sum_at(norm, p, 1, c);
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
    set_coefficient(norm, 0, c, scale * inverse);
    set_coefficient(norm, 1, c, slope);
    set_coefficient(norm, 2, c, mean_delta / n - slope * shape->mean[c]);
}

/* What is left of the activation once dpf_block_norm_backward has changed delta. */
static dpf_activation rest_of(const dpf_norm *norm) {
    return plane_block_knows(norm->activation) ? norm->activation : DPF_LINEAR_ACT;
}

/* The mean for each lane, in the place of a coefficient as long as there are none. */
static const float *means(const dpf_block_norm *norm) {
    for (size_t c = 0; c < norm->norm.channels; ++c)
        set_coefficient(norm, 0, c, norm->norm.scales ? norm->norm.mean[c] : 0);
    return coefficient(norm, 0);
}

void dpf_block_norm_shortcut_backward(const dpf_block_norm *norm, const float *delta, const float *y, dpf_activation f,
                                      float *more) {
    const plane_ops *ops = dpf_plane_ops();
    const dpf_norm *shape = &norm->norm;
    const float *mean = means(norm);
    float *to = (float *)norm->delta;
    size_t runs = runs_of(norm), items = items_in(norm, (int)shape->batch);
#pragma omp parallel for collapse(2) num_threads(shape->threads) schedule(static)
    for (size_t i = 0; i < items; ++i)
        for (size_t k = 0; k < runs; ++k) {
            size_t from = at(norm, i, k), lanes = k * PLANE_LANES;
            ops->block_gradient_to(delta + from, y + from, norm->x + from, to + from, more ? more + from : NULL,
                                   shape->spatial, mean + lanes, f, sums_of(norm, i, 0) + lanes,
                                   sums_of(norm, i, 1) + lanes);
        }
    for (size_t c = 0; c < shape->channels; ++c)
        merge_gradient(norm, c);
}

void dpf_block_norm_backward(const dpf_block_norm *norm, float *delta) {
    const plane_ops *ops = dpf_plane_ops();
    const dpf_norm *shape = &norm->norm;
    const float *mean = means(norm); /* without x it is not looked at */
    size_t runs = runs_of(norm), items = items_in(norm, (int)shape->batch);
#pragma omp parallel for collapse(2) num_threads(shape->threads) schedule(static)
    for (size_t i = 0; i < items; ++i)
        for (size_t k = 0; k < runs; ++k) {
            size_t from = at(norm, i, k), lanes = k * PLANE_LANES;
            float unused[2];
            if (!plane_block_knows(shape->activation))
                ops->gradient(delta + from, norm->y + from, NULL, shape->spatial * PLANE_LANES, 0, shape->activation,
                              unused);
            ops->block_gradient(delta + from, norm->y + from, shape->scales ? norm->x + from : NULL, shape->spatial,
                                mean + lanes, rest_of(shape), sums_of(norm, i, 0) + lanes, sums_of(norm, i, 1) + lanes);
        }
    for (size_t c = 0; c < shape->channels; ++c)
        merge_gradient(norm, c);
}

void dpf_block_norm_gradient(const dpf_block_norm *norm, int first, int count, int threads, float *out) {
    const plane_ops *ops = dpf_plane_ops();
    const dpf_norm *shape = &norm->norm;
    const float *a = coefficient(norm, 0), *b = coefficient(norm, 1), *c = coefficient(norm, 2);
    size_t runs = runs_of(norm), items = items_in(norm, count), before = items_in(norm, first);
#pragma omp parallel for collapse(2) num_threads(threads) if (threads > 1) schedule(static)
    for (size_t i = 0; i < items; ++i)
        for (size_t k = 0; k < runs; ++k) {
            size_t from = at(norm, before + i, k), lanes = k * PLANE_LANES;
            ops->block_normalise_gradient(norm->delta + from, norm->y + from, shape->scales ? norm->x + from : NULL,
                                          out + at(norm, i, k), shape->spatial, a + lanes, b + lanes, c + lanes,
                                          rest_of(shape));
        }
}
