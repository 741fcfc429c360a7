/* SPDX-License-Identifier: MIT
 *
 * Which instruction set the kernels use: the best this CPU has, or less when the
 * environment variable DPF_ISA (c, avx2, avx512, neon) caps it.
 */
#ifndef DPF_KERNELS_CPU_H
#define DPF_KERNELS_CPU_H

typedef enum dpf_isa { DPF_ISA_C = 0, DPF_ISA_NEON = 1, DPF_ISA_AVX2 = 2, DPF_ISA_AVX512 = 3 } dpf_isa;

/* Read once, then constant for the process. An unknown name in DPF_ISA means no cap. */
dpf_isa dpf_cpu_isa(void);

const char *dpf_isa_name(dpf_isa isa); /* "c", "neon", "avx2", "avx512" */

#endif
