/* SPDX-License-Identifier: MIT
 *
 * Which Darknet reads which option of a cfg, and what the option changes. Two are known:
 * Debian's package (upstream of September 2018, the one that is linked) and AlexeyAB's fork.
 *
 * What must stay true: the list is complete for both, so that a key that is not in it is a
 * slip of the finger; tests compare it with what libdarknet itself leaves unread and with
 * the tables of docs/darknets.md.
 */
#ifndef DPF_MODEL_DARKNETS_H
#define DPF_MODEL_DARKNETS_H

#include <stddef.h>
#include <stdint.h>

#include "graph.h"

#define DPF_FORK "AlexeyAB's fork"

typedef enum dpf_effect {
    DPF_EFFECT_NOTHING,  /* memory, speed, messages: no result depends on it */
    DPF_EFFECT_TRAINING, /* a forward pass is the same without it */
    DPF_EFFECT_RESULT,
} dpf_effect;

/* Wrong: Debian's Darknet reads it, and what it then computes on a CPU is of no use. */
enum { DPF_READ_BY_DEBIAN = 1, DPF_READ_BY_FORK = 2, DPF_WRONG_IN_DEBIAN = 4 };

/* Sets of layers: bit i is dpf_layer_type i. */
#define DPF_IN(type) (UINT64_C(1) << (type))
#define DPF_IN_NET (UINT64_C(1) << 63)
#define DPF_IN_LAYERS (DPF_IN(DPF_LAYER_TYPES) - 1)

typedef struct dpf_option_fact {
    uint64_t where; /* sections that may carry it */
    const char *key;
    unsigned readers;
    dpf_effect effect;
    const char *neutral; /* values, blanks between them, that are as good as no such key; "" for none */
    const char *what;    /* what it does, in a few words */
} dpf_option_fact;

extern const dpf_option_fact dpf_option_facts[];
extern const size_t dpf_option_facts_count;

/* The fact about a key of [net] (layer type DPF_LAYER_TYPES) or of a layer; NULL when no Darknet reads it there. */
const dpf_option_fact *dpf_option_find(dpf_layer_type type, const char *key);

/* A key that some Darknet reads there and that was probably meant, or NULL. */
const char *dpf_option_nearest(dpf_layer_type type, const char *key);

/* Does the value say what a Darknet that does not read the key does anyway? */
int dpf_option_is_neutral(const dpf_option_fact *fact, const char *value);

#endif
