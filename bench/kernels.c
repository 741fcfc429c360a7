/* SPDX-License-Identifier: MIT
 *
 * kernels: the sparse convolution against oneDNN's dense ones, direct and Winograd, and
 * OpenBLAS (sgemm with im2col), shape by shape. CSV on standard output, for plot; lines with # are notes.
 *
 *   -t THREADS   1 unless told otherwise
 *   -s LIST      sparsities in per cent, as 80,90,95
 *   -n MS        time spent on a shape, 1000 unless told otherwise
 *   -b BATCH     pictures, 1 unless told otherwise
 *   -f TEXT      only shapes whose set or name contains this
 *
 * All rows of a shape come from one run in which the kernels take turns, so that a
 * busy moment hits all of them. Each has input and output in the layout it likes best, without
 * conversions: oneDNN in blocks of channels, the sparse kernel in plain arrays whose planes,
 * for 1x1 layers, begin at whole vectors, as the runtime lays them out between such layers.
 * Where the sparse kernel copies its input, that is timed. Weights are packed
 * beforehand for both; both add a bias and apply relu (leaky would exclude oneDNN's
 * Winograd, which cannot fuse it). A turn begins with an untimed run, so caches are
 * warm. Winograd is the faster of its tiles of 2x2 and 4x4. Before the timing each result is compared with oneDNN's
 * direct one for the same weights; a sparse result that differs ends the program. An empty cell: oneDNN has no such
 * kernel. Useful GFLOP/s: two for each nonzero and output pixel.
 */
#include <cblas.h>
#include <getopt.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dpf/kernels/dense.h"
#include "dpf/kernels/spconv.h"
#include "cores.h"
#include "timing.h"

#ifdef DPF_NO_DNNL
int main(void) {
    fprintf(stderr, "kernels: built without oneDNN, nothing to compare with\n");
    return 1;
}
#else
#include "onednn.h"

enum { SPARSITIES = 16, SAMPLES = 600, MIN_ROUNDS = 5, TIMED = 3 };
enum {
    DIRECT,
    WINOGRAD_2,
    WINOGRAD_4,
    OPENBLAS,
    DENSE_KINDS,
    ONEDNN_KINDS = OPENBLAS,
    SLOTS = DENSE_KINDS + SPARSITIES
};

/* A sum of this many products of random numbers, rounded in two different orders, stays
 * within 1e-5 of the largest output; one wrong tap is off by more than 1e-3 of it. */
#define TOLERANCE 1e-4

/* A, B, C, E: single layers that stand for a kind. */
enum { A, B, C, E, YOLO, YOLO4, RESNET, CIFAR };
static const char *const sets[] = {"A", "B", "C", "E", "yolov3-tiny", "yolov4-tiny", "resnet50", "resnet20"};

typedef struct shape {
    int set, c, hw, n, size, stride;
} shape;

