/* SPDX-License-Identifier: MIT
 *
 * The network that a cfg describes: layers, shapes, connections, numbers of
 * parameters, what may be pruned. Nothing is allocated by shape here, so a graph
 * is cheap and safe to build from any file.
 *
 * What must stay true: shapes and the order of parameters are those of Debian's
 * Darknet (a test compares the tables); every number that comes out has been
 * checked, so that products of a layer's dimensions fit a size_t and the number of
 * floats a layer takes, gives or holds fits an int; inputs always point backwards.
 */
#ifndef DPF_MODEL_GRAPH_H
#define DPF_MODEL_GRAPH_H

#include <stddef.h>

#include "../core/error.h"
#include "../core/options.h"
#include "../kernels/activation.h"
#include "cfg.h"

typedef enum dpf_layer_type {
    DPF_CONVOLUTIONAL,
    DPF_DECONVOLUTIONAL,
    DPF_CONNECTED,
    DPF_LOCAL,
    DPF_MAXPOOL,
    DPF_AVGPOOL,
    DPF_ROUTE,
    DPF_SHORTCUT,
    DPF_UPSAMPLE,
    DPF_REORG, /* Darknet's [reorg], which forks call the old one */
    DPF_DROPOUT,
    DPF_SOFTMAX,
    DPF_COST,
    DPF_CROP,
    DPF_BATCHNORM,
    DPF_NORMALIZATION,
    DPF_L2NORM,
    DPF_ACTIVATION,
    DPF_LOGISTIC,
    DPF_REGION,
    DPF_YOLO,
    DPF_DETECTION,
    DPF_ISEG,
    DPF_RNN,
    DPF_GRU,
    DPF_LSTM,
    DPF_CRNN,
    /* From here on: layers of forks. Their shapes are inferred where they are simple. */
    DPF_SCALE_CHANNELS,
    DPF_SAM,
    DPF_REORG3D,
    DPF_LOCAL_AVGPOOL,
    DPF_GAUSSIAN_YOLO,
    DPF_CONV_LSTM,
    DPF_HISTORY,
    DPF_CONTRASTIVE,
    DPF_EMPTY,
    DPF_IMPLICIT,
    DPF_LAYER_TYPES /* the number of types */
} dpf_layer_type;

/* Fields of detection, region, yolo and gaussian_yolo layers. */
typedef struct dpf_head {
    int classes, coords;
    int num;        /* boxes a cell (for yolo: those of its mask) */
    int total;      /* anchors in all; num where there is no mask */
    int side;       /* detection */
    int *mask;      /* yolo: num indexes into the anchors; else NULL. Owned by the graph */
    float *anchors; /* 2 * total values, 0.5 where the cfg gives none; NULL for detection. Owned by the graph */
    int softmax, background, rescore, sqrt, bias_match, classfix;
    int new_coords;            /* forks */
    float scale_x_y, beta_nms; /* forks; 1 and 0.6 */
    float thresh, ignore_thresh, truth_thresh, jitter;
    int random, max_boxes;
    const char *tree, *map; /* file names or NULL */
} dpf_head;

typedef struct dpf_graph_layer {
    dpf_layer_type type;
    size_t section;          /* index of its section in the cfg */
    int line;                /* of the section's header */
    const dpf_section *keys; /* that section */

    /* Shapes of one picture. c, h, w are 0 where Darknet keeps none (after softmax,
     * cost, recurrent layers, ...); inputs and outputs, in floats, always hold. */
    int c, h, w;
    int out_c, out_h, out_w;
    size_t inputs, outputs;

    /* Layers this one reads, in order; -1 is the network's input. One for most, two
     * or more for shortcut, scale_channels and sam (the layer before first), any
     * number for route. Owned by the graph. */
    const int *from;
    size_t from_count;

    int filters; /* convolutional, deconvolutional, local; output of connected and recurrent */
    int size, stride, stride_x, stride_y, dilation;
    int pad;    /* rows and columns added on each side (convolution), on both together (maxpool) */
    int groups; /* convolutional and softmax; 1 otherwise */
    int route_groups, route_group_id; /* route of forks: 1 and 0 in stock */
    dpf_activation activation;
    int batch_normalize;
    int binary, xnor;            /* convolutional: as in the cfg */
    int reverse, flatten, extra; /* reorg; reverse also upsample with a negative stride */
    float scale, alpha, beta;    /* upsample: scale; shortcut: alpha, beta; normalization too */
    float kappa, probability, temperature;
    int spatial;           /* softmax */
    const char *tree;      /* softmax: file name or NULL */
    const char *cost_type; /* cost: "sse", ... */
    int flip, noadjust;    /* crop */
    dpf_head head;

    /* Parameters as a .weights file holds them, in floats. Convolutions: biases,
     * then scales, means, variances (`bn` each, 0 without batch_normalize), then
     * weights. Connected: biases, weights, then the three. Batchnorm: the three.
     * `opaque`: parameters of recurrent layers and of forks' layers, as one run. */
    size_t weights, biases, bn, opaque;
    size_t parameters; /* the sum: biases + 3 * bn + weights + opaque */
    size_t offset;     /* floats of the layers before, that is where this layer's start */
    int unusual_load;  /* line of a key that makes Darknet load this layer in another way (dontload, ...), or 0 */

    /* Pruning. By default every convolutional layer is prunable except depthwise
     * ones (groups = channels) and those whose output is read directly by a
     * detection, region, yolo, gaussian_yolo, softmax or cost layer. Directly means
     * with no layer in between: the 1x1 convolution before [avgpool] [softmax] is prunable. */
    int prunable_default;
    int prunable;    /* after prune= of the section; 1 only for convolutional layers */
    double sparsity; /* own target, or -1 */

    double multiply_adds; /* dense, for one picture; convolutional, connected, local; 0 otherwise */
    const char *needs;    /* NULL: stock Darknet builds this layer type and activation; else who does */
} dpf_graph_layer;

