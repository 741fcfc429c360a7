/* SPDX-License-Identifier: MIT
 *
 * What a training has besides its weights, taken out of a Darknet network and put back:
 * momentum, Adam's moments and counter, masks. (Batch-norm's rolling values are in the
 * .weights file; the network's size under random=1 and all random numbers are functions
 * of seed and iteration.)
 *
 * What must stay true: saving and restoring go through the same list of arrays, so that
 * what one knows the other knows too.
 */
#include "net.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../model/checkpoint.h"
#include "../model/state_cfg.h"

enum { MOST_ARRAYS = DPF_STATE_KIND_END - DPF_STATE_WEIGHT_UPDATES + 1 }; /* a layer */

typedef struct arrays {
    dpf_state_array *list;
    size_t count;
} arrays;

const char *dn_no_state(const dn_net *dn) {
    for (int i = 0; i < dn->net->n; ++i) {
        const LAYER_TYPE type = dn->net->layers[i].type;
        if (type == RNN || type == GRU || type == LSTM || type == CRNN)
            return "recurrent layers remember what no file holds";
        if (dn->graph->layers[i].unusual_load)
            return "dontload, dontsave, numload, dontloadscales or flipped keeps weights out of the .weights file";
    }
    return NULL;
}

static void add(arrays *a, int layer, dpf_state_kind kind, const void *data, size_t count) {
    if (data && count)
        a->list[a->count++] = (dpf_state_array){.kind = kind, .layer = (uint32_t)layer, .count = count, .data = data};
}

static size_t find_tensor(const dn_net *dn, int layer) {
    size_t i = 0;
    while (i < dn->tensors && dn->tensor_layer[i] != layer)
        ++i;
    return i;
}

static void add_layer(arrays *a, const dn_net *dn, int i) {
    const layer *l = &dn->net->layers[i];
    const dpf_graph_layer *counts = &dn->graph->layers[i];
    const size_t tensor = find_tensor(dn, i);
    if (dn->pruner && tensor < dn->tensors)
        add(a, i, DPF_STATE_MASK, dpf_pruner_mask(dn->pruner, tensor), (counts->weights + 63) / 64);
    if (!l->update) /* an optimiser that never runs has no state */
        return;
    add(a, i, DPF_STATE_WEIGHT_UPDATES, l->weight_updates, counts->weights);
    add(a, i, DPF_STATE_BIAS_UPDATES, l->bias_updates, counts->biases);
    add(a, i, DPF_STATE_SCALE_UPDATES, l->scale_updates, counts->bn);
    if (!dn->net->adam)
        return;
    add(a, i, DPF_STATE_WEIGHT_M, l->m, counts->weights);
    add(a, i, DPF_STATE_WEIGHT_V, l->v, counts->weights);
    add(a, i, DPF_STATE_BIAS_M, l->bias_m, counts->biases);
    add(a, i, DPF_STATE_BIAS_V, l->bias_v, counts->biases);
    add(a, i, DPF_STATE_SCALE_M, l->scale_m, counts->bn);
    add(a, i, DPF_STATE_SCALE_V, l->scale_v, counts->bn);
}

/* The arrays of the whole network, in the order of the file. */
static dpf_status list_arrays(arrays *a, const dn_net *dn, dpf_error *err) {
    const size_t room = (size_t)dn->net->n * MOST_ARRAYS;
    *a = (arrays){.list = calloc(room + 1, sizeof *a->list)};
    if (!a->list)
        return dpf_fail_memory(err, room * sizeof *a->list, "the state");
    for (int i = 0; i < dn->net->n; ++i)
        add_layer(a, dn, i);
    return DPF_OK;
}

