/* SPDX-License-Identifier: MIT
 *
 * .weights files: both headers, every wrong length, and values that must come
 * through bit by bit. The files are written here byte by byte, so that reader and
 * writer cannot agree on a common mistake.
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

#include "dpf/model/weights.h"

#define CFG "[net]\nwidth=8\nheight=8\nchannels=1\n[conv]\nfilters=2\nsize=3\nbatch_normalize=1\n[conn]\noutput=3\n"
#define FLOATS (2 * 4 + 2 * 9 + 3 + 3 * 2 * 6 * 6) /* of CFG, counted by hand */

typedef struct world {
    char folder[32], path[64];
    dpf_cfg *cfg;
    dpf_graph *graph;
    dpf_error err;
} world;

static int setup(void **state) {
    world *w = calloc(1, sizeof *w);
    strcpy(w->folder, "/tmp/dpf-weights-XXXXXX");
    if (!mkdtemp(w->folder) || dpf_cfg_parse(&w->cfg, "t.cfg", CFG, strlen(CFG), &w->err) != DPF_OK ||
        dpf_graph_new(&w->graph, w->cfg, NULL, &w->err) != DPF_OK)
        return -1;
    snprintf(w->path, sizeof w->path, "%s/a.weights", w->folder);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    world *w = *state;
    unlink(w->path);
    rmdir(w->folder);
    dpf_graph_free(w->graph);
    dpf_cfg_free(w->cfg);
    free(w);
    return 0;
}

static void put(const world *w, int major, int minor, const void *seen, size_t seen_size, size_t floats, size_t odd) {
    static float values[FLOATS + 8];
    int32_t version[3] = {major, minor, 5};
    FILE *file = fopen(w->path, "wb");
    assert_non_null(file);
    for (size_t i = 0; i < FLOATS + 8; ++i)
        values[i] = (float)i + 0.5F;
    fwrite(version, 1, sizeof version, file);
    fwrite(seen, 1, seen_size, file);
    fwrite(values, 1, floats * sizeof(float) + odd, file);
    assert_int_equal(fclose(file), 0);
}

static void refuse(world *w, dpf_status status, const char *message) {
    memset(&w->err, 0, sizeof w->err);
    assert_int_equal(dpf_weights_check(w->graph, w->path, &w->err), status);
    if (!strstr(w->err.text, message) || !strstr(w->err.text, w->folder))
        fail_msg("'%s' lacks '%s' or the name of the file", w->err.text, message);
    dpf_weights weights = {0};
    dpf_error err = {0};
    assert_int_equal(dpf_weights_read(&weights, w->graph, w->path, &err), status);
    assert_null(weights.values);
    assert_int_equal(weights.count, 0);
    assert_string_equal(err.text, w->err.text);
}

static void accept(world *w, size_t header, uint64_t seen, int minor) {
    dpf_weights weights = {0};
    if (dpf_weights_check(w->graph, w->path, &w->err) != DPF_OK ||
        dpf_weights_read(&weights, w->graph, w->path, &w->err) != DPF_OK)
        fail_msg("%s", w->err.text);
    assert_int_equal(weights.header.size, header);
    assert_int_equal(weights.header.seen, seen);
    assert_int_equal(weights.header.major, 0);
    assert_int_equal(weights.header.minor, minor);
    assert_int_equal(weights.header.revision, 5);
    assert_memory_equal(weights.header_bytes + 12, &seen, header - 12);
    assert_int_equal(weights.count, FLOATS);
    for (size_t i = 0; i < FLOATS; ++i)
        assert_true(weights.values[i] == (float)i + 0.5F);
    dpf_weights_free(&weights);
    assert_null(weights.values);
}

