/* SPDX-License-Identifier: MIT
 *
 * What runs a detector's network for `detector test`, `valid`, `recall` and `map`:
 * scaled pictures in, boxes out. These commands know nothing else of a network, so
 * that another way to run one has its place here and nowhere else.
 */
#ifndef DPF_CLI_ENGINE_H
#define DPF_CLI_ENGINE_H

#include "../dpf/darknet/adapter.h"
#include "../dpf/model/detections.h"

typedef struct engine engine;

typedef struct engine_args {
    const char *cfg, *weights;
    const char *dpf; /* file with the [dpf] section, or NULL */
    int threads;     /* 0: all cores */
} engine_args;

/* Fails unless the network is a detector. On failure *out is NULL. */
dpf_status engine_open(engine **out, const engine_args *args, dpf_error *err);

/* The same for a network that is open already, with batch = 1; it stays the caller's. */
dpf_status engine_wrap(engine **out, dn_net *net, dpf_error *err);
void engine_close(engine *engine); /* NULL is allowed */

int engine_width(const engine *engine);
int engine_height(const engine *engine);
int engine_classes(const engine *engine);
const char *engine_cfg(const engine *engine); /* file name, for messages */

/* scaled: 3 planes of the network's size. w, h: sides of the picture before the
 * letterbox, 0 when it was scaled plainly. The caller frees *out. */
dpf_status engine_detect(engine *engine, const float *scaled, int w, int h, float threshold, dpf_detections *out,
                         dpf_error *err);

#endif
