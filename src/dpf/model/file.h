/* SPDX-License-Identifier: MIT
 *
 * Files as wholes: read one, or replace one so that a crash at any moment leaves
 * either the old content or the new, never a part.
 */
#ifndef DPF_MODEL_FILE_H
#define DPF_MODEL_FILE_H

#include <stddef.h>

#include "../core/error.h"

/* Reads a regular file (or a pipe) of at most `limit` bytes. *data is malloc'd and the caller's;
 * one zero byte follows the content and is not counted in *size. Fails with
 * DPF_ERR_IO (missing, unreadable, a folder), DPF_ERR_FORMAT (larger than limit),
 * DPF_ERR_MEMORY; *data is then NULL. */
dpf_status dpf_file_read(const char *path, size_t limit, char **data, size_t *size, dpf_error *err);

/* One file being replaced. Write to `path` through dpf_writer_put, then commit
 * (flushed to the disk, then renamed over the old file, whose permissions it
 * keeps) or cancel (nothing has happened). A symbolic link stays one: the file it
 * points to is replaced. */
typedef struct dpf_writer dpf_writer;

/* Opens a temporary file beside `path`, PATH.tmp. What a crash leaves of it is used again by the
 * next writer, so crashes do not fill the disk; a lock keeps two writers apart. On failure
 * *out is NULL. */
dpf_status dpf_writer_open(dpf_writer **out, const char *path, dpf_error *err);

/* Appends bytes. After a failure the writer can only be cancelled. */
dpf_status dpf_writer_put(dpf_writer *writer, const void *data, size_t size, dpf_error *err);

/* Puts what was written on the disk, so that a commit cannot fail for want of room. Optional. */
dpf_status dpf_writer_flush(dpf_writer *writer, dpf_error *err);

/* Both release the writer, whatever they return; cancel takes NULL. */
dpf_status dpf_writer_commit(dpf_writer *writer, dpf_error *err);
void dpf_writer_cancel(dpf_writer *writer);

/* A rename in the folder of `path` is on the disk once its folder is; a file system that cannot
 * do that is no reason to fail. */
void dpf_file_sync_folder(const char *path);

/* Opens, puts and commits in one. */
dpf_status dpf_file_replace(const char *path, const void *data, size_t size, dpf_error *err);

#endif
