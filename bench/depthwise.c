/* SPDX-License-Identifier: MIT
 *
 * depthwise: the depthwise kernel against oneDNN's direct convolution, in the layout that
 * oneDNN likes best and with the conversions from and to plain planes, and against the
 * sparse kernel, whose weights are all there. CSV on standard output; lines with # are notes.
 *
 *   -t THREADS   1 unless told otherwise
 *   -n MS        time spent on a shape, 300 unless told otherwise
 *   -b BATCH     pictures, 1 unless told otherwise
 *
 * All take turns, warm, with relu and a bias; the results are compared with oneDNN's first.
 */
#include <getopt.h>
#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dpf/kernels/dense.h"
#include "dpf/kernels/depthwise.h"
#include "dpf/kernels/spconv.h"
#include "timing.h"

enum { OURS, DIRECT, CONVERTED, SPARSE, SLOTS };
enum { SAMPLES = 2000, TIMED = 3 };
#define TOLERANCE 1e-5 /* a wrong tap is off by more than 1e-3 of the largest value */

/* Of yolo-fastest-1.1 at 320 x 320, MobileNet at 224 x 224, EfficientNet. */
static const struct {
    const char *set;
    int c, hw, size, stride;
} shapes[] = {{"yolo-fastest", 8, 160, 3, 1},  {"yolo-fastest", 24, 160, 3, 2}, {"yolo-fastest", 32, 80, 3, 1},
              {"yolo-fastest", 32, 80, 3, 2},  {"yolo-fastest", 48, 40, 3, 1},  {"yolo-fastest", 96, 40, 3, 1},
              {"yolo-fastest", 96, 40, 3, 2},  {"yolo-fastest", 136, 20, 3, 1}, {"yolo-fastest", 136, 20, 3, 2},
              {"yolo-fastest", 224, 10, 3, 1}, {"yolo-fastest", 96, 10, 5, 1},  {"yolo-fastest", 120, 20, 5, 1},
              {"mobilenet", 32, 112, 3, 1},    {"mobilenet", 64, 112, 3, 2},    {"mobilenet", 128, 56, 3, 1},
              {"mobilenet", 128, 56, 3, 2},    {"mobilenet", 256, 28, 3, 1},    {"mobilenet", 256, 28, 3, 2},
              {"mobilenet", 512, 14, 3, 1},    {"mobilenet", 512, 14, 3, 2},    {"mobilenet", 1024, 7, 3, 1},
              {"efficientnet", 144, 56, 5, 2}, {"efficientnet", 240, 28, 5, 1}, {"efficientnet", 672, 14, 5, 1},
              {"efficientnet", 672, 14, 5, 2}, {"convnext", 96, 56, 7, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef struct bench {
    size_t in_count, out_count;
    float *in, *out, *want, *blocked_in, *blocked_out, *scratch;
    depthwise *ours;
    spconv *sparse;
    dense *dense[3];
    dense_call *call[3]; /* to oneDNN's layout, the convolution, back */
    dense_info info;
    double ms[SLOTS][SAMPLES];
    size_t count;
} bench;

static void must(dpf_status status, const dpf_error *err) {
    if (status) {
        fprintf(stderr, "depthwise: %s\n", err->text);
        exit(1);
    }
}

static float *floats(size_t count) {
    float *x = aligned_alloc(64, (count * sizeof *x + 64) / 64 * 64);
    if (!x)
        exit(1);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(rand() % 2001 - 1000) / 1000.0f;
    return x;
}

static size_t product(int a, int b, int c) {
    return (size_t)a * (size_t)b * (size_t)c;
}

static void run(bench *b, int slot) {
    if (slot == OURS)
        depthwise_run(b->ours, b->in, b->out);
    else if (slot == SPARSE)
        spconv_run(b->sparse, b->in, b->out, b->scratch);
    else
        for (int i = slot == DIRECT; i < (slot == DIRECT ? 2 : 3); i++)
            if (b->call[i])
                dense_call_run(b->call[i]);
}

static void compare(bench *b, int slot) {
    double most = 0, largest = 0;
    memset(b->out, 0xff, b->out_count * sizeof *b->out);
    run(b, slot);
    for (size_t i = 0; i < b->out_count; i++) {
        const double off = fabs((double)b->out[i] - (double)b->want[i]);
        most = off <= most ? most : off; /* a NaN is a difference, too */
        largest = fmax(largest, fabs((double)b->want[i]));
    }
    if (!(most <= TOLERANCE * largest)) {
        fprintf(stderr, "depthwise: kernel %d differs from oneDNN by %g\n", slot, most);
        exit(1);
    }
}

/* Arrays of oneDNN's layout, and the calls that fill them. */
static void dense_new_calls(bench *b, const dpf_conv_shape *s, const float *w, const float *bias, int threads) {
    const int side = dpf_conv_out_h(s), in[] = {s->batch, s->c, s->h, s->w}, out[] = {s->batch, s->n, side, side};
    const dense_shape shape = {s->batch,  s->c,      s->h,   s->w, s->n,      s->size,
                               s->stride, s->stride, s->pad, 1,    s->groups, 0};
    const size_t batch = (size_t)s->batch, channels = (size_t)s->c, area = product(1, s->h, s->w);
    dpf_error err;
    must(dense_new(&b->dense[1], &shape, DPF_RELU, w, bias, threads, DENSE_AUTO, &err), &err);
    dense_get_info(b->dense[1], &b->info);
    b->blocked_in = floats(dense_floats(batch, channels, area, b->info.lanes_in));
    b->blocked_out = floats(dense_floats(batch, (size_t)s->n, product(1, side, side), b->info.lanes_out));
    const size_t lanes = b->info.lanes_in, lanes_out = b->info.lanes_out;
    float *to = lanes == 1 ? b->in : b->blocked_in, *from = lanes_out == 1 ? b->want : b->blocked_out;
    size_t most = b->info.scratch > spconv_scratch(b->sparse) ? b->info.scratch : spconv_scratch(b->sparse);
    b->scratch = floats(most + (size_t)1e6);
    if (lanes != 1) {
        must(dense_relayout_new(&b->dense[0], in, 1, area, lanes, threads, &err), &err);
        must(dense_call_new(&b->call[0], b->dense[0], b->in, to, b->scratch, &err), &err);
    }
    must(dense_call_new(&b->call[1], b->dense[1], to, from, b->scratch, &err), &err);
    if (lanes_out != 1) {
        must(dense_relayout_new(&b->dense[2], out, lanes_out, product(1, side, side), 1, threads, &err), &err);
        must(dense_call_new(&b->call[2], b->dense[2], from, b->want, b->scratch, &err), &err);
    }
}

static void bench_new(bench *b, int i, int batch, int threads) {
    const int c = shapes[i].c, hw = shapes[i].hw, size = shapes[i].size;
    const dpf_conv_shape s = {batch, c, hw, hw, c, size, shapes[i].stride, size / 2, c};
    const depthwise_options o = {.threads = threads};
    const spconv_options so = {.threads = threads};
    float *w = floats(product(c, size, size)), *bias = floats((size_t)c);
    dpf_error err;
    *b = (bench){.in_count = (size_t)batch * product(c, hw, hw)};
    b->out_count = (size_t)batch * product(c, dpf_conv_out_h(&s), dpf_conv_out_w(&s));
    b->in = floats(b->in_count);
    b->out = floats(b->out_count);
    b->want = floats(b->out_count);
    must(depthwise_new(&b->ours, &s, DPF_RELU, w, bias, &o, &err), &err);
    must(spconv_new(&b->sparse, &s, DPF_RELU, w, bias, &so, &err), &err);
    dense_new_calls(b, &s, w, bias, threads);
    run(b, CONVERTED);
    compare(b, OURS);
    compare(b, SPARSE);
    free(w);
    free(bias);
}

static void bench_free(bench *b) {
    float *arrays[] = {b->in, b->out, b->want, b->blocked_in, b->blocked_out, b->scratch};
    for (int i = 0; i < 3; i++) {
        dense_call_free(b->call[i]);
        dense_free(b->dense[i]);
    }
    depthwise_free(b->ours);
    spconv_free(b->sparse);
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
}

static void measure(bench *b, double ms) {
    const double start = now_ms();
    while (b->count + TIMED <= SAMPLES && (!b->count || now_ms() - start < ms)) {
        for (int slot = 0; slot < SLOTS; slot++) {
            run(b, slot);
            for (size_t k = 0; k < TIMED; k++) {
                const double from = now_ms();
                run(b, slot);
                b->ms[slot][b->count + k] = now_ms() - from;
            }
        }
        b->count += TIMED;
    }
    for (int slot = 0; slot < SLOTS; slot++)
        qsort(b->ms[slot], b->count, sizeof **b->ms, by_value);
}

static void print_row(const bench *b, int i) {
    const int s = shapes[i].stride, size = shapes[i].size;
    depthwise_info info;
    depthwise_get_info(b->ours, &info);
    printf("%s,%dx%dx%d %dx%d/%d,", shapes[i].set, shapes[i].c, shapes[i].hw, shapes[i].hw, size, size, s);
    for (int slot = 0; slot < SLOTS; slot++)
        printf("%.4f,%.4f,", b->ms[slot][0], b->ms[slot][b->count / 2]);
    for (int slot = DIRECT; slot < SLOTS; slot++)
        printf("%.2f,", b->ms[slot][0] / b->ms[OURS][0]);
    printf("%.1f,%.1f,%s\n", 2e-6 * (double)b->out_count * size * size / b->ms[OURS][0],
           1e-6 * (info.cycles_modelled / b->ms[OURS][0]), b->info.name);
    fflush(stdout);
}

int main(int argc, char **argv) {
    static bench b;
    int threads = 1, batch = 1;
    double ms = 300, sums[SLOTS] = {0};
    for (int c; (c = getopt(argc, argv, "t:n:b:")) != -1;)
        if (c == 't')
            threads = atoi(optarg);
        else if (c == 'b')
            batch = atoi(optarg);
        else if (c == 'n')
            ms = atof(optarg);
        else
            return 2;
    omp_set_num_threads(threads);
    printf("# %d threads, batch %d; ms; ratios and GFLOP/s of the minima\n", threads, batch);
    printf("set,shape,ours min,ours median,direct min,direct median,converted min,converted median,sparse min,"
           "sparse median,over direct,over converted,over sparse,GFLOP/s,modelled Gcycles/s,direct kernel\n");
    for (int i = 0; i < SHAPES; i++) {
        bench_new(&b, i, batch, threads);
        measure(&b, ms);
        print_row(&b, i);
        for (int slot = DIRECT; slot < SLOTS; slot++)
            sums[slot] += log(b.ms[slot][0] / b.ms[OURS][0]) / SHAPES;
        bench_free(&b);
    }
    printf("# geometric mean of %d shapes: %.2f over direct, %.2f with conversions, %.2f over sparse\n", (int)SHAPES,
           exp(sums[DIRECT]), exp(sums[CONVERTED]), exp(sums[SPARSE]));
    return 0;
}
