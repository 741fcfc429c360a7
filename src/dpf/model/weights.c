/* SPDX-License-Identifier: MIT
 *
 * See weights.h.
 */
#include "weights.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

dpf_status dpf_weights_parse_header(dpf_weights_header *header, const char *path, const void *bytes, size_t size,
                                    dpf_error *err) {
    int32_t version[3], seen32;
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

dpf_status dpf_weights_check(const dpf_graph *graph, const char *path, dpf_error *err) {
    struct stat info;
    unsigned char bytes[20];
    dpf_weights_header header;
    FILE *file = fopen(path, "rb");
    if (!file)
        return dpf_fail(err, DPF_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(fileno(file), &info) != 0 || !S_ISREG(info.st_mode)) {
        fclose(file);
        return dpf_fail(err, DPF_ERR_IO, "%s: not a regular file", path);
    }
    size_t got = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    dpf_status status = dpf_weights_parse_header(&header, path, bytes, got, err);
    if (status != DPF_OK)
        return status;
    for (size_t i = 0; i < graph->count; ++i)
        if (graph->layers[i].unusual_load) /* dontload and the like: Darknet reads less than the graph says */
            return DPF_OK;
    uint64_t have = (uint64_t)info.st_size - header.size;
    if (have != (uint64_t)graph->parameters * sizeof(float))
        return wrong_length(graph, path, have, err);
    return DPF_OK;
}
