/* SPDX-License-Identifier: MIT
 *
 * Making and running a depthwise convolution. Each plane of the output is cut into bands
 * of rows, one job each: low enough that what a band reads and writes stays in the
 * first-level cache while its strips are done, one after another. Of small planes a job
 * does as many as stay there.
 */
#include "depthwise.h"

#include <stdlib.h>
#include <string.h>

#include "activate.h"
#include "depthwise_internal.h"
#include "infer_desc.h"

#define BAND_FLOATS ((size_t)1 << 13) /* 32 KiB, read and written together */
enum { LEAST_ROWS = 8 };

struct depthwise {
    infer_desc desc;
    const dw_table *table;
    dw_kernel kernel;
    dpf_isa isa;
    int threads, unrolled;
    size_t rows, bands;    /* rows of a band of the output, bands of a plane */
    size_t planes, groups; /* planes that a job does, their number in a picture */
    infer_lines act;       /* post: applied to a finished band */
    float *weights, *bias;
};

static const dw_table *table_for(dpf_isa isa) {
#if defined(__x86_64__)
    if (isa == DPF_ISA_AVX512)
        return &dw_table_avx512;
    if (isa == DPF_ISA_AVX2)
        return &dw_table_avx2;
#endif
    (void)isa;
    return &dw_table_c;
}

/* Rows of a band: by the cache, by what the threads can share, and as even as they can be. */
static size_t band_rows(const infer_desc *d, int threads, size_t asked) {
    const size_t floats = d->stride * d->width + d->out_w; /* for each row of the output */
    const size_t planes = d->batch * d->filters, team = (size_t)threads;
    size_t rows = asked ? asked : BAND_FLOATS / floats;
    size_t bands = planes < 4 * team ? (4 * team + planes - 1) / planes : 1;
    if (!asked && (d->out_h + bands - 1) / bands < rows)
        rows = (d->out_h + bands - 1) / bands;
    if (!asked && rows < LEAST_ROWS)
        rows = LEAST_ROWS;
    bands = (d->out_h + rows - 1) / rows;
    return (d->out_h + bands - 1) / bands;
}

/* Small planes are done some at a time, where each has an input of its own and the threads have enough to share. */
static size_t job_planes(const infer_desc *d, int threads, size_t bands) {
    const size_t floats = d->height * d->width + d->out_h * d->out_w,
                 share = d->batch * d->filters / (size_t)threads / 4;
    size_t planes = BAND_FLOATS / floats;
    planes = planes < share ? planes : share;
    planes = planes < d->filters ? planes : d->filters;
    return bands > 1 || d->filters != d->channels || !planes ? 1 : planes;
}

dpf_status depthwise_new(depthwise **out, const dpf_conv_shape *shape, dpf_activation act, const float *weights,
                         const float *bias, const depthwise_options *options, dpf_error *err) {
    const depthwise_options o = options ? *options : (depthwise_options){.threads = 1};
    infer_desc desc;
    *out = NULL;
    dpf_status status = infer_desc_make(&desc, shape, act, err);
    if (status)
        return status;
    if (desc.groups != desc.channels)
        return dpf_fail(err, DPF_ERR_UNSUPPORTED, "convolution: groups=%d with %d channels is not depthwise",
                        shape->groups, shape->c);
    depthwise *d = calloc(1, sizeof *d);
    if (!d)
        return dpf_fail_memory(err, sizeof *d, "a convolution");
    d->desc = desc;
    d->weights = malloc(desc.weights * sizeof *d->weights);
    d->bias = calloc(desc.filters, sizeof *d->bias);
    if (!d->weights || !d->bias) {
        depthwise_free(d);
        return dpf_fail_memory(err, (desc.weights + desc.filters) * sizeof(float), "a convolution");
    }
    memcpy(d->weights, weights, desc.weights * sizeof *d->weights);
    if (bias)
        memcpy(d->bias, bias, desc.filters * sizeof *d->bias);
    d->isa = o.isa_set ? o.isa : dpf_cpu_isa();
    d->table = table_for(d->isa);
    d->unrolled = desc.size % 2 && desc.size >= 3 && desc.size <= 7 && desc.stride <= 2;
    d->kernel = d->unrolled ? d->table->unrolled[(desc.size - 3) / 2][desc.stride - 1] : d->table->any;
    d->threads = o.threads > 1 ? o.threads : 1;
    d->rows = band_rows(&desc, d->threads, o.rows);
    d->bands = (desc.out_h + d->rows - 1) / d->rows;
    d->planes = job_planes(&desc, d->threads, d->bands);
    d->groups = (desc.filters + d->planes - 1) / d->planes;
    d->act = infer_lines_of(act);
    *out = d;
    return DPF_OK;
}