/* Something that the stock Darknet would not do, or silently ignore. */
typedef struct dpf_issue {
    int layer; /* -1: [net] */
    int line;
    int training_only; /* 1: a forward pass is the same without it */
    const char *what;  /* "[route] groups=2 (takes one part of the channels)" */
    const char *who;   /* "AlexeyAB's fork"; NULL: a remark about a key that nobody reads */
    int wrong;         /* this Darknet reads it, but divides by 0 then */
} dpf_issue;

typedef struct dpf_graph {
    const dpf_cfg *cfg; /* borrowed: must outlive the graph */
    dpf_graph_layer *layers;
    size_t count;

    /* [net] */
    int batch, subdivisions; /* an iteration takes `batch` pictures, mini_batch at a time */
    int time_steps;
    int mini_batch; /* batch / subdivisions * time_steps, as Darknet counts */
    int width, height, channels;
    size_t inputs;
    size_t max_batches, burn_in;
    const char *policy;
    size_t steps_count;
    const long *steps; /* policy=steps: iterations, ascending as in the cfg */
    const float *scales;
    double learning_rate, momentum, decay;
    int adam;

    size_t outputs; /* floats of the last layer that is not a cost layer */
    size_t output_layer;
    size_t parameters; /* floats in a .weights file */
    size_t prunable_weights;
    double multiply_adds;

    int has_dpf;
    const char *dpf_file; /* name of the file that holds the [dpf] section */
    int dpf_line;
    dpf_options options; /* as parsed; dpf_graph_options finishes it */

    dpf_issue *issues; /* in file order */
    size_t issues_count;

    void *storage; /* everything that the pointers above lead to */
} dpf_graph;

/* Builds the graph of a cfg. `dpf` (NULL: none) is the parsed text of a `-dpf FILE`: exactly one
 * [dpf] section, which then stands in for the cfg's own. Both are borrowed and must outlive the
 * graph. Fails, naming file:line, with DPF_ERR_FORMAT (no [net], unknown layer, second [dpf], a
 * value that is no number), DPF_ERR_RANGE (a value that cannot be), DPF_ERR_MISMATCH (shapes that
 * do not fit). On failure *out is NULL. */
dpf_status dpf_graph_new(dpf_graph **out, const dpf_cfg *cfg, const dpf_cfg *dpf, dpf_error *err);
void dpf_graph_free(dpf_graph *graph); /* NULL is allowed */

/* The [dpf] options with what depends on the length of the training filled in
 * (dpf_options_finish). Only for a graph with has_dpf. */
dpf_status dpf_graph_options(const dpf_graph *graph, dpf_options *out, dpf_error *err);

/* Iteration of the second learning-rate step, or 0 when there is none before max_batches.
 * A step is where the rate falls: the warm-up steps of older cfgs (scales above 1, steps=-1) do
 * not count. */
size_t dpf_graph_second_step(const dpf_graph *graph);

/* DPF_ERR_UNSUPPORTED with the first thing that the stock Darknet cannot build or would ignore
 * although it changes the result: of the forward pass, and with training = 1 of training too.
 * Remarks never fail. */
dpf_status dpf_graph_check_stock(const dpf_graph *graph, int training, dpf_error *err);

/* An issue as one sentence: "yolo.cfg:120: layer 21: [yolo] scale_x_y=1.05 (...) needs AlexeyAB's
 * fork; this Darknet does not know it" (or "divides by 0 there"). */
void dpf_graph_issue_text(const dpf_graph *graph, const dpf_issue *issue, char *text, size_t size);

/* "convolutional"; "leaky". */
const char *dpf_layer_type_name(dpf_layer_type type);
const char *dpf_activation_name(dpf_activation activation);

/* "layer 12 (convolutional, line 130)" into text, for messages. */
void dpf_graph_describe(const dpf_graph *graph, size_t layer, char *text, size_t size);

#endif
