/* SPDX-License-Identifier: MIT
 *
 * What tests of convolutions share: arrays between guard values, the definition of
 * conv.h as a plain loop in double precision, and blocks of channels.
 */
#ifndef TEST_CONV_ORACLE_H
#define TEST_CONV_ORACLE_H

#include <stddef.h>
#include <stdint.h>

#include "dpf/kernels/conv.h"

/* n random floats between two runs of guard values; release checks those. */
float *guarded(size_t n);
void release(float *x, size_t n);

/* n doubles: those of `from`, or zeros; for free(). */
double *doubles(const float *from, size_t n);

/* Fails the test unless each value is near enough; see the head of test_kernels_dense.c. */
void close_to(const char *what, const dpf_conv_shape *s, const float *got, const double *want, size_t n);

/* Visits every (output, weight, input) triple of the definition; y, dw and dx are added to. */
void oracle(const dpf_conv_shape *s, const float *x, const float *w, const float *dy, double *y, double *dw,
            double *dx);

/* from: planes x hw plain; to: the same in blocks of 16 planes; or back. blocked 0: a copy. */
void to_blocks(const float *from, float *to, size_t planes, size_t hw, int blocked, int back);

/* Context of two chunk hooks that count how often each picture is passed. */
typedef struct chunk_check {
    const float *dy; /* blocked: what `before` hands over */
    float *y;        /* the whole result */
    size_t y_floats; /* of a picture */
    int seen[48];    /* how often each picture was passed */
} chunk_check;
void see_chunk(void *context, int first, int count, int threads, float *y);  /* after */
void make_chunk(void *context, int first, int count, int threads, float *y); /* before */
void expect_seen(chunk_check *check, int batch);                             /* each once; and from 0 again */

#endif
