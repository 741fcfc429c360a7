/* SPDX-License-Identifier: MIT
 *
 * The writer of .dpf files, and the functions that work on whole files.
 * container_read.c has the reader.
 */
#include "container.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#include <zstd.h>

#include "container_parts.h"
#include "file.h"
#include "half.h"

/* The raw content of the sections while it grows; index 0 is not used. */
typedef struct pack {
    dpfc_bytes raw[DPFC_SECTIONS + 1];
    dpfc_bytes out;
    int level;
} pack;

static void append(dpfc_bytes *bytes, const void *data, size_t size) {
    unsigned char *at = dpfc_extend(bytes, size);
    if (at && size)
        memcpy(at, data, size);
}

/* Length after compression; SIZE_MAX when that failed. */
static size_t compressed_size(const dpfc_bytes *bytes, int level) {
    size_t bound = ZSTD_compressBound(bytes->size);
    void *scratch = bytes->failed || ZSTD_isError(bound) ? NULL : malloc(bound);
    size_t size = scratch ? ZSTD_compress(scratch, bound, bytes->data, bytes->size, level) : SIZE_MAX;
    free(scratch);
    return ZSTD_isError(size) ? SIZE_MAX : size;
}

/* Appends the mask of a run in the coding that ends up smaller. */
static void append_mask(pack *p, dpfc_run *run, const uint32_t *bits) {
    dpfc_bytes *masks = &p->raw[DPFC_MASKS];
    if (run->kept == run->count) {
        run->coding = DPFC_ALL;
        return;
    }
    dpfc_bytes bitmask = {0}, index = {0};
    dpfc_mask_append(&bitmask, bits, (size_t)run->count, DPFC_BITMASK);
    dpfc_mask_append(&index, bits, (size_t)run->count, DPFC_INDEX);
    run->coding = compressed_size(&index, p->level) < compressed_size(&bitmask, p->level) ? DPFC_INDEX : DPFC_BITMASK;
    const dpfc_bytes *best = run->coding == DPFC_INDEX ? &index : &bitmask;
    run->mask_size = best->size;
    append(masks, best->data, best->size);
    masks->failed |= bitmask.failed | index.failed;
    free(bitmask.data);
    free(index.data);
}

/* A finite weight must not become infinite. */
static dpf_status kept_value(pack *p, const dpf_graph *graph, size_t layer, uint32_t bits, int half, dpf_error *err) {
    unsigned char value[4];
    dpfc_put32(value, half ? dpf_half_from_bits(bits) : bits);
    if (half && (bits & 0x7f800000U) != 0x7f800000U && (value[1] & 0x7c) == 0x7c) {
        char name[128];
        float number;
        memcpy(&number, &bits, sizeof number);
        dpf_graph_describe(graph, layer, name, sizeof name);
        return dpf_fail(err, DPF_ERR_RANGE, "%s: %s: the weight %g is too large for float16 (65504)", graph->cfg->file,
                        name, (double)number);
    }
    append(&p->raw[DPFC_VALUES], value, half ? 2 : 4);
    return DPF_OK;
}

/* One layer: its weights into RUNS, MASKS and VALUES, all else of it into REST. */
static dpf_status add_layer(pack *p, const dpf_graph *graph, size_t layer, const uint32_t *bits, int half,
                            dpf_error *err) {
    const dpf_graph_layer *l = &graph->layers[layer];
    /* Convolutions have their weights last, connected layers theirs after the biases. */
    size_t before = l->type == DPF_CONNECTED ? l->biases : l->parameters - l->weights;
    dpfc_run run = {.layer = (uint32_t)layer, .first = l->offset + before, .count = l->weights};
    unsigned char record[DPFC_RUN];
    append(&p->raw[DPFC_REST], bits + l->offset, before * 4);
    append(&p->raw[DPFC_REST], bits + run.first + run.count, (l->parameters - before - l->weights) * 4);
    if (!l->weights)
        return DPF_OK;
    bits += run.first;
    for (size_t i = 0; i < l->weights; ++i) {
        if (!bits[i])
            continue;
        ++run.kept;
        dpf_status status = kept_value(p, graph, layer, bits[i], half, err);
        if (status != DPF_OK)
            return status;
    }
    append_mask(p, &run, bits);
    dpfc_put_run(record, &run);
    append(&p->raw[DPFC_RUNS], record, sizeof record);
    return DPF_OK;
}

