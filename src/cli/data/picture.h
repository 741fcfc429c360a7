/* SPDX-License-Identifier: MIT
 *
 * Is this file a whole picture that Darknet's loader can read? Darknet's loader
 * itself goes on with noise (or a shell command) where a picture is broken, and
 * both it and common decoders take a file that ends in the middle for a good one.
 */
#ifndef DPF_CLI_PICTURE_H
#define DPF_CLI_PICTURE_H

#include <stddef.h>

#include "../../dpf/core/error.h"

/* NULL when the file is good; else the reason as a verb phrase ("is empty",
 * "cannot be read: No such file or directory"), written into `reason`. Safe to call from
 * several threads. */
const char *picture_check(const char *path, char *reason, size_t size);

/* Its pixels, 8 bits each, `channels` (1 to 4) of them interleaved; the caller frees *pixels. Only
 * what our own decoder reads (JPEG, PNG, BMP, PPM). */
dpf_status picture_load(const char *path, int channels, unsigned char **pixels, int *width, int *height,
                        dpf_error *err);

#endif
