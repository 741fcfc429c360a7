/* SPDX-License-Identifier: MIT
 *
 * The .state file and the pair of weights and state: what goes in comes out, damage in
 * any byte is refused, and a crash before any system call that matters leaves a
 * pair that belongs together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dpf/model/checkpoint.h"
#include "dpf/model/state_cfg.h"

static char folder[] = "/tmp/dpf-state-XXXXXX";
static char weights_path[64], state_path[64], old_path[64];

/* ---- the system calls whose order matters, with a crash before the n-th of them ---- */

static int crash_in = -1; /* calls from now; negative: never */

static void maybe_crash(void) {
    if (crash_in >= 0 && crash_in-- == 0)
        _exit(9);
}

int rename(const char *from, const char *to) {
    maybe_crash();
    return (int)syscall(SYS_renameat2, -100, from, -100, to, 0);
}

int fsync(int fd) {
    maybe_crash();
    return (int)syscall(SYS_fsync, fd);
}

int unlink(const char *path) {
    maybe_crash();
    return (int)syscall(SYS_unlinkat, -100, path, 0);
}

/* ---- one small state ---- */

static const float momentum[] = {1, -2, 3.5f}, moment[] = {0.25f, 1e-30f};
static const uint64_t mask[] = {5};

static dpf_state sample(uint64_t iteration, dpf_state_array arrays[3]) {
    arrays[0] = (dpf_state_array){DPF_STATE_MASK, 0, 1, mask};
    arrays[1] = (dpf_state_array){DPF_STATE_WEIGHT_UPDATES, 0, 3, momentum};
    arrays[2] = (dpf_state_array){DPF_STATE_BIAS_V, 4, 2, moment};
    return (dpf_state){
        .figures = {.iteration = iteration,
                    .seen = 8 * iteration,
                    .seed = UINT64_MAX,
                    .steps = iteration,
                    .trained = 3,
                    .average = 1.5f,
                    .mask_updates = 2,
                    .max_batches = 100,
                    .threads = 2,
                    .pictures = 300,
                    .list_hash = 77,
                    .task_hash = 78,
                    .seconds = 12.5,
                    .best = -1},
        .cfg = (char *)"[net]\nbatch=8\n",
        .pruning = 1,
        .pruner = {.count = 3, .kept = 2, .target = 0.3, .flips = 1, .revived = 1, .updates = 2, .last_update = 16},
        .initial_sparsity = 0.125,
        .begin = 4,
        .end = 50,
        .arrays = arrays,
        .count = 3,
    };
}

/* Writes the pair of an iteration: the weights' bytes say which. */
static dpf_status write_pair(uint64_t iteration, size_t size, dpf_error *err) {
    dpf_state_array arrays[3];
    dpf_state state = sample(iteration, arrays);
    char *weights = malloc(size);
    memset(weights, (int)iteration, size);
    dpf_status status = dpf_checkpoint_write(weights_path, weights, size, &state, err);
    free(weights);
    return status;
}

/* The iteration of the pair that is there; fails unless state and weights belong together. */
static uint64_t read_pair(void) {
    dpf_state state;
    dpf_error err = {0};
    int found;
    char *bytes;
    size_t size;
    if (dpf_checkpoint_read(&state, &found, weights_path, &err) != DPF_OK)
        fail_msg("%s", err.text);
    assert_int_equal(found, 1);
    assert_int_equal(dpf_file_read(weights_path, 1 << 20, &bytes, &size, &err), DPF_OK);
    const uint64_t iteration = state.figures.iteration;
    for (size_t i = 0; i < size; i++)
        assert_int_equal((unsigned char)bytes[i], iteration);
    free(bytes);
    dpf_state_free(&state);
    return iteration;
}

