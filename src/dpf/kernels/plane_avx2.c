/* SPDX-License-Identifier: MIT
 *
 * The loops of plane.h for AVX2.
 */
#define PLANE_TABLE dpf_plane_ops_avx2
#define PLANE_ISA "avx2"
#include "plane_body.h"
