/* SPDX-License-Identifier: MIT
 *
 * `darknet dpf inspect FILE [CFG] [-json]`: how sparse each layer is.
 */
#ifndef DPF_CLI_DPF_INSPECT_H
#define DPF_CLI_DPF_INSPECT_H

#include "../dpf/model/inspect.h"
#include "../dpf/model/modelfile.h"

/* Takes the arguments after its verb, and returns the program's exit status. */
int dpf_inspect(int argc, char **argv);

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
