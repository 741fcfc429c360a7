/* SPDX-License-Identifier: MIT
 *
 * Command lines in Darknet's style: words by position, and `-flag [value]`
 * anywhere between them. Every flag of a command stands in one table; a flag that
 * is not in it is an error (Darknet takes it for a file name without a word).
 */
#ifndef DPF_CLI_ARGS_H
#define DPF_CLI_ARGS_H

#include <stddef.h>
#include <stdint.h>

#include "../../dpf/core/error.h"

typedef enum args_kind {
    ARGS_SWITCH,         /* int *: set to 1 */
    ARGS_COUNT,          /* uint64_t *: a whole number in [low, high] */
    ARGS_SHARE,          /* double *: a number in [0, 1] */
    ARGS_TEXT,           /* const char ** */
    ARGS_IGNORED_SWITCH, /* a flag of Darknet that has no meaning here: said once, skipped */
    ARGS_IGNORED_VALUE   /* the same with a value */
} args_kind;

typedef struct args_flag {
    const char *name; /* with its dash */
    args_kind kind;
    void *target;       /* NULL for the ignored kinds */
    int *given;         /* set to 1 when the flag was there; NULL: not wanted */
    uint64_t low, high; /* for ARGS_COUNT */
} args_flag;

/* Flags of Darknet that choose a graphics card; part of every command's table. */
#define ARGS_DARKNET_FLAGS                                                                                             \
    {"-gpus", ARGS_IGNORED_VALUE, NULL, NULL, 0, 0}, {"-gpu", ARGS_IGNORED_VALUE, NULL, NULL, 0, 0},                   \
        {"-i", ARGS_IGNORED_VALUE, NULL, NULL, 0, 0}, {                                                                \
        "-nogpu", ARGS_IGNORED_SWITCH, NULL, NULL, 0, 0                                                                \
    }

/* Sorts argv into flags and words. `words` holds room for `most` pointers into
 * argv; those beyond the count found are NULL. `usage` ends messages about the
 * number of words. */
dpf_status args_parse(int argc, char *const *argv, const args_flag *flags, size_t flag_count, const char **words,
                      size_t least, size_t most, const char *usage, dpf_error *err);

/* The words of a command line with blanks between them, malloc'd; NULL: out of memory. */
char *args_join(char *const *words);

#endif
