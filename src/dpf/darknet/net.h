/* SPDX-License-Identifier: MIT
 *
 * What a dn_net is made of. Private to this folder.
 */
#ifndef DPF_DARKNET_NET_H
#define DPF_DARKNET_NET_H

#include "hooks.h"

#include "../model/modelfile.h"
#include "adapter.h"

struct dn_net {
    network *net;
    dn_hooks hooks;
    dpf_modelfile model; /* cfg, [dpf] section, and the weights of a .dpf until they are loaded */
    dpf_graph *graph;    /* of the model */
    dpf_pruner *pruner;
    int *tensor_layer; /* layer of each tensor of the pruner */
    size_t tensors;
    int width, height; /* of the network as it is now (random=1 changes it) */
    int threads, quiet, unhooked, dense;
    double found_sparsity; /* see dn_info */
    uint64_t seed;
    float *batch; /* dn_predict's input, mini-batch * inputs floats; made on first use */
};

struct dn_data {
    data d;
};

/* Brings the optimiser, the pruner and the counters to where the state says (state.c). */
dpf_status dn_restore(dn_net *dn, const dpf_state *state, dpf_error *err);

/* The ramp goes on as it was. */
void dn_restore_ramp(dpf_options *options, const dpf_state *state);

/* Is the state of this cfg? To be asked before the cfg is built (state.c). */
dpf_status dn_state_fits(const dn_net *dn, const dpf_state *state, dpf_error *err);

/* The bytes of a .weights file in a memory file that the caller closes (train.c). */
dpf_status dn_serialise(dn_net *dn, int *fd, size_t *size, dpf_error *err);

/* Darknet prints its layer table and notes to stderr. mute returns a descriptor for
 * unmute, which restores stderr; both do nothing when quiet is 0. */
int dn_mute(int quiet);
void dn_unmute(int saved);

/* random=1: gives the network this size, unless it has it (load.c). */
void dn_resize(dn_net *dn, int side);

/* Room for `count` pictures and what is true of each, `inputs` and `truths` floats; the rows
 * are put in one by one, each taken out of a data of one picture, by any thread (load.c). */
dpf_status dn_data_new(dn_data **out, size_t count, int inputs, int truths, dpf_error *err);
void dn_data_put(dn_data *images, size_t i, data one);

/* Darknet's load_weights from memory; header: as in a file. `name` is for messages. */
dpf_status dn_load_memory(dn_net *dn, const void *header, size_t header_size, const float *values, const char *name,
                          dpf_error *err);

#endif
