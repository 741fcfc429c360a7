/* SPDX-License-Identifier: MIT
 *
 * Two networks of one cfg, one with our layers and one as libdarknet made it, for tests
 * that compare them.
 */
#ifndef TESTS_UNIT_DARKNET_FIDELITY_H
#define TESTS_UNIT_DARKNET_FIDELITY_H

#include "dpf/darknet/hooks.h"

typedef struct pass {
    network *net;
    dn_hooks hooks;
} pass;

void open_pass(pass *p, const char *text, int hooked);
void close_pass(pass *p);

/* Ours and Darknet's with the same weights; blocked: tensors in blocks of channels where we can. */
void open_pair(pass *ours, pass *theirs, const char *text, int blocked);

/* Two iterations by Darknet's own loops, so that deltas and gradients of the first meet the second. */
void two_iterations(pass *p, float *input, const float *gradient);

void update_all(pass *p);

/* Fails the test unless each of n values lies within tolerance times the largest of b. */
void same(const char *what, const char *text, const float *a, const float *b, size_t n, float tolerance);

/* The same for gradients and running statistics of a convolution. */
void compare_parameters(const char *text, const layer *a, const layer *b, float tolerance);

/* malloc'd, from -scale to scale */
float *random_floats(size_t n, float scale);

/* Sends what Darknet prints on fd to nowhere. Returns what unmute wants. */
int mute(int fd);
void unmute(int fd, int saved);

#endif
