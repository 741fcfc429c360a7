/* SPDX-License-Identifier: MIT
 *
 * See darknet_fidelity.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "darknet_fidelity.h"

int mute(int fd) {
    int null = open("/dev/null", O_WRONLY), saved = dup(fd);
    fflush(stdout);
    dup2(null, fd);
    close(null);
    return saved;
}

void unmute(int fd, int saved) {
    fflush(stdout);
    dup2(saved, fd);
    close(saved);
}

static network *parse_text(const char *text) {
    char path[] = "/tmp/dpf-fidelity-XXXXXX";
    int fd = mkstemp(path), saved = mute(STDERR_FILENO);
    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    network *net = parse_network_cfg(path);
    unmute(STDERR_FILENO, saved);
    unlink(path);
    return net;
}

float *random_floats(size_t n, float scale) {
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; ++i)
        x[i] = scale * (2.0f * (float)rand() / (float)RAND_MAX - 1.0f);
    return x;
}

void same(const char *what, const char *text, const float *a, const float *b, size_t n, float tolerance) {
    float largest = 0, worst = 0;
    size_t where = 0;
    for (size_t i = 0; i < n; ++i) {
        if (!isfinite(a[i]) || !isfinite(b[i]))
            fail_msg("%s at %zu: ours %g, Darknet's %g\n%s", what, i, (double)a[i], (double)b[i], text);
        if (fabsf(b[i]) > largest)
            largest = fabsf(b[i]);
        if (fabsf(a[i] - b[i]) > worst) {
            worst = fabsf(a[i] - b[i]);
            where = i;
        }
    }
    if (worst > tolerance * largest + 1e-6f) {
        print_error("%s differs at %zu: ours %g, Darknet's %g (largest %g)\n%s\n", what, where, (double)a[where],
                    (double)b[where], (double)largest, text);
        fail();
    }
}

void open_pass(pass *p, const char *text, int hooked) {
    *p = (pass){.net = parse_text(text)};
    p->hooks.net = p->net;
    p->hooks.threads = 2;
    if (hooked) {
        dpf_error err;
        assert_int_equal(dn_hooks_attach(&p->hooks, &err), DPF_OK);
    }
}

void close_pass(pass *p) {
    if (p->hooks.hooks)
        dn_hooks_detach(&p->hooks);
    free_network(p->net);
}

static void copy_weights(network *to, const network *from) {
    for (int i = 0; i < to->n; ++i) {
        layer *a = &to->layers[i], *b = &from->layers[i];
        if (a->type != CONVOLUTIONAL)
            continue;
        for (int k = 0; k < a->n; ++k) {
            a->biases[k] = b->biases[k] = (float)rand() / (float)RAND_MAX - 0.5f;
            if (a->batch_normalize)
                a->scales[k] = b->scales[k] = 0.5f + (float)rand() / (float)RAND_MAX;
        }
        memcpy(a->weights, b->weights, sizeof(float) * (size_t)a->nweights);
    }
}

/* Together: a bias in front of another normalisation has a gradient of 0 but for edges and rounding, for which the
 * gradients of scales are the measure. */
static void same_gradients(const char *text, const layer *a, const layer *b, float tolerance) {
    size_t n = (size_t)a->n, parts = a->batch_normalize ? 2 : 1;
    float *x = malloc(2 * n * sizeof *x), *y = malloc(2 * n * sizeof *y);
    assert_true(x && y);
    memcpy(x, a->bias_updates, n * sizeof *x);
    memcpy(y, b->bias_updates, n * sizeof *y);
    if (parts == 2) {
        memcpy(x + n, a->scale_updates, n * sizeof *x);
        memcpy(y + n, b->scale_updates, n * sizeof *y);
    }
    same("bias and scale gradients", text, x, y, parts * n, tolerance);
    free(x);
    free(y);
}

void compare_parameters(const char *text, const layer *a, const layer *b, float tolerance) {
    same("weight gradient", text, a->weight_updates, b->weight_updates, (size_t)a->nweights, tolerance);
    same_gradients(text, a, b, tolerance);
    if (a->batch_normalize) {
        same("rolling mean", text, a->rolling_mean, b->rolling_mean, (size_t)a->n, tolerance);
        same("rolling variance", text, a->rolling_variance, b->rolling_variance, (size_t)a->n, tolerance);
    }
}

void open_pair(pass *ours, pass *theirs, const char *text, int blocked) {
    dpf_error err;
    open_pass(ours, text, 1);
    open_pass(theirs, text, 0);
    if (blocked)
        assert_int_equal(dn_hooks_block(&ours->hooks, &err), DPF_OK);
    copy_weights(ours->net, theirs->net);
}

void two_iterations(pass *p, float *input, const float *gradient) {
    layer last = p->net->layers[p->net->n - 1];
    p->net->train = 1;
    memcpy(p->net->input, input, sizeof(float) * (size_t)p->net->inputs * (size_t)p->net->batch);
    for (int turn = 0; turn < 2; ++turn) {
        forward_network(p->net);
        memcpy(last.delta, gradient, sizeof(float) * (size_t)last.outputs * (size_t)last.batch);
        backward_network(p->net);
    }
}

void update_all(pass *p) {
    update_args args = {.batch = p->net->batch, .learning_rate = 0.1f, .momentum = 0.9f, .decay = 0.0005f, .t = 1};
    for (int i = 0; i < p->net->n; ++i)
        if (p->net->layers[i].update)
            p->net->layers[i].update(p->net->layers[i], args);
}
