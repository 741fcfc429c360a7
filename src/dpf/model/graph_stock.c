/* SPDX-License-Identifier: MIT
 *
 * What a cfg asks for that the stock Darknet would not do. It reads keys that it
 * knows and prints "Unused field" for the rest, so a cfg made for a fork runs, with
 * other results. Each key here is one that a fork reads and stock does not.
 *
 * What must stay true: a key whose value says what stock does anyway is no issue.
 */
#include "graph_build.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FORK "AlexeyAB's fork"
#define ANY NAN /* every value makes a difference */

typedef struct foreign_key {
    const char *sections; /* comma list, each name with commas around it; "" for all but [net] */
    const char *key;
    double neutral;           /* number that means what stock does */
    const char *neutral_word; /* or a word that does, or NULL */
    int training_only;
} foreign_key;

static const foreign_key keys[] = {
    {",convolutional,conv,", "dilation", 1, NULL, 0},
    {",convolutional,conv,", "antialiasing", 0, NULL, 0},
    {",convolutional,conv,", "share_index", ANY, NULL, 0},
    {",convolutional,conv,", "assisted_excitation", 0, NULL, 1},
    {",convolutional,conv,", "deform", 0, NULL, 0},
    {",convolutional,conv,", "rotate", 0, NULL, 0},
    {",convolutional,conv,", "sway", 0, NULL, 0},
    {",convolutional,conv,", "stretch", 0, NULL, 0},
    {",convolutional,conv,", "stretch_sway", 0, NULL, 0},
    {",convolutional,conv,", "coordconv", 0, NULL, 0},
    {",convolutional,conv,", "bin_output", 0, NULL, 0},
    {",convolutional,conv,", "grad_centr", 0, NULL, 1},
    {",convolutional,conv,", "reverse", 0, NULL, 0},
    {",convolutional,conv,", "cbn", 0, NULL, 1},
    {",maxpool,max,", "maxpool_depth", 0, NULL, 0},
    {",maxpool,max,", "out_channels", ANY, NULL, 0},
    {",maxpool,max,", "antialiasing", 0, NULL, 0},
    {",route,", "groups", 1, NULL, 0},
    {",shortcut,", "weights_type", ANY, "none", 0},
    {",shortcut,", "weights_normalization", ANY, "none", 0},
    {",dropout,", "dropblock", 0, NULL, 1},
    {",dropout,", "dropblock_size_rel", 0, NULL, 1},
    {",dropout,", "dropblock_size_abs", 0, NULL, 1},
    {",yolo,region,", "focal_loss", 0, NULL, 1},
    {",yolo,", "scale_x_y", 1, NULL, 0},
    {",yolo,", "new_coords", 0, NULL, 0},
    {",yolo,", "nms_kind", ANY, "greedynms", 0},
    {",yolo,", "iou_loss", ANY, "mse", 1},
    {",yolo,", "iou_normalizer", 1, NULL, 1},
    {",yolo,", "obj_normalizer", 1, NULL, 1},
    {",yolo,", "cls_normalizer", 1, NULL, 1},
    {",yolo,", "delta_normalizer", 1, NULL, 1},
    {",yolo,", "iou_thresh", 1, NULL, 1},
    {",yolo,", "label_smooth_eps", 0, NULL, 1},
    {",yolo,", "max_delta", ANY, NULL, 1},
    {",yolo,", "counters_per_class", ANY, NULL, 1},
    {",yolo,", "objectness_smooth", 0, NULL, 1},
    {",net,network,", "mosaic", 0, NULL, 1},
    {",net,network,", "mixup", 0, NULL, 1},
    {",net,network,", "cutmix", 0, NULL, 1},
    {",net,network,", "blur", 0, NULL, 1},
    {",net,network,", "gaussian_noise", 0, NULL, 1},
    {",net,network,", "adversarial_lr", 0, NULL, 1},
    {",net,network,", "label_smooth_eps", 0, NULL, 1},
    {",net,network,", "flip", 1, NULL, 1},
    {",net,network,", "dynamic_minibatch", 0, NULL, 1},
    {",net,network,", "ema_alpha", 0, NULL, 1},
    {",net,network,", "weights_reject_freq", 0, NULL, 1},
    {",net,network,", "seq_scales", ANY, NULL, 1},
    {",net,network,", "sgdr_cycle", ANY, NULL, 1},
    {",net,network,", "batches_per_cycle", ANY, NULL, 1},
    {"", "train_only_bn", 0, NULL, 1},
    {"", "dont_update", 0, NULL, 1},
    {"", "burnin_update", 0, NULL, 1},
};

