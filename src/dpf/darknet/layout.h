/* SPDX-License-Identifier: MIT
 *
 * Which of Darknet's buffers hold blocks of 16 channels (nChw16c, see conv.h) instead of
 * Darknet's own order. This is the one place where that is decided:
 *
 *   output and delta of a layer are in blocks exactly when the layer and everything that
 *   reads its output are layers of ours that can work on blocks: convolutional, shortcut,
 *   maxpool, avgpool. A shortcut has one layout for its two inputs and its output, a
 *   maxpool for its input and output. Whatever any other layer reads, the network's
 *   input and its last layer are plain, always. l.x of a convolution with batch_normalize
 *   follows its output; indexes of a maxpool in blocks count pixels of a plane.
 *
 * A layer in blocks may instead be in lanes of pictures (sptrain.h), an order of as many
 * floats that sparse convolutions need not transpose. lanes.c decides that, before the
 * first layer of a forward pass, and it holds until the next one: so where `blocked` is
 * asked, both are meant.
 *
 * A convolution in blocks with batch normalisation and without activation whose output
 * nothing but a shortcut right behind it reads is joined to that: in training the shortcut
 * normalises on its way, the convolution's output and delta are not used, and its backward
 * pass does the shortcut's work.
 *
 * Only forward and backward of our layers read these buffers in between: Darknet's update
 * and files know weights alone.
 *
 * Darknet clears every delta before a forward pass so that backward passes may add to it.
 * The delta of a layer in blocks is not cleared: the reader of its output that comes last
 * in the network is the first to write there in a backward pass, and overwrites it.
 */
#ifndef DPF_DARKNET_LAYOUT_H
#define DPF_DARKNET_LAYOUT_H

#include <darknet.h>

#include "../core/error.h"

enum { DN_BLOCK = 16 };

typedef struct dn_layout {
    int count; /* layers; 0: everything is plain */
    struct dn_layer_layout {
        unsigned char blocked;
        unsigned char lanes;  /* of a blocked layer: 1: in lanes of pictures */
        unsigned char joined; /* a convolution to the shortcut behind it */
        int last_reader;      /* of a blocked layer */
    } * layers;
} dn_layout;

dpf_status dn_layout_plan(dn_layout *layout, network *net, dpf_error *err);
void dn_layout_free(dn_layout *layout);

/* Moves the buffers of blocked layers to aligned memory (a matter of speed alone; where
 * there is none they stay). Their contents are lost. */
void dn_layout_place(const dn_layout *layout, network *net);

static inline int dn_layout_blocked(const dn_layout *layout, int index) {
    return index >= 0 && index < layout->count && layout->layers[index].blocked;
}

static inline int dn_layout_lanes(const dn_layout *layout, int index) {
    return dn_layout_blocked(layout, index) && layout->layers[index].lanes;
}

static inline int dn_layout_joined(const dn_layout *layout, int index) {
    return dn_layout_blocked(layout, index) && layout->layers[index].joined;
}

/* Does layer `by`, in its backward pass, overwrite the delta of layer `index`? */
static inline int dn_layout_sets(const dn_layout *layout, int index, int by) {
    return dn_layout_blocked(layout, index) && layout->layers[index].last_reader == by;
}

#endif
