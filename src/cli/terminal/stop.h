/* SPDX-License-Identifier: MIT
 *
 * Ctrl-C, SIGTERM and a lost terminal: the first asks the program to come to a good end (finish the
 * iteration, save, say so), the second ends it at once. A file size limit or a
 * full disk shows as a failed write, never as a signal.
 */
#ifndef DPF_CLI_STOP_H
#define DPF_CLI_STOP_H

void stop_install(void);

/* The signal that asked for the end, or 0. */
int stop_signal(void);

#endif
