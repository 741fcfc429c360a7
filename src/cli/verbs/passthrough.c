/* SPDX-License-Identifier: MIT
 *
 * See verbs.h: what this program leaves to Darknet.
 */
#include "verbs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../dpf/model/modelfile.h"
#include "../terminal/say.h"

static const char SYSTEM_PROGRAM[] = "/usr/bin/darknet";
static const char GUARD[] = "DARKNET_PASSED_ON"; /* set for the program we start: it must not come back to us */

static int is_this_program(const char *path) {
    struct stat self, other;
    return stat("/proc/self/exe", &self) == 0 && stat(path, &other) == 0 && self.st_dev == other.st_dev &&
           self.st_ino == other.st_ino;
}

int passthrough(char **argv) {
    const char *asked = getenv("DARKNET_PROGRAM");
    const char *program = asked && asked[0] ? asked : SYSTEM_PROGRAM;
    if (getenv(GUARD)) {
        say("'%s' is not one of this program's verbs, and the program that it was handed to, '%s', came back here; set "
            "DARKNET_PROGRAM to a Darknet program",
            argv[1], program);
        return EXIT_BAD;
    }
    if (is_this_program(program)) {
        say("'%s' is handed on to '%s', but that is this program itself; set DARKNET_PROGRAM to a Darknet program",
            argv[1], program);
        return EXIT_BAD;
    }
    for (int i = 2; argv[i]; i++) /* Darknet would take it for a cfg, and crash */
        if (dpf_modelfile_is_packed(argv[i])) {
            say("'%s' is a .dpf, and '%s' is handed on to Darknet's own program, which knows none: make CFG WEIGHTS of "
                "it by 'darknet dpf unpack', or try 'darknet dpf predict'",
                argv[i], argv[1]);
            return EXIT_BAD;
        }
    setenv(GUARD, "1", 1);
    argv[0] = (char *)program;
    execv(program, argv);
    say("'%s' is handed on to Darknet's own program, but '%s' cannot be started: %s; install the package darknet or "
        "set DARKNET_PROGRAM",
        argv[1], program, strerror(errno));
    return EXIT_BAD;
}
