/* SPDX-License-Identifier: MIT
 *
 * The activation functions of Darknet and of its forks, and their derivatives.
 */
#ifndef DPF_KERNELS_ACTIVATION_H
#define DPF_KERNELS_ACTIVATION_H

/* The first fourteen have the values of Darknet's own enumeration. */
typedef enum dpf_activation {
    DPF_LOGISTIC_ACT,
    DPF_RELU,
    DPF_RELIE,
    DPF_LINEAR_ACT,
    DPF_RAMP,
    DPF_TANH,
    DPF_PLSE,
    DPF_LEAKY,
    DPF_ELU,
    DPF_LOGGY,
    DPF_STAIR,
    DPF_HARDTAN,
    DPF_LHTAN,
    DPF_SELU,
    DPF_STOCK_ACTIVATIONS, /* from here on: activations of forks */
    DPF_RELU6 = DPF_STOCK_ACTIVATIONS,
    DPF_MISH,
    DPF_SWISH,
    DPF_HARD_MISH,
    DPF_NORM_CHAN,
    DPF_NORM_CHAN_SOFTMAX,
    DPF_NORM_CHAN_SOFTMAX_MAXVAL,
    DPF_GELU,
    DPF_HARDSWISH,
    DPF_ACTIVATIONS /* the number of activations */
} dpf_activation;

/* f(x) of one value; the three NORM_CHAN kinds, which look at all channels of a pixel,
 * return x unchanged. */
float dpf_activate(float x, dpf_activation activation);

/* f'(x) written in terms of y = f(x), the only value that Darknet keeps; defined for
 * the stock activations, 1 for those of forks. Where f has a kink the value is
 * Darknet's choice. */
float dpf_activation_gradient(float y, dpf_activation activation);

#endif
