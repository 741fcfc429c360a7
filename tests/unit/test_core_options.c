/* SPDX-License-Identifier: MIT
 *
 * The [dpf] section and the layer keys: every key, every default, every error with
 * its text, and that nothing is changed when one occurs.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

#include "dpf/core/options.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static dpf_error err;

static dpf_status parse(dpf_options *o, const dpf_key *keys, size_t count) {
    err = (dpf_error){0};
    return dpf_options_parse(o, "net.cfg", 10, keys, count, &err);
}

static void expect_text(const char *part) {
    if (!strstr(err.text, part)) {
        print_error("message \"%s\" lacks \"%s\"\n", err.text, part);
        fail();
    }
}

static void defaults(void **state) {
    (void)state;
    dpf_options o;
    dpf_key keys[] = {{"sparsity", "0.9", 11}};
    assert_int_equal(parse(&o, keys, 1), DPF_OK);
    assert_true(o.sparsity == 0.9);
    assert_true(o.initial_sparsity == 0);
    assert_int_equal(o.update_every, 16);
    assert_int_equal(o.begin, 0);
    assert_int_equal(o.has_end, 0);
    assert_int_equal(o.has_hold, 0);
    assert_int_equal(o.schedule, DPF_CUBIC);
    assert_int_equal(o.scope, DPF_GLOBAL);
    assert_true(o.min_density == 0);
    assert_int_equal(o.feedback, 1);
}

static void every_key(void **state) {
    (void)state;
    dpf_options o;
    dpf_key keys[] = {{"sparsity", ".75", 11},
                      {"initial_sparsity", "2.5e-1", 12},
                      {"update_every", "7", 13},
                      {"begin", "5", 14},
                      {"end", "50", 15},
                      {"hold", "60", 16},
                      {"schedule", "linear", 17},
                      {"scope", "global", 18},
                      {"min_density", "0.05", 19},
                      {"feedback", "0", 20},
                      {"granularity", "weight", 21}};
    assert_int_equal(parse(&o, keys, COUNT(keys)), DPF_OK);
    assert_true(o.sparsity == 0.75);
    assert_true(o.initial_sparsity == 0.25);
    assert_int_equal(o.update_every, 7);
    assert_int_equal(o.begin, 5);
    assert_int_equal(o.end, 50);
    assert_int_equal(o.has_end, 1);
    assert_int_equal(o.hold, 60);
    assert_int_equal(o.has_hold, 1);
    assert_int_equal(o.schedule, DPF_LINEAR);
    assert_int_equal(o.scope, DPF_GLOBAL);
    assert_true(o.min_density == 0.05);
    assert_int_equal(o.feedback, 0);

    dpf_key others[] = {
        {"sparsity", "0", 11}, {"schedule", "constant", 12}, {"scope", "layer", 13}, {"feedback", "1", 14}};
    assert_int_equal(parse(&o, others, COUNT(others)), DPF_OK);
    assert_true(o.sparsity == 0);
    assert_int_equal(o.schedule, DPF_CONSTANT);
    assert_int_equal(o.scope, DPF_LAYER);
    assert_int_equal(o.feedback, 1);
    dpf_key cubic[] = {{"schedule", "cubic", 12}, {"sparsity", "0.999999", 11}};
    assert_int_equal(parse(&o, cubic, COUNT(cubic)), DPF_OK);
    assert_int_equal(o.schedule, DPF_CUBIC);
}

static const struct {
    const char *key, *value;
    dpf_status status;
    const char *text;
} bad_cases[] = {
    {"sparsity", "1.2", DPF_ERR_RANGE,
     "net.cfg:12: [dpf] sparsity=1.2: must be at least 0 and below 1 (a share, not a per cent)"},
    {"sparsity", "1", DPF_ERR_RANGE, "below 1"},
    {"sparsity", "-1", DPF_ERR_RANGE, "sparsity=-1: must be at least 0"},
    {"sparsity", "-1e-9", DPF_ERR_RANGE, "must be at least 0"},
    {"sparsity", "90", DPF_ERR_RANGE, "did you mean 0.90?"},
    {"sparsity", "90%", DPF_ERR_RANGE, "did you mean 0.90?"},
    {"sparsity", "0.5%", DPF_ERR_RANGE, "did you mean 0.005?"},
    {"sparsity", "97.5", DPF_ERR_RANGE, "did you mean 0.975?"},
    {"sparsity", "100", DPF_ERR_RANGE, "below 1"},
    {"sparsity", "1e999", DPF_ERR_FORMAT, "not a number"},
    {"sparsity", "abc", DPF_ERR_FORMAT, "net.cfg:12: [dpf] sparsity=abc: not a number"},
    {"sparsity", "0.9x", DPF_ERR_FORMAT, "not a number"},
    {"sparsity", "0.9 0.8", DPF_ERR_FORMAT, "not a number"},
    {"sparsity", "0.9%%", DPF_ERR_FORMAT, "not a number"},
    {"sparsity", "0,9", DPF_ERR_FORMAT, "not a number"},
    {"sparsity", "0x1p-1", DPF_ERR_FORMAT, "not a number"},
    {"sparsity", "nan", DPF_ERR_FORMAT, "not a number"},
    {"sparsity", "inf", DPF_ERR_FORMAT, "not a number"},
    {"sparsity", "-inf", DPF_ERR_FORMAT, "not a number"},
    {"sparsity", "", DPF_ERR_FORMAT, "not a number"},
    {"sparsity", ".", DPF_ERR_FORMAT, "not a number"},
    {"sparsity", "e5", DPF_ERR_FORMAT, "not a number"},
    {"sparsity", " 0.5", DPF_ERR_FORMAT, "not a number"},
    {"initial_sparsity", "1", DPF_ERR_RANGE, "below 1"},
    {"initial_sparsity", "50", DPF_ERR_RANGE, "did you mean 0.50?"},
    {"initial_sparsity", "0.6", DPF_ERR_RANGE,
     "net.cfg:12: [dpf] initial_sparsity=0.6: must be at most sparsity=0.5 (line 11)"},
    {"update_every", "0", DPF_ERR_RANGE, "update_every=0: must be a whole number from 1"},
    {"update_every", "-4", DPF_ERR_RANGE, "must be a whole number from 1"},
    {"update_every", "1.5", DPF_ERR_RANGE, "must be a whole number from 1"},
    {"update_every", "16k", DPF_ERR_FORMAT, "must be a whole number from 1"},
    {"update_every", "", DPF_ERR_FORMAT, "must be a whole number from 1"},
    {"update_every", "2147483648", DPF_ERR_RANGE, "to 2147483647"},
    {"update_every", "99999999999999999999999999999999", DPF_ERR_RANGE, "to 2147483647"},
    {"begin", "-1", DPF_ERR_RANGE, "must be a whole number from 0"},
    {"begin", "x", DPF_ERR_FORMAT, "must be a whole number from 0"},
    {"end", "1e3", DPF_ERR_RANGE, "must be a whole number from 0"},
    {"end", "soon", DPF_ERR_FORMAT, "must be a whole number from 0"},
    {"hold", "+5", DPF_ERR_RANGE, "must be a whole number from 0"},
    {"hold", "5,", DPF_ERR_FORMAT, "must be a whole number from 0"},
    {"schedule", "qubic", DPF_ERR_FORMAT, "schedule=qubic: must be cubic, linear or constant; did you mean cubic?"},
    {"schedule", "3", DPF_ERR_FORMAT, "must be cubic, linear or constant"},
    {"scope", "layers", DPF_ERR_FORMAT, "must be global or layer; did you mean layer?"},
    {"scope", "", DPF_ERR_FORMAT, "must be global or layer"},
    {"min_density", "1.5", DPF_ERR_RANGE, "at most 1 (a share"},
    {"min_density", "-0.1", DPF_ERR_RANGE, "at least 0"},
    {"min_density", "5", DPF_ERR_RANGE, "did you mean 0.05?"},
    {"min_density", "0.51", DPF_ERR_RANGE, "min_density=0.51: must be at most 0.5, what sparsity=0.5 (line 11) leaves"},
    {"feedback", "2", DPF_ERR_RANGE, "must be 0 or 1"},
    {"feedback", "yes", DPF_ERR_FORMAT, "must be 0 or 1"},
    {"feedback", "", DPF_ERR_FORMAT, "must be 0 or 1"},
    {"granularity", "filter", DPF_ERR_UNSUPPORTED, "granularity=filter: not supported"},
    {"granularity", "filters", DPF_ERR_UNSUPPORTED, "not supported"},
    {"granularity", "kernel", DPF_ERR_UNSUPPORTED, "not supported"},
    {"granularity", "block", DPF_ERR_UNSUPPORTED, "not supported"},
    {"granularity", "2:4", DPF_ERR_UNSUPPORTED, "not supported"},
    {"granularity", "4x1", DPF_ERR_UNSUPPORTED, "not supported"},
    {"granularity", "2:", DPF_ERR_FORMAT, "must be weight"},
    {"granularity", "wieght", DPF_ERR_FORMAT, "did you mean weight?"},
    {"sparsty", "0.9", DPF_ERR_FORMAT, "net.cfg:12: [dpf] sparsty=0.9: unknown key; did you mean sparsity?"},
    {"updateevery", "4", DPF_ERR_FORMAT, "did you mean update_every?"},
    {"Begin", "4", DPF_ERR_FORMAT, "did you mean begin?"},
    {"initial", "0", DPF_ERR_FORMAT, "did you mean initial_sparsity?"},
    {"edn", "4", DPF_ERR_FORMAT, "did you mean end?"},
    {"batch", "128", DPF_ERR_FORMAT, "unknown key; the keys are sparsity, initial_sparsity"},
    {"", "1", DPF_ERR_FORMAT, "unknown key; the keys are"},
};

/* One bad key beside a good sparsity (unless it is sparsity itself). */
static void bad_values(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(bad_cases); i++) {
        dpf_options o, before;
        memset(&o, 0x5a, sizeof o);
        before = o;
        dpf_key keys[] = {{"sparsity", "0.5", 11}, {bad_cases[i].key, bad_cases[i].value, 12}};
        size_t skip = strcmp(bad_cases[i].key, "sparsity") == 0;
        dpf_status status = parse(&o, keys + skip, 2 - skip);
        if (status != bad_cases[i].status || err.status != status || !strstr(err.text, bad_cases[i].text)) {
            print_error("%s=%s: status %d, message \"%s\"\n", bad_cases[i].key, bad_cases[i].value, (int)status,
                        err.text);
            fail();
        }
        assert_memory_equal(&o, &before, sizeof o);
    }
}

