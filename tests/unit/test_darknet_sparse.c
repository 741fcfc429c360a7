/* SPDX-License-Identifier: MIT
 *
 * Pruned networks on the sparse kernels against libdarknet's own functions on the same
 * w~: outputs, gradients of all weights, pruned ones included, running statistics, and
 * the dense weights after an update. Tolerance: as in test_darknet_fidelity.c. Few weights
 * make values that are 0 but for rounding, where a kink takes sides: activations are smooth, or, for
 * relu and leaky, batch normalisation keeps every value of a channel on one side of 0.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "darknet_fidelity.h"
#include "dpf/kernels/cpu.h"

enum { MOST_TENSORS = 12 };

/* A pass whose convolutions are pruned, but for the last, and (all: 0) for the first. */
typedef struct pruned_pass {
    pass p;
    int all;
    dpf_pruner *pruner;
    size_t count, which[MOST_TENSORS]; /* hooks */
} pruned_pass;

static void prune(pruned_pass *pruned, double sparsity) {
    dpf_options options = {.sparsity = sparsity,
                           .update_every = 1,
                           .schedule = DPF_CONSTANT,
                           .scope = DPF_LAYER,
                           .feedback = 1,
                           .has_end = 1,
                           .end = 10,
                           .has_hold = 1,
                           .hold = 10};
    dpf_tensor tensors[MOST_TENSORS];
    dpf_error err;
    dn_hooks *hooks = &pruned->p.hooks;
    for (size_t i = !pruned->all; i + 1 < hooks->count; ++i) {
        const layer *l = &hooks->net->layers[hooks->hooks[i].layer];
        assert_true(pruned->count < MOST_TENSORS);
        tensors[pruned->count] = (dpf_tensor){"conv", l->weights, (size_t)l->nweights, -1};
        pruned->which[pruned->count++] = i;
    }
    if (dpf_pruner_new(&pruned->pruner, &options, tensors, pruned->count, &err) != DPF_OK ||
        dpf_pruner_start(pruned->pruner, 0, &err) != DPF_OK)
        fail_msg("%s", err.text);
    dn_hooks_prune(hooks, pruned->pruner, pruned->which);
}

static layer *layer_of(network *net, const pruned_pass *pruned, size_t tensor) {
    return &net->layers[pruned->p.hooks.hooks[pruned->which[tensor]].layer];
}

/* A filter without weights puts out its bias; a filter that reads nothing but that has a variance which is
 * rounding alone, and no gradient worth comparing. Zeros are exact. Its running variance stays what it was. */
static void tame(network *net) {
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        if (l->type == CONVOLUTIONAL)
            memset(l->biases, 0, (size_t)l->n * sizeof(float));
        for (int k = 0; l->rolling_variance && k < l->n; ++k)
            l->rolling_variance[k] = 1;
    }
}

/* Values of even channels stay above 0, those of odd ones below, also of sums: far from every kink. */
static void separate(network *net) {
    for (int i = 0; i < net->n; ++i) {
        layer *l = &net->layers[i];
        for (int k = 0; l->type == CONVOLUTIONAL && l->batch_normalize && k < l->n; ++k) {
            l->scales[k] = 0.2f;
            l->biases[k] = k % 2 ? -2 : 2;
        }
    }
}

/* libdarknet's network gets w~, or its dense weights back. */
static void swap_weights(network *theirs, const pruned_pass *ours, float *dense[MOST_TENSORS], int back) {
    for (size_t i = 0; i < ours->count; ++i) {
        layer *l = layer_of(theirs, ours, i);
        size_t bytes = (size_t)l->nweights * sizeof(float);
        if (back) {
            memcpy(l->weights, dense[i], bytes);
            free(dense[i]);
            continue;
        }
        dense[i] = malloc(bytes);
        memcpy(dense[i], l->weights, bytes);
        memcpy(l->weights, dpf_pruner_pruned(ours->pruner, i), bytes);
    }
}

static void compare_networks(const char *text, const network *ours, const network *theirs, const dn_layout *layout,
                             float tolerance) {
    for (int i = 0; i < ours->n; ++i) {
        const layer *a = &ours->layers[i], *b = &theirs->layers[i];
        if (!dn_layout_blocked(layout, i))
            same("output", text, a->output, b->output, (size_t)a->outputs * (size_t)a->batch, tolerance);
        if (a->type == CONVOLUTIONAL)
            compare_parameters(text, a, b, tolerance);
    }
}

/* How many passes of our convolutions were sparse, and how many of them had tensors in lanes of pictures. */
typedef struct sparse_use {
    int passes, lanes;
} sparse_use;

static sparse_use use_of(const pruned_pass *ours) {
    sparse_use use = {0, 0};
    for (size_t i = 0; i < ours->count; ++i) {
        const dn_sparse *sparse = &ours->p.hooks.hooks[ours->which[i]].sparse;
        use.passes += __builtin_popcount((unsigned)sparse->passes);
        use.lanes += sparse->lanes != 0;
    }
    return use;
}

