/* SPDX-License-Identifier: MIT
 *
 * train [options] CFG: the time of one iteration of training, dense and pruned, against
 * the same loop on unhooked libdarknet, all in one interleaved run.
 *
 *   -w WEIGHTS   dense weights behind a DPF training, so that masks are real ones;
 *                random weights unless told otherwise
 *   -r ROUNDS    5 unless told otherwise
 *   -i N         iterations a round, 10 unless told otherwise
 *   -t THREADS   all cores unless told otherwise
 *   -d           without the unhooked network
 *   -o FILE      CSV for plot; lines with # are notes
 *
 * Pictures are noise, loaded once: loaders are the same on every side. A mask is chosen
 * after every iteration, as update_every=1 says, and is at its final sparsity from the
 * start. A round gives every case its turn, so that a busy moment hits all of them; printed
 * are medians and minima over all rounds. Phases are Darknet's own functions; the choice
 * of a mask is part of the update (what a pruned network's costs beyond the dense one's),
 * the packing of weights part of the forward pass.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <stb/stb_image_write.h>

#include "dpf/darknet/adapter.h"
#include "dpf/kernels/cpu.h"
#include "timing.h"

enum { MAX_ITERATIONS = 1000, CASES = 7, DENSE = 1 };

typedef enum phase { FORWARD, BACKWARD, UPDATE, ALL, PHASES } phase;

typedef struct bench_case {
    const char *name;
    double sparsity; /* -1: no [dpf] */
    int unhooked, dense_kernels;
    dn_net *net;
    double ms[PHASES][MAX_ITERATIONS];
    int count;
} bench_case;

static bench_case cases[CASES] = {
    {.name = "libdarknet, unhooked", .sparsity = -1, .unhooked = 1},
    {.name = "dense", .sparsity = -1},
    {.name = "DPF 50 %", .sparsity = 0.50},
    {.name = "DPF 80 %", .sparsity = 0.80},
    {.name = "DPF 90 %", .sparsity = 0.90},
    {.name = "DPF 95 %", .sparsity = 0.95},
    {.name = "DPF 90 %, -kernels dense", .sparsity = 0.90, .dense_kernels = 1},
};

typedef struct bench_options {
    const char *cfg, *weights, *csv;
    int rounds, iterations, threads, ours_only;
} bench_options;

static void die(const dpf_error *err) {
    fprintf(stderr, "train: %s\n", err->text);
    exit(1);
}

/* --- phases: libdarknet calls these by name, and the program's definition comes first ---- */

static double phase_ms[PHASES];

static void run_phase(const char *name, phase which, void *net) {
    void (*own)(void *);
    *(void **)&own = dlsym(RTLD_NEXT, name);
    double start = now_ms();
    own(net);
    phase_ms[which] += now_ms() - start;
}

void forward_network(void *net);
void backward_network(void *net);
void update_network(void *net);

void forward_network(void *net) {
    run_phase("forward_network", FORWARD, net);
}

void backward_network(void *net) {
    run_phase("backward_network", BACKWARD, net);
}

void update_network(void *net) {
    run_phase("update_network", UPDATE, net);
}

/* --- networks and pictures ------------------------------------------------------------- */

