/* SPDX-License-Identifier: MIT
 *
 * What runs a network for the commands that look at pictures: libdarknet with our
 * convolutions in it, or our own runtime. `detector test`, `valid`, `recall` and `map`
 * and `classifier valid` know nothing else of a network.
 *
 * What must stay true: both get the same floats, prepared by Darknet's loader, and what
 * comes out differs by rounding only.
 */
#ifndef DPF_CLI_ENGINE_H
#define DPF_CLI_ENGINE_H

#include "../../dpf/darknet/adapter.h"
#include "../../dpf/model/detections.h"

typedef struct engine engine;

typedef enum engine_choice {
    ENGINE_EITHER = 0, /* our runtime where it can run the cfg */
    ENGINE_DARKNET = 1,
    ENGINE_RUNTIME = 2 /* or an error */
} engine_choice;

/* The word after -engine; NULL: either. */
dpf_status engine_parse(const char *word, engine_choice *out, dpf_error *err);

typedef struct engine_args {
    const char *cfg, *weights;
    const char *dpf; /* file with the [dpf] section, or NULL; only Darknet's engine looks at it */
    int threads;     /* 0: all cores */
    engine_choice choice;
} engine_args;

/* A detector. Fails unless the network ends with [yolo] or [region]. On failure *out is NULL. */
dpf_status engine_open(engine **out, const engine_args *args, dpf_error *err);

/* The same for a network that is open already, with batch = 1; it stays the caller's. */
dpf_status engine_wrap(engine **out, dn_net *net, dpf_error *err);

/* A classifier that is open already and stays the caller's; it takes `batch` pictures a run. Where our runtime
 * is to run it, it is loaded from args besides: the network is for Darknet's loader then. */
dpf_status engine_classifier(engine **out, dn_net *net, const engine_args *args, int batch, dpf_error *err);
void engine_close(engine *engine); /* NULL is allowed */

int engine_width(const engine *engine);
int engine_height(const engine *engine);
int engine_classes(const engine *engine);

/* scaled: 3 planes of the network's size. w, h: sides of the picture before the
 * letterbox, 0 when it was scaled plainly. The caller frees *out. */
dpf_status engine_detect(engine *engine, const float *scaled, int w, int h, float threshold, dpf_detections *out,
                         dpf_error *err);

/* The first `count` pictures of data, `count` <= batch; output: count * outputs floats. */
dpf_status engine_classify(engine *engine, const dn_data *data, size_t count, float *output, dpf_error *err);

#endif
