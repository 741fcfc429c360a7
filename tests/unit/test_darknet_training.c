/* SPDX-License-Identifier: MIT
 *
 * Training inside the real libdarknet, exactly: how many weights are pruned and when,
 * what the mask may and may not do, and that a run repeats bit for bit. The pictures
 * are made here: noise, brighter on the left in one class and on the right in the other.
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
#include <unistd.h>

#include <stb/stb_image_write.h>

#include "dpf/darknet/net.h"
#include "dpf/kernels/cpu.h"
#include "dpf/model/checkpoint.h"
#include "dpf/model/file.h"

enum { PICTURES = 24, SIDE = 40, MAX_TENSORS = 8, MOST_TOGETHER = 64 };

static char folder[] = "/tmp/dpf-training-XXXXXX";
static char names[PICTURES][64];
static const char *paths[PICTURES];
static const char *const labels[] = {"_left", "_right"};

static const char body[] =
    "[convolutional]\nbatch_normalize=1\nfilters=16\nsize=3\nstride=1\npad=1\nactivation=leaky\n"
    "[maxpool]\nsize=2\nstride=2\n"
    "[convolutional]\nbatch_normalize=1\nfilters=24\nsize=3\nstride=1\npad=1\nactivation=relu\n"
    "[convolutional]\nbatch_normalize=1\nfilters=24\nsize=3\nstride=1\npad=1\nactivation=linear\n"
    "[shortcut]\nfrom=-2\nactivation=relu\n"
    "[convolutional]\nfilters=2\nsize=1\nstride=1\npad=1\nactivation=linear\n"
    "[avgpool]\n[softmax]\n";

static int make_pictures(void **state) {
    (void)state;
    static unsigned char pixels[SIDE * SIDE * 3];
    if (!mkdtemp(folder))
        return -1;
    srand(1);
    for (int i = 0; i < PICTURES; ++i) {
        snprintf(names[i], sizeof names[i], "%s/%d%s.png", folder, i, labels[i % 2]);
        paths[i] = names[i];
        for (int k = 0; k < SIDE * SIDE * 3; ++k) {
            int bright = (k / 3 % SIDE < SIDE / 2) == (i % 2 == 0);
            pixels[k] = (unsigned char)(rand() % 120 + (bright ? 80 : 0));
        }
        if (!stbi_write_png(names[i], SIDE, SIDE, 3, pixels, SIDE * 3))
            return -1;
    }
    return 0;
}

static int remove_pictures(void **state) {
    (void)state;
    for (int i = 0; i < PICTURES; ++i)
        unlink(names[i]);
    return rmdir(folder);
}

static int dense_kernels; /* of networks that are opened */

/* Opens [net] (of a key given twice the first counts) + the body + [dpf] with weights and state, or NULL. */
static dn_net *open_with(const char *net_keys, const char *dpf, uint64_t seed, const char *weights, int clear,
                         const dpf_state *found, dpf_status expected) {
    char text[4096], path[128];
    int length = snprintf(text, sizeof text,
                          "[net]\n%s\nbatch=8\nsubdivisions=1\nheight=32\nwidth=32\nchannels=3\nmax_crop=40\n"
                          "learning_rate=0.05\nmax_batches=200\nmomentum=0.9\ndecay=0.001\n%s%s",
                          net_keys, body, dpf);
    snprintf(path, sizeof path, "%s/net.cfg", folder);
    dpf_error err = {0};
    assert_int_equal(dpf_file_replace(path, text, (size_t)length, &err), DPF_OK);
    dn_net *net = NULL;
    dn_open_args args = {.cfg_path = path,
                         .weights_path = weights,
                         .clear = clear,
                         .state = found,
                         .train = 1,
                         .threads = 2,
                         .seed = seed,
                         .dense_kernels = dense_kernels,
                         .quiet = 1};
    if (dn_open(&net, &args, &err) != expected)
        fail_msg("%s", err.text);
    unlink(path);
    return net;
}

static dn_net *open_net(const char *net_keys, const char *dpf, uint64_t seed) {
    return open_with(net_keys, dpf, seed, NULL, 0, NULL, DPF_OK);
}