static void test_both_headers(void **state) {
    world *w = *state;
    assert_int_equal(w->graph->parameters, FLOATS);
    int32_t seen32 = 123456;
    int64_t seen64 = 0x123456789aLL;
    put(w, 0, 1, &seen32, 4, FLOATS, 0);
    accept(w, 16, 123456, 1);
    put(w, 0, 2, &seen64, 8, FLOATS, 0);
    accept(w, 20, (uint64_t)seen64, 2);
    /* the header of one with the length of the other is four bytes off */
    put(w, 0, 1, &seen64, 8, FLOATS, 0);
    refuse(w, DPF_ERR_MISMATCH, "too long for t.cfg by 4 bytes");
    put(w, 0, 2, &seen32, 4, FLOATS, 0);
    refuse(w, DPF_ERR_MISMATCH, "too short for t.cfg");
}

static void test_wrong_lengths(void **state) {
    world *w = *state;
    int64_t seen = 1;
    for (size_t floats = 0; floats < FLOATS + 8; ++floats)
        for (size_t odd = 0; odd < 4 && floats * 4 + odd < (FLOATS + 8) * 4; ++odd) {
            if (floats == FLOATS && odd == 0)
                continue;
            put(w, 0, 2, &seen, 8, floats, odd);
            refuse(w, DPF_ERR_MISMATCH, floats < FLOATS ? "too short for t.cfg" : "too long for t.cfg");
            if (floats < FLOATS && !strstr(w->err.text, floats < 26 ? "layer 0 (conv" : "layer 1 (conn"))
                fail_msg("%zu floats: %s", floats, w->err.text);
        }
    for (size_t size = 0; size < 20; ++size) {
        put(w, 0, 2, &seen, 8, 0, 0);
        assert_int_equal(truncate(w->path, (off_t)size), 0);
        refuse(w, DPF_ERR_FORMAT, "too few for the header");
    }
}

/* One bit of the file turned over: an error that names the file, or, from the last bytes of the
 * header on, exactly what the file now says. */
static void flip(world *w, int fd, size_t at, int bit, size_t header, size_t size) {
    unsigned char byte;
    dpf_weights weights = {0};
    assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
    byte = (unsigned char)(byte ^ 1U << bit);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    const dpf_status checked = dpf_weights_check(w->graph, w->path, &w->err);
    const dpf_status status = dpf_weights_read(&weights, w->graph, w->path, &w->err);
    assert_int_equal(checked, status);
    if (status == DPF_OK) {
        unsigned char *bytes = malloc(size);
        assert_int_equal(pread(fd, bytes, size, 0), size);
        assert_int_equal(weights.header.size, header);
        assert_memory_equal(weights.values, bytes + header, size - header);
        assert_memory_equal(weights.header_bytes, bytes, header);
        free(bytes);
    } else {
        if (at >= header || !strstr(w->err.text, w->folder))
            fail_msg("byte %zu bit %d: %s", at, bit, w->err.text);
        assert_null(weights.values);
    }
    dpf_weights_free(&weights);
    byte = (unsigned char)(byte ^ 1U << bit);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static void test_every_bit(void **state) {
    world *w = *state;
    const int64_t seen = 0x123456;
    for (int minor = 1; minor <= 2; ++minor) {
        const size_t header = minor == 1 ? 16 : 20, size = header + FLOATS * sizeof(float);
        put(w, 0, minor, &seen, header - 12, FLOATS, 0);
        FILE *file = fopen(w->path, "r+b");
        assert_non_null(file);
        for (size_t at = 0; at < size; ++at)
            for (int bit = 0; bit < 8; ++bit)
                flip(w, fileno(file), at, bit, header, size);
        fclose(file);
    }
}

static void test_no_weights(void **state) {
    world *w = *state;
    refuse(w, DPF_ERR_IO, "cannot be opened: No such file");
    assert_int_equal(mkdir(w->path, 0700), 0);
    refuse(w, DPF_ERR_IO, "not a regular file");
    rmdir(w->path);
    int64_t seen = 1;
    const int versions[][2] = {{-1, 2}, {0, -1}, {1000, 0}, {0, 101}};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; ++i) {
        put(w, versions[i][0], versions[i][1], &seen, 8, FLOATS, 0);
        refuse(w, DPF_ERR_FORMAT, "not a .weights file");
    }
    FILE *file = fopen(w->path, "w");
    fputs(CFG CFG, file); /* the usual slip: the cfg twice on the command line */
    fclose(file);
    refuse(w, DPF_ERR_FORMAT, "not a .weights file");
}

