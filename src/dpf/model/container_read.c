/* SPDX-License-Identifier: MIT
 *
 * The reader of .dpf files. It believes nothing: a number is compared with what it
 * must be, or with what is there, before anything is allocated or written by it.
 */
#include "container.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>
#include <zstd.h>

#include "container_parts.h"
#include "file.h"
#include "half.h"

static const char *const section_names[] = {"", "cfg", "header", "runs", "masks", "rest", "values"};

typedef struct unpack {
    const char *name;
    const unsigned char *at; /* what has not been read yet */
    size_t left;
    uint64_t floats;
    int half;
    struct {
        unsigned char *data;
        size_t size;
    } raw[DPFC_SECTIONS + 1];
    size_t values_at, masks_at, rest_at, runs_at; /* how much of these sections has been used */
    uint64_t next, layer;                         /* float to come, and the least layer of the next run */
} unpack;

struct dpf_container_stream {
    char *name;
    unpack u;
};

static dpf_status file_header(unpack *u, size_t max_floats, dpf_error *err) {
    static const char magic[8] = DPFC_MAGIC_BYTES;
    if (u->left < sizeof magic || memcmp(u->at, magic, sizeof magic) != 0)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: not a .dpf file: the first bytes are others", u->name);
    if (u->left < DPFC_FILE_HEADER)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: cut off: %zu bytes, the header alone has %d", u->name, u->left,
                        DPFC_FILE_HEADER);
    if (dpfc_get64(u->at + 32) != XXH64(u->at, 32, 0))
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: damaged: the checksum of the file's header is wrong", u->name);
    uint32_t version = dpfc_get32(u->at + 8), flags = dpfc_get32(u->at + 12);
    if (version != DPFC_VERSION || flags & ~(uint32_t)DPFC_FLAG_HALF)
        return dpf_fail(err, DPF_ERR_UNSUPPORTED, "%s: .dpf version %u, flags %u; this program reads version %d",
                        u->name, version, flags, DPFC_VERSION);
    u->half = (flags & DPFC_FLAG_HALF) != 0;
    u->floats = dpfc_get64(u->at + 16);
    if (dpfc_get32(u->at + 24) != DPFC_SECTIONS || dpfc_get32(u->at + 28) != 0)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: not as version %d should be: %u sections", u->name, DPFC_VERSION,
                        dpfc_get32(u->at + 24));
    if (u->floats > max_floats)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: %llu floats are too many (allowed: %zu)", u->name,
                        (unsigned long long)u->floats, max_floats);
    u->at += DPFC_FILE_HEADER;
    u->left -= DPFC_FILE_HEADER;
    return DPF_OK;
}

/* The most that a section can hold for the number of floats that the file has. */
static uint64_t most(const unpack *u, uint32_t kind) {
    switch (kind) {
    case DPFC_CFG:
        return DPFC_MAX_CFG;
    case DPFC_HEAD:
        return 20;
    case DPFC_RUNS:
        return u->floats * DPFC_RUN;
    case DPFC_MASKS:
        return u->floats * 2; /* the index of n kept weights of many: n, and a byte more for each 128 others */
    default:
        return u->floats * 4;
    }
}

static dpf_status section(unpack *u, uint32_t kind, dpf_error *err) {
    const char *what = section_names[kind];
    const unsigned char *header = u->at, *stored = u->at + DPFC_SECTION_HEADER;
    if (u->left < DPFC_SECTION_HEADER)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: cut off: the section %s is missing", u->name, what);
    if (dpfc_get64(header + 32) != XXH64(header, 32, 0))
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: damaged: the checksum of the header of section %s is wrong", u->name,
                        what);
    uint64_t raw_size = dpfc_get64(header + 8), size = dpfc_get64(header + 16);
    if (dpfc_get32(header) != kind || dpfc_get32(header + 4) != 0 || raw_size > most(u, kind) ||
        (size == 0) != (raw_size == 0))
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: the header of section %s makes no sense", u->name, what);
    u->left -= DPFC_SECTION_HEADER;
    if (size > u->left)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: cut off in section %s: %llu bytes are missing", u->name, what,
                        (unsigned long long)(size - u->left));
    if (dpfc_get64(header + 24) != XXH64(stored, (size_t)size, 0))
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: damaged: the checksum of section %s is wrong", u->name, what);
    if (size && ZSTD_getFrameContentSize(stored, (size_t)size) != raw_size)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: section %s has not the length that it says", u->name, what);
    u->raw[kind].data = malloc((size_t)raw_size + 1); /* the cfg gets its NUL */
    if (!u->raw[kind].data)
        return dpf_fail_memory(err, raw_size, u->name);
    if (size && ZSTD_decompress(u->raw[kind].data, (size_t)raw_size, stored, (size_t)size) != raw_size)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: section %s cannot be decompressed", u->name, what);
    u->raw[kind].data[raw_size] = '\0';
    u->raw[kind].size = (size_t)raw_size;
    u->at = stored + size;
    u->left -= (size_t)size;
    return DPF_OK;
}

