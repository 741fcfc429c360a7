/* SPDX-License-Identifier: MIT
 *
 * The random numbers of Darknet, made repeatable. Darknet draws everything (weights,
 * crops, flips, dropout) from rand(), one stream shared by all its threads, so no two
 * runs agree. The program defines rand() itself: a stream per thread, which this
 * adapter sets before each piece of work from what the piece is. Private to this folder.
 */
#ifndef DPF_DARKNET_RANDOM_H
#define DPF_DARKNET_RANDOM_H

#include <stdint.h>

/* Which piece of work a stream belongs to. */
enum dn_stream { DN_STREAM_WEIGHTS = 1, DN_STREAM_IMAGE = 2, DN_STREAM_TRAIN = 3, DN_STREAM_SIZE = 4 };

/* Sets this thread's stream to a function of its arguments. */
void dn_random_set(uint64_t seed, enum dn_stream stream, uint64_t iteration, uint64_t index);

#endif
