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
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct dpf_writer {
    int fd;
    char *path; /* the file that will be replaced, links resolved */
    char *temporary;
    int flushed; /* what was put is on the disk */
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

/* Is the open file still the one that has this name? */
static int has_name(int fd, const char *name) {
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && lstat(name, &there) == 0 && ours.st_dev == there.st_dev &&
           ours.st_ino == there.st_ino;
}

/* Waits a while for another writer; a file system without locks has no other way than to go on. */
static int lock(int fd) {
    const struct timespec pause = {.tv_nsec = 50000000};
    for (int i = 0; i < 200; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 || (errno != EWOULDBLOCK && errno != EINTR))
            return 0;
        nanosleep(&pause, NULL);
    }
    errno = EBUSY;
    return -1;
}

/* Opens the temporary file, new or left behind by a crash, empty and locked; -1: see errno. While
 * this process waits for the lock the other one may rename the file away, so look again. */
static int open_temporary(const char *name, mode_t mode) {
    for (;;) {
        struct stat info;
        const int fd = open(name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode);
        if (fd < 0)
            return -1;
        errno = EEXIST;
        if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && lock(fd) == 0) {
            if (!has_name(fd, name)) {
                close(fd);
                continue;
            }
            if (ftruncate(fd, 0) == 0)
                return fd;
        }
        const int reason = errno;
        close(fd);
        errno = reason;
        return -1;
    }
}

dpf_status dpf_writer_open(dpf_writer **out, const char *path, dpf_error *err) {
    *out = NULL;
    struct stat info;
    const int replaces = stat(path, &info) == 0;
    if (replaces) {
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
    if (!writer->path || asprintf(&writer->temporary, "%s.tmp", writer->path) < 0) {
        writer->temporary = NULL;
        status = dpf_fail_memory(err, strlen(path) + 5, path);
        goto fail;
    }
    writer->fd = open_temporary(writer->temporary, replaces ? info.st_mode & 0777 : 0666);
    if (writer->fd < 0) {
        status = dpf_fail(err, DPF_ERR_IO, "%s: cannot be written: %s", path,
                          errno == EBUSY ? "another program is writing it" : strerror(errno));
        goto fail;
    }
    if (replaces && fchmod(writer->fd, info.st_mode & 07777) != 0) {
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

void dpf_file_sync_folder(const char *path) {
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

dpf_status dpf_writer_flush(dpf_writer *writer, dpf_error *err) {
    if (fsync(writer->fd) != 0)
        return dpf_fail(err, DPF_ERR_IO, "%s: writing failed: %s; the old file, if any, is untouched", writer->path,
                        strerror(errno));
    writer->flushed = 1;
    return DPF_OK;
}

dpf_status dpf_writer_commit(dpf_writer *writer, dpf_error *err) {
    dpf_status status = writer->flushed ? DPF_OK : dpf_writer_flush(writer, err);
    /* renamed before it is closed: the lock must hold until the name is free for others */
    if (status == DPF_OK && rename(writer->temporary, writer->path) != 0)
        status = dpf_fail(err, DPF_ERR_IO, "%s: writing failed: %s; the old file, if any, is untouched", writer->path,
                          strerror(errno));
    if (status != DPF_OK)
        unlink(writer->temporary);
    else
        dpf_file_sync_folder(writer->path);
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
