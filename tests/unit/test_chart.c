/* SPDX-License-Identifier: MIT
 *
 * Numbers, scales, ticks, reduction and pictures of every kind, over input that is
 * drawn from a fixed random sequence as well as chosen by hand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/page/chart_frame.h"
#include "markup.h"

static uint64_t seed = 1;

static double uniform(void) {
    seed = seed * 6364136223846793005U + 1442695040888963407U;
    return (double)(seed >> 11) / 9007199254740992.0;
}

static void assert_fixed(double value, int decimals, const char *expected) {
    char text[32];
    assert_string_equal(html_fixed(text, sizeof text, value, decimals), expected);
}

static void assert_number(double value, int digits, const char *expected) {
    char text[32];
    assert_string_equal(html_number(text, sizeof text, value, digits), expected);
}

static void check_numbers(void) {
    assert_fixed(0, 0, "0");
    assert_fixed(1234567.891, 1, "1,234,567.9");
    assert_fixed(999, 0, "999");
    assert_fixed(1000, 0, "1,000");
    assert_fixed(-1000.5, 2, "-1,000.50");
    assert_fixed(-0.001, 1, "0.0");
    assert_fixed(999.96, 1, "1,000.0");
    assert_fixed(NAN, 1, "-");
    assert_fixed(-INFINITY, 1, "-");
    assert_number(0, 4, "0");
    assert_number(0.5, 4, "0.5");
    assert_number(0.012345, 3, "0.0123");
    assert_number(99.996, 4, "100");
    assert_number(123456, 3, "123,456");
    assert_number(-2.5, 4, "-2.5");
    assert_number(1.5e-7, 4, "1.5e-7");
    assert_number(9.9996e-7, 3, "1e-6");
    assert_number(-1e12, 4, "-1e12");
    assert_number(1.2345e300, 3, "1.23e300");
    assert_number(NAN, 4, "-");
    char text[32];
    assert_string_equal(html_duration(text, sizeof text, 12.34), "12.3 s");
    assert_string_equal(html_duration(text, sizeof text, 59.99), "1 min 0 s");
    assert_string_equal(html_duration(text, sizeof text, 245), "4 min 5 s");
    assert_string_equal(html_duration(text, sizeof text, 5025), "1 h 23 min");
    assert_string_equal(html_duration(text, sizeof text, 400000), "4 d 15 h");
    assert_string_equal(html_duration(text, sizeof text, -1), "-");
}

static void test_numbers(void **state) {
    (void)state;
    check_numbers();
}

/* An image library may have set the user's locale. Not every machine has one with a comma. */
static void test_numbers_in_another_locale(void **state) {
    (void)state;
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "ru_RU.UTF-8", "ps_AF.UTF-8"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (setlocale(LC_ALL, names[i])) {
            check_numbers();
            setlocale(LC_ALL, "C");
        }
}

