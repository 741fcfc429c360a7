/* SPDX-License-Identifier: MIT
 *
 * Verbs of Darknet that this program does not have itself are handed to the
 * system's own darknet program, which takes over the process.
 */
#ifndef DPF_CLI_PASSTHROUGH_H
#define DPF_CLI_PASSTHROUGH_H

/* Returns only when it could not hand over: says why, and returns the exit status.
 * argv as main got it. */
int passthrough(char **argv);

#endif
