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

/* Which of two kinds of processors the cost models take this one for: 1, those with a first-level cache of at least
 * 48 KiB, which add and load two vectors of 64 bytes a cycle (AMD Zen 5, Intel since Ice Lake); 0, those with less,
 * which do one (AMD Zen 4). Models rank kernels; results depend on it as they do on the instruction set. */
int dpf_cpu_wide(void);

const char *dpf_isa_name(dpf_isa isa); /* "c", "neon", "avx2", "avx512" */

#endif
