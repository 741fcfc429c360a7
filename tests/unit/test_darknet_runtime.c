/* SPDX-License-Identifier: MIT
 *
 * The stand-alone runtime against libdarknet's own forward pass: same cfg, same .weights
 * file, same input; the output of every layer is compared. Small networks with each kind
 * of layer, then the cfgs that come with Darknet: the quick ones always, all that the
 * runtime can run with DPF_LONG=1.
 *
 * Tolerance: both compute in single precision in different order, and errors grow from
 * layer to layer. Each layer's output is compared within 2e-4 of its largest magnitude;
 * a wrong tap, channel or weight is off by more than 1e-2 of it. Networks of more than
 * 100 layers get 1e-3.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <darknet.h>

#include "dpf/core/random.h"
#include "dpf/darknet/interpose.h"
#include "dpf/model/weights.h"

#define STOCK "/usr/share/darknet/cfg"

static char folder[] = "/tmp/dpf-runtime-XXXXXX", cfg_path[64], weights_path[64];

static float *random_floats(size_t count, double scale, uint64_t *state) {
    float *x = malloc((count ? count : 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < count; ++i)
        x[i] = (float)(scale * ((double)(random_next(state) >> 40) / 8388608.0 - 1));
    return x;
}

/* Weights that keep the values of each layer about as large as those before it, `sparsity` of them zero. */
static void write_weights(const dpf_graph *g, double sparsity, uint64_t *state) {
    float *values = random_floats(g->parameters, 0.1, state);
    const int32_t version[3] = {0, 2, 0};
    const uint64_t seen = 64;
    for (size_t i = 0; i < g->count; ++i) {
        const dpf_graph_layer *l = &g->layers[i];
        int behind = l->type == DPF_CONNECTED;
        float *scales = values + l->offset + l->biases + (behind ? l->weights : 0);
        float *weights = values + l->offset + l->biases + (behind ? 0 : 3 * l->bn);
        size_t rows = l->type == DPF_LOCAL ? l->outputs : (size_t)(l->filters ? l->filters : 1);
        for (size_t k = 0; k < l->bn; ++k) {
            scales[k] += 1;
            scales[2 * l->bn + k] += 1;
        }
        for (size_t k = 0; k < l->weights; ++k) {
            weights[k] *= (float)(10 * sqrt(4.0 * (double)rows / (double)l->weights));
            if ((double)(random_next(state) >> 11) * 0x1p-53 < sparsity)
                weights[k] = 0;
        }
    }
    FILE *file = fopen(weights_path, "wb"); /* not dpf_weights_write, which waits for the disk */
    assert_non_null(file);
    assert_int_equal(fwrite(version, sizeof version, 1, file), 1);
    assert_int_equal(fwrite(&seen, sizeof seen, 1, file), 1);
    assert_int_equal(fwrite(values, sizeof *values, g->parameters, file), g->parameters);
    assert_int_equal(fclose(file), 0);
    free(values);
}

