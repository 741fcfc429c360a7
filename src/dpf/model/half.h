/* SPDX-License-Identifier: MIT
 *
 * IEEE half precision by integer arithmetic alone, on bit patterns: the result does
 * not depend on the processor, nor on flush-to-zero, which libdarknet turns on.
 */
#ifndef DPF_MODEL_HALF_H
#define DPF_MODEL_HALF_H

#include <stdint.h>

/* Bits of a float32 to those of the nearest float16, ties to even. Too large becomes infinity;
 * NaN stays NaN. */
uint16_t dpf_half_from_bits(uint32_t single);

/* Exact. */
uint32_t dpf_half_to_bits(uint16_t half);

#endif
