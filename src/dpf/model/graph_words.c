/* SPDX-License-Identifier: MIT
 *
 * The words of a cfg: names of layers and activations, and which Darknet knows them.
 */
#include "darknets.h"
#include "graph_build.h"

#include <stdio.h>
#include <string.h>

typedef struct type_word {
    const char *name, *alias;
    dpf_layer_type type;
} type_word;

static const type_word types[] = {
    {"convolutional", "conv", DPF_CONVOLUTIONAL},
    {"deconvolutional", "deconv", DPF_DECONVOLUTIONAL},
    {"connected", "conn", DPF_CONNECTED},
    {"local", NULL, DPF_LOCAL},
    {"maxpool", "max", DPF_MAXPOOL},
    {"avgpool", "avg", DPF_AVGPOOL},
    {"route", NULL, DPF_ROUTE},
    {"shortcut", NULL, DPF_SHORTCUT},
    {"upsample", NULL, DPF_UPSAMPLE},
    {"reorg", NULL, DPF_REORG},
    {"dropout", NULL, DPF_DROPOUT},
    {"softmax", "soft", DPF_SOFTMAX},
    {"cost", NULL, DPF_COST},
    {"crop", NULL, DPF_CROP},
    {"batchnorm", NULL, DPF_BATCHNORM},
    {"normalization", "lrn", DPF_NORMALIZATION},
    {"l2norm", NULL, DPF_L2NORM},
    {"activation", NULL, DPF_ACTIVATION},
    {"logistic", NULL, DPF_LOGISTIC},
    {"region", NULL, DPF_REGION},
    {"yolo", NULL, DPF_YOLO},
    {"detection", NULL, DPF_DETECTION},
    {"iseg", NULL, DPF_ISEG},
    {"rnn", NULL, DPF_RNN},
    {"gru", NULL, DPF_GRU},
    {"lstm", NULL, DPF_LSTM},
    {"crnn", NULL, DPF_CRNN},
    {"scale_channels", NULL, DPF_SCALE_CHANNELS},
    {"sam", NULL, DPF_SAM},
    {"reorg3d", NULL, DPF_REORG3D},
    {"local_avgpool", "local_avg", DPF_LOCAL_AVGPOOL},
    {"Gaussian_yolo", "gaussian_yolo", DPF_GAUSSIAN_YOLO},
    {"conv_lstm", NULL, DPF_CONV_LSTM},
    {"history", NULL, DPF_HISTORY},
    {"contrastive", NULL, DPF_CONTRASTIVE},
    {"empty", "silence", DPF_EMPTY},
    {"implicit", NULL, DPF_IMPLICIT},
};
#define TYPES (sizeof types / sizeof types[0])

static const char *const activations[DPF_ACTIVATIONS] = {
    [DPF_LOGISTIC_ACT] = "logistic",
    [DPF_RELU] = "relu",
    [DPF_RELIE] = "relie",
    [DPF_LINEAR_ACT] = "linear",
    [DPF_RAMP] = "ramp",
    [DPF_TANH] = "tanh",
    [DPF_PLSE] = "plse",
    [DPF_LEAKY] = "leaky",
    [DPF_ELU] = "elu",
    [DPF_LOGGY] = "loggy",
    [DPF_STAIR] = "stair",
    [DPF_HARDTAN] = "hardtan",
    [DPF_LHTAN] = "lhtan",
    [DPF_SELU] = "selu",
    [DPF_RELU6] = "relu6",
    [DPF_MISH] = "mish",
    [DPF_SWISH] = "swish",
    [DPF_HARD_MISH] = "hard_mish",
    [DPF_NORM_CHAN] = "normalize_channels",
    [DPF_NORM_CHAN_SOFTMAX] = "normalize_channels_softmax",
    [DPF_NORM_CHAN_SOFTMAX_MAXVAL] = "normalize_channels_softmax_maxval",
    [DPF_GELU] = "gelu",
    [DPF_HARDSWISH] = "hardswish",
};

const char *dpf_layer_type_name(dpf_layer_type type) {
    for (size_t i = 0; i < TYPES; ++i)
        if (types[i].type == type)
            return types[i].name;
    return "?";
}

const char *dpf_activation_name(dpf_activation activation) {
    return (unsigned)activation < DPF_ACTIVATIONS ? activations[activation] : "?";
}

const char *dpf_type_needs(dpf_layer_type type) {
    return type >= DPF_SCALE_CHANNELS ? DPF_FORK : NULL;
}

dpf_status dpf_build_type(dpf_build *build, const dpf_section *section, dpf_layer_type *out) {
    const char *words[2 * TYPES + 2];
    size_t count = 0;
    for (size_t i = 0; i < TYPES; ++i) {
        if (strcmp(section->type, types[i].name) == 0 ||
            (types[i].alias && strcmp(section->type, types[i].alias) == 0)) {
            *out = types[i].type;
            return DPF_OK;
        }
        words[count++] = types[i].name;
    }
    words[count++] = "dpf";
    words[count] = NULL;
    const char *near = dpf_nearest_word(section->type, words);
    return dpf_fail(build->err, DPF_ERR_FORMAT, "%s:%d: [%.60s] is no layer that any Darknet has%s%s%s",
                    build->graph->cfg->file, section->line, section->type, near ? "; did you mean [" : "",
                    near ? near : "", near ? "]?" : "");
}

static int find_activation(const char *word, dpf_activation *out) {
    if (strcmp(word, "norm_chan") == 0) {
        *out = DPF_NORM_CHAN;
        return 1;
    }
    if (strcmp(word, "hard_swish") == 0) {
        *out = DPF_HARDSWISH;
        return 1;
    }
    for (unsigned i = 0; i < DPF_ACTIVATIONS; ++i)
        if (strcmp(word, activations[i]) == 0) {
            *out = (dpf_activation)i;
            return 1;
        }
    return 0;
}

/* Stock Darknet takes ReLU, with a line on stderr, for a word that it does not know. */
dpf_status dpf_build_activation(dpf_build *build, dpf_graph_layer *layer, dpf_activation fallback) {
    layer->activation = fallback;
    const dpf_key *key = dpf_section_find(layer->keys, "activation");
    if (!key)
        return DPF_OK;
    if (strcmp(key->value, "revleaky") == 0)
        return dpf_build_fail(build, layer, DPF_ERR_UNSUPPORTED, "activation=revleaky: only %s has it", DPF_FORK);
    if (!find_activation(key->value, &layer->activation)) {
        const char *words[DPF_ACTIVATIONS + 1];
        memcpy(words, activations, sizeof activations);
        words[DPF_ACTIVATIONS] = NULL;
        const char *near = dpf_nearest_word(key->value, words);
        return dpf_fail(build->err, DPF_ERR_FORMAT, "%s:%d: activation=%.60s is not known%s%s%s",
                        build->graph->cfg->file, key->line, key->value, near ? "; did you mean " : "", near ? near : "",
                        near ? "?" : "");
    }
    if (layer->activation >= DPF_STOCK_ACTIVATIONS) {
        layer->needs = DPF_FORK;
        return dpf_build_issue(build, (int)build->index, key->line, 0, DPF_FORK, "activation=%s",
                               dpf_activation_name(layer->activation));
    }
    return DPF_OK;
}
