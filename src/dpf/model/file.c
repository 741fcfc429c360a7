/* SPDX-License-Identifier: MIT
 *
 * See file.h.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct dpf_writer {
    int fd;
    char *path; /* the file that will be replaced, links resolved */
    char *temporary;
};

/* Reads until the end, growing: a pipe has no size to ask for. */
static dpf_status read_all(int fd, const char *path, size_t limit, char **data, size_t *size, dpf_error *err) {
    struct stat info;
    if (fstat(fd, &info) != 0)
        return dpf_fail(err, DPF_ERR_IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return dpf_fail(err, DPF_ERR_IO, "%s: is a folder, not a file", path);
    if (S_ISREG(info.st_mode) && (unsigned long long)info.st_size > limit)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: %lld bytes are too many (allowed: %zu)", path,
                        (long long)info.st_size, limit);
    size_t room = S_ISREG(info.st_mode) ? (size_t)info.st_size + 1 : 65536, used = 0;
    for (;;) {
        char *grown = realloc(*data, room + 1);
        if (!grown)
            return dpf_fail_memory(err, room + 1, path);
        *data = grown;
        ssize_t got = read(fd, *data + used, room - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return dpf_fail(err, DPF_ERR_IO, "%s: %s", path, strerror(errno));
        if (got == 0)
            break;
        used += (size_t)got;
        if (used > limit)
            return dpf_fail(err, DPF_ERR_FORMAT, "%s: too long (allowed: %zu bytes)", path, limit);
        if (used == room)
            room *= 2;
    }
    (*data)[used] = '\0';
    *size = used;
    return DPF_OK;
}

dpf_status dpf_file_read(const char *path, size_t limit, char **data, size_t *size, dpf_error *err) {
    *data = NULL;
    *size = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return dpf_fail(err, DPF_ERR_IO, "%s: %s", path, strerror(errno));
    dpf_status status = read_all(fd, path, limit, data, size, err);
    close(fd);
    if (status != DPF_OK) {
        free(*data);
        *data = NULL;
    }
    return status;
}

static void writer_free(dpf_writer *writer) {
    if (!writer)
        return;
    if (writer->fd >= 0)
        close(writer->fd);
    free(writer->path);
    free(writer->temporary);
    free(writer);
}

/* The old file's permissions, or those a plain creation would give. */
static mode_t wanted_mode(const char *path) {
    struct stat info;
    if (stat(path, &info) == 0)
        return info.st_mode & 07777;
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

dpf_status dpf_writer_open(dpf_writer **out, const char *path, dpf_error *err) {
    *out = NULL;
    struct stat info;
    if (stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode))
            return dpf_fail(err, DPF_ERR_IO, "%s: is a folder, not a file", path);
        if (!S_ISREG(info.st_mode))
            return dpf_fail(err, DPF_ERR_IO, "%s: is not a regular file", path);
        /* A rename would replace a file that forbids writing. */
        if (access(path, W_OK) != 0)
            return dpf_fail(err, DPF_ERR_IO, "%s: %s", path, strerror(errno));
    }
    dpf_status status = DPF_OK;
    dpf_writer *writer = calloc(1, sizeof *writer);
    if (!writer)
        return dpf_fail_memory(err, sizeof *writer, path);
    writer->fd = -1;
    writer->path = realpath(path, NULL);
    if (!writer->path)
        writer->path = strdup(path);
    if (!writer->path || asprintf(&writer->temporary, "%s.XXXXXX", writer->path) < 0) {
        writer->temporary = NULL;
        status = dpf_fail_memory(err, strlen(path) + 8, path);
        goto fail;
    }
    writer->fd = mkostemp(writer->temporary, O_CLOEXEC);
    if (writer->fd < 0) {
        status = dpf_fail(err, DPF_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
        goto fail;
    }
    if (fchmod(writer->fd, wanted_mode(writer->path)) != 0) {
        status = dpf_fail(err, DPF_ERR_IO, "%s: permissions: %s", path, strerror(errno));
        unlink(writer->temporary);
        goto fail;
    }
    *out = writer;
    return DPF_OK;
fail:
    writer_free(writer);
    return status;
}

dpf_status dpf_writer_put(dpf_writer *writer, const void *data, size_t size, dpf_error *err) {
    const char *at = data;
    while (size > 0) {
        ssize_t put = write(writer->fd, at, size < SSIZE_MAX ? size : SSIZE_MAX);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return dpf_fail(err, DPF_ERR_IO, "%s: writing failed: %s; the old file, if any, is untouched", writer->path,
                            strerror(errno));
        at += put;
        size -= (size_t)put;
    }
    return DPF_OK;
}

/* The rename is on the disk once its folder is; a file system that cannot sync a
 * folder is no reason to fail. */
static void sync_folder(const char *path) {
    char *folder = strdup(path);
    if (!folder)
        return;
    char *slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

dpf_status dpf_writer_commit(dpf_writer *writer, dpf_error *err) {
    dpf_status status = DPF_OK;
    int failed = fsync(writer->fd) != 0;
    int reason = errno;
    if (close(writer->fd) != 0 && !failed) {
        failed = 1;
        reason = errno;
    }
    writer->fd = -1;
    if (!failed && rename(writer->temporary, writer->path) != 0) {
        failed = 1;
        reason = errno;
    }
    if (failed) {
        unlink(writer->temporary);
        status = dpf_fail(err, DPF_ERR_IO, "%s: writing failed: %s; the old file, if any, is untouched", writer->path,
                          strerror(reason));
    } else {
        sync_folder(writer->path);
    }
    writer_free(writer);
    return status;
}

void dpf_writer_cancel(dpf_writer *writer) {
    if (!writer)
        return;
    unlink(writer->temporary);
    writer_free(writer);
}

dpf_status dpf_file_replace(const char *path, const void *data, size_t size, dpf_error *err) {
    dpf_writer *writer;
    dpf_status status = dpf_writer_open(&writer, path, err);
    if (status != DPF_OK)
        return status;
    status = dpf_writer_put(writer, data, size, err);
    if (status != DPF_OK) {
        dpf_writer_cancel(writer);
        return status;
    }
    return dpf_writer_commit(writer, err);
}
