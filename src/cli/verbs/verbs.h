/* SPDX-License-Identifier: MIT
 *
 * What the program can be asked to do, one function a verb. Each takes the arguments
 * after its verb, and returns the program's exit status.
 */
#ifndef DPF_CLI_VERBS_H
#define DPF_CLI_VERBS_H

/* darknet classifier VERB; command_line: the whole of it, for the report. */
int classifier_train(int argc, char **argv, char *const *command_line);
int classifier_valid(int argc, char **argv);
int classifier_predict(int argc, char **argv);

/* darknet detector VERB */
int detector_train(int argc, char **argv, char *const *command_line);
int detector_test(int argc, char **argv);
int detector_valid(int argc, char **argv);
int detector_recall(int argc, char **argv);
int detector_map(int argc, char **argv);

/* darknet dpf VERB */
int dpf_convert(int argc, char **argv);     /* a trained model pruned at once, without training */
int dpf_sensitivity(int argc, char **argv); /* what the pruning of each layer alone costs */
int dpf_inspect(int argc, char **argv);     /* how sparse each layer is */
int dpf_files_pack(int argc, char **argv);
int dpf_files_unpack(int argc, char **argv);
int dpf_files_verify(int argc, char **argv);
int dpf_run_predict(int argc, char **argv); /* by our own runtime */
int dpf_run_bench(int argc, char **argv);

/* All verbs of Darknet that this program does not have itself are handed to the system's
 * own darknet program, which takes over the process. Returns only when it could not hand
 * over: says why. argv as main got it. */
int passthrough(char **argv);

#endif
