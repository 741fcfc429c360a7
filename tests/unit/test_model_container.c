/* SPDX-License-Identifier: MIT
 *
 * .dpf files: what goes in comes out bit by bit; a file with any byte changed or
 * missing is refused; and they are small. Also the float16 conversion beneath.
 */
#include <setjmp.h>
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <xxhash.h>
#include <zstd.h>

#include "dpf/model/container.h"
#include "dpf/model/file.h"
#include "dpf/model/half.h"

#define MODELS "../shared/data/models"

static const char SMALL[] = "# kept as it is\n[net]\nwidth=8\nheight=8\nchannels=3\n\n[conv]\nfilters=6\nsize=3\n"
                            "batch_normalize=1\n[local]\nfilters=2\nsize=2\n[connected]\noutput=5\n"
                            "batch_normalize=1\n[gru]\noutput=3\n[connected]\noutput=2";
static const char LARGE[] = "[net]\nwidth=16\nheight=16\nchannels=16\n[conv]\nfilters=128\nsize=3\npad=1\n"
                            "batch_normalize=1\n[conv]\nfilters=256\nsize=3\nbatch_normalize=1\n[conv]\nfilters=10\n";

typedef struct model {
    char *cfg_text;
    size_t cfg_size;
    dpf_cfg *cfg;
    dpf_graph *graph;
    dpf_weights weights;
} model;

static uint64_t seed = 88172645463325252ULL;
static uint64_t next_random(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static double uniform(void) {
    return (double)(next_random() >> 11) / 9007199254740992.0;
}

static model make(const char *text, size_t header, double sparsity) {
    static const unsigned char seen[8] = {0xff, 0xfe, 0xfd, 0xfc, 1, 2, 3, 4}; /* negative as 32 bits */
    model m = {0};
    dpf_error err;
    m.cfg_text = strdup(text);
    m.cfg_size = strlen(text);
    if (dpf_cfg_parse(&m.cfg, "t.cfg", text, m.cfg_size, &err) != DPF_OK ||
        dpf_graph_new(&m.graph, m.cfg, NULL, &err) != DPF_OK)
        fail_msg("%s", err.text);
    m.weights.count = m.graph->parameters;
    m.weights.values = calloc(m.weights.count, sizeof(float));
    for (size_t i = 0; i < m.weights.count; ++i)
        if (uniform() >= sparsity)
            m.weights.values[i] =
                (float)(sqrt(-2 * log(1 - uniform())) * cos(6.283185307179586 * uniform()) * 0.05); /* Gauss */
    m.weights.header.size = header;
    m.weights.header_bytes[4] = header == 16 ? 1 : 2;
    memcpy(m.weights.header_bytes + 12, seen, header - 12);
    return m;
}

static void unmake(model *m) {
    free(m->cfg_text);
    dpf_weights_free(&m->weights);
    dpf_graph_free(m->graph);
    dpf_cfg_free(m->cfg);
}

static unsigned char *encode(const model *m, const dpf_container_options *options, size_t *size) {
    unsigned char *bytes;
    dpf_error err;
    if (dpf_container_encode(&bytes, size, m->graph, m->cfg_text, m->cfg_size, &m->weights, options, &err) != DPF_OK)
        fail_msg("%s", err.text);
    return bytes;
}

static dpf_container decode(const unsigned char *bytes, size_t size) {
    dpf_container c = {0};
    dpf_error err;
    if (dpf_container_decode(&c, "t.dpf", bytes, size, DPF_CONTAINER_MAX_FLOATS, &err) != DPF_OK)
        fail_msg("%s", err.text);
    return c;
}

static void same(const model *m, const dpf_container *c) {
    assert_int_equal(c->cfg_size, m->cfg_size);
    assert_string_equal(c->cfg, m->cfg_text);
    assert_int_equal(c->weights.header.size, m->weights.header.size);
    assert_memory_equal(c->weights.header_bytes, m->weights.header_bytes, m->weights.header.size);
    assert_int_equal(c->weights.count, m->weights.count);
    assert_memory_equal(c->weights.values, m->weights.values, m->weights.count * sizeof(float));
}

static void test_half(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 65536; ++h) {
        uint32_t bits = dpf_half_to_bits((uint16_t)h);
        float number;
        memcpy(&number, &bits, sizeof number);
        int exponent = (int)(h >> 10 & 31), fraction = (int)(h & 1023);
        if (exponent < 31) {
            double wanted = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
            assert_true(number == (float)(h & 0x8000 ? -wanted : wanted) && (h >> 15) == bits >> 31);
        } else {
            assert_true(fraction ? isnan(number) : isinf(number));
        }
        assert_int_equal(dpf_half_from_bits(bits), exponent == 31 && fraction ? h | 0x200 : h);
        /* the two floats beside the middle of two halves, and the middle itself */
        if (h >= 0x7bff)
            continue;
        uint32_t above = dpf_half_to_bits((uint16_t)(h + 1));
        float upper, middle;
        memcpy(&upper, &above, sizeof upper);
        middle = (float)(((double)number + (double)upper) / 2);
        memcpy(&bits, &middle, sizeof bits);
        assert_int_equal(dpf_half_from_bits(bits), h + (h & 1));
        assert_int_equal(dpf_half_from_bits(bits - 1), h);
        assert_int_equal(dpf_half_from_bits(bits + 1), h + 1);
    }
    const uint32_t big = 0x477fefffU, infinite = 0x477ff000U, nan = 0x7f800001U; /* 65519.996, 65520 */
    assert_int_equal(dpf_half_from_bits(big), 0x7bff);
    assert_int_equal(dpf_half_from_bits(infinite), 0x7c00);
    assert_int_equal(dpf_half_from_bits(0xff7fffffU), 0xfc00);
    assert_int_equal(dpf_half_from_bits(nan) & 0x7e00, 0x7e00);
    assert_int_equal(dpf_half_from_bits(0x80000001U), 0x8000);
}

