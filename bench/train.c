/* SPDX-License-Identifier: MIT
 *
 * Images/s of training: this program dense and pruning, against the same loop on
 * unhooked libdarknet, all in one interleaved run.
 *
 *   build/release/bench/train [CFG] [ROUNDS] [THREADS]
 *
 * Pictures are noise, loaded once: loaders are the same on every side. A round is one
 * iteration of the unhooked network and ten of each hooked one; printed are median and
 * minimum of the time of one iteration, and the ratio of medians.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stb/stb_image_write.h>

#include "dpf/darknet/adapter.h"
#include "dpf/kernels/cpu.h"
#include "timing.h"

enum { MAX_ROUNDS = 100, INNER = 10, CASES = 4 };

typedef struct bench_case {
    const char *name;
    double sparsity; /* -1: no [dpf] */
    int unhooked;
    dn_net *net;
    double ms[MAX_ROUNDS * INNER];
    int count;
} bench_case;

static bench_case cases[CASES] = {
    {.name = "libdarknet, unhooked", .sparsity = -1, .unhooked = 1},
    {.name = "dense", .sparsity = -1},
    {.name = "DPF 90 %", .sparsity = 0.90},
    {.name = "DPF 95 %", .sparsity = 0.95},
};

static void die(const dpf_error *err) {
    fprintf(stderr, "bench/train: %s\n", err->text);
    exit(1);
}

/* The mask is at its final sparsity from the start, so that every iteration costs the same. */
static dn_net *open_case(const bench_case *c, const char *cfg, int threads) {
    char path[] = "/tmp/dpf-bench-XXXXXX", text[128];
    dpf_error err;
    dn_net *net;
    dn_open_args args = {.cfg_path = cfg, .train = 1, .threads = threads, .seed = 1, .quiet = 1};
    args.unhooked = c->unhooked;
    args.dense = c->sparsity < 0;
    if (!args.dense) {
        int fd = mkstemp(path), n = snprintf(text, sizeof text, "[dpf]\nsparsity=%g\nschedule=constant\n", c->sparsity);
        if (fd < 0 || write(fd, text, (size_t)n) != n)
            exit(1);
        close(fd);
        args.dpf_path = path;
    }
    if (dn_open(&net, &args, &err) != DPF_OK)
        die(&err);
    if (args.dpf_path)
        unlink(path);
    return net;
}

/* One batch of noise of the network's size. */
static dn_data *make_batch(dn_net *net) {
    char path[] = "/tmp/dpf-bench-XXXXXX.png";
    dn_info info;
    dpf_error err;
    dn_data *data;
    dn_get_info(net, &info);
    int side = info.width, fd = mkstemps(path, 4), n = info.batch * info.subdivisions;
    unsigned char *pixels = malloc((size_t)side * (size_t)side * 3);
    const char **paths = malloc((size_t)n * sizeof *paths);
    if (fd < 0 || !pixels || !paths)
        exit(1);
    for (int i = 0; i < side * side * 3; ++i)
        pixels[i] = (unsigned char)((unsigned)i * 2654435761u >> 24);
    stbi_write_png(path, side, side, 3, pixels, side * 3);
    for (int i = 0; i < n; ++i)
        paths[i] = path;
    dn_load_args args = {.paths = paths, .count = (size_t)n, .classes = info.outputs, .augment = 1};
    const char *ten[1024];
    for (int i = 0; i < 1024; ++i)
        ten[i] = i ? "no such label" : "bench";
    args.labels = ten;
    if (info.outputs > 1024 || dn_load(net, &args, &data, &err) != DPF_OK)
        die(&err);
    close(fd);
    unlink(path);
    free(pixels);
    free(paths);
    return data;
}

static void time_case(bench_case *c, dn_data *data, int iterations) {
    dpf_error err;
    float loss;
    for (int i = 0; i < iterations; ++i) {
        double start = now_ms();
        if (dn_train(c->net, data, &loss, &err) != DPF_OK)
            die(&err);
        c->ms[c->count++] = now_ms() - start;
    }
}

int main(int argc, char **argv) {
    const char *cfg = argc > 1 ? argv[1] : "cfg/resnet20.cfg";
    int rounds = argc > 2 ? atoi(argv[2]) : 5, threads = argc > 3 ? atoi(argv[3]) : 0;
    if (rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "bench/train: ROUNDS is %s; 1 to %d are allowed\n", argv[2], MAX_ROUNDS);
        return 1;
    }
    dn_info info;
    for (int i = 0; i < CASES; ++i)
        cases[i].net = open_case(&cases[i], cfg, threads);
    dn_get_info(cases[1].net, &info);
    dn_data *data = make_batch(cases[1].net);
    for (int i = 1; i < CASES; ++i) { /* warm up: primitives are built at the first use */
        time_case(&cases[i], data, 3);
        cases[i].count = 0;
    }
    for (int r = 0; r < rounds; ++r)
        for (int i = 0; i < CASES; ++i)
            time_case(&cases[i], data, cases[i].unhooked ? 1 : INNER);
    double images = (double)info.batch * info.subdivisions;
    printf("%s, batch %.0f, %d threads, kernels for %s\n", cfg, images, info.threads, dpf_isa_name(dpf_cpu_isa()));
    printf("%-22s %10s %10s %10s %22s\n", "", "median ms", "min ms", "images/s", "times libdarknet's");
    for (int i = 0; i < CASES; ++i)
        qsort(cases[i].ms, (size_t)cases[i].count, sizeof(double), by_value);
    for (int i = 0; i < CASES; ++i) {
        double median = cases[i].ms[cases[i].count / 2];
        printf("%-22s %10.1f %10.1f %10.1f %22.1f\n", cases[i].name, median, cases[i].ms[0], 1e3 * images / median,
               cases[0].ms[cases[0].count / 2] / median);
    }
    dn_data_free(data);
    for (int i = 0; i < CASES; ++i)
        dn_close(cases[i].net);
    return 0;
}
