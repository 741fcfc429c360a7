/* SPDX-License-Identifier: MIT
 *
 * The cfg reader: what Darknet reads is read alike, what it would crash on or
 * silently drop is refused with the line.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "dpf/model/cfg.h"

static dpf_cfg *parse(const char *text) {
    dpf_cfg *cfg;
    dpf_error err;
    if (dpf_cfg_parse(&cfg, "t.cfg", text, strlen(text), &err) != DPF_OK)
        fail_msg("%s", err.text);
    return cfg;
}

static void refuse(const char *text, size_t length, const char *message) {
    dpf_cfg *cfg = (dpf_cfg *)1;
    dpf_error err;
    assert_int_equal(dpf_cfg_parse(&cfg, "t.cfg", text, length, &err), DPF_ERR_FORMAT);
    assert_null(cfg);
    if (!strstr(err.text, message))
        fail_msg("'%s' lacks '%s'", err.text, message);
}

static void test_reads_like_darknet(void **state) {
    (void)state;
    dpf_cfg *cfg = parse("# comment\n;another\n[ net ]\r\n batch = 12 8\nsteps=1, 2,\t3\n\n[conv]\nsize=3\nsize=5\n");
    assert_int_equal(cfg->count, 2);
    assert_string_equal(cfg->sections[0].type, "net");
    assert_int_equal(cfg->sections[0].line, 3);
    assert_int_equal(cfg->sections[0].count, 2);
    assert_string_equal(dpf_section_find(&cfg->sections[0], "batch")->value, "128");
    assert_int_equal(dpf_section_find(&cfg->sections[0], "batch")->line, 4);
    assert_string_equal(dpf_section_find(&cfg->sections[0], "steps")->value, "1,2,3");
    assert_string_equal(dpf_section_find(&cfg->sections[1], "size")->value, "3"); /* the first counts */
    assert_null(dpf_section_find(&cfg->sections[1], "stride"));
    dpf_cfg_free(cfg);

    cfg = parse("\xef\xbb\xbf"
                "classes=2\ntrain=a=b.list"); /* a .data file, without a newline at its end */
    assert_int_equal(cfg->count, 1);
    assert_string_equal(cfg->sections[0].type, "");
    assert_string_equal(dpf_section_find(&cfg->sections[0], "train")->value, "a=b.list");
    dpf_cfg_free(cfg);

    cfg = parse("# nothing\n");
    assert_int_equal(cfg->count, 1);
    assert_int_equal(cfg->sections[0].count, 0);
    dpf_cfg_free(cfg);
}

static void test_refuses(void **state) {
    (void)state;
    refuse("[net]\nbatch\n", 12, "t.cfg:2:");
    refuse("[net]\nbatch=\n", 13, "'batch' has no value");
    refuse("[net]\n=1\n", 9, "t.cfg:2:");
    refuse("[net] # x\n", 10, "t.cfg:1:");
    refuse("[]\n", 3, "t.cfg:1:");
    refuse("[net\n", 5, "t.cfg:1:");
    refuse("[net]\n\nba\0tch=1\n", 16, "t.cfg:3: not a text file");
}

static void test_numbers(void **state) {
    (void)state;
    dpf_cfg *cfg = parse("[net]\na=12\nb=12#was16\nc=1.5\nd=x\ne=99999999999999999999\nf=-.5e1\ng=nan\nh=1e999\n");
    const dpf_section *s = &cfg->sections[0];
    dpf_error err;
    long i;
    double f;
    assert_int_equal(dpf_section_int(cfg, s, "a", 1, 0, 12, &i, &err), DPF_OK);
    assert_int_equal(i, 12);
    assert_int_equal(dpf_section_int(cfg, s, "b", 1, 0, 12, &i, &err), DPF_OK);
    assert_int_equal(i, 12);
    assert_int_equal(dpf_section_int(cfg, s, "z", 7, 0, 1, &i, &err), DPF_OK);
    assert_int_equal(i, 7);
    assert_int_equal(dpf_section_int(cfg, s, "a", 1, 0, 11, &i, &err), DPF_ERR_RANGE);
    assert_string_equal(err.text, "t.cfg:2: a=12 is out of range (allowed: 0 to 11)");
    assert_int_equal(dpf_section_int(cfg, s, "c", 1, 0, 9, &i, &err), DPF_ERR_FORMAT);
    assert_int_equal(dpf_section_int(cfg, s, "d", 1, 0, 9, &i, &err), DPF_ERR_FORMAT);
    assert_int_equal(dpf_section_int(cfg, s, "e", 1, 0, INT64_MAX, &i, &err), DPF_ERR_RANGE);
    assert_int_equal(dpf_section_float(cfg, s, "f", 1, -9, 9, &f, &err), DPF_OK);
    assert_true(f == -5);
    assert_int_equal(dpf_section_float(cfg, s, "g", 1, -9, 9, &f, &err), DPF_ERR_RANGE);
    assert_int_equal(dpf_section_float(cfg, s, "h", 1, -9, 1e300, &f, &err), DPF_ERR_RANGE);
    assert_int_equal(dpf_section_float(cfg, s, "d", 1, -9, 9, &f, &err), DPF_ERR_FORMAT);
    dpf_cfg_free(cfg);
}

static void test_for_darknet(void **state) {
    (void)state;
    dpf_cfg *cfg =
        parse("[net]\nbatch = 1\n[dpf]\nsparsity=0.9\n[convolutional]\nprune=1\nsize=3\nsparsity=.5\n[cost]\n");
    char *text = dpf_cfg_for_darknet(cfg);
    assert_string_equal(text, "[net]\nbatch=1\n[convolutional]\nsize=3\n[cost]\n");
    free(text);
    dpf_cfg_free(cfg);
}

static void test_files(void **state) {
    (void)state;
    dpf_cfg *cfg;
    dpf_error err;
    assert_int_equal(dpf_cfg_read(&cfg, "/nonexistent/x.cfg", &err), DPF_ERR_IO);
    assert_non_null(strstr(err.text, "No such file"));
    assert_int_equal(dpf_cfg_read(&cfg, "/", &err), DPF_ERR_IO);
    assert_non_null(strstr(err.text, "folder"));
    assert_int_equal(dpf_cfg_read(&cfg, "/bin/sh", &err), DPF_ERR_FORMAT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_like_darknet), cmocka_unit_test(test_refuses), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_for_darknet),        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