/* a0 a1 a2 a3 b0 b1 ... becomes a0 b0 ... a1 b1 ...: signs and exponents side by side compress. */
static void split_planes(dpfc_bytes *bytes, size_t width) {
    if (bytes->failed || !bytes->size)
        return;
    unsigned char *planes = malloc(bytes->size);
    if (!planes) {
        bytes->failed = 1;
        return;
    }
    size_t count = bytes->size / width;
    for (size_t i = 0; i < count; ++i)
        for (size_t byte = 0; byte < width; ++byte)
            planes[byte * count + i] = bytes->data[i * width + byte];
    free(bytes->data);
    bytes->data = planes;
    bytes->room = bytes->size;
}

/* Compresses one section behind its header; marks out as failed where it cannot. */
static void write_section(dpfc_bytes *out, const dpfc_bytes *raw, uint32_t kind, int level) {
    size_t start = out->size, stored = 0, bound = ZSTD_compressBound(raw->size);
    if (raw->failed || ZSTD_isError(bound) || !dpfc_extend(out, DPFC_SECTION_HEADER)) {
        out->failed = 1;
        return;
    }
    if (raw->size) {
        unsigned char *at = dpfc_extend(out, bound);
        stored = at ? ZSTD_compress(at, bound, raw->data, raw->size, level) : 0;
        if (!at || ZSTD_isError(stored)) {
            out->failed = 1;
            return;
        }
    }
    out->size = start + DPFC_SECTION_HEADER + stored;
    unsigned char *header = out->data + start;
    dpfc_put32(header, kind);
    dpfc_put32(header + 4, 0);
    dpfc_put64(header + 8, raw->size);
    dpfc_put64(header + 16, stored);
    dpfc_put64(header + 24, XXH64(header + DPFC_SECTION_HEADER, stored, 0));
    dpfc_put64(header + 32, XXH64(header, 32, 0));
}

static void write_file_header(dpfc_bytes *out, size_t floats, int half) {
    static const char magic[8] = DPFC_MAGIC_BYTES;
    unsigned char *at = dpfc_extend(out, DPFC_FILE_HEADER);
    if (!at)
        return;
    memcpy(at, magic, sizeof magic);
    dpfc_put32(at + 8, DPFC_VERSION);
    dpfc_put32(at + 12, half ? DPFC_FLAG_HALF : 0);
    dpfc_put64(at + 16, floats);
    dpfc_put32(at + 24, DPFC_SECTIONS);
    dpfc_put32(at + 28, 0);
    dpfc_put64(at + 32, XXH64(at, 32, 0));
}

