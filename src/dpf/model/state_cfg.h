/* SPDX-License-Identifier: MIT
 *
 * Is this the cfg that a training was begun with? A .state file keeps the cfg's
 * sections and keys, without comments, blanks and what may change: one line
 * "[type]" or "key=value" each, the [dpf] section last whatever file it came from.
 *
 * What may change is max_batches alone: to train longer is no other training.
 */
#ifndef DPF_MODEL_STATE_CFG_H
#define DPF_MODEL_STATE_CFG_H

#include "cfg.h"

/* The text. `dpf`: the parsed file of -dpf FILE, or NULL; `dense`: without [dpf]. Malloc'd, the caller
 * frees; NULL: out of memory. */
char *dpf_state_cfg_text(const dpf_cfg *cfg, const dpf_cfg *dpf, int dense);

/* DPF_ERR_MISMATCH, naming file:line and the first difference, unless `text` is that of the cfg. */
dpf_status dpf_state_cfg_compare(const char *text, const dpf_cfg *cfg, const dpf_cfg *dpf, int dense, dpf_error *err);

#endif
