/* SPDX-License-Identifier: MIT
 *
 * A Darknet data file: which lists, how many classes, where results go. Keys and
 * defaults are Darknet's; a default that is used is named on stderr as Darknet
 * does. A key that is not known is only warned about, for Darknet skips it.
 */
#ifndef DPF_CLI_DATAFILE_H
#define DPF_CLI_DATAFILE_H

#include "../../dpf/core/error.h"
#include "../../dpf/model/cfg.h"

typedef struct datafile {
    dpf_cfg *cfg; /* storage of the strings below */
    const char *path;
    int classes;
    const char *train, *valid, *labels, *backup; /* Darknet's defaults where the file has none */
    const char *names;                           /* falls back to labels */
    const char *results, *eval;                  /* of `detector valid` */
    const char *difficult;                       /* a list, or NULL */
    int has_valid, has_classes, has_names;
    int top, has_top;
} datafile;

/* What a command reads; only defaults of these are mentioned. */
enum { DATA_TRAIN = 1, DATA_VALID = 2, DATA_LABELS = 4, DATA_BACKUP = 8, DATA_CLASSES = 16 };

/* `path` is borrowed and must outlive *out. On failure *out holds nothing to free. */
dpf_status datafile_read(datafile *out, const char *path, unsigned needs, dpf_error *err);
void datafile_free(datafile *data); /* safe on a zeroed struct */

#endif