static void missing_and_repeated(void **state) {
    (void)state;
    dpf_options o;
    assert_int_equal(parse(&o, NULL, 0), DPF_ERR_FORMAT);
    expect_text("net.cfg:10: [dpf] has no sparsity=");
    dpf_key keys[] = {{"sparsity", "0.5", 11}, {"begin", "1", 12}, {"sparsity", "0.5", 13}};
    assert_int_equal(parse(&o, keys + 1, 1), DPF_ERR_FORMAT);
    expect_text("has no sparsity=");
    assert_int_equal(parse(&o, keys, 3), DPF_ERR_FORMAT);
    expect_text("net.cfg:13: [dpf] sparsity=0.5: given a second time (first on line 11)");
    dpf_key layered[] = {{"sparsity", "0.5", 11}, {"scope", "layer", 12}, {"min_density", "0.1", 13}};
    assert_int_equal(parse(&o, layered, 3), DPF_ERR_RANGE);
    expect_text("net.cfg:13: [dpf] min_density=0.1: only scope=global");
    layered[2].value = "0";
    assert_int_equal(parse(&o, layered, 3), DPF_OK);
    dpf_key edge[] = {{"sparsity", "0.9", 11}, {"min_density", "0.1", 12}};
    assert_int_equal(parse(&o, edge, 2), DPF_OK); /* though 1 - 0.9 < 0.1 in binary */
}

