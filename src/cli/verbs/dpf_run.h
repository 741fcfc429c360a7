/* SPDX-License-Identifier: MIT
 *
 * What `darknet dpf predict` and `darknet dpf bench` share.
 */
#ifndef DPF_CLI_DPF_RUN_H
#define DPF_CLI_DPF_RUN_H

#include "../../dpf/dpf.h"

/* The word after -kernels; NULL: auto. */
dpf_status dpf_run_kernels(const char *word, dpf_kernels *out, dpf_error *err);

#endif