static void write_text(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* The cfg with one picture a batch. */
static void copy_cfg(const char *from) {
    char line[4096];
    FILE *in = fopen(from, "r"), *out = fopen(cfg_path, "w");
    assert_non_null(in);
    assert_non_null(out);
    while (fgets(line, sizeof line, in)) {
        if (strncmp(line, "batch=", 6) == 0)
            strcpy(line, "batch=1\n");
        if (strncmp(line, "subdivisions=", 13) == 0)
            strcpy(line, "subdivisions=1\n");
        fputs(line, out);
    }
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

static network *open_darknet(void) {
    int null = open("/dev/null", O_WRONLY), saved = dup(2), saved_out = dup(1);
    fflush(stdout);
    dup2(null, 2);
    dup2(null, 1);
    network *net = parse_network_cfg(cfg_path);
    load_weights(net, weights_path);
    set_batch_network(net, 1);
    fflush(stdout);
    dup2(saved, 2);
    dup2(saved_out, 1);
    close(saved);
    close(saved_out);
    close(null);
    return net;
}

static double worst_share; /* of a layer's largest value, over the layers of a network */

static void compare_layer(const char *what, const char *name, const float *got, const float *want, size_t count,
                          double tolerance) {
    double largest = 0, worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < count; ++i) {
        double off = fabs((double)got[i] - (double)want[i]);
        largest = fmax(largest, fabs((double)want[i]));
        if (!(off <= worst)) {
            worst = off;
            at = i;
        }
    }
    if (getenv("DPF_SHOW"))
        print_message("%s %s: %.2g of %.3g\n", what, name, worst, largest);
    if (largest > 0)
        worst_share = fmax(worst_share, worst / largest);
    if (!(worst <= tolerance * largest + 1e-7))
        fail_msg("%s: %s differs at %zu of %zu: %.9g, Darknet has %.9g (largest %g)", what, name, at, count,
                 (double)got[at], (double)want[at], largest);
}

static void compare_outputs(const char *what, const dpf_model *m, const dpf_context *c, const network *net,
                            double tolerance) {
    dpf_model_info info;
    dpf_error err;
    dpf_model_get_info(m, &info);
    size_t compared = 0;
    for (size_t i = 0; i < info.outputs; ++i) {
        dpf_output_info o;
        const float *values;
        assert_int_equal(dpf_model_output(m, i, &o, &err), DPF_OK);
        assert_int_equal(dpf_context_output(c, 0, i, &values, &err), DPF_OK);
        layer l = net->layers[o.layer];
        if (l.type == COST)
            continue;
        assert_int_equal(o.floats, l.outputs);
        compare_layer(what, o.name, values, l.output, o.floats, tolerance);
        ++compared;
    }
    assert_true(compared > 0);
}

/* The cfg at cfg_path: 1 when both ran and agree, 0 when the runtime says that it cannot run it. */
static int compare_network(const char *what, double sparsity, const dpf_model_options *options) {
    uint64_t state = 7;
    dpf_cfg *cfg;
    dpf_graph *g;
    dpf_model *m;
    dpf_context *c;
    dpf_error err;
    assert_int_equal(dpf_cfg_read(&cfg, cfg_path, &err), DPF_OK);
    if (dpf_graph_new(&g, cfg, NULL, &err) != DPF_OK)
        fail_msg("%s", err.text);
    write_weights(g, sparsity, &state);
    dpf_status status = dpf_model_load(&m, cfg_path, weights_path, options, &err);
    if (status == DPF_OK) {
        float *input = random_floats(g->inputs, 1, &state);
        network *net = open_darknet();
        assert_int_equal(dpf_context_new(&c, m, &err), DPF_OK);
        network_predict(net, input);
        for (int run = 0; run < 2; ++run) { /* the second finds the arena full of the first */
            assert_int_equal(dpf_context_set_planes(c, 0, input, &err), DPF_OK);
            assert_int_equal(dpf_context_run(c, &err), DPF_OK);
            compare_outputs(what, m, c, net, g->count > 100 ? 1e-3 : 2e-4);
        }
        dpf_context_free(c);
        dpf_model_free(m);
        free_network(net);
        free(input);
    } else if (status != DPF_ERR_UNSUPPORTED) {
        fail_msg("%s: %s", what, err.text);
    }
    dpf_graph_free(g);
    dpf_cfg_free(cfg);
    return status == DPF_OK;
}

#define NET(w, h, c) "[net]\nbatch=1\nwidth=" #w "\nheight=" #h "\nchannels=" #c "\n"
#define CONV(filters, size, stride, more)                                                                              \
    "[convolutional]\nfilters=" #filters "\nsize=" #size "\nstride=" #stride "\npad=1\n" more "\n"

static const char *const small[] = {
    NET(17, 15, 6) CONV(16, 1, 2, "activation=leaky") CONV(16, 1, 3, "batch_normalize=1\ngroups=4\nactivation=relu")
        CONV(5, 1, 1, "activation=linear"),
    NET(19, 17, 3) CONV(24, 3, 2, "batch_normalize=1\nactivation=leaky") CONV(7, 1, 1, "activation=logistic")
        CONV(20, 5, 3, "activation=elu"),
    NET(32, 32, 3) CONV(32, 3, 1, "batch_normalize=1\nactivation=relu") CONV(32, 3, 1, "groups=32\nactivation=leaky")
        CONV(48, 3, 2, "groups=4\nactivation=tanh") CONV(48, 3, 2, "groups=48\nbatch_normalize=1\nactivation=linear")
            CONV(6, 1, 1, "groups=2\nactivation=ramp"),
    NET(23, 23, 3) CONV(16, 3, 1, "activation=leaky") "[maxpool]\nsize=2\nstride=2\n" CONV(
        20, 3, 1, "activation=hardtan") "[maxpool]\nsize=2\nstride=1\n[maxpool]\nsize=3\nstride=2\npadding=1\n[maxpool]"
                                        "\nsize=5\nstride=1\n"
                                        "[route]\nlayers=-1,-2\n",
    NET(24, 24, 3) CONV(16, 3, 1, "activation=leaky") CONV(32, 3, 2, "activation=leaky") CONV(
        32, 3, 1, "activation=linear") "[shortcut]\nfrom=-2\nactivation=leaky\n[upsample]\nstride=2\n[shortcut]\nfrom="
                                       "0\nactivation=logistic\n"
                                       "[route]\nlayers=-1,0\n[route]\nlayers=3\n[reorg]\nstride=2\n"
                                       "[upsample]\nstride=-3\nscale=0.5\n",
    NET(20, 20, 5)
        CONV(12, 3, 1,
             "activation=selu") "[dropout]\nprobability=.4\n[normalization]\nsize=5\n"
                                "[activation]\nactivation=plse\n[l2norm]\n[avgpool]\n[connected]\noutput=30\nbatch_"
                                "normalize=1\nactivation=lhtan\n"
                                "[connected]\noutput=9\nactivation=stair\n[softmax]\ngroups=3\ntemperature=2\n[cost]\n",
    NET(15, 15, 3) "[crop]\ncrop_width=12\ncrop_height=10\nflip=0\n" CONV(
        8, 3, 1, "activation=loggy") "[local]\nfilters=5\nsize=3\nstride=2\npad=1\nactivation=relie\n[local]\nfilters="
                                     "4\nsize=2\nstride=1\npad=0\n"
                                     "[connected]\noutput=16\n[logistic]\n",
    NET(18, 12, 4) CONV(16, 3, 1, "activation=leaky") "[reorg]\nstride=2\nreverse=1\n" CONV(
        16, 1, 1, "activation=leaky") "[reorg]\nstride=2\nflatten=1\n[reorg]\nstride=1\nextra=5\n",
    NET(32, 32, 3) CONV(64, 3, 2, "activation=leaky") "[route]\nlayers=0\n" CONV(
        30, 1, 1, "activation=linear") "[region]\nanchors=1,1,2,3,3,2\nclasses=5\ncoords=4\nnum=3\nsoftmax=1\n",
    NET(32, 32, 3)
        CONV(30, 3, 2,
             "activation=linear") "[region]\nanchors=1,1,2,3,3,2\nclasses=5\nnum=3\nbackground=1\n"
                                  "softmax=1\n[route]\nlayers=0\n[region]\nanchors=1,1,2,3,3,2\nclasses=5\nnum=3\n",
    NET(28, 28, 1)
        CONV(32, 3, 1, "activation=leaky") "[connected]\noutput=117\n[detection]\nclasses=3\ncoords=4\nnum=2\n"
                                           "side=3\nsoftmax=1\nsqrt=1\n",
    NET(26, 26, 3) CONV(24, 3, 2, "activation=leaky") CONV(32, 1, 1, "activation=leaky")
        CONV(32, 3, 1, "batch_normalize=1\nactivation=leaky")
            CONV(32, 1, 1, "activation=linear") "[shortcut]\nfrom=-3\nactivation=leaky\n" CONV(
                18, 1, 1, "activation=linear") "[yolo]\nmask=0,1\nanchors=10,14,23,27\nclasses=4\nnum=2\n"
                                               "[route]\nlayers=4\n" CONV(8, 1, 1,
                                                                          "activation=leaky") "[upsample]\nstride=2\n",
    NET(64, 64, 3) CONV(32, 3, 2, "activation=leaky")
        CONV(24, 1, 1, "activation=linear") "[yolo]\nmask=1,2,3\nanchors=10,14,23,27,37,58,81,82\nclasses=3\nnum=4\n",
};

static void test_layers(void **unused) {
    (void)unused;
    static const dpf_kernels engines[] = {DPF_KERNELS_AUTO, DPF_KERNELS_DENSE, DPF_KERNELS_SPARSE, DPF_KERNELS_BLAS};
    for (size_t i = 0; i < sizeof small / sizeof *small; ++i) {
        char what[64];
        write_text(cfg_path, small[i]);
        for (int k = 0; k < 8; ++k) {
            const dpf_model_options o = {.threads = 1 + k % 2, .kernels = engines[k / 2], .keep_layers = k % 2};
            snprintf(what, sizeof what, "network %zu, options %d", i, k);
            assert_true(compare_network(what, k % 2 ? 0.8 : 0, &o));
        }
    }
}

static int ends_with(const char *name, const char *end) {
    size_t a = strlen(name), b = strlen(end);
    return a >= b && strcmp(name + a - b, end) == 0;
}

/* Seconds of libdarknet's own forward passes; the rest needs DPF_LONG. */
static const char *const quick[] = {"cifar.cfg", "cifar.test.cfg",      "darknet.cfg",     "go.test.cfg",
                                    "tiny.cfg",  "yolov2-tiny-voc.cfg", "yolov3-tiny.cfg", "jnet-conv.cfg"};
/* More memory than a test should take. */
static const char *const large[] = {"extraction22k.cfg", "vgg-16.cfg", "strided.cfg"};

static int is_in(const char *name, const char *const *list, size_t count) {
    for (size_t i = 0; i < count; ++i)
        if (strcmp(name, list[i]) == 0)
            return 1;
    return 0;
}

static void test_stock(void **unused) {
    (void)unused;
    char path[512];
    int all = getenv("DPF_LONG") != NULL;
    size_t run = 0, refused = 0;
    DIR *dir = opendir(STOCK);
    if (!dir)
        skip();
    dn_interpose(1); /* OpenBLAS for libdarknet's products: minutes less */
    for (struct dirent *e; (e = readdir(dir));) {
        if (!ends_with(e->d_name, ".cfg") || is_in(e->d_name, large, sizeof large / sizeof *large) ||
            (!all && !is_in(e->d_name, quick, sizeof quick / sizeof *quick)))
            continue;
        snprintf(path, sizeof path, STOCK "/%s", e->d_name);
        copy_cfg(path);
        const dpf_model_options o = {.threads = 2, .keep_layers = 1};
        worst_share = 0;
        int ran = compare_network(e->d_name, 0.7, &o);
        run += (size_t)ran;
        refused += (size_t)!ran;
        if (all)
            print_message(ran ? "%s: equal, to %.1e of a layer's largest value\n" : "%s: not for the runtime\n",
                          e->d_name, worst_share);
    }
    closedir(dir);
    print_message("%zu cfgs equal, %zu refused\n", run, refused);
    assert_true(run >= sizeof quick / sizeof *quick);
}

/* Pixels to input: Darknet's functions and ours, from the same bytes. libdarknet was compiled with
 * -Ofast, which may round a product or a division differently in the last bit. */
static void test_pixels(void **unused) {
    (void)unused;
    static const int sizes[][2] = {{64, 48}, {48, 64}, {31, 90}, {416, 416}, {1, 7}, {7, 1}, {300, 2}};
    uint64_t state = 5;
    dpf_model *m;
    dpf_context *c;
    dpf_error err;
    const float *got;
    const dpf_model_options o = {.threads = 1, .random = 1, .keep_layers = 1};
    write_text(cfg_path, NET(52, 40, 3) "[activation]\nactivation=linear\n");
    assert_int_equal(dpf_model_load(&m, cfg_path, NULL, &o, &err), DPF_OK);
    assert_int_equal(dpf_context_new(&c, m, &err), DPF_OK);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; ++i)
        for (int fit = 0; fit < 3; ++fit) {
            int w = sizes[i][0], h = sizes[i][1];
            unsigned char *pixels = malloc((size_t)w * (size_t)h * 3);
            image im = make_image(w, h, 3);
            for (int k = 0; k < w * h * 3; ++k) {
                pixels[k] = (unsigned char)random_next(&state);
                im.data[k % 3 * w * h + k / 3] = (float)((double)pixels[k] / 255.);
            }
            image want = fit == DPF_FIT_RESIZE      ? resize_image(im, 52, 40)
                         : fit == DPF_FIT_LETTERBOX ? letterbox_image(im, 52, 40)
                                                    : center_crop_image(im, 52, 40);
            dpf_status status = dpf_context_set_pixels(c, 0, pixels, w, h, 3, (dpf_fit)fit, &err);
            if (status == DPF_ERR_RANGE && fit == DPF_FIT_LETTERBOX && w > 50 * h) { /* no row is left of it */
                free_image(want);
                free_image(im);
                free(pixels);
                continue;
            }
            assert_int_equal(status, DPF_OK);
            assert_int_equal(dpf_context_run(c, &err), DPF_OK);
            assert_int_equal(dpf_context_output(c, 0, 0, &got, &err), DPF_OK);
            for (int k = 0; k < 52 * 40 * 3; ++k)
                if (!(fabsf(got[k] - want.data[k]) <= 1.2e-7f))
                    fail_msg("%d x %d, fit %d: value %d is %.9g, Darknet has %.9g", w, h, fit, k, (double)got[k],
                             (double)want.data[k]);
            free_image(want);
            free_image(im);
            free(pixels);
        }
    dpf_context_free(c);
    dpf_model_free(m);
}

static int setup(void **unused) {
    (void)unused;
    if (!mkdtemp(folder))
        return 1;
    snprintf(cfg_path, sizeof cfg_path, "%s/net.cfg", folder);
    snprintf(weights_path, sizeof weights_path, "%s/net.weights", folder);
    return 0;
}

static int teardown(void **unused) {
    (void)unused;
    unlink(cfg_path);
    unlink(weights_path);
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layers), cmocka_unit_test(test_stock),
                                       cmocka_unit_test(test_pixels)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
