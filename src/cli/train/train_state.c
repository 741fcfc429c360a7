/* SPDX-License-Identifier: MIT
 *
 * Checkpoints: writing them while a training runs, and going on from one. See
 * model/checkpoint.h for the pair of files and train_run.h for the rest.
 *
 * What must stay true: a run that goes on is the run that was stopped. Whatever would
 * make it another one (cfg, list, labels, seed) is refused with the way out.
 */
#include "train_run.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../dpf/model/checkpoint.h"
#include "../data/files.h"
#include "../terminal/progress.h"
#include "../terminal/say.h"

#define WAY_OUT "delete it to go on with new momentum and masks, or start at iteration 0 with -clear"

/* ---- going on ---- */

dpf_status train_state_find(train_state *run, const train_options *options, dpf_error *err) {
    dpf_error why;
    if (!options->weights || options->clear || access(options->weights, R_OK) != 0)
        return DPF_OK;
    dpf_status status = dpf_checkpoint_read(&run->state, &run->resumed, options->weights, &why);
    if (status)
        return dpf_fail(err, status, "%.800s; " WAY_OUT, why.text);
    if (!run->resumed)
        return DPF_OK;
    const uint64_t seed = run->state.figures.seed;
    if (options->seed_given && options->seed != seed)
        return dpf_fail(err, DPF_ERR_MISMATCH,
                        "-seed %" PRIu64 ": the training of '%s' was begun with -seed %" PRIu64
                        "; leave -seed away to go on, or start at iteration 0 with -clear",
                        options->seed, options->weights, seed);
    run->seed = seed;
    return DPF_OK;
}

static dpf_status check_pictures(const train_state *run, const train_options *options, dpf_error *err) {
    const dpf_state_figures *f = &run->state.figures;
    if (f->pictures != imagelist_count(run->list))
        return dpf_fail(err, DPF_ERR_MISMATCH,
                        "%s: has %zu pictures, it had %" PRIu64
                        " when the .state file beside '%s' was written; " WAY_OUT,
                        imagelist_file(run->list), imagelist_count(run->list), f->pictures, options->weights);
    if (f->list_hash != imagelist_hash(run->list))
        return dpf_fail(
            err, DPF_ERR_MISMATCH,
            "%s: has other paths, or in another order, than when the .state file beside '%s' was written; " WAY_OUT,
            imagelist_file(run->list), options->weights);
    if (f->task_hash != run->task->hash)
        return dpf_fail(err, DPF_ERR_MISMATCH,
                        "the classes have other names than when the .state file beside '%s' was written; " WAY_OUT,
                        options->weights);
    return DPF_OK;
}

static int has_state(const char *weights_path) {
    char *state = dpf_checkpoint_state_path(weights_path);
    const int has = state && access(state, F_OK) == 0;
    free(state);
    return has;
}

/* What differs and does no harm, or starts anew. */
static void say_notes(const train_state *run, const train_options *options) {
    const dpf_state_figures *f = &run->state.figures;
    if (options->clear && options->weights && has_state(options->weights))
        say("note: -clear: the .state file beside '%s' is not used", options->weights);
    if (!run->resumed && run->first)
        say("note: there is no .state file beside '%s': momentum, the mean loss%s and the order of the pictures start "
            "anew",
            options->weights, run->info.pruning ? ", masks" : "");
    if (run->resumed && f->max_batches != run->info.max_batches)
        say("note: max_batches is %zu now, it was %" PRIu64, run->info.max_batches, f->max_batches);
    if (run->resumed && f->threads != (uint64_t)run->info.threads)
        say("note: %d threads now, %" PRIu64
            " before: the last bits of the result may differ from an uninterrupted run",
            run->info.threads, f->threads);
    if (run->no_state)
        say("note: no .state file is written: %s; a training that goes on from '%s' starts its momentum anew",
            run->no_state, run->files.last);
}

