/* SPDX-License-Identifier: MIT
 *
 * The parts of the program that need no Darknet: order of pictures, command lines,
 * the progress bar, the log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <stb/stb_image_write.h>

#include "cli/terminal/args.h"
#include "cli/data/files.h"
#include "cli/data/imagelist.h"
#include "cli/train/log.h"
#include "cli/terminal/progress.h"

enum { PICTURES = 23, BROKEN = 5 }; /* picture BROKEN is no picture in the second list */

static char folder[] = "/tmp/dpf-cli-XXXXXX";
static char list_path[64], broken_path[64];

static int make_lists(void **state) {
    (void)state;
    static const unsigned char pixel[12];
    if (!mkdtemp(folder))
        return -1;
    snprintf(list_path, sizeof list_path, "%s/good.list", folder);
    snprintf(broken_path, sizeof broken_path, "%s/broken.list", folder);
    FILE *good = fopen(list_path, "w"), *broken = fopen(broken_path, "w");
    if (!good || !broken)
        return -1;
    for (int i = 0; i < PICTURES; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s/%02d.png", folder, i);
        stbi_write_png(name, 2, 2, 3, pixel, 6);
        fprintf(good, "%s\r\n", name); /* lists written on Windows have carriage returns */
        fprintf(broken, "%s\n", i == BROKEN ? "/no/such/picture.png" : name);
    }
    return fclose(good) | fclose(broken);
}

static int remove_lists(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static imagelist *open_list(const char *path) {
    imagelist *list = NULL;
    dpf_error err;
    assert_int_equal(imagelist_open(&list, path, "list", &err), DPF_OK);
    assert_int_equal(imagelist_count(list), PICTURES);
    return list;
}

static void draw(imagelist *list, uint64_t seed, size_t iteration, size_t count, const char **paths) {
    dpf_error err;
    assert_int_equal(imagelist_draw(list, seed, iteration, count, paths, &err), DPF_OK);
}

/* Number of a picture of open_list from its name. */
static int number_of(const char *path) {
    return atoi(strrchr(path, '/') + 1);
}

static void every_epoch_has_every_picture_once(void **state) {
    (void)state;
    imagelist *list = open_list(list_path);
    enum { EPOCHS = 6, AN_ITERATION = 6 }; /* 6 does not divide 23: iterations reach into the next epoch */
    const char *paths[EPOCHS * PICTURES];
    for (size_t i = 0; i < EPOCHS * PICTURES / AN_ITERATION; i++)
        draw(list, 9, i, AN_ITERATION, paths + i * AN_ITERATION);
    int equal = 0;
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        int times[PICTURES] = {0};
        for (int i = 0; i < PICTURES; i++) {
            times[number_of(paths[epoch * PICTURES + i])]++;
            equal += epoch && paths[epoch * PICTURES + i] == paths[i];
        }
        for (int i = 0; i < PICTURES; i++)
            assert_int_equal(times[i], 1);
    }
    assert_true(equal < PICTURES); /* about 1 of 23 by chance in each of 5 epochs */
    imagelist_free(list);
}

static void the_order_is_a_function_of_seed_and_iteration(void **state) {
    (void)state;
    enum { AN_ITERATION = 9 };
    const char *a[AN_ITERATION], *b[AN_ITERATION];
    imagelist *all = open_list(broken_path);
    for (size_t i = 0; i < 12; i++) {
        draw(all, 5, i, AN_ITERATION, a);
        imagelist *fresh = open_list(broken_path); /* a run that resumes here */
        draw(fresh, 5, i, AN_ITERATION, b);
        for (int k = 0; k < AN_ITERATION; k++) {
            assert_string_equal(a[k], b[k]);
            assert_string_not_equal(a[k], "/no/such/picture.png");
        }
        draw(fresh, 6, i, AN_ITERATION, b);
        int equal = 0;
        for (int k = 0; k < AN_ITERATION; k++)
            equal += strcmp(a[k], b[k]) == 0;
        assert_true(equal < AN_ITERATION);
        imagelist_free(fresh);
    }
    assert_int_equal(imagelist_bad(all), 1);
    imagelist_free(all);
}

