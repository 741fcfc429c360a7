/* SPDX-License-Identifier: MIT
 *
 * `darknet dpf convert`: prunes a dense model in one shot, re-estimates its batch-norm
 * statistics from training pictures, and says what both did to its accuracy.
 *
 * What must stay true: the mask is computed from dense weights while there are any; the
 * input files are never written to; OUT is whole or untouched.
 */
#include "verbs.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../../dpf/model/file.h"
#include "../../dpf/model/modelfile.h"
#include "../../dpf/model/prune.h"
#include "../terminal/args.h"
#include "../data/datafile.h"
#include "../page/html.h"
#include "../terminal/model_words.h"
#include "../score/quality.h"
#include "../score/recalibrator.h"
#include "../terminal/say.h"
#include "../terminal/stop.h"

static const char USAGE[] = "darknet dpf convert (CFG WEIGHTS | MODEL.dpf) OUT [-sparsity S] [-scope global|layer] "
                            "[-dpf FILE] [-data DATA [-recalibrate N]] [-clear] [-half] [-threads N]";

/* A share of zeros from which weights are not dense any more; training leaves next to none. */
static const double masked_from = 0.01;
enum { DEFAULT_IMAGES = 1000 };

typedef struct conversion {
    const char *cfg, *weights, *out; /* weights: NULL for a .dpf */
    const char *section, *data, *scope;
    double sparsity;
    int sparsity_given, recalibrate_given;
    uint64_t images, threads;
    int clear, half;
    dpf_modelfile model;
    dpf_options options;
    int score; /* the data file has a list `valid` */
    quality *quality;
} conversion;

static dpf_status read_args(conversion *c, int argc, char **argv, dpf_error *err) {
    const char *words[3];
    const args_flag flags[] = {
        {"-sparsity", ARGS_SHARE, &c->sparsity, &c->sparsity_given, 0, 0},
        {"-scope", ARGS_TEXT, &c->scope, NULL, 0, 0},
        {"-dpf", ARGS_TEXT, &c->section, NULL, 0, 0},
        {"-data", ARGS_TEXT, &c->data, NULL, 0, 0},
        {"-recalibrate", ARGS_COUNT, &c->images, &c->recalibrate_given, 0, 100000000},
        {"-clear", ARGS_SWITCH, &c->clear, NULL, 0, 0},
        {"-half", ARGS_SWITCH, &c->half, NULL, 0, 0},
        {"-threads", ARGS_COUNT, &c->threads, NULL, 1, 1024},
    };
    dpf_status status = args_parse(argc, argv, flags, sizeof flags / sizeof *flags, words, 1, 3, USAGE, err);
    if (!status)
        status = model_words(words, 0, 3, 3, USAGE, err);
    if (status)
        return status;
    c->cfg = words[0];
    c->weights = words[1];
    c->out = words[2];
    if (c->sparsity_given && !(c->sparsity < 1))
        return dpf_fail(err, DPF_ERR_RANGE, "-sparsity %g: at least 0 and below 1 is wanted", c->sparsity);
    if (c->scope && strcmp(c->scope, "global") != 0 && strcmp(c->scope, "layer") != 0)
        return dpf_fail(err, DPF_ERR_RANGE, "-scope '%s': 'global' or 'layer' is wanted", c->scope);
    if (c->recalibrate_given && !c->data)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "-recalibrate needs pictures: give their data file by -data DATA");
    if (c->half && !dpf_modelfile_packs(c->out))
        return dpf_fail(err, DPF_ERR_ARGUMENT, "-half is for .dpf files; '%s' would be a .weights file", c->out);
    if (!c->recalibrate_given)
        c->images = DEFAULT_IMAGES;
    if (c->threads)
        omp_set_num_threads((int)c->threads);
    return DPF_OK;
}

