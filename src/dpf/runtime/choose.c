/* SPDX-License-Identifier: MIT
 *
 * The kernel of a convolution: dense or sparse, measured (tune) or by a small model in
 * processor cycles on one thread (all share their work alike), fitted to AMD's Zen 4, which
 * adds 16 products a cycle (Winograd's two tile sizes to each other on Zen 5):
 *
 *   sparse    what spconv models for this density and processor
 *   depthwise what its kernel models, likewise: about 1/14 a product, more for small pictures
 *   direct    1/15 a product and 1 a weight; of a depthwise layer 1/10; in whole blocks of 16 channels
 *   Winograd  1/15 a product, of which there are 16 for a tile of 2x2 outputs or 36 for one
 *             of 4x4; 0.4 or 1.2 for each value that is transformed, there and back; 1.5 or
 *             2.5 for each transformed weight, which comes from memory; our own: as tiles of
 *             4x4, but 0.4 for each value
 *   few       1/15 a product, for first layers
 *   OpenBLAS  1/12 a product, and 1 for each float that im2col writes
 *   all but these two: 0.55 of it where dpf_cpu_wide(), as measured on Zen 5
 *   all       1 for each float of input or output that needs another layout
 *   dense     0.35 for each float of output where a maxpool follows that another kernel does on the way;
 *             in measuring, too, as of a processor of 3 GHz
 *
 * Sparse is looked at only below a density of 0.75, where it could win, and for layers of
 * less than 16 channels or filters; in measuring, too, wherever the input is plain. OpenBLAS
 * is looked at where oneDNN cannot do a layer: it is no match for oneDNN's kernels, and its threads, which go on
 * spinning for a while, disturb what is measured after it.
 */
#include "choose.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../kernels/cpu.h"

#define DIRECT_SPEED 15 /* products a cycle */
#define DEPTHWISE_SPEED 10
#define BLAS_SPEED 12
#define WIDE_SHARE 0.55
#define BLOCK 16 /* channels that oneDNN keeps together */
#define RELAYOUT_CYCLES 1
#define POOL_CYCLES 0.35
#define CYCLES_A_MS 3e6

typedef enum candidate { SPARSE, DEPTHWISE, DIRECT, WINOGRAD_2, WINOGRAD_4, WINOGRAD, FEW, BLAS, CANDIDATES } candidate;
static const char *const names[CANDIDATES] = {"sparse",       "depthwise",    "direct",       "Winograd 2x2",
                                              "Winograd 4x4", "own Winograd", "few channels", "OpenBLAS"};
static const dense_kind kinds[CANDIDATES] = {DENSE_AUTO,       DENSE_AUTO,     DENSE_DIRECT, DENSE_WINOGRAD_2,
                                             DENSE_WINOGRAD_4, DENSE_WINOGRAD, DENSE_FEW,    DENSE_BLAS};

void rt_choice_free(rt_choice *choice) {
    dense_free(choice->dense);
    spconv_free(choice->sparse);
    depthwise_free(choice->depthwise);
    choice->dense = NULL;
    choice->sparse = NULL;
    choice->depthwise = NULL;
}

int rt_converts(const rt_build *b, const rt_conv *c, const rt_choice *choice) {
    const rt_array *in = &b->model->arrays[c->in];
    return in->lanes != choice->lanes_in || (rt_is_wide(in) && !choice->wide_in);
}

static double share(void) {
    return dpf_cpu_wide() ? WIDE_SHARE : 1;
}

static double floats_of(const rt_build *b, const rt_conv *c, int output) {
    return (double)b->model->batch * (double)(output ? c->l->outputs : c->l->inputs);
}

static int is_depthwise(const dpf_graph_layer *l) {
    return l->groups > 1 && l->groups == l->c;
}

/* oneDNN computes whole blocks of 16 channels and filters: of such layers zeros for the most part. */
static int is_narrow(const dpf_graph_layer *l) {
    return l->groups == 1 && (l->c < BLOCK || l->filters < BLOCK);
}

/* --- making ---------------------------------------------------------------------------- */

/* For kernels whose two strides are one, without holes in their window. Returns 0 for others. */
static int simple_shape(const rt_build *b, const rt_conv *c, dpf_conv_shape *shape) {
    const dpf_graph_layer *l = c->l;
    *shape = (dpf_conv_shape){b->model->batch, l->c, l->h, l->w, l->filters, l->size, l->stride, l->pad, l->groups};
    return l->stride_x == l->stride_y && l->dilation == 1;
}

