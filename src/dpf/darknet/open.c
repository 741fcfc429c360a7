/* SPDX-License-Identifier: MIT
 *
 * Opens a cfg and its weights as a Darknet network with our hooks in it.
 *
 * What must stay true: everything that can be wrong with the files is found before
 * Darknet's parser sees them, because that one exits, or goes on silently; and no
 * file is left behind, because the cfg that Darknet reads ([dpf] taken out) lives in
 * memory only.
 */
#include "net.h"

#include <cblas.h>
#include <fcntl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../core/schedule.h"
#include "../model/weights.h"
#include "random.h"

int dn_mute(int quiet) {
    if (!quiet)
        return -1;
    int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (saved >= 0 && null >= 0)
        dup2(null, STDERR_FILENO);
    if (null >= 0)
        close(null);
    return saved;
}

void dn_unmute(int saved) {
    if (saved < 0)
        return;
    dup2(saved, STDERR_FILENO);
    close(saved);
}

/* The cfg text for Darknet; batch > 0 stands in for the cfg's batch and subdivisions
 * (Darknet takes the first of two equal keys). */
static char *darknet_text(const dpf_cfg *cfg, int batch) {
    char *text = dpf_cfg_for_darknet(cfg);
    if (!text || batch <= 0)
        return text;
    char *end = strchr(text, '\n'), *result = NULL;
    if (end && asprintf(&result, "%.*s\nbatch=%d\nsubdivisions=1%s", (int)(end - text), text, batch, end) < 0)
        result = NULL;
    free(text);
    return result;
}

static dpf_status parse(dn_net *dn, const dn_open_args *args, dpf_error *err) {
    char *text = darknet_text(dn->model.cfg, args->batch);
    if (!text)
        return dpf_fail_memory(err, 0, "the cfg");
    int fd = memfd_create("cfg", MFD_CLOEXEC);
    size_t length = strlen(text);
    ssize_t written = fd < 0 ? -1 : write(fd, text, length);
    free(text);
    if (written != (ssize_t)length) {
        if (fd >= 0)
            close(fd);
        return dpf_fail(err, DPF_ERR_IO, "%s: cannot hand the cfg to Darknet's parser", args->cfg_path);
    }
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int saved = dn_mute(args->quiet);
    dn_random_set(args->seed, DN_STREAM_WEIGHTS, 0, 0);
    dn->net = parse_network_cfg(path);
    close(fd);
    dpf_status status = DPF_OK;
    if (args->weights_path)
        load_weights(dn->net, (char *)args->weights_path);
    else if (dn->model.weights.values)
        status = dn_load_memory(dn, dn->model.weights.header_bytes, dn->model.weights.header.size,
                                dn->model.weights.values, args->cfg_path, err);
    dpf_weights_free(&dn->model.weights); /* a second copy of what the network now holds */
    dn_unmute(saved);
    if (args->clear)
        *dn->net->seen = 0;
    return status;
}

/* Darknet's loaders make three colours of every picture, and copy them into the network's
 * input whatever its size. */
static dpf_status check_channels(const dn_net *dn, const dn_open_args *args, dpf_error *err) {
    const dpf_section *net = &dn->model.cfg->sections[0];
    const dpf_key *key = dpf_section_find(net, "channels");
    if (dn->graph->channels == 3)
        return DPF_OK;
    return dpf_fail(err, DPF_ERR_RANGE,
                    "%s:%d: [%s] channels=%d: must be 3, for Darknet loads every picture in colour, also grey ones",
                    args->cfg_path, key ? key->line : net->line, net->type, dn->graph->channels);
}

/* Reads and checks what Darknet would not. */
static dpf_status check(dn_net *dn, const dn_open_args *args, dpf_error *err) {
    dpf_status status = dpf_modelfile_open(&dn->model, args->cfg_path, args->dpf_path, err);
    dn->graph = dn->model.graph;
    if (status == DPF_OK)
        status = check_channels(dn, args, err);
    if (status == DPF_OK)
        status = dpf_graph_check_stock(dn->graph, args->train && !args->force, err);
    if (status == DPF_OK && args->weights_path)
        status = dpf_weights_check(dn->graph, args->weights_path, err);
    if (status == DPF_OK && args->state)
        status = dn_state_fits(dn, args->state, err);
    return status;
}

/* Weights that were saved pruned have lost what the mask had hidden. A ramp that began below
 * the zeros they have would let noise grow where nothing was and prune it again: it begins
 * at what is there. Dense weights have next to no zeros. */
