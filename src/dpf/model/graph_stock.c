/* SPDX-License-Identifier: MIT
 *
 * What a cfg asks for that the stock Darknet would not do. It reads keys that it
 * knows and prints "Unused field" for the rest, so a cfg made for a fork runs, with
 * other results. darknets.c says which keys those are; here are the rules that one
 * key alone does not tell.
 *
 * What must stay true: a key whose value says what stock does anyway is no issue.
 */
#include "darknets.h"
#include "graph_build.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Values that both read and take differently: then the fork's meaning is the issue. */
static const char *other_meaning(const dpf_section *section, const dpf_option_fact *fact, const char *value) {
    double number = strtod(value, NULL);
    if (strcmp(fact->key, "stopbackward") == 0 && number > 1)
        return "thaws the layers before after so many iterations";
    if (strcmp(fact->key, "batch_normalize") == 0 && number > 1 && strncmp(section->type, "conv", 4) == 0)
        return "batch normalisation across mini-batches";
    if (strcmp(fact->key, "random") == 0 && strcmp(section->type, "net") != 0 &&
        strcmp(section->type, "network") != 0 && (number < 0 || (number > 0 && number < 1) || number > 1))
        return "range of input sizes";
    return NULL;
}

/* Is the key without effect because of another one? */
static int is_moot(const dpf_build *build, int layer, const char *key, const char *value) {
    if (layer < 0)
        return 0;
    const dpf_graph_layer *at = &build->graph->layers[layer];
    if (strcmp(key, "stride_x") == 0)
        return at->stride_x == at->stride;
    if (strcmp(key, "stride_y") == 0)
        return at->stride_y == at->stride;
    if (strcmp(key, "hidden") == 0) /* Debian's state is as large as the output */
        return at->type == DPF_RNN && strtol(value, NULL, 10) == at->filters;
    return strcmp(key, "dilation") == 0 && at->type == DPF_CONVOLUTIONAL && at->size == 1;
}

static dpf_status check_key(dpf_build *build, int layer, const dpf_section *section, const dpf_key *key) {
    dpf_layer_type type = layer < 0 ? DPF_LAYER_TYPES : build->graph->layers[layer].type;
    const dpf_option_fact *fact = dpf_option_find(type, key->key);
    if (!fact) {
        const char *near = dpf_option_nearest(type, key->key);
        return dpf_build_issue(build, layer, key->line, 1, NULL, "[%.60s] %.60s=%.60s: no Darknet reads this key%s%s%s",
                               section->type, key->key, key->value, near ? "; did you mean '" : "", near ? near : "",
                               near ? "'?" : "");
    }
    const char *meaning = other_meaning(section, fact, key->value);
    int training = fact->effect == DPF_EFFECT_TRAINING || meaning != NULL;
    if (strcmp(fact->key, "cbn") == 0) { /* without batch_normalize it also is what turns it on */
        const dpf_key *normalize = dpf_section_find(section, "batch_normalize");
        training = normalize && strtol(normalize->value, NULL, 10) != 0;
    }
    int ignored = !(fact->readers & DPF_READ_BY_DEBIAN) && fact->effect != DPF_EFFECT_NOTHING &&
                  !dpf_option_is_neutral(fact, key->value) && !is_moot(build, layer, key->key, key->value);
    if (layer < 0 && strcmp(fact->key, "adam") == 0 && strtol(key->value, NULL, 10) != 0)
        return dpf_build_issue(build, layer, key->line, 1, NULL,
                               "[%.60s] adam=%.60s: Darknet has Adam on GPUs only; here momentum= and decay= count",
                               section->type, key->value);
    const int wrong = (fact->readers & DPF_WRONG_IN_DEBIAN) != 0;
    if (!meaning && !ignored && !wrong)
        return DPF_OK;
    DPF_TRY(dpf_build_issue(build, layer, key->line, training, DPF_FORK, "[%.60s] %s=%.60s (%s)", section->type,
                            key->key, key->value, meaning ? meaning : fact->what));
    build->graph->issues[build->graph->issues_count - 1].wrong = wrong;
    return DPF_OK;
}

/* Darknet takes the first of two equal keys. */
static dpf_status check_repeated(dpf_build *build, int layer, const dpf_section *section, const dpf_key *key) {
    const dpf_key *first = dpf_section_find(section, key->key);
    if (first == key || strcmp(first->value, key->value) == 0)
        return DPF_OK;
    return dpf_build_issue(build, layer, key->line, 1, NULL,
                           "[%.60s] %.60s=%.60s does not count: Darknet takes the first, %.60s in line %d",
                           section->type, key->key, key->value, first->value, first->line);
}

dpf_status dpf_build_issues(dpf_build *build, int layer, const dpf_section *section) {
    const dpf_graph_layer *at = layer < 0 ? NULL : &build->graph->layers[layer];
    if (at && dpf_type_needs(at->type)) /* the whole layer is an issue */
        return DPF_OK;
    for (size_t i = 0; i < section->count; ++i) {
        if (at && dpf_layer_options_is_key(section->keys[i].key))
            continue;
        DPF_TRY(check_repeated(build, layer, section, &section->keys[i]));
        if (dpf_section_find(section, section->keys[i].key) == &section->keys[i])
            DPF_TRY(check_key(build, layer, section, &section->keys[i]));
    }
    if (at && at->type == DPF_SHORTCUT && at->from_count > 2)
        return dpf_build_issue(build, layer, section->line, 0, DPF_FORK, "[shortcut] with more than one from=");
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

void dpf_graph_issue_text(const dpf_graph *graph, const dpf_issue *issue, char *text, size_t size) {
    char layer[32] = "";
    if (issue->layer >= 0)
        snprintf(layer, sizeof layer, "layer %d: ", issue->layer);
    if (!issue->who)
        snprintf(text, size, "%s:%d: %s%s", graph->cfg->file, issue->line, layer, issue->what);
    else
        snprintf(text, size, "%s:%d: %s%s needs %s%s; this Darknet %s", graph->cfg->file, issue->line, layer,
                 issue->what, issue->who, issue->training_only ? " in training" : "",
                 issue->wrong ? "divides by 0 there" : "does not know it");
}

dpf_status dpf_graph_check_stock(const dpf_graph *graph, int training, dpf_error *err) {
    const dpf_issue *first = NULL; /* one that cannot be forced comes before one that can */
    size_t count = 0;
    for (size_t i = 0; i < graph->issues_count; ++i) {
        const dpf_issue *issue = &graph->issues[i];
        if (!issue->who || (issue->training_only && !training))
            continue;
        ++count;
        if (!first || (first->training_only && !issue->training_only))
            first = issue;
    }
    if (!first)
        return check_files(graph, err);
    char text[768], rest[64] = "";
    dpf_graph_issue_text(graph, first, text, sizeof text);
    if (count > 1)
        snprintf(rest, sizeof rest, " (and %zu more like this)", count - 1);
    return dpf_fail(err, DPF_ERR_UNSUPPORTED, "%s%s%s", text, rest,
                    first->training_only ? "; -force trains without it" : "");
}
