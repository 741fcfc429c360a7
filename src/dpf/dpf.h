/* SPDX-License-Identifier: MIT
 *
 * libdpf: Dynamic Pruning with Feedback (Lin et al., ICLR 2020) for any training loop
 * in C. The one public header; link with -ldpf (pkg-config dpf).
 *
 * The letters, used the same way everywhere: w dense weights; m mask, one bit a weight,
 * 1 = kept; w~ = m * w, what forward and backward read; s sparsity, the share of
 * prunable weights with m = 0, in [0,1); t iteration, one weight update; p the number
 * of iterations between two masks.
 *
 *     dpf_error err;
 *     dpf_options options;
 *     dpf_pruner *pruner;
 *     dpf_key keys[] = {{"sparsity", "0.9", 1}};
 *     dpf_tensor tensors[] = {{"conv1", w, n, -1}};
 *     if (dpf_options_parse(&options, "me", 1, keys, 1, &err) ||
 *         dpf_options_finish(&options, "me", 1, iterations, 0, &err) ||
 *         dpf_pruner_new(&pruner, &options, tensors, 1, &err) || dpf_pruner_start(pruner, 0, &err))
 *         fprintf(stderr, "%s\n", err.text);
 *     for (size_t t = 0; t < iterations; t++) {
 *         gradient(g, dpf_pruner_pruned(pruner, 0));   at w~
 *         update(w, g);                                of every entry of w
 *         dpf_pruner_advance(pruner, t + 1, &err);
 *     }
 *
 * Nothing here prints, exits or keeps global state. Objects may be used by one thread
 * at a time; different objects by different threads.
 */
#ifndef DPF_H
#define DPF_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- errors -----------------------------------------------------------------------
 * A function that can fail returns a dpf_status and writes one sentence for a human
 * into the dpf_error that the caller passed (NULL is allowed). */

/* The values are part of the binary interface: append, never renumber. */
typedef enum dpf_status {
    DPF_OK = 0,
    DPF_ERR_MEMORY = 1,      /* an allocation failed */
    DPF_ERR_ARGUMENT = 2,    /* the caller broke the contract of a function */
    DPF_ERR_IO = 3,          /* a file could not be opened, read or written; text has errno's reason */
    DPF_ERR_FORMAT = 4,      /* a file is not what it should be (syntax, magic, checksum, length) */
    DPF_ERR_RANGE = 5,       /* a value is outside of what is allowed */
    DPF_ERR_UNSUPPORTED = 6, /* well-formed, but this program cannot do it */
    DPF_ERR_MISMATCH = 7,    /* two inputs do not belong together (weights of another cfg, ...) */
    DPF_ERR_NUMERIC = 8      /* NaN or infinity where a number was needed */
} dpf_status;

typedef struct dpf_error {
    dpf_status status;
    char text[1024]; /* one line, no newline, always terminated */
} dpf_error;

/* --- options ---------------------------------------------------------------------- */

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

/* --- the pruner --------------------------------------------------------------------
 * Owns masks and pruned weights, and is driven by one event, "the
 * optimiser has updated the dense weights". It knows float arrays only.
 *
 *   dpf_pruner_new      after the network is built
 *   dpf_pruner_start    before the first forward pass: the mask of iteration t
 *   forward/backward    read dpf_pruner_pruned(i), that is w~ = m * w
 *   dpf_pruner_advance  after each update: t is now the coming iteration
 *
 * What must stay true: the dense weights are written by nobody but the optimiser
 * (except with feedback=0, where pruned entries are set to zero for good), the
 * mask changes only inside start and advance, the number of pruned weights is
 * exactly round(s_t * n), and everything is a pure function of the weights and t
 * (with feedback=0: and of the mask before), whatever the number of threads.
 *
 * How the count is split. A tensor with its own target gets round(s_t' * count), s_t'
 * being the same ramp towards that target, and counts toward the total. The others
 * share what is left: by one ranking (scope=global), or in proportion to their size,
 * rounded by largest remainders (scope=layer). Where they cannot make up for the
 * rounding (all tensors have own targets, say), own counts give way by one weight.
 * min_density holds for every tensor; one that reaches it keeps its largest weights
 * and the others fill up. Of equal magnitudes (-0 equals 0) the lower tensor, then the
 * lower index, is pruned first.
 */

