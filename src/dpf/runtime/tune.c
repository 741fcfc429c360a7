/* SPDX-License-Identifier: MIT
 *
 * How long a convolution takes on this machine: the least of some runs on arrays of its
 * size. The values do not matter for the time, as long as they are ordinary numbers.
 *
 * The kernels of a layer take turns, one run each: whatever disturbs the machine for a
 * while meets all of them. Before each run the caches are filled with other things, as much
 * as the weights of the network may be, and the input is read: in a network the other
 * layers run in between, and what comes first is what the layer before has written. (Without
 * that the kernels with the largest weights are taken for faster than they are.)
 */
#include "choose.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <time.h>

enum { LEAST_TURNS = 4, MOST_TURNS = 50 };
#define LEAST_MS 12.0                 /* to spend on each kernel, at least */
#define MOST_OTHERS ((size_t)8 << 20) /* floats: a third-level cache */
#define HOPELESS 2.0                  /* times as slow as the fastest after those turns: has no more */

typedef struct bench {
    float *in, *before, *out, *scratch; /* before: the input in the layout that it has */
    const float *first;                 /* what a run reads first: one of these two */
    size_t first_floats;
    dense *relayout;
    dense_call *call, *convert;
} bench;

static float *floats(const rt_build *b, size_t count) {
    float *x = rt_floats(b, count);
    for (size_t i = 0; x && i < count; ++i)
        x[i] = 0.5f;
    return x;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static dpf_status prepare(rt_build *b, const rt_conv *c, const rt_choice *choice, bench *t) {
    const dpf_model *m = b->model;
    const rt_array *a = &m->arrays[c->in];
    const size_t batch = (size_t)m->batch;
    const size_t area = choice->wide_in ? a->pitch : a->h * a->w;
    const size_t pixels = (size_t)c->l->out_h * (size_t)c->l->out_w;
    const size_t out_area = choice->wide_out ? spconv_whole(pixels) : pixels;
    const int shape[4] = {m->batch, (int)a->c, (int)a->h, (int)a->w};
    size_t scratch = choice->scratch, in = dense_floats(batch, a->c, area, choice->lanes_in), convert = 0;
    dense_info info;
    if (rt_converts(b, c, choice)) {
        RT_TRY(dense_relayout_new(&t->relayout, shape, a->lanes, a->pitch, choice->lanes_in, m->threads, b->err));
        dense_get_info(t->relayout, &info);
        convert = a->floats;
        scratch = info.scratch > scratch ? info.scratch : scratch;
    }
    t->in = floats(b, in);
    t->before = floats(b, convert);
    t->out = floats(b, dense_floats(batch, (size_t)c->l->out_c, out_area, choice->lanes_out));
    t->scratch = floats(b, scratch);
    if (!t->in || !t->before || !t->out || !t->scratch)
        return DPF_ERR_MEMORY;
    t->first = t->relayout ? t->before : t->in;
    t->first_floats = t->relayout ? convert : in;
    if (t->relayout)
        RT_TRY(dense_call_new(&t->convert, t->relayout, t->before, t->in, t->scratch, b->err));
    return choice->dense ? dense_call_new(&t->call, choice->dense, t->in, t->out, t->scratch, b->err) : DPF_OK;
}

static dpf_status run(const bench *t, const rt_choice *choice) {
    if (t->convert)
        RT_TRY(dense_call_run(t->convert));
    if (t->call)
        return dense_call_run(t->call);
    if (choice->sparse)
        spconv_run(choice->sparse, t->in, t->out, t->scratch);
    else
        depthwise_run(choice->depthwise, t->in, t->out);
    return DPF_OK;
}

/* Reads an array on all threads. The sum is for the compiler, which would leave it otherwise. */
static float read_all(const float *x, size_t count, int threads) {
    float sum = 0;
#pragma omp parallel for simd num_threads(threads) schedule(static) reduction(+ : sum)
    for (size_t i = 0; i < count; i += 16)
        sum += x[i];
    return sum;
}

/* Other things that are in the caches. */
typedef struct others {
    float *x;
    size_t count;
    volatile float sum;
} others;

/* One run of each that takes at most `most`. */
static dpf_status turn(const bench *t, const rt_choice *choices, size_t count, others *o, int threads, double most,
                       double *ms) {
    for (size_t i = 0; i < count; ++i) {
        if (ms[i] > most)
            continue;
        o->sum = read_all(o->x, o->count, threads) + read_all(t[i].first, t[i].first_floats, threads);
        const double start = now_ms();
        RT_TRY(run(&t[i], &choices[i]));
        ms[i] = fmin(ms[i], now_ms() - start);
    }
    return DPF_OK;
}

static dpf_status measure(rt_build *b, const bench *t, const rt_choice *choices, size_t count, double *ms) {
    const double begin = now_ms();
    const size_t parameters = b->model->graph->parameters;
    others o = {.count = parameters < MOST_OTHERS ? parameters : MOST_OTHERS};
    dpf_status status = DPF_OK;
    o.x = floats(b, o.count);
    if (!o.x)
        return DPF_ERR_MEMORY;
    for (size_t i = 0; i < count; ++i)
        ms[i] = INFINITY;
    for (int i = 0; i < MOST_TURNS && !status; ++i) {
        double least = INFINITY;
        for (size_t k = 0; k < count; ++k)
            least = fmin(least, ms[k]);
        if (i >= LEAST_TURNS && now_ms() - begin > LEAST_MS * (double)count)
            break;
        status = turn(t, choices, count, &o, b->model->threads, i >= LEAST_TURNS ? HOPELESS * least : INFINITY, ms);
    }
    free(o.x);
    return status ? rt_fail(b, status, "could not be run by oneDNN") : DPF_OK;
}

static void clear(bench *t) {
    dense_call_free(t->call);
    dense_call_free(t->convert);
    dense_free(t->relayout);
    free(t->in);
    free(t->before);
    free(t->out);
    free(t->scratch);
}

dpf_status rt_measure(rt_build *b, const rt_conv *c, const rt_choice *choices, size_t count, double *ms) {
    bench *t = calloc(count, sizeof *t);
    const int threads = omp_get_max_threads();
    dpf_status status = t ? DPF_OK : dpf_fail_memory(b->err, count * sizeof *t, "a measurement");
    for (size_t i = 0; i < count && !status; ++i)
        status = prepare(b, c, &choices[i], &t[i]);
    omp_set_num_threads(b->model->threads); /* oneDNN's */
    if (!status)
        status = measure(b, t, choices, count, ms);
    omp_set_num_threads(threads);
    for (size_t i = 0; t && i < count; ++i)
        clear(&t[i]);
    free(t);
    return status;
}
