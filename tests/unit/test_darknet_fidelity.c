/* SPDX-License-Identifier: MIT
 *
 * Our layers against libdarknet's own functions on the same network, weights, input
 * and gradient: outputs, gradients, running statistics and weights after an update.
 *
 * Tolerance: both compute in single precision in different order. A result is a sum of
 * up to a few thousand products, so each is compared within 2e-4 of the largest
 * magnitude in its array (batch norm over few pixels loses two more digits).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "darknet_fidelity.h"

static const char *const activations[] = {"logistic", "relu", "relie", "linear", "ramp",    "tanh",  "plse",
                                          "leaky",    "elu",  "loggy", "stair",  "hardtan", "lhtan", "selu"};

/* Forward, backward with the given gradient at the output, update. */
static void run(pass *p, float *input, float *input_delta, const float *gradient) {
    network net = *p->net;
    net.train = 1;
    net.input = input;
    for (int i = 0; i < net.n; ++i) {
        layer l = net.layers[i];
        net.index = i;
        memset(l.delta, 0, sizeof(float) * (size_t)l.outputs * (size_t)l.batch);
        l.forward(l, net);
        net.input = l.output;
    }
    layer last = net.layers[net.n - 1];
    memcpy(last.delta, gradient, sizeof(float) * (size_t)last.outputs * (size_t)last.batch);
    for (int i = net.n - 1; i >= 0; --i) {
        layer l = net.layers[i];
        net.index = i;
        net.input = i ? net.layers[i - 1].output : input;
        net.delta = i ? net.layers[i - 1].delta : input_delta;
        l.backward(l, net);
    }
}

static void compare_layer(const char *text, const layer *a, const layer *b, float tolerance) {
    size_t out = (size_t)a->outputs * (size_t)a->batch;
    same("output", text, a->output, b->output, out, tolerance);
    same("delta", text, a->delta, b->delta, out, tolerance);
    if (a->type == CONVOLUTIONAL)
        compare_parameters(text, a, b, tolerance);
}

static void compare(const char *text, float tolerance) {
    pass ours, theirs;
    open_pair(&ours, &theirs, text, 0);
    layer last = theirs.net->layers[theirs.net->n - 1];
    size_t in = (size_t)theirs.net->inputs * (size_t)theirs.net->batch, out = (size_t)last.outputs * (size_t)last.batch;
    float *input = random_floats(in, 1), *gradient = random_floats(out, 1);
    float *da = random_floats(in, 1), *db = malloc(in * sizeof *db); /* not zero: backward must add, */
    if (theirs.net->layers[0].size == 1)                             /* but Darknet's 1x1 overwrites */
        memset(da, 0, in * sizeof *da);
    memcpy(db, da, in * sizeof *db);
    run(&ours, input, da, gradient);
    run(&theirs, input, db, gradient);
    for (int i = 0; i < ours.net->n; ++i)
        compare_layer(text, &ours.net->layers[i], &theirs.net->layers[i], tolerance);
    same("input gradient", text, da, db, in, tolerance);
    update_all(&ours);
    update_all(&theirs);
    for (int i = 0; i < ours.net->n; ++i) {
        layer a = ours.net->layers[i], b = theirs.net->layers[i];
        if (a.type == CONVOLUTIONAL) {
            same("weights", text, a.weights, b.weights, (size_t)a.nweights, tolerance);
            same("biases", text, a.biases, b.biases, (size_t)a.n, tolerance);
        }
    }
    free(input);
    free(gradient);
    free(da);
    free(db);
    close_pass(&ours);
    close_pass(&theirs);
}

static void conv_text(char *text, size_t size, int batch, int h, int w, int c, int n, int k, int stride, int pad,
                      int groups, int bn, const char *activation) {
    snprintf(text, size,
             "[net]\nbatch=%d\nsubdivisions=1\nheight=%d\nwidth=%d\nchannels=%d\n"
             "[convolutional]\nbatch_normalize=%d\nfilters=%d\nsize=%d\nstride=%d\npadding=%d\ngroups=%d\n"
             "activation=%s\n",
             batch, h, w, c, bn, n, k, stride, pad, groups, activation);
}

