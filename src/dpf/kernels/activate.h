/* SPDX-License-Identifier: MIT
 *
 * An activation over a whole array, by the vector kernels that spconv fuses into its
 * stores: exponentials within about 1e-6 of dpf_activate, the rest equal to it.
 */
#ifndef DPF_KERNELS_ACTIVATE_H
#define DPF_KERNELS_ACTIVATE_H

#include <stddef.h>

#include "activation.h"

/* x = act(x), in place. The result does not depend on the number of threads. */
void dpf_activate_array(float *x, size_t count, dpf_activation act, int threads);

#endif
