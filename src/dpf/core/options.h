/* SPDX-License-Identifier: MIT
 *
 * What a user may ask for: the [dpf] section and the two keys that a
 * [convolutional] section may carry. This header knows keys and values, not
 * files: the reader of the cfg hands them over with the line each stood on.
 */
#ifndef DPF_CORE_OPTIONS_H
#define DPF_CORE_OPTIONS_H

#include <stddef.h>

#include "error.h"

/* One "key=value" of a cfg section. Strings are borrowed, blanks trimmed. */
typedef struct dpf_key {
    const char *key;
    const char *value;
    int line; /* 1-based line in the file, for messages */
} dpf_key;

typedef enum dpf_schedule_kind { DPF_CUBIC = 0, DPF_LINEAR = 1, DPF_CONSTANT = 2 } dpf_schedule_kind;
typedef enum dpf_scope { DPF_GLOBAL = 0, DPF_LAYER = 1 } dpf_scope;

/* The [dpf] section after parsing. Sparsities are shares in [0,1), never per cent. */
typedef struct dpf_options {
    double sparsity;         /* s_f, required */
    double initial_sparsity; /* s_i, default 0 */
    size_t update_every;     /* p, iterations, default 16 */
    size_t begin;            /* t0, default 0 */
    size_t end;              /* t1; has_end=0: the default of ALGORITHM, filled in by dpf_options_finish */
    size_t hold;             /* last iteration at which the mask may change; has_hold=0: max_batches */
    int has_end, has_hold;
    dpf_schedule_kind schedule;
    dpf_scope scope;
    double min_density; /* for scope=global, default 0 */
    int feedback;       /* 1 (DPF) or 0 (pruned weights are zeroed for good) */
} dpf_options;

/* The keys of this project inside one [convolutional] section. */
typedef struct dpf_layer_options {
    int prune;       /* 1, 0, or -1: not said, the default for the layer's kind holds */
    double sparsity; /* own target of the layer, or -1: not said */
} dpf_layer_options;

/* Parses the keys of a [dpf] section. `file` and `section_line` serve the
 * messages only. Fails with DPF_ERR_FORMAT or DPF_ERR_RANGE on an unknown key
 * (naming the nearest known one), a repeated key, a value that is no number or
 * out of range, or a missing `sparsity`; *options is then untouched. */
dpf_status dpf_options_parse(dpf_options *options, const char *file, int section_line, const dpf_key *keys,
                             size_t count, dpf_error *err);

/* Fills in what depends on the training length: `end` (the second learning-rate
 * step when there is one, else half of max_batches) and `hold`, and checks that
 * begin <= end <= hold <= max_batches. second_step = 0: there is none.
 * max_batches = 0 (train for ever) needs explicit `end`. */
dpf_status dpf_options_finish(dpf_options *options, const char *file, int section_line, size_t max_batches,
                              size_t second_step, dpf_error *err);

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