static void start_at_zeros(dn_net *dn, dpf_options *options, const dpf_tensor *tensors) {
    size_t zeros = 0, total = 0, now = get_current_batch(dn->net), update = 0;
    for (size_t i = 0; i < dn->tensors; ++i) {
        total += tensors[i].count;
        for (size_t k = 0; k < tensors[i].count; ++k)
            zeros += tensors[i].weights[k] == 0;
    }
    double found = total ? (double)zeros / (double)total : 0;
    dpf_schedule_last_update(options, now, &update);
    if (found < 0.01 || found <= dpf_schedule_target(options, options->sparsity, update))
        return;
    dn->found_sparsity = found;
    options->initial_sparsity = found < options->sparsity ? found : options->sparsity;
    if (now < options->begin) /* an update point, so that the very first mask has it */
        options->begin = now - now % options->update_every;
}

static dpf_status attach_pruner(dn_net *dn, const dn_open_args *args, dpf_error *err) {
    dpf_options options;
    dpf_status status = dpf_graph_options(dn->graph, &options, err);
    if (status != DPF_OK)
        return status;
    size_t room = dn->hooks.count + 1;
    dpf_tensor *tensors = calloc(room, sizeof *tensors);
    size_t *which = calloc(room, sizeof *which);
    char(*names)[64] = calloc(room, sizeof *names);
    dn->tensor_layer = calloc(room, sizeof *dn->tensor_layer);
    if (!tensors || !which || !names || !dn->tensor_layer) {
        status = dpf_fail_memory(err, room * sizeof *tensors, "the pruner");
        goto done;
    }
    for (size_t i = 0; i < dn->hooks.count; ++i) {
        int index = dn->hooks.hooks[i].layer;
        const dpf_graph_layer *layer = &dn->graph->layers[index];
        if (!layer->prunable)
            continue;
        snprintf(names[dn->tensors], sizeof *names, "layer %d (convolutional)", index);
        tensors[dn->tensors] = (dpf_tensor){.name = names[dn->tensors],
                                            .weights = dn->net->layers[index].weights,
                                            .count = layer->weights,
                                            .sparsity = layer->sparsity};
        which[dn->tensors] = i;
        dn->tensor_layer[dn->tensors++] = index;
    }
    if (dn->tensors == 0)
        status = dpf_fail(err, DPF_ERR_RANGE,
                          "%s:%d: [dpf] has nothing to prune: no convolutional layer of this cfg is prunable; "
                          "prune=1 in a layer's section makes it so",
                          dn->graph->dpf_file, dn->graph->dpf_line);
    if (args->state)
        dn_restore_ramp(&options, args->state);
    else if (args->weights_path || dn->model.packed)
        start_at_zeros(dn, &options, tensors);
    dpf_error why;
    if (status == DPF_OK && dpf_pruner_new(&dn->pruner, &options, tensors, dn->tensors, &why) != DPF_OK)
        status = dpf_fail(err, why.status, "%s:%d: [dpf] %.900s", dn->graph->dpf_file, dn->graph->dpf_line, why.text);
    if (status == DPF_OK && !args->state)
        status = dpf_pruner_start(dn->pruner, get_current_batch(dn->net), err);
    if (status == DPF_OK)
        dn_hooks_prune(&dn->hooks, dn->pruner, which);
done:
    free(tensors);
    free(which);
    free(names);
    return status;
}

dpf_status dn_open(dn_net **out, const dn_open_args *args, dpf_error *err) {
    *out = NULL;
    dn_net *dn = calloc(1, sizeof *dn);
    if (!dn)
        return dpf_fail_memory(err, sizeof *dn, "a network");
    dn->threads = args->threads > 0 ? args->threads : omp_get_num_procs();
    dn->seed = args->seed;
    dn->quiet = args->quiet;
    dn->unhooked = args->unhooked;
    dn->dense = args->dense;
    omp_set_num_threads(dn->threads);
    openblas_set_num_threads(dn->threads);
    dpf_status status = check(dn, args, err);
    if (status == DPF_OK)
        status = parse(dn, args, err);
    if (status != DPF_OK)
        goto fail;
    dn->width = dn->net->w;
    dn->height = dn->net->h;
    dn->hooks.net = dn->net;
    dn->hooks.threads = dn->threads;
    dn->hooks.dense_kernels = args->dense_kernels;
    if (!args->unhooked)
        status = dn_hooks_attach(&dn->hooks, err);
    if (!args->unhooked && status == DPF_OK)
        status = dn_hooks_block(&dn->hooks, err);
    if (status == DPF_OK && args->train && !args->dense && dn->graph->has_dpf && !args->unhooked)
        status = attach_pruner(dn, args, err);
    if (status == DPF_OK && args->state)
        status = dn_restore(dn, args->state, err);
    if (status != DPF_OK)
        goto fail;
    *out = dn;
    return DPF_OK;
fail:
    dn_close(dn);
    return status;
}

void dn_close(dn_net *dn) {
    if (!dn)
        return;
    dn_hooks_detach(&dn->hooks);
    if (dn->net)
        free_network(dn->net);
    dpf_pruner_free(dn->pruner);
    dpf_modelfile_free(&dn->model);
    free(dn->tensor_layer);
    free(dn->batch);
    free(dn);
}
