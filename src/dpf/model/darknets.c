/* SPDX-License-Identifier: MIT
 *
 * See darknets.h. The two lists were made by reading the parsers of both.
 */
#include "darknets.h"

#include <stdlib.h>
#include <string.h>

#define BOTH (DPF_READ_BY_DEBIAN | DPF_READ_BY_FORK)
#define DEBIAN DPF_READ_BY_DEBIAN
#define FORK DPF_READ_BY_FORK
#define NOTHING DPF_EFFECT_NOTHING
#define TRAINING DPF_EFFECT_TRAINING
#define RESULT DPF_EFFECT_RESULT

#define NET DPF_IN_NET
#define ANY DPF_IN_LAYERS
#define CONV DPF_IN(DPF_CONVOLUTIONAL)
#define DECONV DPF_IN(DPF_DECONVOLUTIONAL)
#define LOCAL DPF_IN(DPF_LOCAL)
#define CONN DPF_IN(DPF_CONNECTED)
#define MAX DPF_IN(DPF_MAXPOOL)
#define ROUTE DPF_IN(DPF_ROUTE)
#define SHORTCUT DPF_IN(DPF_SHORTCUT)
#define UPSAMPLE DPF_IN(DPF_UPSAMPLE)
#define REORG DPF_IN(DPF_REORG)
#define DROPOUT DPF_IN(DPF_DROPOUT)
#define SOFTMAX DPF_IN(DPF_SOFTMAX)
#define COST DPF_IN(DPF_COST)
#define CROP DPF_IN(DPF_CROP)
#define LRN DPF_IN(DPF_NORMALIZATION)
#define ACT DPF_IN(DPF_ACTIVATION)
#define REGION DPF_IN(DPF_REGION)
#define YOLO DPF_IN(DPF_YOLO)
#define DETECTION DPF_IN(DPF_DETECTION)
#define ISEG DPF_IN(DPF_ISEG)
#define RNN DPF_IN(DPF_RNN)
#define GRU DPF_IN(DPF_GRU)
#define LSTM DPF_IN(DPF_LSTM)
#define CRNN DPF_IN(DPF_CRNN)
#define HEADS (YOLO | REGION | DETECTION)

