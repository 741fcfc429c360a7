/* SPDX-License-Identifier: MIT
 *
 * See weights.h.
 */
#include "weights.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file.h"

dpf_status dpf_weights_parse_header(dpf_weights_header *header, const char *path, const void *bytes, size_t size,
                                    dpf_error *err) {
    int32_t version[3], seen32;
    memset(header, 0, sizeof *header);
    if (size < 16)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: %zu bytes are too few for the header of a .weights file (16 or 20)",
                        path, size);
    memcpy(version, bytes, sizeof version);
    /* 1000 and more once marked transposed matrices; no file of today has it */
    if (version[0] < 0 || version[0] > 100 || version[1] < 0 || version[1] > 100 || version[2] < 0 ||
        version[2] > 10000)
        return dpf_fail(err, DPF_ERR_FORMAT,
                        "%s: not a .weights file: its header says version %d.%d.%d; Darknet writes 0.1.0 or 0.2.x",
                        path, (int)version[0], (int)version[1], (int)version[2]);
    header->major = version[0];
    header->minor = version[1];
    header->revision = version[2];
    if (version[0] * 10 + version[1] < 2) {
        memcpy(&seen32, (const char *)bytes + 12, sizeof seen32);
        header->seen = seen32 < 0 ? 0 : (uint64_t)seen32;
        header->size = 16;
        return DPF_OK;
    }
    if (size < 20)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: %zu bytes are too few for the header of a version %d.%d file (20)",
                        path, size, (int)version[0], (int)version[1]);
    memcpy(&header->seen, (const char *)bytes + 12, sizeof header->seen);
    header->size = 20;
    return DPF_OK;
}

/* The length is wrong: says in which layer the file ends, or what is left over. */
static dpf_status wrong_length(const dpf_graph *graph, const char *path, uint64_t have, dpf_error *err) {
    uint64_t need = (uint64_t)graph->parameters * sizeof(float);
    const char *cfg = graph->cfg->file;
    if (have > need)
        return dpf_fail(err, DPF_ERR_MISMATCH,
                        "%s: too long for %s by %llu bytes: it holds %llu bytes of weights, the cfg needs %llu; "
                        "probably the weights of another cfg",
                        path, cfg, (unsigned long long)(have - need), (unsigned long long)have,
                        (unsigned long long)need);
    char name[128] = "the first layer";
    for (size_t i = 0; i < graph->count; ++i)
        if (graph->layers[i].parameters && (uint64_t)graph->layers[i].offset * sizeof(float) <= have)
            dpf_graph_describe(graph, i, name, sizeof name);
    return dpf_fail(err, DPF_ERR_MISMATCH,
                    "%s: too short for %s: it holds %llu bytes of weights and ends in %s, the cfg needs %llu; cut "
                    "off, or the weights of another cfg",
                    path, cfg, (unsigned long long)have, name, (unsigned long long)need);
}

/* The first layer that Darknet does not load as the graph says, or NULL. */
static const dpf_graph_layer *unusual_layer(const dpf_graph *graph) {
    for (size_t i = 0; i < graph->count; ++i)
        if (graph->layers[i].unusual_load)
            return &graph->layers[i];
    return NULL;
}

