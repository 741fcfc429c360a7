/* SPDX-License-Identifier: MIT
 *
 * What a user may ask for: the [dpf] section (dpf_options of dpf.h) and the two keys that a
 * [convolutional] section may carry. This header knows keys and values, not
 * files: the reader of the cfg hands them over with the line each stood on.
 */
#ifndef DPF_CORE_OPTIONS_H
#define DPF_CORE_OPTIONS_H

#include "error.h"

/* The keys of this project inside one [convolutional] section. */
typedef struct dpf_layer_options {
    int prune;       /* 1, 0, or -1: not said, the default for the layer's kind holds */
    double sparsity; /* own target of the layer, or -1: not said */
} dpf_layer_options;

/* Picks `prune` and `sparsity` out of a [convolutional] section's keys; other
 * keys are Darknet's and are skipped. */
dpf_status dpf_layer_options_parse(dpf_layer_options *options, const char *file, const dpf_key *keys, size_t count,
                                   dpf_error *err);

/* 1 if `key` is one of the keys that dpf_layer_options_parse takes. */
int dpf_layer_options_is_key(const char *key);

/* The nearest word of a NULL-terminated list by edit distance, or NULL when none
 * is near enough to be a plausible slip of the finger. For error messages. */
const char *dpf_nearest_word(const char *word, const char *const *words);

#endif
