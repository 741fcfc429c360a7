/* SPDX-License-Identifier: MIT
 *
 * Picks the loops of plane.h for this CPU.
 */
#include "plane.h"

#include "cpu.h"

const plane_ops *dpf_plane_ops(void) {
#if defined(__x86_64__)
    if (dpf_cpu_isa() >= DPF_ISA_AVX512)
        return &dpf_plane_ops_avx512;
    if (dpf_cpu_isa() >= DPF_ISA_AVX2)
        return &dpf_plane_ops_avx2;
#endif
    return &dpf_plane_ops_c;
}
