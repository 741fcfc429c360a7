/* SPDX-License-Identifier: MIT
 *
 * `darknet dpf pack`, `unpack` and `verify`: .dpf files.
 */
#include "verbs.h"

#include <stdio.h>
#include <sys/stat.h>

#include "../../dpf/model/container.h"
#include "../terminal/args.h"
#include "../terminal/say.h"

static long long file_size(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 ? (long long)info.st_size : 0;
}

int dpf_files_pack(int argc, char **argv) {
    dpf_container_options options = {0};
    const args_flag flags[] = {{"-half", ARGS_SWITCH, &options.half, NULL, 0, 0}};
    const char *words[3];
    dpf_error err;
    if (args_parse(argc, argv, flags, sizeof flags / sizeof flags[0], words, 3, 3,
                   "darknet dpf pack CFG WEIGHTS OUT.dpf [-half]", &err) != DPF_OK ||
        dpf_container_pack(words[0], words[1], words[2], &options, &err) != DPF_OK)
        return say_error(&err);
    long long before = file_size(words[1]), after = file_size(words[2]);
    printf("%s: %lld bytes, %.1f %% of %s\n", words[2], after, 100.0 * (double)after / (double)(before ? before : 1),
           words[1]);
    return EXIT_GOOD;
}

int dpf_files_unpack(int argc, char **argv) {
    const char *words[3];
    dpf_error err;
    if (args_parse(argc, argv, NULL, 0, words, 3, 3, "darknet dpf unpack IN.dpf CFG WEIGHTS", &err) != DPF_OK ||
        dpf_container_unpack(words[0], words[1], words[2], &err) != DPF_OK)
        return say_error(&err);
    return EXIT_GOOD;
}

int dpf_files_verify(int argc, char **argv) {
    const char *words[1];
    dpf_container content;
    dpf_error err;
    if (args_parse(argc, argv, NULL, 0, words, 1, 1, "darknet dpf verify FILE.dpf", &err) != DPF_OK ||
        dpf_container_read(&content, words[0], &err) != DPF_OK)
        return say_error(&err);
    printf("%s: good; %zu parameters, %zu of %zu weights are not 0 (%.2f %%), float%d\n", words[0],
           content.weights.count, content.kept, content.coded,
           100.0 * (double)content.kept / (double)(content.coded ? content.coded : 1), content.half ? 16 : 32);
    dpf_container_free(&content);
    return EXIT_GOOD;
}
