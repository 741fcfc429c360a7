/* SPDX-License-Identifier: MIT
 *
 * libdpf: Dynamic Pruning with Feedback (Lin et al., ICLR 2020) for any training loop
 * in C, and a runtime that executes networks, sparse or dense, without Darknet. The one
 * public header; link with -ldpf (pkg-config dpf).
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
 * at a time; different objects by different threads. (A dpf_model may be used by many.)
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

/* --- running a network ---------------------------------------------------------------
 * Inference without Darknet: a model is loaded once and then only read, so any number of
 * contexts, one for each thread that runs it, may use it at the same time. A context owns
 * all memory that a run writes; running allocates nothing, but for what oneDNN and OpenBLAS
 * make and free inside, where a layer is theirs.
 *
 *     dpf_model *model;
 *     dpf_context *context;
 *     const dpf_object *found;
 *     size_t count;
 *     if (dpf_model_load(&model, "net.dpf", NULL, NULL, &err) || dpf_context_new(&context, model, &err) ||
 *         dpf_context_set_pixels(context, 0, rgb, width, height, 3, DPF_FIT_LETTERBOX, &err) ||
 *         dpf_context_run(context, &err) || dpf_context_detections(context, 0, NULL, &found, &count, &err))
 *         fprintf(stderr, "%s\n", err.text);
 *
 * Free contexts before their model. */

typedef struct dpf_model dpf_model;
typedef struct dpf_context dpf_context;

/* Which kernels convolutions run on. Where one cannot do a layer, the next of Winograd, direct,
 * OpenBLAS does it. */
typedef enum dpf_kernels {
    DPF_KERNELS_AUTO = 0,     /* each layer sparse or dense, whatever is fastest */
    DPF_KERNELS_DENSE = 1,    /* the fastest of the dense ones */
    DPF_KERNELS_SPARSE = 2,   /* all sparse */
    DPF_KERNELS_DIRECT = 3,   /* all oneDNN direct */
    DPF_KERNELS_WINOGRAD = 4, /* all oneDNN Winograd */
    DPF_KERNELS_BLAS = 5      /* all OpenBLAS */
} dpf_kernels;

typedef struct dpf_model_options {
    int threads; /* that a run uses; 0: all cores */
    int batch;   /* pictures a run, 0: 1 */
    dpf_kernels kernels;
    int tune;        /* 1: what is fastest is measured while loading; 0: a cost model says it */
    int keep_layers; /* 1: the output of every layer can be read after a run; more memory */
    int random;      /* 1: no weights file, random weights */
    uint64_t seed;   /* of the random weights */
    double sparsity; /* above 0: this share of the prunable weights is made zero, the smallest of
                      * each layer, or random ones where the weights are random */
    int global;      /* 1: with sparsity: the smallest of all layers together, as in training; all weights are in
                      * memory at once while loading */
} dpf_model_options;

/* `path` is a .dpf file (weights NULL) or a cfg with its .weights file. options may be
 * NULL. Fails with DPF_ERR_UNSUPPORTED, naming line and layer, for what cannot be run.
 * On failure *out is NULL. */
dpf_status dpf_model_load(dpf_model **out, const char *path, const char *weights, const dpf_model_options *options,
                          dpf_error *err);
void dpf_model_free(dpf_model *model); /* NULL is allowed */

typedef struct dpf_model_info {
    int width, height, channels; /* of the input; 0 where it is no picture */
    size_t inputs;               /* floats of one picture */
    int batch, threads;
    size_t layers, steps, outputs;
    int detector;                 /* 1: dpf_context_detections has something to decode */
    int classes;                  /* of the detector, else the number of outputs */
    size_t context_bytes;         /* arrays of one context: the peak of a run */
    size_t weight_bytes;          /* weights as the kernels hold them */
    double multiply_adds, useful; /* a run: all, and those with weights that are not zero */
} dpf_model_info;
void dpf_model_get_info(const dpf_model *model, dpf_model_info *out);