typedef struct compare_args {
    const char *text;
    double sparsity;
    int blocks, dense_kernels;
    int all;          /* 1: the first convolution is pruned, too, and activations may have kinks */
    const int *sides; /* other sizes of the network, the first again, and 0; or NULL */
} compare_args;

/* Two forward and backward passes on the present size, whose gradients add up as those of subdivisions do. */
static void compare_passes(pruned_pass *ours, pass *theirs, const char *text, float tolerance) {
    const layer *last = &theirs->net->layers[theirs->net->n - 1];
    float *input = random_floats((size_t)theirs->net->inputs * (size_t)theirs->net->batch, 1);
    float *gradient = random_floats((size_t)last->outputs * (size_t)last->batch, 1);
    two_iterations(&ours->p, input, gradient);
    two_iterations(theirs, input, gradient);
    compare_networks(text, ours->p.net, theirs->net, &ours->p.hooks.layout, tolerance);
    free(input);
    free(gradient);
}

static void resize(pass *p, int side) {
    int saved = mute(STDERR_FILENO);
    resize_network(p->net, side, side);
    unmute(STDERR_FILENO, saved);
    dn_layout_place(&p->hooks.layout, p->net);
}

/* Passes, on other sizes too where `sides` says so; an update, which moves the mask, and another forward pass. */
static sparse_use compare_pruned(const compare_args *args) {
    const char *text = args->text;
    /* inputs of one sign, gradients whose sum normalisation makes 0: most of a sum cancels, and Darknet's sums, one
     * float after another, show it (our kernels of all kinds agree with each other) */
    const float tolerance = args->all ? 5e-3f : 1e-3f;
    pruned_pass ours = {.all = args->all};
    pass theirs;
    float *dense[MOST_TENSORS];
    open_pair(&ours.p, &theirs, text, args->blocks);
    ours.p.hooks.dense_kernels = args->dense_kernels;
    (args->all ? separate : tame)(ours.p.net);
    (args->all ? separate : tame)(theirs.net);
    prune(&ours, args->sparsity);
    swap_weights(theirs.net, &ours, dense, 0);
    compare_passes(&ours, &theirs, text, tolerance);
    const sparse_use use = use_of(&ours);
    for (const int *side = args->sides; side && *side; ++side) {
        resize(&ours.p, *side);
        resize(&theirs, *side);
        compare_passes(&ours, &theirs, text, tolerance);
        assert_true(use_of(&ours).passes >= 4);
    }
    assert_int_equal(use_of(&ours).lanes, use.lanes); /* the last side is the first again */
    swap_weights(theirs.net, &ours, dense, 1);
    update_all(&ours.p);
    update_all(&theirs);
    for (size_t i = 0; i < ours.count; ++i) {
        layer *a = layer_of(ours.p.net, &ours, i), *b = layer_of(theirs.net, &ours, i);
        same("weights", text, a->weights, b->weights, (size_t)a->nweights, tolerance);
        memcpy(b->weights, a->weights, (size_t)a->nweights * sizeof(float)); /* or masks could differ */
    }
    swap_weights(theirs.net, &ours, dense, 0);
    ours.p.net->train = theirs.net->train = 0;
    forward_network(ours.p.net);
    forward_network(theirs.net);
    const layer *last = &theirs.net->layers[theirs.net->n - 1];
    same("inference", text, ours.p.net->layers[ours.p.net->n - 1].output, last->output,
         (size_t)last->outputs * (size_t)last->batch, tolerance);
    swap_weights(theirs.net, &ours, dense, 1);
    assert_int_equal(ours.p.hooks.error.status, DPF_OK);
    close_pass(&ours.p);
    close_pass(&theirs);
    dpf_pruner_free(ours.pruner);
    return use;
}

static const char format[] = "[net]\nbatch=%d\nsubdivisions=1\nheight=%d\nwidth=%d\nchannels=3\n"
                             "[convolutional]\nbatch_normalize=1\nfilters=%d\nsize=3\nstride=1\npad=1\n"
                             "activation=elu\n"
                             "[convolutional]\nbatch_normalize=%d\nfilters=%d\nsize=%d\nstride=%d\npadding=%d\n"
                             "groups=%d\nactivation=logistic\n"
                             "[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\nstride=1\npad=1\n"
                             "activation=linear\n"
                             "[shortcut]\nfrom=-2\nactivation=linear\n"
                             "[convolutional]\nfilters=4\nsize=1\nstride=1\nactivation=linear\n";

static void need_kernels(void) {
    if (dpf_cpu_isa() < DPF_ISA_AVX512)
        skip();
}