static dpf_status make_sparse(rt_build *b, const rt_conv *c, rt_choice *out, double *cycles) {
    dpf_conv_shape shape;
    const rt_array *in = &b->model->arrays[c->in];
    spconv_options options = {.threads = b->model->threads, .pool = c->pool};
    if (!simple_shape(b, c, &shape))
        return DPF_ERR_UNSUPPORTED;
    out->wide_in = rt_is_wide(in);
    out->wide_out = c->wide;
    if (out->wide_in)
        options.in_pitch = in->pitch;
    if (out->wide_out)
        options.out_pitch = spconv_whole((size_t)c->l->out_h * (size_t)c->l->out_w);
    RT_TRY(b->rows ? spconv_new_rows(&out->sparse, &shape, c->act, b->rows, c->bias, &options, b->err)
                   : spconv_new(&out->sparse, &shape, c->act, c->w, c->bias, &options, b->err));
    spconv_info info;
    spconv_get_info(out->sparse, &info);
    snprintf(out->kernel, sizeof out->kernel, "sparse %s%s", dpf_isa_name(info.isa), c->pool ? " with maxpool" : "");
    out->pooled = c->pool;
    out->lanes_in = out->lanes_out = 1;
    out->scratch = spconv_scratch(out->sparse);
    out->bytes = info.packed_bytes;
    *cycles = info.cycles_modelled;
    return DPF_OK;
}

/* The weights as an array, also where they are here without their zeros: then it is for free(*own). */
static dpf_status spread(rt_build *b, const rt_conv *c, const float **weights, float **own) {
    *own = NULL;
    *weights = c->w;
    if (!b->rows)
        return DPF_OK;
    if (!(*own = rt_floats(b, c->l->weights)))
        return DPF_ERR_MEMORY;
    dpf_rows_to_dense(b->rows, *own);
    *weights = *own;
    return DPF_OK;
}

static dpf_status make_depthwise(rt_build *b, const rt_conv *c, rt_choice *out, double *cycles) {
    dpf_conv_shape shape;
    const depthwise_options options = {.threads = b->model->threads};
    const float *weights;
    float *own;
    if (!simple_shape(b, c, &shape))
        return DPF_ERR_UNSUPPORTED;
    RT_TRY(spread(b, c, &weights, &own));
    const dpf_status status = depthwise_new(&out->depthwise, &shape, c->act, weights, c->bias, &options, b->err);
    free(own);
    RT_TRY(status);
    depthwise_info info;
    depthwise_get_info(out->depthwise, &info);
    snprintf(out->kernel, sizeof out->kernel, "depthwise %s", dpf_isa_name(info.isa));
    out->lanes_in = out->lanes_out = 1;
    out->bytes = info.bytes;
    *cycles = info.cycles_modelled;
    return DPF_OK;
}

static double winograd_cycles(const rt_build *b, const rt_conv *c, candidate kind) {
    const dpf_graph_layer *l = c->l;
    const int tile = kind == WINOGRAD_2 ? 2 : 4;
    const double side = tile + 2, filters = l->filters, channels = l->c;
    const int down = (l->out_h + tile - 1) / tile, across = (l->out_w + tile - 1) / tile;
    const double values = side * side * (double)b->model->batch * (double)down * (double)across;
    return values * channels * filters / DIRECT_SPEED +
           values * (channels + filters) * (kind == WINOGRAD_4 ? 1.2 : 0.4) +
           side * side * channels * filters * (tile == 4 ? 2.5 : 1.5);
}

/* How many times as many products there are for so many channels in blocks. */
static double whole_blocks(int channels) {
    return ceil(channels / (double)BLOCK) * BLOCK / channels;
}

/* Before the share of processors that do two at once. */
static double narrow_cycles(const rt_build *b, const rt_conv *c, candidate kind) {
    const dpf_graph_layer *l = c->l;
    const double products = (double)b->model->batch * l->multiply_adds;
    if (kind == WINOGRAD_2 || kind == WINOGRAD_4 || kind == WINOGRAD)
        return winograd_cycles(b, c, kind);
    if (kind == DIRECT && is_depthwise(l))
        return products / DEPTHWISE_SPEED * whole_blocks(l->filters);
    if (kind == DIRECT && l->groups == 1 && l->c > DENSE_FEW_CHANNELS) /* those of a picture lie plain */
        return products / DIRECT_SPEED * whole_blocks(l->filters) * whole_blocks(l->c) + (double)l->weights;
    if (kind == DIRECT || kind == FEW)
        return products / DIRECT_SPEED * whole_blocks(l->filters) + (double)l->weights;
    return products / BLAS_SPEED + (l->size == 1 && l->stride == 1 ? 0 : products / ((double)l->filters / l->groups));
}

static double dense_cycles(const rt_build *b, const rt_conv *c, candidate kind) {
    return share() * narrow_cycles(b, c, kind);
}

/* Is the activation of the largest value the largest one? Then it can wait for the maxpool that follows, which has a
 * quarter of the values. */
