/* SPDX-License-Identifier: MIT
 *
 * See cfg.h. A file is read whole, stripped in place the way Darknet strips it,
 * and cut into keys that point into that one buffer.
 *
 * What must stay true: every string handed out lies inside cfg->text, and all keys
 * lie in one block that sections[0].keys starts, so that freeing is two calls.
 */
#include "cfg.h"
#include "file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Far above any real cfg (the largest stock one has 30 KB), far below what would
 * make a mistaken path, such as a .weights file, expensive. */
#define MAX_TEXT ((size_t)16 << 20)

typedef struct counts {
    size_t lines, headers;
} counts;

static counts count_lines(const char *text, size_t length) {
    counts n = {1, 0};
    for (size_t i = 0; i < length; ++i) {
        n.lines += text[i] == '\n';
        n.headers += text[i] == '[';
    }
    return n;
}

/* Copies one line without blanks, as Darknet reads it; carriage returns count as
 * blanks too, so that files from Windows work. Returns the end of the copy. */
static char *copy_line(char *to, const char *from, size_t length) {
    for (size_t i = 0; i < length; ++i) {
        char c = from[i];
        if (c != ' ' && c != '\t' && c != '\r' && c != '\f' && c != '\v')
            *to++ = c;
    }
    *to++ = '\0';
    return to;
}

static dpf_status check_text(const char *name, const char *text, size_t length, dpf_error *err) {
    int line = 1;
    for (size_t i = 0; i < length; ++i) {
        unsigned char c = (unsigned char)text[i];
        if (c == '\n')
            ++line;
        else if ((c < 32 && c != '\t' && c != '\r' && c != '\f' && c != '\v') || c == 127)
            return dpf_fail(err, DPF_ERR_FORMAT, "%s:%d: not a text file (byte 0x%02x)", name, line, c);
    }
    return DPF_OK;
}

static dpf_status add_header(dpf_cfg *cfg, char *text, int line, dpf_error *err) {
    size_t length = strlen(text);
    if (length < 3 || text[length - 1] != ']' || strchr(text + 1, '[') || strchr(text, ']') != text + length - 1)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s:%d: '%.60s' is no section header; it should read [name]", cfg->file,
                        line, text);
    text[length - 1] = '\0';
    dpf_section *section = &cfg->sections[cfg->count++];
    section->type = text + 1;
    section->line = line;
    return DPF_OK;
}

static dpf_status add_key(dpf_cfg *cfg, char *text, int line, dpf_key *key, dpf_error *err) {
    char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s:%d: '%.60s' is neither a comment, a [section] nor key=value",
                        cfg->file, line, text);
    *equals = '\0';
    if (!equals[1])
        return dpf_fail(err, DPF_ERR_FORMAT, "%s:%d: key '%.60s' has no value", cfg->file, line, text);
    key->key = text;
    key->value = equals + 1;
    key->line = line;
    return DPF_OK;
}

/* Cuts `text` into sections and keys; the blocks of cfg are large enough for it. */
static dpf_status cut(dpf_cfg *cfg, const char *text, size_t length, dpf_error *err) {
    dpf_key *next = cfg->sections[0].keys;
    char *storage = cfg->text;
    int line = 0;
    for (size_t start = 0; start < length;) {
        const char *newline = memchr(text + start, '\n', length - start);
        size_t end = newline ? (size_t)(newline - text) : length;
        char *copy = storage;
        storage = copy_line(storage, text + start, end - start);
        start = end + 1;
        ++line;
        dpf_status status = DPF_OK;
        if (*copy == '\0' || *copy == '#' || *copy == ';')
            continue;
        if (*copy == '[') {
            status = add_header(cfg, copy, line, err);
            if (status == DPF_OK)
                cfg->sections[cfg->count - 1].keys = next;
        } else {
            if (cfg->count == 0) /* a .data file: keys without a header */
                cfg->sections[cfg->count++].line = line;
            status = add_key(cfg, copy, line, next, err);
            if (status == DPF_OK) {
                ++next;
                ++cfg->sections[cfg->count - 1].count;
            }
        }
        if (status != DPF_OK)
            return status;
    }
    if (cfg->count == 0) /* nothing but comments: one empty section, so that sections[0] is always there */
        cfg->sections[cfg->count++].line = 1;
    return DPF_OK;
}

