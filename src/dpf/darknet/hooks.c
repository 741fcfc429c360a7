/* SPDX-License-Identifier: MIT
 *
 * The hook. Three functions stand in for Darknet's convolutional layer:
 *
 *   forward    y = f(batchnorm(w~ * x))     w~ = mask * w, or w where nothing is pruned
 *   backward   gradients at w~, for the input and for ALL weights, pruned ones included
 *   update     Darknet's own optimiser on the dense w; then, once all layers are
 *              updated, the pruner may choose a new mask and refreshes w~
 *
 * One difference from Darknet is on purpose: its 1x1 convolution overwrites the gradient
 * of its input, which loses what a later shortcut or route has put there; ours adds.
 *
 * What must stay true: Darknet calls update for the layers in ascending order, so the
 * last prunable layer is where an iteration ends; callbacks get layers by value and
 * carry no pointer of ours, so our state is found by the address of the weights.
 */
#include "hooks.h"

#include <stdlib.h>

#include "../kernels/blocknorm.h"

static dn_hooks *registered; /* networks that are open; opened and closed by one thread */

static dn_hook *find(const layer *l) {
    for (dn_hooks *hooks = registered; hooks; hooks = hooks->next)
        for (size_t i = 0; i < hooks->count; ++i)
            if (hooks->hooks[i].key == l->weights)
                return &hooks->hooks[i];
    return NULL; /* never: only attached layers have our callbacks */
}

static void free_conv(dn_hook *hook) {
    dpf_conv_free(hook->conv);
    dn_sparse_free(&hook->sparse);
    free(hook->work);
    hook->conv = NULL;
    hook->work = NULL;
}

static dpf_status new_conv(dn_hook *hook, const dpf_conv_shape *shape, dpf_error *err) {
    const dn_layout *layout = &hook->owner->layout;
    int blocks = dn_layout_blocked(layout, hook->layer - 1) ? DPF_BLOCK_X : 0;
    blocks |= dn_layout_blocked(layout, hook->layer) ? DPF_BLOCK_Y : 0;
    dpf_status status = blocks ? dpf_conv_new_blocked(&hook->conv, shape, blocks, hook->owner->threads, err)
                               : dpf_conv_new(&hook->conv, shape, hook->owner->threads, DPF_CONV_AUTO, err);
    if (status == DPF_OK && hook->pruned && !hook->owner->dense_kernels)
        status = dn_sparse_new(&hook->sparse, &hook->owner->memory, hook->conv, blocks, err);
    size_t bytes = sizeof(float) * dpf_block_norm_work((size_t)shape->batch, (size_t)shape->n);
    if (status == DPF_OK && (blocks & DPF_BLOCK_Y) && !(hook->work = malloc(bytes)))
        status = dpf_fail_memory(err, bytes, "batch normalisation");
    if (status != DPF_OK)
        free_conv(hook);
    return status;
}

/* Notes what went wrong in a layer, if it is the first. */
static void note(dn_hook *hook, const dpf_error *error) {
    if (hook->owner->error.status == DPF_OK)
        dpf_fail(&hook->owner->error, error->status, "layer %d (convolutional): %.900s", hook->layer, error->text);
}

/* Makes the convolution for the layer's present shape. Returns 0 if it was there already. */
static int renew_conv(dn_hook *hook, const layer *l) {
    const dpf_conv_shape shape = {l->batch, l->c, l->h, l->w, l->n, l->size, l->stride, l->pad, l->groups};
    if (hook->conv) {
        const dpf_conv_shape *now = dpf_conv_get_shape(hook->conv);
        if (now->batch == shape.batch && now->h == shape.h && now->w == shape.w)
            return 0;
        free_conv(hook);
    }
    dpf_error error;
    if (new_conv(hook, &shape, &error) != DPF_OK)
        note(hook, &error);
    return 1;
}

/* Before the first layer of a forward pass: convolutions for the present shapes, kernels for the present
 * masks, and the values of w~. */
