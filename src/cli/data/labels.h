/* SPDX-License-Identifier: MIT
 *
 * The boxes of a list of pictures, from Darknet's label files: one text file a
 * picture, beside it or in a folder `labels` in place of `images` or `JPEGImages`,
 * one object a line, "CLASS X Y W H", centre and sides as shares of the picture.
 *
 * What must stay true: all files are read and checked before any picture is used. A
 * picture without a file has no objects; one with a bad file is dropped from the
 * list, with file and line.
 */
#ifndef DPF_CLI_LABELS_H
#define DPF_CLI_LABELS_H

#include <stddef.h>

#include "../../dpf/darknet/adapter.h"
#include "imagelist.h"

typedef struct labels {
    dn_boxes *of;    /* one an entry of the list */
    size_t pictures; /* entries */
    size_t boxes;    /* in all */
    size_t most;     /* of one picture */
    size_t missing;  /* pictures without a label file */
} labels;

/* The name of a picture's label file, malloc'd; NULL: out of memory. */
char *labels_path(const char *picture);

/* The boxes in a label file's text (NUL after its last byte). *list is malloc'd, NULL on failure. */
dpf_status labels_parse(const char *file, const char *text, size_t size, int classes, dn_box **list, size_t *count,
                        dpf_error *err);

/* Reads the label files of all pictures. Fails when none of the pictures has one. */
dpf_status labels_read(labels *out, imagelist *list, int classes, dpf_error *err);

/* Says whether another run had the same boxes for the same pictures. */
uint64_t labels_hash(const labels *all);
void labels_free(labels *all); /* safe on a zeroed struct */

#endif
