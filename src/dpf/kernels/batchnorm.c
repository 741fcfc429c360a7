/* SPDX-License-Identifier: MIT
 *
 * See batchnorm.h. Channels are shared out among threads; within a channel the order
 * of summation is fixed, so results do not depend on the number of threads.
 */
#include "batchnorm.h"

#include <math.h>

#include "plane.h"

/* Offset of channel c of picture b. */
static size_t at(const dpf_norm *norm, size_t b, size_t c) {
    return (b * norm->channels + c) * norm->spatial;
}

static void channel_statistics(const dpf_norm *norm, const plane_ops *ops, const float *x, size_t c) {
    double n = (double)norm->batch * (double)norm->spatial, sum = 0, squares = 0;
    for (size_t b = 0; b < norm->batch; ++b)
        sum += (double)ops->sum(x + at(norm, b, c), norm->spatial);
    float mean = (float)(sum / n);
    for (size_t b = 0; b < norm->batch; ++b)
        squares += (double)ops->squares(x + at(norm, b, c), norm->spatial, mean);
    float variance = (float)(squares / (n - 1));
    norm->mean[c] = mean;
    norm->variance[c] = variance;
    norm->rolling_mean[c] = 0.99f * norm->rolling_mean[c] + 0.01f * mean;
    norm->rolling_variance[c] = 0.99f * norm->rolling_variance[c] + 0.01f * variance;
}

static void channel_affine(const dpf_norm *norm, const plane_ops *ops, const float *x, float *y, size_t c, float mean,
                           float variance) {
    float a = norm->scales[c] / (sqrtf(variance) + 0.000001f);
    float shift = norm->biases[c] - mean * a;
    for (size_t b = 0; b < norm->batch; ++b)
        ops->affine(x + at(norm, b, c), y + at(norm, b, c), norm->spatial, a, shift, norm->activation);
}

void dpf_norm_forward_train(const dpf_norm *norm, const float *x, float *y) {
    const plane_ops *ops = dpf_plane_ops();
#pragma omp parallel for num_threads(norm->threads) schedule(static)
    for (size_t c = 0; c < norm->channels; ++c) {
        channel_statistics(norm, ops, x, c);
        channel_affine(norm, ops, x, y, c, norm->mean[c], norm->variance[c]);
    }
}

void dpf_norm_forward(const dpf_norm *norm, const float *x, float *y) {
    const plane_ops *ops = dpf_plane_ops();
#pragma omp parallel for num_threads(norm->threads) schedule(static)
    for (size_t c = 0; c < norm->channels; ++c) {
        if (norm->scales) {
            channel_affine(norm, ops, x, y, c, norm->rolling_mean[c], norm->rolling_variance[c]);
            continue;
        }
        for (size_t b = 0; b < norm->batch; ++b)
            ops->affine(x + at(norm, b, c), y + at(norm, b, c), norm->spatial, 1, norm->biases[c], norm->activation);
    }
}

void dpf_norm_backward(const dpf_norm *norm, const float *x, const float *y, float *delta) {
    const plane_ops *ops = dpf_plane_ops();
    const float n = (float)norm->batch * (float)norm->spatial;
#pragma omp parallel for num_threads(norm->threads) schedule(static)
    for (size_t c = 0; c < norm->channels; ++c) {
        float mean = norm->scales ? norm->mean[c] : 0;
        double sum = 0, product = 0; /* of the gradient behind the activation; of it with x - mean */
        for (size_t b = 0; b < norm->batch; ++b) {
            float sums[2];
            ops->gradient(delta + at(norm, b, c), y + at(norm, b, c), norm->scales ? x + at(norm, b, c) : NULL,
                          norm->spatial, mean, norm->activation, sums);
            sum += (double)sums[0];
            product += (double)sums[1];
        }
        norm->bias_updates[c] += (float)sum;
        if (!norm->scales)
            continue;
        float variance = norm->variance[c], scale = norm->scales[c];
        norm->scale_updates[c] += (float)product / (sqrtf(variance) + 0.000001f);
        float inverse = 1.0f / sqrtf(variance + 0.00001f);
        float mean_delta = -(float)sum * scale * inverse;
        float variance_delta = -0.5f * inverse * inverse * inverse * (float)product * scale;
        for (size_t b = 0; b < norm->batch; ++b)
            ops->normalise_gradient(delta + at(norm, b, c), x + at(norm, b, c), norm->spatial, mean, scale * inverse,
                                    2.0f * variance_delta / n, mean_delta / n);
    }
}
