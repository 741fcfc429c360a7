/* SPDX-License-Identifier: MIT
 *
 * Which kernel a convolution runs on; private to this folder.
 */
#ifndef DPF_RUNTIME_CHOOSE_H
#define DPF_RUNTIME_CHOOSE_H

#include "model.h"

/* A convolution that has no kernel yet. */
typedef struct rt_conv {
    const dpf_graph_layer *l;
    dpf_activation act;    /* to be fused */
    const float *w, *bias; /* folded; w is unused where the weights are in rt_build's rows */
    size_t nonzeros;
    size_t in; /* array of the input, as it is */
    int wide;  /* 1: the planes of the output may be wide */
    int pool;  /* 1: nobody but a maxpool of 2 x 2 reads the output, so that a kernel may do that, too */
} rt_conv;

/* A kernel made for it: one of dense, sparse and depthwise. */
typedef struct rt_choice {
    dense *dense;
    spconv *sparse;
    depthwise *depthwise;
    size_t lanes_in, lanes_out, scratch, bytes;
    int wide_in, wide_out;     /* 1: planes of the input, in the layout that it has, or of the output are wide */
    dpf_activation waiting;    /* what is left to the maxpool that follows; DPF_LINEAR_ACT: nothing */
    int pooled;                /* 1: the kernel does the maxpool */
    char kernel[64], why[160]; /* as in rt_step */
} rt_choice;

/* Makes what may serve and keeps the cheapest, by the model's options. On failure *out holds nothing. */
dpf_status rt_choose(rt_build *b, const rt_conv *conv, rt_choice *out);
/* Does the input need a conversion? */
int rt_converts(const rt_build *b, const rt_conv *conv, const rt_choice *choice);
void rt_choice_free(rt_choice *choice); /* safe on a zeroed struct, and twice */

/* tune.c: milliseconds of a run of each on this machine, with the conversion that its input needs; the least of
 * some runs, which take turns. */
dpf_status rt_measure(rt_build *b, const rt_conv *conv, const rt_choice *choices, size_t count, double *ms);

#endif
