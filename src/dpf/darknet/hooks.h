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
#include "../kernels/blocknorm.h"
#include "../kernels/conv.h"
#include "layout.h"
#include "sparse.h"

typedef struct dn_hook {
    struct dn_hooks *owner;
    int layer;                       /* index in net->layers */
    const float *key;                /* the layer's weights pointer: the one thing that never changes */
    dpf_conv *conv;                  /* built at the first forward, rebuilt when the shape changes */
    float *work;                     /* of dpf_block_norm, where the output is in blocks; made with conv */
    const float *pruned;             /* w~ of the pruner, or NULL: the layer runs on its own weights */
    size_t tensor;                   /* of the pruner, where pruned is set */
    dn_sparse sparse;                /* made with conv */
    void (*forward)(layer, network); /* Darknet's own three */
    void (*backward)(layer, network);
    void (*update)(layer, update_args);
} dn_hook;

typedef struct dn_hooks {
    network *net;
    int threads;
    dn_hook *hooks; /* the hooked convolutions, in layer order */
    size_t count;
    size_t first;                 /* the first of them that is ours to convolve */
    dpf_pruner *pruner;           /* borrowed, or NULL */
    uint64_t mask_version;        /* of the masks that the sparse kernels have */
    const float *last_pruned_key; /* the last prunable layer: when it is updated, all are */
    dpf_error error;              /* the first thing that went wrong inside a callback */
    dn_layout layout;             /* all plain unless dn_hooks_block was called */
    int dense_kernels;            /* 1: pruned layers run on dense kernels, too */
    dn_sparse_memory memory;
    struct dn_hooks *next;
} dn_hooks;

/* Replaces the function pointers of every layer we do better and registers `hooks`
 * (the caller's storage, zeroed, with net and threads set). */
dpf_status dn_hooks_attach(dn_hooks *hooks, dpf_error *err);

/* Keeps outputs and gradients between our layers in blocks of 16 channels where nothing
 * else reads them (layout.h). Call before the first forward pass; dn_layout_place again
 * after Darknet has resized the network. */
dpf_status dn_hooks_block(dn_hooks *hooks, dpf_error *err);

/* The layout of the network that a callback got; NULL: all plain. */
const dn_layout *dn_hooks_layout(const network *net);

/* Where layer `index` in training leaves its batch normalisation to the shortcut behind it (dn_layout_joined): 1, and
 * what there is to do. */
int dn_hooks_left_norm(const network *net, int index, dpf_block_norm *norm);

/* 1: nobody needs the zeros that Darknet is about to write into n floats at x. */
int dn_hooks_skip_zeros(const float *x, int n);

/* 1: the layer runs on our convolution. */
int dn_hooks_convolves(const layer *l);

/* From now on tensor i of the pruner stands for the weights of hooks->hooks[which[i]]. */
void dn_hooks_prune(dn_hooks *hooks, dpf_pruner *pruner, const size_t *which);

/* New masks, or new shapes: chooses which blocked layers are in lanes of pictures (lanes.c) and gives every
 * layer's sparse kernels their mask. */
dpf_status dn_hooks_choose_kernels(dn_hooks *hooks, dpf_error *err);

/* Unregisters and frees what attach made; the network is about to be freed. */
void dn_hooks_detach(dn_hooks *hooks);

/* Does a shortcut add layers of one shape? */
static inline int dn_shortcut_is_plain(const layer *l) {
    return l->w == l->out_w && l->h == l->out_h && l->c == l->out_c;
}

/* Our versions of Darknet's other layers (layers.c); l.type says which. */
void dn_layers_attach(layer *l);
void dn_layers_set_threads(int threads);

#endif
