/* SPDX-License-Identifier: MIT
 *
 * Which layers in blocks are in lanes of pictures instead (layout.h). Lanes spare a chain of
 * sparse layers all transposing, but a dense convolution cannot read them. So every layer
 * in blocks is a candidate; those next to a convolution that has no sparse kernels for
 * lanes are struck out, and what a shortcut or a maxpool ties to them; and the rest take
 * lanes if the cost model finds the network faster so, with all of its convolutions
 * there on sparse kernels.
 *
 * What must stay true: the choice follows from shapes and masks alone.
 */
#include "hooks.h"

/* What lanes must save at least: the model is not exact. */
static const double worth = 0.97;

static unsigned char *lanes_at(dn_layout *layout, int index) {
    return &layout->layers[index].lanes;
}

/* Lanes for both or for neither. Returns 1 if that changed something. */
static int together(dn_layout *layout, int a, int b) {
    if (*lanes_at(layout, a) == *lanes_at(layout, b))
        return 0;
    *lanes_at(layout, a) = *lanes_at(layout, b) = 0;
    return 1;
}

/* Which tensors of a hooked layer are in lanes, as in dn_sparse. */
static int lanes_of(const dn_layout *layout, const dn_hook *hook) {
    return (dn_layout_lanes(layout, hook->layer - 1) ? DPF_BLOCK_X : 0) +
           (dn_layout_lanes(layout, hook->layer) ? DPF_BLOCK_Y : 0);
}

static void no_lanes(dn_layout *layout) {
    for (int i = 0; i < layout->count; ++i)
        *lanes_at(layout, i) = 0;
}

/* Strikes out what cannot be, once. Returns 1 if that changed something. */
static int strike(dn_hooks *hooks) {
    dn_layout *layout = &hooks->layout;
    int change = 0;
    for (size_t i = 0; i < hooks->count; ++i) {
        const dn_hook *hook = &hooks->hooks[i];
        if (!lanes_of(layout, hook) || (hook->sparse.kernels && sptrain_can_lanes(hook->sparse.kernels)))
            continue;
        *lanes_at(layout, hook->layer) = 0;
        if (hook->layer > 0)
            *lanes_at(layout, hook->layer - 1) = 0;
        change = 1;
    }
    for (int j = 1; j < layout->count; ++j) {
        const layer *l = &hooks->net->layers[j];
        if (l->type == SHORTCUT)
            change |= together(layout, l->index, j) | together(layout, j - 1, j);
        else if (l->type == MAXPOOL)
            change |= together(layout, j - 1, j);
    }
    return change;
}

static int worthwhile(const dn_hooks *hooks) {
    double with = 0, without = 0;
    for (size_t i = 0; i < hooks->count; ++i) {
        const dn_hook *hook = &hooks->hooks[i];
        int lanes = lanes_of(&hooks->layout, hook);
        if (!lanes)
            continue;
        const uint64_t *mask = dpf_pruner_mask(hooks->pruner, hook->tensor);
        with += sptrain_cycles(hook->sparse.kernels, mask, lanes, hook->layer > 0);
        without += sptrain_cycles(hook->sparse.kernels, mask, 0, hook->layer > 0);
    }
    return with < worth * without;
}

dpf_status dn_hooks_choose_kernels(dn_hooks *hooks, dpf_error *err) {
    dn_layout *layout = &hooks->layout;
    dpf_status status = DPF_OK;
    for (int i = 0; i < layout->count; ++i)
        *lanes_at(layout, i) = layout->layers[i].blocked;
    while (strike(hooks)) {
    }
    if (!worthwhile(hooks))
        no_lanes(layout);
#pragma omp parallel for num_threads(hooks->threads) schedule(dynamic)
    for (size_t i = 0; i < hooks->count; ++i) {
        dn_hook *hook = &hooks->hooks[i];
        dpf_error error;
        if (!hook->sparse.kernels || dn_sparse_set_mask(&hook->sparse, dpf_pruner_mask(hooks->pruner, hook->tensor),
                                                        lanes_of(layout, hook), &error) == DPF_OK)
            continue;
#pragma omp critical
        {
            *err = error;
            status = error.status;
        }
    }
    if (status != DPF_OK)
        no_lanes(layout);
    return status;
}