static const shape shapes[] = {
    {A, 512, 26, 512, 3, 1},       {B, 128, 52, 256, 3, 1},       {C, 32, 208, 64, 3, 1},
    {YOLO, 3, 416, 16, 3, 1},      {E, 256, 52, 128, 1, 1},       {YOLO, 16, 208, 32, 3, 1},
    {YOLO, 32, 104, 64, 3, 1},     {YOLO, 64, 52, 128, 3, 1},     {YOLO, 128, 26, 256, 3, 1},
    {YOLO, 256, 13, 512, 3, 1},    {YOLO, 512, 13, 1024, 3, 1},   {YOLO, 1024, 13, 256, 1, 1},
    {YOLO, 512, 13, 255, 1, 1},    {YOLO, 256, 13, 128, 1, 1},    {YOLO, 384, 26, 256, 3, 1},
    {YOLO, 256, 26, 255, 1, 1},    {RESNET, 64, 56, 64, 3, 1},    {RESNET, 128, 28, 128, 3, 1},
    {RESNET, 256, 14, 256, 3, 1},  {RESNET, 512, 7, 512, 3, 1},   {RESNET, 128, 56, 128, 3, 2},
    {RESNET, 256, 28, 256, 3, 2},  {RESNET, 512, 14, 512, 3, 2},  {RESNET, 64, 56, 64, 1, 1},
    {RESNET, 64, 56, 256, 1, 1},   {RESNET, 256, 56, 64, 1, 1},   {RESNET, 256, 56, 128, 1, 1},
    {RESNET, 128, 28, 512, 1, 1},  {RESNET, 512, 28, 128, 1, 1},  {RESNET, 512, 28, 256, 1, 1},
    {RESNET, 256, 14, 1024, 1, 1}, {RESNET, 1024, 14, 256, 1, 1}, {RESNET, 1024, 14, 512, 1, 1},
    {RESNET, 512, 7, 2048, 1, 1},  {RESNET, 2048, 7, 512, 1, 1},  {YOLO4, 3, 416, 32, 3, 2},
    {YOLO4, 32, 208, 64, 3, 2},    {YOLO4, 64, 104, 64, 3, 1},    {YOLO4, 32, 104, 32, 3, 1},
    {YOLO4, 64, 104, 64, 1, 1},    {YOLO4, 128, 52, 128, 3, 1},   {YOLO4, 256, 26, 256, 3, 1},
    {YOLO4, 512, 13, 512, 3, 1},   {YOLO4, 512, 13, 256, 1, 1},   {CIFAR, 3, 32, 16, 3, 1},
    {CIFAR, 16, 32, 16, 3, 1},     {CIFAR, 16, 32, 32, 3, 2},     {CIFAR, 32, 16, 32, 3, 1},
    {CIFAR, 32, 16, 64, 3, 2},     {CIFAR, 64, 8, 64, 3, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes, NAME = 96 };

typedef struct options {
    int threads, batch;
    double ms;
    const char *filter;
    double sparsity[SPARSITIES];
    size_t sparsities;
} options;

/* im2col and OpenBLAS's sgemm, as the runtime does it where oneDNN is not there. */
typedef struct blas {
    dense *dense;
    dense_call *call;
    float *scratch;
} blas;

typedef struct sparse {
    spconv *conv;
    float *in, *out, *scratch;
    double pack_ms;
    spconv_info info;
} sparse;

/* What takes turns, and how long each turn took. */
typedef struct slot {
    double ms[SAMPLES], least, median;
    size_t count;
} slot;

typedef struct bench {
    dpf_conv_shape shape;
    size_t weight_count, out_count;
    float *source, *all_weights, *weights, *bias, *out, *want;
    float *keep; /* weight i stays while keep[i] is below the density */
    onednn onednn[ONEDNN_KINDS];
    blas blas;
    sparse sparse[SPARSITIES];
    slot slots[SLOTS];
} bench;

/* Over the shapes of yolov3-tiny and ResNet-50: logarithms of ratios, for geometric means,
 * and the worst one. */
typedef struct summary {
    double direct, winograd, best, worst;
    int count, winograd_count, worst_shape;
} summary;

static const char *name_of(const shape *s, char name[NAME], char between) {
    snprintf(name, NAME, "%s%c%dx%dx%d %dx%dx%d/%d", sets[s->set], between, s->c, s->hw, s->hw, s->n, s->size, s->size,
             s->stride);
    return name;
}

static float *random_floats(size_t count, double low, uint64_t *state) {
    float *x = floats(count);
    for (size_t i = 0; i < count; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (float)(low + (1 - low) * (double)(*state >> 40) / 16777216.0);
    }
    return x;
}

static double difference(const float *got, const float *want, size_t count) {
    double most = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        double off = fabs((double)got[i] - (double)want[i]);
        if (!(off <= most)) /* a NaN is a difference, too */
            most = off;
        largest = fmax(largest, fabs((double)want[i]));
    }
    return most / (largest > 0 ? largest : 1);
}

static void blas_new(bench *b, int threads) {
    const dpf_conv_shape *s = &b->shape;
    const dense_shape ds = {s->batch, s->c, s->h, s->w, s->n, s->size, s->stride, s->stride, s->pad, 1, 1, 0};
    dense_info info;
    dpf_error err;
    openblas_set_num_threads(threads);
    if (dense_new(&b->blas.dense, &ds, DPF_RELU, b->all_weights, b->bias, threads, DENSE_BLAS, &err) != DPF_OK)
        fail("OpenBLAS", err.text);
    dense_get_info(b->blas.dense, &info);
    b->blas.scratch = floats(info.scratch);
    if (dense_call_new(&b->blas.call, b->blas.dense, b->source, b->out, b->blas.scratch, &err) != DPF_OK)
        fail("OpenBLAS", err.text);
    dense_call_run(b->blas.call);
    if (!(difference(b->out, b->want, b->out_count) <= TOLERANCE))
        fail("OpenBLAS", "its result is not oneDNN's");
}