static void iterate(dn_net *net) {
    dn_info info;
    dn_get_info(net, &info);
    const char *batch[MOST_TOGETHER];
    size_t t = dn_iteration(net), n = (size_t)info.batch * (size_t)info.subdivisions;
    for (size_t i = 0; i < n; ++i)
        batch[i] = paths[(t * n + i) % PICTURES];
    dn_load_args args = {.paths = batch, .count = n, .labels = labels, .classes = 2, .iteration = t, .augment = 1};
    dn_data *data;
    dpf_error err = {0};
    float loss;
    assert_int_equal(dn_load(net, &args, &data, &err), DPF_OK);
    if (dn_train(net, data, &loss, &err) != DPF_OK)
        fail_msg("%s", err.text);
    dn_data_free(data);
}

/* The saved file as bytes; the caller frees. */
static char *saved(dn_net *net, int pruned, size_t *size) {
    char path[128], *bytes;
    dpf_error err = {0};
    snprintf(path, sizeof path, "%s/net.weights", folder);
    assert_int_equal(dn_save(net, path, pruned, &err), DPF_OK);
    assert_int_equal(dpf_file_read(path, 1 << 24, &bytes, size, &err), DPF_OK);
    unlink(path);
    return bytes;
}

static size_t popcount(const uint64_t *mask, size_t bits) {
    size_t n = 0;
    for (size_t i = 0; i < (bits + 63) / 64; ++i)
        n += (size_t)__builtin_popcountll(mask[i]);
    return n;
}

static size_t pruned_now(const dpf_pruner *pruner, size_t *total) {
    size_t pruned = 0;
    *total = 0;
    for (size_t i = 0; i < dpf_pruner_tensors(pruner); ++i) {
        dpf_tensor_stats stats;
        dpf_pruner_get_tensor_stats(pruner, i, &stats);
        *total += stats.count;
        pruned += stats.count - popcount(dpf_pruner_mask(pruner, i), stats.count);
    }
    return pruned;
}

/* s_t by the formula, independent of the library. */
static double ramp(double s, double t, double begin, double end) {
    double left = t >= end ? 0 : 1 - (t - begin) / (end - begin);
    return t < begin ? 0 : s - s * left * left * left;
}

static void check_schedule(size_t every, size_t begin, size_t end, const char *net_keys) {
    char dpf[256];
    snprintf(dpf, sizeof dpf, "[dpf]\nsparsity=0.87\nupdate_every=%zu\nbegin=%zu\nend=%zu\n", every, begin, end);
    dn_net *net = open_net(net_keys, dpf, 3);
    const dpf_pruner *pruner = dn_pruner(net);
    size_t total, last = 0;
    uint64_t *before[MAX_TENSORS] = {0};
    for (size_t t = 0; t <= end + 5; ++t) {
        size_t pruned = pruned_now(pruner, &total);
        int due = t == 0 || (t >= begin && t % every == 0) || t == end;
        if (due)
            assert_int_equal(pruned,
                             (size_t)llround(ramp(0.87, (double)t, (double)begin, (double)end) * (double)total));
        else
            assert_int_equal(pruned, last);
        for (size_t i = 0; i < dpf_pruner_tensors(pruner); ++i) {
            dpf_tensor_stats stats;
            dpf_pruner_get_tensor_stats(pruner, i, &stats);
            size_t bytes = (stats.count + 63) / 64 * 8;
            if (!before[i])
                before[i] = malloc(bytes);
            else if (!due)
                assert_memory_equal(before[i], dpf_pruner_mask(pruner, i), bytes);
            memcpy(before[i], dpf_pruner_mask(pruner, i), bytes);
        }
        last = pruned;
        assert_int_equal(dn_iteration(net), t);
        iterate(net);
    }
    assert_int_equal(last, (size_t)llround(0.87 * (double)total));
    for (size_t i = 0; i < MAX_TENSORS; ++i)
        free(before[i]);
    dn_close(net);
}

static void test_count_and_constancy(void **state) {
    (void)state;
    check_schedule(1, 0, 20, "");
    check_schedule(3, 5, 23, "");
    check_schedule(7, 0, 25, "");
    check_schedule(16, 2, 37, "");
    check_schedule(50, 0, 21, ""); /* the period is longer than the ramp */
    check_schedule(4, 0, 14, "subdivisions=2\nbatch=8");
    check_schedule(4, 0, 14, "adam=1");
}

/* random=1 changes the size of the pictures between iterations; pruning goes on. */
static void test_resizing(void **state) {
    (void)state;
    dn_net *net = open_net("random=1", "[dpf]\nsparsity=0.5\nend=3\nupdate_every=2\n", 11);
    size_t total;
    dn_info first, info;
    iterate(net);
    iterate(net);
    dn_get_info(net, &first);
    for (int i = 0; i < 3; ++i)
        iterate(net);
    dn_get_info(net, &info);
    assert_true(info.width % 32 == 0 && info.width >= 128);
    assert_int_equal(first.width, info.width); /* the same for 40 iterations */
    size_t pruned = pruned_now(dn_pruner(net), &total);
    assert_int_equal(pruned, (size_t)llround(0.5 * (double)total));
    dn_close(net);
}

