/* SPDX-License-Identifier: MIT
 *
 * See half.h.
 */
#include "half.h"

/* value / 2^shift, to the nearest, ties to even; 0 < shift < 32. */
static uint32_t shift_rounding(uint32_t value, unsigned shift) {
    uint32_t kept = value >> shift, rest = value & ((1U << shift) - 1), tie = 1U << (shift - 1);
    return kept + (rest > tie || (rest == tie && (kept & 1)));
}

uint16_t dpf_half_from_bits(uint32_t single) {
    uint32_t sign = single >> 16 & 0x8000U, exponent = single >> 23 & 0xffU, fraction = single & 0x7fffffU;
    if (exponent == 255) /* a NaN keeps its upper bits, and one more so that it stays a NaN */
        return (uint16_t)(sign | 0x7c00U | (fraction ? 0x200U | fraction >> 13 : 0));
    if (exponent >= 143)
        return (uint16_t)(sign | 0x7c00U);
    if (exponent >= 113) /* a carry out of the fraction raises the exponent, up to infinity: as it should */
        return (uint16_t)(sign | (((exponent - 112) << 10) + shift_rounding(fraction, 13)));
    if (exponent < 102) /* below half of the smallest */
        return (uint16_t)sign;
    return (uint16_t)(sign | shift_rounding(fraction | 0x800000U, 126 - exponent));
}

uint32_t dpf_half_to_bits(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000U) << 16, exponent = half >> 10 & 0x1fU, fraction = half & 0x3ffU;
    if (exponent == 31)
        return sign | 0x7f800000U | fraction << 13;
    if (exponent)
        return sign | (exponent + 112) << 23 | fraction << 13;
    if (!fraction)
        return sign;
    exponent = 113;
    while (!(fraction & 0x400U)) {
        fraction <<= 1;
        --exponent;
    }
    return sign | exponent << 23 | (fraction & 0x3ffU) << 13;
}