/* Float number i of a section of byte planes, as bits. */
static uint32_t plane_value(const unsigned char *data, size_t size, size_t width, size_t i) {
    size_t count = size / width;
    uint32_t bits = 0;
    for (size_t byte = 0; byte < width; ++byte)
        bits |= (uint32_t)data[byte * count + i] << 8 * byte;
    return bits;
}

/* The next floats outside of runs, up to float `end`; to: the first of them. */
static int take_rest(unpack *u, uint32_t *to, uint64_t end) {
    size_t size = u->raw[DPFC_REST].size;
    if (end - u->next > size / 4 - u->rest_at)
        return 0;
    for (; u->next < end; ++u->next)
        *to++ = plane_value(u->raw[DPFC_REST].data, size, 4, u->rest_at++);
    return 1;
}

static dpf_status misfit(const unpack *u, dpf_error *err) {
    return dpf_fail(err, DPF_ERR_FORMAT, "%s: the sections do not fit together", u->name);
}

/* Are the kept weights and the mask of the next run there? */
static int has_run(const unpack *u, const dpfc_run *run) {
    return run->kept <= run->count && run->kept <= u->raw[DPFC_VALUES].size / (u->half ? 2 : 4) - u->values_at &&
           run->mask_size <= u->raw[DPFC_MASKS].size - u->masks_at;
}

static uint32_t take_value(unpack *u) {
    const unsigned char *data = u->raw[DPFC_VALUES].data;
    const size_t size = u->raw[DPFC_VALUES].size;
    if (u->half)
        return dpf_half_to_bits((uint16_t)plane_value(data, size, 2, u->values_at++));
    return plane_value(data, size, 4, u->values_at++);
}

static void end_run(unpack *u, const dpfc_run *run) {
    u->masks_at += (size_t)run->mask_size;
    u->next += run->count;
    u->layer = (uint64_t)run->layer + 1;
    u->runs_at++;
}

static int take_run(unpack *u, uint32_t *to, const dpfc_run *run) {
    if (!has_run(u, run))
        return 0;
    dpfc_marks marks = {.run = run, .mask = u->raw[DPFC_MASKS].data + u->masks_at};
    uint64_t place;
    int more;
    memset(to, 0, (size_t)run->count * sizeof *to);
    while ((more = dpfc_marks_next(&marks, &place)) > 0)
        to[place] = take_value(u);
    end_run(u, run);
    return more == 0;
}

static dpf_status take_rows(unpack *u, dpf_rows *out, size_t rows, size_t width, const dpfc_run *run, dpf_error *err) {
    if (!has_run(u, run))
        return misfit(u, err);
    dpf_status status = dpf_rows_new(out, rows, width, (size_t)run->kept, err);
    if (status != DPF_OK)
        return status;
    dpfc_marks marks = {.run = run, .mask = u->raw[DPFC_MASKS].data + u->masks_at};
    uint64_t place;
    int more;
    while ((more = dpfc_marks_next(&marks, &place)) > 0) {
        uint32_t bits = take_value(u);
        float value;
        memcpy(&value, &bits, sizeof value);
        (void)dpf_rows_put(out, (size_t)place, value); /* there is room for run->kept */
    }
    end_run(u, run);
    if (more == 0) {
        dpf_rows_done(out);
        return DPF_OK;
    }
    dpf_rows_free(out);
    return misfit(u, err);
}

