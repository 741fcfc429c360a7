/* SPDX-License-Identifier: MIT
 *
 * See train_run.h. The order of the checks: cheap ones first, and the network
 * before anything is written.
 */
#include "train_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../data/files.h"
#include "../terminal/issues.h"
#include "../../dpf/core/random.h"
#include "../terminal/say.h"

static dpf_status name_files(train_state *run, const train_options *options, dpf_error *err) {
    run->name = files_base(options->cfg);
    if (run->name) {
        run->files.final = files_name(options->backup, run->name, "_final.weights");
        run->files.last = files_name(options->backup, run->name, "_last.weights");
        run->files.log = files_name(options->backup, run->name, "_log.csv");
        run->files.report = files_name(options->backup, run->name, "_report.html");
        run->files.best = files_name(options->backup, run->name, "_best.weights");
        run->files.trial = files_name(options->backup, run->name, "_trial.weights");
    }
    if (!run->name || !run->files.final || !run->files.last || !run->files.log || !run->files.report ||
        !run->files.best || !run->files.trial)
        return dpf_fail_memory(err, 4096, "file names");
    return DPF_OK;
}

static void choose_seed(train_state *run, const train_options *options) {
    if (run->resumed)
        return;
    run->seed = options->seed;
    if (!options->seed_given) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        /* ten digits: short enough to type into the next command */
        run->seed = random_mix((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) % UINT64_C(10000000000);
    }
}

static dpf_status open_net(train_state *run, const train_options *options, dpf_error *err) {
    const dn_open_args args = {
        .cfg_path = options->cfg,
        .weights_path = options->weights,
        .dpf_path = options->dpf,
        .clear = options->clear,
        .dense = options->dense,
        .dense_kernels = options->kernels && strcmp(options->kernels, "dense") == 0,
        .train = 1,
        .force = options->force,
        .threads = (int)options->threads,
        .seed = run->seed,
        .state = run->resumed ? &run->state : NULL,
    };
    dpf_status status = dn_open(&run->net, &args, err);
    if (status)
        return status;
    issues_say(dn_graph(run->net), 1);
    dn_get_info(run->net, &run->info);
    run->first = dn_iteration(run->net);
    run->images = (size_t)run->info.batch * (size_t)run->info.subdivisions;
    /* at the end exactly and with its state: a training that was killed before it wrote the finished model */
    const size_t end = run->info.max_batches;
    if (end && (run->first > end || (run->first == end && !run->resumed)))
        return dpf_fail(err, DPF_ERR_RANGE,
                        "'%s' is at iteration %zu and max_batches of '%s' is %zu: there is nothing left to train; "
                        "-clear starts at iteration 0 with these weights",
                        options->weights ? options->weights : options->cfg, run->first, options->cfg, end);
    return DPF_OK;
}

static void greet(const train_state *run) {
    const dn_info *info = &run->info;
    printf("%s\n", run->name);
    printf("Learning Rate: %g, Momentum: %g, Decay: %g\n", info->learning_rate, info->momentum, info->decay);
    printf("Seed: %llu, Threads: %d, Images: %zu, %zu an iteration\n", (unsigned long long)run->seed, info->threads,
           imagelist_count(run->list), run->images);
    const dpf_pruner *pruner = dn_pruner(run->net);
    if (pruner) {
        const dpf_options *o = dpf_pruner_options(pruner);
        printf("Pruning: to %.4g %% sparse, ramp from iteration %zu to %zu, a new mask every %zu iterations%s\n",
               100 * o->sparsity, o->begin, o->end, o->update_every, o->feedback ? "" : ", no feedback");
    }
    if (info->found_sparsity > 0)
        printf("The weights are %.2f %% sparse already and what was pruned is gone: the ramp starts there, not at 0\n",
               100 * info->found_sparsity);
    if (run->first && run->first == info->max_batches)
        printf("All %zu iterations are trained already: only the finished model and the report are written again; "
               "-clear starts at iteration 0\n",
               run->first);
    else if (run->first)
        printf("Going on at iteration %zu of %zu%s\n", run->first, info->max_batches,
               run->resumed ? ", as if it had not been stopped" : "");
    fflush(stdout);
}

dpf_status train_start(train_state *run, const train_options *options, dpf_error *err) {
    dpf_status status = name_files(run, options, err);
    if (!status)
        status = files_probe(options->backup, run->name, err);
    if (!status)
        status = train_state_find(run, options, err);
    choose_seed(run, options);
    if (!status)
        status = open_net(run, options, err);
    if (!status)
        status = run->task->check(run->task->self, run->net, &run->info, err);
    if (!status)
        status = train_state_take(run, options, err);
    if (status)
        return status;
    run->paths = calloc(run->images, sizeof *run->paths);
    if (!run->paths)
        return dpf_fail_memory(err, run->images * sizeof *run->paths, "the paths of an iteration");
    greet(run);
    /* a list without a single good picture must be found before the old log goes */
    status = imagelist_draw(run->list, run->seed, run->first, run->images, run->paths, err);
    if (!status)
        status = train_state_probe(run, options, err);
    if (!status)
        status = train_log_open(&run->log, run->files.log, run->first, err);
    if (!status)
        train_watch_start(run);
    return status;
}

void train_free(train_state *run) {
    train_log_close(run->log, NULL);
    dpf_state_free(&run->state);
    dn_close(run->net);
    free(run->name);
    free(run->files.final);
    free(run->files.last);
    free(run->files.log);
    free(run->files.report);
    free(run->files.best);
    free(run->files.trial);
    free(run->paths);
    *run = (train_state){0};
}
