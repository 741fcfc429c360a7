/* SPDX-License-Identifier: MIT
 *
 * Fashion-MNIST as Darknet wants it: turns the four IDX files of Debian's package
 * dataset-fashion-mnist into PNG files, image lists, labels and a data file.
 *
 * Darknet finds the class of a picture by looking for each label anywhere in the
 * picture's path, so a label must occur in the paths of its own class only. The
 * labels here are "_NAME." and the files "NNNNN_NAME.png": the underscore keeps
 * "shirt" out of "tshirt", the dot ends the name, and a target folder that holds
 * a label in its own path is refused.
 *
 * What must stay true: every length and value of an IDX file is checked before it
 * is used, and fashion.data is written last, so that its presence means that the
 * tree is whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <stb/stb_image_write.h>

#define CLASSES 10
#define SIDE 28
#define PIXELS ((size_t)SIDE * SIDE)
#define MAX_ITEMS 1000000u /* the real files hold 60,000 and 10,000 */

static const char *const labels[CLASSES] = {"_tshirt.", "_trouser.", "_pullover.", "_dress.", "_coat.",
                                            "_sandal.", "_shirt.",   "_sneaker.",  "_bag.",   "_ankleboot."};
static const char *const names[CLASSES] = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                                           "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};

typedef struct idx_set {
    uint8_t *pixels; /* count * PIXELS */
    uint8_t *classes;
    size_t count;
} idx_set;

static int say(const char *what, const char *path, const char *why) {
    fprintf(stderr, "fashion: %s %s: %s\n", what, path, why);
    return -1;
}

