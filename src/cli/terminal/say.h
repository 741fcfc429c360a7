/* SPDX-License-Identifier: MIT
 *
 * What the program tells its user outside of its results: errors, warnings and
 * notes, all on stderr, all starting with "darknet: ". A progress bar that is
 * being drawn registers itself here, so that no message is written into it.
 */
#ifndef DPF_CLI_SAY_H
#define DPF_CLI_SAY_H

#include "../../dpf/core/error.h"

/* Exit statuses of the program. A signal adds its own: 128 + number. */
enum { EXIT_GOOD = 0, EXIT_BAD = 1 };

void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says the error's text and returns EXIT_BAD, to end a command with. */
int say_error(const dpf_error *err);

/* `erase` is called before each message; NULL: nothing is being drawn. */
void say_set_eraser(void (*erase)(void));

#endif
