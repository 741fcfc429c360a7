/* SPDX-License-Identifier: MIT
 *
 * What a loaded model is made of; private to this folder.
 *
 * A network becomes a list of steps, each reading some arrays and writing one. Arrays of
 * all steps live in one arena, at offsets chosen once so that arrays that are needed at
 * the same time do not overlap (memory.c).
 *
 * What must stay true: a model is never written after dpf_model_load, so any number of
 * contexts on any threads may run it; everything that a run writes (arena, oneDNN's
 * handles) belongs to a context; running allocates nothing.
 */
#ifndef DPF_RUNTIME_MODEL_H
#define DPF_RUNTIME_MODEL_H

#include <stddef.h>

#include "../core/error.h"
#include "../core/rows.h"
#include "../kernels/dense.h"
#include "../kernels/depthwise.h"
#include "../kernels/spconv.h"
#include "../model/container.h"
#include "../model/graph.h"

#define RT_NONE SIZE_MAX
#define RT_ALWAYS SIZE_MAX /* last step of an array that must outlive the run */

#define RT_MOST_DENSITY 0.75 /* of weights that sparse kernels may win with */

/* An array: batch x c x h x w in a layout of kernels/dense.h; h = w = 1 where Darknet keeps
 * no picture. Planes of a plain array (lanes = 1) may be wide: the next one begins at a whole
 * vector, so that a sparse 1x1 convolution can read them where they lie. */
typedef struct rt_array {
    size_t c, h, w, lanes;
    size_t pitch;       /* floats from plane to plane of a plain array: h * w, or spconv_whole of it where wide */
    size_t floats;      /* of the whole batch, lanes rounded up */
    size_t first, last; /* steps between which its memory is taken */
    size_t share;       /* the array whose memory it uses, or RT_NONE: its own */
    size_t source;      /* the array it is a copy of in another layout, or RT_NONE */
    size_t offset;      /* floats, in the arena */
} rt_array;

static inline int rt_is_wide(const rt_array *a) {
    return a->pitch != a->h * a->w;
}

typedef struct rt_step rt_step;

/* What a step's function gets: its arrays, resolved for one context. */
typedef struct rt_run {
    const struct dpf_model *model;
    const rt_step *step;
    const float *const *in;
    float *out, *scratch;
} rt_run;

struct rt_step {
    void (*run)(const rt_run *r); /* NULL: dense, sparse or depthwise below */
    const dpf_graph_layer *layer;
    size_t number; /* of the layer */
    const char *what;
    size_t *in; /* arrays */
    size_t in_count, out, scratch;
    int in_place; /* the output may take the memory of in[0] */
    dense *dense;
    spconv *sparse;
    depthwise *depthwise;
    float *weights, *bias; /* of this step's own function */
    dpf_activation act;    /* of its results; DPF_LINEAR_ACT: none */
    double multiply_adds, useful;
    char kernel[64], why[160];
};

/* An array that can be read after a run. */
typedef struct rt_output {
    size_t layer, array;
    char name[64];
} rt_output;

struct dpf_model {
    dpf_cfg *cfg;
    dpf_graph *graph;
    int batch, threads, keep_layers, tune;
    dpf_kernels kernels;
    int fork; /* the cfg needs a fork: its batch-norm formula */
    rt_array *arrays;
    size_t array_count, array_room;
    rt_step *steps;
    size_t step_count, step_room;
    rt_output *outputs;
    size_t output_count;
    size_t input;       /* the array of the network's input */
    size_t most_inputs; /* of any step */
    size_t arena_floats, weight_bytes;
    double multiply_adds, useful;
};

/* Where the parameters of the layers come from: one of the two files, or they are random. */
typedef struct rt_parameters {
    const dpf_model_options *options;
    dpf_container_stream *packed;
    dpf_weights_stream *plain;
    float *all;    /* those of all layers, or NULL: one after the other */
    float *layer;  /* those of the layer at hand ... */
    dpf_rows rows; /* ... but for the weights of a convolution when they are here */
} rt_parameters;

/* How a model is made of a graph; the state of build.c. */
typedef struct rt_build {
    dpf_model *model;
    float *values;          /* parameters of the layer at hand, which may be changed ... */
    dpf_rows *rows;         /* ... but for a convolution's weights when these are not NULL: then they are here */
    size_t *of_layer;       /* array that holds the output of each layer */
    size_t index;           /* layer at hand */
    int pooled;             /* the convolution before did this layer's maxpool, too */
    dpf_activation waiting; /* what the convolution before left to this maxpool; DPF_LINEAR_ACT: nothing */
    dpf_error *err;
} rt_build;