static void test_lossless(void **state) {
    (void)state;
    const double sparsities[] = {0, 0.3, 0.5, 0.9, 0.99, 0.999, 1};
    for (size_t i = 0; i < 14; ++i) {
        model m = make(i & 1 ? SMALL : LARGE, i & 2 ? 16 : 20, sparsities[i / 2]);
        size_t size;
        unsigned char *bytes = encode(&m, &(dpf_container_options){.level = 1 + (int)i}, &size);
        dpf_container c = decode(bytes, size);
        same(&m, &c);
        size_t coded = 0, kept = 0;
        for (size_t l = 0; l < m.graph->count; ++l)
            coded += m.graph->layers[l].weights;
        assert_int_equal(c.coded, coded);
        for (size_t l = 0; l < m.graph->count; ++l) /* in SMALL the connected layers have theirs elsewhere */
            for (size_t w = 0; w < m.graph->layers[l].weights; ++w) {
                const dpf_graph_layer *g = &m.graph->layers[l];
                size_t before = g->type == DPF_CONNECTED ? g->biases : g->biases + 3 * g->bn;
                kept += m.weights.values[g->offset + before + w] != 0;
            }
        assert_int_equal(c.kept, kept);
        dpf_container_free(&c);
        free(bytes);
        unmake(&m);
    }
}

static void test_odd_values(void **state) {
    (void)state;
    const uint32_t odd[] = {0x80000000U, 0x7fc01234U, 0xffa00001U, 0x7f800000U, 0xff800000U, 1U, 0x807fffffU};
    model m = make(SMALL, 20, 0.5);
    for (size_t i = 0; i < m.weights.count; i += 3)
        memcpy(&m.weights.values[i], &odd[next_random() % 7], 4);
    size_t size;
    unsigned char *bytes = encode(&m, NULL, &size);
    dpf_container c = decode(bytes, size);
    same(&m, &c);
    dpf_container_free(&c);
    free(bytes);
    unmake(&m);
}