dpf_status train_state_take(train_state *run, const train_options *options, dpf_error *err) {
    const dpf_state_figures f = run->state.figures;
    run->no_state = dn_no_state(run->net);
    run->saved_when = progress_now();
    if (run->resumed) {
        dpf_status status = check_pictures(run, options, err);
        if (status)
            return status;
        run->average = f.average;
        run->averaged = f.trained;
        run->mask_updates = f.mask_updates;
        run->seconds_before = f.seconds;
        run->best = f.best;
    }
    say_notes(run, options);
    dpf_state_free(&run->state); /* the arrays are in the network now */
    return DPF_OK;
}

/* ---- saving ---- */

static dpf_status save_as(train_state *run, const char *path, dpf_error *err) {
    if (run->no_state)
        return dn_save(run->net, path, 0, err);
    const dpf_state_figures figures = {
        .trained = run->averaged,
        .average = run->average,
        .mask_updates = run->mask_updates,
        .pictures = imagelist_count(run->list),
        .list_hash = imagelist_hash(run->list),
        .task_hash = run->task->hash,
        .seconds = run->seconds_before + (run->began > 0 ? progress_now() - run->began : 0),
        .best = run->best,
    };
    return dn_checkpoint(run->net, path, &figures, err);
}

dpf_status train_state_probe(train_state *run, const train_options *options, dpf_error *err) {
    char *name = files_name(options->backup, run->name, "_probe.weights");
    if (!name)
        return dpf_fail_memory(err, 4096, "file names");
    dpf_status status = save_as(run, name, err);
    dpf_checkpoint_remove(name);
    free(name);
    return status;
}

dpf_status train_state_save(train_state *run, dpf_error *err) {
    if (run->saved == dn_iteration(run->net))
        return DPF_OK;
    dpf_status status = save_as(run, run->files.last, err);
    if (!status) {
        run->saved = dn_iteration(run->net);
        run->saved_when = progress_now();
    }
    return status;
}

/* The iteration in NAME_ITERATION.weights; 0: it is not such a name. */
static size_t iteration_of(const char *file, const char *name) {
    const size_t length = strlen(name);
    char *end;
    if (strncmp(file, name, length) != 0 || file[length] != '_' || file[length + 1] < '1' || file[length + 1] > '9')
        return 0;
    errno = 0;
    const unsigned long long value = strtoull(file + length + 1, &end, 10);
    return errno || strcmp(end, ".weights") != 0 ? 0 : (size_t)value;
}

static int falling(const void *a, const void *b) {
    const size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x < y) - (x > y);
}

static char *iteration_path(const train_state *run, const train_options *options, size_t iteration) {
    char suffix[40];
    snprintf(suffix, sizeof suffix, "_%zu.weights", iteration);
    return files_name(options->backup, run->name, suffix);
}

/* Removes what is older than the newest `keep` checkpoints up to this iteration. Only pairs are
 * ours to remove: weights without a state are another program's, later ones another run's. */
static void rotate(const train_state *run, const train_options *options) {
    const size_t now = dn_iteration(run->net);
    size_t *found = NULL, count = 0;
    DIR *folder = opendir(options->backup);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        const size_t iteration = iteration_of(entry->d_name, run->name);
        size_t *grown = iteration && iteration <= now ? realloc(found, (count + 1) * sizeof *found) : NULL;
        if (!grown)
            continue;
        found = grown;
        found[count++] = iteration;
    }
    if (folder)
        closedir(folder);
    if (count)
        qsort(found, count, sizeof *found, falling);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        char *path = iteration_path(run, options, found[i]);
        if (path && has_state(path) && kept++ >= options->keep)
            dpf_checkpoint_remove(path);
        free(path);
    }
    free(found);
}

dpf_status train_state_save_due(train_state *run, const train_options *options, dpf_error *err) {
    const size_t now = dn_iteration(run->net), every = options->save_every ? options->save_every : TRAIN_SAVE_EVERY;
    const int due = now % every == 0;
    if (!due && progress_now() - run->saved_when < TRAIN_SAVE_SECONDS)
        return DPF_OK;
    dpf_status status = train_state_save(run, err);
    if (status || !due || !options->keep || run->no_state)
        return status;
    char *path = iteration_path(run, options, now);
    status = path ? save_as(run, path, err) : dpf_fail_memory(err, 4096, "file names");
    free(path);
    if (!status)
        rotate(run, options);
    return status;
}
