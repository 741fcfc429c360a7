/* SPDX-License-Identifier: MIT
 *
 * Steady state: how often does a run allocate? malloc and its kin are defined here and
 * counted, whoever calls them: our own code must not at all; oneDNN's execute makes some
 * small objects each time (a map of its arguments, for one), and OpenBLAS's product some
 * for its threads, which no option of theirs avoids; they free them again.
 *
 * What must stay true: without the two in the network the count is 0, setting the input
 * and decoding boxes included. And the memory that a pruned model takes while it is loaded
 * and run is a small part of its dense weights, read from either kind of file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dpf/core/random.h"
#include "dpf/dpf.h"
#include "dpf/kernels/cpu.h"
#include "dpf/model/container.h"
#include "dpf/model/file.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS 0 /* the sanitizers have a malloc of their own */
#elif defined(__has_feature)
#define COUNTS (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define COUNTS 1
#endif

static volatile size_t made, freed; /* while counting */
static volatile int counting;
static volatile size_t held, most_held; /* bytes, always */

#if COUNTS
static void count(volatile size_t *of) {
    if (__atomic_load_n(&counting, __ATOMIC_RELAXED))
        __atomic_add_fetch(of, 1, __ATOMIC_RELAXED);
}

static void *hold(void *block) {
    size_t now = __atomic_add_fetch(&held, malloc_usable_size(block), __ATOMIC_RELAXED);
    if (now > most_held) /* two threads at once may miss a few bytes */
        most_held = now;
    return block;
}

static void release(void *block) {
    __atomic_sub_fetch(&held, malloc_usable_size(block), __ATOMIC_RELAXED);
}

/* glibc's own functions behind the public names */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *old);

void *malloc(size_t size) {
    count(&made);
    return hold(__libc_malloc(size));
}

void *calloc(size_t n, size_t size) {
    count(&made);
    return hold(__libc_calloc(n, size));
}

void *realloc(void *old, size_t size) {
    count(&made);
    release(old);
    void *grown = __libc_realloc(old, size);
    hold(grown || !size ? grown : old);
    return grown;
}

void *memalign(size_t alignment, size_t size) {
    count(&made);
    return hold(__libc_memalign(alignment, size));
}

void *aligned_alloc(size_t alignment, size_t size) {
    count(&made);
    return hold(__libc_memalign(alignment, size));
}

int posix_memalign(void **out, size_t alignment, size_t size) {
    count(&made);
    *out = hold(__libc_memalign(alignment, size));
    return *out ? 0 : ENOMEM;
}

void free(void *old) {
    if (old)
        count(&freed);
    release(old);
    __libc_free(old);
}
#endif

static const char text[] =
    "[net]\nwidth=32\nheight=32\nchannels=3\n"
    "[convolutional]\nsize=3\npad=1\nfilters=32\nbatch_normalize=1\nactivation=leaky\n[maxpool]\nsize=2\nstride=2\n"
    "[convolutional]\nsize=3\npad=1\nfilters=64\nactivation=mish\n[upsample]\nstride=2\n[route]\nlayers=-1,0\n"
    "[convolutional]\nsize=1\nfilters=16\nactivation=linear\n"
    "[yolo]\nmask=0,1\nanchors=4,5,10,12\nclasses=3\nnum=2\n";

/* Convolutions and conversions by the two libraries. */
static size_t library_steps(const dpf_model *m) {
    dpf_step_info info;
    dpf_error err;
    size_t count = 0;
    for (size_t i = 0; dpf_model_step(m, i, &info, &err) == DPF_OK; i++)
        count += strncmp(info.kernel, "oneDNN", 6) == 0 || strncmp(info.kernel, "OpenBLAS", 8) == 0;
    return count;
}

