/* SPDX-License-Identifier: MIT
 *
 * `darknet dpf ...`: pack, unpack and verify .dpf files.
 */
#ifndef DPF_CLI_DPF_FILES_H
#define DPF_CLI_DPF_FILES_H

/* Each takes the arguments after its verb, and returns the program's exit status. */
int dpf_files_pack(int argc, char **argv);
int dpf_files_unpack(int argc, char **argv);
int dpf_files_verify(int argc, char **argv);

#endif
