/* SPDX-License-Identifier: MIT
 *
 * The list of options (model/darknets.c) against libdarknet: Darknet itself says which keys
 * of a section it left unread ("Unused field"), and asks for each key that it knows through
 * option_find, which this program replaces by one that takes notes. Every option must be
 * read, or left unread, as the list says; and what Darknet asks for must be in the list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <darknet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dpf/model/darknets.h"

/* Exported by the library, though not in its header. */
list *make_list(void);
void option_insert(list *l, char *key, char *val);
void option_unused(list *l);
void parse_net_options(list *options, network *net);

typedef struct pair { /* Darknet's kvp */
    char *key, *value;
    int used;
} pair;

static struct {
    list *section; /* the one that is being read */
    const char *keys[256];
    size_t count;
} asked;

char *option_find(list *l, char *key);
char *option_find(list *l, char *key) {
    if (l != asked.section) {
        asked.section = l;
        asked.count = 0;
    }
    assert_in_range(asked.count, 0, 255);
    asked.keys[asked.count++] = key; /* a constant of the library */
    for (node *n = l->front; n; n = n->next) {
        pair *p = n->val;
        if (strcmp(p->key, key) == 0) {
            p->used = 1;
            return p->value;
        }
    }
    return NULL;
}

/* How many keys the last section was asked for that the list does not have. */
static size_t missing(dpf_layer_type type) {
    size_t wrong = 0;
    assert_true(asked.count > 5); /* Darknet did call our option_find */
    for (size_t i = 0; i < asked.count; i++) {
        const dpf_option_fact *fact = dpf_option_find(type, asked.keys[i]);
        if (fact && (fact->readers & DPF_READ_BY_DEBIAN))
            continue;
        print_error("[%s] %s: libdarknet asks for it\n", type == DPF_LAYER_TYPES ? "net" : dpf_layer_type_name(type),
                    asked.keys[i]);
        wrong++;
    }
    return wrong;
}

#define BEFORE "[net]\nwidth=8\nheight=8\nchannels=6\n[convolutional]\nfilters=6\nsize=1\n"
#define FLAT "[net]\ninputs=8\n"

/* A network that ends with a section of each type that libdarknet has. */
static const struct {
    dpf_layer_type type;
    const char *text;
} sections[] = {
    {DPF_CONVOLUTIONAL, BEFORE "[convolutional]\n"},
    {DPF_DECONVOLUTIONAL, BEFORE "[deconvolutional]\n"},
    {DPF_CONNECTED, BEFORE "[connected]\n"},
    {DPF_LOCAL, BEFORE "[local]\n"},
    {DPF_MAXPOOL, BEFORE "[maxpool]\n"},
    {DPF_AVGPOOL, BEFORE "[avgpool]\n"},
    {DPF_ROUTE, BEFORE "[route]\nlayers=0\n"},
    {DPF_SHORTCUT, BEFORE "[shortcut]\nfrom=0\n"},
    {DPF_UPSAMPLE, BEFORE "[upsample]\n"},
    {DPF_REORG, BEFORE "[reorg]\n"},
    {DPF_DROPOUT, BEFORE "[dropout]\n"},
    {DPF_SOFTMAX, BEFORE "[softmax]\n"},
    {DPF_COST, BEFORE "[cost]\ntype=sse\n"},
    {DPF_CROP, BEFORE "[crop]\n"},
    {DPF_BATCHNORM, BEFORE "[batchnorm]\n"},
    {DPF_NORMALIZATION, BEFORE "[normalization]\n"},
    {DPF_L2NORM, BEFORE "[l2norm]\n"},
    {DPF_ACTIVATION, BEFORE "[activation]\n"},
    {DPF_LOGISTIC, BEFORE "[logistic]\n"},
    {DPF_REGION, BEFORE "[region]\nclasses=1\ncoords=4\n"},
    {DPF_YOLO, BEFORE "[yolo]\nclasses=1\n"},
    {DPF_DETECTION, BEFORE "[detection]\nside=8\ncoords=4\nclasses=1\n"},
    {DPF_ISEG, BEFORE "[iseg]\nclasses=5\nids=1\n"},
    {DPF_RNN, FLAT "[rnn]\n"},
    {DPF_GRU, FLAT "[gru]\n"},
    {DPF_LSTM, FLAT "[lstm]\n"},
    {DPF_CRNN, BEFORE "[crnn]\n"},
};

static const char *value_of(const char *key) {
    if (strcmp(key, "tree") == 0 || strcmp(key, "map") == 0)
        return "/dev/null"; /* empty files are good enough for the parser */
    return strcmp(key, "activation") == 0 ? "linear" : "1";
}