static void check(dpf_kernels kernels, int threads, dpf_fit fit) {
    char path[] = "/tmp/dpf-steady-XXXXXX";
    enum { WARM_UP = 5, RUNS = 20 };
    dpf_model *m;
    dpf_context *c;
    dpf_error err;
    const dpf_object *found;
    size_t objects;
    uint64_t seed = 1;
    unsigned char pixels[40 * 30 * 3];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (unsigned char)(random_next(&seed) >> 56);
    const dpf_model_options o = {.threads = threads, .kernels = kernels, .random = 1, .sparsity = 0.8};
    if (dpf_model_load(&m, path, NULL, &o, &err) || dpf_context_new(&c, m, &err))
        fail_msg("%s", err.text);
    unlink(path);
    const size_t libraries = library_steps(m);
    made = freed = 0;
    for (int i = 0; i < WARM_UP + RUNS; i++) {
        __atomic_store_n(&counting, i >= WARM_UP, __ATOMIC_RELAXED);
        dpf_status status = dpf_context_set_pixels(c, 0, pixels, 40, 30, 3, fit, &err);
        if (!status)
            status = dpf_context_run(c, &err);
        if (!status)
            status = dpf_context_detections(c, 0, &(dpf_detect_options){.thresh = 0.01}, &found, &objects, &err);
        __atomic_store_n(&counting, 0, __ATOMIC_RELAXED);
        assert_int_equal(status, DPF_OK);
    }
    assert_true(objects > 0);
    if (libraries == 0 && made != 0)
        fail_msg("kernels %d, %d threads: %zu allocations in %d runs", (int)kernels, threads, made, RUNS);
    assert_int_equal(made, freed);
    if (kernels == DPF_KERNELS_SPARSE)
        assert_int_equal(libraries, 0);
    print_message("kernels %d, threads %d: %zu steps by libraries, %g allocations a run\n", (int)kernels, threads,
                  libraries, (double)made / RUNS);
    dpf_context_free(c);
    dpf_model_free(m);
}

static void test_steady(void **unused) {
    (void)unused;
    if (!COUNTS)
        skip();
    for (int threads = 1; threads <= 2; threads++)
        for (int k = DPF_KERNELS_AUTO; k <= DPF_KERNELS_BLAS; k++)
            check((dpf_kernels)k, threads, (dpf_fit)(k % 3));
}

#define SIDE 128
#define LAYER(filters, more) "[convolutional]\nsize=3\npad=1\nfilters=" #filters "\n" more
#define NET "[net]\nwidth=128\nheight=128\nchannels=3\n"
#define FIRST NET LAYER(16, "activation=leaky\n")
#define MAX "[maxpool]\nsize=2\nstride=2\n"

/* Allocations in some runs of a network with all weights; `own`: steps whose kernel has that name. */
static size_t allocations(const char *layers, const char *name, int threads, size_t *own, size_t *libraries) {
    char path[] = "/tmp/dpf-steady-XXXXXX";
    dpf_model *m;
    dpf_context *c;
    dpf_step_info info;
    dpf_error err;
    const dpf_model_options o = {.threads = threads, .kernels = DPF_KERNELS_DENSE, .random = 1};
    float *planes = calloc((size_t)3 * SIDE * SIDE, sizeof *planes);
    const int fd = mkstemp(path);
    assert_true(fd >= 0 && planes);
    assert_int_equal(write(fd, layers, strlen(layers)), strlen(layers));
    close(fd);
    if (dpf_model_load(&m, path, NULL, &o, &err) || dpf_context_new(&c, m, &err))
        fail_msg("%s", err.text);
    unlink(path);
    *own = 0;
    *libraries = library_steps(m);
    for (size_t i = 0; dpf_model_step(m, i, &info, &err) == DPF_OK; i++)
        *own += strncmp(info.kernel, name, strlen(name)) == 0;
    made = freed = 0;
    for (int i = 0; i < 15; i++) {
        __atomic_store_n(&counting, i >= 5, __ATOMIC_RELAXED);
        dpf_status status = dpf_context_set_planes(c, 0, planes, &err);
        if (!status)
            status = dpf_context_run(c, &err);
        __atomic_store_n(&counting, 0, __ATOMIC_RELAXED);
        assert_int_equal(status, DPF_OK);
    }
    assert_int_equal(made, freed);
    dpf_context_free(c);
    dpf_model_free(m);
    free(planes);
    return made;
}

/* Dense kernels of our own allocate nothing: two layers more of them, the same count, which is that of oneDNN's
 * conversion of the output. */
static void test_own_kernels(void **unused) {
    (void)unused;
    if (!COUNTS || dpf_cpu_isa() < DPF_ISA_AVX512)
        skip();
    for (int threads = 1; threads <= 2; threads++) {
        size_t few = 0, winograd = 0, depthwise = 0, libraries[3];
        const size_t one = allocations(FIRST, "few channels", threads, &few, &libraries[0]);
        const size_t three = allocations(FIRST MAX LAYER(32, "activation=relu\n") LAYER(32, "activation=leaky\n") MAX,
                                         "Winograd 4x4", threads, &winograd, &libraries[1]);
        const size_t plain =
            allocations(NET LAYER(3, "groups=3\nactivation=relu6\n"), "depthwise", threads, &depthwise, &libraries[2]);
        print_message("threads %d: %zu, %zu and %zu allocations\n", threads, one, three, plain);
#ifndef DPF_NO_DNNL
        assert_int_equal(few, 1);
        assert_int_equal(winograd, 2);
        assert_int_equal(libraries[0], 1);
        assert_int_equal(libraries[1], 1);
        assert_int_equal(three, one);
#endif
        assert_int_equal(depthwise, 1);
        assert_int_equal(libraries[2], 0);
        assert_int_equal(plain, 0);
    }
}