#define RT_TRY(call)                                                                                                   \
    do {                                                                                                               \
        dpf_status try_status = (call);                                                                                \
        if (try_status != DPF_OK)                                                                                      \
            return try_status;                                                                                         \
    } while (0)

/* build.c: for the files that make steps */
dpf_status rt_build_all(dpf_model *model, rt_parameters *parameters, dpf_error *err);
dpf_status rt_fail(const rt_build *b, dpf_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* A new array, or the number of its source in another layout. */
dpf_status rt_array_new(rt_build *b, size_t c, size_t h, size_t w, size_t lanes, size_t *out);
/* Makes the planes of a new plain array wide. */
dpf_status rt_widen(rt_build *b, size_t array);
/* Is it worth while to write the output of the layer at hand in wide planes? Its readers are convolutions and
 * shortcuts then, which can do with them, and one of them is a 1x1 convolution or a shortcut. */
int rt_wants_wide(const rt_build *b);
/* The array in that layout, without gaps between planes: itself, an earlier conversion, or a new step that converts. */
dpf_status rt_as(rt_build *b, size_t array, size_t lanes, size_t *out);
/* A new step; its arrays of inputs are copied. The pointer holds until the next one. */
dpf_status rt_step_new(rt_build *b, rt_step **out, const char *what, void (*run)(const rt_run *), const size_t *in,
                       size_t in_count, size_t array);
dpf_status rt_scratch(rt_build *b, size_t step, size_t floats);
/* The input array of the layer at hand: the output of source i. */
size_t rt_source(const rt_build *b, size_t i);
/* Sets the output of the layer at hand. */
void rt_result(rt_build *b, size_t array);
/* Is this an output: a detector's head, the last layer that is no cost, or any when all are kept? */
int rt_is_output(const dpf_model *m, size_t layer);
float *rt_floats(const rt_build *b, size_t count); /* 64-byte aligned; NULL with an error */

/* parameters.c: open also reads the model's cfg; next is to be called for each layer, in order. */
dpf_status rt_parameters_open(rt_parameters *p, dpf_model *m, const char *path, const char *weights, dpf_error *err);
dpf_status rt_parameters_next(rt_parameters *p, const dpf_graph *g, size_t layer, float **values, dpf_rows **rows,
                              dpf_error *err);
void rt_parameters_close(rt_parameters *p);

/* conv.c */
dpf_status rt_build_convolution(rt_build *b, const dpf_graph_layer *l);
/* Puts the batch normalisation into weights and biases, where they are; *w and *bias point to them (*w to nothing
 * when the weights are in b->rows). */
void rt_fold(rt_build *b, const dpf_graph_layer *l, float **w, float **bias);
/* a * x + b of a batch normalisation's channel. */
void rt_batchnorm(const rt_build *b, const dpf_graph_layer *l, const float *scales, size_t channel, double *factor,
                  double *shift, double bias);

/* memory.c */
dpf_status rt_plan_memory(dpf_model *model, dpf_error *err);

/* The functions of the steps: steps_*.c. All threads of a run call them together; what they share out is in
 * `omp for` loops, each of which ends when all are through. */
void rt_take_input(const rt_run *r); /* the first input into the output, where they are not one */
void rt_maxpool(const rt_run *r);
size_t rt_maxpool_scratch(const rt_array *in); /* floats that each thread needs */
void rt_local_avgpool(const rt_run *r);
void rt_avgpool(const rt_run *r);
void rt_upsample(const rt_run *r);
void rt_reorg(const rt_run *r);
void rt_reorg3d(const rt_run *r);
void rt_crop(const rt_run *r);
void rt_concat(const rt_run *r);
void rt_first_floats(const rt_run *r);
void rt_add(const rt_run *r);
void rt_weighted_add(const rt_run *r);
void rt_scale_channels(const rt_run *r);
void rt_multiply(const rt_run *r);
void rt_activation(const rt_run *r);
void rt_normalize_channels(const rt_run *r);
void rt_batchnorm_run(const rt_run *r);
void rt_lrn(const rt_run *r);
void rt_l2norm(const rt_run *r);
void rt_connected(const rt_run *r);
void rt_local(const rt_run *r);
void rt_softmax(const rt_run *r);
void rt_yolo(const rt_run *r);
void rt_region(const rt_run *r);
void rt_detection(const rt_run *r);

#endif