static int applies(const foreign_key *foreign, const dpf_section *section) {
    int net = strcmp(section->type, "net") == 0 || strcmp(section->type, "network") == 0;
    if (foreign->sections[0] == '\0')
        return !net;
    size_t length = strlen(section->type);
    for (const char *at = foreign->sections; (at = strstr(at, section->type)); ++at)
        if (at != foreign->sections && at[-1] == ',' && at[length] == ',')
            return 1;
    return 0;
}

static int is_neutral(const foreign_key *foreign, const char *value) {
    if (foreign->neutral_word)
        return strcmp(value, foreign->neutral_word) == 0;
    char *end;
    double number = strtod(value, &end);
    return end != value && number == foreign->neutral; /* never true for ANY, which is NAN */
}

/* stride_x and stride_y are neutral where they repeat the stride. */
static dpf_status check_strides(dpf_build *build, int layer, const dpf_section *section) {
    const char *const names[] = {"stride_x", "stride_y"};
    if (layer < 0)
        return DPF_OK;
    const dpf_graph_layer *at = &build->graph->layers[layer];
    const int values[] = {at->stride_x, at->stride_y};
    for (int i = 0; i < 2; ++i) {
        const dpf_key *key = dpf_section_find(section, names[i]);
        if (key && values[i] != at->stride)
            DPF_TRY(
                dpf_build_issue(build, layer, key->line, 0, FORK, "[%s] %s=%d", section->type, names[i], values[i]));
    }
    return DPF_OK;
}

dpf_status dpf_build_issues(dpf_build *build, int layer, const dpf_section *section) {
    DPF_TRY(check_strides(build, layer, section));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; ++i) {
        if (!applies(&keys[i], section))
            continue;
        const dpf_key *key = dpf_section_find(section, keys[i].key);
        if (key && !is_neutral(&keys[i], key->value))
            DPF_TRY(dpf_build_issue(build, layer, key->line, keys[i].training_only, FORK, "[%.60s] %s=%.60s",
                                    section->type, key->key, key->value));
    }
    if (layer >= 0 && build->graph->layers[layer].type == DPF_SHORTCUT && build->graph->layers[layer].from_count > 2)
        DPF_TRY(dpf_build_issue(build, layer, section->line, 0, FORK, "[shortcut] with more than one from="));
    return DPF_OK;
}

/* Files that a layer names; Darknet crashes when one is missing. */
static dpf_status check_files(const dpf_graph *graph, dpf_error *err) {
    for (size_t i = 0; i < graph->count; ++i) {
        const dpf_graph_layer *layer = &graph->layers[i];
        const char *const names[] = {layer->tree, layer->head.tree, layer->head.map};
        for (size_t k = 0; k < sizeof names / sizeof names[0]; ++k)
            if (names[k] && access(names[k], R_OK) != 0)
                return dpf_fail(err, DPF_ERR_IO, "%s:%d: layer %zu (%s): %s=%.200s: %s", graph->cfg->file, layer->line,
                                i, dpf_layer_type_name(layer->type), k == 2 ? "map" : "tree", names[k],
                                strerror(errno));
    }
    return DPF_OK;
}

dpf_status dpf_graph_check_stock(const dpf_graph *graph, int training, dpf_error *err) {
    for (size_t i = 0; i < graph->issues_count; ++i) {
        const dpf_issue *issue = &graph->issues[i];
        if (issue->training_only && !training)
            continue;
        if (issue->layer < 0)
            return dpf_fail(err, DPF_ERR_UNSUPPORTED, "%s:%d: %s needs %s; this Darknet does not know it",
                            graph->cfg->file, issue->line, issue->what, issue->who);
        return dpf_fail(err, DPF_ERR_UNSUPPORTED, "%s:%d: layer %d: %s needs %s%s; this Darknet does not know it",
                        graph->cfg->file, issue->line, issue->layer, issue->what, issue->who,
                        issue->training_only ? " in training" : "");
    }
    return check_files(graph, err);
}