/* 40 MB of weights, nine tenths of them 0, on pictures so small that arrays do not count. */
static const char large[] = "[net]\nwidth=8\nheight=8\nchannels=64\n"
                            "[convolutional]\nsize=3\npad=1\nfilters=512\nbatch_normalize=1\nactivation=leaky\n"
                            "[convolutional]\nsize=3\npad=1\nfilters=2048\nbatch_normalize=1\nactivation=leaky\n"
                            "[convolutional]\nsize=1\nfilters=18\nactivation=linear\n";

typedef struct files {
    char folder[32], cfg[64], weights[64], packed[64], half[64];
    size_t floats;
} files;

static void write_files(files *f) {
    dpf_cfg *cfg;
    dpf_graph *graph;
    dpf_error err;
    const dpf_weights_header header = {.minor = 2, .size = 20};
    uint64_t seed = 3;
    strcpy(f->folder, "/tmp/dpf-steady-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->cfg, sizeof f->cfg, "%s/a.cfg", f->folder);
    snprintf(f->weights, sizeof f->weights, "%s/a.weights", f->folder);
    snprintf(f->packed, sizeof f->packed, "%s/a.dpf", f->folder);
    snprintf(f->half, sizeof f->half, "%s/h.dpf", f->folder);
    if (dpf_file_replace(f->cfg, large, sizeof large - 1, &err) || dpf_cfg_read(&cfg, f->cfg, &err) ||
        dpf_graph_new(&graph, cfg, NULL, &err))
        fail_msg("%s", err.text);
    f->floats = graph->parameters;
    float *values = calloc(f->floats, sizeof *values);
    for (size_t i = 0; i < f->floats; i++)
        if (random_below(&seed, 10) == 0)
            values[i] = (float)(1 + random_below(&seed, 1000)) / 1000.0f;
    const dpf_container_options quick = {.level = 1}, half = {.level = 1, .half = 1};
    if (dpf_weights_write(f->weights, &header, values, f->floats, &err) ||
        dpf_container_pack(f->cfg, f->weights, f->packed, &quick, &err) ||
        dpf_container_pack(f->cfg, f->weights, f->half, &half, &err))
        fail_msg("%s", err.text);
    free(values);
    dpf_graph_free(graph);
    dpf_cfg_free(cfg);
}

/* A nonzero takes 8 bytes packed, in each of the layers that are there, and 8 more in the layer at hand while that
 * is packed; what a file brings is the container's, decompressed, beside that. */
static size_t peak_of(const char *path, const char *weights) {
    dpf_model *m;
    dpf_context *c;
    dpf_error err;
    const dpf_model_options o = {.threads = 1};
    const size_t before = held;
    most_held = held;
    if (dpf_model_load(&m, path, weights, &o, &err) || dpf_context_new(&c, m, &err) || dpf_context_run(c, &err))
        fail_msg("%s", err.text);
    const size_t peak = most_held - before;
    dpf_context_free(c);
    dpf_model_free(m);
    return peak;
}

static void test_peak(void **unused) {
    (void)unused;
    files f;
    if (!COUNTS)
        skip();
    write_files(&f);
    const double dense = (double)f.floats * sizeof(float);
    const double plain = (double)peak_of(f.cfg, f.weights), packed = (double)peak_of(f.packed, NULL);
    const double half = (double)peak_of(f.half, NULL);
    print_message("dense weights %.1f MB; peak with .weights %.3f, .dpf %.3f, .dpf -half %.3f of that\n", dense / 1e6,
                  plain / dense, packed / dense, half / dense);
    assert_true(plain < 0.45 * dense);
    assert_true(packed < 0.6 * dense);
    assert_true(half < 0.55 * dense);
    unlink(f.cfg);
    unlink(f.weights);
    unlink(f.packed);
    unlink(f.half);
    rmdir(f.folder);
}

/* The count is real: an allocation is seen. */
static void test_counter(void **unused) {
    (void)unused;
    if (!COUNTS)
        skip();
    made = freed = 0;
    counting = 1;
    char *volatile one = malloc(10), *volatile two = aligned_alloc(64, 64);
    free(one);
    free(two);
    counting = 0;
    assert_int_equal(made, 2);
    assert_int_equal(freed, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_counter), cmocka_unit_test(test_steady),
                                       cmocka_unit_test(test_own_kernels), cmocka_unit_test(test_peak)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
