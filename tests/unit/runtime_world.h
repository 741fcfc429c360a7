/* SPDX-License-Identifier: MIT
 *
 * For tests of the runtime: networks from text, inputs, outputs.
 */
#ifndef DPF_TEST_RUNTIME_WORLD_H
#define DPF_TEST_RUNTIME_WORLD_H

#include <stddef.h>
#include <stdint.h>

#include "dpf/dpf.h"

#define NET "[net]\nwidth=32\nheight=32\nchannels=3\n"
#define CONV(filters, size, more) "[convolutional]\nsize=" #size "\npad=1\nfilters=" #filters "\n" more "\n"
#define YOLO "[yolo]\nmask=0,1\nanchors=4,5,10,12\nclasses=3\nnum=2\n"

/* A little of everything: pooling, groups of a route, a shortcut, a route of two, a head. */
extern const char world_detector[];

/* Setup and teardown of a group: a folder for the cfg. */
int world_setup(void **unused);
int world_teardown(void **unused);
const char *world_path(void); /* of the cfg */
void world_write(const char *text);

/* With random weights. */
dpf_model *world_load(const char *text, dpf_model_options options);
float *world_input(size_t count, uint64_t seed); /* 0 to 1; the caller frees it */

/* Runs picture 0; a copy of the last output. */
float *world_run(const dpf_model *m, dpf_context *c, const float *input, size_t *count);

#endif
