/* SPDX-License-Identifier: MIT
 *
 * What is known about the options of cfgs: the list has no contradictions, and the tables
 * of docs/darknets.md say exactly what the program goes by. After a change of the list,
 *
 *   DPF_WRITE=docs/darknets.md build/release/tests/test_model_darknets
 *
 * writes the tables anew, between the lines that mark them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dpf/model/darknets.h"
#include "dpf/model/graph_build.h"

#define DOC "docs/darknets.md"

static const char *effect_word(const dpf_option_fact *fact) {
    static const char *const words[] = {"nothing", "training", "the result"};
    return words[fact->effect];
}

/* What this program does where the option is not neutral. */
static const char *outcome(const dpf_option_fact *fact) {
    if (fact->readers & DPF_WRONG_IN_DEBIAN)
        return "refused";
    if (fact->readers & DPF_READ_BY_DEBIAN)
        return "";
    return fact->effect == DPF_EFFECT_RESULT     ? "refused"
           : fact->effect == DPF_EFFECT_TRAINING ? "refused in training, unless `-force`"
                                                 : "ignored";
}

static void put_sections(FILE *out, uint64_t where) {
    if (where == DPF_IN_LAYERS) {
        fputs("every layer", out);
        return;
    }
    if (where & DPF_IN_NET)
        fputs("net", out);
    const char *comma = "";
    for (int type = 0; type < DPF_LAYER_TYPES; type++)
        if (where & DPF_IN(type)) {
            fprintf(out, "%s%s", comma, dpf_layer_type_name((dpf_layer_type)type));
            comma = ", ";
        }
}

static void put_options(FILE *out) {
    fputs("| section | option | Debian | AlexeyAB | what it does | changes | as good as absent | this program |\n"
          "|---|---|---|---|---|---|---|---|\n",
          out);
    for (size_t i = 0; i < dpf_option_facts_count; i++) {
        const dpf_option_fact *fact = &dpf_option_facts[i];
        fputs("| ", out);
        put_sections(out, fact->where);
        fprintf(out, " | `%s` | %s | %s | %s | %s | %s | %s |\n", fact->key,
                fact->readers & DPF_WRONG_IN_DEBIAN  ? "wrong"
                : fact->readers & DPF_READ_BY_DEBIAN ? "yes"
                                                     : "no",
                fact->readers & DPF_READ_BY_FORK ? "yes" : "no", fact->what, effect_word(fact), fact->neutral,
                outcome(fact));
    }
}

static int only_debian(dpf_layer_type type) {
    return type == DPF_DECONVOLUTIONAL || type == DPF_L2NORM || type == DPF_LOGISTIC || type == DPF_ISEG;
}

static void put_layers(FILE *out) {
    fputs("| layer | Debian | AlexeyAB | this program |\n|---|---|---|---|\n", out);
    for (int i = 0; i < DPF_LAYER_TYPES; i++) {
        const dpf_layer_type type = (dpf_layer_type)i;
        const int foreign = dpf_type_needs(type) != NULL;
        fprintf(out, "| `[%s]` | %s | %s | %s |\n", dpf_layer_type_name(type), foreign ? "no" : "yes",
                only_debian(type) ? "no" : "yes", foreign ? "refused" : "");
    }
}

static void put_activations(FILE *out) {
    fputs("| activation | Debian | AlexeyAB | this program |\n|---|---|---|---|\n", out);
    for (int i = 0; i < DPF_ACTIVATIONS; i++)
        fprintf(out, "| `%s` | %s | %s | %s |\n", dpf_activation_name((dpf_activation)i),
                i < DPF_STOCK_ACTIVATIONS ? "yes" : "no", i == DPF_HARDSWISH ? "no" : "yes",
                i < DPF_STOCK_ACTIVATIONS ? "" : "refused");
}

