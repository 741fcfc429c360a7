/* SPDX-License-Identifier: MIT
 *
 * Models that cannot be: every option of every layer that the runtime knows out of its
 * range, shapes that do not fit, routes that lead nowhere or forward, sizes that
 * overflow, weights that are missing. Each is an error that names file, line and what is
 * wrong; nothing is left behind.
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

#include "runtime_world.h"

static const char *path;
static char weights[80];

static void write_bytes(const char *to, const void *bytes, size_t size) {
    FILE *file = fopen(to, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

typedef struct bad_model {
    const char *text, *message;
    dpf_status status;
} bad_model;

static void test_bad_models(void **unused) {
    (void)unused;
    static const bad_model bad[] = {
        {"[convolutional]\n", "first section must be [net]", DPF_ERR_FORMAT},
        {"[net]\nwidth=0\nheight=4\nchannels=3\n" CONV(4, 3, ""), "needs width", DPF_ERR_RANGE},
        {NET CONV(0, 3, ""), "filters=0", DPF_ERR_RANGE},
        {NET CONV(4, 0, ""), "size=0", DPF_ERR_RANGE},
        {NET CONV(4, 3, "stride=0"), "stride=0", DPF_ERR_RANGE},
        {NET CONV(4, 3, "groups=2"), "groups=2", DPF_ERR_MISMATCH},
        {NET CONV(4, 3, "dilation=0"), "dilation=0", DPF_ERR_RANGE},
        {NET CONV(4, 3, "activation=mishh"), "did you mean mish", DPF_ERR_FORMAT},
        {NET "[convolutional]\nfilters=4\nsize=99\n", "does not fit", DPF_ERR_MISMATCH},
        {NET CONV(16777216, 4095, ""), "too large", DPF_ERR_RANGE},
        {"[net]\nwidth=16777216\nheight=16777216\nchannels=3\n" CONV(4, 3, ""), "too large", DPF_ERR_RANGE},
        {"[net]\nwidth=20000\nheight=20000\nchannels=3\n" CONV(60, 3, ""), "", DPF_ERR_RANGE},
        {NET CONV(4, 3, "") "[route]\nlayers=1\n", "does not come before it", DPF_ERR_RANGE},
        {NET CONV(4, 3, "") "[route]\nlayers=2\n" CONV(4, 3, ""), "does not come before it", DPF_ERR_RANGE},
        {NET CONV(4, 3, "") "[route]\nlayers=-2\n", "before the first", DPF_ERR_RANGE},
        {NET CONV(4, 3, "") "[route]\n", "needs layers=", DPF_ERR_FORMAT},
        {NET CONV(4, 3, "") CONV(4, 3, "stride=2") "[route]\nlayers=0,1\n", "different sizes", DPF_ERR_MISMATCH},
        {NET CONV(4, 3, "") "[route]\nlayers=0\ngroups=3\ngroup_id=0\n", "groups=3", DPF_ERR_MISMATCH},
        {NET CONV(4, 3, "") "[route]\nlayers=0\ngroups=2\ngroup_id=2\n", "group_id=2", DPF_ERR_RANGE},
        {NET CONV(4, 3, "") "[shortcut]\nfrom=5\n", "does not come before it", DPF_ERR_RANGE},
        {NET CONV(4, 3, "") CONV(4, 3, "stride=3") "[shortcut]\nfrom=0\nactivation=linear\n", "", DPF_OK},
        {NET "[maxpool]\nsize=0\n", "size=0", DPF_ERR_RANGE},
        {NET "[maxpool]\nsize=40\nstride=1\npadding=0\n", "does not fit", DPF_ERR_MISMATCH},
        {NET "[upsample]\nstride=0\n", "stride=0", DPF_ERR_RANGE},
        {NET "[reorg]\nstride=5\n", "does not divide", DPF_ERR_MISMATCH},
        {NET CONV(4, 3, "") "[reorg3d]\nstride=2\nreverse=1\n", "reverse", DPF_ERR_UNSUPPORTED},
        {NET "[crop]\ncrop_width=40\ncrop_height=4\n", "cuts", DPF_ERR_MISMATCH},
        {NET "[softmax]\ngroups=7\n", "groups=7", DPF_ERR_MISMATCH},
        {NET "[softmax]\ntree=no.tree\n", "tree", DPF_ERR_UNSUPPORTED},
        {NET CONV(15, 1, "") YOLO, "needs 16 channels", DPF_ERR_MISMATCH},
        {NET CONV(16, 1, "") "[yolo]\nmask=0,9\nanchors=4,5,10,12\nclasses=3\nnum=2\n", "entry 2", DPF_ERR_RANGE},
        {NET "[connected]\noutput=5\n[detection]\nclasses=3\nside=2\n", "needs", DPF_ERR_MISMATCH},
        {NET "[connected]\noutput=0\n", "output=0", DPF_ERR_RANGE},
        {NET "[rnn]\noutput=5\n", "libdarknet may", DPF_ERR_UNSUPPORTED},
        {NET CONV(4, 3, "xnor=1"), "xnor", DPF_ERR_UNSUPPORTED},
        {NET CONV(4, 3, "antialiasing=1"), "antialiasing", DPF_ERR_UNSUPPORTED},
        {NET "[local]\nsize=5\npad=1\n", "pad=1", DPF_ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        dpf_model *m = (dpf_model *)&bad;
        dpf_error err = {.text = ""};
        const dpf_model_options o = {.random = 1};
        world_write(bad[i].text);
        dpf_status status = dpf_model_load(&m, path, NULL, &o, &err);
        if (status == DPF_OK && bad[i].status != DPF_OK)
            fail_msg("accepted: %s", bad[i].text);
        if (bad[i].status != DPF_OK && (m || !strstr(err.text, bad[i].message) || !strstr(err.text, path)))
            fail_msg("wanted '%s', got '%s' (%d) for %s", bad[i].message, err.text, (int)status, bad[i].text);
        dpf_model_free(m);
    }
}

/* An option of a layer, and the range that it has; the text is the network up to the layer's last key. */
typedef struct bounded {
    const char *text, *key;
    long low, high;
} bounded;

