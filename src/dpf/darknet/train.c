/* SPDX-License-Identifier: MIT
 *
 * One iteration of training, forward passes, and saving: Darknet's own functions,
 * with the checks that they lack.
 */
#include "net.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../model/file.h"
#include "interpose.h"
#include "random.h"

void dn_get_info(const dn_net *dn, dn_info *out) {
    const network *net = dn->net;
    *out = (dn_info){
        .width = net->w,
        .height = net->h,
        .channels = net->c,
        .inputs = net->inputs,
        .outputs = net->outputs,
        .batch = net->batch,
        .subdivisions = net->subdivisions,
        .max_batches = (size_t)(net->max_batches > 0 ? net->max_batches : 0),
        .learning_rate = (double)net->learning_rate,
        .momentum = (double)net->momentum,
        .decay = (double)net->decay,
        .layers = net->n,
        .random = net->random,
        .pruning = dn->pruner != NULL,
        .threads = dn->threads,
        .found_sparsity = dn->found_sparsity,
    };
}

size_t dn_iteration(const dn_net *dn) {
    return get_current_batch(dn->net);
}

size_t dn_seen(const dn_net *dn) {
    return *dn->net->seen;
}

double dn_rate(const dn_net *dn) {
    return (double)get_current_rate(dn->net);
}

const dpf_pruner *dn_pruner(const dn_net *dn) {
    return dn->pruner;
}

const dpf_graph *dn_graph(const dn_net *dn) {
    return dn->graph;
}

int dn_tensor_layer(const dn_net *dn, size_t tensor) {
    return dn->tensor_layer[tensor];
}

/* Names the first convolution whose weights are not finite. */
static dpf_status numeric_failure(const dn_net *dn, float loss, dpf_error *err) {
    for (int i = 0; i < dn->net->n; ++i) {
        const layer *l = &dn->net->layers[i];
        for (int k = 0; l->weights && l->type == CONVOLUTIONAL && k < l->nweights; ++k)
            if (!isfinite(l->weights[k]))
                return dpf_fail(err, DPF_ERR_NUMERIC,
                                "training diverged at iteration %zu: layer %d (convolutional) has weight %d = %f; "
                                "a lower learning_rate or a longer burn_in may help",
                                get_current_batch(dn->net), i, k, (double)l->weights[k]);
    }
    return dpf_fail(err, DPF_ERR_NUMERIC,
                    "training diverged at iteration %zu: the loss is %f; a lower learning_rate or a longer burn_in "
                    "may help",
                    get_current_batch(dn->net), (double)loss);
}

dpf_status dn_train(dn_net *dn, dn_data *images, float *loss, dpf_error *err) {
    int want = dn->net->batch * dn->net->subdivisions;
    if (images->d.X.rows != want)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "an iteration takes %d pictures, not %d", want, images->d.X.rows);
    dn_random_set(dn->seed, DN_STREAM_TRAIN, get_current_batch(dn->net), 0);
    dn_interpose(!dn->unhooked);
    *loss = train_network(dn->net, images->d);
    if (dn->hooks.error.status != DPF_OK) {
        if (err)
            *err = dn->hooks.error;
        return dn->hooks.error.status;
    }
    return isfinite(*loss) ? DPF_OK : numeric_failure(dn, *loss, err);
}

dpf_status dn_predict(dn_net *dn, const dn_data *images, float *output, dpf_error *err) {
    network *net = dn->net;
    size_t in = (size_t)net->inputs, out = (size_t)net->outputs, batch = (size_t)net->batch;
    size_t rows = (size_t)images->d.X.rows;
    if (rows && (size_t)images->d.X.cols != in)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "pictures of %d floats for a network of %zu", images->d.X.cols, in);
    if (!dn->batch)
        dn->batch = calloc(batch * in, sizeof *dn->batch);
    if (!dn->batch)
        return dpf_fail_memory(err, batch * in * sizeof *dn->batch, "a batch of pictures");
    dn_interpose(!dn->unhooked);
    for (size_t first = 0; first < rows; first += batch) {
        size_t here = rows - first < batch ? rows - first : batch;
        for (size_t i = 0; i < here; ++i)
            memcpy(dn->batch + i * in, images->d.X.vals[first + i], in * sizeof *dn->batch);
        const float *result = network_predict(net, dn->batch);
        if (dn->hooks.error.status != DPF_OK) {
            if (err)
                *err = dn->hooks.error;
            return dn->hooks.error.status;
        }
        memcpy(output + first * out, result, here * out * sizeof *output);
    }
    return DPF_OK;
}

/* Puts the pruned weights (w~) in the place of the dense ones, or back: swapping twice
 * restores. Only pointers move. */
static void swap_pruned(dn_net *dn, float **kept) {
    for (size_t i = 0; i < dn->tensors; ++i) {
        float **weights = &dn->net->layers[dn->tensor_layer[i]].weights;
        float *now = *weights;
        *weights = kept[i];
        kept[i] = now;
    }
}

/* Darknet's save_weights into memory: it does not check its writes, memory does not fill up unseen. */
dpf_status dn_serialise(dn_net *dn, int *fd, size_t *size, dpf_error *err) {
    char path[64];
    struct stat info;
    *fd = memfd_create("weights", MFD_CLOEXEC);
    if (*fd < 0)
        return dpf_fail(err, DPF_ERR_IO, "no memory for a copy of the weights");
    snprintf(path, sizeof path, "/proc/self/fd/%d", *fd);
    int saved = dn_mute(1);
    save_weights(dn->net, path);
    dn_unmute(saved);
    if (fstat(*fd, &info) != 0 || info.st_size < 20)
        return dpf_fail(err, DPF_ERR_IO, "no memory for a copy of the weights");
    *size = (size_t)info.st_size;
    return DPF_OK;
}

dpf_status dn_save(dn_net *dn, const char *path, int pruned, dpf_error *err) {
    float **kept = NULL;
    int fd = -1;
    size_t size = 0;
    if (pruned && dn->tensors) {
        kept = calloc(dn->tensors, sizeof *kept);
        if (!kept)
            return dpf_fail_memory(err, dn->tensors * sizeof *kept, "saving");
        for (size_t i = 0; i < dn->tensors; ++i)
            kept[i] = (float *)dpf_pruner_pruned(dn->pruner, i); /* only read while it stands in */
        swap_pruned(dn, kept);
    }
    dpf_status status = dn_serialise(dn, &fd, &size, err);
    if (kept)
        swap_pruned(dn, kept);
    free(kept);
    if (status == DPF_OK) {
        void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            status = dpf_fail(err, DPF_ERR_IO, "%s: no memory for a copy of the weights", path);
        } else {
            status = dpf_file_replace(path, bytes, size, err);
            munmap(bytes, size);
        }
    }
    if (fd >= 0)
        close(fd);
    return status;
}
