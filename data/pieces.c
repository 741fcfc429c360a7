/* SPDX-License-Identifier: MIT
 *
 * A small data set for detectors: pieces of Fashion-MNIST on larger, noisy canvases,
 * with Darknet's label files. Takes what data/fashion.c has written:
 *
 *   pieces [-n N] FASHION OUT     FASHION/train.list and test.list -> OUT/pieces.data
 *
 * A canvas of 96 x 96 holds one to four pieces of three classes (trouser, bag, ankle boot)
 * at once or one and a half times their size, one in each quarter, so that none hides
 * another. A label's box is drawn tightly around what can be seen of its piece.
 *
 * What must stay true: two runs write the same files, and pieces.data is written last,
 * so that its presence means that the tree is whole.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stb/stb_image.h>
#include <stb/stb_image_write.h>

#include "dpf/core/random.h"

enum { SIDE = 28, CANVAS = 96, QUARTER = CANVAS / 2, CLASSES = 3, MOST = 4, VISIBLE = 40, PER_CLASS = 400 };

static const char *const words[CLASSES] = {"_trouser.", "_bag.", "_ankleboot."};
static const char *const names[CLASSES] = {"trouser", "bag", "ankle boot"};

typedef struct source { /* the pieces of one list, by class */
    uint8_t *piece[CLASSES][PER_CLASS];
    size_t count[CLASSES];
} source;

static int say(const char *what, const char *path, const char *why) {
    fprintf(stderr, "pieces: %s %s: %s\n", what, path, why);
    return -1;
}

static int join(char path[PATH_MAX], const char *folder, const char *name) {
    const int length = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return length < PATH_MAX ? 0 : say("cannot use", folder, "the path is too long");
}

/* Takes the picture if it is of one of our classes and there is still room. */
static int take(source *from, const char *path) {
    int class = 0, w, h, channels;
    while (class < CLASSES && !strstr(path, words[class]))
        class ++;
    if (class == CLASSES || from->count[class] == PER_CLASS)
        return 0;
    uint8_t *pixels = stbi_load(path, &w, &h, &channels, 1);
    if (!pixels)
        return say("cannot read", path, stbi_failure_reason());
    if (w != SIDE || h != SIDE) {
        stbi_image_free(pixels);
        return say("cannot use", path, "28 x 28 pixels are wanted");
    }
    from->piece[class][from->count[class]++] = pixels;
    return 0;
}

static int read_source(source *from, const char *folder, const char *list_name) {
    char path[PATH_MAX], *line = NULL;
    size_t room = 0;
    int failed = 0;
    if (join(path, folder, list_name))
        return -1;
    FILE *list = fopen(path, "r");
    if (!list)
        return say("cannot open", path, strerror(errno));
    ssize_t length;
    while (!failed && (length = getline(&line, &room, list)) > 0) {
        line[length - 1] = line[length - 1] == '\n' ? 0 : line[length - 1];
        failed = take(from, line);
    }
    free(line);
    fclose(list);
    for (int k = 0; k < CLASSES && !failed; k++)
        if (!from->count[k])
            failed = say("cannot use", path, "a class has no picture in it");
    return failed;
}

static void free_source(source *from) {
    for (int k = 0; k < CLASSES; k++)
        for (size_t i = 0; i < from->count[k]; i++)
            stbi_image_free(from->piece[k][i]);
}

/* Draws a piece of side `side` with its corner at (x, y); writes its label. */
static void put_piece(uint8_t *canvas, const uint8_t *piece, int side, int x, int y, int class, FILE *label) {
    int left = CANVAS, top = CANVAS, right = -1, bottom = -1;
    for (int j = 0; j < side; j++)
        for (int i = 0; i < side; i++) {
            const uint8_t value = piece[j * SIDE / side * SIDE + i * SIDE / side];
            uint8_t *pixel = &canvas[(y + j) * CANVAS + x + i];
            if (value < VISIBLE)
                continue;
            *pixel = value > *pixel ? value : *pixel;
            left = x + i < left ? x + i : left;
            right = x + i > right ? x + i : right;
            top = y + j < top ? y + j : top;
            bottom = y + j > bottom ? y + j : bottom;
        }
    if (right >= 0)
        fprintf(label, "%d %.6f %.6f %.6f %.6f\n", class, (left + right + 1) / 2.0 / CANVAS,
                (top + bottom + 1) / 2.0 / CANVAS, (right - left + 1.0) / CANVAS, (bottom - top + 1.0) / CANVAS);
}

