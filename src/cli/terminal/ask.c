/* SPDX-License-Identifier: MIT
 *
 * See ask.h.
 */
#include "ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "say.h"

void ask_pictures(dpf_status (*answer)(void *self, const char *path, dpf_error *err), void *self) {
    char *name = NULL;
    size_t room = 0;
    dpf_error err;
    for (;;) {
        printf("Enter Image Path: ");
        fflush(stdout);
        ssize_t length = getline(&name, &room, stdin);
        if (length < 0)
            break;
        while (length && strchr(" \t\r\n", name[length - 1]))
            name[--length] = 0;
        if (length && answer(self, name, &err))
            say_error(&err);
    }
    printf("\n");
    free(name);
}
