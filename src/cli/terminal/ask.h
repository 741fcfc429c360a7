/* SPDX-License-Identifier: MIT
 *
 * Commands that look at one picture ask for its name when none is given, as Darknet does.
 */
#ifndef DPF_CLI_ASK_H
#define DPF_CLI_ASK_H

#include "../../dpf/core/error.h"

/* Asks for names until standard input ends and has each answered; what an answer fails with is
 * said, and the next name asked for. */
void ask_pictures(dpf_status (*answer)(void *self, const char *path, dpf_error *err), void *self);

#endif
