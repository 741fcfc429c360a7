/* SPDX-License-Identifier: MIT
 *
 * Functions that libdarknet.so calls by name and that the program answers instead: a
 * strong definition in the program wins over the library's own, because the library
 * was linked to allow it.
 *
 *   rand, srand   repeatable streams (random.h)
 *   gemm          OpenBLAS, for the layers that are not hooked (connected, recurrent, ...)
 *   fill_cpu      the clearing of all deltas before each forward pass, on all cores
 *   read_boxes    label files: boxes that were read and checked before (its own exits where
 *                 a file is missing, and stops at a bad line without a word)
 *
 * What must stay true: same arguments, same meaning as Darknet's; except that deltas
 * which our layers overwrite are not cleared (layout.h).
 */
#include <cblas.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "../core/random.h"
#include "hooks.h"
#include "interpose.h"
#include "random.h"

static _Thread_local uint64_t state = 1;

int rand(void) {
    return (int)(random_next(&state) >> 33); /* 0 .. 2^31 - 1 = RAND_MAX */
}

void srand(unsigned seed) {
    state = seed;
}

void dn_random_set(uint64_t seed, enum dn_stream stream, uint64_t iteration, uint64_t index) {
    uint64_t s = seed;
    s = random_next(&s) ^ (uint64_t)stream;
    s = random_next(&s) ^ iteration;
    s = random_next(&s) ^ index;
    state = random_next(&s);
}

typedef void gemm_function(int TA, int TB, int M, int N, int K, float ALPHA, float *A, int lda, float *B, int ldb,
                           float BETA, float *C, int ldc);
gemm_function gemm;

static int plain;

void dn_interpose(int on) {
    plain = !on;
}

/* libdarknet's own function of that name, which ours hides. */
static void *hidden(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

void gemm(int TA, int TB, int M, int N, int K, float ALPHA, float *A, int lda, float *B, int ldb, float BETA, float *C,
          int ldc) {
    if (plain) {
        gemm_function *own;
        *(void **)&own = hidden("gemm");
        own(TA, TB, M, N, K, ALPHA, A, lda, B, ldb, BETA, C, ldc);
        return;
    }
    cblas_sgemm(CblasRowMajor, TA ? CblasTrans : CblasNoTrans, TB ? CblasTrans : CblasNoTrans, M, N, K, ALPHA, A, lda,
                B, ldb, BETA, C, ldc);
}

void fill_cpu(int N, float ALPHA, float *X, int INCX) {
    if (plain) {
        void (*own)(int, float, float *, int);
        *(void **)&own = hidden("fill_cpu");
        own(N, ALPHA, X, INCX);
        return;
    }
    if (ALPHA == 0 && INCX == 1 && N > 0) {
        if (dn_hooks_skip_zeros(X, N))
            return;
        const long block = 1 << 18;
#pragma omp parallel for schedule(static) if (N > block)
        for (long i = 0; i < N; i += block)
            memset(X + i, 0, sizeof(float) * (size_t)(N - i < block ? N - i : block));
        return;
    }
    for (int i = 0; i < N; ++i)
        X[(size_t)i * (size_t)INCX] = ALPHA;
}

static _Thread_local const dn_boxes *next_boxes;

void dn_interpose_boxes(const dn_boxes *boxes) {
    next_boxes = boxes;
}

box_label *read_boxes(char *filename, int *n) {
    (void)filename;
    const size_t count = next_boxes ? next_boxes->count : 0;
    box_label *labels = calloc(count + 1, sizeof *labels);
    *n = labels ? (int)count : 0;
    for (int i = 0; i < *n; ++i) {
        const dn_box *b = &next_boxes->list[i];
        labels[i] = (box_label){b->class,        b->x,           b->y, b->w, b->h, b->x - b->w / 2, b->x + b->w / 2,
                                b->y - b->h / 2, b->y + b->h / 2};
    }
    return labels;
}