static void an_iteration_may_be_larger_than_the_list(void **state) {
    (void)state;
    enum { AN_ITERATION = 3 * PICTURES + 4 };
    const char *paths[AN_ITERATION];
    int times[PICTURES] = {0};
    imagelist *list = open_list(list_path);
    draw(list, 1, 0, AN_ITERATION, paths);
    for (int i = 0; i < AN_ITERATION; i++)
        times[number_of(paths[i])]++;
    for (int i = 0; i < PICTURES; i++)
        assert_true(times[i] == 3 || times[i] == 4);
    imagelist_free(list);
}

static void ranges_leave_bad_pictures_out(void **state) {
    (void)state;
    size_t entries[8], good = 0;
    dpf_error err;
    imagelist *list = open_list(broken_path);
    assert_int_equal(imagelist_range(list, 2, 8, entries, &good, &err), DPF_OK);
    assert_int_equal(good, 7);
    for (size_t i = 0; i < good; i++)
        assert_int_equal(entries[i], i < 3 ? i + 2 : i + 3);
    imagelist_free(list);
}

static void labels(void **state) {
    (void)state;
    char *words[] = {"/0", "/1", "/2", "/22."};
    lines list = {.file = "labels", .line = words, .count = 4};
    int class_of[PICTURES];
    dpf_error err;
    imagelist *pictures = open_list(list_path);
    assert_int_equal(imagelist_match(pictures, &list, 3, class_of, &err), DPF_OK);
    for (int i = 0; i < PICTURES; i++)
        assert_int_equal(class_of[i], i / 10);
    assert_int_equal(imagelist_match(pictures, &list, 2, NULL, &err), DPF_ERR_MISMATCH);
    assert_non_null(strstr(err.text, "good.list:21: no label"));
    assert_int_equal(imagelist_match(pictures, &list, 4, NULL, &err), DPF_ERR_MISMATCH);
    assert_non_null(strstr(err.text, "good.list:23: 2 labels"));
    words[0] = "nowhere"; /* Darknet's exception: one class, and the path need not say so */
    assert_int_equal(imagelist_match(pictures, &list, 1, class_of, &err), DPF_OK);
    imagelist_free(pictures);
}

static void command_lines(void **state) {
    (void)state;
    int clear = 0, seeded = 0;
    uint64_t seed = 0;
    const char *words[2], *text = NULL;
    const args_flag flags[] = {
        {"-clear", ARGS_SWITCH, &clear, NULL, 0, 0},
        {"-seed", ARGS_COUNT, &seed, &seeded, 0, 100},
        {"-dpf", ARGS_TEXT, &text, NULL, 0, 0},
        ARGS_DARKNET_FLAGS,
    };
    const size_t n = sizeof flags / sizeof *flags;
    dpf_error err;
    char *good[] = {"-seed", "100", "a", "-gpus", "0,1", "-clear", "b", "-dpf", "-x"};
    assert_int_equal(args_parse(9, good, flags, n, words, 1, 2, "usage", &err), DPF_OK);
    assert_true(clear && seeded && seed == 100);
    assert_string_equal(words[0], "a");
    assert_string_equal(words[1], "b");
    assert_string_equal(text, "-x");
    char *high[] = {"a", "-seed", "101"}, *empty[] = {"a", "-seed", ""}, *plus[] = {"a", "-seed", "+1"};
    assert_int_equal(args_parse(3, high, flags, n, words, 1, 2, "usage", &err), DPF_ERR_RANGE);
    assert_int_equal(args_parse(3, empty, flags, n, words, 1, 2, "usage", &err), DPF_ERR_RANGE);
    assert_int_equal(args_parse(3, plus, flags, n, words, 1, 2, "usage", &err), DPF_ERR_RANGE);
    char *unknown[] = {"a", "-claer"};
    assert_int_equal(args_parse(2, unknown, flags, n, words, 1, 2, "usage", &err), DPF_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "'-clear'"));
    char *strange[] = {"a", "-qqqqqqq"};
    assert_int_equal(args_parse(2, strange, flags, n, words, 1, 2, "usage", &err), DPF_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "-clear -seed -dpf"));
}