static void remove_all(void) {
    char tmp[80];
    const char *names[] = {weights_path, state_path, old_path};
    for (int i = 0; i < 3; i++) {
        unlink(names[i]);
        snprintf(tmp, sizeof tmp, "%s.tmp", names[i]);
        unlink(tmp);
    }
}

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(weights_path, sizeof weights_path, "%s/x_last.weights", folder);
    snprintf(state_path, sizeof state_path, "%s/x_last.state", folder);
    snprintf(old_path, sizeof old_path, "%s/x_last.state.old", folder);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    remove_all();
    return rmdir(folder);
}

/* ---- the file ---- */

static void comes_back(void **unused) {
    (void)unused;
    dpf_state_array arrays[3];
    dpf_error err = {0};
    const dpf_state in = sample(7, arrays);
    dpf_state out;
    assert_int_equal(write_pair(7, 100, &err), DPF_OK);
    if (dpf_state_read(&out, state_path, &err) != DPF_OK)
        fail_msg("%s", err.text);
    assert_memory_equal(&out.figures.iteration, &in.figures.iteration, 5 * sizeof(uint64_t));
    assert_true(out.figures.average == in.figures.average && out.figures.seconds == in.figures.seconds &&
                out.figures.best == in.figures.best);
    assert_memory_equal(&out.figures.mask_updates, &in.figures.mask_updates, 6 * sizeof(uint64_t));
    assert_string_equal(out.cfg, in.cfg);
    assert_int_equal(out.pruning, 1);
    assert_memory_equal(&out.pruner, &in.pruner, sizeof in.pruner);
    assert_true(out.initial_sparsity == in.initial_sparsity && out.begin == in.begin && out.end == in.end);
    assert_int_equal(out.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(out.arrays[i].kind, in.arrays[i].kind);
        assert_int_equal(out.arrays[i].layer, in.arrays[i].layer);
        assert_int_equal(out.arrays[i].count, in.arrays[i].count);
        assert_int_equal((uintptr_t)out.arrays[i].data % 8, 0);
        assert_memory_equal(out.arrays[i].data, in.arrays[i].data, in.arrays[i].count * (i ? 4 : 8));
    }
    dpf_state_free(&out);
    remove_all();
}

/* Decodes a copy of exactly that size, so that a sanitizer sees a step beyond it. */
static dpf_status decode(const char *bytes, size_t size, dpf_error *err) {
    dpf_state out;
    char *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    dpf_status status = dpf_state_decode(&out, "x.state", copy, size, err);
    assert_true(status == DPF_OK || (!out.cfg && !out.arrays && !out.bytes));
    dpf_state_free(&out);
    free(copy);
    return status;
}

static void damage_is_refused(void **unused) {
    (void)unused;
    dpf_error err = {0};
    char *bytes;
    size_t size;
    assert_int_equal(write_pair(7, 100, &err), DPF_OK);
    assert_int_equal(dpf_file_read(state_path, 1 << 20, &bytes, &size, &err), DPF_OK);
    assert_int_equal(decode(bytes, size, &err), DPF_OK);
    for (size_t cut = 0; cut < size; cut++) {
        err.text[0] = 0;
        assert_int_equal(decode(bytes, cut, &err), DPF_ERR_FORMAT);
        assert_non_null(strstr(err.text, "x.state: "));
    }
    for (size_t i = 0; i < size; i++)
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] = (char)(bytes[i] ^ 1 << bit);
            assert_int_equal(decode(bytes, size, &err), DPF_ERR_FORMAT);
            bytes[i] = (char)(bytes[i] ^ 1 << bit);
        }
    char *longer = calloc(1, size + 8);
    memcpy(longer, bytes, size);
    assert_int_equal(decode(longer, size + 8, &err), DPF_ERR_FORMAT);
    free(longer);
    free(bytes);
    remove_all();
}

/* ---- the pair ---- */

/* Writes in a process that crashes before its n-th call; 1 when it came to its end. */
static int write_and_crash(uint64_t iteration, int n) {
    int status;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        crash_in = n;
        _exit(write_pair(iteration, 100 + iteration, NULL) != DPF_OK);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9));
    return WEXITSTATUS(status) == 0;
}