const dpf_option_fact dpf_option_facts[] = {
    /* [net] */
    {NET, "batch", BOTH, TRAINING, "", "pictures an iteration"},
    {NET, "subdivisions", BOTH, TRAINING, "", "parts that an iteration is computed in"},
    {NET, "time_steps", BOTH, RESULT, "", "steps of a recurrent network"},
    {NET, "width", BOTH, RESULT, "", "of the input"},
    {NET, "height", BOTH, RESULT, "", "of the input"},
    {NET, "channels", BOTH, RESULT, "", "of the input"},
    {NET, "inputs", BOTH, RESULT, "", "floats of an input that is no picture"},
    {NET, "max_batches", BOTH, TRAINING, "", "iterations in all"},
    {NET, "learning_rate", BOTH, TRAINING, "", "at the start"},
    {NET, "momentum", BOTH, TRAINING, "", "of the optimiser"},
    {NET, "decay", BOTH, TRAINING, "", "weight decay"},
    {NET, "adam", BOTH, NOTHING, "", "Adam instead of momentum; only on GPUs"},
    {NET, "B1", BOTH, NOTHING, "", "of Adam"},
    {NET, "B2", BOTH, NOTHING, "", "of Adam"},
    {NET, "eps", BOTH, NOTHING, "", "of Adam; without the key 1e-7 in Debian, 1e-6 in the fork"},
    {NET, "policy", BOTH, TRAINING, "", "how the learning rate falls; only the fork has sgdr"},
    {NET, "burn_in", BOTH, TRAINING, "", "iterations of warming up"},
    {NET, "power", BOTH, TRAINING, "", "of warming up and of policy=poly"},
    {NET, "step", BOTH, TRAINING, "", "of policy=step and sigmoid"},
    {NET, "scale", BOTH, TRAINING, "", "of policy=step"},
    {NET, "steps", BOTH, TRAINING, "", "of policy=steps"},
    {NET, "scales", BOTH, TRAINING, "", "of policy=steps"},
    {NET, "gamma", BOTH, TRAINING, "", "of policy=exp and sigmoid"},
    {NET, "max_crop", BOTH, TRAINING, "", "classifier: longest side of a training picture before it is cropped"},
    {NET, "min_crop", BOTH, TRAINING, "", "classifier: the shortest such side"},
    {NET, "angle", BOTH, TRAINING, "", "classifier: random rotation"},
    {NET, "aspect", BOTH, TRAINING, "", "classifier: random stretching"},
    {NET, "saturation", BOTH, TRAINING, "", "random saturation"},
    {NET, "exposure", BOTH, TRAINING, "", "random brightness"},
    {NET, "hue", BOTH, TRAINING, "", "random hue"},
    {NET, "max_ratio", DEBIAN, TRAINING, "", "max_crop as a share of the width"},
    {NET, "min_ratio", DEBIAN, TRAINING, "", "min_crop as a share of the width"},
    {NET, "center", DEBIAN, TRAINING, "", "classifier: crop in the middle"},
    {NET, "random", DEBIAN, TRAINING, "", "classifier: another input size every 40 iterations"},
    {NET, "notruth", DEBIAN, TRAINING, "", "train without truth"},
    {NET, "clip", DEBIAN, NOTHING, "", "limit of the weights; only on GPUs"},
    {NET, "flip", FORK, TRAINING, "1", "0: no mirrored pictures"},
    {NET, "mosaic", FORK, TRAINING, "0", "four pictures in one"},
    {NET, "mosaic_bound", FORK, TRAINING, "0", "mosaic: objects stay inside their picture"},
    {NET, "mixup", FORK, TRAINING, "0", "two pictures blended"},
    {NET, "cutmix", FORK, TRAINING, "0", "a piece of one picture in another"},
    {NET, "blur", FORK, TRAINING, "0", "random blur"},
    {NET, "gaussian_noise", FORK, TRAINING, "0", "random noise"},
    {NET, "adversarial_lr", FORK, TRAINING, "0", "training against disturbed pictures"},
    {NET, "label_smooth_eps", FORK, TRAINING, "0", "softer truth"},
    {NET, "dynamic_minibatch", FORK, TRAINING, "0", "batch changes with the size of random=1"},
    {NET, "ema_alpha", FORK, TRAINING, "0", "weights averaged over iterations"},
    {NET, "weights_reject_freq", FORK, TRAINING, "0", "drops alike filters now and then"},
    {NET, "equidistant_point", FORK, TRAINING, "0", "iteration from which rejection starts"},
    {NET, "badlabels_rejection_percentage", FORK, TRAINING, "0", "drops the labels with the largest errors"},
    {NET, "num_sigmas_reject_badlabels", FORK, TRAINING, "0", "the same by deviation"},
    {NET, "contrastive", FORK, TRAINING, "0", "pairs of pictures for [contrastive]"},
    {NET, "contrastive_jit_flip", FORK, TRAINING, "0", "how those pairs differ"},
    {NET, "contrastive_color", FORK, TRAINING, "0", "how those pairs differ"},
    {NET, "unsupervised", FORK, TRAINING, "0", "pairs without labels"},
    {NET, "track", FORK, TRAINING, "0", "pictures in sequence, for video"},
    {NET, "resize_step", FORK, TRAINING, "32", "grid of the sizes of random=1"},
    {NET, "seq_scales", FORK, TRAINING, "1", "length of sequences at each step"},
    {NET, "sequential_subdivisions", FORK, NOTHING, "", "length of sequences of track=1"},
    {NET, "augment_speed", FORK, NOTHING, "", "gap between pictures of track=1"},
    {NET, "learning_rate_min", FORK, NOTHING, "", "of policy=sgdr"},
    {NET, "sgdr_cycle", FORK, NOTHING, "", "of policy=sgdr"},
    {NET, "sgdr_mult", FORK, NOTHING, "", "of policy=sgdr"},
    {NET, "letter_box", FORK, NOTHING, "",
     "detectors keep a picture's proportions, as Debian always does; else the fork stretches it"},
    {NET, "try_fix_nan", FORK, NOTHING, "", "values that are no number become 0; only on GPUs"},
    {NET, "loss_scale", FORK, NOTHING, "", "half precision on GPUs"},
    {NET, "use_cuda_graph", FORK, NOTHING, "", "speed on GPUs"},
    {NET, "optimized_memory", FORK, NOTHING, "", "memory on GPUs"},
    {NET, "workspace_size_limit_MB", FORK, NOTHING, "", "memory on GPUs"},
    {NET, "attention", FORK, NOTHING, "", "shows what a detector looks at"},
    {NET, "max_chart_loss", FORK, NOTHING, "", "top of the chart"},
    {NET, "show_receptive_field", FORK, NOTHING, "", "prints it"},

    /* every layer */
    {ANY, "onlyforward", BOTH, TRAINING, "", "a detection layer without loss"},
    {ANY, "stopbackward", BOTH, TRAINING, "", "freezes the layers before; a number above 1 thaws them in the fork"},
    {ANY, "learning_rate", BOTH, TRAINING, "", "factor of this layer"},
    {ANY, "dontload", BOTH, RESULT, "", "weights of this layer are not in the file"},
    {ANY, "dontloadscales", BOTH, RESULT, "", "batch-norm values of this layer are not in the file"},
    {ANY, "dontsave", DEBIAN, RESULT, "", "weights of this layer are not written"},
    {ANY, "numload", DEBIAN, RESULT, "", "so many filters are in the file"},
    {ANY, "truth", DEBIAN, TRAINING, "", "the layer has truth of its own"},
    {ANY, "smooth", DEBIAN, NOTHING, "", "softer truth; only on GPUs"},
    {ANY, "clip", FORK, TRAINING, "0", "limit of the weights"},
    {ANY, "dont_update", FORK, TRAINING, "0", "weights of this layer stay as they are"},
    {ANY, "burnin_update", FORK, TRAINING, "0", "weights stay as they are for some burn-ins"},
    {ANY, "train_only_bn", FORK, TRAINING, "0", "only batch-norm values are trained, here and before"},

    /* convolutions and their like */
    {CONV | DECONV | LOCAL, "filters", BOTH, RESULT, "", "output channels"},
    {CONV | DECONV | LOCAL, "size", BOTH, RESULT, "", "edge of the kernel"},
    {CONV | DECONV | LOCAL, "stride", BOTH, RESULT, "", "of the kernel"},
    {CONV | DECONV | LOCAL, "pad", BOTH, RESULT, "", "1: half a kernel on each side"},
    {CONV | DECONV, "padding", BOTH, RESULT, "", "pixels on each side"},
    {CONV | DECONV | LOCAL | CONN | SHORTCUT | ACT | RNN | CRNN, "activation", BOTH, RESULT, "",
     "see the table of activations"},
    {CONV | DECONV | CONN | RNN | GRU | LSTM | CRNN, "batch_normalize", BOTH, RESULT, "",
     "batch normalisation; 2 trains across mini-batches in the fork"},
    {CONV, "groups", BOTH, RESULT, "", "channels in groups that do not see each other"},
    {CONV, "binary", BOTH, RESULT, "", "weights of one bit"},
    {CONV, "xnor", BOTH, RESULT, "", "weights and inputs of one bit"},
    {CONV, "flipped", BOTH, RESULT, "", "weights of the file are transposed"},
    {CONV, "dot", BOTH, NOTHING, "", "only on GPUs, and out of use"},
    {CONV, "stride_x", FORK, RESULT, "", "stride along a row"},
    {CONV, "stride_y", FORK, RESULT, "", "stride along a column"},
    {CONV, "dilation", FORK, RESULT, "1", "gaps in the kernel"},
    {CONV, "antialiasing", FORK, RESULT, "0", "blurs before it leaves pixels out"},
    {CONV, "share_index", FORK, RESULT, "", "weights of another layer"},
    {CONV, "bin_output", FORK, RESULT, "0", "outputs of one bit, with xnor"},
    {CONV, "cbn", FORK, RESULT, "0", "batch normalisation across mini-batches"},
    {CONV, "assisted_excitation", FORK, TRAINING, "0", "stronger outputs where objects are"},
    {CONV, "sway", FORK, TRAINING, "0", "turned copies of the filters"},
    {CONV, "rotate", FORK, TRAINING, "0", "turned copies of the filters"},
    {CONV, "stretch", FORK, TRAINING, "0", "scaled copies of the filters"},
    {CONV, "stretch_sway", FORK, TRAINING, "0", "scaled and turned copies of the filters"},
    {CONV, "angle", FORK, NOTHING, "", "of sway and rotate"},
    {CONV, "grad_centr", FORK, TRAINING, "0", "gradients without their mean"},
    {CONV, "reverse", FORK, TRAINING, "0", "inverted gradients"},
    {CONV, "coordconv", FORK, TRAINING, "0", "gradients by place"},
    {CONV | ROUTE, "stream", FORK, NOTHING, "", "speed on GPUs"},
    {CONV | ROUTE, "wait_stream", FORK, NOTHING, "", "speed on GPUs"},
    {CONN | RNN | GRU | LSTM, "output", BOTH, RESULT, "", "outputs"},
    {RNN | CRNN, "shortcut", BOTH, RESULT, "", "the state is added up"},
    {GRU, "tanh", DEBIAN, RESULT, "", "tanh instead of logistic"},
    {RNN, "hidden", FORK, RESULT, "", "size of the state"},
    {RNN, "logistic", FORK, RESULT, "0", "logistic output"},
    {CRNN, "output_filters", DEBIAN, RESULT, "", "output channels"},
    {CRNN, "hidden_filters", DEBIAN, RESULT, "", "channels of the state"},
    {CRNN, "output", FORK, RESULT, "", "output channels"},
    {CRNN, "hidden", FORK, RESULT, "", "channels of the state"},
    {CRNN, "size", FORK, RESULT, "3", "edge of the kernels"},
    {CRNN, "stride", FORK, RESULT, "1", "of the kernels"},
    {CRNN, "dilation", FORK, RESULT, "1", "gaps in the kernels"},
    {CRNN, "pad", FORK, RESULT, "1", "half a kernel on each side, as Debian always has"},
    {CRNN, "padding", FORK, RESULT, "1", "pixels on each side"},
    {CRNN, "groups", FORK, RESULT, "1", "channels in groups"},
    {CRNN, "xnor", FORK, RESULT, "0", "weights and inputs of one bit"},

    /* layers without weights */
    {MAX, "size", BOTH, RESULT, "", "edge of the window"},
    {MAX, "stride", BOTH, RESULT, "", "of the window"},
    {MAX, "padding", BOTH, RESULT, "", "pixels on both sides together"},
    {MAX, "stride_x", FORK, RESULT, "", "stride along a row"},
    {MAX, "stride_y", FORK, RESULT, "", "stride along a column"},
    {MAX, "maxpool_depth", FORK, RESULT, "0", "maximum over channels"},
    {MAX, "out_channels", FORK, NOTHING, "", "of maxpool_depth"},
    {MAX, "antialiasing", FORK, RESULT, "0", "blurs before it leaves pixels out"},
    {MAX, "maxpool_zero_nonmax", FORK, RESULT, "0", "zeroes all but the maximum"},
    {ROUTE, "layers", BOTH, RESULT, "", "layers that are joined"},
    {ROUTE, "groups", FORK, RESULT, "1", "takes one part of the channels"},
    {ROUTE, "group_id", FORK, NOTHING, "", "which part, of groups"},
    {SHORTCUT, "from", BOTH, RESULT, "", "layer that is added; the fork takes several"},
    {SHORTCUT, "alpha", DEBIAN, RESULT, "", "factor of the layer before"},
    {SHORTCUT, "beta", DEBIAN, RESULT, "", "factor of the layer that is added"},
    {SHORTCUT, "weights_type", FORK, RESULT, "none", "trained weights for the sum"},
    {SHORTCUT, "weights_normalization", FORK, NOTHING, "", "of weights_type"},
    {UPSAMPLE, "stride", BOTH, RESULT, "", "factor"},
    {UPSAMPLE, "scale", BOTH, RESULT, "", "factor of the values"},
    {REORG, "stride", BOTH, RESULT, "", "edge of the blocks"},
    {REORG, "reverse", BOTH, RESULT, "", "the other way round"},
    {REORG, "flatten", DEBIAN, RESULT, "", "channels last"},
    {REORG, "extra", DEBIAN, RESULT, "", "more outputs"},
    {DROPOUT, "probability", BOTH, TRAINING, "", "share of values that is dropped; without the key .5, in the fork .2"},
    {DROPOUT, "dropblock", FORK, TRAINING, "0", "drops whole blocks"},
    {DROPOUT, "dropblock_size_rel", FORK, NOTHING, "", "of dropblock"},
    {DROPOUT, "dropblock_size_abs", FORK, NOTHING, "", "of dropblock"},
    {SOFTMAX, "groups", BOTH, RESULT, "", "a softmax for each part of the inputs"},
    {SOFTMAX, "temperature", BOTH, RESULT, "", "divisor of the inputs"},
    {SOFTMAX, "spatial", BOTH, RESULT, "", "a softmax for each pixel"},
    {SOFTMAX, "tree", BOTH, RESULT, "", "file with a tree of classes"},
    /* a softmax whose temperature only the parser of [softmax] sets: it divides by 0 */
    {REGION, "tree", BOTH | DPF_WRONG_IN_DEBIAN, RESULT, "", "file with a tree of classes"},
    {SOFTMAX, "noloss", BOTH, TRAINING, "", "computes no loss"},
    {COST, "type", BOTH, TRAINING, "", "sse, masked, smooth; only Debian has L1, seg, wgan"},
    {COST, "scale", BOTH, TRAINING, "", "factor of the error"},
    {COST, "ratio", BOTH, NOTHING, "", "only on GPUs"},
    {COST, "noobj", DEBIAN, NOTHING, "", "only on GPUs"},
    {COST, "thresh", DEBIAN, NOTHING, "", "only on GPUs"},
    {CROP, "crop_height", BOTH, RESULT, "", "of the output"},
    {CROP, "crop_width", BOTH, RESULT, "", "of the output"},
    {CROP, "flip", BOTH, TRAINING, "", "mirrors at random"},
    {CROP, "angle", BOTH, NOTHING, "", "only on GPUs"},
    {CROP, "saturation", BOTH, NOTHING, "", "only on GPUs"},
    {CROP, "exposure", BOTH, NOTHING, "", "only on GPUs"},
    {CROP, "shift", BOTH, NOTHING, "", "only on GPUs"},
    {CROP, "noadjust", BOTH, RESULT, "", "values are not scaled to -1 .. 1"},
    {LRN, "alpha", BOTH, RESULT, "", "of the normalisation"},
    {LRN, "beta", BOTH, RESULT, "", "of the normalisation"},
    {LRN, "kappa", BOTH, RESULT, "", "of the normalisation"},
    {LRN, "size", BOTH, RESULT, "", "channels that are looked at"},

    /* detection */
    {HEADS | ISEG, "classes", BOTH, RESULT, "", "number of classes"},
    {HEADS, "num", BOTH, RESULT, "", "boxes a cell"},
    {HEADS, "jitter", BOTH, TRAINING, "", "random cropping"},
    {HEADS, "max", BOTH, TRAINING, "", "most objects a picture; without the key 90 (region 30), in the fork 200"},
    {HEADS, "random", BOTH, TRAINING, "", "another input size now and then; the fork takes a factor"},
    {HEADS, "resize", FORK, TRAINING, "1", "random size of objects"},
    {YOLO | REGION, "anchors", BOTH, RESULT, "", "sizes of boxes"},
    {YOLO | REGION, "map", BOTH, RESULT, "", "file that maps classes"},
    {YOLO, "mask", BOTH, RESULT, "", "which anchors"},
    {YOLO, "ignore_thresh", BOTH, TRAINING, "", "overlap from which a box is not wrong"},
    {YOLO, "truth_thresh", BOTH, TRAINING, "", "overlap from which a box is right"},
    {REGION | DETECTION, "coords", BOTH, RESULT, "", "values a box"},
    {REGION | DETECTION, "softmax", BOTH, RESULT, "", "softmax over the classes"},
    {REGION | DETECTION, "sqrt", BOTH, RESULT, "", "roots of the sizes"},
    {REGION | DETECTION, "rescore", BOTH, TRAINING, "", "truth is the overlap"},
    {REGION | DETECTION, "coord_scale", BOTH, TRAINING, "", "weight in the loss"},
    {REGION | DETECTION, "object_scale", BOTH, TRAINING, "", "weight in the loss"},
    {REGION | DETECTION, "noobject_scale", BOTH, TRAINING, "", "weight in the loss"},
    {REGION | DETECTION, "class_scale", BOTH, TRAINING, "", "weight in the loss"},
    {REGION, "mask_scale", BOTH, TRAINING, "", "weight in the loss"},
    {REGION, "log", BOTH, NOTHING, "", "out of use"},
    {REGION, "thresh", BOTH, TRAINING, "", "overlap from which a box is not wrong"},
    {REGION, "classfix", BOTH, TRAINING, "", "which classes of a tree count"},
    {REGION, "absolute", BOTH, NOTHING, "", "out of use"},
    {REGION, "bias_match", BOTH, TRAINING, "", "anchors choose the box"},
    {REGION, "background", DEBIAN, RESULT, "", "a class for the background"},
    {DETECTION, "side", BOTH, RESULT, "", "cells along an edge"},
    {DETECTION, "forced", BOTH, TRAINING, "", "how a box is chosen"},
    {DETECTION, "reorg", BOTH, NOTHING, "", "out of use"},
    {ISEG, "ids", BOTH, RESULT, "", "values that tell objects apart"},
    {YOLO | REGION, "focal_loss", FORK, TRAINING, "0", "hard examples count more"},
    {YOLO, "scale_x_y", FORK, RESULT, "1", "centres of boxes may reach past their cell"},
    {YOLO, "new_coords", FORK, RESULT, "0", "another formula for boxes"},
    {YOLO, "nms_kind", FORK, RESULT, "default greedynms", "which of overlapping boxes are kept"},
    {YOLO, "beta_nms", FORK, NOTHING, "", "of nms_kind=diounms"},
    {YOLO, "iou_loss", FORK, TRAINING, "mse", "loss by overlap"},
    {YOLO, "iou_normalizer", FORK, TRAINING, "1", "weight of boxes in the loss; without the key .75 in the fork"},
    {YOLO, "obj_normalizer", FORK, TRAINING, "1", "weight of objectness in the loss"},
    {YOLO, "cls_normalizer", FORK, TRAINING, "1", "weight of classes in the loss"},
    {YOLO, "delta_normalizer", FORK, TRAINING, "1", "weight of everything in the loss"},
    {YOLO, "iou_thresh", FORK, TRAINING, "1", "more than one anchor an object"},
    {YOLO, "iou_thresh_kind", FORK, NOTHING, "", "of iou_thresh"},
    {YOLO, "label_smooth_eps", FORK, TRAINING, "0", "softer truth"},
    {YOLO, "max_delta", FORK, TRAINING, "", "limit of the gradient of a box"},
    {YOLO, "counters_per_class", FORK, TRAINING, "", "rare classes count more"},
    {YOLO, "objectness_smooth", FORK, TRAINING, "0", "truth of objectness is the overlap"},
    {YOLO, "embedding_layer", FORK, NOTHING, "", "tracking in video"},
    {YOLO, "track_history_size", FORK, NOTHING, "", "tracking in video"},
    {YOLO, "track_ciou_norm", FORK, NOTHING, "", "tracking in video"},
    {YOLO, "sim_thresh", FORK, NOTHING, "", "tracking in video"},
    {YOLO, "dets_for_track", FORK, NOTHING, "", "tracking in video"},
    {YOLO, "dets_for_show", FORK, NOTHING, "", "tracking in video"},
    {YOLO, "show_details", FORK, NOTHING, "", "prints more while training"},
};
const size_t dpf_option_facts_count = sizeof dpf_option_facts / sizeof dpf_option_facts[0];

