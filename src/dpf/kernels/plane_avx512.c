/* SPDX-License-Identifier: MIT
 *
 * The loops of plane.h for AVX-512.
 */
#define PLANE_TABLE dpf_plane_ops_avx512
#define PLANE_ISA "avx512"
#include "plane_body.h"
