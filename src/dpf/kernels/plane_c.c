/* SPDX-License-Identifier: MIT
 *
 * The loops of plane.h for portable C.
 */
#define PLANE_TABLE dpf_plane_ops_c
#define PLANE_ISA "c"
#include "plane_body.h"