/* All floats up to `end`, from the next one on; runs lie in that stretch as a whole. */
static dpf_status take(unpack *u, uint32_t *bits, uint64_t end, dpf_container *counts, dpf_error *err) {
    const uint64_t first = u->next;
    while (u->runs_at < u->raw[DPFC_RUNS].size / DPFC_RUN) {
        dpfc_run run;
        dpfc_get_run(&run, u->raw[DPFC_RUNS].data + u->runs_at * DPFC_RUN);
        if (run.first >= end && end < u->floats)
            break;
        if (run.first < u->next || run.first > end || run.count == 0 || run.count > end - run.first ||
            run.layer < u->layer || !take_rest(u, bits + (u->next - first), run.first))
            return misfit(u, err);
        if (!take_run(u, bits + (run.first - first), &run))
            return misfit(u, err);
        counts->coded += (size_t)run.count;
        counts->kept += (size_t)run.kept;
    }
    return take_rest(u, bits + (u->next - first), end) ? DPF_OK : misfit(u, err);
}

/* Every byte of every section must have been used in the end. */
static dpf_status check_end(const unpack *u, dpf_error *err) {
    if (u->raw[DPFC_RUNS].size == u->runs_at * DPFC_RUN && u->masks_at == u->raw[DPFC_MASKS].size &&
        u->rest_at * 4 == u->raw[DPFC_REST].size && u->values_at * (u->half ? 2 : 4) == u->raw[DPFC_VALUES].size &&
        u->next == u->floats)
        return DPF_OK;
    return misfit(u, err);
}

static dpf_status assemble(unpack *u, dpf_container *out, dpf_error *err) {
    out->weights.values = malloc(((size_t)u->floats + 1) * sizeof(float));
    if (!out->weights.values)
        return dpf_fail_memory(err, u->floats * sizeof(float), u->name);
    dpf_status status = take(u, (uint32_t *)(void *)out->weights.values, u->floats, out, err);
    if (status == DPF_OK)
        status = check_end(u, err);
    if (status == DPF_OK)
        out->weights.count = (size_t)u->floats;
    return status;
}

/* All sections, each decompressed, and the header of the weights. */
static dpf_status unpack_sections(unpack *u, const void *bytes, size_t size, size_t max_floats,
                                  dpf_weights_header *header, dpf_error *err) {
    u->at = bytes;
    u->left = size;
    dpf_status status =
        file_header(u, max_floats < DPF_CONTAINER_MAX_FLOATS ? max_floats : DPF_CONTAINER_MAX_FLOATS, err);
    for (uint32_t kind = 1; kind <= DPFC_SECTIONS && status == DPF_OK; ++kind)
        status = section(u, kind, err);
    if (status == DPF_OK && u->left)
        status = dpf_fail(err, DPF_ERR_FORMAT, "%s: %zu bytes too many at its end", u->name, u->left);
    if (status == DPF_OK)
        status = dpf_weights_parse_header(header, u->name, u->raw[DPFC_HEAD].data, u->raw[DPFC_HEAD].size, err);
    if (status == DPF_OK && header->size != u->raw[DPFC_HEAD].size)
        status = dpf_fail(err, DPF_ERR_FORMAT, "%s: a weights header of %zu bytes where its version has %zu", u->name,
                          u->raw[DPFC_HEAD].size, header->size);
    return status;
}

static void free_unpack(unpack *u) {
    for (size_t i = 0; i <= DPFC_SECTIONS; ++i)
        free(u->raw[i].data);
}

dpf_status dpf_container_decode(dpf_container *out, const char *name, const void *bytes, size_t size, size_t max_floats,
                                dpf_error *err) {
    unpack u = {.name = name};
    memset(out, 0, sizeof *out);
    dpf_status status = unpack_sections(&u, bytes, size, max_floats, &out->weights.header, err);
    if (status == DPF_OK)
        status = assemble(&u, out, err);
    if (status == DPF_OK) {
        memcpy(out->weights.header_bytes, u.raw[DPFC_HEAD].data, out->weights.header.size);
        out->cfg = (char *)u.raw[DPFC_CFG].data;
        out->cfg_size = u.raw[DPFC_CFG].size;
        out->half = u.half;
        u.raw[DPFC_CFG].data = NULL;
    } else {
        dpf_container_free(out);
    }
    free_unpack(&u);
    return status;
}

void dpf_container_free(dpf_container *container) {
    if (!container)
        return;
    free(container->cfg);
    dpf_weights_free(&container->weights);
    memset(container, 0, sizeof *container);
}