static void test_unusual_keys(void **state) {
    world *w = *state;
    static const char text[] = "[net]\nwidth=8\nheight=8\nchannels=1\n[conv]\nfilters=2\nsize=3\ndontload=1\n";
    dpf_cfg *cfg = NULL;
    dpf_graph *graph = NULL;
    dpf_weights weights = {0};
    int64_t seen = 0;
    if (dpf_cfg_parse(&cfg, "u.cfg", text, strlen(text), &w->err) != DPF_OK ||
        dpf_graph_new(&graph, cfg, NULL, &w->err) != DPF_OK)
        fail_msg("%s", w->err.text);
    put(w, 0, 2, &seen, 8, 0, 0);
    assert_int_equal(dpf_weights_check(graph, w->path, &w->err), DPF_OK);
    assert_int_equal(dpf_weights_read(&weights, graph, w->path, &w->err), DPF_ERR_UNSUPPORTED);
    assert_non_null(strstr(w->err.text, "u.cfg:8"));
    dpf_graph_free(graph);
    dpf_cfg_free(cfg);
}

static void test_write_is_bit_exact(void **state) {
    world *w = *state;
    uint32_t bits[FLOATS];
    unsigned char file_bytes[20 + sizeof bits + 1];
    const uint32_t odd[] = {0x80000000U, 0x7fc01234U, 0xffa00001U, 0x7f800000U, 1U, 0x807fffffU, 0U};
    for (size_t i = 0; i < FLOATS; ++i)
        bits[i] = i < 7 ? odd[i] : (uint32_t)(i * 2654435761U);
    float values[FLOATS];
    memcpy(values, bits, sizeof bits);
    for (int minor = 1; minor <= 2; ++minor) {
        size_t size = minor == 1 ? 16 : 20;
        dpf_weights_header header = {.major = 0, .minor = minor, .revision = 7, .seen = 2147483647};
        if (dpf_weights_write(w->path, &header, values, FLOATS, &w->err) != DPF_OK)
            fail_msg("%s", w->err.text);
        FILE *file = fopen(w->path, "rb");
        assert_int_equal(fread(file_bytes, 1, sizeof file_bytes, file), size + sizeof bits);
        fclose(file);
        const unsigned char wanted[20] = {0, 0, 0, 0, (unsigned char)minor, 0, 0, 0, 7, 0, 0, 0, 255, 255, 255, 127};
        assert_memory_equal(file_bytes, wanted, size);
        assert_memory_equal(file_bytes + size, bits, sizeof bits);
        dpf_weights weights = {0};
        assert_int_equal(dpf_weights_read(&weights, w->graph, w->path, &w->err), DPF_OK);
        assert_memory_equal(weights.values, bits, sizeof bits);
        assert_int_equal(weights.header.seen, 2147483647);
        dpf_weights_free(&weights);
    }
    dpf_weights_header old = {.minor = 1, .seen = 2147483648U};
    assert_int_equal(dpf_weights_write(w->path, &old, values, FLOATS, &w->err), DPF_ERR_RANGE);
    assert_int_equal(dpf_weights_check(w->graph, w->path, &w->err), DPF_OK); /* the old file is whole */
    dpf_weights_header good = {.minor = 2};
    assert_int_equal(dpf_weights_write(w->folder, &good, values, FLOATS, &w->err), DPF_ERR_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_lengths, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_bit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_weights, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unusual_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(test_write_is_bit_exact, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