static int same_file(const char *a, const char *b) {
    struct stat x, y;
    return b && stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Can OUT be written? Found now, not after minutes of scoring. */
static dpf_status check_out(const conversion *c, dpf_error *err) {
    dpf_writer *writer;
    if (same_file(c->out, c->cfg) || same_file(c->out, c->weights))
        return dpf_fail(err, DPF_ERR_ARGUMENT, "'%s' is the model that is to be converted: give OUT another name",
                        c->out);
    dpf_status status = dpf_writer_open(&writer, c->out, err);
    if (!status)
        dpf_writer_cancel(writer);
    return status;
}

static double zero_share(const dpf_graph *graph, const float *values) {
    size_t weights, zeros;
    dpf_prunable_zeros(graph, values, &weights, &zeros);
    return weights ? (double)zeros / (double)weights : 0;
}

/* The weights of training that belong to NAME_final.weights, if they are there and dense; else NULL. Malloc'd. */
static char *dense_sibling(const conversion *c) {
    static const char *const ends[] = {"_final.weights", "_best.weights"};
    const size_t length = c->weights ? strlen(c->weights) : 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const size_t end = strlen(ends[i]);
        char *name = NULL;
        dpf_weights weights;
        dpf_error ignored;
        if (length <= end || strcmp(c->weights + length - end, ends[i]) != 0 ||
            asprintf(&name, "%.*s_last.weights", (int)(length - end), c->weights) < 0)
            continue;
        if (dpf_weights_read(&weights, c->model.graph, name, &ignored) == DPF_OK) {
            const double share = zero_share(c->model.graph, weights.values);
            dpf_weights_free(&weights);
            if (share < masked_from)
                return name;
        }
        free(name);
    }
    return NULL;
}

static dpf_status refuse_masked(const conversion *c, dpf_error *err) {
    const double share = zero_share(c->model.graph, c->model.weights.values);
    const char *name = c->weights ? c->weights : c->cfg;
    if (share < masked_from)
        return DPF_OK;
    char *dense = dense_sibling(c);
    if (!dense) {
        say("note: %.2f %% of the prunable weights of '%s' are 0 already; what they were is gone, so they stay 0",
            100 * share, name);
        return DPF_OK;
    }
    dpf_fail(err, DPF_ERR_ARGUMENT,
             "'%s' is pruned already (%.2f %% of its prunable weights are 0), and its dense weights are in '%s': "
             "convert those",
             name, 100 * share, dense);
    free(dense);
    return DPF_ERR_ARGUMENT;
}

static dpf_status open_data(conversion *c, dpf_error *err) {
    datafile data;
    if (!c->data)
        return DPF_OK;
    dpf_status status = datafile_read(&data, c->data, 0, err);
    if (status)
        return status;
    c->score = data.has_valid;
    datafile_free(&data);
    if (!c->score) {
        say("note: '%s' has no list 'valid': the model is not scored", c->data);
        return DPF_OK;
    }
    const quality_args args = {.data = c->data, .cfg = c->cfg, .graph = c->model.graph, .threads = (int)c->threads};
    return quality_open(&c->quality, &args, err);
}

static dpf_status open_all(conversion *c, dpf_error *err) {
    const int scope = !c->scope ? -1 : strcmp(c->scope, "layer") == 0 ? DPF_LAYER : DPF_GLOBAL;
    dpf_status status = dpf_modelfile_open(&c->model, c->cfg, c->section, err);
    if (!status && c->weights)
        status = dpf_modelfile_read(&c->model, c->weights, err);
    dpf_error why;
    if (!status && dpf_prune_options(&c->options, c->model.graph, c->sparsity_given ? c->sparsity : -1, scope, &why))
        status = dpf_fail(err, why.status, "%.800s; give -sparsity S or -dpf FILE", why.text);
    if (!status)
        status = check_out(c, err);
    if (!status)
        status = refuse_masked(c, err);
    return status ? status : open_data(c, err);
}