/* As many floats of each plane from one pitch to another. */
static void copy_planes(float *to, size_t to_pitch, const float *from, size_t from_pitch, size_t planes, size_t count) {
    for (size_t i = 0; i < planes; i++)
        memcpy(to + i * to_pitch, from + i * from_pitch, count * sizeof *to);
}

static void sparse_run(const sparse *s) {
    spconv_run(s->conv, s->in, s->out, s->scratch);
}

static void sparse_new(bench *b, size_t i, const options *o) {
    sparse *s = &b->sparse[i];
    double density = 1 - o->sparsity[i] / 100;
    spconv_options so = {.threads = o->threads};
    dpf_error err;
    for (size_t k = 0; k < b->weight_count; k++)
        b->weights[k] = (double)b->keep[k] < density ? b->all_weights[k] : 0;
    const size_t channels = (size_t)b->shape.batch * (size_t)b->shape.c, area = (size_t)b->shape.h * (size_t)b->shape.w;
    const size_t filters = (size_t)b->shape.batch * (size_t)b->shape.n, out_area = b->out_count / filters;
    so.in_pitch = b->shape.size == 1 ? spconv_whole(area) : area;
    so.out_pitch = b->shape.size == 1 ? spconv_whole(out_area) : out_area;
    s->in = floats(channels * so.in_pitch);
    s->out = floats(filters * so.out_pitch);
    copy_planes(s->in, so.in_pitch, b->source, area, channels, area);
    double start = now_ms();
    if (spconv_new(&s->conv, &b->shape, DPF_RELU, b->weights, b->bias, &so, &err) != DPF_OK)
        fail("sparse convolution", err.text);
    s->pack_ms = now_ms() - start;
    s->scratch = floats(spconv_scratch(s->conv));
    spconv_get_info(s->conv, &s->info);
    memset(s->out, 0xff, filters * so.out_pitch * sizeof *s->out);
    sparse_run(s);
    copy_planes(b->out, out_area, s->out, so.out_pitch, filters, out_area);
    onednn_result(&b->onednn[DIRECT], b->weights, b->want);
    if (!(difference(b->out, b->want, b->out_count) <= TOLERANCE))
        fail("sparse convolution", "its result is not oneDNN's");
}

static void bench_new(bench *b, const shape *s, const options *o) {
    uint64_t state = 1;
    *b = (bench){.shape = {o->batch, s->c, s->hw, s->hw, s->n, s->size, s->stride, s->size / 2, 1}};
    size_t filters = (size_t)s->n, side = (size_t)dpf_conv_out_h(&b->shape);
    b->weight_count = filters * (size_t)s->c * (size_t)s->size * (size_t)s->size;
    b->out_count = (size_t)o->batch * filters * side * side;
    b->source = random_floats((size_t)o->batch * (size_t)s->c * (size_t)s->hw * (size_t)s->hw, -1, &state);
    b->all_weights = random_floats(b->weight_count, -1, &state);
    b->keep = random_floats(b->weight_count, 0, &state);
    b->bias = random_floats(filters, -1, &state);
    b->weights = floats(b->weight_count);
    b->out = floats(b->out_count);
    b->want = floats(b->out_count);
    float *const arrays[TENSORS] = {b->source, b->all_weights, b->bias, NULL};
    onednn_new(&b->onednn[DIRECT], &b->shape, arrays, dnnl_convolution_direct, "");
    onednn_new(&b->onednn[WINOGRAD_2], &b->shape, arrays, dnnl_convolution_winograd, "2x3");
    onednn_new(&b->onednn[WINOGRAD_4], &b->shape, arrays, dnnl_convolution_winograd, "4x3");
    onednn_result(&b->onednn[DIRECT], b->all_weights, b->want);
    blas_new(b, o->threads);
    for (int i = WINOGRAD_2; i <= WINOGRAD_4; i++)
        if (b->onednn[i].primitive) {
            onednn_result(&b->onednn[i], b->all_weights, b->out);
            b->onednn[i].error = difference(b->out, b->want, b->out_count);
        }
    for (size_t i = 0; i < o->sparsities; i++)
        sparse_new(b, i, o);
    /* dense is timed with all its weights */
    onednn_result(&b->onednn[DIRECT], b->all_weights, b->want);
}

static void bench_free(bench *b) {
    for (size_t i = 0; i < SPARSITIES; i++) {
        spconv_free(b->sparse[i].conv);
        free(b->sparse[i].scratch);
        free(b->sparse[i].in);
        free(b->sparse[i].out);
    }
    dense_call_free(b->blas.call);
    dense_free(b->blas.dense);
    free(b->blas.scratch);
    for (int i = 0; i < ONEDNN_KINDS; i++)
        onednn_free(&b->onednn[i]);
    float *arrays[] = {b->source, b->all_weights, b->weights, b->keep, b->bias, b->out, b->want};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
}