static int may_wait(dpf_activation act) {
    return act == DPF_LEAKY || act == DPF_RELIE || act == DPF_RELU6 || act == DPF_LOGISTIC_ACT || act == DPF_TANH;
}

static dpf_status make_dense(rt_build *b, const rt_conv *c, candidate kind, rt_choice *out) {
    const dpf_graph_layer *l = c->l;
    const float *weights;
    float *own;
    RT_TRY(spread(b, c, &weights, &own));
    const dense_shape shape = {b->model->batch, l->c,        l->h,        l->w,
                               l->filters,      l->size,     l->stride_x, l->stride_y,
                               l->pad,          l->dilation, l->groups,   c->pool && (kind == FEW || kind == WINOGRAD)};
    /* these are fused by oneDNN's direct kernels, not by its Winograd */
    const int waits = c->pool && (kind == WINOGRAD_2 || kind == WINOGRAD_4) && may_wait(c->act);
    const dpf_status status = dense_new(&out->dense, &shape, waits ? DPF_LINEAR_ACT : c->act, weights, c->bias,
                                        b->model->threads, kinds[kind], b->err);
    free(own);
    if (status)
        return status;
    dense_info info;
    dense_get_info(out->dense, &info);
    snprintf(out->kernel, sizeof out->kernel, "%s", info.name);
    out->pooled = shape.pool;
    out->waiting = waits ? c->act : DPF_LINEAR_ACT;
    out->lanes_in = info.lanes_in;
    out->lanes_out = info.lanes_out;
    out->scratch = info.scratch;
    out->bytes = info.bytes;
    return DPF_OK;
}

/* Of the maxpool that a kernel leaves to another step. */
static double pool_cycles(const rt_build *b, const rt_conv *c, int pooled) {
    return c->pool && !pooled ? share() * POOL_CYCLES * floats_of(b, c, 1) : 0;
}

/* One candidate and what the model says of it, in Mcycles. */
static dpf_status make(rt_build *b, const rt_conv *c, candidate kind, rt_choice *out, double *cost) {
    double cycles = 0;
    *out = (rt_choice){.waiting = DPF_LINEAR_ACT};
    if (kind == SPARSE) {
        RT_TRY(make_sparse(b, c, out, &cycles));
    } else if (kind == DEPTHWISE) {
        RT_TRY(make_depthwise(b, c, out, &cycles));
    } else {
        RT_TRY(make_dense(b, c, kind, out));
        cycles = dense_cycles(b, c, kind);
    }
    const size_t lanes = b->model->arrays[c->in].lanes;
    if (rt_converts(b, c, out))
        cycles += share() * RELAYOUT_CYCLES * floats_of(b, c, 0);
    if (lanes == 1 && out->lanes_out != 1) /* what is plain now probably shall be again */
        cycles += share() * RELAYOUT_CYCLES * floats_of(b, c, 1) / (out->pooled ? 4 : 1);
    *cost = (cycles + pool_cycles(b, c, out->pooled)) / 1e6;
    return DPF_OK;
}

/* --- choosing -------------------------------------------------------------------------- */

/* Can the sparse kernel win? Where the input is plain it can with all weights, too, for want of a conversion; but by
 * too little to trust the model. */
static int may_be_sparse(const rt_build *b, const rt_conv *c) {
    const dpf_graph_layer *l = c->l;
    const int plain = b->model->tune && b->model->arrays[c->in].lanes == 1 && !is_depthwise(l);
    return c->pool || is_narrow(l) || plain || (double)c->nonzeros < RT_MOST_DENSITY * (double)l->weights;
}

/* The candidates in order; the first that can be made serves where *first is set. Returns how many. */
static size_t list(const rt_build *b, const rt_conv *c, candidate out[CANDIDATES], int *first) {
    const dpf_graph_layer *l = c->l;
    size_t n = 0;
    *first = 1;
    switch (b->model->kernels) {
    case DPF_KERNELS_SPARSE:
        out[n++] = SPARSE;
        break;
    case DPF_KERNELS_WINOGRAD:
        *first = 0;
        out[n++] = WINOGRAD_2;
        out[n++] = WINOGRAD_4;
        break;
    case DPF_KERNELS_BLAS:
        out[n++] = BLAS;
        return n;
    case DPF_KERNELS_DIRECT:
        break;
    case DPF_KERNELS_AUTO:
    case DPF_KERNELS_DENSE:
        *first = 0;
        if (is_depthwise(l))
            out[n++] = DEPTHWISE;
        if (l->c <= DENSE_FEW_CHANNELS && l->size == 3)
            out[n++] = FEW;
        if (b->model->kernels == DPF_KERNELS_AUTO && may_be_sparse(b, c))
            out[n++] = SPARSE;
        if (l->c % BLOCK == 0 && l->filters % BLOCK == 0)
            out[n++] = WINOGRAD;
        out[n++] = WINOGRAD_2;
        out[n++] = WINOGRAD_4;
    }
    out[n++] = DIRECT;
    out[n++] = BLAS;
    return n;
}