typedef struct dpf_pruner dpf_pruner;

/* One prunable weight array. */
typedef struct dpf_tensor {
    const char *name; /* for messages, e.g. "layer 12 (convolutional)"; copied */
    float *weights;   /* dense w, `count` floats, borrowed: must outlive the pruner */
    size_t count;
    double sparsity; /* own target in [0,1), leaves the global ranking; -1: none */
} dpf_tensor;

/* A tensor's figures at the last mask update. */
typedef struct dpf_tensor_stats {
    size_t count, kept;
    size_t flips;   /* mask bits that changed at the last mask update */
    size_t revived; /* of these, pruned -> kept (the feedback at work) */
} dpf_tensor_stats;

typedef struct dpf_pruner_stats {
    size_t count, kept;    /* over all tensors */
    double target;         /* s_t of the last mask update */
    size_t flips, revived; /* at the last mask update */
    size_t updates;        /* mask updates so far; start counts as one, restore goes on counting */
    size_t last_update;    /* iteration of the last mask update; of start: the update point it stands for */
} dpf_pruner_stats;

/* `options` must have gone through dpf_options_finish. Fails with DPF_ERR_RANGE
 * when the target cannot be reached (own targets and min_density leave too few
 * weights to prune), naming the keys. On failure *out is NULL. */
dpf_status dpf_pruner_new(dpf_pruner **out, const dpf_options *options, const dpf_tensor *tensors, size_t count,
                          dpf_error *err);
void dpf_pruner_free(dpf_pruner *pruner); /* NULL is allowed */

/* Chooses the mask of iteration t from scratch (also between two update points,
 * as after loading weights) and fills w~. Fails with DPF_ERR_NUMERIC, naming the
 * tensor and index, when a weight is NaN or infinite. Between two update points it is
 * the target of the last one that counts, so that going on and starting again prune
 * equally many; before the first one nothing is pruned. flips and revived are then 0. */
dpf_status dpf_pruner_start(dpf_pruner *pruner, size_t t, dpf_error *err);

/* One update has happened; t is the coming iteration. Chooses a new mask when t is
 * an update point (a multiple of p, or the end of the ramp, and t <= hold), then
 * refreshes w~. Fails like start, at any t; the masks are then those of before, w~ may
 * hold the bad weight. With feedback=0 it also zeroes pruned dense weights, and a
 * pruned weight is never kept again. */
dpf_status dpf_pruner_advance(dpf_pruner *pruner, size_t t, dpf_error *err);

/* w~ of tensor i, `count` floats, owned by the pruner; the address never changes. */
const float *dpf_pruner_pruned(const dpf_pruner *pruner, size_t i);

/* Mask of tensor i, bit j (word j/64, bit j%64) = 1: weight j is kept. Bits past
 * count are 0. Owned by the pruner; the address never changes. */
const uint64_t *dpf_pruner_mask(const dpf_pruner *pruner, size_t i);

/* Grows by one with every mask update: kernels rebuild their index when it moved. */
uint64_t dpf_pruner_mask_version(const dpf_pruner *pruner);

/* Sets the masks and schedule position as saved by an earlier run (resume), in
 * place of dpf_pruner_start; t is the coming iteration. masks[i] as dpf_pruner_mask,
 * stats as dpf_pruner_get_stats. Fails with DPF_ERR_MISMATCH, nothing changed, when
 * they do not fit together. The mask version grows by one. With feedback=0 and a
 * target below what the masks prune, that many stay pruned until the ramp passes it. */
dpf_status dpf_pruner_restore(dpf_pruner *pruner, size_t t, const uint64_t *const *masks, const dpf_pruner_stats *stats,
                              dpf_error *err);

size_t dpf_pruner_tensors(const dpf_pruner *pruner);
void dpf_pruner_get_stats(const dpf_pruner *pruner, dpf_pruner_stats *out);
void dpf_pruner_get_tensor_stats(const dpf_pruner *pruner, size_t i, dpf_tensor_stats *out);
const dpf_options *dpf_pruner_options(const dpf_pruner *pruner);

#ifdef __cplusplus
}
#endif

#endif