/* Is the cfg one, and do the floats belong to it? */
static dpf_status check_cfg(const char *text, size_t size, uint64_t floats, const char *path, dpf_error *err) {
    dpf_cfg *cfg = NULL;
    dpf_graph *graph = NULL;
    dpf_status status = dpf_cfg_parse(&cfg, path, text, size, err);
    if (status == DPF_OK)
        status = dpf_graph_new(&graph, cfg, NULL, err);
    if (status == DPF_OK && graph->parameters != floats)
        status = dpf_fail(err, DPF_ERR_MISMATCH, "%s: holds %llu floats, its cfg needs %zu", path,
                          (unsigned long long)floats, graph->parameters);
    dpf_graph_free(graph);
    dpf_cfg_free(cfg);
    return status;
}

dpf_status dpf_container_read(dpf_container *out, const char *path, dpf_error *err) {
    char *bytes;
    size_t size;
    memset(out, 0, sizeof *out);
    dpf_status status = dpf_file_read(path, DPF_CONTAINER_MAX_FLOATS * 5, &bytes, &size, err);
    if (status != DPF_OK)
        return status;
    status = dpf_container_decode(out, path, bytes, size, DPF_CONTAINER_MAX_FLOATS, err);
    free(bytes);
    if (status == DPF_OK)
        status = check_cfg(out->cfg, out->cfg_size, out->weights.count, path, err);
    if (status != DPF_OK)
        dpf_container_free(out);
    return status;
}

dpf_status dpf_container_stream_open(dpf_container_stream **out, const char *path, dpf_error *err) {
    char *bytes = NULL;
    size_t size;
    dpf_weights_header header;
    *out = NULL;
    dpf_container_stream *s = calloc(1, sizeof *s);
    if (!s || !(s->name = strdup(path))) {
        free(s);
        return dpf_fail_memory(err, sizeof *s, path);
    }
    s->u.name = s->name;
    dpf_status status = dpf_file_read(path, DPF_CONTAINER_MAX_FLOATS * 5, &bytes, &size, err);
    if (status == DPF_OK)
        status = unpack_sections(&s->u, bytes, size, DPF_CONTAINER_MAX_FLOATS, &header, err);
    free(bytes);
    if (status == DPF_OK)
        status = check_cfg((const char *)s->u.raw[DPFC_CFG].data, s->u.raw[DPFC_CFG].size, s->u.floats, path, err);
    if (status != DPF_OK) {
        dpf_container_stream_close(s);
        return status;
    }
    *out = s;
    return DPF_OK;
}

void dpf_container_stream_close(dpf_container_stream *s) {
    if (!s)
        return;
    free_unpack(&s->u);
    free(s->name);
    free(s);
}

const char *dpf_container_stream_cfg(const dpf_container_stream *s, size_t *size) {
    *size = s->u.raw[DPFC_CFG].size;
    return (const char *)s->u.raw[DPFC_CFG].data;
}

dpf_status dpf_container_stream_next(dpf_container_stream *s, float *out, size_t count, dpf_error *err) {
    dpf_container counts = {.cfg = NULL};
    if (count > s->u.floats - s->u.next)
        return misfit(&s->u, err);
    return take(&s->u, (uint32_t *)(void *)out, s->u.next + count, &counts, err);
}

/* The run that the next float begins. */
static int next_run(const unpack *u, dpfc_run *run) {
    if (u->runs_at >= u->raw[DPFC_RUNS].size / DPFC_RUN)
        return 0;
    dpfc_get_run(run, u->raw[DPFC_RUNS].data + u->runs_at * DPFC_RUN);
    return run->first == u->next && run->layer >= u->layer;
}

size_t dpf_container_stream_kept(const dpf_container_stream *s, size_t count) {
    dpfc_run run;
    return next_run(&s->u, &run) && run.count == count && run.kept <= count ? (size_t)run.kept : count;
}

dpf_status dpf_container_stream_next_rows(dpf_container_stream *s, dpf_rows *out, size_t rows, size_t width,
                                          dpf_error *err) {
    dpfc_run run;
    *out = (dpf_rows){0};
    if (!next_run(&s->u, &run) || run.count != rows * width)
        return misfit(&s->u, err);
    return take_rows(&s->u, out, rows, width, &run, err);
}

dpf_status dpf_container_stream_finish(const dpf_container_stream *s, dpf_error *err) {
    return check_end(&s->u, err);
}

int dpf_container_is(const char *path) {
    static const char magic[8] = DPFC_MAGIC_BYTES;
    char head[sizeof magic];
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) /* what is read from a pipe is gone */
        return 0;
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    size_t got = fread(head, 1, sizeof head, file);
    fclose(file);
    return got == sizeof head && memcmp(head, magic, sizeof magic) == 0;
}