/* Is it needless to make this one, beside those that are there? Where nothing is measured, a dense one is left when
 * the model says that it cannot win, which spares the time and the memory of its weights; *cost is then what it
 * says. */
static int skips(const rt_build *b, const rt_conv *c, candidate kind, double least, double *cost) {
    const dpf_graph_layer *l = c->l;
    const int winograd = isfinite(cost[WINOGRAD_2]) || isfinite(cost[WINOGRAD_4]) || isfinite(cost[WINOGRAD]);
    if (kind == BLAS)
        return isfinite(cost[DIRECT]) || isfinite(cost[FEW]) || winograd;
    if (kind == DIRECT && b->model->kernels == DPF_KERNELS_WINOGRAD)
        return winograd;
    if (b->model->tune || kind == SPARSE || kind == DEPTHWISE)
        return 0;
    const double best = (dense_cycles(b, c, kind) + pool_cycles(b, c, kind == WINOGRAD || kind == FEW)) / 1e6;
    if (best < least)
        return 0;
    if (kind == DIRECT || (l->size == 3 && l->stride_x == 1 && l->stride_y == 1 && l->groups == 1))
        cost[kind] = best;
    return 1;
}

static void say_why(const rt_build *b, const rt_conv *c, const double *cost, rt_choice *chosen) {
    const double density = 100.0 * (double)c->nonzeros / (double)(c->l->weights ? c->l->weights : 1);
    size_t used, count = 0;
    for (size_t k = 0; k < CANDIDATES; ++k)
        count += isfinite(cost[k]) ? 1 : 0;
    used = (size_t)snprintf(chosen->why, sizeof chosen->why, "%.1f %% of weights", density);
    if (count < 2)
        return;
    const char *before = b->model->tune ? "; ms measured: " : "; Mcycles modelled: ";
    for (size_t k = 0; k < CANDIDATES && used < sizeof chosen->why; ++k) {
        if (!isfinite(cost[k]))
            continue;
        used += (size_t)snprintf(chosen->why + used, sizeof chosen->why - used, "%s%s %.*f", before, names[k],
                                 b->model->tune ? 3 : 2, cost[k]);
        before = ", ";
    }
}

/* What has been made so far; without measuring it is never more than two. */
typedef struct made {
    rt_choice choice[CANDIDATES];
    candidate kind[CANDIDATES];
    size_t count;
} made;

/* Keeps the cheapest alone. */
static void keep_best(made *m, const double *cost) {
    for (size_t i = 1; i < m->count; ++i) {
        const size_t worse = cost[m->kind[i]] < cost[m->kind[0]] ? 0 : i;
        rt_choice_free(&m->choice[worse]);
        if (worse == 0) {
            m->choice[0] = m->choice[i];
            m->kind[0] = m->kind[i];
        }
    }
    m->count = m->count > 0;
}

/* Puts milliseconds in the place of what the model says. */
static dpf_status measure(rt_build *b, const rt_conv *c, const made *m, double *cost) {
    double ms[CANDIDATES];
    RT_TRY(rt_measure(b, c, m->choice, m->count, ms));
    for (size_t i = 0; i < m->count; ++i)
        cost[m->kind[i]] = ms[i] + pool_cycles(b, c, m->choice[i].pooled) / CYCLES_A_MS / b->model->threads;
    return DPF_OK;
}

dpf_status rt_choose(rt_build *b, const rt_conv *c, rt_choice *out) {
    candidate order[CANDIDATES];
    double cost[CANDIDATES];
    int first;
    const size_t count = list(b, c, order, &first);
    made m = {.count = 0};
    dpf_status status = DPF_ERR_UNSUPPORTED;
    for (size_t k = 0; k < CANDIDATES; ++k)
        cost[k] = INFINITY;
    for (size_t i = 0; i < count && !(first && m.count); ++i) {
        if (m.count && skips(b, c, order[i], cost[m.kind[0]], cost))
            continue;
        m.kind[m.count] = order[i];
        status = make(b, c, order[i], &m.choice[m.count], &cost[order[i]]);
        if (status && status != DPF_ERR_UNSUPPORTED)
            break;
        m.count += !status;
        if (!b->model->tune)
            keep_best(&m, cost);
    }
    if (m.count)
        status = status == DPF_ERR_UNSUPPORTED ? DPF_OK : status;
    if (!status && b->model->tune && m.count > 1)
        status = measure(b, c, &m, cost);
    keep_best(&m, cost);
    *out = m.choice[0];
    if (status)
        rt_choice_free(out);
    else
        say_why(b, c, cost, out);
    return status;
}
