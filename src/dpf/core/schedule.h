/* SPDX-License-Identifier: MIT
 *
 * The target sparsity over time, s_t, and the iterations at which the mask may
 * change. Pure functions of the options and t.
 *
 * What must stay true: s_t never falls, is exactly `final` from `end` on, and
 * `end` itself is an update point, so that the ramp lands whatever p is.
 */
#ifndef DPF_CORE_SCHEDULE_H
#define DPF_CORE_SCHEDULE_H

#include <stddef.h>

#include "options.h"

/* s_t on the way to `final` (s_f, or a layer's own target): 0 before `begin`,
 * then from initial_sparsity (or `final`, if that is lower) up to `final`. */
double dpf_schedule_target(const dpf_options *options, double final, size_t t);

/* 1 when the mask may change at t: begin <= t <= hold, and t is a multiple of
 * update_every or exactly `end`. */
int dpf_schedule_is_update(const dpf_options *options, size_t t);

/* The last update point that is not after t. 0 when there is none yet. */
int dpf_schedule_last_update(const dpf_options *options, size_t t, size_t *update);

#endif