static int sparse_passes(const dn_net *net) {
    int passes = 0;
    for (size_t i = 0; i < net->hooks.count; ++i)
        passes += __builtin_popcount((unsigned)net->hooks.hooks[i].sparse.passes);
    return passes;
}

/* Trainings on sparse and on dense kernels differ by rounding: over subdivisions, over sizes that change, and both;
 * with mini-batches for lanes of 16 pictures and smaller ones. */
static void test_sparse_kernels(void **state) {
    (void)state;
    if (dpf_cpu_isa() < DPF_ISA_AVX512)
        skip();
    static const char *const keys[] = {"batch=64\nsubdivisions=2", "batch=8\nsubdivisions=2", "batch=32"};
    static const char dpf[] = "[dpf]\nsparsity=0.9\nschedule=constant\nupdate_every=8\n";
    static const int sides[] = {32, 32, 48, 24}, batches[] = {32, 4, 32};
    for (int k = 0; k < 3; ++k) {
        dn_net *sparse = open_net(keys[k], dpf, 3);
        dense_kernels = 1;
        dn_net *dense = open_net(keys[k], dpf, 3);
        dense_kernels = 0;
        for (int i = 0; i < 4; ++i) {
            dn_resize(sparse, k == 0 ? 32 : sides[i]);
            dn_resize(dense, k == 0 ? 32 : sides[i]);
            iterate(sparse);
            iterate(dense);
            assert_true(sparse_passes(sparse) >= 3);
            assert_int_equal(sparse->net->batch, batches[k]);
            assert_int_equal(sparse->hooks.hooks[0].sparse.lanes, batches[k] == 32 ? DPF_BLOCK_Y : 0);
            assert_int_equal(sparse_passes(dense), 0);
        }
        size_t size, differ = 0;
        char *a = saved(sparse, 1, &size), *b = saved(dense, 1, &size);
        for (size_t i = 20; i + 4 <= size; i += 4) {
            float x, y;
            memcpy(&x, a + i, 4);
            memcpy(&y, b + i, 4);
            assert_true(fabsf(x - y) <= 2e-3f * (1 + fabsf(y)));
            differ += x != y;
        }
        assert_true(differ > 0); /* so they are two kinds of kernels */
        free(a);
        free(b);
        dn_close(sparse);
        dn_close(dense);
    }
}

static void test_zero_sparsity_is_dense_training(void **state) {
    (void)state;
    dn_net *zero = open_net("", "[dpf]\nsparsity=0\n", 7), *none = open_net("", "", 7);
    assert_non_null(dn_pruner(zero));
    assert_null(dn_pruner(none));
    for (int i = 0; i < 50; ++i) {
        iterate(zero);
        iterate(none);
    }
    size_t a_size, b_size, c_size;
    char *a = saved(zero, 0, &a_size), *b = saved(none, 0, &b_size), *c = saved(zero, 1, &c_size);
    assert_int_equal(a_size, b_size);
    assert_int_equal(a_size, c_size);
    assert_memory_equal(a, b, a_size);
    assert_memory_equal(a, c, a_size);
    free(a);
    free(b);
    free(c);
    dn_close(zero);
    dn_close(none);
}

static void test_one_seed_one_result(void **state) {
    (void)state;
    const char *dpf = "[dpf]\nsparsity=0.8\nend=15\nupdate_every=4\n";
    dn_net *a = open_net("", dpf, 5), *b = open_net("", dpf, 5), *c = open_net("", dpf, 6);
    for (int i = 0; i < 20; ++i) {
        iterate(a);
        iterate(c);
    }
    for (int i = 0; i < 20; ++i) /* not interleaved with the first */
        iterate(b);
    size_t size, other_size;
    char *x = saved(a, 0, &size), *y = saved(b, 0, &other_size), *z = saved(c, 0, &other_size);
    assert_memory_equal(x, y, size);
    assert_true(memcmp(x, z, size) != 0);
    free(x);
    free(y);
    free(z);
    dn_close(a);
    dn_close(b);
    dn_close(c);
}

/* Reads the dense weights of tensor 1 out of the network through a dense save: they
 * stand after the header, the first layer and the biases and statistics of the second. */
