/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: any bytes as the text files beside a data file: a list of pictures, a list
 * of labels, and a label file with boxes.
 */
#include <math.h>
#include <omp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/data/imagelist.h"
#include "cli/data/labels.h"
#include "cli/data/lines.h"
#include "cli/terminal/say.h"

enum { CLASSES = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In place of the program's: warnings would drown what the fuzzer says. */
void say(const char *format, ...) {
    (void)format;
}

static void try_boxes(const uint8_t *data, size_t size) {
    dn_box *list;
    size_t count, most = 1;
    dpf_error err;
    char *text = malloc(size + 1); /* exactly as long as what a file's reader hands over */
    if (!text)
        return;
    memcpy(text, data, size);
    text[size] = 0;
    for (size_t i = 0; i < size; i++)
        most += data[i] == '\n';
    if (labels_parse("fuzz.txt", text, size, CLASSES, &list, &count, &err) == DPF_OK) {
        if (!list || count > most)
            abort();
        for (size_t i = 0; i < count; i++)
            if (list[i].class < 0 || list[i].class >= CLASSES || !(fabsf(list[i].x) <= 1.1f) ||
                !(fabsf(list[i].y) <= 1.1f) || !(fabsf(list[i].w) <= 1.1f) || !(fabsf(list[i].h) <= 1.1f))
                abort();
        free(list);
    } else if (list) {
        abort();
    }
    free(text);
}

/* Picture list and label list from the same bytes: each line then is its own label. */
static void try_lists(const char *path) {
    imagelist *list = NULL;
    lines names = {0};
    dpf_error err;
    if (lines_read(&names, path, "label list", &err) != DPF_OK)
        return;
    if (names.count == 0)
        abort();
    if (imagelist_open(&list, path, "list", &err) == DPF_OK) {
        if (imagelist_count(list) != names.count)
            abort();
        for (size_t i = 0; i < names.count; i++) {
            if (!imagelist_path(list, i)[0] || strpbrk(imagelist_path(list, i), "\n"))
                abort();
            free(labels_path(imagelist_path(list, i)));
        }
        if (names.count < 64)
            imagelist_match(list, &names, (int)names.count, NULL, &err);
    }
    imagelist_free(list);
    lines_free(&names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    omp_set_num_threads(1);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    try_boxes(data, size);
    try_lists(path);
    close(fd);
    return 0;
}
