/* SPDX-License-Identifier: MIT
 *
 * See state.h and docs/state-format.md. Sections are multiples of 8 bytes long and the
 * file header is too, so arrays can be used where they lie.
 */
#include "state.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "container_parts.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays are written as they lie in memory");

/* As the .dpf file's, with an S. */
#define MAGIC_BYTES                                                                                                    \
    { (char)0x89, 'D', 'P', 'S', '\r', '\n', 0x1a, '\n' }

enum { VERSION = 1, FILE_HEADER = 48, SECTION_HEADER = 32 };
enum { KIND_FIGURES = 1, KIND_CFG = 2, KIND_PRUNER = 3 };
enum { FIGURES = 16, PRUNER_FIGURES = 10, MOST_CFG = 16 << 20 };
/* 16 TiB: no sum of sizes below this overflows */
#define MOST_BYTES ((uint64_t)1 << 44)

static const char magic[8] = MAGIC_BYTES;

/* Bytes of one element. */
static size_t width_of(uint32_t kind) {
    if (kind == KIND_CFG)
        return 1;
    return kind >= DPF_STATE_WEIGHT_UPDATES ? 4 : 8;
}

static size_t padding_of(uint64_t bytes) {
    return (size_t)(-bytes & 7);
}

static uint64_t bits_of_double(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double double_of_bits(uint64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t bits_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* ---- writing ---- */

static void pack_figures(uint64_t to[FIGURES], const dpf_state_figures *f) {
    const uint64_t values[FIGURES] = {
        f->iteration,
        f->seen,
        f->seed,
        f->steps,
        f->trained,
        bits_of_float(f->average),
        f->mask_updates,
        f->max_batches,
        f->threads,
        f->pictures,
        f->list_hash,
        f->task_hash,
        bits_of_double(f->seconds),
        bits_of_double(f->best),
    };
    memcpy(to, values, sizeof values);
}

static void pack_pruner(uint64_t to[PRUNER_FIGURES], const dpf_state *state) {
    const dpf_pruner_stats *s = &state->pruner;
    const uint64_t values[PRUNER_FIGURES] = {
        s->count,
        s->kept,
        bits_of_double(s->target),
        s->flips,
        s->revived,
        s->updates,
        s->last_update,
        bits_of_double(state->initial_sparsity),
        state->begin,
        state->end,
    };
    memcpy(to, values, sizeof values);
}

static uint64_t section_size(uint32_t kind, uint64_t count) {
    const uint64_t bytes = count * width_of(kind);
    return SECTION_HEADER + bytes + padding_of(bytes);
}

static dpf_status put_section(dpf_writer *writer, uint32_t kind, uint32_t layer, const void *data, size_t count,
                              dpf_error *err) {
    static const char zeros[8];
    unsigned char header[SECTION_HEADER];
    const size_t bytes = count * width_of(kind);
    dpfc_put32(header, kind);
    dpfc_put32(header + 4, layer);
    dpfc_put64(header + 8, count);
    dpfc_put64(header + 16, XXH64(data, bytes, 0));
    dpfc_put64(header + 24, XXH64(header, 24, 0));
    dpf_status status = dpf_writer_put(writer, header, sizeof header, err);
    if (status == DPF_OK)
        status = dpf_writer_put(writer, data, bytes, err);
    if (status == DPF_OK)
        status = dpf_writer_put(writer, zeros, padding_of(bytes), err);
    return status;
}

dpf_status dpf_state_put(dpf_writer *writer, const dpf_state *state, dpf_error *err) {
    unsigned char header[FILE_HEADER];
    uint64_t figures[FIGURES], pruner[PRUNER_FIGURES];
    const size_t cfg_size = strlen(state->cfg);
    uint64_t size = FILE_HEADER + section_size(KIND_FIGURES, FIGURES) + section_size(KIND_CFG, cfg_size);
    if (state->pruning)
        size += section_size(KIND_PRUNER, PRUNER_FIGURES);
    for (size_t i = 0; i < state->count; ++i)
        size += section_size((uint32_t)state->arrays[i].kind, state->arrays[i].count);
    memcpy(header, magic, sizeof magic);
    dpfc_put32(header + 8, VERSION);
    dpfc_put32(header + 12, (uint32_t)(state->count + 2 + (state->pruning != 0)));
    dpfc_put64(header + 16, size);
    dpfc_put64(header + 24, state->weights_hash);
    dpfc_put64(header + 32, 0);
    dpfc_put64(header + 40, XXH64(header, 40, 0));
    pack_figures(figures, &state->figures);
    pack_pruner(pruner, state);
    dpf_status status = dpf_writer_put(writer, header, sizeof header, err);
    if (status == DPF_OK)
        status = put_section(writer, KIND_FIGURES, 0, figures, FIGURES, err);
    if (status == DPF_OK)
        status = put_section(writer, KIND_CFG, 0, state->cfg, cfg_size, err);
    if (status == DPF_OK && state->pruning)
        status = put_section(writer, KIND_PRUNER, 0, pruner, PRUNER_FIGURES, err);
    for (size_t i = 0; i < state->count && status == DPF_OK; ++i) {
        const dpf_state_array *a = &state->arrays[i];
        status = put_section(writer, (uint32_t)a->kind, a->layer, a->data, a->count, err);
    }
    return status;
}

/* ---- reading ---- */

typedef struct reader {
    const char *name;
    const unsigned char *at;
    size_t left;
    uint32_t sections; /* not yet read */
} reader;

typedef struct section {
    uint32_t kind, layer;
    size_t count;
    const unsigned char *data;
} section;

static dpf_status damaged(const reader *r, const char *what, dpf_error *err) {
    return dpf_fail(err, DPF_ERR_FORMAT, "%s: damaged: %s", r->name, what);
}

static dpf_status file_header(reader *r, uint64_t *weights_hash, dpf_error *err) {
    if (r->left < sizeof magic || memcmp(r->at, magic, sizeof magic) != 0)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: not a .state file: the first bytes are others", r->name);
    if (r->left < FILE_HEADER)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: cut off: %zu bytes, the header alone has %d", r->name, r->left,
                        FILE_HEADER);
    if (dpfc_get64(r->at + 40) != XXH64(r->at, 40, 0))
        return damaged(r, "the checksum of the file's header is wrong", err);
    if (dpfc_get32(r->at + 8) != VERSION)
        return dpf_fail(err, DPF_ERR_UNSUPPORTED, "%s: .state version %u; this program reads version %d", r->name,
                        dpfc_get32(r->at + 8), VERSION);
    const uint64_t size = dpfc_get64(r->at + 16);
    if (size > r->left)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: cut off: %zu bytes of %llu", r->name, r->left,
                        (unsigned long long)size);
    if (size < r->left)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: %llu bytes too many at its end", r->name,
                        (unsigned long long)(r->left - size));
    r->sections = dpfc_get32(r->at + 12);
    if (r->sections < 2 || r->sections > r->left / SECTION_HEADER || dpfc_get64(r->at + 32) != 0)
        return damaged(r, "the file's header makes no sense", err);
    *weights_hash = dpfc_get64(r->at + 24);
    r->at += FILE_HEADER;
    r->left -= FILE_HEADER;
    return DPF_OK;
}