static float *dense_weights(dn_net *net, size_t tensor, size_t *count) {
    size_t size;
    char *bytes = saved(net, 0, &size);
    const dpf_graph_layer *layer = &dn_graph(net)->layers[dn_tensor_layer(net, tensor)];
    *count = layer->weights;
    float *weights = malloc(*count * sizeof *weights);
    memcpy(weights, bytes + 20 + sizeof(float) * (layer->offset + layer->biases + 3 * layer->bn),
           *count * sizeof *weights);
    free(bytes);
    return weights;
}

static void check_feedback(int feedback) {
    char dpf[128];
    snprintf(dpf, sizeof dpf, "[dpf]\nsparsity=0.6\nend=10\nupdate_every=2\nfeedback=%d\n", feedback);
    dn_net *net = open_net("", dpf, 9);
    const dpf_pruner *pruner = dn_pruner(net);
    size_t revived = 0, n;
    for (int i = 0; i < 30; ++i) {
        size_t moved = 0, pruned = 0;
        float *before = dense_weights(net, 1, &n);
        uint64_t *mask = malloc((n + 63) / 64 * 8);
        memcpy(mask, dpf_pruner_mask(pruner, 1), (n + 63) / 64 * 8);
        for (size_t k = 0; k < n; ++k) /* what forward reads is m * w */
            assert_true(dpf_pruner_pruned(pruner, 1)[k] == (mask[k / 64] >> k % 64 & 1 ? before[k] : 0));
        iterate(net);
        float *after = dense_weights(net, 1, &n);
        for (size_t k = 0; k < n; ++k) {
            int kept = mask[k / 64] >> k % 64 & 1, kept_now = dpf_pruner_mask(pruner, 1)[k / 64] >> k % 64 & 1;
            pruned += !kept;
            moved += !kept && after[k] != before[k];
            revived += !kept && kept_now;
            if (!feedback && !kept_now)
                assert_true(after[k] == 0);
        }
        if (feedback)
            assert_true(10 * moved >= 9 * pruned);
        free(before);
        free(after);
        free(mask);
    }
    if (feedback)
        assert_true(revived > 0);
    else
        assert_int_equal(revived, 0);
    dn_close(net);
}

static void test_feedback(void **state) {
    (void)state;
    check_feedback(1);
    check_feedback(0);
}

static void test_saved_sparse(void **state) {
    (void)state;
    dn_net *net = open_net("", "[dpf]\nsparsity=0.9\nend=4\nupdate_every=1\n", 2);
    for (int i = 0; i < 6; ++i)
        iterate(net);
    size_t size, n, zeros = 0, total;
    char *bytes = saved(net, 1, &size);
    const dpf_graph *graph = dn_graph(net);
    assert_int_equal(size, 20 + sizeof(float) * graph->parameters);
    for (size_t i = 0; i < dpf_pruner_tensors(dn_pruner(net)); ++i) {
        const dpf_graph_layer *layer = &graph->layers[dn_tensor_layer(net, i)];
        const char *at = bytes + 20 + sizeof(float) * (layer->offset + layer->biases + 3 * layer->bn);
        for (n = 0; n < layer->weights; ++n) {
            float w;
            memcpy(&w, at + n * sizeof w, sizeof w);
            zeros += w == 0;
        }
    }
    pruned_now(dn_pruner(net), &total);
    assert_int_equal(zeros, (size_t)llround(0.9 * (double)total));
    free(bytes);
    dn_close(net);
}

static int same_bytes(dn_net *a, dn_net *b, int pruned) {
    size_t size, other;
    char *x = saved(a, pruned, &size), *y = saved(b, pruned, &other);
    const int same = size == other && memcmp(x, y, size) == 0;
    free(x);
    free(y);
    return same;
}

