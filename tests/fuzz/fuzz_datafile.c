/* SPDX-License-Identifier: MIT
 *
 * Fuzz target: any bytes as a data file, read as every command reads it.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/data/datafile.h"
#include "cli/terminal/say.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In place of the program's: warnings would drown what the fuzzer says. */
void say(const char *format, ...) {
    (void)format;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const unsigned all = DATA_TRAIN | DATA_VALID | DATA_LABELS | DATA_BACKUP | DATA_CLASSES;
    datafile read;
    dpf_error err = {0};
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (datafile_read(&read, path, all, &err) == DPF_OK) {
        /* what datafile.h promises: a value for every key that a command may ask for */
        const char *const texts[] = {read.train, read.valid, read.labels, read.backup, read.names};
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            if (!texts[i] || !texts[i][0])
                abort();
        if (read.classes < 1 || read.top < 1)
            abort();
        datafile_free(&read);
    } else if (!err.text[0] || strlen(err.text) >= sizeof err.text) {
        abort();
    }
    close(fd);
    return 0;
}
