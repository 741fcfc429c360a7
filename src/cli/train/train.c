/* SPDX-License-Identifier: MIT
 *
 * See train.h. This file is the loop; what happens before it and after it stands
 * in train_start.c and train_end.c.
 */
#include "train.h"

#include <signal.h>

#include "../terminal/progress.h"
#include "../terminal/say.h"
#include "../terminal/stop.h"
#include "train_run.h"

/* The figures of the mask that the coming iteration will use. */
static void look_at_mask(train_state *run, report_row *row) {
    dpf_pruner_stats stats;
    row->sparsity = 0;
    row->flips = row->revived = 0;
    const dpf_pruner *pruner = dn_pruner(run->net);
    if (!pruner)
        return;
    dpf_pruner_get_stats(pruner, &stats);
    row->sparsity = stats.count ? 1.0 - (double)stats.kept / (double)stats.count : 0;
    if (stats.updates != run->mask_updates) {
        row->flips = stats.flips;
        row->revived = stats.revived;
    }
    run->mask_updates = stats.updates;
}

static void show(train_state *run, const report_row *row, double seconds) {
    const size_t images = dn_seen(run->net);
    /* the first iterations are slow (cold caches, first look at the pictures): forget them fast */
    run->images_per_s = run->images_per_s > 0 ? 0.9 * run->images_per_s + 0.1 * row->images_per_s : row->images_per_s;
    const progress_state state = {
        .iteration = row->iteration,
        .start = run->first,
        .last = run->info.max_batches,
        .epoch = (double)images / (double)imagelist_count(run->list),
        .loss = row->loss,
        .average_loss = row->average_loss,
        .rate = row->rate,
        .seconds = seconds,
        .images_per_s = run->images_per_s,
        .sparsity = run->info.pruning ? row->sparsity : -1,
        .images = images,
        .elapsed = progress_now() - run->began,
    };
    progress_show(&state);
}

/* A log that cannot be written is no reason to lose a training: it is completed when it can be. */
static dpf_status log_row(train_state *run, const report_row *row, dpf_error *err) {
    dpf_error why;
    dpf_status status = train_log_add(run->log, row, &why);
    if (status == DPF_ERR_IO) {
        if (!run->log_late)
            say("%s; training goes on, the log is completed when it can be", why.text);
    } else if (status) {
        return dpf_fail(err, status, "%s", why.text);
    } else if (run->log_late) {
        say("log '%s': is complete again", run->files.log);
    }
    run->log_late = status != DPF_OK;
    return DPF_OK;
}

static dpf_status iterate(train_state *run, const train_options *options, dpf_error *err) {
    const double began = progress_now();
    const size_t iteration = dn_iteration(run->net);
    report_row row = {.iteration = iteration + 1, .rate = (float)dn_rate(run->net)};
    dn_data *data = NULL;
    look_at_mask(run, &row);
    dpf_status status = imagelist_draw(run->list, run->seed, iteration, run->images, run->paths, err);
    if (!status)
        status = run->task->load(run->task->self, run->net, run->paths, run->images, iteration, &data, err);
    if (!status) {
        const int hushed = progress_hush();
        status = dn_train(run->net, data, &row.loss, err);
        progress_unhush(hushed);
        run->unsavable = status != DPF_OK; /* half an iteration, or weights that are no numbers */
    }
    dn_data_free(data);
    if (status)
        return status;
    /* Darknet's running mean starts at the first loss */
    run->average = run->averaged ? 0.9f * run->average + 0.1f * row.loss : row.loss;
    run->averaged++;
    run->trained++;
    row.average_loss = run->average;
    const double seconds = progress_now() - began;
    row.images_per_s = (double)run->images / seconds;
    const dpf_status watched = train_watch(run, &row, err);
    status = log_row(run, &row, watched ? NULL : err);
    show(run, &row, seconds);
    if (watched || status)
        return watched ? watched : status;
    status = train_state_save_due(run, options, err);
    run->unsavable = status != DPF_OK; /* what could not be written now cannot be written a moment later */
    return status;
}

static int stopped(const train_options *options, const train_state *run, int number) {
    const char *name = number == SIGINT ? "Ctrl-C" : number == SIGTERM ? "SIGTERM" : "SIGHUP";
    if (run->trained)
        say("stopped by %s at iteration %zu; the dense weights are in '%s'; to go on: %s %s", name,
            dn_iteration(run->net), run->files.last, options->resume, run->files.last);
    else
        say("stopped by %s before the first iteration; no weights are written", name);
    return 128 + number;
}

/* What has gone wrong is not the weights' fault: they are saved before the training ends. */
static void save_after_failure(train_state *run, const train_options *options) {
    dpf_error err;
    if (!run->trained || run->unsavable)
        return;
    if (train_state_save(run, &err))
        say_error(&err);
    else
        say("the training up to iteration %zu is saved; to go on: %s %s", dn_iteration(run->net), options->resume,
            run->files.last);
}

/* The end of a log that lacks rows is a failure, though the only one. */
static int end_of_log(const train_state *run) {
    if (!run->log_late)
        return EXIT_GOOD;
    say("log '%s': its last rows could not be written", run->files.log);
    return EXIT_BAD;
}

int train_run(const train_options *options, const train_task *task, imagelist *list) {
    train_state run = {.task = task, .list = list};
    dpf_error err;
    int exit_status = EXIT_GOOD, number = 0;
    dpf_status status = train_start(&run, options, &err);
    if (status)
        goto fail;
    stop_install();
    run.began = progress_now();
    while (!status && !(number = stop_signal()) &&
           (!run.info.max_batches || dn_iteration(run.net) < run.info.max_batches))
        status = iterate(&run, options, &err);
    run.seconds = progress_now() - run.began;
    progress_end();
    if (status)
        goto fail;
    if (run.trained) /* else there is nothing that is worth an earlier run's weights */
        status = train_state_save(&run, &err);
    if (status) {
        run.unsavable = 1;
        goto fail;
    }
    imagelist_say_bad(list);
    if (number) {
        status = train_report(&run, options, NULL, 0, &err);
        exit_status = status ? say_error(&err) : stopped(options, &run, number);
    } else {
        status = train_finish(&run, options, &err);
        number = stop_signal(); /* while the finished model was being scored */
        exit_status = status ? say_error(&err) : number ? 128 + number : end_of_log(&run);
    }
    train_free(&run);
    return exit_status;
fail:
    progress_end();
    exit_status = say_error(&err);
    save_after_failure(&run, options);
    train_free(&run);
    return exit_status;
}