/* Stopped between two masks and opened again, a training is the same; without its state it is not. */
static void check_going_on(const char *net_keys, const char *dpf) {
    const dpf_state_figures none = {0};
    char path[128], copy[128];
    dpf_error err = {0};
    dpf_state found;
    int is_there;
    snprintf(path, sizeof path, "%s/stop.weights", folder);
    snprintf(copy, sizeof copy, "%s/alone.weights", folder);
    dn_net *whole = open_net(net_keys, dpf, 5);
    for (int i = 0; i < 6; ++i)
        iterate(whole);
    if (dn_checkpoint(whole, path, &none, &err) != DPF_OK || dn_save(whole, copy, 0, &err) != DPF_OK ||
        dpf_checkpoint_read(&found, &is_there, path, &err) != DPF_OK)
        fail_msg("%s", err.text);
    assert_int_equal(is_there, 1);
    assert_int_equal(found.figures.iteration, 6);
    assert_int_equal(found.figures.seed, 5);
    dn_net *again = open_with(net_keys, dpf, 5, path, 0, &found, DPF_OK);
    dn_net *alone = open_with(net_keys, dpf, 5, copy, 0, NULL, DPF_OK);
    assert_true(same_bytes(whole, again, 1)); /* the masks of before, not new ones */
    for (int i = 0; i < 5; ++i) {
        iterate(whole);
        iterate(again);
        iterate(alone);
    }
    assert_true(same_bytes(whole, again, 0) && same_bytes(whole, again, 1));
    assert_false(same_bytes(whole, alone, 0));
    dn_close(again);
    dn_close(alone);
    open_with(net_keys, "[dpf]\nsparsity=0.1\n", 5, path, 0, &found, DPF_ERR_MISMATCH);
    dpf_checkpoint_remove(copy);
    dn_save(whole, copy, 0, &err);
    open_with(net_keys, dpf, 5, copy, 0, &found, DPF_ERR_MISMATCH); /* of another iteration */
    dn_close(whole);
    dpf_state_free(&found);
    dpf_checkpoint_remove(path);
    dpf_checkpoint_remove(copy);
}

static void test_going_on(void **state) {
    (void)state;
    check_going_on("", "");
    check_going_on("adam=1\nsubdivisions=2", "[dpf]\nsparsity=0.8\nend=10\nupdate_every=4\n");
    check_going_on("batch=64\nsubdivisions=2", "[dpf]\nsparsity=0.9\nend=9\nupdate_every=4\nfeedback=0\n");
}

/* Pruned weights whose dense ones are gone: the ramp starts at their zeros, and nowhere else. */
static void test_pruned_weights_start_the_ramp(void **state) {
    (void)state;
    const char *soft = "[dpf]\nsparsity=0.9\nbegin=4\nend=20\nupdate_every=3\n";
    char pruned[128], dense[128];
    size_t total, last = 0;
    dpf_error err = {0};
    dn_info info;
    snprintf(pruned, sizeof pruned, "%s/pruned.weights", folder);
    snprintf(dense, sizeof dense, "%s/dense.weights", folder);
    dn_net *net = open_net("", "[dpf]\nsparsity=0.6\nschedule=constant\n", 2);
    iterate(net);
    assert_int_equal(dn_save(net, pruned, 1, &err), DPF_OK);
    assert_int_equal(dn_save(net, dense, 0, &err), DPF_OK);
    dn_close(net);
    net = open_with("", soft, 2, pruned, 1, NULL, DPF_OK);
    dn_get_info(net, &info);
    last = pruned_now(dn_pruner(net), &total);
    assert_int_equal(last, (size_t)llround(0.6 * (double)total));
    assert_true(info.found_sparsity > 0.599 && info.found_sparsity < 0.601);
    for (int i = 0; i < 21; ++i) {
        iterate(net);
        size_t now = pruned_now(dn_pruner(net), &total);
        assert_true(now >= last);
        last = now;
    }
    assert_int_equal(last, (size_t)llround(0.9 * (double)total));
    dn_close(net);
    net = open_with("", "[dpf]\nsparsity=0.3\n", 2, pruned, 1, NULL, DPF_OK); /* less is wanted than is there */
    assert_int_equal(pruned_now(dn_pruner(net), &total), (size_t)llround(0.3 * (double)total));
    dn_close(net);
    net = open_with("", soft, 2, dense, 1, NULL, DPF_OK);
    dn_get_info(net, &info);
    assert_true(info.found_sparsity == 0);
    assert_int_equal(pruned_now(dn_pruner(net), &total), 0);
    dn_close(net);
    unlink(pruned);
    unlink(dense);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count_and_constancy),
        cmocka_unit_test(test_resizing),
        cmocka_unit_test(test_sparse_kernels),
        cmocka_unit_test(test_zero_sparsity_is_dense_training),
        cmocka_unit_test(test_one_seed_one_result),
        cmocka_unit_test(test_feedback),
        cmocka_unit_test(test_saved_sparse),
        cmocka_unit_test(test_going_on),
        cmocka_unit_test(test_pruned_weights_start_the_ramp),
    };
    return cmocka_run_group_tests(tests, make_pictures, remove_pictures);
}
