/* SPDX-License-Identifier: MIT
 *
 * Switch for the functions of libdarknet.so that the program answers itself
 * (interpose.c). Private to this folder.
 */
#ifndef DPF_DARKNET_INTERPOSE_H
#define DPF_DARKNET_INTERPOSE_H

#include "adapter.h"

/* on=0: gemm and fill_cpu are libdarknet's own again, for comparisons with it. The
 * random numbers stay ours. */
void dn_interpose(int on);

/* The boxes that this thread's next read_boxes gives out, whatever file it is asked for; borrowed. */
void dn_interpose_boxes(const dn_boxes *boxes);

#endif