static void slot_run(bench *b, size_t i) {
    if (i < ONEDNN_KINDS)
        onednn_run(&b->onednn[i]);
    else if (i == OPENBLAS)
        dense_call_run(b->blas.call);
    else
        sparse_run(&b->sparse[i - DENSE_KINDS]);
}

static void measure(bench *b, const options *o) {
    size_t slots = DENSE_KINDS + o->sparsities;
    double start = now_ms();
    for (int round = 0; (round + 1) * TIMED <= SAMPLES && (round < MIN_ROUNDS || now_ms() - start < o->ms); round++)
        for (size_t i = 0; i < slots; i++) {
            slot *s = &b->slots[i];
            if (i < ONEDNN_KINDS && !b->onednn[i].primitive)
                continue;
            slot_run(b, i);
            for (int k = 0; k < TIMED; k++) {
                double from = now_ms();
                slot_run(b, i);
                s->ms[s->count++] = now_ms() - from;
            }
        }
    for (size_t i = 0; i < slots; i++) {
        slot *s = &b->slots[i];
        qsort(s->ms, s->count, sizeof *s->ms, by_value);
        s->least = s->count ? s->ms[0] : INFINITY;
        s->median = s->count ? s->ms[s->count / 2] : INFINITY;
    }
}

static int faster_winograd(const bench *b) {
    return b->slots[WINOGRAD_4].least < b->slots[WINOGRAD_2].least ? WINOGRAD_4 : WINOGRAD_2;
}

/* Before and after: it changes with where a virtual machine's processors are. */
static void print_distance(const options *o) {
    if (o->threads > 1)
        printf("# a cache line goes to the other thread and back in %.0f ns\n", round_trip_ns());
}

static void print_head(const options *o) {
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "model name", 10) == 0) {
            printf("# CPU%s", strchr(line, ':'));
            break;
        }
    if (file)
        fclose(file);
    const dnnl_version_t *v = dnnl_version();
    printf("# %s, %d threads, batch %d, oneDNN %d.%d.%d; ms; ratios and GFLOP/s of the minima\n",
           dpf_isa_name(dpf_cpu_isa()), o->threads, o->batch, v->major, v->minor, v->patch);
    print_distance(o);
    printf("set,shape,sparsity,sparse min,sparse median,direct min,direct median,winograd min,winograd median,"
           "openblas min,openblas median,"
           "over direct,over winograd,over best,median over direct,useful GFLOP/s,direct GFLOP/s,pack ms,tile,block,"
           "in place,winograd error,direct kernel,winograd kernel\n");
}

static void print_number(double x, const char *format) {
    if (isfinite(x))
        printf(format, x); /* NOLINT: formats are constants of this file */
    putchar(',');
}

static void print_rows(const bench *b, const shape *s, const options *o) {
    const int faster = faster_winograd(b);
    const slot *direct = &b->slots[DIRECT], *winograd = &b->slots[faster];
    double pixels = (double)b->out_count / (double)s->n;
    char name[NAME];
    for (size_t i = 0; i < o->sparsities; i++) {
        const slot *mine = &b->slots[DENSE_KINDS + i];
        const spconv_info *info = &b->sparse[i].info;
        printf("%s,%g,", name_of(s, name, ','), o->sparsity[i]);
        const slot *all[] = {mine, direct, winograd, &b->slots[OPENBLAS]};
        for (int k = 0; k < 4; k++) {
            print_number(all[k]->least, "%.4f");
            print_number(all[k]->median, "%.4f");
        }
        print_number(direct->least / mine->least, "%.2f");
        print_number(winograd->least / mine->least, "%.2f");
        print_number(fmin(direct->least, winograd->least) / mine->least, "%.2f");
        print_number(direct->median / mine->median, "%.2f");
        print_number(2 * (double)info->nonzeros * pixels / mine->least * 1e-6, "%.1f");
        print_number(2 * (double)b->weight_count * pixels / direct->least * 1e-6, "%.1f");
        print_number(b->sparse[i].pack_ms, "%.3f");
        printf("%zu,%zu,%d,", info->tile, info->block, info->in_place);
        print_number(b->onednn[faster].primitive ? b->onednn[faster].error : INFINITY, "%.1e");
        printf("%s,%s\n", b->onednn[DIRECT].name, b->onednn[faster].name);
    }
    fflush(stdout);
}

