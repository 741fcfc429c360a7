/* SPDX-License-Identifier: MIT
 *
 * A checkpoint: NAME.weights, which every Darknet reads, and NAME.state beside it.
 * Two files cannot be replaced in one step, so this is how the pair stays whole:
 *
 *   1. both are written to temporary files and flushed to the disk. A full disk ends here,
 *      and nothing has happened;
 *   2. NAME.state  ->  NAME.state.old
 *   3. the new state gets its name
 *   4. the new weights get theirs
 *   5. NAME.state.old is removed
 *
 * A state holds the checksum of the weights it belongs to. Whatever the step at which
 * a crash comes, one of NAME.state and NAME.state.old belongs to NAME.weights: up to
 * step 3 the old one (where it then is), after step 4 the new one. The reader tries both.
 */
#ifndef DPF_MODEL_CHECKPOINT_H
#define DPF_MODEL_CHECKPOINT_H

#include "state.h"

/* NAME.state for NAME.weights (for another name, the name and ".state"). Malloc'd; NULL: out of memory. */
char *dpf_checkpoint_state_path(const char *weights_path);

/* Replaces the pair. `weights` are the bytes of the whole file; state->weights_hash is set.
 * On failure the old pair, if any, is what it was. */
dpf_status dpf_checkpoint_write(const char *weights_path, const void *weights, size_t size, dpf_state *state,
                                dpf_error *err);

/* Reads the state that belongs to the weights. *found = 0: there is no state beside them, and *out
 * is empty. DPF_ERR_FORMAT (damaged), DPF_ERR_MISMATCH (of other weights), DPF_ERR_IO. */
dpf_status dpf_checkpoint_read(dpf_state *out, int *found, const char *weights_path, dpf_error *err);

/* Clears away what a crash may have left: of NAME.state and NAME.state.old the one that belongs to the weights stays,
 * under the first name. Changes nothing where neither does. dpf_checkpoint_write does it, too. */
void dpf_checkpoint_settle(const char *weights_path);

/* Removes the pair, as far as it is there: the state first, for weights alone do no harm. */
void dpf_checkpoint_remove(const char *weights_path);

#endif