static char *read_whole(const char *path) {
    enum { ROOM = 1 << 18 };
    FILE *in = fopen(path, "r");
    if (!in)
        fail_msg("%s cannot be read", path);
    char *text = calloc(1, ROOM);
    assert_non_null(text);
    assert_in_range(fread(text, 1, ROOM - 1, in), 1, ROOM - 2);
    fclose(in);
    return text;
}

/* The doc with its tables made anew; each stands between "<!-- NAME -->" and "<!-- end -->". */
static char *made_anew(const char *doc) {
    static const struct {
        const char *mark;
        void (*put)(FILE *);
    } tables[] = {{"<!-- layers -->\n", put_layers},
                  {"<!-- activations -->\n", put_activations},
                  {"<!-- options -->\n", put_options}};
    char *text = NULL;
    size_t size = 0, done = 0;
    FILE *out = open_memstream(&text, &size);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        const char *start = strstr(doc + done, tables[i].mark), *end = start ? strstr(start, "<!-- end -->") : NULL;
        if (!end)
            fail_msg(DOC " has no table %s", tables[i].mark);
        start += strlen(tables[i].mark);
        fwrite(doc + done, 1, (size_t)(start - doc) - done, out);
        tables[i].put(out);
        done = (size_t)(end - doc);
    }
    fputs(doc + done, out);
    fclose(out);
    return text;
}

static void test_doc(void **state) {
    (void)state;
    char *doc = read_whole(DOC);
    char *fresh = made_anew(doc);
    const char *path = getenv("DPF_WRITE");
    if (path) {
        FILE *out = fopen(path, "w");
        assert_non_null(out);
        fputs(fresh, out);
        assert_int_equal(fclose(out), 0);
    } else if (strcmp(doc, fresh) != 0) {
        size_t at = 0, line = 1;
        for (; doc[at] == fresh[at]; at++)
            line += doc[at] == '\n';
        fail_msg(DOC ":%zu differs from the program's list; the head of this test says how to write it anew", line);
    }
    free(doc);
    free(fresh);
}

static void test_list(void **state) {
    (void)state;
    for (size_t i = 0; i < dpf_option_facts_count; i++) {
        const dpf_option_fact *a = &dpf_option_facts[i];
        assert_true(a->where != 0 && a->readers != 0);
        if (strchr(a->what, '|') || !a->what[0])
            fail_msg("%s: what it does cannot stand in a table", a->key);
        if (a->neutral[0] && (a->readers & DPF_READ_BY_DEBIAN))
            fail_msg("%s: what Debian reads has no neutral value", a->key);
        for (size_t k = i + 1; k < dpf_option_facts_count; k++)
            if (strcmp(a->key, dpf_option_facts[k].key) == 0 && (a->where & dpf_option_facts[k].where) &&
                a->where != DPF_IN_LAYERS)
                fail_msg("%s stands twice in the list, for one section", a->key);
    }
    assert_null(dpf_option_find(DPF_LAYER_TYPES, "filters"));
    assert_non_null(dpf_option_find(DPF_CONVOLUTIONAL, "learning_rate"));
    assert_string_equal(dpf_option_nearest(DPF_CONVOLUTIONAL, "filtres"), "filters");
}

static void test_neutral(void **state) {
    (void)state;
    const dpf_option_fact *scale = dpf_option_find(DPF_YOLO, "scale_x_y"), *nms = dpf_option_find(DPF_YOLO, "nms_kind");
    const char *const same[] = {"1", "1.0", "1.00#the usual", "1;"};
    const char *const other[] = {"1.05", "1,1", "x", "", "11", "1x"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_true(dpf_option_is_neutral(scale, same[i]));
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        assert_false(dpf_option_is_neutral(scale, other[i]));
    assert_true(dpf_option_is_neutral(nms, "default"));
    assert_true(dpf_option_is_neutral(nms, "greedynms"));
    assert_false(dpf_option_is_neutral(nms, "diounms"));
    assert_false(dpf_option_is_neutral(nms, "def"));
    assert_false(dpf_option_is_neutral(dpf_option_find(DPF_YOLO, "max_delta"), "0"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doc),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_neutral),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