static void prepare(dn_hooks *hooks) {
    dpf_error error;
    int news = 0;
    for (size_t i = 0; i < hooks->count; ++i) {
        const layer *l = &hooks->net->layers[hooks->hooks[i].layer];
        if (dn_hooks_convolves(l))
            news |= renew_conv(&hooks->hooks[i], l);
    }
    if (!hooks->pruner || hooks->error.status != DPF_OK)
        return;
    uint64_t version = dpf_pruner_mask_version(hooks->pruner);
    if (news || version != hooks->mask_version) {
        hooks->mask_version = version;
        if (dn_hooks_choose_kernels(hooks, &error) != DPF_OK)
            note(&hooks->hooks[hooks->first], &error);
    }
#pragma omp parallel for num_threads(hooks->threads) schedule(dynamic)
    for (size_t i = 0; i < hooks->count; ++i)
        if (hooks->hooks[i].sparse.kernels)
            sptrain_set_values(hooks->hooks[i].sparse.kernels, hooks->hooks[i].pruned);
}

static void convolve(const dn_hook *hook, const float *x, const float *weights, float *y, const dpf_chunk_hook *after) {
    if (!dn_sparse_run_forward(&hook->sparse, &hook->owner->memory, x, y, after))
        dpf_conv_forward_hooked(hook->conv, x, weights, y, after);
}

static void convolve_back(const dn_hook *hook, dpf_conv_gradients *gradients) {
    dn_sparse_backward sparse;
    dn_sparse_memory *memory = &hook->owner->memory;
    if (dn_sparse_run_backward(&hook->sparse, memory, gradients))
        return;
    dn_sparse_use_backward(&hook->sparse, memory, dpf_conv_get_shape(hook->conv), gradients, &sparse);
    dpf_conv_backward_hooked(hook->conv, gradients);
}

static dpf_norm norm_of(const dn_hook *hook, const layer *l) {
    dpf_norm norm = {
        .batch = (size_t)l->batch,
        .channels = (size_t)l->n,
        .spatial = (size_t)l->out_h * (size_t)l->out_w,
        .threads = hook->owner->threads,
        .activation = (dpf_activation)l->activation,
        .scales = l->batch_normalize ? l->scales : NULL,
        .biases = l->biases,
        .mean = l->mean,
        .variance = l->variance,
        .rolling_mean = l->rolling_mean,
        .rolling_variance = l->rolling_variance,
        .scale_updates = l->scale_updates,
        .bias_updates = l->bias_updates,
    };
    return norm;
}

static dpf_block_norm block_norm_of(const dn_hook *hook, const layer *l) {
    dpf_block_norm norm = {norm_of(hook, l), hook->work, l->x,
                           l->output,        l->delta,   dn_layout_lanes(&hook->owner->layout, hook->layer)};
    return norm;
}

/* The steps around a chunk of the convolution; context is a dpf_block_norm. */
static void take_statistics(void *context, int first, int count, int threads, float *y) {
    dpf_block_norm_statistics(context, first, count, threads, y);
}

static void apply_norm(void *context, int first, int count, int threads, float *y) {
    (void)first;
    dpf_block_norm_apply(context, count, threads, y);
}

static void make_gradient(void *context, int first, int count, int threads, float *dy) {
    dpf_block_norm_gradient(context, first, count, threads, dy);
}

static void forward_blocked(const dn_hook *hook, const layer *l, const network *net, const float *weights) {
    dpf_block_norm norm = block_norm_of(hook, l);
    if (l->batch_normalize && net->train) {
        const dpf_chunk_hook after = {take_statistics, &norm};
        convolve(hook, net->input, weights, l->x, &after);
        if (dn_layout_joined(&hook->owner->layout, hook->layer))
            dpf_block_norm_merge(&norm);
        else
            dpf_block_norm_forward_train(&norm, l->output);
        return;
    }
    const dpf_chunk_hook after = {apply_norm, &norm};
    dpf_block_norm_prepare(&norm);
    convolve(hook, net->input, weights, l->output, &after);
}

