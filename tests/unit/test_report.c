/* SPDX-License-Identifier: MIT
 *
 * The report of a training run: every page must be well-formed, carry the right
 * figures, need nothing but itself, stay small and survive any input. Labels are
 * checked for overlap in every picture that is drawn here. The parts of charts
 * alone are in test_chart.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/page/report.h"
#include "markup.h"

static char folder[] = "/tmp/test_report.XXXXXX";
static char path[64];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/m_report.html", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder);
}

/* Writes the report, reads it back and checks what holds for every page. */
static char *page_of(const report *r) {
    dpf_error err = {0};
    assert_int_equal(report_write(r, path, &err), DPF_OK);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    size_t length = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(length + 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, length, file), length);
    text[length] = 0;
    fclose(file);
    markup_check(text);
    markup_check_labels(text);
    for (const char *const *word = (const char *const[]){"http", "src=", "href=", "<script", "@import", "url(", NULL};
         *word; word++)
        assert_null(strstr(text, *word));
    return text;
}

static void assert_has(const char *page, const char *what) {
    if (!strstr(page, what))
        fail_msg("the page does not hold '%s'", what);
}

static void assert_lacks(const char *page, const char *what) {
    if (strstr(page, what))
        fail_msg("the page holds '%s'", what);
}

/* A run as training writes it: cubic ramp to 95 %, a mask update every 16 iterations. */
static report_row *run_rows(size_t count) {
    report_row *rows = calloc(count ? count : 1, sizeof *rows);
    assert_non_null(rows);
    double sparsity = 0;
    for (size_t i = 0; i < count; i++) {
        double f = (double)i / (double)count, ramp = f < 0.5 ? 1 - pow(1 - 2 * f, 3) : 1;
        double noise = (double)(i * 2654435761U % 1000) / 1000;
        rows[i].iteration = i + 1;
        rows[i].loss = (float)((2 * exp(-6 * f) + 0.3) * (0.7 + 0.6 * noise) + (i < 10 ? 500 : 0));
        rows[i].average_loss = (float)(2 * exp(-6 * f) + 0.3);
        rows[i].rate = f < 0.5 ? 0.1F : f < 0.75 ? 0.01F : 0.001F;
        if (i % 16 == 0) {
            rows[i].flips = (size_t)(3000 * (1 - f));
            rows[i].revived = rows[i].flips / 3;
            sparsity = 0.95 * ramp;
        }
        rows[i].sparsity = sparsity;
        rows[i].images_per_s = 800 + 50 * noise;
    }
    return rows;
}

static const report_layer three_layers[] = {
    {.index = 0, .shape = "16 x 3 x 3 x 3 /1", .weights = 432, .kept = 216, .prunable = 1},
    {.index = 1, .shape = "64 x 16 x 3 x 3 /2", .weights = 9216, .kept = 266, .prunable = 1},
    {.index = 12, .shape = "10 x 64 x 1 x 1 /1", .weights = 640, .kept = 640, .prunable = 0},
};

static report whole_run(const report_row *rows, size_t count) {
    return (report){.title = "resnet20",
                    .command = "./darknet classifier train a.data resnet20.cfg",
                    .cfg_text = "[dpf]\nsparsity=0.95\n",
                    .rows = rows,
                    .rows_count = count,
                    .layers = three_layers,
                    .layers_count = 3,
                    .parameters = 12000,
                    .seconds = 5025,
                    .target_sparsity = 0.95};
}

static void test_figures(void **state) {
    (void)state;
    report_row *rows = run_rows(4000);
    report_score scores[] = {{1000, "top-1", 80.5}, {2000, "top-1", 91.25}, {2000, "top-5", 99.5}, {4000, "top-1", 91}};
    report r = whole_run(rows, 4000);
    r.scores = scores;
    r.scores_count = 4;
    char *page = page_of(&r);
    /* 432 + 9216 prunable, 216 + 266 kept: 95.00 % sparse; 12000 - 9166 left of all */
    assert_has(page, "<b>95.00 %</b>");
    assert_has(page, ">9,648</td><td>482</td><td>5.00&#160;%</td><td>95.00&#160;%</td>");
    assert_has(page, ">12,000</td><td>2,834</td><td>23.62&#160;%</td><td>76.38&#160;%</td>");
    assert_has(page, "<b>4.2\xc3\x97</b>");
    assert_has(page, "2,834 of 12,000");
    assert_has(page, ">9,216</td><td>266</td><td>2.89&#160;%</td><td>97.11&#160;%</td>");
    assert_has(page, "64 \xc3\x97 16 \xc3\x97 3 \xc3\x97 3 /2");
    assert_has(page, "<b>91.00 %</b><span>top-1, best 91.25 % at 2,000</span>");
    assert_has(page, "<b>99.50 %</b><span>top-5</span>");
    assert_true(strstr(page, "<b>91.00 %") < strstr(page, "<b>99.50 %")); /* in the order of the caller */
    assert_has(page, "<b>1 h 23 min</b>");
    assert_has(page, "4,000 iterations");
    assert_has(page, "<h2>Sparsity</h2>");
    assert_has(page, " class=\"v\">95\xc2\xa0%</text>"); /* where the curve of the sparsity ends */
    assert_has(page, "<h2>Mask flips</h2>");
    assert_has(page, "<h2>Validation</h2>");
    assert_has(page, "33 % revived");
    assert_has(page, "[dpf]\nsparsity=0.95");
    assert_has(page, "classifier train a.data");
    assert_has(page, "prefers-color-scheme:dark");
    assert_has(page, "10 values above, up to 50"); /* the first losses are 500 and leave the axis */
    free(page);
    free(rows);
}