#define DIM (1L << 24)

static const bounded options[] = {
    {"[net]\nheight=8\nchannels=3\n", "width", 0, DIM},
    {"[net]\nwidth=8\nchannels=3\n", "height", 0, DIM},
    {"[net]\nwidth=8\nheight=8\n", "channels", 0, DIM},
    {NET "batch=4\n", "subdivisions", 1, 4},
    {NET, "batch", 1, 1L << 20},
    {NET "[convolutional]\n", "filters", 1, DIM},
    {NET "[convolutional]\n", "size", 1, DIM},
    {NET "[convolutional]\nsize=3\n", "stride", 1, DIM},
    {NET "[convolutional]\nsize=3\n", "stride_x", 1, DIM},
    {NET "[convolutional]\nsize=3\n", "stride_y", 1, DIM},
    {NET "[convolutional]\nsize=3\n", "padding", 0, DIM},
    {NET "[convolutional]\nsize=3\n", "dilation", 1, DIM},
    {NET "[convolutional]\nsize=3\nfilters=6\n", "groups", 1, DIM},
    {NET "[convolutional]\n", "binary", 0, 1},
    {NET "[convolutional]\n", "xnor", 0, 1},
    {NET "[connected]\n", "output", 1, DIM},
    {NET "[local]\n", "filters", 1, DIM},
    {NET "[local]\n", "size", 1, DIM},
    {NET "[local]\n", "stride", 1, DIM},
    {NET "[maxpool]\n", "size", 1, DIM},
    {NET "[maxpool]\n", "stride", 1, DIM},
    {NET "[maxpool]\n", "stride_x", 1, DIM},
    {NET "[maxpool]\n", "padding", 0, DIM},
    {NET "[local_avgpool]\n", "size", 1, DIM},
    {NET "[local_avgpool]\n", "padding", 0, DIM},
    {NET CONV(4, 3, "") "[route]\nlayers=0\n", "groups", 1, DIM},
    {NET CONV(4, 3, "") "[route]\nlayers=0\ngroups=2\n", "group_id", 0, 1},
    {NET CONV(4, 3, "") "[route]\n", "layers", -1, 0},
    {NET CONV(4, 3, "") "[shortcut]\n", "from", -1, 0},
    {NET CONV(4, 3, "") "[scale_channels]\n", "from", -1, 0},
    {NET CONV(4, 3, "") "[sam]\n", "from", -1, 0},
    {NET "[upsample]\n", "stride", -DIM, DIM},
    {NET "[reorg]\n", "stride", 1, 1 << 12},
    {NET "[reorg]\n", "reverse", 0, 1},
    {NET "[reorg]\n", "flatten", 0, 1},
    {NET "[reorg]\n", "extra", 0, DIM},
    {NET "[reorg3d]\n", "stride", 1, 1 << 12},
    {NET "[crop]\ncrop_width=4\n", "crop_height", 1, DIM},
    {NET "[crop]\ncrop_height=4\n", "crop_width", 1, DIM},
    {NET "[crop]\ncrop_height=4\ncrop_width=4\n", "noadjust", 0, 1},
    {NET "[softmax]\n", "groups", 1, DIM},
    {NET "[normalization]\n", "size", 1, DIM},
    {NET CONV(16, 1, "") "[yolo]\nnum=2\nanchors=4,5,10,12\n", "classes", 0, 1L << 20},
    {NET CONV(16, 1, "") "[yolo]\n", "num", 1, 1L << 16},
    {NET CONV(16, 1, "") "[yolo]\nnum=2\nclasses=3\nanchors=4,5,10,12\n", "mask", 0, 1},
    {NET CONV(16, 1, "") YOLO, "max", 0, 1L << 20},
    {NET CONV(16, 1, "") YOLO, "new_coords", 0, 1},
    {NET CONV(30, 1, "") "[region]\nnum=3\nclasses=5\n", "coords", 4, 1L << 16},
    {NET CONV(30, 1, "") "[region]\nnum=3\n", "classes", 0, 1L << 20},
    {NET CONV(30, 1, "") "[region]\nclasses=5\n", "num", 1, 1L << 16},
    {NET CONV(30, 1, "") "[region]\nnum=3\nclasses=5\n", "softmax", 0, 1},
    {NET CONV(30, 1, "") "[region]\nnum=3\nclasses=5\n", "background", 0, 1},
    {NET "[connected]\noutput=117\n[detection]\nclasses=3\nside=3\nnum=2\n", "coords", 0, 1 << 10},
    {NET "[connected]\noutput=117\n[detection]\ncoords=4\nside=3\nnum=2\n", "classes", 0, 1L << 20},
    {NET "[connected]\noutput=117\n[detection]\ncoords=4\nside=3\nclasses=3\n", "num", 1, 1 << 10},
    {NET "[connected]\noutput=117\n[detection]\ncoords=4\nclasses=3\nnum=2\n", "side", 1, 1 << 10},
};

