/* SPDX-License-Identifier: MIT
 *
 * See say.h.
 */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>

static void (*erase_drawing)(void);

void say_set_eraser(void (*erase)(void)) {
    erase_drawing = erase;
}

void say(const char *format, ...) {
    if (erase_drawing)
        erase_drawing();
    fflush(stdout); /* keeps the order of results and messages where both go to one file */
    va_list args;
    va_start(args, format);
    fputs("darknet: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

int say_error(const dpf_error *err) {
    say("%s", err->text);
    return EXIT_BAD;
}