static void test_convolution_grid(void **state) {
    (void)state;
    static const int sizes[] = {1, 3, 5, 7};
    static const struct {
        int c, n, groups;
    } channels[] = {{3, 16, 1}, {16, 16, 1}, {5, 7, 1}, {8, 12, 2}, {6, 6, 6}, {16, 16, 16}};
    char text[512];
    int turn = 0;
    for (size_t s = 0; s < 4; ++s)
        for (int stride = 1; stride <= 2; ++stride)
            for (int pad = 0; pad <= sizes[s] / 2; pad += sizes[s] / 2 ? sizes[s] / 2 : 1)
                for (size_t g = 0; g < sizeof channels / sizeof *channels; ++g)
                    for (int bn = 0; bn <= 1; ++bn) {
                        int batch = 1 + turn % 4, h = 9 + turn % 5, w = 8 + turn % 3;
                        conv_text(text, sizeof text, batch, h, w, channels[g].c, channels[g].n, sizes[s], stride, pad,
                                  channels[g].groups, bn, turn % 2 ? "leaky" : "linear");
                        compare(text, 5e-4f);
                        ++turn;
                    }
}

static void test_activations(void **state) {
    (void)state;
    char text[512];
    for (size_t a = 0; a < sizeof activations / sizeof *activations; ++a)
        for (int bn = 0; bn <= 1; ++bn) {
            /* stair jumps: equal inputs up to rounding may land on either side, so few of them */
            conv_text(text, sizeof text, 4, 8, 8, 3, 8, 3, 1, 1, 1, bn, activations[a]);
            compare(text, 5e-4f);
        }
}

static void test_more_pictures_than_threads(void **state) {
    (void)state;
    char text[512];
    static const int batches[] = {1, 2, 3, 7, 16, 24};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; ++i) {
        conv_text(text, sizeof text, batches[i], 16, 16, 16, 32, 3, 2, 1, 1, 1, "relu");
        compare(text, 5e-4f);
    }
}

static void test_other_layers(void **state) {
    (void)state;
    compare("[net]\nbatch=3\nsubdivisions=1\nheight=13\nwidth=11\nchannels=4\n"
            "[convolutional]\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
            "[maxpool]\nsize=2\nstride=2\n"
            "[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=linear\n"
            "[shortcut]\nfrom=-2\nactivation=relu\n"
            "[maxpool]\nsize=3\nstride=1\n"
            "[avgpool]\n",
            1e-3f);
    compare("[net]\nbatch=2\nsubdivisions=1\nheight=16\nwidth=16\nchannels=4\n"
            "[convolutional]\nfilters=8\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
            "[convolutional]\nbatch_normalize=1\nfilters=12\nsize=3\nstride=2\npad=1\nactivation=linear\n"
            "[shortcut]\nfrom=-2\nactivation=leaky\n"
            "[convolutional]\nfilters=8\nsize=1\nstride=1\nactivation=linear\n"
            "[shortcut]\nfrom=1\nactivation=linear\n",
            1e-3f);
}

/* Where Darknet's 1x1 convolution overwrites the gradient of its input, ours adds to it. */
static void test_one_by_one_adds(void **state) {
    (void)state;
    char text[512];
    conv_text(text, sizeof text, 2, 8, 8, 5, 7, 1, 1, 0, 1, 1, "leaky");
    pass p;
    open_pass(&p, text, 1);
    size_t in = (size_t)p.net->inputs * 2, out = (size_t)p.net->layers[0].outputs * 2;
    float *input = random_floats(in, 1), *gradient = random_floats(out, 1);
    float *zero = calloc(in, sizeof *zero), *before = random_floats(in, 1), *sum = malloc(in * sizeof *sum);
    memcpy(sum, before, in * sizeof *sum);
    run(&p, input, zero, gradient);
    run(&p, input, sum, gradient);
    for (size_t i = 0; i < in; ++i)
        sum[i] -= before[i];
    same("added gradient", text, sum, zero, in, 1e-5f);
    free(input);
    free(gradient);
    free(zero);
    free(before);
    free(sum);
    close_pass(&p);
}

