/* SPDX-License-Identifier: MIT
 *
 * See train_run.h.
 */
#include "train_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../dpf/model/checkpoint.h"
#include "../terminal/progress.h"
#include "../terminal/say.h"

enum { MOST_SCORES = 8 };

static const char *schedule_name(dpf_schedule_kind kind) {
    return kind == DPF_LINEAR ? "linear" : kind == DPF_CONSTANT ? "constant" : "cubic";
}

static void dpf_text(const dpf_pruner *pruner, char *text, size_t size) {
    const dpf_options *o = dpf_pruner_options(pruner);
    snprintf(text, size,
             "[dpf]\nsparsity=%g\ninitial_sparsity=%g\nupdate_every=%zu\nbegin=%zu\nend=%zu\nhold=%zu\nschedule=%s\n"
             "scope=%s\nmin_density=%g\nfeedback=%d\n",
             o->sparsity, o->initial_sparsity, o->update_every, o->begin, o->end, o->hold, schedule_name(o->schedule),
             o->scope == DPF_LAYER ? "layer" : "global", o->min_density, o->feedback);
}

static void shape_of(const dpf_graph_layer *layer, char *text, size_t size) {
    if (layer->type == DPF_CONVOLUTIONAL)
        snprintf(text, size, "%d x %d x %d x %d /%d", layer->filters, layer->c / layer->groups, layer->size,
                 layer->size, layer->stride);
    else
        snprintf(text, size, "%zu x %zu", layer->outputs, layer->inputs);
}

/* Every layer with weights; what is not the pruner's is kept whole. */
static report_layer *layers_of(const train_state *run, size_t *count) {
    const dpf_graph *graph = dn_graph(run->net);
    const dpf_pruner *pruner = dn_pruner(run->net);
    report_layer *layers = calloc(graph->count + 1, sizeof *layers);
    *count = 0;
    for (size_t i = 0; layers && i < graph->count; i++) {
        const dpf_graph_layer *layer = &graph->layers[i];
        if (layer->type != DPF_CONVOLUTIONAL && layer->type != DPF_CONNECTED)
            continue;
        report_layer *l = &layers[(*count)++];
        l->index = (int)i;
        l->weights = l->kept = layer->weights;
        shape_of(layer, l->shape, sizeof l->shape);
        for (size_t k = 0; pruner && k < dpf_pruner_tensors(pruner); k++) {
            dpf_tensor_stats stats;
            if (dn_tensor_layer(run->net, k) != l->index)
                continue;
            dpf_pruner_get_tensor_stats(pruner, k, &stats);
            l->kept = stats.kept;
            l->prunable = 1;
        }
    }
    return layers;
}

/* Those of the log's rows, then the final ones; *count grows. NULL: out of memory. */
static report_score *all_scores(const train_state *run, const report_score *scores, size_t *count) {
    size_t rows_count, n = 0;
    const report_row *rows = train_log_rows(run->log, &rows_count);
    for (size_t i = 0; i < rows_count; i++)
        n += rows[i].scored != 0;
    report_score *all = calloc(n + *count + 1, sizeof *all);
    n = 0;
    for (size_t i = 0; all && i < rows_count; i++)
        if (rows[i].scored && run->task->watch_name) {
            all[n] = (report_score){.iteration = rows[i].iteration, .value = rows[i].score};
            snprintf(all[n].name, sizeof all[n].name, "%s", run->task->watch_name);
            n++;
        }
    for (size_t i = 0; all && i < *count; i++)
        all[n++] = scores[i];
    *count = n;
    return all;
}

dpf_status train_report(train_state *run, const train_options *options, const report_score *scores, size_t count,
                        dpf_error *err) {
    const dpf_pruner *pruner = dn_pruner(run->net);
    char text[512] = "";
    size_t layers_count, rows_count;
    report_layer *layers = layers_of(run, &layers_count);
    const report_row *rows = train_log_rows(run->log, &rows_count);
    report_score *all = all_scores(run, scores, &count);
    if (!layers || !all) {
        free(layers);
        free(all);
        return dpf_fail_memory(err, rows_count * sizeof *all, "the report");
    }
    if (pruner)
        dpf_text(pruner, text, sizeof text);
    const report page = {
        .title = run->name,
        .command = options->command,
        .cfg_text = pruner ? text : NULL,
        .rows = rows,
        .rows_count = rows_count,
        .layers = layers,
        .layers_count = layers_count,
        .scores = all,
        .scores_count = count,
        .parameters = dn_graph(run->net)->parameters,
        .seconds = run->seconds_before + run->seconds,
        .target_sparsity = pruner ? dpf_pruner_options(pruner)->sparsity : -1,
    };
    dpf_status status = report_write(&page, run->files.report, err);
    free(layers);
    free(all);
    return status;
}

static void print_file(const char *path, const char *what) {
    struct stat info;
    const double size = stat(path, &info) ? 0 : (double)info.st_size;
    printf("  %-14s  %s (%.*f kB)\n", what, path, size < 10240 ? 1 : 0, size / 1024);
}

static void summary(const train_state *run) {
    char time[40];
    progress_time(run->seconds, time, sizeof time);
    printf("\n%s: %zu iterations in %s, %.0f images/s\n", run->name, run->trained, time,
           run->seconds > 0 ? (double)(run->trained * run->images) / run->seconds : 0);
    const size_t parameters = dn_graph(run->net)->parameters;
    const dpf_pruner *pruner = dn_pruner(run->net);
    if (pruner) {
        dpf_pruner_stats s;
        dpf_pruner_get_stats(pruner, &s);
        printf("  %-14s  %zu of %zu prunable: %.2f %% sparse\n", "weights kept", s.kept, s.count,
               s.count ? 100.0 * (double)(s.count - s.kept) / (double)s.count : 0.0);
        printf("  %-14s  %zu of %zu: %.2f %% of the whole model is zero\n", "values kept",
               parameters - (s.count - s.kept), parameters,
               parameters ? 100.0 * (double)(s.count - s.kept) / (double)parameters : 0.0);
    } else {
        printf("  %-14s  %zu, none pruned\n", "values", parameters);
    }
    print_file(run->files.final, pruner ? "pruned model" : "model");
    print_file(run->files.last, "to go on from");
    if (run->task->watch && run->best >= 0)
        print_file(run->files.best, "best model");
    print_file(run->files.log, "log");
    print_file(run->files.report, "report");
    fflush(stdout);
}

dpf_status train_finish(train_state *run, const train_options *options, dpf_error *err) {
    report_score scores[MOST_SCORES];
    size_t count = 0;
    dpf_checkpoint_settle(run->files.last); /* killed right behind its last checkpoint, it writes no other one */
    dpf_status status = dn_save(run->net, run->files.final, 1, err);
    if (!status) /* once without a score, so that the page is there while scoring takes its time */
        status = train_report(run, options, NULL, 0, err);
    if (status)
        return status;
    summary(run);
    if (!run->task->score)
        return DPF_OK;
    status = run->task->score(run->task->self, run->files.final, scores, MOST_SCORES, &count, err);
    for (size_t i = 0; i < count; i++)
        scores[i].iteration = dn_iteration(run->net);
    if (!status && count)
        status = train_report(run, options, scores, count, err);
    return status;
}
