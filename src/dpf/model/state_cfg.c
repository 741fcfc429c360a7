/* SPDX-License-Identifier: MIT
 *
 * See state_cfg.h. Both functions walk over the same lines: one writes them down, the
 * other compares them with what was written.
 */
#include "state_cfg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct walk {
    int (*line)(struct walk *w, const char *text, const dpf_section *section, const dpf_cfg *file, int number);
    FILE *out;        /* writing */
    const char *text; /* comparing: what is left */
    dpf_error *err;
} walk;

static int may_change(const dpf_section *section, const char *key) {
    return (strcmp(section->type, "net") == 0 || strcmp(section->type, "network") == 0) &&
           strcmp(key, "max_batches") == 0;
}

/* Visits one section's lines; not 0: the visitor has had enough, or memory ran out (-1). */
static int visit(walk *w, const dpf_cfg *file, const dpf_section *section) {
    char *text = NULL;
    int stop = asprintf(&text, "[%s]", section->type) < 0 ? -1 : w->line(w, text, section, file, section->line);
    for (size_t k = 0; k < section->count && !stop; ++k) {
        const dpf_key *key = &section->keys[k];
        if (may_change(section, key->key))
            continue;
        free(text);
        text = NULL;
        stop = asprintf(&text, "%s=%s", key->key, key->value) < 0 ? -1 : w->line(w, text, section, file, key->line);
    }
    free(text);
    return stop;
}

static int visit_all(walk *w, const dpf_cfg *cfg, const dpf_cfg *dpf, int dense) {
    const dpf_cfg *source = dpf ? dpf : cfg;
    int stop = 0;
    for (size_t i = 0; i < cfg->count && !stop; ++i)
        if (strcmp(cfg->sections[i].type, "dpf") != 0)
            stop = visit(w, cfg, &cfg->sections[i]);
    for (size_t i = 0; i < source->count && !dense && !stop; ++i)
        if (strcmp(source->sections[i].type, "dpf") == 0)
            stop = visit(w, source, &source->sections[i]);
    return stop;
}

static int write_line(walk *w, const char *text, const dpf_section *section, const dpf_cfg *file, int number) {
    (void)section, (void)file, (void)number;
    return fprintf(w->out, "%s\n", text) < 0;
}

char *dpf_state_cfg_text(const dpf_cfg *cfg, const dpf_cfg *dpf, int dense) {
    char *text = NULL;
    size_t size = 0;
    walk w = {.line = write_line, .out = open_memstream(&text, &size)};
    if (!w.out)
        return NULL;
    int stop = visit_all(&w, cfg, dpf, dense);
    if (fclose(w.out) || stop) {
        free(text);
        return NULL;
    }
    return text;
}

static int compare_line(walk *w, const char *text, const dpf_section *section, const dpf_cfg *file, int number) {
    const size_t length = strcspn(w->text, "\n"), shown = length < 100 ? length : 100;
    if (length == strlen(text) && memcmp(w->text, text, length) == 0) {
        w->text += length + (w->text[length] == '\n');
        return 0;
    }
    const char *in = text[0] == '[' ? "" : " of ", *type = text[0] == '[' ? "" : section->type;
    if (length)
        dpf_fail(w->err, DPF_ERR_MISMATCH, "%s:%d: '%.100s'%s%s is '%.*s' there", file->file, number, text, in, type,
                 (int)shown, w->text);
    else
        dpf_fail(w->err, DPF_ERR_MISMATCH, "%s:%d: '%.100s'%s%s is not there", file->file, number, text, in, type);
    return 1;
}

dpf_status dpf_state_cfg_compare(const char *text, const dpf_cfg *cfg, const dpf_cfg *dpf, int dense, dpf_error *err) {
    walk w = {.line = compare_line, .text = text, .err = err};
    const int stop = visit_all(&w, cfg, dpf, dense);
    if (stop < 0)
        return dpf_fail_memory(err, 0, "a line of the cfg");
    if (stop)
        return DPF_ERR_MISMATCH;
    if (*w.text)
        return dpf_fail(err, DPF_ERR_MISMATCH, "%s: '%.*s' is there, but no longer in the cfg", cfg->file,
                        (int)strcspn(w.text, "\n"), w.text);
    return DPF_OK;
}