/* A crash, then another one while the next checkpoint is written, then a good write. */
static void crashes_leave_a_pair(void **unused) {
    (void)unused;
    int first, second, news = 0;
    for (first = 0;; first++) {
        int done = 0;
        for (second = 0; !done; second++) {
            remove_all();
            assert_int_equal(write_pair(1, 101, NULL), DPF_OK);
            done = write_and_crash(2, first);
            const uint64_t one = read_pair();
            assert_true(one == 2 || (one == 1 && !done));
            news += one == 2 && !done;
            if (second % 2) {
                dpf_checkpoint_settle(weights_path);
                assert_int_not_equal(access(old_path, F_OK), 0);
                assert_int_equal(read_pair(), one);
            }
            if (done)
                break;
            done = write_and_crash(3, second);
            const uint64_t two = read_pair();
            assert_true(two == 3 || (two == one && !done));
        }
        assert_int_equal(write_pair(4, 104, NULL), DPF_OK);
        assert_int_equal(read_pair(), 4);
        assert_int_not_equal(access(old_path, F_OK), 0);
        if (write_and_crash(5, first))
            break;
    }
    assert_true(first >= 7); /* 2 flushes, 3 renames, 2 folders, 1 removal: the crashes did happen */
    assert_true(news >= 1);  /* and one of them after the new pair was there */
    remove_all();
}

static void first_pair_or_none(void **unused) {
    (void)unused;
    for (int n = 0;; n++) {
        dpf_state state;
        int found;
        remove_all();
        const int done = write_and_crash(1, n);
        if (access(weights_path, F_OK) == 0) {
            assert_int_equal(read_pair(), 1);
        } else { /* a state without weights is never looked at; the next write gets over it */
            assert_int_equal(write_pair(2, 102, NULL), DPF_OK);
            assert_int_equal(dpf_checkpoint_read(&state, &found, weights_path, NULL), DPF_OK);
            assert_int_equal(found, 1);
            dpf_state_free(&state);
        }
        if (done)
            break;
    }
    remove_all();
}