static int count_lines(const char *text) {
    int lines = 0;
    for (; *text; text++)
        lines += *text == '\n';
    return lines;
}

static void refuse_value(const bounded *o, const char *value) {
    char text[1024], place[96], got[64];
    dpf_model *m;
    dpf_error err = {.text = ""};
    const dpf_model_options random = {.random = 1, .threads = 1};
    snprintf(text, sizeof text, "%s%s=%s\n%s", o->text, o->key, value, strstr(o->text, "\n[") ? "" : CONV(4, 3, ""));
    world_write(text);
    snprintf(place, sizeof place, "%s:%d:", path, count_lines(o->text) + 1);
    snprintf(got, sizeof got, "%s=%s", o->key, value);
    if (dpf_model_load(&m, path, NULL, &random, &err) == DPF_OK)
        fail_msg("accepted: %s", text);
    /* lists say which entry it is, routes which layer; the line is the layer's or the option's */
    if (m || !strstr(err.text, path) || (!strstr(err.text, o->key) && !strstr(err.text, value)) ||
        (!strstr(err.text, got) && !strstr(err.text, value) && !strstr(err.text, place)))
        fail_msg("%s=%s: '%s'", o->key, value, err.text);
}

static void test_ranges(void **unused) {
    (void)unused;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        const bounded *o = &options[i];
        char value[32];
        snprintf(value, sizeof value, "%ld", o->low - 1);
        refuse_value(o, value);
        snprintf(value, sizeof value, "%ld", o->high + 1);
        refuse_value(o, value);
        refuse_value(o, "99999999999999999999");
        refuse_value(o, "1x");
    }
}