dpf_status dpf_cfg_parse(dpf_cfg **out, const char *name, const char *text, size_t length, dpf_error *err) {
    *out = NULL;
    if (length > MAX_TEXT)
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: %zu bytes are too many for a cfg (allowed: %zu)", name, length,
                        MAX_TEXT);
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* the byte order mark of some editors */
        text += 3;
        length -= 3;
    }
    dpf_status status = check_text(name, text, length, err);
    if (status != DPF_OK)
        return status;

    counts n = count_lines(text, length);
    dpf_cfg *cfg = calloc(1, sizeof *cfg);
    if (!cfg)
        return dpf_fail_memory(err, sizeof *cfg, name);
    cfg->file = strdup(name);
    cfg->sections = calloc(n.headers + 1, sizeof *cfg->sections);
    cfg->text = malloc(length + n.lines + 1);
    dpf_key *keys = calloc(n.lines, sizeof *keys);
    if (!cfg->file || !cfg->sections || !cfg->text || !keys) {
        free(keys);
        status = dpf_fail_memory(err, length + n.lines * sizeof *keys, name);
        goto fail;
    }
    cfg->sections[0].keys = keys;
    cfg->sections[0].type = "";
    status = cut(cfg, text, length, err);
    if (status != DPF_OK)
        goto fail;
    *out = cfg;
    return DPF_OK;
fail:
    dpf_cfg_free(cfg);
    return status;
}

dpf_status dpf_cfg_read(dpf_cfg **out, const char *path, dpf_error *err) {
    *out = NULL;
    char *text = NULL;
    size_t length = 0;
    dpf_status status = dpf_file_read(path, MAX_TEXT, &text, &length, err);
    if (status == DPF_OK)
        status = dpf_cfg_parse(out, path, text, length, err);
    free(text);
    return status;
}

void dpf_cfg_free(dpf_cfg *cfg) {
    if (!cfg)
        return;
    if (cfg->sections)
        free(cfg->sections[0].keys);
    free(cfg->sections);
    free(cfg->text);
    free(cfg->file);
    free(cfg);
}

const dpf_key *dpf_section_find(const dpf_section *section, const char *key) {
    for (size_t i = 0; i < section->count; ++i)
        if (strcmp(section->keys[i].key, key) == 0)
            return &section->keys[i];
    return NULL;
}

/* A number may be followed by a comment: Darknet's atoi and atof stop there too. */
static int number_ends(const char *value, const char *end) {
    return end != value && (*end == '\0' || *end == '#' || *end == ';');
}

dpf_status dpf_section_int(const dpf_cfg *cfg, const dpf_section *section, const char *key, long fallback, long low,
                           long high, long *out, dpf_error *err) {
    const dpf_key *found = dpf_section_find(section, key);
    if (!found) {
        *out = fallback;
        return DPF_OK;
    }
    char *end;
    errno = 0;
    long value = strtol(found->value, &end, 10);
    if (!number_ends(found->value, end))
        return dpf_fail(err, DPF_ERR_FORMAT, "%s:%d: %s=%.60s is not a whole number", cfg->file, found->line, key,
                        found->value);
    if (errno == ERANGE || value < low || value > high)
        return dpf_fail(err, DPF_ERR_RANGE, "%s:%d: %s=%.60s is out of range (allowed: %ld to %ld)", cfg->file,
                        found->line, key, found->value, low, high);
    *out = value;
    return DPF_OK;
}

dpf_status dpf_section_float(const dpf_cfg *cfg, const dpf_section *section, const char *key, double fallback,
                             double low, double high, double *out, dpf_error *err) {
    const dpf_key *found = dpf_section_find(section, key);
    if (!found) {
        *out = fallback;
        return DPF_OK;
    }
    char *end;
    double value = strtod(found->value, &end);
    if (!number_ends(found->value, end))
        return dpf_fail(err, DPF_ERR_FORMAT, "%s:%d: %s=%.60s is not a number", cfg->file, found->line, key,
                        found->value);
    if (!isfinite(value) || value < low || value > high)
        return dpf_fail(err, DPF_ERR_RANGE, "%s:%d: %s=%.60s is out of range (allowed: %g to %g)", cfg->file,
                        found->line, key, found->value, low, high);
    *out = value;
    return DPF_OK;
}

/* Only a convolutional section may carry keys of this project; elsewhere the same
 * word would be somebody else's. */
static int is_ours(const dpf_section *section, const char *key) {
    int convolutional = strcmp(section->type, "convolutional") == 0 || strcmp(section->type, "conv") == 0;
    return convolutional && dpf_layer_options_is_key(key);
}

char *dpf_cfg_for_darknet(const dpf_cfg *cfg) {
    size_t size = 1;
    for (size_t i = 0; i < cfg->count; ++i) {
        const dpf_section *section = &cfg->sections[i];
        size += strlen(section->type) + 4;
        for (size_t k = 0; k < section->count; ++k)
            size += strlen(section->keys[k].key) + strlen(section->keys[k].value) + 2;
    }
    char *text = malloc(size);
    if (!text)
        return NULL;
    char *at = text;
    *at = '\0';
    for (size_t i = 0; i < cfg->count; ++i) {
        const dpf_section *section = &cfg->sections[i];
        if (strcmp(section->type, "dpf") == 0)
            continue;
        if (section->type[0])
            at += sprintf(at, "[%s]\n", section->type);
        for (size_t k = 0; k < section->count; ++k)
            if (!is_ours(section, section->keys[k].key))
                at += sprintf(at, "%s=%s\n", section->keys[k].key, section->keys[k].value);
    }
    return text;
}
