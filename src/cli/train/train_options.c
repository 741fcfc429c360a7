/* SPDX-License-Identifier: MIT
 *
 * What is the same in the command line of every task that trains; see train.h.
 */
#include "train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <omp.h>

#include "../../dpf/model/modelfile.h"
#include "../terminal/args.h"

dpf_status train_options_take(train_options *o, const char *command, const char *const words[3],
                              char *const *command_line, dpf_error *err) {
    if (o->dense && o->dpf)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "-dense and -dpf contradict each other; give one of them");
    if (words[2] && dpf_modelfile_is_packed(words[2]))
        return dpf_fail(err, DPF_ERR_ARGUMENT,
                        "'%s' holds its own cfg: leave '%s' out, or make .weights of it by 'darknet dpf unpack'",
                        words[2], words[1]);
    if (o->kernels && strcmp(o->kernels, "auto") != 0 && strcmp(o->kernels, "dense") != 0)
        return dpf_fail(err, DPF_ERR_ARGUMENT, "-kernels %s is not known (allowed: auto, dense)", o->kernels);
    o->cfg = words[1];
    o->weights = words[2];
    o->command = args_join(command_line);
    if (asprintf(&o->resume, "%s %s %s", command, words[0], words[1]) < 0)
        o->resume = NULL;
    if (!o->command || !o->resume)
        return dpf_fail_memory(err, 4096, "the command line");
    if (o->threads)
        omp_set_num_threads((int)o->threads);
    return DPF_OK;
}

void train_options_free(train_options *o) {
    free(o->command);
    free(o->resume);
}