static void test_coordinates(void **state) {
    (void)state;
    static const struct {
        double value;
        const char *expected;
    } cases[] = {{0, "0"}, {1.25, "1.3"}, {-0.04, "0"}, {-3.5, "-3.5"}, {NAN, "0"}, {1e300, "9999"}, {-1e300, "-9999"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        html_text text = {0};
        html_coordinate(&text, cases[i].value);
        assert_string_equal(text.data, cases[i].expected);
        html_free(&text);
    }
}

/* Ticks lie inside the scale, are round, evenly spaced, and as many as asked for or a few more. */
static void test_ticks(void **state) {
    (void)state;
    for (int i = 0; i < 20000; i++) {
        double size = pow(10, uniform() * 24 - 12), from = (uniform() - 0.5) * 4 * size;
        chart_axis axis = {.integer = i % 3 == 0};
        chart_scale scale = {.from = 0, .to = 500};
        chart_ticks ticks;
        chart_scale_fit(&scale, &axis, from, from + uniform() * size, i % 5 == 0, 1, 5);
        chart_ticks_pick(&ticks, &scale, &axis, 5, 12.5);
        assert_in_range(ticks.count, 2, 9);
        double step = ticks.value[1] - ticks.value[0], part = step / pow(10, floor(log10(step) + 1e-9));
        assert_true(fabs(part - 1) < 1e-3 || fabs(part - 2) < 1e-3 || fabs(part - 5) < 1e-3);
        for (size_t k = 0; k < ticks.count; k++) {
            double place = chart_place(&scale, ticks.value[k]);
            assert_true(place > -0.01 && place < 500.01);
            if (k) {
                assert_true(fabs(ticks.value[k] - ticks.value[k - 1] - step) < step * 1e-6);
                assert_string_not_equal(ticks.label[k], ticks.label[k - 1]);
            }
        }
        if (axis.integer && step < 1e9)
            assert_true(step > 0.999);
        assert_true(fabs(chart_place(&scale, ticks.value[0])) < 0.01); /* rounded ends are ticks */
    }
}

static void test_ticks_of_decades(void **state) {
    (void)state;
    chart_axis axis = {.log = 1};
    chart_scale scale = {.from = 0, .to = 100};
    chart_ticks ticks;
    chart_scale_fit(&scale, &axis, 0.02, 3000, 0, 1, 8);
    assert_true(fabs(scale.min - 0.01) < 1e-9 && fabs(scale.max - 10000) < 1e-6);
    chart_ticks_pick(&ticks, &scale, &axis, 8, 12.5);
    assert_int_equal(ticks.count, 7);
    assert_string_equal(ticks.label[0], "0.01");
    assert_string_equal(ticks.label[6], "10,000");
    assert_true(fabs(chart_place(&scale, 10) - 50) < 1e-9);
    chart_scale_fit(&scale, &axis, 0.1F, 0.1F, 0, 1, 8); /* one value */
    assert_true(scale.min < 0.1 && scale.max > 0.1);
    chart_scale_fit(&scale, &axis, 3, 40, 0, 1, 6);
    assert_true(fabs(scale.min - 2) < 1e-9 && fabs(scale.max - 50) < 1e-9);
    for (int i = 0; i < 20000; i++) {
        double lo = pow(10, uniform() * 500 - 250), hi = lo * pow(10, uniform() * uniform() * 40);
        chart_scale_fit(&scale, &axis, lo, hi, i % 2, 1, 1 + (size_t)(uniform() * 9));
        chart_ticks_pick(&ticks, &scale, &axis, 6, 12.5);
        assert_true(scale.min > 0 && scale.min <= lo * 1.0001 && scale.max >= hi * 0.9999 && scale.max > scale.min);
        assert_in_range(ticks.count, 2, CHART_TICKS);
    }
}

static void test_robust_end(void **state) {
    (void)state;
    enum { COUNT = 10000 };
    static double values[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        values[i] = i < 50 ? 3000 : 2 + uniform();
    double end = chart_robust_max(values, COUNT, 0);
    assert_true(end > 3 && end < 5);
    for (size_t i = 0; i < COUNT; i++) /* nothing stands out: nothing is cut off */
        values[i] = (double)i;
    assert_true(fabs(chart_robust_max(values, COUNT, 0) - (COUNT - 1)) < 1e-9);
    values[0] = NAN;
    values[1] = INFINITY;
    assert_true(fabs(chart_robust_max(values, 3, 0) - 2) < 1e-9);
}

static void test_reduction(void **state) {
    (void)state;
    enum { COUNT = 100000, BUCKETS = 200 };
    static double y[COUNT];
    size_t picked[2 * BUCKETS + 2];
    for (size_t i = 0; i < COUNT; i++)
        y[i] = uniform();
    y[55555] = 9;
    y[77777] = -9;
    y[100] = NAN;
    for (size_t i = 30000; i < 40000; i++)
        y[i] = NAN;
    size_t n = chart_reduce(y, COUNT, 0, BUCKETS, picked), gap = 0, high = 0, low = 0;
    assert_in_range(n, BUCKETS, 2 * BUCKETS + 2);
    assert_int_equal(picked[0], 0);
    assert_int_equal(picked[n - 1], COUNT - 1);
    for (size_t i = 0; i < n; i++) {
        if (i)
            assert_true(picked[i] > picked[i - 1]);
        gap += isnan(y[picked[i]]) ? 1 : 0;
        high += picked[i] == 55555;
        low += picked[i] == 77777;
    }
    assert_int_equal(high, 1);
    assert_int_equal(low, 1);
    assert_int_equal(gap, BUCKETS / 10); /* one in each run of the gap, none for the lone NaN */
    for (size_t count = 0; count < 900; count++) {
        n = chart_reduce(y + 40000, count, 0, BUCKETS, picked);
        assert_true(n <= 2 * BUCKETS + 2 && n <= count);
        if (count)
            assert_true(picked[0] == 0 && picked[n - 1] == count - 1);
    }
}

static void test_cut(void **state) {
    (void)state;
    char out[64];
    chart_cut(out, sizeof out, "short", 100, 12);
    assert_string_equal(out, "short");
    for (double room = 0; room < 200; room += 3) {
        chart_cut(out, sizeof out, "h\xc3\xa9llo w\xc3\xb6rld, a name that is too long", room, 12);
        assert_true(room < 13 || chart_text_width(out, 12) <= room);
        html_text text = {0};
        html_escape(&text, out);
        assert_null(strstr(text.data, "\xef\xbf\xbd")); /* no half character */
        html_free(&text);
    }
    char small[8];
    chart_cut(small, sizeof small, "abcdefghijkl", 1000, 12);
    assert_string_equal(small, "abcd\xe2\x80\xa6");
}

static void check_drawing(const chart *c, void (*draw)(html_text *, const chart *)) {
    html_text out = {0};
    draw(&out, c);
    assert_int_equal(out.failed, 0);
    markup_check(out.data);
    markup_check_labels(out.data);
    html_free(&out);
}

static double any_value(void) {
    static const double odd[] = {0, NAN, INFINITY, -INFINITY, 1e299, -1e299, 1e-299, 5e-324, 1, -1};
    double u = uniform();
    if (u < 0.04)
        return odd[(size_t)(uniform() * 10)];
    return (uniform() < 0.9 ? 1 : -1) * pow(10, uniform() * 6 - 2);
}

/* Every mark, axis and size with values of every kind: well-formed, and labels keep apart. */
static void test_any_plot(void **state) {
    (void)state;
    enum { MOST = 3000 };
    static double x[MOST], y[4][MOST];
    for (int round = 0; round < 1500; round++) {
        size_t count = (size_t)(pow(uniform(), 3) * MOST);
        double at = uniform() * 100;
        chart_series series[4] = {{0}};
        for (size_t i = 0; i < count; i++)
            x[i] = at += uniform() < 0.1 ? 0 : uniform() * 3;
        for (size_t s = 0; s < 4; s++) {
            for (size_t i = 0; i < count; i++)
                y[s][i] = any_value();
            series[s] = (chart_series){.name = uniform() < 0.8 ? "a series with quite a name" : NULL,
                                       .x = round % 4 ? x : NULL,
                                       .y = y[s],
                                       .count = uniform() < 0.9 ? count : count / 2,
                                       .mark = (chart_mark)(uniform() * 5),
                                       .colour = (int)s - 1,
                                       .faint = uniform() < 0.3,
                                       .mean = uniform() < 0.3,
                                       .dashed = uniform() < 0.2,
                                       .label_last = s == 0 && uniform() < 0.5};
        }
        chart c = {.width = uniform() < 0.5 ? 480 : 1000,
                   .height = 160 + uniform() * 300,
                   .title = uniform() < 0.3 ? "Title of <this> & that" : NULL,
                   .series = series,
                   .series_count = (size_t)(uniform() * 5),
                   .stacked = uniform() < 0.5,
                   .standalone = uniform() < 0.2};
        c.phone = c.width < 600;
        c.x = (chart_axis){.label = "iteration", .integer = uniform() < 0.5, .log = uniform() < 0.2};
        c.y = (chart_axis){.label = uniform() < 0.5 ? "ms" : NULL,
                           .unit = uniform() < 0.3 ? "%" : NULL,
                           .log = uniform() < 0.3,
                           .robust = uniform() < 0.5};
        check_drawing(&c, chart_plot);
    }
}

static void test_any_bars(void **state) {
    (void)state;
    enum { MOST = 60 };
    static const char *const words[] = {"A",
                                        "yolov3-tiny 416",
                                        "512 x 676 x 4608",
                                        "a & <b>",
                                        "\xff",
                                        "a category with a name that is far too long for any picture of any size"};
    for (int round = 0; round < 1500; round++) {
        double y[4][MOST];
        const char *names[MOST];
        unsigned char muted[MOST];
        chart_series series[4] = {{0}};
        size_t count = (size_t)(uniform() * uniform() * MOST);
        for (size_t i = 0; i < count; i++) {
            names[i] = words[(size_t)(uniform() * 6)];
            muted[i] = uniform() < 0.2;
        }
        for (size_t s = 0; s < 4; s++) {
            for (size_t i = 0; i < count; i++)
                y[s][i] = any_value();
            series[s] = (chart_series){.name = "oneDNN direct", .y = y[s], .count = count, .colour = (int)s};
            series[s].mark = CHART_BARS;
        }
        chart c = {.width = uniform() < 0.5 ? 480 : 1000,
                   .height = 200 + uniform() * 200,
                   .series = series,
                   .series_count = (size_t)(uniform() * 5),
                   .stacked = uniform() < 0.3,
                   .categories = names,
                   .categories_count = count,
                   .muted = uniform() < 0.5 ? muted : NULL};
        c.phone = c.width < 600;
        c.y = (chart_axis){.label = "ms", .log = uniform() < 0.4, .unit = uniform() < 0.3 ? "%" : NULL};
        check_drawing(&c, chart_columns);
        check_drawing(&c, chart_rows);
    }
}

/* Exact places: a straight line from corner to corner, and bars with known heights. */
static void test_places(void **state) {
    (void)state;
    double y[] = {0, 10};
    chart_series series = {.y = y, .count = 2};
    chart c = {.width = 1000, .height = 300, .series = &series, .series_count = 1};
    html_text out = {0};
    chart_plot(&out, &c);
    const char *line = strstr(out.data, "class=\"l c0\" d=\"M");
    assert_non_null(line);
    double x0, y0, x1, y1, grid_x, grid_y;
    assert_int_equal(sscanf(line, "class=\"l c0\" d=\"M%lf %lf %lf %lf", &x0, &y0, &x1, &y1), 4);
    const char *grid = strstr(out.data, "class=\"g\" d=\"M");
    assert_non_null(grid);
    assert_int_equal(sscanf(grid, "class=\"g\" d=\"M%lf %lf", &grid_x, &grid_y), 2);
    assert_true(fabs(x0 - grid_x) < 0.2 && fabs(y0 - grid_y) < 0.2); /* (0, 0) is the corner of the grid */
    assert_true(x1 > 950 && y1 < y0 - 200);
    html_free(&out);

    static const char *const names[] = {"a", "b"};
    double two[] = {25, 50};
    chart_series bars = {.y = two, .count = 2};
    chart rows = {.width = 1000, .series = &bars, .series_count = 1, .categories = names, .categories_count = 2};
    chart_rows(&out, &rows);
    const char *first = strstr(out.data, "<rect class=\"f c0\""),
               *second = first ? strstr(first + 1, "<rect class=\"f c0\"") : NULL;
    assert_non_null(second);
    double wide = strtod(strstr(second, "width=\"") + 7, NULL), narrow = strtod(strstr(first, "width=\"") + 7, NULL);
    assert_true(fabs(wide - 2 * narrow) < 0.2 && wide > 500);
    html_free(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers),          cmocka_unit_test(test_numbers_in_another_locale),
        cmocka_unit_test(test_coordinates),      cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_ticks_of_decades), cmocka_unit_test(test_robust_end),
        cmocka_unit_test(test_reduction),        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_places),           cmocka_unit_test(test_any_plot),
        cmocka_unit_test(test_any_bars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