static dn_net *open_case(const bench_case *c, const bench_options *o) {
    char path[] = "/tmp/dpf-bench-XXXXXX", text[128];
    dpf_error err;
    dn_net *net;
    dn_open_args args = {.cfg_path = o->cfg, .train = 1, .threads = o->threads, .seed = 1, .quiet = 1, .clear = 1};
    args.weights_path = o->weights;
    args.unhooked = c->unhooked;
    args.dense_kernels = c->dense_kernels;
    args.dense = c->sparsity < 0;
    if (!args.dense) {
        int fd = mkstemp(path),
            n = snprintf(text, sizeof text, "[dpf]\nsparsity=%g\nschedule=constant\nupdate_every=1\n", c->sparsity);
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

/* One batch of pictures of noise, all the same; a detector's have a few boxes. */
static dn_data *make_batch(dn_net *net) {
    char path[] = "/tmp/dpf-bench-XXXXXX.png";
    static const char *labels[1024];
    static const dn_box boxes[] = {{0, 0.3F, 0.3F, 0.2F, 0.3F}, {0, 0.7F, 0.6F, 0.3F, 0.2F}};
    dn_info info;
    dpf_error err;
    dn_data *data;
    dn_get_info(net, &info);
    int side = info.width, fd = mkstemps(path, 4);
    size_t n = (size_t)info.batch * (size_t)info.subdivisions;
    unsigned char *pixels = malloc((size_t)side * (size_t)side * 3);
    const char **paths = malloc(n * sizeof *paths);
    dn_boxes *lists = malloc(n * sizeof *lists);
    if (fd < 0 || !pixels || !paths || !lists)
        exit(1);
    for (int i = 0; i < side * side * 3; ++i)
        pixels[i] = (unsigned char)((unsigned)i * 2654435761u >> 24);
    stbi_write_png(path, side, side, 3, pixels, side * 3);
    for (size_t i = 0; i < n; ++i) {
        paths[i] = path;
        lists[i] = (dn_boxes){boxes, 2};
    }
    for (int i = 0; i < 1024; ++i)
        labels[i] = i ? "no such label" : "bench";
    const dn_load_args args = {.paths = paths, .count = n, .labels = labels, .classes = info.outputs, .augment = 1};
    const dn_load_boxes_args detector = {.paths = paths, .boxes = lists, .count = n};
    dpf_status status = DPF_OK;
    if (dn_check_detector(net, 1, NULL) == DPF_OK)
        status = dn_load_boxes(net, &detector, &data, &err);
    else if (info.outputs > 1024)
        status = dpf_fail(&err, DPF_ERR_RANGE, "more than 1024 classes");
    else
        status = dn_load(net, &args, &data, &err);
    if (status != DPF_OK)
        die(&err);
    close(fd);
    unlink(path);
    free(pixels);
    free(paths);
    free(lists);
    return data;
}

/* --- measuring ------------------------------------------------------------------------- */

static void time_case(bench_case *c, dn_data *data, int iterations) {
    dpf_error err;
    float loss;
    for (int i = 0; i < iterations; ++i) {
        memset(phase_ms, 0, sizeof phase_ms);
        double start = now_ms();
        if (dn_train(c->net, data, &loss, &err) != DPF_OK)
            die(&err);
        phase_ms[ALL] = now_ms() - start;
        for (int p = 0; p < PHASES; ++p)
            c->ms[p][c->count] = phase_ms[p];
        ++c->count;
    }
}

static double median(const bench_case *c, phase p) {
    return c->ms[p][c->count / 2];
}

/* Where results go. Darknet's own detection layers print a line for every mini-batch: stdout itself leads nowhere. */
static FILE *take_stdout(void) {
    int own = dup(STDOUT_FILENO), null = open("/dev/null", O_WRONLY);
    FILE *out = own >= 0 ? fdopen(own, "w") : NULL;
    if (!out || null < 0 || dup2(null, STDOUT_FILENO) < 0) {
        perror("train");
        exit(1);
    }
    close(null);
    return out;
}

static void report(FILE *out, FILE *csv, const bench_options *o, const dn_info *info) {
    double images = (double)info->batch * info->subdivisions;
    fprintf(out, "%s, %s weights, batch %.0f, %d threads, kernels for %s\n", o->cfg, o->weights ? "trained" : "random",
            images, info->threads, dpf_isa_name(dpf_cpu_isa()));
    fprintf(out, "%-26s %9s %9s %9s %9s %9s %9s %9s\n", "", "median ms", "min ms", "images/s", "forward", "backward",
            "update", "of dense");
    if (csv)
        fprintf(csv, "# %s, %s weights, batch %.0f, %d threads, kernels for %s\n%s\n", o->cfg,
                o->weights ? "trained" : "random", images, info->threads, dpf_isa_name(dpf_cpu_isa()),
                "case,median ms,minimum ms,images/s,forward ms,backward ms,update ms,of dense,of dense by minimum");
    for (int i = o->ours_only; i < CASES; ++i) {
        bench_case *c = &cases[i];
        for (int p = 0; p < PHASES; ++p)
            qsort(c->ms[p], (size_t)c->count, sizeof(double), by_value);
    }
    for (int i = o->ours_only; i < CASES; ++i) {
        const bench_case *c = &cases[i], *dense = &cases[DENSE];
        double all = median(c, ALL), ratio = all / median(dense, ALL), least = c->ms[ALL][0] / dense->ms[ALL][0];
        fprintf(out, "%-26s %9.1f %9.1f %9.1f %9.1f %9.1f %9.1f %9.3f\n", c->name, all, c->ms[ALL][0],
                1e3 * images / all, median(c, FORWARD), median(c, BACKWARD), median(c, UPDATE), ratio);
        if (csv)
            fprintf(csv, "\"%s\",%.2f,%.2f,%.1f,%.2f,%.2f,%.2f,%.3f,%.3f\n", c->name, all, c->ms[ALL][0],
                    1e3 * images / all, median(c, FORWARD), median(c, BACKWARD), median(c, UPDATE), ratio, least);
    }
}

static int number(const char *text, int most) {
    char *end;
    long value = strtol(text, &end, 10);
    if (*end || value < 1 || value > most) {
        fprintf(stderr, "train: '%s' is not a number from 1 to %d\n", text, most);
        exit(1);
    }
    return (int)value;
}

static bench_options read_options(int argc, char **argv) {
    bench_options o = {.rounds = 5, .iterations = 10};
    for (int flag; (flag = getopt(argc, argv, "w:r:i:t:o:d")) != -1;) {
        if (flag == 'w')
            o.weights = optarg;
        else if (flag == 'r')
            o.rounds = number(optarg, 100);
        else if (flag == 'i')
            o.iterations = number(optarg, MAX_ITERATIONS);
        else if (flag == 't')
            o.threads = number(optarg, 1024);
        else if (flag == 'o')
            o.csv = optarg;
        else if (flag == 'd')
            o.ours_only = 1;
        else
            exit(1);
    }
    if (optind + 1 != argc || o.rounds * o.iterations > MAX_ITERATIONS) {
        fputs("usage: train [-w WEIGHTS] [-r ROUNDS] [-i N] [-t THREADS] [-d] [-o FILE] CFG, at most 1000 iterations\n",
              stderr);
        exit(1);
    }
    o.cfg = argv[optind];
    return o;
}

int main(int argc, char **argv) {
    const bench_options o = read_options(argc, argv);
    FILE *csv = o.csv ? fopen(o.csv, "w") : NULL, *out = take_stdout();
    dn_info info;
    if (o.csv && !csv) {
        perror(o.csv);
        return 1;
    }
    for (int i = o.ours_only; i < CASES; ++i)
        cases[i].net = open_case(&cases[i], &o);
    dn_get_info(cases[DENSE].net, &info);
    dn_data *data = make_batch(cases[DENSE].net);
    for (int i = DENSE; i < CASES; ++i) { /* warm up: primitives are built at the first use */
        time_case(&cases[i], data, 2);
        cases[i].count = 0;
    }
    for (int r = 0; r < o.rounds; ++r)
        for (int i = o.ours_only; i < CASES; ++i)
            time_case(&cases[i], data, cases[i].unhooked ? 1 : o.iterations);
    report(out, csv, &o, &info);
    fclose(out);
    if (csv)
        fclose(csv);
    dn_data_free(data);
    for (int i = o.ours_only; i < CASES; ++i)
        dn_close(cases[i].net);
    return 0;
}