/* Opens a file whose header is good and whose length fits; it then stands behind the header. */
static dpf_status open_checked(FILE **out, dpf_weights_header *header, unsigned char bytes[20], const dpf_graph *graph,
                               const char *path, dpf_error *err) {
    struct stat info;
    dpf_status status;
    *out = NULL;
    FILE *file = fopen(path, "rb");
    if (!file)
        return dpf_fail(err, DPF_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode)) {
        status = dpf_fail(err, DPF_ERR_IO, "%s: not a regular file", path);
        goto fail;
    }
    size_t got = fread(bytes, 1, 20, file);
    if (ferror(file)) {
        status = dpf_fail(err, DPF_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
        goto fail;
    }
    status = dpf_weights_parse_header(header, path, bytes, got, err);
    if (status != DPF_OK)
        goto fail;
    uint64_t have = (uint64_t)info.st_size - header->size;
    if (!unusual_layer(graph) && have != (uint64_t)graph->parameters * sizeof(float)) {
        status = wrong_length(graph, path, have, err);
        goto fail;
    }
    if (fseek(file, (long)header->size, SEEK_SET) != 0) {
        status = dpf_fail(err, DPF_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
        goto fail;
    }
    *out = file;
    return DPF_OK;
fail:
    fclose(file);
    return status;
}

dpf_status dpf_weights_check(const dpf_graph *graph, const char *path, dpf_error *err) {
    unsigned char bytes[20];
    dpf_weights_header header;
    FILE *file;
    dpf_status status = open_checked(&file, &header, bytes, graph, path, err);
    if (status == DPF_OK)
        fclose(file);
    return status;
}

/* Opens a file whose floats lie as the graph says. */
static dpf_status open_usual(FILE **out, dpf_weights_header *header, unsigned char bytes[20], const dpf_graph *graph,
                             const char *path, dpf_error *err) {
    const dpf_graph_layer *unusual = unusual_layer(graph);
    *out = NULL;
    if (unusual)
        return dpf_fail(err, DPF_ERR_UNSUPPORTED,
                        "%s:%d: this key changes how Darknet loads the layer; the weights cannot be read by it",
                        graph->cfg->file, unusual->unusual_load);
    return open_checked(out, header, bytes, graph, path, err);
}

static dpf_status read_floats(FILE *file, const char *path, float *out, size_t count, dpf_error *err) {
    if (fread(out, sizeof *out, count, file) == count)
        return DPF_OK;
    return dpf_fail(err, DPF_ERR_IO, "%s: cannot be read to its end: %s", path,
                    ferror(file) ? strerror(errno) : "it became shorter meanwhile");
}

dpf_status dpf_weights_read(dpf_weights *out, const dpf_graph *graph, const char *path, dpf_error *err) {
    FILE *file;
    memset(out, 0, sizeof *out);
    dpf_status status = open_usual(&file, &out->header, out->header_bytes, graph, path, err);
    if (status != DPF_OK) {
        memset(out, 0, sizeof *out);
        return status;
    }
    /* The length has been checked against the file, so the product fits. */
    size_t bytes = graph->parameters * sizeof(float);
    out->values = malloc(bytes ? bytes : 1);
    status =
        out->values ? read_floats(file, path, out->values, graph->parameters, err) : dpf_fail_memory(err, bytes, path);
    fclose(file);
    if (status != DPF_OK) {
        dpf_weights_free(out);
        return status;
    }
    out->count = graph->parameters;
    return DPF_OK;
}

struct dpf_weights_stream {
    FILE *file;
    char path[]; /* for messages */
};

dpf_status dpf_weights_stream_open(dpf_weights_stream **out, const dpf_graph *graph, const char *path, dpf_error *err) {
    unsigned char bytes[20];
    dpf_weights_header header;
    const size_t length = strlen(path) + 1;
    *out = NULL;
    dpf_weights_stream *s = malloc(sizeof *s + length);
    if (!s)
        return dpf_fail_memory(err, sizeof *s + length, path);
    memcpy(s->path, path, length);
    dpf_status status = open_usual(&s->file, &header, bytes, graph, path, err);
    if (status != DPF_OK) {
        free(s);
        return status;
    }
    *out = s;
    return DPF_OK;
}

void dpf_weights_stream_close(dpf_weights_stream *s) {
    if (!s)
        return;
    fclose(s->file);
    free(s);
}

dpf_status dpf_weights_stream_next(dpf_weights_stream *s, float *out, size_t count, dpf_error *err) {
    return read_floats(s->file, s->path, out, count, err);
}

dpf_status dpf_weights_stream_kept(dpf_weights_stream *s, size_t count, size_t *kept, dpf_error *err) {
    float part[4096];
    const long begin = ftell(s->file);
    dpf_status status = DPF_OK;
    *kept = 0;
    for (size_t left = count, now; left && status == DPF_OK; left -= now) {
        now = left < sizeof part / sizeof *part ? left : sizeof part / sizeof *part;
        status = read_floats(s->file, s->path, part, now, err);
        for (size_t i = 0; i < now && status == DPF_OK; ++i)
            *kept += part[i] != 0;
    }
    if (status == DPF_OK && (begin < 0 || fseek(s->file, begin, SEEK_SET) != 0))
        status = dpf_fail(err, DPF_ERR_IO, "%s: cannot be read: %s", s->path, strerror(errno));
    return status;
}

dpf_status dpf_weights_stream_next_rows(dpf_weights_stream *s, dpf_rows *out, size_t rows, size_t width, size_t kept,
                                        dpf_error *err) {
    dpf_status status = dpf_rows_new(out, rows, width, kept, err);
    float *row = malloc((width + 1) * sizeof *row);
    if (status == DPF_OK && !row)
        status = dpf_fail_memory(err, width * sizeof *row, s->path);
    for (size_t r = 0; r < rows && status == DPF_OK; ++r) {
        status = read_floats(s->file, s->path, row, width, err);
        for (size_t i = 0; i < width && status == DPF_OK; ++i)
            if (row[i] != 0 && !dpf_rows_put(out, r * width + i, row[i]))
                status = dpf_fail(err, DPF_ERR_IO, "%s: changed while it was read", s->path);
    }
    free(row);
    if (status == DPF_OK)
        dpf_rows_done(out);
    else
        dpf_rows_free(out);
    return status;
}

void dpf_weights_free(dpf_weights *weights) {
    if (!weights)
        return;
    free(weights->values);
    memset(weights, 0, sizeof *weights);
}

dpf_status dpf_weights_write(const char *path, const dpf_weights_header *header, const float *values, size_t count,
                             dpf_error *err) {
    unsigned char bytes[20];
    const int32_t version[3] = {header->major, header->minor, header->revision};
    int narrow = (int64_t)version[0] * 10 + version[1] < 2;
    if (narrow && header->seen > INT32_MAX)
        return dpf_fail(err, DPF_ERR_RANGE, "%s: %llu pictures seen do not fit the header of version %d.%d", path,
                        (unsigned long long)header->seen, (int)version[0], (int)version[1]);
    if (count > SIZE_MAX / sizeof *values)
        return dpf_fail_memory(err, count, path);
    int32_t seen32 = narrow ? (int32_t)header->seen : 0;
    memcpy(bytes, version, sizeof version);
    if (narrow)
        memcpy(bytes + 12, &seen32, sizeof seen32);
    else
        memcpy(bytes + 12, &header->seen, sizeof header->seen);
    dpf_writer *writer;
    dpf_status status = dpf_writer_open(&writer, path, err);
    if (status != DPF_OK)
        return status;
    status = dpf_writer_put(writer, bytes, narrow ? 16 : 20, err);
    if (status == DPF_OK)
        status = dpf_writer_put(writer, values, count * sizeof *values, err);
    if (status != DPF_OK) {
        dpf_writer_cancel(writer);
        return status;
    }
    return dpf_writer_commit(writer, err);
}