static dpf_status score(conversion *c, const char *when, dpf_error *err) {
    double percent;
    int stopped;
    if (!c->score || stop_signal())
        return DPF_OK;
    dpf_status status = quality_measure(c->quality, c->model.weights.values, &percent, &stopped, err);
    if (!status && !stopped) {
        printf("%-21s %s %6.2f %%\n", when, quality_name(c->quality), percent);
        fflush(stdout);
    }
    return status;
}

static dpf_status prune(conversion *c, dpf_error *err) {
    char pruned[48], weights[48];
    dpf_pruned result;
    dpf_status status = dpf_prune(&result, c->model.graph, &c->options, c->model.weights.values, err);
    if (status)
        return status;
    printf("pruned %s of %s prunable weights (%.2f %%), %s\n",
           html_fixed(pruned, sizeof pruned, (double)result.pruned, 0),
           html_fixed(weights, sizeof weights, (double)result.weights, 0),
           100.0 * (double)result.pruned / (double)result.weights,
           c->options.scope == DPF_GLOBAL ? "one ranking over all layers" : "each layer by its own ranking");
    return DPF_OK;
}

static dpf_status recalibrate(conversion *c, dpf_error *err) {
    recalibrator *r;
    int stopped;
    if (!c->data || !c->images || stop_signal())
        return DPF_OK;
    if (!recalibrator_fits(c->model.graph)) {
        say("note: '%s' has no batch normalization, there is nothing to re-estimate", c->cfg);
        return DPF_OK;
    }
    const recalibrator_args args = {.data = c->data,
                                    .cfg = c->cfg,
                                    .graph = c->model.graph,
                                    .threads = (int)c->threads,
                                    .images = c->images,
                                    .progress = 1};
    dpf_status status = recalibrator_open(&r, &args, err);
    if (status)
        return status;
    status = recalibrator_run(r, c->model.weights.values, &stopped, err);
    if (!status && !stopped)
        printf("batch-norm statistics of %zu training images\n", recalibrator_images(r));
    recalibrator_close(r);
    return status || stopped ? status : score(c, "after re-estimation", err);
}

/* Who trains an old model on finds that the training ends before it begins. */
static void look_at_seen(conversion *c) {
    dpf_weights *w = &c->model.weights;
    const dpf_graph *graph = c->model.graph;
    const size_t batch = graph->batch > 0 ? (size_t)graph->batch : 1;
    if (c->clear) {
        w->header.seen = 0;
        memset(w->header_bytes + 12, 0, w->header.size - 12);
    } else if (graph->max_batches && w->header.seen / batch >= graph->max_batches) {
        say("note: '%s' says that it is at iteration %llu, and max_batches of '%s' is %zu: a training that goes on "
            "from it would end at once. Give -clear here or to 'train' to start at iteration 0",
            c->out, (unsigned long long)(w->header.seen / batch), c->cfg, graph->max_batches);
    }
}

static dpf_status convert(conversion *c, dpf_error *err) {
    dpf_status status = score(c, "before pruning", err);
    if (!status && !stop_signal())
        status = prune(c, err);
    if (!status)
        status = score(c, "after pruning", err);
    if (!status)
        status = recalibrate(c, err);
    if (status || stop_signal())
        return status;
    look_at_seen(c);
    status = dpf_modelfile_write(&c->model, c->out, c->half, err);
    struct stat info;
    if (!status && stat(c->out, &info) == 0)
        printf("%s: %lld bytes\n", c->out, (long long)info.st_size);
    return status;
}

int dpf_convert(int argc, char **argv) {
    conversion c = {0};
    dpf_error err;
    dpf_status status = read_args(&c, argc, argv, &err);
    if (!status)
        status = open_all(&c, &err);
    if (!status) {
        stop_install();
        status = convert(&c, &err);
    }
    const int number = stop_signal();
    if (!status && number)
        say("stopped; '%s' is not written", c.out);
    quality_close(c.quality);
    dpf_modelfile_free(&c.model);
    return status ? say_error(&err) : number ? 128 + number : EXIT_GOOD;
}
