/* SPDX-License-Identifier: MIT
 *
 * See log.h. Rows are written behind the last good byte; a write that fails is cut off
 * again and its row waits in memory for the next one.
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../dpf/model/file.h"

static const char HEADER[] = "iteration,loss,avg_loss,rate,sparsity,images_per_s,flips,revived,score\n";

struct train_log {
    int fd;
    off_t end; /* of the rows on disk */
    char *path;
    report_row *rows;
    size_t count, room, written;
};

static dpf_status log_io(const char *path, dpf_error *err) {
    return dpf_fail(err, DPF_ERR_IO, "log '%s': %s", path, strerror(errno));
}

static dpf_status keep_row(train_log *log, const report_row *row, dpf_error *err) {
    if (log->count == log->room) {
        size_t room = log->room ? 2 * log->room : 1024;
        report_row *rows = realloc(log->rows, room * sizeof *rows);
        if (!rows)
            return dpf_fail_memory(err, room * sizeof *rows, "the log's rows");
        log->rows = rows;
        log->room = room;
    }
    log->rows[log->count++] = *row;
    return DPF_OK;
}

static int print_row(FILE *file, const report_row *row) {
    char score[32] = "";
    if (row->scored)
        snprintf(score, sizeof score, "%.4f", row->score);
    return fprintf(file, "%zu,%.6g,%.6g,%.6g,%.6f,%.1f,%zu,%zu,%s\n", row->iteration, (double)row->loss,
                   (double)row->average_loss, (double)row->rate, row->sparsity, row->images_per_s, row->flips,
                   row->revived, score);
}

/* Takes over rows of an earlier run. A line that is not a row ends it: what a crash
 * cut off in the middle is dropped. */
static dpf_status take_over(train_log *log, size_t start, dpf_error *err) {
    FILE *old = start ? fopen(log->path, "r") : NULL;
    char line[256];
    dpf_status status = DPF_OK;
    if (!old)
        return DPF_OK;
    if (fgets(line, sizeof line, old) && strcmp(line, HEADER) == 0)
        while (!status && fgets(line, sizeof line, old)) {
            report_row row = {0};
            int got = strchr(line, '\n') ? sscanf(line, "%zu,%f,%f,%f,%lf,%lf,%zu,%zu,%lf", &row.iteration, &row.loss,
                                                  &row.average_loss, &row.rate, &row.sparsity, &row.images_per_s,
                                                  &row.flips, &row.revived, &row.score)
                                         : 0;
            if (got < 8)
                break;
            row.scored = got == 9;
            if (row.iteration > start || (log->count && row.iteration <= log->rows[log->count - 1].iteration))
                break;
            status = keep_row(log, &row, err);
        }
    fclose(old);
    return status;
}

/* The rows from `first` on as text; NULL: out of memory. */
static char *print_rows(const train_log *log, size_t first, const char *head, size_t *size) {
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    int failed = !out || fputs(head, out) < 0;
    for (size_t i = first; i < log->count && !failed; i++)
        failed = print_row(out, &log->rows[i]) < 0;
    if (out && fclose(out))
        failed = 1;
    if (failed) {
        free(text);
        return NULL;
    }
    return text;
}

static dpf_status start_file(train_log *log, dpf_error *err) {
    size_t size = 0;
    char *text = print_rows(log, 0, HEADER, &size);
    if (!text)
        return dpf_fail_memory(err, log->count * 80ull, "the log");
    dpf_status status = dpf_file_replace(log->path, text, size, err);
    free(text);
    if (status)
        return status;
    log->fd = open(log->path, O_WRONLY | O_CLOEXEC);
    log->end = (off_t)size;
    log->written = log->count;
    return log->fd < 0 ? log_io(log->path, err) : DPF_OK;
}

/* Writes the rows that are not yet in the file: usually one. */
static dpf_status write_rows(train_log *log, dpf_error *err) {
    size_t size = 0, done = 0;
    char *text = print_rows(log, log->written, "", &size);
    if (!text)
        return dpf_fail_memory(err, (log->count - log->written) * 80ull, "the log");
    while (done < size) {
        const ssize_t wrote = pwrite(log->fd, text + done, size - done, log->end + (off_t)done);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            break;
        done += (size_t)wrote;
    }
    free(text);
    if (done < size) {
        dpf_status status = log_io(log->path, err);
        if (ftruncate(log->fd, log->end)) { /* then the next row is written over what is there */
        }
        return status;
    }
    log->end += (off_t)size;
    log->written = log->count;
    return DPF_OK;
}

dpf_status train_log_open(train_log **out, const char *path, size_t start, dpf_error *err) {
    *out = NULL;
    train_log *log = calloc(1, sizeof *log);
    if (!log)
        return dpf_fail_memory(err, sizeof *log, "the log");
    dpf_status status = DPF_OK;
    log->fd = -1;
    log->path = strdup(path);
    if (!log->path)
        status = dpf_fail_memory(err, strlen(path) + 1, "the log's name");
    if (!status)
        status = take_over(log, start, err);
    if (!status)
        status = start_file(log, err);
    if (status) {
        train_log_close(log, NULL);
        return status;
    }
    *out = log;
    return DPF_OK;
}

dpf_status train_log_add(train_log *log, const report_row *row, dpf_error *err) {
    dpf_status status = keep_row(log, row, err);
    return status ? status : write_rows(log, err);
}

dpf_status train_log_close(train_log *log, dpf_error *err) {
    dpf_status status = DPF_OK;
    if (!log)
        return DPF_OK;
    if (log->fd >= 0 && close(log->fd))
        status = log_io(log->path, err);
    free(log->path);
    free(log->rows);
    free(log);
    return status;
}

const report_row *train_log_rows(const train_log *log, size_t *count) {
    *count = log->count;
    return log->rows;
}
