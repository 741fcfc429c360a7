/* SPDX-License-Identifier: MIT
 *
 * See train_run.h: the score during training, and the best model so far.
 *
 * When: every 4 epochs but not more often than every 100 iterations, not before the
 * burn-in is over, and after the last iteration, as AlexeyAB's fork has it. The best
 * model is one of the final sparsity: before the ramp has reached its target, scores are
 * only shown.
 */
#include "train_run.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../terminal/progress.h"
#include "../terminal/stop.h"

enum { EPOCHS = 4, LEAST_ITERATIONS = 100 };

static size_t interval(const train_state *run) {
    const size_t every = EPOCHS * imagelist_count(run->list) / run->images;
    return every > LEAST_ITERATIONS ? every : LEAST_ITERATIONS;
}

void train_watch_start(train_state *run) {
    const dpf_pruner *pruner = dn_pruner(run->net);
    const double target = pruner ? dpf_pruner_options(pruner)->sparsity : 0;
    size_t count;
    const report_row *rows = train_log_rows(run->log, &count);
    if (!run->resumed) /* else the state says, whatever has become of the log */
        run->best = -1;
    for (size_t i = 0; i < count; i++) /* the log has six digits of the sparsity */
        if (rows[i].scored && rows[i].sparsity >= target - 1e-4 && rows[i].score > run->best)
            run->best = rows[i].score;
}

static int is_sparse(const train_state *run) {
    const dpf_pruner *pruner = dn_pruner(run->net);
    dpf_pruner_stats stats;
    if (!pruner)
        return 1;
    dpf_pruner_get_stats(pruner, &stats);
    return stats.target >= dpf_pruner_options(pruner)->sparsity;
}

static dpf_status keep_best(train_state *run, double score, dpf_error *err) {
    run->best = score;
    if (rename(run->files.trial, run->files.best) == 0)
        return DPF_OK;
    return dpf_fail(err, DPF_ERR_IO, "'%s': %s", run->files.best, strerror(errno));
}

/* A function of the iteration alone, so that a run that is resumed scores where it would have. */
static int is_due(const train_state *run, size_t iteration) {
    return iteration == run->info.max_batches ||
           (iteration % interval(run) == 0 && iteration >= dn_graph(run->net)->burn_in);
}

dpf_status train_watch(train_state *run, report_row *row, dpf_error *err) {
    const size_t iteration = dn_iteration(run->net);
    if (!run->task->watch || !is_due(run, iteration) || stop_signal())
        return DPF_OK;
    dpf_status status = dn_save(run->net, run->files.trial, 1, err);
    if (!status)
        status = run->task->watch(run->task->self, run->files.trial, &row->score, err);
    row->scored = !status && !stop_signal();
    const int better = row->scored && is_sparse(run) && row->score >= run->best;
    if (better)
        status = keep_best(run, row->score, err);
    unlink(run->files.trial);
    if (!row->scored)
        return status;
    progress_end();
    printf("%s = %.2f %% at iteration %zu", run->task->watch_name, row->score, iteration);
    if (better)
        printf(", the best so far\n");
    else if (run->best >= 0)
        printf(", best so far %.2f %%\n", run->best);
    else
        printf("\n");
    fflush(stdout);
    return status;
}
