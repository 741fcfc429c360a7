/* SPDX-License-Identifier: MIT
 *
 * What a context is made of; private to this folder.
 */
#ifndef DPF_RUNTIME_CONTEXT_H
#define DPF_RUNTIME_CONTEXT_H

#include "model.h"

/* The picture behind an input, for the boxes. width 0: none. */
typedef struct rt_picture {
    int width, height;
    dpf_fit fit;
} rt_picture;

struct dpf_context {
    const dpf_model *model;
    float *arena;
    dense_call **calls; /* one a step; NULL where it is not dense */
    const float **in;   /* inputs of the step at hand */
    rt_picture *pictures;
    float *part; /* picture.c: the picture stretched in one direction */
    size_t part_floats;
    dpf_object *found;
    size_t found_room;
};

float *rt_memory(const dpf_context *c, size_t array);

/* Grows *array to `count` floats, content lost. */
dpf_status rt_grow(float **array, size_t *room, size_t count, dpf_error *err);

/* detect.c: boxes with all classes above the threshold, before suppression. */
dpf_status rt_check_image(const dpf_context *c, int image, dpf_error *err);

/* nms.c: sets the probability of suppressed entries to 0, then sorts and counts the rest. */
size_t rt_suppress(dpf_object *found, size_t count, double overlap, int diou, double beta);

#endif