static int stands_in(const dpf_option_fact *fact, dpf_layer_type type) {
    return (fact->where & (type == DPF_LAYER_TYPES ? DPF_IN_NET : DPF_IN(type))) != 0;
}

const dpf_option_fact *dpf_option_find(dpf_layer_type type, const char *key) {
    for (size_t i = 0; i < dpf_option_facts_count; ++i)
        if (stands_in(&dpf_option_facts[i], type) && strcmp(dpf_option_facts[i].key, key) == 0)
            return &dpf_option_facts[i];
    return NULL;
}

const char *dpf_option_nearest(dpf_layer_type type, const char *key) {
    const char *words[sizeof dpf_option_facts / sizeof dpf_option_facts[0] + 1];
    size_t count = 0;
    for (size_t i = 0; i < dpf_option_facts_count; ++i)
        if (stands_in(&dpf_option_facts[i], type))
            words[count++] = dpf_option_facts[i].key;
    words[count] = NULL;
    return dpf_nearest_word(key, words);
}

int dpf_option_is_neutral(const dpf_option_fact *fact, const char *value) {
    char *value_end;
    double number = strtod(value, &value_end);
    int is_number = value_end != value && (*value_end == '\0' || *value_end == '#' || *value_end == ';');
    for (const char *word = fact->neutral; *word;) {
        size_t length = strcspn(word, " ");
        if (strlen(value) == length && strncmp(word, value, length) == 0)
            return 1;
        char *end;
        double wanted = strtod(word, &end);
        if (is_number && end == word + length && number >= wanted && number <= wanted) /* "1.0" and "1" are alike */
            return 1;
        word += length + (word[length] == ' ');
    }
    return 0;
}