dpf_status dpf_container_encode(unsigned char **out, size_t *size, const dpf_graph *graph, const char *cfg,
                                size_t cfg_size, const dpf_weights *weights, const dpf_container_options *options,
                                dpf_error *err) {
    static const dpf_container_options plain = {0};
    const dpf_container_options *o = options ? options : &plain;
    const char *name = graph->cfg->file;
    dpf_status status = DPF_OK;
    *out = NULL;
    *size = 0;
    if (o->level < 0 || o->level > 22)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "zstd level %d; allowed: 1 to 22, or 0 for 19", o->level);
    if (weights->count != graph->parameters)
        return dpf_fail(err, DPF_ERR_MISMATCH, "%s: %zu floats given, the cfg needs %zu", name, weights->count,
                        graph->parameters);
    if (cfg_size > DPFC_MAX_CFG || weights->count > DPF_CONTAINER_MAX_FLOATS)
        return dpf_fail(err, DPF_ERR_RANGE, "%s: too large for a .dpf file", name);
    pack p = {.level = o->level ? o->level : 19};
    const uint32_t *bits = (const uint32_t *)(const void *)weights->values;
    append(&p.raw[DPFC_CFG], cfg, cfg_size);
    append(&p.raw[DPFC_HEAD], weights->header_bytes, weights->header.size);
    for (size_t i = 0; i < graph->count && status == DPF_OK; ++i)
        status = add_layer(&p, graph, i, bits, o->half, err);
    if (status != DPF_OK)
        goto fail;
    split_planes(&p.raw[DPFC_REST], 4);
    split_planes(&p.raw[DPFC_VALUES], o->half ? 2 : 4);
    write_file_header(&p.out, weights->count, o->half);
    for (uint32_t kind = 1; kind <= DPFC_SECTIONS; ++kind)
        write_section(&p.out, &p.raw[kind], kind, p.level);
    if (p.out.failed) {
        status = dpf_fail_memory(err, weights->count * sizeof(float), "packing");
        goto fail;
    }
    *out = p.out.data;
    *size = p.out.size;
    p.out.data = NULL;
fail:
    for (size_t i = 0; i <= DPFC_SECTIONS; ++i)
        free(p.raw[i].data);
    free(p.out.data);
    return status;
}

dpf_status dpf_container_pack(const char *cfg_path, const char *weights_path, const char *path,
                              const dpf_container_options *options, dpf_error *err) {
    dpf_cfg *cfg = NULL;
    dpf_graph *graph = NULL;
    dpf_weights weights = {0};
    unsigned char *bytes = NULL;
    char *text;
    size_t text_size, size;
    dpf_status status = dpf_file_read(cfg_path, DPFC_MAX_CFG, &text, &text_size, err);
    if (status == DPF_OK)
        status = dpf_cfg_parse(&cfg, cfg_path, text, text_size, err);
    if (status == DPF_OK)
        status = dpf_graph_new(&graph, cfg, NULL, err);
    if (status == DPF_OK)
        status = dpf_weights_read(&weights, graph, weights_path, err);
    if (status == DPF_OK)
        status = dpf_container_encode(&bytes, &size, graph, text, text_size, &weights, options, err);
    if (status == DPF_OK)
        status = dpf_file_replace(path, bytes, size, err);
    free(bytes);
    dpf_weights_free(&weights);
    dpf_graph_free(graph);
    dpf_cfg_free(cfg);
    free(text);
    return status;
}

static dpf_status write_weights(const char *path, const dpf_weights *weights, dpf_error *err) {
    dpf_writer *writer;
    dpf_status status = dpf_writer_open(&writer, path, err);
    if (status != DPF_OK)
        return status;
    /* the header's own bytes, which may say what a parsed one cannot */
    status = dpf_writer_put(writer, weights->header_bytes, weights->header.size, err);
    if (status == DPF_OK)
        status = dpf_writer_put(writer, weights->values, weights->count * sizeof(float), err);
    if (status != DPF_OK) {
        dpf_writer_cancel(writer);
        return status;
    }
    return dpf_writer_commit(writer, err);
}

dpf_status dpf_container_unpack(const char *path, const char *cfg, const char *weights, dpf_error *err) {
    dpf_container content;
    dpf_status status = dpf_container_read(&content, path, err);
    if (status != DPF_OK)
        return status;
    status = dpf_file_replace(cfg, content.cfg, content.cfg_size, err);
    if (status == DPF_OK)
        status = write_weights(weights, &content.weights, err);
    dpf_container_free(&content);
    return status;
}

dpf_status dpf_container_verify(const char *path, dpf_error *err) {
    dpf_container content;
    dpf_status status = dpf_container_read(&content, path, err);
    dpf_container_free(&content);
    return status;
}
