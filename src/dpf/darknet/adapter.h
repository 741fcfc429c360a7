/* SPDX-License-Identifier: MIT
 *
 * A Darknet network with pruning attached, for callers that never see darknet.h.
 *
 * Darknet's own parser builds the network and Darknet's own training loop runs
 * it; this adapter opens it, swaps the function pointers of the layers we do
 * better (hooks.c), feeds it images through Darknet's own loaders, and saves it.
 *
 * One network at a time a process may train: libdarknet keeps global state
 * (random numbers), which this adapter replaces by streams keyed by seed,
 * iteration and image, so that a run repeats bit for bit.
 */
#ifndef DPF_DARKNET_ADAPTER_H
#define DPF_DARKNET_ADAPTER_H

#include <stddef.h>
#include <stdint.h>

#include "../core/error.h"
#include "../core/pruner.h"
#include "../model/cfg.h"
#include "../model/detections.h"
#include "../model/graph.h"
#include "../model/state.h"

typedef struct dn_net dn_net;
typedef struct dn_data dn_data;

typedef struct dn_open_args {
    const char *cfg_path;     /* required: a cfg, or a .dpf, whose weights then count where weights_path is NULL */
    const char *weights_path; /* NULL: those of the .dpf; with a cfg random weights, as Darknet draws them */
    const char *dpf_path;     /* a file with the [dpf] section, or NULL: the one inside the cfg, if any */
    int clear;                /* 1: start at iteration 0 whatever the weights' header says */
    int train;                /* 1: attach the pruner; 0: run the weights as they are */
    int force;                /* 1: train though this Darknet leaves out options that only change training */
    int batch;                /* > 0: overrides the cfg's batch (and sets subdivisions to 1); 0: the cfg's */
    int threads;              /* > 0, or 0: all cores */
    uint64_t seed;
    /* Where an earlier training of the same cfg left off, or NULL; weights_path is then what that
     * one wrote. Fails with DPF_ERR_MISMATCH when it does not fit. Borrowed during dn_open. */
    const dpf_state *state;
    int dense;         /* 1: ignore the [dpf] section */
    int dense_kernels; /* 1: no sparse kernels for pruned layers: slower, and other bits in the end */
    int unhooked;      /* 1: leave every layer to libdarknet (for comparisons; no pruning) */
    int quiet;         /* 1: hide the layer table that Darknet's parser writes to stderr */
} dn_open_args;

typedef struct dn_info {
    int width, height, channels;
    int inputs, outputs;     /* floats a picture in and out */
    int batch, subdivisions; /* one iteration takes batch * subdivisions pictures, batch at a time */
    size_t max_batches;
    double learning_rate, momentum, decay;
    int layers;
    int random;  /* 1: the cfg asks for multi-scale training of a classifier */
    int pruning; /* 1: a [dpf] section is attached */
    int threads;
    /* Weights without a state, of which a share of this size is zero already: more than the ramp
     * asks for, so that the ramp was made to start there. 0: not so. */
    double found_sparsity;
} dn_info;

/* Opens cfg and weights, checked before Darknet sees them. On failure *out is NULL. */
dpf_status dn_open(dn_net **out, const dn_open_args *args, dpf_error *err);
void dn_close(dn_net *net);

/* All parameters of the open network, in the order of a .weights file: as many floats as the graph says.
 * The iteration stays. Not with a pruner attached; and only for cfgs that dpf_weights_read takes. */
dpf_status dn_set_values(dn_net *net, const float *values, dpf_error *err);
dpf_status dn_get_values(dn_net *net, float *values, dpf_error *err);

/* Batch-norm statistics anew, from pictures without labels: start, add one data of exactly
 * dn_info.batch pictures as often as wanted, finish (which sets the network's statistics), free. Without
 * finish the network is to be closed. Needs at least two values a channel in a batch. */
typedef struct dn_recalibration dn_recalibration;
dpf_status dn_recalibrate_start(dn_recalibration **out, dn_net *net, dpf_error *err);
size_t dn_recalibrate_layers(const dn_recalibration *recalibration); /* how many have such statistics */
dpf_status dn_recalibrate_add(dn_recalibration *recalibration, const dn_data *images, dpf_error *err);
dpf_status dn_recalibrate_finish(dn_recalibration *recalibration, dpf_error *err);
void dn_recalibrate_free(dn_recalibration *recalibration); /* NULL is allowed; before dn_close */

void dn_get_info(const dn_net *net, dn_info *out);
size_t dn_iteration(const dn_net *net);         /* t: weight updates so far */
size_t dn_seen(const dn_net *net);              /* pictures so far */
double dn_rate(const dn_net *net);              /* learning rate of the coming iteration */
const dpf_pruner *dn_pruner(const dn_net *net); /* NULL without [dpf] */

