/* SPDX-License-Identifier: MIT
 *
 * All parameters of an open network at once, in the order of a .weights file:
 * Darknet's own load_weights and save_weights, on files that live in memory.
 */
#include "net.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const void *data, size_t size) {
    const char *at = data;
    while (size > 0) {
        ssize_t put = write(fd, at, size < SSIZE_MAX ? size : SSIZE_MAX);
        if (put <= 0)
            return 0;
        at += put;
        size -= (size_t)put;
    }
    return 1;
}

dpf_status dn_load_memory(dn_net *dn, const void *header, size_t header_size, const float *values, const char *name,
                          dpf_error *err) {
    char path[64];
    int fd = memfd_create("weights", MFD_CLOEXEC);
    size_t bytes = dn->graph->parameters * sizeof *values;
    if (fd < 0 || !write_all(fd, header, header_size) || !write_all(fd, values, bytes)) {
        if (fd >= 0)
            close(fd);
        return dpf_fail_memory(err, bytes, name);
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int saved = dn_mute(1);
    load_weights(dn->net, path);
    dn_unmute(saved);
    close(fd);
    return DPF_OK;
}

/* A header of today's Darknet, with the iteration that the network is at. */
static void make_header(const dn_net *dn, unsigned char header[20]) {
    const int version[3] = {0, 2, 0};
    memcpy(header, version, sizeof version);
    memcpy(header + sizeof version, dn->net->seen, 8);
}

dpf_status dn_set_values(dn_net *dn, const float *values, dpf_error *err) {
    unsigned char header[20];
    if (dn->pruner)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "the weights of a network that is being pruned cannot be replaced");
    make_header(dn, header);
    return dn_load_memory(dn, header, sizeof header, values, "the weights", err);
}

dpf_status dn_get_values(dn_net *dn, float *values, dpf_error *err) {
    int fd;
    size_t size, bytes = dn->graph->parameters * sizeof *values;
    dpf_status status = dn_serialise(dn, &fd, &size, err);
    if (status == DPF_OK && size != 20 + bytes)
        status = dpf_fail(err, DPF_ERR_UNSUPPORTED, "Darknet writes %zu bytes of weights for this cfg, not %zu", size,
                          20 + bytes);
    for (size_t done = 0; status == DPF_OK && done < bytes;) {
        ssize_t got = pread(fd, (char *)values + done, bytes - done, (off_t)(20 + done));
        if (got <= 0)
            status = dpf_fail(err, DPF_ERR_IO, "the copy of the weights cannot be read");
        else
            done += (size_t)got;
    }
    if (fd >= 0)
        close(fd);
    return status;
}
