/* SPDX-License-Identifier: MIT
 *
 * The training loop, for any task that is a list of pictures and a network: it
 * draws pictures, trains, shows progress, logs, saves, stops on a signal, and ends
 * with a report. What a picture means (a class, boxes) is the task's affair.
 *
 * What must stay true: everything that can be wrong with the input is found before
 * the first file is written, and a file of an earlier run is replaced only by a
 * whole new one.
 */
#ifndef DPF_CLI_TRAIN_H
#define DPF_CLI_TRAIN_H

#include <stddef.h>
#include <stdint.h>

#include "../../dpf/darknet/adapter.h"
#include "../data/imagelist.h"
#include "../page/report.h"

typedef struct train_options {
    const char *cfg, *weights, *dpf; /* weights and dpf may be NULL */
    int clear;
    int dense;           /* ignore the [dpf] section */
    const char *kernels; /* NULL or "auto"; "dense": no sparse kernels */
    int force;           /* go on where only training differs from what the cfg asks for */
    uint64_t seed, threads;
    int seed_given;      /* 0: that of the state, else from the clock */
    uint64_t save_every; /* iterations between two checkpoints; 0: TRAIN_SAVE_EVERY */
    uint64_t keep;       /* so many older checkpoints stay, as NAME_ITERATION.weights */
    const char *backup;
    char *resume;  /* how to go on, for the message after Ctrl-C: "darknet classifier train DATA CFG" */
    char *command; /* the whole command line, for the report */
} train_options;

enum { TRAIN_SAVE_EVERY = 1000 };

/* The flags of every command that trains; o is its train_options. */
#define TRAIN_FLAGS(o)                                                                                                 \
    {"-clear", ARGS_SWITCH, &(o)->clear, NULL, 0, 0}, {"-dense", ARGS_SWITCH, &(o)->dense, NULL, 0, 0},                \
        {"-force", ARGS_SWITCH, &(o)->force, NULL, 0, 0},                                                              \
        {"-seed", ARGS_COUNT, &(o)->seed, &(o)->seed_given, 0, UINT64_MAX},                                            \
        {"-dpf", ARGS_TEXT, &(o)->dpf, NULL, 0, 0}, {"-kernels", ARGS_TEXT, &(o)->kernels, NULL, 0, 0},                \
        {"-threads", ARGS_COUNT, &(o)->threads, NULL, 1, 1024}, {"-keep", ARGS_COUNT, &(o)->keep, NULL, 0, 1000000}, { \
        "-save_every", ARGS_COUNT, &(o)->save_every, NULL, 1, UINT32_MAX                                               \
    }

/* After the flags were read: what the words DATA CFG [WEIGHTS] and the flags together say. `command`
 * is what stands before the words. Both strings are owned by *o until train_options_free. */
dpf_status train_options_take(train_options *o, const char *command, const char *const words[3],
                              char *const *command_line, dpf_error *err);
void train_options_free(train_options *o); /* also after a failure; an empty one is allowed */

typedef struct train_task {
    void *self;
    uint64_t hash; /* of what besides the list says what a picture means; 0: nothing */
    /* Does the network fit the task? Called once, before anything is written. */
    dpf_status (*check)(void *self, const dn_net *net, const dn_info *info, dpf_error *err);
    dpf_status (*load)(void *self, dn_net *net, const char *const *paths, size_t count, size_t iteration, dn_data **out,
                       dpf_error *err);
    /* Scores the saved pruned model, prints its result line, and fills at most
     * `room` scores; NULL: there is nothing to score with. */
    dpf_status (*score)(void *self, const char *weights, report_score *scores, size_t room, size_t *count,
                        dpf_error *err);
    /* The same in short, now and then during training (train_watch.c): prints nothing, sets one
     * value in per cent. NULL: only the end counts. */
    dpf_status (*watch)(void *self, const char *weights, double *value, dpf_error *err);
    const char *watch_name; /* "mAP@0.50" */
} train_task;

/* Runs the training; the program's exit status. */
int train_run(const train_options *options, const train_task *task, imagelist *list);

#endif
