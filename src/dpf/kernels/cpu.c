/* SPDX-License-Identifier: MIT
 *
 * See cpu.h. AVX2 here means AVX2 with FMA; AVX-512 means F, BW, DQ and VL.
 */
#include "cpu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WIDE_CACHE 49152 /* bytes */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static dpf_isa chosen;
static int wide;

static dpf_isa detect(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        return DPF_ISA_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return DPF_ISA_AVX2;
#elif defined(__aarch64__)
    return DPF_ISA_NEON;
#endif
    return DPF_ISA_C;
}

static void choose(void) {
    chosen = detect();
    const char *cap = getenv("DPF_ISA");
    for (dpf_isa isa = DPF_ISA_C; cap && isa < chosen; ++isa)
        if (strcmp(cap, dpf_isa_name(isa)) == 0) {
            chosen = isa;
            break;
        }
#ifdef _SC_LEVEL1_DCACHE_SIZE
    wide = chosen == DPF_ISA_AVX512 && sysconf(_SC_LEVEL1_DCACHE_SIZE) >= WIDE_CACHE;
#endif
}

dpf_isa dpf_cpu_isa(void) {
    pthread_once(&once, choose);
    return chosen;
}

int dpf_cpu_wide(void) {
    pthread_once(&once, choose);
    return wide;
}

const char *dpf_isa_name(dpf_isa isa) {
    static const char *const names[] = {"c", "neon", "avx2", "avx512"};
    return names[isa];
}
