/* SPDX-License-Identifier: MIT
 *
 * Random numbers. SplitMix64 (Steele, Lea, Flood 2014): a counter through a mixing
 * function, so a stream is one 64-bit number. First weights, order and augmentation of
 * the pictures of every run depend on these functions: never change them.
 */
#ifndef DPF_CORE_RANDOM_H
#define DPF_CORE_RANDOM_H

#include <stdint.h>

static inline uint64_t random_mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint64_t random_next(uint64_t *state) {
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return random_mix(*state);
}

/* A stream of its own for each (seed, number). Mixing in between keeps (1, 2) and (2, 1) apart. */
static inline uint64_t random_stream(uint64_t seed, uint64_t number) {
    return random_mix(random_mix(seed + UINT64_C(0x9e3779b97f4a7c15)) + number);
}

/* Uniform in [0, n), n > 0: the high half of a 64 x 64 bit product, with the uneven rest drawn again. */
static inline uint64_t random_below(uint64_t *state, uint64_t n) {
    const uint64_t rest = (0 - n) % n;
    for (;;) {
        const unsigned __int128 product = (unsigned __int128)random_next(state) * n;
        if ((uint64_t)product >= rest)
            return (uint64_t)(product >> 64);
    }
}

#endif
