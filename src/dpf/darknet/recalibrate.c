/* SPDX-License-Identifier: MIT
 *
 * Batch-norm statistics anew, for a network whose weights were changed after training
 * (pruned): the means and variances that its layers saw in training no longer hold.
 *
 * Each batch of pictures goes through the network once, normalised by its own means and
 * variances as in training, and these are put together over all batches to exactly the
 * mean and the variance of all pictures (not to a running mean, in which the old values
 * fade slowly and the last batch counts most). Layer by layer, each on the new statistics
 * of those before it, would need a pass for every layer; with batches of usual
 * size the difference is far below what the choice of the pictures makes.
 *
 * What must stay true: all else runs as in a test: no dropout, no loss, no update.
 */
#include "net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "interpose.h"

typedef struct norm_layer {
    int layer;
    size_t channels, spatial;
    float *key; /* rolling_mean of the layer: never changes */
    void (*forward)(layer, network);
    double *mean, *squares; /* so far; squares: sum of the squared distances from the mean */
    double count;           /* values a channel so far */
} norm_layer;

struct dn_recalibration {
    dn_net *dn;
    norm_layer *norms;
    size_t count;
    float *input; /* one batch */
};

static dn_recalibration *active; /* one at a time; used by one thread */

/* Adds a batch to what is known: the mean moves by its share, the squares grow by those within the
 * batch and by those of the distance between the two means. */
static void merge(norm_layer *n, const layer *l) {
    const double batch = (double)l->batch * (double)n->spatial, total = n->count + batch;
    for (size_t c = 0; c < n->channels; ++c) {
        const double distance = (double)l->mean[c] - n->mean[c];
        n->squares[c] += (double)l->variance[c] * (batch - 1) + distance * distance * n->count * batch / total;
        n->mean[c] += distance * batch / total;
    }
    n->count = total;
}

static void forward_measured(layer l, network net) {
    for (size_t i = 0; i < active->count; ++i) {
        norm_layer *n = &active->norms[i];
        if (n->key != l.rolling_mean)
            continue;
        net.train = 1; /* of this call alone: it is a copy */
        n->forward(l, net);
        merge(n, &l);
        return;
    }
}

static int has_norm(const layer *l) {
    if (l->type == BATCHNORM)
        return 1;
    return l->batch_normalize && l->rolling_mean &&
           (l->type == CONVOLUTIONAL || l->type == DECONVOLUTIONAL || l->type == CONNECTED);
}

static dpf_status prepare(dn_recalibration *r, dpf_error *err) {
    network *net = r->dn->net;
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        if (!has_norm(l))
            continue;
        norm_layer *n = &r->norms[r->count];
        n->layer = i;
        n->channels = (size_t)l->out_c;
        n->spatial = (size_t)l->out_h * (size_t)l->out_w;
        if ((size_t)net->batch * n->spatial < 2)
            return dpf_fail(err, DPF_ERR_RANGE,
                            "layer %d: one value has no variance: at least two pictures at a time are needed", i);
        n->key = l->rolling_mean;
        n->forward = l->forward;
        n->mean = calloc(n->channels, sizeof *n->mean);
        n->squares = calloc(n->channels, sizeof *n->squares);
        r->count++;
        if (!n->mean || !n->squares)
            return dpf_fail_memory(err, n->channels * 2 * sizeof *n->mean, "batch-norm statistics");
    }
    return DPF_OK;
}

dpf_status dn_recalibrate_start(dn_recalibration **out, dn_net *dn, dpf_error *err) {
    dpf_status status = DPF_OK;
    *out = NULL;
    if (active)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "statistics are being estimated already");
    dn_recalibration *r = calloc(1, sizeof *r);
    if (!r)
        return dpf_fail_memory(err, sizeof *r, "batch-norm statistics");
    const size_t floats = (size_t)dn->net->batch * (size_t)dn->net->inputs;
    r->dn = dn;
    r->norms = calloc((size_t)dn->net->n + 1, sizeof *r->norms);
    r->input = malloc(floats * sizeof *r->input + 1);
    if (!r->norms || !r->input)
        status = dpf_fail_memory(err, floats * sizeof *r->input, "a batch of pictures");
    else
        status = prepare(r, err);
    if (status != DPF_OK) {
        dn_recalibrate_free(r);
        return status;
    }
    for (size_t i = 0; i < r->count; ++i)
        dn->net->layers[r->norms[i].layer].forward = forward_measured;
    active = r;
    *out = r;
    return DPF_OK;
}

size_t dn_recalibrate_layers(const dn_recalibration *r) {
    return r->count;
}

dpf_status dn_recalibrate_add(dn_recalibration *r, const dn_data *images, dpf_error *err) {
    network *net = r->dn->net;
    const size_t inputs = (size_t)net->inputs;
    if (images->d.X.rows != net->batch || (size_t)images->d.X.cols != inputs)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "%d pictures for a batch of %d", images->d.X.rows, net->batch);
    for (int i = 0; i < net->batch; ++i)
        memcpy(r->input + (size_t)i * inputs, images->d.X.vals[i], inputs * sizeof *r->input);
    dn_interpose(!r->dn->unhooked);
    network_predict(net, r->input);
    if (r->dn->hooks.error.status == DPF_OK)
        return DPF_OK;
    if (err)
        *err = r->dn->hooks.error;
    return r->dn->hooks.error.status;
}

dpf_status dn_recalibrate_finish(dn_recalibration *r, dpf_error *err) {
    for (size_t i = 0; i < r->count; ++i) {
        const norm_layer *n = &r->norms[i];
        layer *l = &r->dn->net->layers[n->layer];
        if (n->count < 2)
            return dpf_fail(err, DPF_ERR_ARGUMENT, "no pictures to estimate statistics from");
        for (size_t c = 0; c < n->channels; ++c) {
            const double variance = n->squares[c] / (n->count - 1);
            if (!isfinite(n->mean[c]) || !isfinite(variance))
                return dpf_fail(err, DPF_ERR_NUMERIC, "layer %d: the statistics of channel %zu are not finite",
                                n->layer, c);
            l->rolling_mean[c] = (float)n->mean[c];
            l->rolling_variance[c] = (float)variance;
        }
    }
    return DPF_OK;
}

void dn_recalibrate_free(dn_recalibration *r) {
    if (!r)
        return;
    for (size_t i = 0; i < r->count && r->norms; ++i) {
        if (active == r)
            r->dn->net->layers[r->norms[i].layer].forward = r->norms[i].forward;
        free(r->norms[i].mean);
        free(r->norms[i].squares);
    }
    if (active == r)
        active = NULL;
    free(r->norms);
    free(r->input);
    free(r);
}
