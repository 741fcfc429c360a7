/* SPDX-License-Identifier: MIT
 *
 * A text file as its lines: image lists, label lists, name lists. Blanks at the
 * end of a line (a carriage return among them) do not count; blank lines are kept
 * as empty strings, so that entry i is line i + 1, but those at the end of the
 * file are dropped.
 */
#ifndef DPF_CLI_LINES_H
#define DPF_CLI_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "../../dpf/core/error.h"

typedef struct lines {
    char *file; /* name for messages */
    char **line;
    size_t count;
    char *text; /* storage of all lines */
} lines;

/* `what` names the file's part in messages ("label list"). Fails on a file that is
 * missing, unreadable, not a file, binary or without a line. */
dpf_status lines_read(lines *out, const char *path, const char *what, dpf_error *err);

/* Of the first `count` lines, as docs/state-format.md says. */
uint64_t lines_hash(const lines *list, size_t count);
void lines_free(lines *list); /* safe on a zeroed struct */

/* A whole regular file in memory, with a NUL after its last byte; the caller frees
 * *data. Used for lists and pictures. */
dpf_status file_read(const char *path, const char *what, unsigned char **data, size_t *size, dpf_error *err);

#endif