static void test_half_option(void **state) {
    (void)state;
    model m = make(SMALL, 20, 0.5);
    const dpf_graph_layer *conv = &m.graph->layers[0];
    size_t first = conv->offset + conv->parameters - conv->weights, size;
    m.weights.values[0] = 1e30F; /* a bias may be what it likes */
    unsigned char *bytes = encode(&m, &(dpf_container_options){.half = 1}, &size);
    dpf_container c = decode(bytes, size);
    assert_int_equal(c.half, 1);
    assert_memory_equal(c.weights.values, m.weights.values, first * sizeof(float));
    for (size_t i = first; i < first + conv->weights; ++i) {
        float was = m.weights.values[i], is = c.weights.values[i];
        assert_true(fabsf(was - is) <= fabsf(was) / 2048 + 3.0e-8F && (was != 0 || is == 0));
    }
    dpf_container_free(&c);
    free(bytes);
    m.weights.values[first + 7] = 65520;
    dpf_error err;
    dpf_status status = dpf_container_encode(&bytes, &size, m.graph, m.cfg_text, m.cfg_size, &m.weights,
                                             &(dpf_container_options){.half = 1}, &err);
    assert_int_equal(status, DPF_ERR_RANGE);
    assert_null(bytes);
    assert_non_null(strstr(err.text, "t.cfg: layer 0 (convolutional, line 7): the weight 65520 is too large"));
    m.weights.values[first + 7] = INFINITY;
    free(encode(&m, &(dpf_container_options){.half = 1}, &size));
    unmake(&m);
}

static void refuse(const unsigned char *bytes, size_t size, size_t max, dpf_status status, const char *message) {
    /* a copy of the exact length, so that a sanitizer sees a read past it */
    unsigned char *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    dpf_container c;
    dpf_error err = {0};
    dpf_status got = dpf_container_decode(&c, "t.dpf", copy, size, max, &err);
    free(copy);
    if (got != status || !strstr(err.text, message) || strncmp(err.text, "t.dpf: ", 7) != 0)
        fail_msg("status %d, '%s' where '%s' was expected", got, err.text, message);
    assert_null(c.cfg);
    assert_null(c.weights.values);
}

static void test_damage(void **state) {
    (void)state;
    model m = make(SMALL, 20, 0.8);
    size_t size, max = DPF_CONTAINER_MAX_FLOATS;
    unsigned char *bytes = encode(&m, NULL, &size);
    for (size_t cut = 0; cut < size; ++cut)
        refuse(bytes, cut, max, DPF_ERR_FORMAT, cut < 8 ? "not a .dpf file" : "cut off");
    for (size_t i = 0; i < size; ++i)
        for (int bit = 0; bit < 8; ++bit) {
            bytes[i] = (unsigned char)(bytes[i] ^ 1U << bit);
            refuse(bytes, size, max, DPF_ERR_FORMAT, i < 8 ? "not a .dpf file" : "checksum");
            bytes[i] = (unsigned char)(bytes[i] ^ 1U << bit);
        }
    refuse(bytes, size, m.weights.count - 1, DPF_ERR_FORMAT, "too many");
    unsigned char *longer = malloc(size + 1);
    memcpy(longer, bytes, size);
    longer[size] = 0;
    refuse(longer, size + 1, max, DPF_ERR_FORMAT, "1 bytes too many at its end");
    free(longer);
    free(bytes);
    unmake(&m);
}