static uint32_t big_endian(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Reads exactly `size` bytes; a short file and a damaged one are both errors. */
static int read_exactly(gzFile in, const char *path, void *to, size_t size) {
    uint8_t *bytes = to;
    while (size > 0) {
        unsigned step = size < (1u << 20) ? (unsigned)size : 1u << 20;
        int got = gzread(in, bytes, step);
        int code = 0;
        if (got < 0)
            return say("cannot read", path, gzerror(in, &code));
        if (got == 0)
            return say("cannot read", path, "the file ends too early");
        bytes += got;
        size -= (size_t)got;
    }
    return 0;
}

/* One IDX file of unsigned bytes: `dims` dimensions, the first is the count. */
static int read_idx(const char *folder, const char *name, unsigned dims, uint8_t **out, size_t *count) {
    char path[PATH_MAX], trailing;
    uint8_t head[16], *bytes = NULL;
    gzFile in = NULL;
    size_t item = 1, size;

    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return say("cannot open", folder, "the path is too long");
    errno = 0; /* gzopen leaves it 0 when memory ran out */
    in = gzopen(path, "rb");
    if (!in)
        return say("cannot open", path, errno ? strerror(errno) : "out of memory");
    if (read_exactly(in, path, head, 4 + 4 * (size_t)dims))
        goto fail;
    if (big_endian(head) != (0x0800u | dims)) {
        say("cannot use", path,
            dims == 3 ? "not an IDX file of bytes in 3 dimensions (magic 0x00000803)"
                      : "not an IDX file of bytes in 1 dimension (magic 0x00000801)");
        goto fail;
    }
    *count = big_endian(head + 4);
    if (*count == 0 || *count > MAX_ITEMS) {
        say("cannot use", path, "the number of items is not between 1 and 1000000");
        goto fail;
    }
    if (dims == 3) {
        if (big_endian(head + 8) != SIDE || big_endian(head + 12) != SIDE) {
            say("cannot use", path, "the pictures are not 28x28");
            goto fail;
        }
        item = PIXELS;
    }
    size = *count * item; /* at most 784e6: no overflow */
    bytes = malloc(size);
    if (!bytes) {
        say("cannot read", path, "out of memory");
        goto fail;
    }
    if (read_exactly(in, path, bytes, size))
        goto fail;
    if (gzread(in, &trailing, 1) != 0) {
        say("cannot use", path, "the file is longer than its header says, or damaged at its end");
        goto fail;
    }
    gzclose(in);
    *out = bytes;
    return 0;
fail:
    free(bytes);
    gzclose(in);
    return -1;
}

static int read_set(const char *folder, const char *images, const char *classes, idx_set *set) {
    size_t count = 0;
    if (read_idx(folder, images, 3, &set->pixels, &set->count) || read_idx(folder, classes, 1, &set->classes, &count))
        return -1;
    if (count != set->count)
        return say("cannot use", folder, "the numbers of pictures and labels differ");
    for (size_t i = 0; i < count; i++)
        if (set->classes[i] >= CLASSES)
            return say("cannot use", classes, "a label is not between 0 and 9");
    return 0;
}

static int make_folder(const char *path) {
    if (mkdir(path, 0777) && errno != EEXIST)
        return say("cannot make folder", path, strerror(errno));
    return 0;
}

/* Opens OUT/name for writing, or says why not. */
static FILE *create(const char *out, const char *name, char path[PATH_MAX]) {
    FILE *file = NULL;
    if (snprintf(path, PATH_MAX, "%s/%s", out, name) >= PATH_MAX) {
        say("cannot write", out, "the path is too long");
        return NULL;
    }
    file = fopen(path, "w");
    if (!file)
        say("cannot write", path, strerror(errno));
    return file;
}

/* fclose that reports a full disk, which may show only here. */
static int finish(FILE *file, const char *path) {
    int bad = ferror(file);
    if (fclose(file) || bad)
        return say("cannot write", path, errno ? strerror(errno) : "write error");
    return 0;
}

/* For stb: a failed write stays in the stream's error flag, which finish() reads. */
static void put(void *file, void *bytes, int size) {
    (void)fwrite(bytes, 1, (size_t)size, file);
}

static int write_png(const char *path, const uint8_t *pixels) {
    FILE *file = fopen(path, "wb");
    int made;
    if (!file)
        return say("cannot write", path, strerror(errno));
    made = stbi_write_png_to_func(put, file, SIDE, SIDE, 1, pixels, SIDE);
    if (finish(file, path))
        return -1;
    return made ? 0 : say("cannot write", path, "out of memory");
}

/* Writes OUT/part/NNNNN_NAME.png for the first `count` pictures and OUT/part.list. */
static int write_set(const char *out, const char *part, const idx_set *set, size_t count) {
    char name[64], path[PATH_MAX], picture[PATH_MAX];
    FILE *list = NULL;
    if (snprintf(path, sizeof path, "%s/%s", out, part) >= (int)sizeof path)
        return say("cannot write", out, "the path is too long");
    if (make_folder(path))
        return -1;
    snprintf(name, sizeof name, "%s.list", part);
    list = create(out, name, path);
    if (!list)
        return -1;
    for (size_t i = 0; i < count; i++) {
        int length = snprintf(picture, sizeof picture, "%s/%s/%05zu%spng", out, part, i, labels[set->classes[i]]);
        if (length < 0 || length >= (int)sizeof picture) {
            say("cannot write", out, "the path is too long");
            goto fail;
        }
        if (write_png(picture, set->pixels + i * PIXELS))
            goto fail;
        fprintf(list, "%s\n", picture);
    }
    printf("%s: %zu pictures\n", path, count);
    return finish(list, path);
fail:
    fclose(list);
    return -1;
}

static int write_words(const char *out, const char *name, const char *const *words) {
    char path[PATH_MAX];
    FILE *file = create(out, name, path);
    if (!file)
        return -1;
    for (size_t i = 0; i < CLASSES; i++)
        fprintf(file, "%s\n", words[i]);
    return finish(file, path);
}

static int write_data_file(const char *out) {
    char path[PATH_MAX];
    FILE *file = create(out, "fashion.data", path);
    if (!file)
        return -1;
    fprintf(file, "classes = %d\n", CLASSES);
    fprintf(file, "train   = %s/train.list\n", out);
    fprintf(file, "valid   = %s/test.list\n", out);
    fprintf(file, "labels  = %s/labels.list\n", out);
    fprintf(file, "names   = %s/names.list\n", out);
    fprintf(file, "backup  = %s/backup\n", out);
    fprintf(file, "top     = 2\n");
    if (finish(file, path))
        return -1;
    printf("%s\n", path);
    return 0;
}

static int write_tree(const char *out, const idx_set *train, const idx_set *test, size_t limit) {
    char path[PATH_MAX];
    for (size_t i = 0; i < CLASSES; i++)
        if (strstr(out, labels[i]))
            return say("cannot use target folder", out,
                       "its path holds a class label, so Darknet would find it in every picture");
    if (snprintf(path, sizeof path, "%s/fashion.data", out) >= (int)sizeof path)
        return say("cannot write", out, "the path is too long");
    if (unlink(path) && errno != ENOENT)
        return say("cannot replace", path, strerror(errno));
    if (snprintf(path, sizeof path, "%s/backup", out) >= (int)sizeof path)
        return say("cannot write", out, "the path is too long");
    if (make_folder(path))
        return -1;
    if (write_set(out, "train", train, train->count < limit ? train->count : limit) ||
        write_set(out, "test", test, test->count < limit ? test->count : limit))
        return -1;
    if (write_words(out, "labels.list", labels) || write_words(out, "names.list", names))
        return -1;
    return write_data_file(out);
}

static int usage(void) {
    fputs("usage: fashion [-n N] [-s FOLDER] OUT\n"
          "Writes OUT/train, OUT/test (PNG), the lists, labels and OUT/fashion.data.\n"
          "  -n N        only the first N pictures of each part\n"
          "  -s FOLDER   where the IDX files are (default: /usr/share/datasets/fashion-mnist)\n",
          stderr);
    return 2;
}

int main(int argc, char **argv) {
    const char *source = "/usr/share/datasets/fashion-mnist";
    size_t limit = MAX_ITEMS;
    idx_set train = {0}, test = {0};
    char *out = NULL, *end = NULL;
    int option, failed = 1;

    while ((option = getopt(argc, argv, "n:s:")) != -1) {
        if (option == 's') {
            source = optarg;
        } else if (option == 'n') {
            errno = 0;
            limit = strtoul(optarg, &end, 10);
            if (errno || end == optarg || *end || limit < 1 || limit > MAX_ITEMS) {
                say("bad value", optarg, "-n takes a number from 1 to 1000000");
                return 2;
            }
        } else {
            return usage();
        }
    }
    if (optind + 1 != argc)
        return usage();
    if (make_folder(argv[optind]))
        return 1;
    out = realpath(argv[optind], NULL); /* lists hold absolute paths: they work from any folder */
    if (!out) {
        say("cannot find", argv[optind], strerror(errno));
        return 1;
    }
    if (read_set(source, "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz", &train) == 0 &&
        read_set(source, "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz", &test) == 0)
        failed = write_tree(out, &train, &test, limit) != 0;
    free(train.pixels);
    free(train.classes);
    free(test.pixels);
    free(test.classes);
    free(out);
    return failed;
}