static void forward(layer l, network net) {
    dn_hook *hook = find(&l);
    if (hook == &hook->owner->hooks[hook->owner->first])
        prepare(hook->owner);
    if (!hook->conv)
        return;
    const float *weights = hook->pruned ? hook->pruned : l.weights;
    if (hook->work) {
        forward_blocked(hook, &l, &net, weights);
        return;
    }
    dpf_norm norm = norm_of(hook, &l);
    int statistics = l.batch_normalize && net.train; /* keep the input of the normalisation for backward */
    float *y = statistics ? l.x : l.output;
    convolve(hook, net.input, weights, y, NULL);
    if (statistics)
        dpf_norm_forward_train(&norm, l.x, l.output);
    else
        dpf_norm_forward(&norm, l.output, l.output);
}

int dn_hooks_left_norm(const network *net, int index, dpf_block_norm *norm) {
    const dn_layout *layout = dn_hooks_layout(net);
    if (!net->train || !layout || !dn_layout_joined(layout, index))
        return 0;
    *norm = block_norm_of(find(&net->layers[index]), &net->layers[index]);
    return 1;
}

/* Gradients of scales and biases; norm->delta becomes the gradient behind the normalisation and the activation. */
static void gradients_of_norm(const dn_hook *hook, const layer *l, const network *net, dpf_block_norm *norm) {
    const dn_layout *layout = &hook->owner->layout;
    if (!dn_layout_joined(layout, hook->layer)) {
        dpf_block_norm_backward(norm, l->delta);
        return;
    }
    const layer *s = &net->layers[hook->layer + 1];
    norm->delta = s->delta;
    if (!dn_shortcut_is_plain(s)) { /* the shortcut has gone back through its activation already */
        dpf_block_norm_backward(norm, s->delta);
        return;
    }
    float *other = net->layers[s->index].delta;
    int set = dn_layout_sets(layout, s->index, hook->layer + 1);
    if (set)
        norm->delta = other;
    dpf_block_norm_shortcut_backward(norm, s->delta, s->output, (dpf_activation)s->activation, set ? NULL : other);
}

static void backward(layer l, network net) {
    dn_hook *hook = find(&l);
    if (!hook->conv)
        return;
    const float *weights = hook->pruned ? hook->pruned : l.weights;
    dpf_conv_gradients gradients = {.x = net.input, .w = weights, .dw = l.weight_updates, .dx = net.delta};
    gradients.set_dx = dn_layout_sets(&hook->owner->layout, hook->layer - 1, hook->layer);
    if (hook->work) {
        dpf_block_norm norm = block_norm_of(hook, &l);
        const dpf_chunk_hook before = {make_gradient, &norm};
        gradients_of_norm(hook, &l, &net, &norm);
        gradients.before = &before;
        convolve_back(hook, &gradients);
        return;
    }
    dpf_norm norm = norm_of(hook, &l);
    dpf_norm_backward(&norm, l.x, l.output, l.delta);
    gradients.dy = l.delta;
    convolve_back(hook, &gradients);
}

static void update(layer l, update_args args) {
    dn_hook *hook = find(&l);
    dn_hooks *hooks = hook->owner;
    hook->update(l, args);
    if (hook->key != hooks->last_pruned_key || hooks->error.status != DPF_OK)
        return;
    dpf_error error;
    if (dpf_pruner_advance(hooks->pruner, get_current_batch(hooks->net), &error) != DPF_OK)
        hooks->error = error;
}

/* Darknet's own functions on w~: for the layers whose arithmetic we leave alone. */
static void forward_by_darknet(layer l, network net) {
    dn_hook *hook = find(&l);
    if (hook->pruned)
        l.weights = (float *)hook->pruned; /* only read */
    hook->forward(l, net);
}

