/* SPDX-License-Identifier: MIT
 *
 * main for a fuzz target outside of libFuzzer: feeds it every file of a corpus
 * folder once, in the order of their names, and speaks TAP. An empty corpus is a
 * failure: it would test nothing.
 */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The whole file, malloc'd to its exact length so that a sanitizer sees a read past it. */
static uint8_t *read_file(const char *path, size_t *size) {
    struct stat info;
    uint8_t *bytes = NULL;
    FILE *in = fopen(path, "rb");
    if (!in)
        return NULL;
    if (fstat(fileno(in), &info) == 0 && S_ISREG(info.st_mode)) {
        *size = (size_t)info.st_size;
        bytes = malloc(*size > 0 ? *size : 1);
        if (bytes && fread(bytes, 1, *size, in) != *size) {
            free(bytes);
            bytes = NULL;
        }
    }
    fclose(in);
    return bytes;
}

int main(int argc, char **argv) {
    struct dirent **entries = NULL;
    int found = argc == 2 ? scandir(argv[1], &entries, NULL, alphasort) : -1;
    size_t replayed = 0, broken = 0;

    for (int i = 0; i < found; i++) {
        char path[PATH_MAX];
        size_t size = 0;
        uint8_t *bytes = NULL;
        if (entries[i]->d_name[0] != '.') {
            snprintf(path, sizeof path, "%s/%s", argv[1], entries[i]->d_name);
            fprintf(stderr, "%s\n", path); /* the last name on standard error is the one that crashed */
            bytes = read_file(path, &size);
            if (bytes) {
                LLVMFuzzerTestOneInput(bytes, size);
                replayed++;
            } else {
                broken++;
            }
            free(bytes);
        }
        free(entries[i]);
    }
    free(entries);
    printf("1..1\n");
    if (replayed > 0 && broken == 0) {
        printf("ok 1 - %zu inputs\n", replayed);
        return 0;
    }
    printf("not ok 1 - %zu inputs, %zu unreadable\n", replayed, broken);
    return 1;
}