/* What the section left unread, as Darknet prints it; malloc'd. */
static char *unread(const char *text) {
    char path[] = "/tmp/dpf-options-XXXXXX", out[] = "/tmp/dpf-unread-XXXXXX";
    int fd = mkstemp(path), to = mkstemp(out), saved = dup(STDERR_FILENO);
    assert_true(fd >= 0 && to >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
    dup2(to, STDERR_FILENO);
    network *net = parse_network_cfg(path);
    dup2(saved, STDERR_FILENO);
    close(saved);
    (void)net; /* layers of some types cannot be freed: Darknet frees what they share twice */
    off_t size = lseek(to, 0, SEEK_END);
    char *said = calloc((size_t)size + 1, 1);
    assert_int_equal(pread(to, said, (size_t)size, 0), size);
    close(to);
    unlink(path);
    unlink(out);
    return said;
}

static void test_layers(void **state) {
    (void)state;
    size_t looked_at = 0, wrong = 0;
    for (size_t s = 0; s < sizeof sections / sizeof *sections; s++) {
        char text[8192], field[128];
        const char *start = strrchr(sections[s].text, '[');
        int length = snprintf(text, sizeof text, "%s", sections[s].text);
        for (size_t i = 0; i < dpf_option_facts_count; i++) {
            const dpf_option_fact *fact = &dpf_option_facts[i];
            snprintf(field, sizeof field, "\n%s=", fact->key);
            if (!(fact->where & DPF_IN(sections[s].type)) || strstr(start, field))
                continue;
            if (strcmp(fact->key, "extra") == 0 || strcmp(fact->key, "flipped") == 0)
                length += snprintf(text + length, sizeof text - (size_t)length, "%s=0\n", fact->key);
            else
                length +=
                    snprintf(text + length, sizeof text - (size_t)length, "%s=%s\n", fact->key, value_of(fact->key));
        }
        char *said = unread(text);
        wrong += missing(sections[s].type);
        for (size_t i = 0; i < dpf_option_facts_count; i++) {
            const dpf_option_fact *fact = &dpf_option_facts[i];
            if (!(fact->where & DPF_IN(sections[s].type)))
                continue;
            snprintf(field, sizeof field, "Unused field: '%s = ", fact->key);
            const int is_read = strstr(said, field) == NULL;
            if (is_read != ((fact->readers & DPF_READ_BY_DEBIAN) != 0)) {
                print_error("[%s] %s: libdarknet %s it\n", dpf_layer_type_name(sections[s].type), fact->key,
                            is_read ? "reads" : "does not read");
                wrong++;
            }
            looked_at++;
        }
        free(said);
    }
    assert_true(looked_at > 250);
    assert_int_equal(wrong, 0);
}

/* Which keys parse_net_options looks for depends on the policy. */
static void test_net(void **state) {
    (void)state;
    static const char *const policies[] = {"constant", "step", "steps", "exp", "sigmoid", "poly", "random"};
    size_t wrong = 0, count = dpf_option_facts_count;
    unsigned char *is_read = calloc(count, 1);
    int saved = dup(STDERR_FILENO);
    for (size_t p = 0; p < sizeof policies / sizeof *policies; p++) {
        list *options = make_list();
        for (size_t i = 0; i < count; i++) {
            const char *key = dpf_option_facts[i].key;
            if (dpf_option_facts[i].where & DPF_IN_NET)
                option_insert(options, (char *)key, strdup(strcmp(key, "policy") == 0 ? policies[p] : "1"));
        }
        network net;
        memset(&net, 0, sizeof net);
        size_t seen = 0;
        net.seen = &seen;
        char out[] = "/tmp/dpf-unread-XXXXXX", field[128];
        int to = mkstemp(out);
        assert_true(to >= 0);
        dup2(to, STDERR_FILENO);
        parse_net_options(options, &net);
        wrong += missing(DPF_LAYER_TYPES);
        assert_int_equal(ftruncate(to, 0), 0);
        lseek(to, 0, SEEK_SET);
        option_unused(options);
        dup2(saved, STDERR_FILENO);
        char said[8192] = "";
        assert_true(pread(to, said, sizeof said - 1, 0) >= 0);
        close(to);
        unlink(out);
        for (size_t i = 0; i < count; i++) {
            snprintf(field, sizeof field, "Unused field: '%s = ", dpf_option_facts[i].key);
            is_read[i] |= strstr(said, field) == NULL;
        }
    }
    close(saved);
    for (size_t i = 0; i < count; i++)
        if ((dpf_option_facts[i].where & DPF_IN_NET) &&
            is_read[i] != ((dpf_option_facts[i].readers & DPF_READ_BY_DEBIAN) != 0)) {
            print_error("[net] %s: libdarknet %s it\n", dpf_option_facts[i].key,
                        is_read[i] ? "reads" : "does not read");
            wrong++;
        }
    free(is_read);
    assert_int_equal(wrong, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_net),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
