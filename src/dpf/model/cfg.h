/* SPDX-License-Identifier: MIT
 *
 * A Darknet cfg as sections of key=value, with line numbers, read the way
 * Darknet reads it: '#' and ';' start a comment line, blanks inside a line do not
 * count, [section] opens a section, later duplicates of a key lose to the first
 * (Darknet's option_find takes the first). The same reader serves .data files,
 * which are one section without a header.
 */
#ifndef DPF_MODEL_CFG_H
#define DPF_MODEL_CFG_H

#include <stddef.h>

#include "../core/error.h"
#include "../core/options.h"

typedef struct dpf_section {
    const char *type; /* "convolutional", without brackets; "" for the keys before the first header */
    int line;         /* line of the header, 1-based */
    dpf_key *keys;
    size_t count;
} dpf_section;

typedef struct dpf_cfg {
    char *file;            /* name for messages */
    dpf_section *sections; /* in file order; sections[0] is [net] or [network] in a valid network cfg */
    size_t count;
    char *text; /* storage of all strings */
} dpf_cfg;

/* Reads a file / takes a text. Fails with DPF_ERR_IO (missing, unreadable, a folder),
 * DPF_ERR_FORMAT (binary content, a line that is neither comment, header nor key=value).
 * On failure *out is NULL. dpf_cfg_free takes NULL. */
dpf_status dpf_cfg_read(dpf_cfg **out, const char *path, dpf_error *err);
dpf_status dpf_cfg_parse(dpf_cfg **out, const char *name, const char *text, size_t length, dpf_error *err);
void dpf_cfg_free(dpf_cfg *cfg);

/* First key of that name in the section, or NULL. */
const dpf_key *dpf_section_find(const dpf_section *section, const char *key);

/* Typed getters: the value, or `fallback` where the key is absent. A value that is
 * not entirely a number of that kind, or outside [low, high], fails and names
 * file:line, key, value and what is allowed. */
dpf_status dpf_section_int(const dpf_cfg *cfg, const dpf_section *section, const char *key, long fallback, long low,
                           long high, long *out, dpf_error *err);
dpf_status dpf_section_float(const dpf_cfg *cfg, const dpf_section *section, const char *key, double fallback,
                             double low, double high, double *out, dpf_error *err);

/* The cfg text that a stock Darknet can read: every section but [dpf], without the
 * per-layer keys of this project, one key a line, sections in order. Malloc'd,
 * NUL-terminated, the caller frees; NULL when out of memory. */
char *dpf_cfg_for_darknet(const dpf_cfg *cfg);

#endif