static void the_bar_fits(void **state) {
    (void)state;
    progress_state s = {.iteration = 12345,
                        .last = 98765,
                        .average_loss = 1.2345,
                        .rate = 0.00012345,
                        .images_per_s = 1234,
                        .sparsity = 0.949,
                        .elapsed = 5000};
    char text[256];
    for (size_t width = 2; width < sizeof text - 1; width++) {
        progress_bar(&s, width, text, sizeof text);
        assert_true(strlen(text) <= width);
    }
    progress_bar(&s, 79, text, sizeof text);
    assert_non_null(strstr(text, "12345/98765  ETA 9:43:22  loss 1.2345  94.9 % sparse  1234 img/s"));
    progress_bar(&s, 120, text, sizeof text);
    assert_non_null(strstr(text, "rate 0.0001234"));
    assert_int_equal(text[0], '[');
    progress_bar(&s, 30, text, sizeof text);
    assert_string_equal(text, "12345/98765  ETA 9:43:22");
    s.last = 0; /* training without an end */
    s.sparsity = -1;
    progress_bar(&s, 79, text, sizeof text);
    assert_string_equal(text, "12345  loss 1.2345  1234 img/s  rate 0.0001234");
}

static void a_log_goes_on(void **state) {
    (void)state;
    char path[64];
    train_log *log = NULL;
    dpf_error err;
    size_t count = 0;
    snprintf(path, sizeof path, "%s/x_log.csv", folder);
    assert_int_equal(train_log_open(&log, path, 0, &err), DPF_OK);
    for (size_t i = 1; i <= 10; i++) {
        const report_row row = {i, 1.5f, 2.5f, 0.1f, 0.9, 100, i, i / 2, i == 7, 12.5};
        assert_int_equal(train_log_add(log, &row, &err), DPF_OK);
    }
    assert_int_equal(train_log_close(log, &err), DPF_OK);
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs("11,1.5,2.", f); /* the machine went down here */
    fclose(f);
    assert_int_equal(train_log_open(&log, path, 20, &err), DPF_OK);
    const report_row *rows = train_log_rows(log, &count);
    assert_int_equal(count, 10);
    assert_int_equal(rows[9].iteration, 10);
    assert_int_equal(rows[9].flips, 10);
    assert_int_equal(rows[9].revived, 5);
    assert_true(!rows[5].scored && rows[6].scored && !rows[7].scored);
    assert_float_equal(rows[6].score, 12.5, 1e-6);
    train_log_close(log, &err);
    assert_int_equal(train_log_open(&log, path, 4, &err), DPF_OK); /* going on from an older checkpoint */
    train_log_rows(log, &count);
    assert_int_equal(count, 4);
    train_log_close(log, &err);
    assert_int_equal(train_log_open(&log, path, 0, &err), DPF_OK);
    train_log_rows(log, &count);
    assert_int_equal(count, 0);
    train_log_close(log, &err);
}

static void names(void **state) {
    (void)state;
    static const char *const cases[][2] = {{"cfg/resnet20.cfg", "resnet20"},
                                           {"a.b/yolov3-tiny.x.cfg", "yolov3-tiny"},
                                           {"plain", "plain"},
                                           {".cfg", ".cfg"}};
    for (size_t i = 0; i < 4; i++) {
        char *base = files_base(cases[i][0]);
        assert_string_equal(base, cases[i][1]);
        free(base);
    }
    char *name = files_name("backup/", "net", "_last.weights");
    assert_string_equal(name, "backup/net_last.weights");
    free(name);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_epoch_has_every_picture_once),
        cmocka_unit_test(the_order_is_a_function_of_seed_and_iteration),
        cmocka_unit_test(an_iteration_may_be_larger_than_the_list),
        cmocka_unit_test(ranges_leave_bad_pictures_out),
        cmocka_unit_test(labels),
        cmocka_unit_test(command_lines),
        cmocka_unit_test(the_bar_fits),
        cmocka_unit_test(a_log_goes_on),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, make_lists, remove_lists);
}
