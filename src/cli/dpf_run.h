/* SPDX-License-Identifier: MIT
 *
 * `darknet dpf predict` and `darknet dpf bench`: networks by our own runtime.
 */
#ifndef DPF_CLI_DPF_RUN_H
#define DPF_CLI_DPF_RUN_H

/* Each takes the arguments after its verb, and returns the program's exit status. */
int dpf_run_predict(int argc, char **argv);
int dpf_run_bench(int argc, char **argv);

#endif