static void test_one_score_is_no_chart(void **state) {
    (void)state;
    report_row *rows = run_rows(100);
    report_score score = {100, "top-1", 91};
    report r = whole_run(rows, 100);
    r.scores = &score;
    r.scores_count = 1;
    char *page = page_of(&r);
    assert_has(page, "<b>91.00 %</b><span>top-1</span>");
    assert_lacks(page, "<h2>Validation</h2>");
    free(page);
    free(rows);
}

static void test_dense_run(void **state) {
    (void)state;
    report_row *rows = run_rows(500);
    report r = whole_run(rows, 500);
    r.target_sparsity = -1;
    r.cfg_text = NULL;
    r.layers = NULL;
    r.layers_count = 0;
    char *page = page_of(&r);
    assert_lacks(page, "parsity");
    assert_lacks(page, "Mask flips");
    assert_lacks(page, "<h2>Layers");
    assert_has(page, "<h2>Loss</h2>");
    assert_has(page, "<b>12,000</b><span>parameters</span>");
    free(page);
    free(rows);
}

static void test_few_rows(void **state) {
    (void)state;
    for (size_t count = 0; count < 40; count++) {
        report_row *rows = run_rows(count);
        report r = whole_run(rows, count);
        char *page = page_of(&r);
        if (count)
            assert_has(page, "<h2>Loss</h2>");
        else
            assert_has(page, "No iteration was logged");
        free(page);
        free(rows);
    }
}

static void test_nothing_at_all(void **state) {
    (void)state;
    report r = {.seconds = NAN, .target_sparsity = 0.9};
    char *page = page_of(&r);
    assert_has(page, "<h1>unnamed model</h1>");
    assert_lacks(page, "<h2>Command</h2>");
    free(page);
}

static void test_escaping(void **state) {
    (void)state;
    report_row *rows = run_rows(50);
    report r = whole_run(rows, 50);
    report_layer layer = {.index = 3, .shape = "<i>&\"x\" x 3", .weights = 10, .kept = 5, .prunable = 1};
    report_score scores[] = {{1, "<b>&'s", 1}, {2, "<b>&'s", 2}};
    r.title = "a<script>\"&'\x01\xff\xc3\xa9</title>";
    r.command = "./darknet </pre><script>alert(1)</script> && rm \"x\"";
    r.cfg_text = "[dpf] # <!-- ]]> &amp;";
    r.layers = &layer;
    r.layers_count = 1;
    r.scores = scores;
    r.scores_count = 2;
    char *page = page_of(&r);
    assert_has(page, "<h1>a&lt;script&gt;&quot;&amp;&#39;\xef\xbf\xbd\xef\xbf\xbd\xc3\xa9&lt;/title&gt;</h1>");
    assert_has(page, "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp;&amp; rm &quot;x&quot;");
    assert_has(page, "&lt;!-- ]]&gt; &amp;amp;");
    assert_has(page, "&lt;b&gt;&amp;&#39;s");
    free(page);
    free(rows);
}

