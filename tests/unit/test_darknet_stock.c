/* SPDX-License-Identifier: MIT
 *
 * Every cfg that Debian's darknet package brings: opened and run forward once with our
 * convolutions in it, or refused for the reason that stands here. Each has a process of its
 * own, so that a crash is an outcome like others and memory is given back.
 *
 * Darknet draws random numbers for each weight, so the large ones take minutes: they run
 * only with DPF_LONG=1 (and TEST_TIMEOUT=3600), which also prints the table of outcomes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <darknet.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/data/datafile.h"
#include "dpf/darknet/adapter.h"
#include "dpf/darknet/net.h"

#define HOME "/usr/share/darknet"

/* Larger networks are for DPF_LONG. */
static const double QUICK_MULTIPLY_ADDS = 2e9;
static const size_t QUICK_PARAMETERS = 12000000;

static const struct {
    const char *name, *reason;
} refused[] = {
    {"go.cfg", "channels=1: must be 3"},        {"go.test.cfg", "channels=1: must be 3"},
    {"gru.cfg", "channels=0: must be 3"},       {"rnn.cfg", "channels=0: must be 3"},
    {"rnn.train.cfg", "channels=0: must be 3"}, {"yolo9000.cfg", "9k.tree (file with a tree of classes) needs"},
};

static const char *expected(const char *name) {
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (strcmp(refused[i].name, name) == 0)
            return refused[i].reason;
    return "ran";
}

/* In the child: one line that says what happened. */
static void forward(const char *name, char *line, size_t size) {
    char path[512];
    dpf_error err;
    dn_net *net = NULL;
    snprintf(path, sizeof path, "cfg/%s", name);
    const dn_open_args args = {.cfg_path = path, .batch = 1, .quiet = 1, .seed = 1};
    if (dn_open(&net, &args, &err) != DPF_OK) {
        snprintf(line, size, "refused: %s", err.text);
        return;
    }
    dn_info info;
    dn_get_info(net, &info);
    for (int i = 0; i < net->net->n; i++) { /* fresh ones are 0: each layer would multiply by 1000 */
        const layer *l = &net->net->layers[i];
        for (int k = 0; l->batch_normalize && l->rolling_variance && k < l->out_c; k++)
            l->rolling_variance[k] = 1;
    }
    float *input = malloc((size_t)info.inputs * sizeof *input), *row = input;
    float *output = malloc((size_t)info.outputs * sizeof *output);
    if (!input || !output) {
        snprintf(line, size, "no memory");
        return;
    }
    for (int i = 0; i < info.inputs; i++)
        input[i] = (float)(i % 251) / 251;
    const dn_data one = {.d = {.X = {.rows = 1, .cols = info.inputs, .vals = &row}}};
    if (dn_predict(net, &one, output, &err) != DPF_OK) {
        snprintf(line, size, "failed: %s", err.text);
        return;
    }
    int finite = 0;
    for (int i = 0; i < info.outputs; i++)
        finite += isfinite(output[i]) != 0;
    snprintf(line, size, finite == info.outputs ? "ran: %d layers, %d outputs" : "not finite: %d layers, %d outputs",
             info.layers, info.outputs);
}

/* Runs one cfg in a child; what it says, or how it died. */
static void run_alone(const char *name, char *line, size_t size) {
    int ends[2], status = 0;
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (chdir(HOME) != 0)
            _exit(3);
        forward(name, line, size);
        const ssize_t wrote = write(ends[1], line, strlen(line) + 1);
        _exit(wrote > 0 ? 0 : 4);
    }
    close(ends[1]);
    size_t got = 0;
    for (ssize_t n; got + 1 < size && (n = read(ends[0], line + got, size - 1 - got)) > 0;)
        got += (size_t)n;
    line[got] = 0;
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0)
        snprintf(line, size, "CRASHED: wait status %d", status);
}

static int is_quick(const char *name) {
    char path[512];
    dpf_cfg *cfg = NULL;
    dpf_graph *graph = NULL;
    dpf_error err;
    snprintf(path, sizeof path, HOME "/cfg/%s", name);
    int quick = 1; /* what cannot be read or run is refused at once */
    if (dpf_cfg_read(&cfg, path, &err) == DPF_OK && dpf_graph_new(&graph, cfg, NULL, &err) == DPF_OK &&
        dpf_graph_check_stock(graph, 0, &err) != DPF_ERR_UNSUPPORTED)
        quick = graph->multiply_adds < QUICK_MULTIPLY_ADDS && graph->parameters < QUICK_PARAMETERS;
    dpf_graph_free(graph);
    dpf_cfg_free(cfg);
    return quick;
}

static int ends_in(const char *name, const char *suffix) {
    const size_t length = strlen(name), tail = strlen(suffix);
    return length > tail && strcmp(name + length - tail, suffix) == 0;
}

static int is_cfg(const struct dirent *entry) {
    return ends_in(entry->d_name, ".cfg");
}

static int is_data(const struct dirent *entry) {
    return ends_in(entry->d_name, ".data") || ends_in(entry->d_name, ".dataset");
}

static void test_every_cfg(void **state) {
    (void)state;
    const char *all = getenv("DPF_LONG");
    struct dirent **names = NULL;
    const int count = scandir(HOME "/cfg", &names, is_cfg, alphasort);
    if (count < 0)
        skip();
    int wrong = 0, ran = 0;
    for (int i = 0; i < count; i++) {
        char line[1200] = "";
        const char *name = names[i]->d_name;
        if (all || is_quick(name)) {
            struct timespec from, to;
            clock_gettime(CLOCK_MONOTONIC, &from);
            run_alone(name, line, sizeof line);
            clock_gettime(CLOCK_MONOTONIC, &to);
            const char *wanted = expected(name);
            const int good = strcmp(wanted, "ran") != 0
                                 ? strncmp(line, "refused", 7) == 0 && strstr(line, wanted) != NULL
                                 : strncmp(line, wanted, strlen(wanted)) == 0;
            if (!good)
                print_error("%s: %s\n", name, line);
            if (all)
                printf("# | %s | %s | %.0f s |\n", name, line, difftime(to.tv_sec, from.tv_sec));
            fflush(stdout);
            wrong += !good;
            ran++;
        }
        free(names[i]);
    }
    free(names);
    assert_true(ran > 7);
    assert_int_equal(wrong, 0);
}

/* Their data files too: read, or refused for their trees of words. */
static void test_every_data_file(void **state) {
    (void)state;
    struct dirent **names = NULL;
    const int count = scandir(HOME "/cfg", &names, is_data, alphasort);
    if (count < 0)
        skip();
    int wrong = 0;
    for (int i = 0; i < count; i++) {
        char path[512];
        datafile data = {0};
        dpf_error err;
        snprintf(path, sizeof path, HOME "/cfg/%s", names[i]->d_name);
        const dpf_status status = datafile_read(&data, path, 0, &err);
        const int trees = strstr(path, "hierarchy") != NULL;
        if (status != (trees ? DPF_ERR_UNSUPPORTED : DPF_OK)) {
            print_error("%s: status %d: %s\n", path, (int)status, status ? err.text : "");
            wrong++;
        }
        if (status == DPF_OK)
            datafile_free(&data);
        free(names[i]);
    }
    free(names);
    assert_true(count > 3);
    assert_int_equal(wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cfg),
        cmocka_unit_test(test_every_data_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