/* --- networks whose tensors are in blocks of channels -------------------------------- */

/* What nobody clears must be overwritten: NaN that is left shows in every gradient behind it. */
static int spoil(pass *p) {
    int blocked = 0;
    for (int i = 0; i < p->net->n; ++i) {
        layer *l = &p->net->layers[i];
        if (!dn_layout_blocked(&p->hooks.layout, i))
            continue;
        ++blocked;
        for (int k = 0; k < l->outputs * l->batch; ++k)
            l->delta[k] = l->output[k] = NAN;
    }
    return blocked;
}

static void compare_blocked(const char *text, int blocked, float tolerance) {
    pass ours, theirs;
    open_pair(&ours, &theirs, text, 1);
    int found = spoil(&ours);
    if (dpf_conv_can_block() && found != blocked)
        fail_msg("%d layers are in blocks, should be %d\n%s", found, blocked, text);
    layer last = theirs.net->layers[theirs.net->n - 1];
    size_t out = (size_t)last.outputs * (size_t)last.batch;
    float *input = random_floats((size_t)theirs.net->inputs * (size_t)theirs.net->batch, 1);
    float *gradient = random_floats(out, 1);
    two_iterations(&ours, input, gradient);
    two_iterations(&theirs, input, gradient);
    for (int i = 0; i < ours.net->n; ++i) {
        const layer *a = &ours.net->layers[i], *b = &theirs.net->layers[i];
        if (!dn_layout_blocked(&ours.hooks.layout, i))
            same("output", text, a->output, b->output, (size_t)a->outputs * (size_t)a->batch, tolerance);
        if (a->type == CONVOLUTIONAL)
            compare_parameters(text, a, b, tolerance);
    }
    ours.net->train = theirs.net->train = 0;
    forward_network(ours.net);
    forward_network(theirs.net);
    same("inference", text, ours.net->layers[ours.net->n - 1].output, last.output, out, tolerance);
    free(input);
    free(gradient);
    close_pass(&ours);
    close_pass(&theirs);
}

#define CONV "[convolutional]\nstride=1\npad=1\n"
#define NET "[net]\nsubdivisions=1\nheight=12\nwidth=10\nchannels=3\n"