const dpf_graph *dn_graph(const dn_net *net); /* the cfg as layers and shapes */

/* Tensor i of the pruner is which layer of the network? (layer number as Darknet counts) */
int dn_tensor_layer(const dn_net *net, size_t tensor);

/* Loads n pictures and their labels with Darknet's loader and augmentation, on
 * all cores. Picture i draws its random numbers from (seed, iteration, i), so the
 * result does not depend on the number of threads. Every path must be a readable
 * picture (the caller checks). With augment the network must be square. Classifier: `labels` holds `classes` names that
 * are looked for in the path. */
typedef struct dn_load_args {
    const char *const *paths;
    size_t count;
    const char *const *labels;
    int classes;
    size_t iteration;
    int augment; /* 1: as in training; 0: as `classifier valid` (centre crop) */
    int whole;   /* with augment=0: 1: all of the picture, scaled plainly, as a detector sees it */
} dn_load_args;
dpf_status dn_load(dn_net *net, const dn_load_args *args, dn_data **out, dpf_error *err);
void dn_data_free(dn_data *data);

/* Picture i as the network gets it, planes first. */
const float *dn_data_planes(const dn_data *data, size_t i);

/* The same for a detector, as Darknet's load_data_detection does it: jitter, hue, saturation,
 * exposure and flip by the cfg, boxes moved along. With random=1 in the last layer the network
 * takes another size every 10 iterations first. */
typedef struct dn_box {
    int class;
    float x, y, w, h; /* centre and sides, shares of the picture */
} dn_box;
typedef struct dn_boxes { /* of one picture */
    const dn_box *list;
    size_t count;
} dn_boxes;
typedef struct dn_load_boxes_args {
    const char *const *paths; /* each shorter than DN_MOST_PATH */
    const dn_boxes *boxes;    /* one an entry of paths */
    size_t count;
    size_t iteration;
} dn_load_boxes_args;
enum { DN_MOST_PATH = 4000 }; /* Darknet has room for 4096 */
dpf_status dn_load_boxes(dn_net *net, const dn_load_boxes_args *args, dn_data **out, dpf_error *err);

/* Is this a detector, that is, is the last layer yolo or region? With training = 1: can Darknet
 * train it (with random=1 each layer must be of a kind that can change its size)? */
dpf_status dn_check_detector(const dn_net *net, int training, dpf_error *err);

/* A picture file in colour, and scaled to w x h: plainly, or with its aspect kept and grey
 * margins (letterbox). Planes of floats in [0,1], red, green, blue. The file must be good. */
typedef struct dn_picture {
    int w, h;
    float *planes; /* 3 * w * h, as it is */
    float *scaled; /* 3 * scaled w * scaled h */
} dn_picture;
void dn_picture_read(dn_picture *out, const char *path, int w, int h, int letterbox);
void dn_picture_free(dn_picture *picture); /* safe on a zeroed struct */

/* Runs one scaled picture (a network opened with batch = 1) and collects the boxes of all heads
 * above `threshold`, in shares of the picture. w, h: sides of the picture before the letterbox;
 * 0: it was scaled plainly. */
dpf_status dn_detect(dn_net *net, const float *scaled, int w, int h, float threshold, dpf_detections *out,
                     dpf_error *err);

/* One iteration of Darknet's train_network on batch * subdivisions pictures; *loss
 * is what Darknet prints. Fails with DPF_ERR_NUMERIC (naming the layer) when
 * weights or loss are no longer finite. */
dpf_status dn_train(dn_net *net, dn_data *data, float *loss, dpf_error *err);

/* Forward pass over all pictures of data; output: count * outputs floats. */
dpf_status dn_predict(dn_net *net, const dn_data *data, float *output, dpf_error *err);

/* One picture file the way `classifier predict` prepares it (letterbox). output: outputs floats. */
dpf_status dn_predict_file(dn_net *net, const char *path, float *output, dpf_error *err);

/* Writes a .weights file: the dense weights (pruned=0) or m*w (pruned=1). Through
 * a temporary file in the same folder, fsync and rename: `path` is whole or untouched. */
dpf_status dn_save(dn_net *net, const char *path, int pruned, dpf_error *err);

/* Writes the dense weights and the state that belongs to them, see model/checkpoint.h. The figures
 * that the network knows (iteration, seen, steps, seed, max_batches, threads) are filled in here. */
dpf_status dn_checkpoint(dn_net *net, const char *weights_path, const dpf_state_figures *figures, dpf_error *err);

/* NULL, or why a state of this network would not be enough to go on bit for bit: dn_checkpoint
 * must then not be called. */
const char *dn_no_state(const dn_net *net);

#endif