static void draw(const source *from, uint64_t *random, uint8_t *canvas, FILE *label) {
    for (int i = 0; i < CANVAS * CANVAS; i++)
        canvas[i] = (uint8_t)random_below(random, VISIBLE);
    const int pieces = 1 + (int)random_below(random, MOST), first = (int)random_below(random, MOST);
    for (int k = 0; k < pieces; k++) {
        const int quarter = (first + k) % MOST, class = (int)random_below(random, CLASSES);
        const int side = random_below(random, 2) ? SIDE : SIDE * 3 / 2;
        const uint64_t free_places = (uint64_t)QUARTER + 1 - (uint64_t)side;
        const int x = quarter % 2 * QUARTER + (int)random_below(random, free_places);
        const int y = quarter / 2 * QUARTER + (int)random_below(random, free_places);
        put_piece(canvas, from->piece[class][random_below(random, from->count[class])], side, x, y, class, label);
    }
}

static int write_one(const source *from, const char *out, const char *id, uint64_t *random, FILE *list) {
    static uint8_t canvas[CANVAS * CANVAS];
    char picture[PATH_MAX + 32], labels[PATH_MAX + 32];
    snprintf(picture, sizeof picture, "%s/images/%s.png", out, id);
    snprintf(labels, sizeof labels, "%s/labels/%s.txt", out, id);
    FILE *label = fopen(labels, "w");
    if (!label)
        return say("cannot write", labels, strerror(errno));
    draw(from, random, canvas, label);
    if (fclose(label))
        return say("cannot write", labels, strerror(errno));
    if (!stbi_write_png(picture, CANVAS, CANVAS, 1, canvas, CANVAS))
        return say("cannot write", picture, "write error");
    fprintf(list, "%s\n", picture);
    return 0;
}

static int write_set(const char *fashion, const char *out, const char *part, size_t count, uint64_t seed) {
    static source from;
    char name[32], path[PATH_MAX];
    uint64_t random = random_stream(seed, 0);
    from = (source){0};
    snprintf(name, sizeof name, "%s.list", part);
    int failed = read_source(&from, fashion, name) || join(path, out, name);
    FILE *list = failed ? NULL : fopen(path, "w");
    if (!failed && !list)
        failed = say("cannot write", path, strerror(errno));
    for (size_t i = 0; i < count && !failed; i++) {
        snprintf(name, sizeof name, "%s%05zu", part, i);
        failed = write_one(&from, out, name, &random, list);
    }
    if (list && fclose(list) && !failed)
        failed = say("cannot write", path, strerror(errno));
    free_source(&from);
    return failed ? -1 : 0;
}

static int make_folders(const char *out) {
    static const char *const parts[] = {"images", "labels", "backup"};
    char path[PATH_MAX];
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (join(path, out, parts[i]) || (mkdir(path, 0777) && errno != EEXIST))
            return say("cannot make folder", path, strerror(errno));
    return 0;
}

static int write_text(const char *out, const char *name, const char *text) {
    char path[PATH_MAX];
    if (join(path, out, name))
        return -1;
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file))
        return say("cannot write", path, strerror(errno));
    return 0;
}

static int write_tree(const char *fashion, const char *out, size_t count) {
    char text[4 * PATH_MAX + 128], path[PATH_MAX];
    if (strstr(out, "images") || strstr(out, "raw"))
        return say("cannot use target folder", out, "Darknet replaces 'images' and 'raw' in paths with 'labels'");
    if (join(path, out, "pieces.data") || (unlink(path) && errno != ENOENT))
        return say("cannot replace", path, strerror(errno));
    if (make_folders(out) || write_set(fashion, out, "train", count, 1) || write_set(fashion, out, "test", count, 2))
        return -1;
    snprintf(text, sizeof text, "%s\n%s\n%s\n", names[0], names[1], names[2]);
    if (write_text(out, "names.list", text))
        return -1;
    snprintf(text, sizeof text,
             "classes = %d\ntrain   = %s/train.list\nvalid   = %s/test.list\nnames   = %s/names.list\nbackup  = "
             "%s/backup\n",
             CLASSES, out, out, out, out);
    printf("%s\n", path);
    return write_text(out, "pieces.data", text);
}

int main(int argc, char **argv) {
    size_t count = 200;
    int option, bad = 0;
    char *end = NULL;
    while ((option = getopt(argc, argv, "n:")) != -1) {
        count = option == 'n' ? strtoul(optarg, &end, 10) : 0;
        bad |= option != 'n' || end == optarg || *end || count < 1 || count > 99999;
    }
    if (bad || optind + 2 != argc) {
        fputs("usage: pieces [-n N] FASHION OUT\n"
              "Draws N (default: 200, at most 99999) pictures each for training and testing.\n",
              stderr);
        return 2;
    }
    if (mkdir(argv[optind + 1], 0777) && errno != EEXIST) {
        say("cannot make folder", argv[optind + 1], strerror(errno));
        return 1;
    }
    char *out = realpath(argv[optind + 1], NULL); /* lists hold absolute paths: they work from any folder */
    const int failed = out ? write_tree(argv[optind], out, count) : say("cannot find", argv[optind + 1], "no path");
    free(out);
    return failed ? 1 : 0;
}
