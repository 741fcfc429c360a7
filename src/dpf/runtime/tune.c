/* SPDX-License-Identifier: MIT
 *
 * How long a convolution takes on this machine: the least of some runs on arrays of its
 * size. The values do not matter for the time, as long as they are ordinary numbers.
 */
#include "choose.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <time.h>

enum { LEAST_RUNS = 3, MOST_RUNS = 30 };
#define LEAST_MS 4.0 /* to spend on one candidate, at least */

typedef struct bench {
    float *in, *before, *out, *scratch; /* before: the input in the layout that it has */
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
    const size_t batch = (size_t)m->batch, area = a->h * a->w;
    const size_t out_area = (size_t)c->l->out_h * (size_t)c->l->out_w;
    const int shape[4] = {m->batch, (int)a->c, (int)a->h, (int)a->w};
    size_t scratch = choice->scratch, in = dense_floats(batch, a->c, area, choice->lanes_in), convert = 0;
    dense_info info;
    if (a->lanes != choice->lanes_in) {
        RT_TRY(dense_relayout_new(&t->relayout, shape, a->lanes, choice->lanes_in, m->threads, b->err));
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
    if (t->relayout)
        RT_TRY(dense_call_new(&t->convert, t->relayout, t->before, t->in, t->scratch, b->err));
    return choice->dense ? dense_call_new(&t->call, choice->dense, t->in, t->out, t->scratch, b->err) : DPF_OK;
}

static dpf_status run(const bench *t, const rt_choice *choice) {
    if (t->convert)
        RT_TRY(dense_call_run(t->convert));
    if (t->call)
        return dense_call_run(t->call);
    spconv_run(choice->sparse, t->in, t->out, t->scratch);
    return DPF_OK;
}

static dpf_status measure(rt_build *b, const bench *t, const rt_choice *choice, double *ms) {
    dpf_status status = run(t, choice);
    const double begin = now_ms();
    *ms = INFINITY;
    for (int i = 0; i < MOST_RUNS && !status && (i < LEAST_RUNS || now_ms() - begin < LEAST_MS); ++i) {
        const double start = now_ms();
        status = run(t, choice);
        *ms = fmin(*ms, now_ms() - start);
    }
    return status ? rt_fail(b, status, "could not be run by oneDNN") : DPF_OK;
}

dpf_status rt_measure(rt_build *b, const rt_conv *c, const rt_choice *choice, double *ms) {
    bench t = {.in = NULL};
    const int threads = omp_get_max_threads();
    dpf_status status = prepare(b, c, choice, &t);
    omp_set_num_threads(b->model->threads); /* oneDNN's */
    if (!status)
        status = measure(b, &t, choice, ms);
    omp_set_num_threads(threads);
    dense_call_free(t.call);
    dense_call_free(t.convert);
    dense_free(t.relayout);
    free(t.in);
    free(t.before);
    free(t.out);
    free(t.scratch);
    return status;
}
