/* SPDX-License-Identifier: MIT
 *
 * How the plugin sits in Darknet: each layer of a Darknet network carries pointers to
 * its own forward, backward and update functions, and dn_hooks_attach puts ours
 * there. Darknet's loops then run unchanged. Private to this folder.
 */
#ifndef DPF_DARKNET_HOOKS_H
#define DPF_DARKNET_HOOKS_H

#include <darknet.h>

#include "../core/error.h"
#include "../core/pruner.h"
#include "../kernels/conv.h"

typedef struct dn_hook {
    struct dn_hooks *owner;
    int layer;                       /* index in net->layers */
    const float *key;                /* the layer's weights pointer: the one thing that never changes */
    dpf_conv *conv;                  /* built at the first forward, rebuilt when the shape changes */
    const float *pruned;             /* w~ of the pruner, or NULL: the layer runs on its own weights */
    void (*forward)(layer, network); /* Darknet's own three */
    void (*backward)(layer, network);
    void (*update)(layer, update_args);
} dn_hook;

typedef struct dn_hooks {
    network *net;
    int threads;
    dn_hook *hooks; /* the hooked convolutions, in layer order */
    size_t count;
    dpf_pruner *pruner;           /* borrowed, or NULL */
    const float *last_pruned_key; /* the last prunable layer: when it is updated, all are */
    dpf_error error;              /* the first thing that went wrong inside a callback */
    struct dn_hooks *next;
} dn_hooks;

/* Replaces the function pointers of every layer we do better and registers `hooks`
 * (the caller's storage, zeroed, with net and threads set). */
dpf_status dn_hooks_attach(dn_hooks *hooks, dpf_error *err);

/* From now on tensor i of the pruner stands for the weights of hooks->hooks[which[i]]. */
void dn_hooks_prune(dn_hooks *hooks, dpf_pruner *pruner, const size_t *which);

/* Unregisters and frees what attach made; the network is about to be freed. */
void dn_hooks_detach(dn_hooks *hooks);

/* Our versions of Darknet's other layers (layers.c); l.type says which. */
void dn_layers_attach(layer *l);
void dn_layers_set_threads(int threads);

#endif
