/* SPDX-License-Identifier: MIT
 *
 * `darknet dpf convert`: a trained model pruned at once, without training.
 * `darknet dpf sensitivity`: what the pruning of each layer alone costs.
 */
#ifndef DPF_CLI_DPF_CONVERT_H
#define DPF_CLI_DPF_CONVERT_H

/* Each takes the arguments after its verb, and returns the program's exit status. */
int dpf_convert(int argc, char **argv);
int dpf_sensitivity(int argc, char **argv);

#endif
