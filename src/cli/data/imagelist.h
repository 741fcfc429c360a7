/* SPDX-License-Identifier: MIT
 *
 * The pictures of a training or validation list. Each is looked at when it is
 * needed for the first time: a bad one is named once on stderr, counted, and from
 * then on passed over.
 *
 * Training draws without replacement: every epoch is a new permutation of the
 * list, a pure function of (seed, epoch), and picture k of a run (k = iteration *
 * pictures an iteration + position) is entry k mod n of permutation k / n. A run
 * that resumes at iteration t therefore sees what an uninterrupted one would. A
 * bad picture's place is taken by the next good one of the permutation.
 */
#ifndef DPF_CLI_IMAGELIST_H
#define DPF_CLI_IMAGELIST_H

#include <stddef.h>
#include <stdint.h>

#include "../../dpf/core/error.h"
#include "lines.h"

typedef struct imagelist imagelist;

/* `what` as for lines_read ("training list"). On failure *out is NULL. */
dpf_status imagelist_open(imagelist **out, const char *path, const char *what, dpf_error *err);
void imagelist_free(imagelist *list);

size_t imagelist_count(const imagelist *list);
const char *imagelist_path(const imagelist *list, size_t i);
const char *imagelist_file(const imagelist *list);
uint64_t imagelist_hash(const imagelist *list); /* lines_hash of all paths */
size_t imagelist_bad(const imagelist *list);    /* found so far */

/* Says "3 of 60000 images cannot be used" when there are any. */
void imagelist_say_bad(const imagelist *list);

/* Darknet looks for each label as a substring of the path. Fails unless every path
 * holds exactly one (with one class: at most one). class_of: count ints, or NULL. */
dpf_status imagelist_match(const imagelist *list, const lines *labels, int classes, int *class_of, dpf_error *err);

/* The number of an entry by the path that imagelist_path or imagelist_draw gave out. */
size_t imagelist_entry(const imagelist *list, const char *path);

/* Makes entry i a bad one, for the reason that is said ("FILE:LINE: what"). */
void imagelist_drop(imagelist *list, size_t i, const char *reason);
int imagelist_is_bad(const imagelist *list, size_t i);

/* The pictures of one iteration. Fails when no picture of the list is good. */
dpf_status imagelist_draw(imagelist *list, uint64_t seed, size_t iteration, size_t count, const char **paths,
                          dpf_error *err);

/* The good ones among entries [first, first + count), in order: their numbers, and
 * how many they are. */
dpf_status imagelist_range(imagelist *list, size_t first, size_t count, size_t *entries, size_t *good, dpf_error *err);

#endif