/* Sets a byte of the file's header (section 0) or of one section's content, checksums made right. */
static unsigned char *forge(const unsigned char *bytes, size_t size, int section, size_t at, int value,
                            size_t *forged) {
    unsigned char *out = malloc(size + 4096);
    const unsigned char *from = bytes + 40;
    unsigned char *to = out + 40, raw[4096];
    memcpy(out, bytes, 40);
    if (section == 0)
        out[at] = (unsigned char)value;
    XXH64_hash_t sum = XXH64(out, 32, 0);
    memcpy(out + 32, &sum, 8);
    for (int s = 1; s <= 6; ++s) {
        uint64_t stored;
        memcpy(&stored, from + 16, 8);
        memcpy(to, from, 40 + stored);
        if (s == section) {
            size_t length = ZSTD_decompress(raw, sizeof raw, from + 40, stored);
            assert_true(!ZSTD_isError(length) && at < length);
            raw[at] = (unsigned char)value;
            uint64_t packed = ZSTD_compress(to + 40, 4096, raw, length, 1);
            memcpy(to + 16, &packed, 8);
            sum = XXH64(to + 40, packed, 0);
            memcpy(to + 24, &sum, 8);
            sum = XXH64(to, 32, 0);
            memcpy(to + 32, &sum, 8);
        }
        from += 40 + stored;
        memcpy(&stored, to + 16, 8);
        to += 40 + stored;
    }
    *forged = (size_t)(to - out);
    return out;
}

/* Right checksums, wrong content: every byte of the file's header and of RUNS. Some still make
 * sense (a run elsewhere); the rest must be refused, and none may lead outside of a buffer. */
static void test_forged(void **state) {
    (void)state;
    model m =
        make("[net]\nwidth=8\nheight=8\nchannels=1\n[conv]\nfilters=4\nsize=3\n[conv]\nfilters=3\nsize=2\n", 20, 0.8);
    const dpf_graph_layer *second = &m.graph->layers[1];
    size_t size, forged, max = 100000;
    memset(m.weights.values + second->offset + 3, 0, second->weights * sizeof(float));
    m.weights.values[second->offset + 40] = 1; /* one of 48: an index */
    unsigned char *bytes = encode(&m, NULL, &size), *bad;
    const int length[] = {32, 0, 0, 80};
    for (int section = 0; section <= 3; section += 3)
        for (int at = 0; at < length[section]; ++at)
            for (int value = 0; value < 256; value += 15) {
                bad = forge(bytes, size, section, (size_t)at, value, &forged);
                dpf_container c;
                dpf_error err = {0};
                dpf_status status = dpf_container_decode(&c, "t.dpf", bad, forged, max, &err);
                assert_true(status == DPF_OK ? c.weights.count == m.weights.count : err.text[0] != 0);
                dpf_container_free(&c);
                free(bad);
            }
    bad = forge(bytes, size, 0, 8, 2, &forged);
    refuse(bad, forged, max, DPF_ERR_UNSUPPORTED, ".dpf version 2");
    free(bad);
    bad = forge(bytes, size, 3, 4, 7, &forged);
    refuse(bad, forged, max, DPF_ERR_FORMAT, "do not fit together");
    free(bad);
    bad = forge(bytes, size, 2, 4, 1, &forged);
    refuse(bad, forged, max, DPF_ERR_FORMAT, "header of 20 bytes where its version has 16");
    free(bad);
    free(bytes);
    unmake(&m);
}

static void test_size(void **state) {
    (void)state;
    for (int i = 0; i < 3; ++i) {
        const double sparsities[] = {0.8, 0.9, 0.95};
        model m = make(LARGE, 20, sparsities[i]);
        size_t size, half, plain_size = 20 + m.weights.count * 4, bound = ZSTD_compressBound(plain_size);
        unsigned char *plain = malloc(plain_size), *scratch = malloc(bound);
        memcpy(plain, m.weights.header_bytes, 20);
        memcpy(plain + 20, m.weights.values, m.weights.count * 4);
        size_t zstd = ZSTD_compress(scratch, bound, plain, plain_size, 19);
        free(encode(&m, NULL, &size));
        free(encode(&m, &(dpf_container_options){.half = 1}, &half));
        print_message("# %.0f %% sparse: %zu bytes, zstd -19 %zu, .dpf %zu, half %zu\n", 100 * sparsities[i],
                      plain_size, zstd, size, half);
        assert_true(size <= zstd);
        assert_true(half * 3 < zstd * 2);
        free(plain);
        free(scratch);
        unmake(&m);
    }
}

