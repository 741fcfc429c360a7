/* SPDX-License-Identifier: MIT
 *
 * What a dn_net is made of. Private to this folder.
 */
#ifndef DPF_DARKNET_NET_H
#define DPF_DARKNET_NET_H

#include "hooks.h"

#include "../model/graph.h"
#include "adapter.h"

struct dn_net {
    network *net;
    dn_hooks hooks;
    dpf_cfg *cfg, *dpf_cfg; /* dpf_cfg: of -dpf FILE, or NULL */
    dpf_graph *graph;
    dpf_pruner *pruner;
    int *tensor_layer; /* layer of each tensor of the pruner */
    size_t tensors;
    int width, height; /* of the network as it is now (random=1 changes it) */
    int threads, quiet, unhooked;
    uint64_t seed;
    float *batch; /* dn_predict's input, mini-batch * inputs floats; made on first use */
};

struct dn_data {
    data d;
};

/* Darknet prints its layer table and notes to stderr. mute returns a descriptor for
 * unmute, which restores stderr; both do nothing when quiet is 0. */
int dn_mute(int quiet);
void dn_unmute(int saved);

#endif