static void backward_by_darknet(layer l, network net) {
    dn_hook *hook = find(&l);
    if (hook->pruned)
        l.weights = (float *)hook->pruned;
    hook->backward(l, net);
}

/* Binary and xnor layers swap their weights around; they cannot be pruned. */
static int can_hook(const layer *l) {
    return l->type == CONVOLUTIONAL && !l->binary && !l->xnor;
}

/* Darknet skips im2col for every 1x1 filter, also with a stride or padding, where what
 * it then computes is not a convolution. A network must mean the same with and without
 * this plugin, so these rare layers keep it. */
static int is_convolution(const layer *l) {
    return l->size > 1 || (l->stride == 1 && l->pad == 0);
}

int dn_hooks_convolves(const layer *l) {
    return can_hook(l) && is_convolution(l);
}

dpf_status dn_hooks_block(dn_hooks *hooks, dpf_error *err) {
    return dpf_conv_can_block() ? dn_layout_plan(&hooks->layout, hooks->net, err) : DPF_OK;
}

const dn_layout *dn_hooks_layout(const network *net) {
    for (dn_hooks *hooks = registered; hooks; hooks = hooks->next)
        if (hooks->net->layers == net->layers)
            return hooks->layout.layers ? &hooks->layout : NULL;
    return NULL;
}

int dn_hooks_skip_zeros(const float *x, int n) {
    for (dn_hooks *hooks = registered; hooks; hooks = hooks->next)
        for (int i = 0; i < hooks->layout.count; ++i) {
            const layer *l = &hooks->net->layers[i];
            if (l->delta == x && hooks->layout.layers[i].blocked && n == l->outputs * l->batch)
                return 1;
        }
    return 0;
}

dpf_status dn_hooks_attach(dn_hooks *hooks, dpf_error *err) {
    network *net = hooks->net;
    int found = 0;
    hooks->hooks = calloc((size_t)net->n + 1, sizeof *hooks->hooks);
    if (!hooks->hooks)
        return dpf_fail_memory(err, (size_t)net->n * sizeof *hooks->hooks, "the hooks");
    dn_layers_set_threads(hooks->threads);
    hooks->memory.threads = hooks->threads;
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        if (!can_hook(l)) {
            dn_layers_attach(l);
            continue;
        }
        hooks->hooks[hooks->count++] = (dn_hook){.owner = hooks,
                                                 .layer = i,
                                                 .key = l->weights,
                                                 .forward = l->forward,
                                                 .backward = l->backward,
                                                 .update = l->update};
        if (is_convolution(l) && !found) {
            hooks->first = hooks->count - 1;
            found = 1;
        }
        l->forward = is_convolution(l) ? forward : forward_by_darknet;
        l->backward = is_convolution(l) ? backward : backward_by_darknet;
        l->update = update;
    }
    hooks->next = registered;
    registered = hooks;
    return DPF_OK;
}

void dn_hooks_prune(dn_hooks *hooks, dpf_pruner *pruner, const size_t *which) {
    hooks->pruner = pruner;
    for (size_t i = 0; i < dpf_pruner_tensors(pruner); ++i) {
        hooks->hooks[which[i]].pruned = dpf_pruner_pruned(pruner, i);
        hooks->hooks[which[i]].tensor = i;
        hooks->last_pruned_key = hooks->hooks[which[i]].key;
    }
}

void dn_hooks_detach(dn_hooks *hooks) {
    for (dn_hooks **at = &registered; *at; at = &(*at)->next)
        if (*at == hooks) {
            *at = hooks->next;
            break;
        }
    for (size_t i = 0; i < hooks->count; ++i)
        free_conv(&hooks->hooks[i]);
    dn_layout_free(&hooks->layout);
    free(hooks->memory.scratch);
    hooks->memory = (dn_sparse_memory){0};
    free(hooks->hooks);
    hooks->hooks = NULL;
    hooks->count = 0;
}