/* Bad values of every kind in every field, singly and all over. */
static void test_values_that_are_no_numbers(void **state) {
    (void)state;
    static const double bad[] = {NAN, INFINITY, -INFINITY, 1e300, -1e300, 3e38, 1e-310, 0, -5};
    for (size_t b = 0; b < sizeof bad / sizeof *bad; b++)
        for (size_t stride = 1; stride <= 7; stride += 3) {
            report_row *rows = run_rows(300);
            report_score scores[] = {{1, "top-1", bad[b]}, {300, "top-1", 50}, {400, "x", bad[b]}};
            for (size_t i = 0; i < 300; i += stride) {
                float small = bad[b] > 3e38 ? INFINITY : bad[b] < -3e38 ? -INFINITY : (float)bad[b];
                rows[i].loss = rows[i].average_loss = rows[i].rate = small;
                rows[i].sparsity = rows[i].images_per_s = bad[b];
                rows[i].revived = rows[i].flips + 7; /* more than all */
            }
            report r = whole_run(rows, 300);
            r.scores = scores;
            r.scores_count = 3;
            r.seconds = bad[b];
            free(page_of(&r));
            free(rows);
        }
    report_row *rows = run_rows(300);
    rows[4].loss = NAN;
    rows[5].loss = INFINITY;
    report r = whole_run(rows, 300);
    char *page = page_of(&r);
    assert_has(page, "2 values were not finite");
    free(page);
    free(rows);
}

static void test_sizes_that_do_not_fit(void **state) {
    (void)state;
    report_layer layers[] = {{.index = -2147483647, .weights = 0, .kept = 0, .prunable = 1},
                             {.index = 2147483647, .weights = 5, .kept = 9, .prunable = 1},
                             {.index = 7, .weights = SIZE_MAX / 4, .kept = 1, .prunable = 1}};
    report r = {.title = "t", .layers = layers, .layers_count = 3, .parameters = 1, .target_sparsity = 0.5};
    memset(layers[2].shape, 'W', sizeof layers[2].shape); /* not even terminated */
    free(page_of(&r));
}

static void test_long_names(void **state) {
    (void)state;
    enum { LONG = 5000 };
    char *name = malloc(LONG + 1);
    assert_non_null(name);
    for (size_t i = 0; i < LONG; i += 2)
        memcpy(name + i, "\xc3\xa9", 2); /* must not be cut inside a character */
    name[LONG] = 0;
    report_row *rows = run_rows(64);
    report r = whole_run(rows, 64);
    report_score scores[] = {{1, "a score of thirty-one characters", 50}, {64, "a score of thirty-one characters", 60}};
    scores[0].name[31] = scores[1].name[31] = 0;
    r.title = r.command = r.cfg_text = name;
    r.scores = scores;
    r.scores_count = 2;
    free(page_of(&r));
    free(name);
    free(rows);
}

/* A run that went on from another begins where that ended. */
static void test_resumed_run(void **state) {
    (void)state;
    report_row *rows = run_rows(1000);
    for (size_t i = 0; i < 1000; i++)
        rows[i].iteration += 90000;
    report r = whole_run(rows, 1000);
    char *page = page_of(&r);
    assert_has(page, ">90,400<");
    assert_lacks(page, ">20,000<"); /* an axis from 0 would be empty for nine tenths */
    free(page);
    free(rows);
}

static void test_long_run_is_small(void **state) {
    (void)state;
    enum { ROWS = 1000000, SPIKE = 777777 };
    report_row *rows = run_rows(ROWS);
    rows[SPIKE].images_per_s = 3; /* must not get lost among the others */
    report r = whole_run(rows, ROWS);
    char *page = page_of(&r);
    assert_in_range(strlen(page), 50000, 300000);
    assert_has(page, "1,000,000 iterations");
    free(page);
    free(rows);
}

static int entries(void) {
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *e; (e = readdir(dir));)
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void test_old_page_survives(void **state) {
    (void)state;
    dpf_error err = {0};
    report r = {.title = "t", .target_sparsity = -1};
    char inside[96];
    snprintf(inside, sizeof inside, "%s/missing/x.html", folder);
    assert_int_equal(report_write(&r, inside, &err), DPF_ERR_IO);
    assert_has(err.text, inside);
    /* a folder in the way: the rename fails, and the temporary file must be gone */
    snprintf(inside, sizeof inside, "%s/taken", folder);
    assert_int_equal(mkdir(inside, 0700), 0);
    assert_int_equal(report_write(&r, inside, &err), DPF_ERR_IO);
    assert_int_equal(rmdir(inside), 0);
    unlink(path);
    assert_int_equal(entries(), 0);
    /* and a page that is there is replaced, readable for all that the umask lets */
    free(page_of(&r));
    free(page_of(&r));
    struct stat info;
    mode_t mask = umask(0);
    umask(mask);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0666 & ~mask);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_one_score_is_no_chart),
        cmocka_unit_test(test_dense_run),
        cmocka_unit_test(test_few_rows),
        cmocka_unit_test(test_nothing_at_all),
        cmocka_unit_test(test_escaping),
        cmocka_unit_test(test_values_that_are_no_numbers),
        cmocka_unit_test(test_sizes_that_do_not_fit),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_resumed_run),
        cmocka_unit_test(test_long_run_is_small),
        cmocka_unit_test(test_old_page_survives),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