static dpf_status next_section(reader *r, section *out, dpf_error *err) {
    static const char zeros[8];
    const unsigned char *header = r->at;
    if (r->left < SECTION_HEADER)
        return damaged(r, "a section is missing", err);
    if (dpfc_get64(header + 24) != XXH64(header, 24, 0))
        return damaged(r, "the checksum of a section's header is wrong", err);
    out->kind = dpfc_get32(header);
    out->layer = dpfc_get32(header + 4);
    const uint64_t count = dpfc_get64(header + 8);
    r->at += SECTION_HEADER;
    r->left -= SECTION_HEADER;
    if (count > r->left / width_of(out->kind))
        return damaged(r, "a section is longer than the file", err);
    const size_t bytes = (size_t)count * width_of(out->kind), padding = padding_of(bytes);
    if (padding > r->left - bytes)
        return damaged(r, "a section is longer than the file", err);
    if (dpfc_get64(header + 16) != XXH64(r->at, bytes, 0) || memcmp(r->at + bytes, zeros, padding) != 0)
        return damaged(r, "the checksum of a section is wrong", err);
    out->count = (size_t)count;
    out->data = r->at;
    r->at += bytes + padding;
    r->left -= bytes + padding;
    --r->sections;
    return DPF_OK;
}

static int unpack_figures(dpf_state_figures *f, const section *s) {
    uint64_t v[FIGURES];
    if (s->kind != KIND_FIGURES || s->layer != 0 || s->count != FIGURES)
        return 0;
    memcpy(v, s->data, sizeof v);
    *f = (dpf_state_figures){
        .iteration = v[0],
        .seen = v[1],
        .seed = v[2],
        .steps = v[3],
        .trained = v[4],
        .average = float_of_bits((uint32_t)v[5]),
        .mask_updates = v[6],
        .max_batches = v[7],
        .threads = v[8],
        .pictures = v[9],
        .list_hash = v[10],
        .task_hash = v[11],
        .seconds = double_of_bits(v[12]),
        .best = double_of_bits(v[13]),
    };
    return v[5] >> 32 == 0 && v[14] == 0 && v[15] == 0 && f->seconds >= 0 && f->steps <= INT32_MAX;
}

