/* SPDX-License-Identifier: MIT
 *
 * `darknet dpf predict` and `darknet dpf bench`: networks by our own runtime.
 */
#ifndef DPF_CLI_DPF_RUN_H
#define DPF_CLI_DPF_RUN_H

#include "../dpf/dpf.h"

/* Each takes the arguments after its verb, and returns the program's exit status. */
int dpf_run_predict(int argc, char **argv);
int dpf_run_bench(int argc, char **argv);

/* The word after -kernels; NULL: auto. */
dpf_status dpf_run_kernels(const char *word, dpf_kernels *out, dpf_error *err);

#endif