static void a_full_disk_changes_nothing(void **unused) {
    (void)unused;
    struct rlimit before, limit;
    dpf_error err = {0};
    char *bytes[2], *now;
    size_t size[2], length;
    assert_int_equal(write_pair(1, 101, &err), DPF_OK);
    assert_int_equal(dpf_file_read(weights_path, 1 << 20, &bytes[0], &size[0], &err), DPF_OK);
    assert_int_equal(dpf_file_read(state_path, 1 << 20, &bytes[1], &size[1], &err), DPF_OK);
    getrlimit(RLIMIT_FSIZE, &before);
    signal(SIGXFSZ, SIG_IGN);
    for (rlim_t most = 0; most < 5000; most += 250) { /* below 600 the state does not fit, below 5000 the weights */
        limit = (struct rlimit){most, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        dpf_status status = write_pair(2, 5000, &err);
        setrlimit(RLIMIT_FSIZE, &before);
        assert_int_equal(status, DPF_ERR_IO);
        assert_non_null(strstr(err.text, strerror(EFBIG)));
        for (int i = 0; i < 2; i++) {
            assert_int_equal(dpf_file_read(i ? state_path : weights_path, 1 << 20, &now, &length, &err), DPF_OK);
            assert_int_equal(length, size[i]);
            assert_memory_equal(now, bytes[i], length);
            free(now);
        }
        assert_int_not_equal(access(old_path, F_OK), 0);
    }
    free(bytes[0]);
    free(bytes[1]);
    remove_all();
}

static void other_weights_are_refused(void **unused) {
    (void)unused;
    dpf_state state;
    dpf_error err = {0};
    int found;
    assert_int_equal(write_pair(1, 101, &err), DPF_OK);
    assert_int_equal(dpf_file_replace(weights_path, "others", 6, &err), DPF_OK);
    assert_int_equal(dpf_checkpoint_read(&state, &found, weights_path, &err), DPF_ERR_MISMATCH);
    assert_non_null(strstr(err.text, "x_last.state: was not written with"));
    assert_int_equal(found, 0);
    unlink(state_path);
    assert_int_equal(dpf_checkpoint_read(&state, &found, weights_path, &err), DPF_OK);
    assert_int_equal(found, 0);
    remove_all();
}

/* Links stay links, and the pair lies where they point. */
static void links_are_followed(void **unused) {
    (void)unused;
    char target[80];
    struct stat info;
    snprintf(target, sizeof target, "%s/target.state", folder);
    assert_int_equal(dpf_file_replace(target, "", 0, NULL), DPF_OK);
    assert_int_equal(symlink(target, state_path), 0);
    for (uint64_t i = 1; i < 4; i++) {
        assert_int_equal(write_pair(i, 100, NULL), DPF_OK);
        assert_int_equal(read_pair(), i);
        assert_int_equal(lstat(state_path, &info), 0);
        assert_true(S_ISLNK(info.st_mode));
    }
    unlink(target);
    remove_all();
}

/* ---- the cfg ---- */

static dpf_cfg *parse(const char *text) {
    dpf_cfg *cfg;
    dpf_error err = {0};
    if (dpf_cfg_parse(&cfg, "x.cfg", text, strlen(text), &err) != DPF_OK)
        fail_msg("%s", err.text);
    return cfg;
}

/* What is said of `now` against `then`; "" when they are the same. */
static const char *difference(const char *then, const char *now, int dense) {
    static dpf_error err;
    dpf_cfg *a = parse(then), *b = parse(now);
    char *text = dpf_state_cfg_text(a, NULL, dense);
    assert_non_null(text);
    err.text[0] = 0;
    dpf_status status = dpf_state_cfg_compare(text, b, NULL, dense, &err);
    assert_int_equal(status, err.text[0] ? DPF_ERR_MISMATCH : DPF_OK);
    free(text);
    dpf_cfg_free(a);
    dpf_cfg_free(b);
    return err.text;
}

static void cfgs_are_compared(void **unused) {
    (void)unused;
#define NET "[net]\nbatch=8\nmax_batches=100\n"
    static const char cfg[] = NET "[conv]\nfilters=2\n[dpf]\nsparsity=0.5\n[softmax]\n";
    assert_string_equal(difference(cfg, cfg, 0), "");
    assert_string_equal(difference(cfg,
                                   "# other words\n[net]\nmax_batches=200\nbatch = 8\n\n[dpf]\nsparsity=0.5\n[conv]\n"
                                   "filters=2\n[softmax]\n",
                                   0),
                        "");
    assert_string_equal(difference(cfg, NET "[conv]\nfilters=3\n[dpf]\nsparsity=0.5\n[softmax]\n", 0),
                        "x.cfg:5: 'filters=3' of conv is 'filters=2' there");
    assert_string_equal(difference(cfg, NET "[conv]\nfilters=2\n[dpf]\nsparsity=0.6\n[softmax]\n", 0),
                        "x.cfg:7: 'sparsity=0.6' of dpf is 'sparsity=0.5' there");
    assert_string_equal(difference(cfg, NET "[conv]\nfilters=2\n[dpf]\nsparsity=0.6\n[softmax]\n", 1), "");
    assert_string_equal(difference(cfg, NET "[conv]\nfilters=2\n[softmax]\n", 0),
                        "x.cfg: '[dpf]' is there, but no longer in the cfg");
    assert_string_equal(difference(NET "[conv]\n", NET "[conv]\n[softmax]\n", 0), "x.cfg:5: '[softmax]' is not there");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back),
        cmocka_unit_test(damage_is_refused),
        cmocka_unit_test(crashes_leave_a_pair),
        cmocka_unit_test(first_pair_or_none),
        cmocka_unit_test(a_full_disk_changes_nothing),
        cmocka_unit_test(other_weights_are_refused),
        cmocka_unit_test(links_are_followed),
        cmocka_unit_test(cfgs_are_compared),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