/* Long or odd text from a file must neither overflow nor confuse the message. */
static void hostile_text(void **state) {
    (void)state;
    static char longest[5000];
    memset(longest, '9', sizeof longest - 1);
    dpf_options o;
    dpf_key keys[] = {{"sparsity", longest, 1}};
    assert_int_not_equal(parse(&o, keys, 1), DPF_OK);
    assert_true(strlen(err.text) < sizeof err.text);
    dpf_key names[] = {{longest, longest, 1}};
    assert_int_equal(parse(&o, names, 1), DPF_ERR_FORMAT);
    dpf_key percent[] = {{"%s%n", "%s%n", 1}};
    assert_int_equal(parse(&o, percent, 1), DPF_ERR_FORMAT);
    expect_text("%s%n=%s%n");
    assert_int_equal(dpf_options_parse(&o, "net.cfg", 1, percent, 1, NULL), DPF_ERR_FORMAT);
}

typedef struct finish_case {
    size_t begin, end, hold, max_batches, second_step;
    int has_end, has_hold;
    dpf_schedule_kind schedule;
    dpf_status status;
    size_t want_end, want_hold;
    const char *text;
} finish_case;

static void finish(void **state) {
    (void)state;
    static const finish_case cases[] = {
        {0, 0, 0, 1000, 0, 0, 0, DPF_CUBIC, DPF_OK, 500, 1000, ""},
        {0, 0, 0, 1001, 0, 0, 0, DPF_CUBIC, DPF_OK, 500, 1001, ""},
        {0, 0, 0, 1000, 750, 0, 0, DPF_CUBIC, DPF_OK, 750, 1000, ""},
        {0, 0, 0, 1000, 1500, 0, 0, DPF_LINEAR, DPF_OK, 500, 1000, ""}, /* a step past the end is none */
        {0, 0, 300, 1000, 750, 0, 1, DPF_CUBIC, DPF_OK, 300, 300, ""},
        {0, 900, 0, 1000, 750, 1, 0, DPF_CUBIC, DPF_OK, 900, 1000, ""},
        {0, 1000, 0, 1000, 0, 1, 0, DPF_CUBIC, DPF_OK, 1000, 1000, ""},
        {0, 0, 0, 1000, 0, 1, 0, DPF_CUBIC, DPF_OK, 0, 1000, ""},
        {700, 0, 0, 1000, 0, 0, 0, DPF_CONSTANT, DPF_OK, 700, 1000, ""},
        {0, 100, 0, 0, 0, 1, 0, DPF_CUBIC, DPF_OK, 100, SIZE_MAX, ""},
        {0, 0, 0, 0, 0, 0, 0, DPF_CUBIC, DPF_ERR_RANGE, 0, 0, "net.cfg:10: [dpf] needs end="},
        {0, 0, 0, 0, 5, 0, 0, DPF_CUBIC, DPF_ERR_RANGE, 0, 0, "needs end="},
        {0, 0, 0, 0, 0, 0, 0, DPF_CONSTANT, DPF_OK, 0, SIZE_MAX, ""},
        {501, 0, 0, 1000, 0, 0, 0, DPF_CUBIC, DPF_ERR_RANGE, 0, 0,
         "begin=501: must be at most end=500 (by default half"},
        {800, 0, 0, 1000, 750, 0, 0, DPF_CUBIC, DPF_ERR_RANGE, 0, 0, "end=750 (by default the second of the steps)"},
        {20, 10, 0, 1000, 0, 1, 0, DPF_CUBIC, DPF_ERR_RANGE, 0, 0, "begin=20: must be at most end=10"},
        {0, 600, 500, 1000, 0, 1, 1, DPF_CUBIC, DPF_ERR_RANGE, 0, 0, "end=600 (as given): must be at most hold=500"},
        {0, 1001, 0, 1000, 0, 1, 0, DPF_CUBIC, DPF_ERR_RANGE, 0, 0,
         "end=1001 (as given): must be at most max_batches=1000"},
        {0, 0, 1001, 1000, 0, 0, 1, DPF_CUBIC, DPF_ERR_RANGE, 0, 0, "hold=1001: must be at most max_batches=1000"},
        {1001, 0, 0, 1000, 0, 0, 0, DPF_CONSTANT, DPF_ERR_RANGE, 0, 0, "must be at most"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const finish_case *c = &cases[i];
        dpf_options o = {.sparsity = 0.5,
                         .update_every = 16,
                         .begin = c->begin,
                         .end = c->end,
                         .hold = c->hold,
                         .has_end = c->has_end,
                         .has_hold = c->has_hold,
                         .schedule = c->schedule};
        dpf_options before = o;
        err = (dpf_error){0};
        dpf_status status = dpf_options_finish(&o, "net.cfg", 10, c->max_batches, c->second_step, &err);
        int wrong = status != c->status || !strstr(err.text, c->text);
        if (status) {
            assert_memory_equal(&o, &before, sizeof o);
        } else {
            wrong |= o.end != c->want_end || o.hold != c->want_hold;
        }
        if (wrong) {
            print_error("case %zu: status %d, end %zu, hold %zu, \"%s\"\n", i, (int)status, o.end, o.hold, err.text);
            fail();
        }
    }
}

static void layer_keys(void **state) {
    (void)state;
    dpf_layer_options o;
    dpf_key keys[] = {{"filters", "16", 20}, {"prune", "1", 21}, {"sparsity", "0.5", 22}, {"pad", "1", 23}};
    assert_int_equal(dpf_layer_options_parse(&o, "net.cfg", keys, 4, &err), DPF_OK);
    assert_int_equal(o.prune, 1);
    assert_true(o.sparsity == 0.5);
    assert_int_equal(dpf_layer_options_parse(&o, "net.cfg", keys, 1, &err), DPF_OK);
    assert_int_equal(o.prune, -1);
    assert_true(o.sparsity == -1);
    assert_int_equal(dpf_layer_options_parse(&o, "net.cfg", NULL, 0, &err), DPF_OK);
    keys[1].value = "0";
    assert_int_equal(dpf_layer_options_parse(&o, "net.cfg", keys, 2, &err), DPF_OK);
    assert_int_equal(o.prune, 0);
    dpf_layer_options before = o;
    assert_int_equal(dpf_layer_options_parse(&o, "net.cfg", keys, 4, &err), DPF_ERR_RANGE);
    expect_text("net.cfg:22: [convolutional] sparsity=0.5: has no meaning in a layer with prune=0 (line 21)");
    keys[1].value = "maybe";
    assert_int_equal(dpf_layer_options_parse(&o, "net.cfg", keys, 4, &err), DPF_ERR_FORMAT);
    expect_text("net.cfg:21: [convolutional] prune=maybe: must be 0 or 1");
    keys[1].value = "1";
    keys[2].value = "95";
    assert_int_equal(dpf_layer_options_parse(&o, "net.cfg", keys, 4, &err), DPF_ERR_RANGE);
    expect_text("did you mean 0.95?");
    keys[2].value = "0.95";
    keys[3].key = "sparsity";
    assert_int_equal(dpf_layer_options_parse(&o, "net.cfg", keys, 4, &err), DPF_ERR_FORMAT);
    expect_text("net.cfg:23: [convolutional] sparsity=1: given a second time (first on line 22)");
    assert_memory_equal(&o, &before, sizeof o);
    assert_int_equal(dpf_layer_options_is_key("prune"), 1);
    assert_int_equal(dpf_layer_options_is_key("sparsity"), 1);
    assert_int_equal(dpf_layer_options_is_key("pad"), 0);
    assert_int_equal(dpf_layer_options_is_key(""), 0);
}

static void nearest(void **state) {
    (void)state;
    static const char *const words[] = {"train", "valid", "predict", "begin", NULL};
    static const char *const none[] = {NULL};
    assert_string_equal(dpf_nearest_word("trian", words), "train");
    assert_string_equal(dpf_nearest_word("TRAIN", words), "train");
    assert_string_equal(dpf_nearest_word("pred", words), "predict");
    assert_string_equal(dpf_nearest_word("predicts", words), "predict");
    assert_string_equal(dpf_nearest_word("vlaid", words), "valid");
    assert_null(dpf_nearest_word("zebra", words));
    assert_null(dpf_nearest_word("", words));
    assert_null(dpf_nearest_word("train", none));
    assert_null(dpf_nearest_word("traintraintraintraintraintraintraintraintrain", words));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),     cmocka_unit_test(every_key),
        cmocka_unit_test(bad_values),   cmocka_unit_test(missing_and_repeated),
        cmocka_unit_test(hostile_text), cmocka_unit_test(finish),
        cmocka_unit_test(layer_keys),   cmocka_unit_test(nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
