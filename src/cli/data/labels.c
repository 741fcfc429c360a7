/* SPDX-License-Identifier: MIT
 *
 * See labels.h.
 */
#include "labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <xxhash.h>

#include "../terminal/say.h"

/* Other programs round; a centre of 1.00001 is no error. */
static const float SLACK = 1e-4f;

/* `text` with the first `old` replaced, malloc'd; frees `text`. NULL goes through. */
static char *replaced(char *text, const char *old, const char *new) {
    char *at = text ? strstr(text, old) : NULL, *result = NULL;
    if (!at)
        return text;
    if (asprintf(&result, "%.*s%s%s", (int)(at - text), text, new, at + strlen(old)) < 0)
        result = NULL;
    free(text);
    return result;
}

static char *with_txt(char *text) {
    char *result = NULL;
    if (!text)
        return NULL;
    const char *slash = strrchr(text, '/'), *dot = strrchr(text, '.');
    const size_t stem = dot && (!slash || dot > slash + 1) ? (size_t)(dot - text) : strlen(text);
    if (asprintf(&result, "%.*s.txt", (int)stem, text) < 0)
        result = NULL;
    free(text);
    return result;
}

char *labels_path(const char *picture) {
    char *path = with_txt(replaced(replaced(strdup(picture), "images", "labels"), "JPEGImages", "labels"));
    if (!path || !strstr(path, "raw") || access(path, F_OK) == 0)
        return path;
    /* Darknet replaces "raw" anywhere in a path; that is followed only where it leads to a file */
    char *raw = replaced(strdup(path), "raw", "labels");
    if (raw && access(raw, F_OK) == 0) {
        free(path);
        return raw;
    }
    free(raw);
    return path;
}

static dpf_status check_box(const char *file, size_t line, long class, const float *v, int classes, dpf_error *err) {
    static const char *const names[] = {"x", "y", "width", "height"};
    if (class < 0 || class >= classes)
        return dpf_fail(err, DPF_ERR_RANGE, "%s:%zu: class %ld, but there are %d classes (0 to %d)", file, line, class,
                        classes, classes - 1);
    for (int i = 0; i < 4; i++)
        if (!(v[i] >= -SLACK && v[i] <= 1 + SLACK))
            return dpf_fail(err, DPF_ERR_RANGE, "%s:%zu: %s is %g, a share of the picture from 0 to 1 is wanted", file,
                            line, names[i], (double)v[i]);
    return DPF_OK;
}

static const char *skip_blanks(const char *at) {
    return at + strspn(at, " \t\r");
}

/* One line, ended by a newline or the text's NUL; *found = 0: it is blank. */
static dpf_status parse_line(const char *file, size_t line, const char *at, int classes, dn_box *box, int *found,
                             dpf_error *err) {
    float v[4];
    char *end;
    at = skip_blanks(at);
    *found = *at && *at != '\n';
    if (!*found)
        return DPF_OK;
    const long class = strtol(at, &end, 10);
    int good = end != at;
    for (int i = 0; i < 4 && good; i++) {
        at = skip_blanks(end);
        good = at != end && *at != '\n'; /* strtof would read on in the next line */
        v[i] = good ? strtof(at, &end) : 0;
        good = good && end != at;
    }
    at = good ? skip_blanks(end) : at;
    if (!good || (*at && *at != '\n'))
        return dpf_fail(err, DPF_ERR_FORMAT, "%s:%zu: five numbers are wanted, CLASS X Y WIDTH HEIGHT", file, line);
    *box = (dn_box){(int)class, v[0], v[1], v[2], v[3]};
    return check_box(file, line, class, v, classes, err);
}

dpf_status labels_parse(const char *file, const char *text, size_t size, int classes, dn_box **list, size_t *count,
                        dpf_error *err) {
    dpf_status status = DPF_OK;
    size_t line = 0, room = 1;
    *list = NULL;
    *count = 0;
    if (memchr(text, 0, size))
        return dpf_fail(err, DPF_ERR_FORMAT, "%s: is a binary file, a label file is text", file);
    for (size_t i = 0; i < size; i++)
        room += text[i] == '\n';
    dn_box *boxes = calloc(room, sizeof *boxes);
    if (!boxes)
        return dpf_fail_memory(err, room * sizeof *boxes, file);
    size_t n = 0;
    for (const char *at = text; !status && at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
        int found = 0;
        status = parse_line(file, ++line, at, classes, &boxes[n], &found, err);
        n += (size_t)found;
    }
    if (status) {
        free(boxes);
        return status;
    }
    *list = boxes;
    *count = n;
    return DPF_OK;
}

