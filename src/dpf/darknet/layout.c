/* SPDX-License-Identifier: MIT
 *
 * See layout.h. Every layer of ours with full blocks starts as a candidate; then the
 * rules strike out layers until none is broken.
 */
#include "layout.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "../kernels/plane.h"
#include "hooks.h"

static int candidate(const layer *l) {
    if (l->out_c % DN_BLOCK != 0 || l->truth || !l->delta)
        return 0;
    return dn_hooks_convolves(l) || l->type == MAXPOOL || (l->type == SHORTCUT && l->c % DN_BLOCK == 0);
}

/* Two layers of one layout. Returns 1 if that changed something. */
static int equal(dn_layout *layout, int a, int b) {
    if (layout->layers[a].blocked == layout->layers[b].blocked)
        return 0;
    layout->layers[a].blocked = layout->layers[b].blocked = 0;
    return 1;
}

static int make_plain(dn_layout *layout, int index) {
    int change = layout->layers[index].blocked;
    layout->layers[index].blocked = 0;
    return change;
}

/* Applies the rules for what layer j reads. Returns 1 if that changed something. */
static int strike(dn_layout *layout, const network *net, int j) {
    const layer *l = &net->layers[j];
    int change = 0;
    if (l->type == ROUTE) { /* does not read the layer before it */
        for (int k = 0; k < l->n; ++k)
            change |= make_plain(layout, l->input_layers[k]);
        return change;
    }
    if (l->type == SHORTCUT)
        change |= equal(layout, l->index, j) | equal(layout, j - 1, j);
    else if (l->type == MAXPOOL)
        change |= equal(layout, j - 1, j);
    else if (!dn_hooks_convolves(l) && l->type != AVGPOOL)
        change |= make_plain(layout, j - 1);
    return change;
}

static void find_last_readers(dn_layout *layout, const network *net) {
    for (int j = 1; j < net->n; ++j) {
        layout->layers[j - 1].last_reader = j; /* a shortcut further on comes later in this loop */
        if (net->layers[j].type == SHORTCUT)
            layout->layers[net->layers[j].index].last_reader = j;
    }
}

static void join(dn_layout *layout, const network *net) {
    for (int j = 1; j < net->n; ++j) {
        const layer *l = &net->layers[j - 1], *s = &net->layers[j];
        int fits = l->type == CONVOLUTIONAL && l->batch_normalize && l->activation == LINEAR && s->type == SHORTCUT &&
                   s->index != j - 1 && plane_block_knows((dpf_activation)s->activation);
        layout->layers[j - 1].joined = fits && layout->layers[j - 1].blocked &&
                                       layout->layers[j - 1].last_reader == j && s->alpha == 1 && s->beta == 1;
    }
}

dpf_status dn_layout_plan(dn_layout *layout, network *net, dpf_error *err) {
    layout->layers = calloc((size_t)net->n, sizeof *layout->layers);
    if (!layout->layers)
        return dpf_fail_memory(err, (size_t)net->n * sizeof *layout->layers, "the layout");
    layout->count = net->n;
    for (int i = 0; i < net->n; ++i)
        layout->layers[i].blocked = (unsigned char)candidate(&net->layers[i]);
    make_plain(layout, net->n - 1);
    if (net->layers[0].type != CONVOLUTIONAL) /* reads the network's input */
        make_plain(layout, 0);
    for (int change = 1; change;) {
        change = 0;
        for (int j = 1; j < net->n; ++j)
            change |= strike(layout, net, j);
    }
    find_last_readers(layout, net);
    join(layout, net);
    dn_layout_place(layout, net);
    return DPF_OK;
}

void dn_layout_free(dn_layout *layout) {
    free(layout->layers);
    *layout = (dn_layout){0};
}

/* Large buffers lie on huge pages: a convolution walks through many of them at once. */
static void move(float **buffer, size_t floats) {
    const size_t huge = (size_t)2 << 20;
    size_t bytes = floats * sizeof(float), unit = bytes < huge ? 64 : huge;
    bytes = (bytes + unit - 1) / unit * unit;
    float *place = *buffer && bytes ? aligned_alloc(unit, bytes) : NULL;
    if (!place)
        return;
    if (unit == huge)
        madvise(place, bytes, MADV_HUGEPAGE);
    free(*buffer);
    *buffer = place;
}

void dn_layout_place(const dn_layout *layout, network *net) {
    for (int i = 0; i < layout->count; ++i) {
        layer *l = &net->layers[i];
        size_t floats = (size_t)l->outputs * (size_t)l->batch;
        if (!layout->layers[i].blocked)
            continue;
        move(&l->output, floats);
        move(&l->delta, floats);
        if (l->type == CONVOLUTIONAL)
            move(&l->x, floats);
    }
}
