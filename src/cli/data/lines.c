/* SPDX-License-Identifier: MIT
 *
 * See lines.h.
 */
#include "lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

static dpf_status io_error(const char *what, const char *path, int number, dpf_error *err) {
    return dpf_fail(err, DPF_ERR_IO, "%s '%s': %s", what, path, strerror(number));
}

dpf_status file_read(const char *path, const char *what, unsigned char **data, size_t *size, dpf_error *err) {
    dpf_status status = DPF_OK;
    unsigned char *bytes = NULL;
    struct stat info;
    *data = NULL;
    *size = 0;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC); /* a pipe without a writer must not hang us */
    if (fd < 0)
        return io_error(what, path, errno, err);
    if (fstat(fd, &info) < 0) {
        status = io_error(what, path, errno, err);
        goto fail;
    }
    if (!S_ISREG(info.st_mode)) {
        status = dpf_fail(err, DPF_ERR_IO, "%s '%s': %s", what, path,
                          S_ISDIR(info.st_mode) ? "is a folder, a file is wanted" : "is not a regular file");
        goto fail;
    }
    size_t length = (size_t)info.st_size, done = 0;
    bytes = length < SIZE_MAX ? malloc(length + 1) : NULL;
    if (!bytes) {
        status = dpf_fail_memory(err, length, path);
        goto fail;
    }
    while (done < length) {
        ssize_t got = read(fd, bytes + done, length - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            status = io_error(what, path, errno, err);
            goto fail;
        }
        if (got == 0) /* the file shrank while we read */
            break;
        done += (size_t)got;
    }
    bytes[done] = 0;
    *data = bytes;
    *size = done;
    close(fd);
    return DPF_OK;
fail:
    free(bytes);
    close(fd);
    return status;
}

static size_t count_lines(const char *text, size_t size) {
    size_t n = size && text[size - 1] != '\n';
    for (size_t i = 0; i < size; i++)
        n += text[i] == '\n';
    return n;
}

static void split(lines *list, size_t size) {
    char *at = list->text, *end = list->text + size;
    size_t n = 0;
    if (size >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) /* the byte order mark of some editors */
        at += 3;
    while (at < end) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop)
            stop = end;
        char *last = stop;
        while (last > at && (last[-1] == ' ' || last[-1] == '\t' || last[-1] == '\r'))
            last--;
        *last = 0;
        list->line[n++] = at;
        at = stop + 1;
    }
    while (n && !list->line[n - 1][0])
        n--;
    list->count = n;
}

dpf_status lines_read(lines *out, const char *path, const char *what, dpf_error *err) {
    lines list = {0};
    unsigned char *bytes = NULL;
    size_t size = 0;
    dpf_status status = file_read(path, what, &bytes, &size, err);
    if (status)
        return status;
    list.text = (char *)bytes;
    if (memchr(bytes, 0, size)) {
        status = dpf_fail(err, DPF_ERR_FORMAT, "%s '%s': is a binary file, text with one entry a line is wanted", what,
                          path);
        goto fail;
    }
    size_t count = count_lines(list.text, size);
    list.file = strdup(path);
    list.line = calloc(count + 1, sizeof *list.line);
    if (!list.file || !list.line) {
        status = dpf_fail_memory(err, count * sizeof *list.line, path);
        goto fail;
    }
    split(&list, size);
    if (!list.count) {
        status = dpf_fail(err, DPF_ERR_FORMAT, "%s '%s': is empty, one entry a line is wanted", what, path);
        goto fail;
    }
    *out = list;
    return DPF_OK;
fail:
    lines_free(&list);
    return status;
}

uint64_t lines_hash(const lines *list, size_t count) {
    uint64_t hash = 0; /* each line's is the seed of the next one's: no copy of the text */
    for (size_t i = 0; i < count && i < list->count; i++)
        hash = XXH64(list->line[i], strlen(list->line[i]) + 1, hash);
    return hash;
}

void lines_free(lines *list) {
    free(list->file);
    free(list->line);
    free(list->text);
    *list = (lines){0};
}
