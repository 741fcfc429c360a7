/* SPDX-License-Identifier: MIT
 *
 * A model as the command line names it: a cfg, with the weights in a file of their
 * own, or one .dpf file that holds both. Everything that takes a model opens it here,
 * so that both forms work everywhere; no temporary file is made of either.
 */
#ifndef DPF_MODEL_MODELFILE_H
#define DPF_MODEL_MODELFILE_H

#include <stddef.h>

#include "../core/error.h"
#include "cfg.h"
#include "graph.h"
#include "weights.h"

typedef struct dpf_modelfile {
    char *text; /* of the cfg, as it stands in the file */
    size_t text_size;
    dpf_cfg *cfg;
    dpf_cfg *section; /* of a -dpf FILE, or NULL */
    dpf_graph *graph;
    dpf_weights weights; /* values is NULL until they are read; those of a .dpf are read at once */
    int packed;          /* opened from a .dpf ... */
    int half;            /* ... whose weights have been through float16 */
} dpf_modelfile;

/* Is this file a .dpf? By its first bytes, and by its name, so that a damaged one is not
 * taken for a cfg. A file that cannot be opened is told by its name alone. */
int dpf_modelfile_is_packed(const char *path);

/* `path`: a cfg or a .dpf. `section`: a file with the [dpf] section, or NULL: the one in the cfg,
 * if any. On failure *out is empty. */
dpf_status dpf_modelfile_open(dpf_modelfile *out, const char *path, const char *section, dpf_error *err);

/* Reads the weights from a file of their own, also in place of those of a .dpf. */
dpf_status dpf_modelfile_read(dpf_modelfile *model, const char *weights, dpf_error *err);

/* Would dpf_modelfile_write make a .dpf of this path? One that ends in ".dpf". */
int dpf_modelfile_packs(const char *path);

/* Writes the model's weights: into a .dpf together with the cfg where dpf_modelfile_packs(path), else
 * as .weights. half: of a .dpf, see container.h. */
dpf_status dpf_modelfile_write(const dpf_modelfile *model, const char *path, int half, dpf_error *err);

void dpf_modelfile_free(dpf_modelfile *model); /* of the content; an empty one and NULL are allowed */

#endif