static int unpack_pruner(dpf_state *out, const section *s) {
    uint64_t v[PRUNER_FIGURES];
    if (s->kind != KIND_PRUNER || s->layer != 0 || s->count != PRUNER_FIGURES)
        return 0;
    memcpy(v, s->data, sizeof v);
    out->pruner = (dpf_pruner_stats){
        .count = v[0],
        .kept = v[1],
        .target = double_of_bits(v[2]),
        .flips = v[3],
        .revived = v[4],
        .updates = v[5],
        .last_update = v[6],
    };
    out->initial_sparsity = double_of_bits(v[7]);
    out->begin = v[8];
    out->end = v[9];
    return out->initial_sparsity >= 0 && out->initial_sparsity < 1 && out->begin <= out->end;
}

static dpf_status take_cfg(dpf_state *out, const reader *r, const section *s, dpf_error *err) {
    if (s->kind != KIND_CFG || s->layer != 0 || s->count > MOST_CFG || memchr(s->data, 0, s->count))
        return damaged(r, "the section of the cfg makes no sense", err);
    out->cfg = strndup((const char *)s->data, s->count);
    return out->cfg ? DPF_OK : dpf_fail_memory(err, s->count, r->name);
}

static dpf_status take_arrays(dpf_state *out, reader *r, dpf_error *err) {
    /* not more than the sections that fit into the file: checked by the header's reader */
    out->arrays = calloc((size_t)r->sections + 1, sizeof *out->arrays);
    if (!out->arrays)
        return dpf_fail_memory(err, (r->sections + 1ull) * sizeof *out->arrays, r->name);
    while (r->sections) {
        section s;
        dpf_status status;
        if (out->count == 0 && !out->pruning && r->left >= SECTION_HEADER && dpfc_get32(r->at) == KIND_PRUNER) {
            status = next_section(r, &s, err);
            if (status != DPF_OK)
                return status;
            if (!unpack_pruner(out, &s))
                return damaged(r, "the section of the pruner makes no sense", err);
            out->pruning = 1;
            continue;
        }
        status = next_section(r, &s, err);
        if (status != DPF_OK)
            return status;
        const int known =
            s.kind == DPF_STATE_MASK || (s.kind >= DPF_STATE_WEIGHT_UPDATES && s.kind < DPF_STATE_KIND_END);
        const dpf_state_array *last = out->count ? &out->arrays[out->count - 1] : NULL;
        if (!known || (s.kind == DPF_STATE_MASK && !out->pruning) ||
            (last && (s.layer < last->layer || (s.layer == last->layer && s.kind <= (uint32_t)last->kind))))
            return damaged(r, "its sections do not fit together", err);
        out->arrays[out->count++] =
            (dpf_state_array){.kind = (dpf_state_kind)s.kind, .layer = s.layer, .count = s.count, .data = s.data};
    }
    return r->left ? damaged(r, "its sections do not fill it", err) : DPF_OK;
}

dpf_status dpf_state_decode(dpf_state *out, const char *name, const void *bytes, size_t size, dpf_error *err) {
    reader r = {.name = name, .at = bytes, .left = size};
    section s;
    memset(out, 0, sizeof *out);
    dpf_status status = file_header(&r, &out->weights_hash, err);
    if (status == DPF_OK)
        status = next_section(&r, &s, err);
    if (status == DPF_OK && !unpack_figures(&out->figures, &s))
        status = damaged(&r, "its figures make no sense", err);
    if (status == DPF_OK)
        status = next_section(&r, &s, err);
    if (status == DPF_OK)
        status = take_cfg(out, &r, &s, err);
    if (status == DPF_OK)
        status = take_arrays(out, &r, err);
    if (status != DPF_OK)
        dpf_state_free(out);
    return status;
}

dpf_status dpf_state_read(dpf_state *out, const char *path, dpf_error *err) {
    char *bytes;
    size_t size;
    memset(out, 0, sizeof *out);
    dpf_status status = dpf_file_read(path, MOST_BYTES, &bytes, &size, err);
    if (status != DPF_OK)
        return status;
    status = dpf_state_decode(out, path, bytes, size, err);
    if (status == DPF_OK)
        out->bytes = bytes;
    else
        free(bytes);
    return status;
}

void dpf_state_free(dpf_state *state) {
    if (!state)
        return;
    free(state->cfg);
    free(state->arrays);
    free(state->bytes);
    memset(state, 0, sizeof *state);
}
