/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: any bytes as a .weights file, for a small network.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/mman.h>

#include "dpf/model/weights.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char text[] = "[net]\nwidth=4\nheight=4\nchannels=1\n[conv]\nfilters=2\nsize=2\nbatch_normalize=1\n";
    static dpf_graph *graph;
    static dpf_cfg *cfg;
    dpf_error err;
    dpf_weights_header header;
    dpf_weights weights;
    char path[64];
    if (!graph && (dpf_cfg_parse(&cfg, "fuzz.cfg", text, strlen(text), &err) != DPF_OK ||
                   dpf_graph_new(&graph, cfg, NULL, &err) != DPF_OK))
        abort();
    dpf_status parsed = dpf_weights_parse_header(&header, "fuzz.weights", data, size, &err);
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    dpf_status checked = dpf_weights_check(graph, path, &err), read = dpf_weights_read(&weights, graph, path, &err);
    /* the three agree, and what was read is what is there */
    if (checked != read || (parsed != DPF_OK && read == DPF_OK) ||
        (read == DPF_OK && (size != header.size + weights.count * sizeof(float) ||
                            memcmp(data + header.size, weights.values, weights.count * sizeof(float)) != 0)))
        abort();
    dpf_weights_free(&weights);
    close(fd);
    return 0;
}
