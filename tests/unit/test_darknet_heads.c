/* SPDX-License-Identifier: MIT
 *
 * Training under libdarknet's own heads: output, loss and every gradient with our layers
 * before a [yolo] or [region], against the same network without them.
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

#define CONV "[convolutional]\nstride=1\npad=1\n"
#define NET "[net]\nsubdivisions=1\nheight=12\nwidth=10\nchannels=3\n"

/* One iteration of Darknet's own loop with objects in the pictures. The head prints. */
static void learn(pass *p, const float *input, const float *truth) {
    const layer *head = &p->net->layers[p->net->n - 1];
    memcpy(p->net->input, input, sizeof(float) * (size_t)p->net->inputs * (size_t)p->net->batch);
    memcpy(p->net->truth, truth, sizeof(float) * (size_t)head->truths * (size_t)p->net->batch);
    p->net->train = 1;
    int saved = mute(STDOUT_FILENO);
    forward_network(p->net);
    backward_network(p->net);
    unmute(STDOUT_FILENO, saved);
}

static void compare_head(const char *text, int objects) {
    pass ours, theirs;
    open_pair(&ours, &theirs, text, 1);
    const int last = theirs.net->n - 1;
    const layer *a = &ours.net->layers[last], *b = &theirs.net->layers[last];
    const size_t batch = (size_t)theirs.net->batch, out = (size_t)b->outputs * batch;
    float *input = random_floats((size_t)theirs.net->inputs * batch, 1);
    float *truth = calloc((size_t)b->truths * batch, sizeof *truth);
    for (size_t i = 0; i < batch; ++i)
        for (int k = 0; k < objects; ++k) {
            float *t = truth + i * (size_t)b->truths + 5 * k;
            for (int side = 0; side < 4; ++side)
                t[side] = 0.1f + 0.8f * (float)rand() / (float)RAND_MAX;
            t[4] = (float)(k % b->classes);
        }
    learn(&ours, input, truth);
    learn(&theirs, input, truth);
    same("output of the head", text, a->output, b->output, out, 1e-3f);
    same("delta of the head", text, a->delta, b->delta, out, 1e-3f);
    same("loss", text, a->cost, b->cost, 1, 1e-3f);
    for (int i = 0; i < last; ++i)
        compare_parameters(text, &ours.net->layers[i], &theirs.net->layers[i], 2e-3f);
    free(input);
    free(truth);
    close_pass(&ours);
    close_pass(&theirs);
}

/* 48 filters are whole blocks, but what a head reads must be plain. */
static void test_heads(void **state) {
    (void)state;
    static const char *const heads[] = {
        "[yolo]\nmask=0,1,2,3,4,5\nanchors=3,3,5,4,4,6,7,7,9,5,10,10\nclasses=3\nnum=6\nignore_thresh=.6\n"
        "truth_thresh=1\n",
        "[region]\nanchors=.3,.3,.5,.4,.4,.6,.7,.7,.9,.5,1,1\nclasses=3\ncoords=4\nnum=6\nsoftmax=1\nbias_match=1\n"
        "rescore=0\nthresh=.6\nobject_scale=5\nnoobject_scale=1\nclass_scale=1\ncoord_scale=1\nabsolute=1\n",
    };
    char text[2048];
    for (size_t i = 0; i < sizeof heads / sizeof *heads; ++i)
        for (int batch = 1; batch <= 5; batch += 4) {
            snprintf(text, sizeof text,
                     NET "batch=%d\n" CONV "size=3\nbatch_normalize=1\nfilters=32\nactivation=logistic\n" CONV
                         "size=1\nfilters=48\nactivation=linear\n%s",
                     batch, heads[i]);
            compare_head(text, 4);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