static void add(summary *sum, const bench *b, int shape_index, size_t i) {
    double mine = b->slots[DENSE_KINDS + i].least, direct = b->slots[DIRECT].least;
    double winograd = b->slots[faster_winograd(b)].least;
    sum->direct += log(direct / mine);
    sum->best += log(fmin(direct, winograd) / mine);
    if (isfinite(winograd)) {
        sum->winograd += log(winograd / mine);
        sum->winograd_count++;
    }
    if (!sum->count++ || direct / mine < sum->worst) {
        sum->worst = direct / mine;
        sum->worst_shape = shape_index;
    }
}

/* The sparsity from which on the geometric mean is above 1, between two that were measured. */
static void print_break_even(const summary *sums, const options *o, int winograd) {
    double before = 0;
    for (size_t k = 0; k < o->sparsities; k++) {
        const summary *sum = &sums[k];
        double ratio = winograd ? sum->winograd / sum->winograd_count : sum->direct / sum->count;
        if (k && before < 0 && ratio >= 0)
            printf("# break-even against %s: %.0f %%\n", winograd ? "Winograd, where it can" : "direct",
                   o->sparsity[k - 1] + (o->sparsity[k] - o->sparsity[k - 1]) * before / (before - ratio));
        before = ratio;
    }
}

static void print_summary(const summary *sum, double sparsity) {
    char name[NAME];
    printf("# %g %%: geometric mean of %d shapes of yolov3-tiny and ResNet-50 %.2f over direct, %.2f over the best;",
           sparsity, sum->count, exp(sum->direct / sum->count), exp(sum->best / sum->count));
    if (sum->winograd_count)
        printf(" %.2f over Winograd, which can do %d;", exp(sum->winograd / sum->winograd_count), sum->winograd_count);
    printf(" worst over direct %.2f, %s\n", sum->worst, name_of(&shapes[sum->worst_shape], name, ' '));
}

static double number(const char *text, double low, double high, char **end) {
    double x = strtod(text, end);
    if (*end == text || !(x >= low && x <= high))
        fail(text, "not a number of the allowed range");
    return x;
}

static void parse(options *o, int argc, char **argv) {
    char *end;
    for (int c; (c = getopt(argc, argv, "t:s:n:b:f:")) != -1;) {
        end = "";
        if (c == 'f')
            o->filter = optarg;
        else if (c == 't')
            o->threads = (int)number(optarg, 1, 1024, &end);
        else if (c == 'n')
            o->ms = number(optarg, 1, 1e6, &end);
        else if (c == 'b')
            o->batch = (int)number(optarg, 1, 1024, &end);
        else if (c == 's') {
            o->sparsities = 0;
            for (end = optarg; o->sparsities < SPARSITIES && *end; end += *end == ',')
                o->sparsity[o->sparsities++] = number(end, 0, 100, &end);
        } else
            exit(2);
        if (*end)
            fail(optarg, "something follows the number");
    }
    if (optind < argc || !o->sparsities)
        fail(optind < argc ? argv[optind] : "-s", "not understood");
}

int main(int argc, char **argv) {
    options o = {.threads = 1, .batch = 1, .ms = 1000, .sparsity = {0, 50, 60, 70, 80, 90, 95, 98}, .sparsities = 8};
    summary sums[SPARSITIES] = {{0}};
    parse(&o, argc, argv);
    static bench b; /* too large for the stack */
    char name[NAME];
    int shown = 0;
    start_onednn(o.threads);
    print_head(&o);
    for (int i = 0; i < SHAPES; i++) {
        if (o.filter && !strstr(name_of(&shapes[i], name, ' '), o.filter))
            continue;
        bench_new(&b, &shapes[i], &o);
        measure(&b, &o);
        print_rows(&b, &shapes[i], &o);
        for (size_t k = 0; k < o.sparsities && (shapes[i].set == YOLO || shapes[i].set == RESNET); k++)
            add(&sums[k], &b, i, k);
        bench_free(&b);
        shown++;
    }
    for (size_t k = 0; k < o.sparsities && sums[0].count; k++)
        print_summary(&sums[k], o.sparsity[k]);
    print_distance(&o);
    for (int winograd = 0; winograd < 2; winograd++)
        print_break_even(sums, &o, winograd);
    dnnl_primitive_attr_destroy(attributes);
    dnnl_stream_destroy(stream);
    dnnl_engine_destroy(engine);
    return shown ? 0 : 1;
}
#endif
