/* SPDX-License-Identifier: MIT
 *
 * The .state file: all that a training needs to go on bit for bit and that is not in
 * the .weights file beside it. docs/state-format.md describes it byte by byte;
 * checkpoint.h says how the two files are kept together.
 *
 * What must stay true: a file that is damaged in any byte is refused and never
 * crashes the reader; nothing is allocated by a number that was not checked before;
 * a version, once released, is read for ever.
 */
#ifndef DPF_MODEL_STATE_H
#define DPF_MODEL_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "../core/error.h"
#include "../core/pruner.h"
#include "file.h"

/* Plain numbers. The order of the pictures and all random numbers are functions of the seed
 * and the iteration, so these two are the position in the data and in the random stream. */
typedef struct dpf_state_figures {
    uint64_t iteration, seen; /* updates and pictures so far; as the header of the .weights file says */
    uint64_t seed;
    uint64_t steps;        /* updates that the optimiser has counted (Adam's t) */
    uint64_t trained;      /* iterations since the mean loss was started; 0: there is none */
    float average;         /* the running mean of the loss */
    uint64_t mask_updates; /* those already in the log */
    uint64_t max_batches;  /* of the cfg then */
    uint64_t threads;
    uint64_t pictures, list_hash; /* entries of the training list; lines_hash of them */
    uint64_t task_hash;           /* of what else says what a picture means (names of the classes); 0: nothing */
    double seconds;               /* spent on training so far */
    double best;                  /* best score of a validation so far; negative: none */
} dpf_state_figures;

/* What an array is. The numbers stand in files: append, never renumber. */
typedef enum dpf_state_kind {
    DPF_STATE_MASK = 16,           /* 64-bit words, as dpf_pruner_mask */
    DPF_STATE_WEIGHT_UPDATES = 32, /* floats from here on */
    DPF_STATE_BIAS_UPDATES,
    DPF_STATE_SCALE_UPDATES,
    DPF_STATE_WEIGHT_M, /* Adam's two moments */
    DPF_STATE_WEIGHT_V,
    DPF_STATE_BIAS_M,
    DPF_STATE_BIAS_V,
    DPF_STATE_SCALE_M,
    DPF_STATE_SCALE_V,
    DPF_STATE_KIND_END
} dpf_state_kind;

typedef struct dpf_state_array {
    dpf_state_kind kind;
    uint32_t layer; /* as Darknet counts */
    size_t count;   /* words or floats */
    const void *data;
} dpf_state_array;

typedef struct dpf_state {
    uint64_t weights_hash; /* XXH64 of the .weights file that this belongs to */
    dpf_state_figures figures;
    char *cfg;               /* the cfg in the form of state_cfg.h, NUL-terminated; owned */
    int pruning;             /* 1: `pruner` holds figures, and there are masks */
    dpf_pruner_stats pruner; /* as dpf_pruner_restore takes them */
    double initial_sparsity; /* the ramp as it is: what max_batches or the weights at the start made of the */
    uint64_t begin, end;     /* [dpf] section stays when max_batches grows */
    dpf_state_array *arrays; /* ascending by layer, then by kind; the table is owned */
    size_t count;
    void *bytes; /* what the arrays of a state that was read point into; NULL: into somebody else's memory */
} dpf_state;

/* Writes a whole state; the arrays are only read, once for their checksum and once more. */
dpf_status dpf_state_put(dpf_writer *writer, const dpf_state *state, dpf_error *err);

/* Takes a state apart. `bytes` must be aligned for uint64_t (as malloc's are) and outlive *out, whose
 * arrays point into them. DPF_ERR_FORMAT for any damage, DPF_ERR_UNSUPPORTED for a version to
 * come; `name` is for messages. On failure *out is empty. */
dpf_status dpf_state_decode(dpf_state *out, const char *name, const void *bytes, size_t size, dpf_error *err);

/* Reads a file; *out then owns all of it. */
dpf_status dpf_state_read(dpf_state *out, const char *path, dpf_error *err);

void dpf_state_free(dpf_state *state); /* of the content; an empty one and NULL are allowed */

#endif
