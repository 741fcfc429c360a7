/* SPDX-License-Identifier: MIT
 *
 * What `darknet dpf inspect` knows, between what finds it out and what prints it.
 */
#ifndef DPF_CLI_DPF_INSPECT_H
#define DPF_CLI_DPF_INSPECT_H

#include "../../dpf/model/inspect.h"
#include "../../dpf/model/modelfile.h"

/* What the table and the JSON text are made of. */
typedef struct inspection {
    const char *file;     /* as the user named it */
    const char *cfg;      /* likewise; NULL for a .dpf */
    long long file_bytes; /* on the disk */
    const dpf_modelfile *model;
    const dpf_facts *facts; /* one a layer */
    dpf_facts prunable, all;
} inspection;

void inspect_print_json(const inspection *in);

#endif