static void files_round_trip(const char *cfg, const char *weights) {
    char folder[] = "/tmp/dpf-container-XXXXXX", dpf[64], cfg2[64], weights2[64];
    char *was[2] = {NULL}, *is[2] = {NULL};
    size_t was_size[2] = {0}, is_size[2] = {0};
    dpf_error err = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(dpf, sizeof dpf, "%s/a.dpf", folder);
    snprintf(cfg2, sizeof cfg2, "%s/a.cfg", folder);
    snprintf(weights2, sizeof weights2, "%s/a.weights", folder);
    if (dpf_container_pack(cfg, weights, dpf, NULL, &err) != DPF_OK || dpf_container_verify(dpf, &err) != DPF_OK ||
        dpf_container_unpack(dpf, cfg2, weights2, &err) != DPF_OK ||
        dpf_file_read(cfg, 1 << 30, &was[0], &was_size[0], &err) != DPF_OK ||
        dpf_file_read(cfg2, 1 << 30, &is[0], &is_size[0], &err) != DPF_OK ||
        dpf_file_read(weights, 1 << 30, &was[1], &was_size[1], &err) != DPF_OK ||
        dpf_file_read(weights2, 1 << 30, &is[1], &is_size[1], &err) != DPF_OK)
        fail_msg("%s: %s", cfg, err.text);
    for (int i = 0; i < 2; ++i) {
        assert_int_equal(was_size[i], is_size[i]);
        assert_memory_equal(was[i], is[i], was_size[i]);
        free(was[i]);
        free(is[i]);
    }
    assert_int_equal(truncate(dpf, 100), 0);
    assert_int_equal(dpf_container_verify(dpf, &err), DPF_ERR_FORMAT);
    unlink(dpf);
    assert_int_equal(dpf_container_verify(dpf, &err), DPF_ERR_IO);
    unlink(cfg2);
    unlink(weights2);
    rmdir(folder);
}

static void test_files(void **state) {
    (void)state;
    char cfg[] = "/tmp/dpf-cfg-XXXXXX", weights[] = "/tmp/dpf-weights-XXXXXX";
    dpf_error err;
    close(mkstemp(cfg));
    close(mkstemp(weights));
    model m = make(SMALL, 20, 0.9);
    const dpf_weights_header header = {.minor = 2, .seen = 0x123456789abcULL, .size = 20};
    assert_int_equal(dpf_file_replace(cfg, m.cfg_text, m.cfg_size, &err), DPF_OK);
    assert_int_equal(dpf_weights_write(weights, &header, m.weights.values, m.weights.count, &err), DPF_OK);
    files_round_trip(cfg, weights);
    /* weights of another cfg must not get in */
    assert_int_equal(dpf_file_replace(cfg, LARGE, strlen(LARGE), &err), DPF_OK);
    assert_int_equal(dpf_container_pack(cfg, weights, "/nonexistent/a.dpf", NULL, &err), DPF_ERR_MISMATCH);
    unlink(cfg);
    unlink(weights);
    unmake(&m);
}

static void test_real_models(void **state) {
    (void)state;
    if (access(MODELS, R_OK) != 0)
        skip();
    FILE *list = popen("ls -d " MODELS "/*/*.cfg " MODELS "/*/*.weights", "r"); /* one of each a folder */
    char lines[64][512];
    size_t count = 0, pairs = 0;
    assert_non_null(list);
    for (; count < 64 && fgets(lines[count], sizeof lines[count], list); ++count)
        lines[count][strcspn(lines[count], "\n")] = '\0';
    for (size_t i = 0; i + 1 < count; ++i)
        if (strstr(lines[i], ".cfg") && strstr(lines[i + 1], ".weights")) {
            files_round_trip(lines[i], lines[i + 1]);
            ++pairs;
        }
    pclose(list);
    assert_int_equal(pairs * 2, count);
    assert_true(pairs > 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half),        cmocka_unit_test(test_lossless), cmocka_unit_test(test_odd_values),
        cmocka_unit_test(test_half_option), cmocka_unit_test(test_damage),   cmocka_unit_test(test_forged),
        cmocka_unit_test(test_size),        cmocka_unit_test(test_files),    cmocka_unit_test(test_real_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