/* Sizes, strides, pads, channels with and without blocks, batches of all units; groups stay dense. */
static void test_grid(void **state) {
    (void)state;
    need_kernels();
    static const int sizes[] = {1, 2, 3, 5}, batches[] = {16, 2, 32, 6, 8, 4}, filters[] = {16, 32, 12, 48, 20};
    int turn = 0, passes = 0, most = 0;
    for (int k = 0; k < 4; ++k)
        for (int stride = 1; stride <= 3; ++stride)
            for (int pad = 0; pad <= sizes[k] / 2; ++pad, ++turn) {
                char text[1024];
                int c = filters[turn % 5], n = turn % 4 == 3 ? 20 : 16, groups = turn % 7 == 5 ? 4 : 1;
                if (sizes[k] == 1 && stride > 1) /* Darknet's own, which is no convolution */
                    continue;
                snprintf(text, sizeof text, format, batches[turn % 6], 9 + turn % 6, 8 + turn % 9, c, turn % 2, n,
                         sizes[k], stride, pad, groups);
                /* a few weights a filter at least, or most gradients are 0 but for rounding */
                int filter = c / groups * sizes[k] * sizes[k];
                const compare_args args = {text, filter < 100 ? 0.7 : filter < 280 ? 0.9 : 0.96, turn % 8 != 2, 0, 0,
                                           NULL};
                passes += compare_pruned(&args).passes;
                most += 4;
            }
    if (passes < most / 2)
        fail_msg("only %d of %d passes were sparse: too few for a test", passes, most);
}

/* ./darknet -kernels dense */
static void test_dense_kernels(void **state) {
    (void)state;
    need_kernels();
    char text[1024];
    snprintf(text, sizeof text, format, 16, 12, 12, 32, 1, 16, 3, 1, 1, 1);
    assert_true(compare_pruned(&(compare_args){text, 0.95, 1, 0, 0, NULL}).passes > 0);
    assert_int_equal(compare_pruned(&(compare_args){text, 0.95, 1, 1, 0, NULL}).passes, 0);
}

/* A residual network whose tensors are in lanes of pictures: a shortcut of one size and of two, max- and average-pool,
 * stride 2; relu and leaky. */
static const char lanes_format[] =
    "[net]\nbatch=32\nsubdivisions=1\nheight=16\nwidth=12\nchannels=3\n"
    "[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\nstride=1\npad=1\nactivation=%s\n"
    "[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\nstride=1\npad=1\nactivation=%s\n"
    "[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\nstride=1\npad=1\nactivation=linear\n"
    "[shortcut]\nfrom=-3\nactivation=%s\n"
    "[convolutional]\nbatch_normalize=1\nfilters=32\nsize=3\nstride=2\npad=1\nactivation=%s\n"
    "[convolutional]\nbatch_normalize=1\nfilters=32\nsize=3\nstride=1\npad=1\nactivation=linear\n"
    "[shortcut]\nfrom=-3\nactivation=%s\n"
    "%s"
    "[convolutional]\nbatch_normalize=1\nfilters=48\nsize=3\nstride=1\npad=1\nactivation=%s\n"
    "[avgpool]\n"
    "[convolutional]\nfilters=4\nsize=1\nstride=1\nactivation=linear\n";

static void test_lanes(void **state) {
    (void)state;
    need_kernels();
    static const char *const activations[] = {"relu", "leaky"}, *const pools[] = {"[maxpool]\nsize=2\nstride=2\n", ""};
    char text[2048];
    for (int i = 0; i < 4; ++i) {
        const char *f = activations[i % 2];
        snprintf(text, sizeof text, lanes_format, f, f, f, f, f, pools[i / 2], f);
        sparse_use use = compare_pruned(&(compare_args){text, 0.9, 1, 0, 1, NULL});
        assert_int_equal(use.lanes, 6);
        use = compare_pruned(&(compare_args){text, 0.9, 0, 0, 1, NULL}); /* the same on plain tensors */
        assert_int_equal(use.lanes, 0);
        assert_true(use.passes >= 8);
    }
}

/* random=1 gives a network other sizes: kernels of new shapes, with lanes and without. */
static void test_resized(void **state) {
    (void)state;
    need_kernels();
    static const char text[] =
        "[net]\nbatch=%d\nsubdivisions=1\nheight=16\nwidth=16\nchannels=3\n"
        "[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\nstride=1\npad=1\nactivation=relu\n"
        "[maxpool]\nsize=2\nstride=2\n"
        "[convolutional]\nbatch_normalize=1\nfilters=32\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
        "[convolutional]\nbatch_normalize=1\nfilters=32\nsize=3\nstride=1\npad=1\nactivation=linear\n"
        "[shortcut]\nfrom=-2\nactivation=leaky\n"
        "[convolutional]\nbatch_normalize=1\nfilters=32\nsize=3\nstride=1\npad=1\nactivation=linear\n"
        "[shortcut]\nfrom=-4\nactivation=relu\n" /* a second one of that layer */
        "[avgpool]\n"
        "[convolutional]\nfilters=4\nsize=1\nstride=1\nactivation=linear\n";
    static const int sides[] = {20, 12, 16, 0}, batches[] = {32, 6};
    for (int i = 0; i < 2; ++i) {
        char batch_text[1024];
        snprintf(batch_text, sizeof batch_text, text, batches[i]);
        sparse_use use = compare_pruned(&(compare_args){batch_text, 0.9, 1, 0, 1, sides});
        assert_int_equal(use.lanes, i ? 0 : 4);
        assert_true(use.passes >= 4);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_grid),
        cmocka_unit_test(test_dense_kernels),
        cmocka_unit_test(test_lanes),
        cmocka_unit_test(test_resized),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