/* One picture's boxes; a reason why it cannot be used goes into err. */
static dpf_status read_one(const char *picture, int classes, dn_boxes *out, int *missing, dpf_error *err) {
    unsigned char *bytes = NULL;
    size_t size = 0;
    dn_box *list = NULL;
    dpf_status status = DPF_OK;
    *missing = 0;
    if (strlen(picture) >= DN_MOST_PATH)
        return dpf_fail(err, DPF_ERR_RANGE, "the path '%.60s...' has more than %d characters", picture,
                        DN_MOST_PATH - 1);
    char *path = labels_path(picture);
    if (!path)
        return dpf_fail_memory(err, strlen(picture), "a file name");
    if (access(path, F_OK) != 0)
        *missing = 1;
    else
        status = file_read(path, "label file", &bytes, &size, err);
    if (!status && bytes)
        status = labels_parse(path, (const char *)bytes, size, classes, &list, &out->count, err);
    out->list = list;
    free(bytes);
    free(path);
    return status;
}

static dpf_status nothing_found(const imagelist *list, dpf_error *err) {
    char *path = labels_path(imagelist_path(list, 0));
    dpf_fail(err, DPF_ERR_IO, "%s: none of its %zu pictures has a label file; that of the first would be '%s'",
             imagelist_file(list), imagelist_count(list), path ? path : "?");
    free(path);
    return DPF_ERR_IO;
}

typedef struct reading {
    dpf_error err;
    dpf_status status;
    int missing;
} reading;

dpf_status labels_read(labels *out, imagelist *list, int classes, dpf_error *err) {
    labels all = {.pictures = imagelist_count(list)};
    *out = (labels){0};
    all.of = calloc(all.pictures, sizeof *all.of);
    enum { BLOCK = 256 }; /* so that the messages come in the list's order */
    reading *block = calloc(BLOCK, sizeof *block);
    if (!all.of || !block) {
        free(block);
        labels_free(&all);
        return dpf_fail_memory(err, all.pictures * sizeof *all.of, "the labels");
    }
    const char *first_missing = NULL;
    for (size_t first = 0; first < all.pictures; first += BLOCK) {
        const size_t n = all.pictures - first < BLOCK ? all.pictures - first : BLOCK;
#pragma omp parallel for schedule(dynamic, 8)
        for (size_t i = 0; i < n; i++)
            block[i].status = read_one(imagelist_path(list, first + i), classes, &all.of[first + i], &block[i].missing,
                                       &block[i].err);
        for (size_t i = 0; i < n; i++) {
            if (block[i].status)
                imagelist_drop(list, first + i, block[i].err.text);
            if (block[i].missing && !all.missing++)
                first_missing = imagelist_path(list, first + i);
            all.boxes += all.of[first + i].count;
            all.most = all.of[first + i].count > all.most ? all.of[first + i].count : all.most;
        }
    }
    free(block);
    dpf_status status = all.missing == all.pictures ? nothing_found(list, err) : DPF_OK;
    if (!status && imagelist_bad(list) == all.pictures)
        status = dpf_fail(err, DPF_ERR_FORMAT, "%s: none of its %zu pictures can be used", imagelist_file(list),
                          all.pictures);
    if (status) {
        labels_free(&all);
        return status;
    }
    if (all.missing)
        say("%s: %zu of %zu pictures have no label file ('%s' is the first): taken as pictures without objects",
            imagelist_file(list), all.missing, all.pictures, first_missing);
    *out = all;
    return DPF_OK;
}

uint64_t labels_hash(const labels *all) {
    uint64_t hash = 1; /* of no boxes at all, too, it is not 0 */
    for (size_t i = 0; i < all->pictures; i++) {
        const dn_boxes *of = &all->of[i];
        hash = XXH64(&of->count, sizeof of->count, hash);
        hash = of->count ? XXH64(of->list, of->count * sizeof *of->list, hash) : hash; /* a dn_box has no gaps */
    }
    return hash;
}

void labels_free(labels *all) {
    for (size_t i = 0; all->of && i < all->pictures; i++)
        free((dn_box *)all->of[i].list);
    free(all->of);
    *all = (labels){0};
}
