/* SPDX-License-Identifier: MIT
 *
 * See files.h.
 */
#include "files.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Enough to find a full disk that still has room for a folder entry. */
enum { PROBE_BYTES = 65536 };

char *files_base(const char *cfg_path) {
    const char *slash = strrchr(cfg_path, '/');
    const char *name = slash ? slash + 1 : cfg_path;
    const size_t length = strcspn(name, ".");
    return length ? strndup(name, length) : strdup(name);
}

char *files_name(const char *folder, const char *base, const char *suffix) {
    char *name = NULL;
    const size_t length = strlen(folder);
    const char *slash = length && folder[length - 1] == '/' ? "" : "/";
    return asprintf(&name, "%s%s%s%s", folder, slash, base, suffix) < 0 ? NULL : name;
}

static dpf_status write_probe(const char *folder, int fd, dpf_error *err) {
    static const char zeros[PROBE_BYTES];
    size_t done = 0;
    while (done < sizeof zeros) {
        const ssize_t wrote = write(fd, zeros + done, sizeof zeros - done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return dpf_fail(err, DPF_ERR_IO, "backup folder '%s': a file of %d bytes cannot be written: %s", folder,
                            PROBE_BYTES, strerror(errno));
        done += (size_t)wrote;
    }
    if (fsync(fd))
        return dpf_fail(err, DPF_ERR_IO, "backup folder '%s': %s", folder, strerror(errno));
    return DPF_OK;
}

dpf_status files_probe(const char *folder, const char *base, dpf_error *err) {
    struct stat info;
    if (stat(folder, &info))
        return dpf_fail(err, DPF_ERR_IO, "backup folder '%s': %s%s", folder, strerror(errno),
                        errno == ENOENT ? " (it must be there before training starts: mkdir it)" : "");
    if (!S_ISDIR(info.st_mode))
        return dpf_fail(err, DPF_ERR_IO, "backup folder '%s': is not a folder", folder);
    char *name = files_name(folder, base, "_probe.XXXXXX");
    if (!name)
        return dpf_fail_memory(err, strlen(folder) + strlen(base) + 16, "a file name");
    dpf_status status = DPF_OK;
    const int fd = mkstemp(name);
    if (fd < 0) {
        status =
            dpf_fail(err, DPF_ERR_IO, "backup folder '%s': no file can be made in it: %s", folder, strerror(errno));
    } else {
        unlink(name); /* a crash leaves nothing behind */
        status = write_probe(folder, fd, err);
        close(fd);
    }
    free(name);
    return status;
}