static void test_blocks_of_channels(void **state) {
    (void)state;
    static const struct {
        int blocked; /* how many layers */
        const char *text;
    } nets[] = {
        /* the last layer and what it reads through avgpool are plain */
        {6, CONV "size=3\nbatch_normalize=1\nfilters=16\nactivation=relu\n" CONV
                 "size=3\nbatch_normalize=1\nfilters=32\nactivation=leaky\n" CONV
                 "size=3\nbatch_normalize=1\nfilters=16\nactivation=linear\n"
                 "[shortcut]\nfrom=-3\nactivation=relu\n"
                 "[shortcut]\nfrom=-1\nactivation=linear\n" CONV "size=1\nfilters=16\nactivation=leaky\n"
                 "[avgpool]\n" CONV "size=1\nfilters=5\nactivation=linear\n"},
        /* shortcuts between different sizes, both ways */
        {5, CONV "size=3\nfilters=32\nactivation=relu\n"
                 "[convolutional]\nsize=3\nstride=2\npad=1\nbatch_normalize=1\nfilters=48\nactivation=linear\n"
                 "[shortcut]\nfrom=-2\nactivation=leaky\n" CONV "size=1\nfilters=16\nactivation=linear\n"
                 "[shortcut]\nfrom=1\nactivation=linear\n" CONV "size=3\nfilters=4\nactivation=linear\n"},
        /* max-pools, windows over the edge; activations without a block form */
        {5, CONV "size=3\nbatch_normalize=1\nfilters=16\nactivation=elu\n"
                 "[maxpool]\nsize=2\nstride=2\n" CONV "size=3\nfilters=32\nactivation=tanh\n"
                 "[maxpool]\nsize=3\nstride=1\n" CONV
                 "size=3\nbatch_normalize=1\ngroups=16\nfilters=16\nactivation=logistic\n" CONV
                 "size=3\nfilters=4\nactivation=linear\n"},
        /* route and dropout read plain tensors, and share buffers with the layer before; as
         * shortcut and maxpool have one layout, that spreads to layer 0 */
        {2, CONV "size=3\nfilters=16\nactivation=relu\n" CONV
                 "size=3\nbatch_normalize=1\ngroups=2\nfilters=16\nactivation=linear\n"
                 "[shortcut]\nfrom=-2\nactivation=linear\n"
                 "[route]\nlayers=-1,-2\n" CONV "size=3\nbatch_normalize=1\nfilters=32\nactivation=leaky\n" CONV
                 "size=3\nfilters=16\nactivation=leaky\n" CONV "size=1\nfilters=16\nactivation=leaky\n"
                 "[dropout]\nprobability=.0\n"
                 "[maxpool]\nsize=2\nstride=2\n"},
    };
    static const int batches[] = {1, 3, 8};
    char text[2048];
    for (size_t i = 0; i < sizeof nets / sizeof *nets; ++i)
        for (size_t b = 0; b < sizeof batches / sizeof *batches; ++b) {
            snprintf(text, sizeof text, NET "batch=%d\n%s", batches[b], nets[i].text);
            compare_blocked(text, nets[i].blocked, 1e-3f);
        }
}

/* d(loss)/d(weight) by a symmetric difference, loss = <gradient, output>, in double. */
static double loss_of(pass *p, float *input, float *scratch, const float *gradient) {
    run(p, input, scratch, gradient);
    layer last = p->net->layers[p->net->n - 1];
    double loss = 0;
    for (int i = 0; i < last.outputs * last.batch; ++i)
        loss += (double)last.output[i] * (double)gradient[i];
    return loss;
}

static void check_slope(pass *p, float *value, float slope, float *input, float *scratch, const float *gradient) {
    const float kept = *value, step = 5e-3f;
    *value = kept + step;
    const double up = loss_of(p, input, scratch, gradient);
    *value = kept - step;
    const double down = loss_of(p, input, scratch, gradient);
    *value = kept;
    assert_true(fabs((up - down) / (2.0 * (double)step) - (double)slope) < 0.02 + 0.02 * fabs((double)slope));
}

static void test_numeric_gradient(void **state) {
    (void)state;
    char text[512];
    for (int bn = 0; bn <= 1; ++bn) {
        conv_text(text, sizeof text, 4, 7, 7, 4, 6, 3, 1, 1, 1, bn, "tanh");
        pass p;
        open_pass(&p, text, 1);
        size_t in = (size_t)p.net->inputs * 4;
        layer l = p.net->layers[0];
        float *input = random_floats(in, 1), *gradient = random_floats((size_t)l.outputs * 4, 1);
        float *dx = calloc(in, sizeof *dx), *scratch = calloc(in, sizeof *scratch);
        run(&p, input, dx, gradient);
        float *dw = malloc(sizeof(float) * (size_t)l.nweights);
        memcpy(dw, l.weight_updates, sizeof(float) * (size_t)l.nweights);
        for (int k = 0; k < l.nweights; k += 17)
            check_slope(&p, l.weights + k, dw[k], input, scratch, gradient);
        for (size_t k = 0; k < in; k += 37)
            check_slope(&p, input + k, dx[k], input, scratch, gradient);
        free(input);
        free(gradient);
        free(dx);
        free(dw);
        free(scratch);
        close_pass(&p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolution_grid),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_more_pictures_than_threads),
        cmocka_unit_test(test_other_layers),
        cmocka_unit_test(test_one_by_one_adds),
        cmocka_unit_test(test_blocks_of_channels),
        cmocka_unit_test(test_numeric_gradient),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
