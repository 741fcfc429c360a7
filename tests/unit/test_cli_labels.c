/* SPDX-License-Identifier: MIT
 *
 * Label files: their names, and what stands in them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/data/labels.h"

static void names(void **state) {
    (void)state;
    static const char *const pairs[][2] = {
        {"/a/images/b.jpg", "/a/labels/b.txt"},
        {"/a/JPEGImages/b.JPEG", "/a/labels/b.txt"},
        {"/a/images/images/b.png", "/a/labels/images/b.txt"}, /* the first one, as in Darknet */
        {"/a/b.jpg.d/c.bmp", "/a/b.jpg.d/c.txt"},
        {"/a.b/c", "/a.b/c.txt"},
        {"x.jpeg", "x.txt"},
        {"/drawings/x.jpg", "/drawings/x.txt"}, /* no file at /dlabelsings */
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *path = labels_path(pairs[i][0]);
        assert_string_equal(path, pairs[i][1]);
        free(path);
    }
}

static dpf_status parse(const char *text, dn_box **list, size_t *count, dpf_error *err) {
    return labels_parse("l.txt", text, strlen(text), 3, list, count, err);
}

static void good(void **state) {
    (void)state;
    dn_box *list;
    size_t count;
    dpf_error err;
    assert_int_equal(parse("2 0.5 0.25 0.1 1\r\n\n  0\t1e-1 0 1.00001 0.2  ", &list, &count, &err), DPF_OK);
    assert_int_equal(count, 2);
    assert_int_equal(list[0].class, 2);
    assert_float_equal(list[0].h, 1, 0);
    assert_int_equal(list[1].class, 0);
    assert_float_equal(list[1].x, .1, 1e-6);
    free(list);
    assert_int_equal(parse("", &list, &count, &err), DPF_OK);
    assert_int_equal(count, 0);
    free(list);
}

static void bad(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"0 .5 .5 .1 .1\n3 .5 .5 .1 .1", "l.txt:2: class 3, but there are 3 classes (0 to 2)"},
        {"-1 .5 .5 .1 .1", "l.txt:1: class -1, but there are 3 classes (0 to 2)"},
        {"99999999999999999999 .5 .5 .1 .1", "l.txt:1: class 9223372036854775807, but there are 3 classes (0 to 2)"},
        {"0 1.5 .5 .1 .1", "l.txt:1: x is 1.5, a share of the picture from 0 to 1 is wanted"},
        {"0 .5 -.5 .1 .1", "l.txt:1: y is -0.5, a share of the picture from 0 to 1 is wanted"},
        {"0 .5 .5 nan .1", "l.txt:1: width is nan, a share of the picture from 0 to 1 is wanted"},
        {"0 .5 .5 .1 320", "l.txt:1: height is 320, a share of the picture from 0 to 1 is wanted"},
        {"0 .5 .5 .1\n.1", "l.txt:1: five numbers are wanted, CLASS X Y WIDTH HEIGHT"},
        {"0 .5 .5 .1 .1 7", "l.txt:1: five numbers are wanted, CLASS X Y WIDTH HEIGHT"},
        {"dog .5 .5 .1 .1", "l.txt:1: five numbers are wanted, CLASS X Y WIDTH HEIGHT"},
        {"0 .5 .5x .1 .1", "l.txt:1: five numbers are wanted, CLASS X Y WIDTH HEIGHT"},
        {"0.5.5.5.5", "l.txt:1: five numbers are wanted, CLASS X Y WIDTH HEIGHT"},
        {"0,.5,.5,.1,.1", "l.txt:1: five numbers are wanted, CLASS X Y WIDTH HEIGHT"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dn_box *list;
        size_t count;
        dpf_error err;
        assert_int_not_equal(parse(cases[i].text, &list, &count, &err), DPF_OK);
        assert_string_equal(err.text, cases[i].message);
        assert_null(list);
    }
    dn_box *list;
    size_t count;
    dpf_error err;
    assert_int_equal(labels_parse("l.txt", "0 .5\0.5", 7, 3, &list, &count, &err), DPF_ERR_FORMAT);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(good), cmocka_unit_test(bad)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
