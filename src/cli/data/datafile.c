/* SPDX-License-Identifier: MIT
 *
 * See datafile.h.
 */
#include "datafile.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../dpf/core/options.h"
#include "lines.h"
#include "../terminal/say.h"

/* Keys that some verb of Darknet or a fork of it reads. */
static const char *const known_keys[] = {
    "classes", "train", "valid",   "test", "labels", "names",  "backup", "top",       "tree",     "leaves", "hierarchy",
    "tag",     "coco",  "results", "eval", "map",    "output", "groups", "difficult", "results2", "base",   NULL};

static int is_known(const char *key) {
    for (size_t i = 0; known_keys[i]; i++)
        if (strcmp(key, known_keys[i]) == 0)
            return 1;
    return 0;
}

static void warn_odd(const dpf_cfg *cfg, const dpf_section *section) {
    for (size_t i = 0; i < section->count; i++) {
        const dpf_key *key = &section->keys[i], *first = dpf_section_find(section, key->key);
        if (strcmp(first->value, key->value) != 0)
            say("warning: %s:%d: '%s=%s' does not count: Darknet takes the first, '%s' in line %d", cfg->file,
                key->line, key->key, key->value, first->value, first->line);
        if (is_known(key->key))
            continue;
        const char *nearest = dpf_nearest_word(key->key, known_keys);
        if (nearest)
            say("warning: %s:%d: unknown key '%s' is skipped; did you mean '%s'?", cfg->file, key->line, key->key,
                nearest);
        else
            say("warning: %s:%d: unknown key '%s' is skipped", cfg->file, key->line, key->key);
    }
}

static dpf_status refuse_trees(const dpf_cfg *cfg, const dpf_section *section, dpf_error *err) {
    static const char *const keys[] = {"tree", "hierarchy", "leaves", "tag"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const dpf_key *key = dpf_section_find(section, keys[i]);
        if (!key || (strcmp(keys[i], "tag") == 0 && strcmp(key->value, "0") == 0))
            continue;
        return dpf_fail(err, DPF_ERR_UNSUPPORTED,
                        "%s:%d: '%s=%s' is not supported: this program trains plain classes, not word trees or tags",
                        cfg->file, key->line, key->key, key->value);
    }
    return DPF_OK;
}

/* A path that is not there, and stands in a line with blanks or a comment: as Darknet does, we
 * took the blanks out and the comment for a part of it. Whoever wrote the line must hear that. */
static dpf_status explain_path(const dpf_cfg *cfg, const dpf_key *key, dpf_error *err) {
    lines raw;
    if (access(key->value, F_OK) == 0 || lines_read(&raw, cfg->file, "data file", NULL))
        return DPF_OK;
    const char *line = (size_t)key->line <= raw.count ? raw.line[key->line - 1] : "";
    const char *value = strchr(line, '=');
    value = value ? value + 1 + strspn(value + 1, " \t") : "";
    dpf_status status = DPF_OK;
    if (strpbrk(key->value, "#;"))
        status = dpf_fail(err, DPF_ERR_FORMAT,
                          "%s:%d: '%s=%s' is no file; if this ends in a comment, give it a line of its own: a "
                          "comment behind a value counts as a part of it",
                          cfg->file, key->line, key->key, key->value);
    else if (strpbrk(value, " \t"))
        status = dpf_fail(err, DPF_ERR_FORMAT,
                          "%s:%d: '%s=%s' has a blank in it; Darknet takes all blanks out of a data file, and there is "
                          "no '%s'; use a path without blanks",
                          cfg->file, key->line, key->key, value, key->value);
    lines_free(&raw);
    return status;
}

static dpf_status text_key(const dpf_cfg *cfg, const dpf_section *section, const char *key, const char *fallback,
                           int mention, const char **out, dpf_error *err) {
    const dpf_key *found = dpf_section_find(section, key);
    if (!found) {
        *out = fallback;
        if (mention)
            say("%s: '%s' is not given, using Darknet's default '%s'", cfg->file, key, fallback);
        return DPF_OK;
    }
    if (!found->value || !found->value[0])
        return dpf_fail(err, DPF_ERR_FORMAT, "%s:%d: '%s' has no value, a path is wanted", cfg->file, found->line, key);
    *out = found->value;
    return explain_path(cfg, found, err);
}

static dpf_status number_key(const dpf_cfg *cfg, const dpf_section *section, const char *key, long fallback, int *out,
                             dpf_error *err) {
    long value = fallback;
    dpf_status status = dpf_section_int(cfg, section, key, fallback, 1, INT_MAX, &value, err);
    *out = (int)value;
    return status;
}

static dpf_status read_keys(datafile *data, unsigned needs, dpf_error *err) {
    const dpf_cfg *cfg = data->cfg;
    const dpf_section *section = &cfg->sections[0];
    warn_odd(cfg, section);
    dpf_status status = refuse_trees(cfg, section, err);
    if (!status)
        status = number_key(cfg, section, "classes", 2, &data->classes, err);
    if (!status && (needs & DATA_CLASSES) && !dpf_section_find(section, "classes"))
        say("%s: 'classes' is not given, using Darknet's default 2", cfg->file);
    if (!status)
        status = number_key(cfg, section, "top", 1, &data->top, err);
    data->has_top = dpf_section_find(section, "top") != NULL;
    data->has_valid = dpf_section_find(section, "valid") != NULL;
    data->has_classes = dpf_section_find(section, "classes") != NULL;
    data->has_names = dpf_section_find(section, "names") != NULL;
    if (!status)
        status = text_key(cfg, section, "train", "data/train.list", needs & DATA_TRAIN, &data->train, err);
    if (!status)
        status = text_key(cfg, section, "valid", "data/train.list", needs & DATA_VALID, &data->valid, err);
    if (!status)
        status = text_key(cfg, section, "labels", "data/labels.list", needs & DATA_LABELS, &data->labels, err);
    if (!status)
        status = text_key(cfg, section, "names", data->labels, 0, &data->names, err);
    if (!status)
        status = text_key(cfg, section, "backup", "/backup/", needs & DATA_BACKUP, &data->backup, err);
    if (!status)
        status = text_key(cfg, section, "results", "results", 0, &data->results, err);
    if (!status)
        status = text_key(cfg, section, "eval", "voc", 0, &data->eval, err);
    if (!status)
        status = text_key(cfg, section, "difficult", NULL, 0, &data->difficult, err);
    return status;
}

dpf_status datafile_read(datafile *out, const char *path, unsigned needs, dpf_error *err) {
    datafile data = {.path = path};
    dpf_status status = dpf_cfg_read(&data.cfg, path, err);
    if (status)
        return status;
    if (data.cfg->count != 1 || data.cfg->sections[0].type[0])
        status = dpf_fail(err, DPF_ERR_FORMAT,
                          "%s:%d: a section header stands in a data file; are data file and cfg swapped?", path,
                          data.cfg->count ? data.cfg->sections[data.cfg->count - 1].line : 1);
    else
        status = read_keys(&data, needs, err);
    if (status) {
        datafile_free(&data);
        return status;
    }
    *out = data;
    return DPF_OK;
}

void datafile_free(datafile *data) {
    dpf_cfg_free(data->cfg);
    *data = (datafile){0};
}
