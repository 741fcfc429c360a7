/* SPDX-License-Identifier: MIT
 *
 * Switch for the functions of libdarknet.so that the program answers itself
 * (interpose.c). Private to this folder.
 */
#ifndef DPF_DARKNET_INTERPOSE_H
#define DPF_DARKNET_INTERPOSE_H

/* on=0: gemm and fill_cpu are libdarknet's own again, for comparisons with it. The
 * random numbers stay ours. */
void dn_interpose(int on);

#endif