dpf_status dn_checkpoint(dn_net *dn, const char *weights_path, const dpf_state_figures *figures, dpf_error *err) {
    arrays a = {0};
    int fd = -1;
    size_t size = 0;
    void *bytes = MAP_FAILED;
    dpf_state state = {.figures = *figures, .pruning = dn->pruner != NULL};
    state.figures.iteration = get_current_batch(dn->net);
    state.figures.seen = *dn->net->seen;
    state.figures.steps = (uint64_t)*dn->net->t;
    state.figures.seed = dn->seed;
    state.figures.threads = (uint64_t)dn->threads;
    state.figures.max_batches = (uint64_t)(dn->net->max_batches > 0 ? dn->net->max_batches : 0);
    if (dn->pruner) {
        const dpf_options *o = dpf_pruner_options(dn->pruner);
        dpf_pruner_get_stats(dn->pruner, &state.pruner);
        state.initial_sparsity = o->initial_sparsity;
        state.begin = o->begin;
        state.end = o->end;
    }
    dpf_status status = list_arrays(&a, dn, err);
    if (status == DPF_OK && !(state.cfg = dpf_state_cfg_text(dn->model.cfg, dn->model.section, dn->dense)))
        status = dpf_fail_memory(err, 0, "the cfg");
    if (status == DPF_OK)
        status = dn_serialise(dn, &fd, &size, err);
    if (status == DPF_OK && (bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        status = dpf_fail(err, DPF_ERR_IO, "%s: no memory for a copy of the weights", weights_path);
    state.arrays = a.list;
    state.count = a.count;
    if (status == DPF_OK)
        status = dpf_checkpoint_write(weights_path, bytes, size, &state, err);
    if (bytes != MAP_FAILED)
        munmap(bytes, size);
    if (fd >= 0)
        close(fd);
    dpf_state_free(&state);
    return status;
}

/* A sentence about what does not fit, and the way out. */
static dpf_status unfit(const dpf_error *why, dpf_error *err) {
    return dpf_fail(err, why->status,
                    "the .state file beside the weights does not fit: %.700s; delete it to go on with new momentum and "
                    "masks, or start at iteration 0 with -clear",
                    why->text);
}

dpf_status dn_state_fits(const dn_net *dn, const dpf_state *state, dpf_error *err) {
    dpf_error why;
    dpf_status status = dpf_state_cfg_compare(state->cfg, dn->model.cfg, dn->model.section, dn->dense, &why);
    return status == DPF_OK ? DPF_OK : unfit(&why, err);
}

void dn_restore_ramp(dpf_options *options, const dpf_state *state) {
    options->initial_sparsity =
        state->initial_sparsity < options->sparsity ? state->initial_sparsity : options->sparsity;
    options->end = state->end < options->hold ? (size_t)state->end : options->hold;
    options->begin = state->begin < options->end ? (size_t)state->begin : options->end;
}

/* The masks in the order of the pruner's tensors, which is that of the layers. */
static dpf_status restore_masks(dn_net *dn, const dpf_state *state, dpf_error *err) {
    const uint64_t **masks = calloc(dn->tensors + 1, sizeof *masks);
    if (!masks)
        return dpf_fail_memory(err, dn->tensors * sizeof *masks, "the masks");
    size_t found = 0;
    for (size_t i = 0; i < state->count; ++i)
        if (state->arrays[i].kind == DPF_STATE_MASK && found < dn->tensors)
            masks[found++] = state->arrays[i].data;
    dpf_status status = dpf_pruner_restore(dn->pruner, get_current_batch(dn->net), masks, &state->pruner, err);
    free(masks);
    return status;
}

/* Compares everything before it changes anything. */
static dpf_status check_state(const dn_net *dn, const dpf_state *state, const arrays *a, dpf_error *err) {
    int same = state->count == a->count && state->pruning == (dn->pruner != NULL);
    for (size_t i = 0; i < a->count && same; ++i)
        same = state->arrays[i].kind == a->list[i].kind && state->arrays[i].layer == a->list[i].layer &&
               state->arrays[i].count == a->list[i].count;
    if (!same)
        return dpf_fail(err, DPF_ERR_MISMATCH, "its arrays are not those of this network");
    const size_t now = get_current_batch(dn->net);
    if (state->figures.seen != *dn->net->seen || state->figures.iteration != now)
        return dpf_fail(err, DPF_ERR_MISMATCH, "it is of iteration %llu, the weights are of %zu",
                        (unsigned long long)state->figures.iteration, now);
    return DPF_OK;
}

dpf_status dn_restore(dn_net *dn, const dpf_state *state, dpf_error *err) {
    arrays a;
    dpf_error why;
    dpf_status status = list_arrays(&a, dn, err);
    if (status != DPF_OK)
        return status;
    status = check_state(dn, state, &a, &why);
    if (status == DPF_OK && dn->pruner)
        status = restore_masks(dn, state, &why);
    if (status != DPF_OK) {
        free(a.list);
        return unfit(&why, err);
    }
    for (size_t i = 0; i < a.count; ++i)
        if (a.list[i].kind != DPF_STATE_MASK) /* pointers into the network, which is ours to change */
            memcpy((void *)a.list[i].data, state->arrays[i].data, a.list[i].count * sizeof(float));
    *dn->net->t = (int)state->figures.steps;
    free(a.list);
    return DPF_OK;
}
