/* SPDX-License-Identifier: MIT
 *
 * Names of the files that a training writes, and whether they can be written.
 */
#ifndef DPF_CLI_FILES_H
#define DPF_CLI_FILES_H

#include <stddef.h>

#include "../../dpf/core/error.h"

/* Darknet's name of a model: the cfg's file name up to the first dot. Malloc'd; NULL: out of memory. */
char *files_base(const char *cfg_path);

/* FOLDER/BASE + suffix, malloc'd; NULL: out of memory. */
char *files_name(const char *folder, const char *base, const char *suffix);

/* Fails unless FOLDER is there and takes a new file of some bytes. */
dpf_status files_probe(const char *folder, const char *base, dpf_error *err);

#endif