/* Sizes whose products leave int or size_t, in every place where one is made. */
static void test_overflow(void **unused) {
    (void)unused;
    static const char *const texts[] = {
        "[net]\nwidth=46341\nheight=46341\nchannels=1\n" CONV(1, 1, ""),
        "[net]\nwidth=4096\nheight=4096\nchannels=128\n" CONV(1, 1, ""),
        NET CONV(4000000, 3, ""),
        NET CONV(1000, 1000, ""),
        NET "[connected]\noutput=1000000\n",
        NET "[local]\nfilters=1000000\nsize=31\nstride=1\npad=0\n",
        NET "[upsample]\nstride=5000\n",
        NET "[upsample]\nstride=16777216\n",
        NET "[convolutional]\nsize=3\nfilters=8\npadding=16777216\n",
        NET "[maxpool]\nsize=1\nstride=1\npadding=16777216\n",
        NET "[reorg]\nextra=16777216\n[upsample]\nstride=64\n",
        NET CONV(16, 1, "") "[yolo]\nclasses=1048576\nnum=65536\n",
        NET CONV(30, 1, "") "[region]\nclasses=1048576\nnum=65536\ncoords=65536\n",
        NET "[connected]\noutput=117\n[detection]\nclasses=1048576\nside=1024\nnum=1024\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int batch = 1; batch <= 4096; batch *= 64) {
            dpf_model *m;
            dpf_error err = {.text = ""};
            const dpf_model_options o = {.random = 1, .threads = 1, .batch = batch};
            world_write(texts[i]);
            if (dpf_model_load(&m, path, NULL, &o, &err) == DPF_OK)
                fail_msg("accepted: %s", texts[i]);
            if (m || !strstr(err.text, path))
                fail_msg("%s: '%s'", texts[i], err.text);
        }
}

/* Weights: none, empty, a header, cut anywhere, not a number of floats, of another network. */
static void test_weights(void **unused) {
    (void)unused;
    enum { FLOATS = 4 + 3 * 4 * 9 };
    struct {
        int32_t version[3];
        uint8_t seen[8];
        float values[FLOATS + 5];
    } __attribute__((packed)) file = {.version = {0, 2, 0}};
    const size_t header = sizeof file - sizeof file.values, whole = header + FLOATS * sizeof(float);
    dpf_model *m;
    dpf_error err;
    for (size_t i = 0; i < FLOATS; i++)
        file.values[i] = (float)i / FLOATS;
    world_write(NET CONV(4, 3, ""));
    unlink(weights);
    assert_int_equal(dpf_model_load(&m, path, weights, NULL, &err), DPF_ERR_IO);
    static const size_t cuts[] = {0, 1, 11, 12, 19, 20, 21, 24, 24 + 4 * 4, 24 + 4 * (FLOATS - 2)};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        write_bytes(weights, &file, cuts[i]);
        err.text[0] = 0;
        if (dpf_model_load(&m, path, weights, NULL, &err) == DPF_OK || m || !strstr(err.text, weights))
            fail_msg("cut after %zu bytes: '%s'", cuts[i], err.text);
    }
    write_bytes(weights, &file, whole - 1);
    assert_int_not_equal(dpf_model_load(&m, path, weights, NULL, &err), DPF_OK);
    write_bytes(weights, &file, whole);
    if (dpf_model_load(&m, path, weights, NULL, &err) != DPF_OK)
        fail_msg("%s", err.text);
    dpf_model_free(m);
    world_write(NET CONV(8, 3, ""));
    assert_int_not_equal(dpf_model_load(&m, path, weights, NULL, &err), DPF_OK);
    assert_non_null(strstr(err.text, weights));
}

static int setup(void **unused) {
    if (world_setup(unused))
        return 1;
    path = world_path();
    snprintf(weights, sizeof weights, "%s.weights", path);
    return 0;
}

static int teardown(void **unused) {
    unlink(weights);
    return world_teardown(unused);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bad_models), cmocka_unit_test(test_ranges),
                                       cmocka_unit_test(test_overflow), cmocka_unit_test(test_weights)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