/* What can be read after a run: detectors' heads and the last layer, or every layer
 * (keep_layers). Planes first: c x h x w; h = w = 1 where there is no picture. */
typedef struct dpf_output_info {
    const char *name; /* type and number of the layer, as "yolo16" */
    int layer;
    size_t c, h, w, floats; /* of one picture */
} dpf_output_info;
dpf_status dpf_model_output(const dpf_model *model, size_t index, dpf_output_info *out, dpf_error *err);
dpf_status dpf_model_find_output(const dpf_model *model, const char *name, size_t *index, dpf_error *err);

/* What a run does, in order: layers that compute, and conversions between layouts. */
typedef struct dpf_step_info {
    int layer;
    const char *what, *kernel, *why; /* "convolutional", "sparse avx512", why that one; "" where there is no choice */
    size_t c, h, w;                  /* of its output */
    double multiply_adds, useful;
} dpf_step_info;
dpf_status dpf_model_step(const dpf_model *model, size_t index, dpf_step_info *out, dpf_error *err);

dpf_status dpf_context_new(dpf_context **out, const dpf_model *model, dpf_error *err);
void dpf_context_free(dpf_context *context); /* NULL is allowed */

/* How a picture is brought to the network's size; the arithmetic is Darknet's. */
typedef enum dpf_fit {
    DPF_FIT_RESIZE = 0,    /* stretched (detectors of AlexeyAB's fork) */
    DPF_FIT_LETTERBOX = 1, /* as large as fits, grey around it (Darknet's detectors and `classifier predict`) */
    DPF_FIT_CROP = 2       /* the square in the middle (Darknet's `classifier valid`) */
} dpf_fit;

/* Input of picture `image` (0 to batch - 1), to be set anew before each run: floats in planes
 * as the network has them, or 8-bit pixels, row by row, channels interleaved. */
dpf_status dpf_context_set_planes(dpf_context *context, int image, const float *planes, dpf_error *err);
dpf_status dpf_context_set_pixels(dpf_context *context, int image, const unsigned char *pixels, int width, int height,
                                  int channels, dpf_fit fit, dpf_error *err);

dpf_status dpf_context_run(dpf_context *context, dpf_error *err);
/* The same, adding the milliseconds of each step to step_ms. */
dpf_status dpf_context_run_timed(dpf_context *context, double *step_ms, dpf_error *err);

/* An output of the last run; holds until the next. */
dpf_status dpf_context_output(const dpf_context *context, int image, size_t index, const float **out, dpf_error *err);

/* A box that was found, for one class: centre and size as shares of the picture. */
typedef struct dpf_object {
    float x, y, w, h;
    float objectness, probability;
    int class_id;
    size_t box; /* its number among the boxes of the run: equal for the classes of one box */
} dpf_object;

typedef enum dpf_nms {
    DPF_NMS_CFG = 0,  /* what the cfg's nms_kind= says: plain overlap where it says nothing */
    DPF_NMS_IOU = 1,  /* plain overlap, greedy */
    DPF_NMS_DIOU = 2, /* less a term for the distance of the centres (Zheng 2020), to the power `beta` */
    DPF_NMS_NONE = 3
} dpf_nms;

typedef struct dpf_detect_options {
    int width, height; /* of the picture; 0: that of dpf_context_set_pixels, else the network's */
    dpf_fit fit;       /* used with width and height */
    double thresh;     /* least probability, above 0; 0: 0.5 */
    double overlap;    /* of two boxes of a class, above which the lesser goes; 0: 0.45 */
    dpf_nms nms;
    double beta; /* of DPF_NMS_DIOU; 0: 0.6 */
} dpf_detect_options;

/* Decodes all detector layers. The result belongs to the context and holds until the next
 * call; highest probability first. options may be NULL. */
dpf_status dpf_context_detections(dpf_context *context, int image, const dpf_detect_options *options,
                                  const dpf_object **out, size_t *count, dpf_error *err);

#ifdef __cplusplus
}
#endif

#endif