void depthwise_free(depthwise *d) {
    if (!d)
        return;
    free(d->weights);
    free(d->bias);
    free(d);
}

/* Job i of batch x groups x bands. */
static void run_job(const depthwise *c, size_t i, const float *input, float *output) {
    const infer_desc *d = &c->desc;
    const size_t band = i % c->bands, picture = i / c->bands / c->groups;
    const size_t filter = i / c->bands % c->groups * c->planes, left = d->filters - filter;
    const size_t channel = picture * d->channels + filter / (d->filters / d->channels);
    const size_t first = band * c->rows, end = first + c->rows < d->out_h ? first + c->rows : d->out_h;
    const size_t in_area = d->height * d->width, out_area = d->out_h * d->out_w;
    const dw_job job = {.in = input + channel * in_area,
                        .weights = c->weights + filter * d->size * d->size,
                        .bias = c->bias + filter,
                        .out = output + (picture * d->filters + filter) * out_area,
                        .planes = left < c->planes ? left : c->planes,
                        .in_area = in_area,
                        .out_area = out_area,
                        .slope = c->act.slope,
                        .cap = c->act.cap,
                        .height = (ptrdiff_t)d->height,
                        .width = (ptrdiff_t)d->width,
                        .size = (ptrdiff_t)d->size,
                        .stride = (ptrdiff_t)d->stride,
                        .pad = (ptrdiff_t)d->pad,
                        .out_w = (ptrdiff_t)d->out_w,
                        .first = (ptrdiff_t)first,
                        .end = (ptrdiff_t)end};
    c->kernel(&job);
    if (c->act.post != DPF_LINEAR_ACT) /* more than one plane: all of each */
        dpf_activate_array(job.out + first * d->out_w, (job.planes - 1) * out_area + (end - first) * d->out_w,
                           c->act.post, 1);
}

void depthwise_run(const depthwise *c, const float *input, float *output) {
    const size_t jobs = c->desc.batch * c->groups * c->bands;
    if (c->threads == 1) { /* a team of one would be allocated */
        for (size_t i = 0; i < jobs; i++)
            run_job(c, i, input, output);
        return;
    }
#pragma omp parallel for schedule(static) num_threads(c->threads)
    for (size_t i = 0; i < jobs; i++)
        run_job(c, i, input, output);
}

/* Of processors with two vectors a cycle, measured with AVX-512 on AMD's Zen 5, those of the others are estimated: a
 * product of vectors takes twice as long. */
static double model_cycles(const depthwise *c) {
    const infer_desc *d = &c->desc;
    const double taps = (double)(d->size * d->size), vector = (double)c->table->vector;
    const size_t strips = d->batch * d->filters * ((d->out_w - 1) / c->table->vector + 1);
    double step = taps + (d->stride == 2 ? 14 : 2); /* a row of a strip */
    if (!c->unrolled)
        step = taps * (d->stride > 2 ? 2 * vector : 6);
    return (dpf_cpu_wide() ? 0.6 : 1) * (double)strips *
           ((c->planes > 1 ? 30 : 80) * (double)c->bands + step * (double)d->out_h);
}

void depthwise_get_info(const depthwise *c, depthwise_info *out) {
    const infer_desc *d = &c->desc;
    *out = (depthwise_info){.isa = c->isa,
                            .bytes = (d->weights + d->filters) * sizeof(float),
                            .unrolled = c->unrolled,
                            .cycles_modelled = model_cycles(c)};
}
