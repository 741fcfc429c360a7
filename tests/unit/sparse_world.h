/* SPDX-License-Identifier: MIT
 *
 * For tests of the sparse convolution: the definition as a sum in double precision, and runs that are compared
 * with it, with guard words around output and scratch and with scratch full of NaN.
 *
 * Tolerance: a sum of n products in single precision, in any order, is within
 * n * 2^-24 * (sum of the products' magnitudes) of the true sum, to first order. The
 * fused activations add one rounding; the smooth ones, from a polynomial exp, are
 * allowed 1e-6 relative to 1 + |x|.
 */
#ifndef TEST_SPARSE_WORLD_H
#define TEST_SPARSE_WORLD_H

#include <stddef.h>

#include "dpf/kernels/spconv.h"

double sparse_uniform(void); /* from 0 to below 1, always the same ones */
size_t sparse_below(size_t n);
float *sparse_fill(size_t count);                           /* random, from -1 to 1; for free() */
void sparse_prune(float *w, size_t count, double density);  /* about that share stays */
size_t sparse_out_count(const dpf_conv_shape *s, int pool); /* floats of the output */

/* Fails the test unless `got` is the output, or where `pool` the largest of each 2 x 2 of it. */
void sparse_compare(const dpf_conv_shape *s, dpf_activation act, const float *x, const float *w, const float *bias,
                    const float *got, int pool, const char *what);

/* Runs one case and compares; the output begins `off` floats behind a multiple of 64 bytes. */
void sparse_run(const dpf_conv_shape *s, dpf_activation act, const float *x, const float *w, const float *bias,
                spconv_options o, size_t off);

/* One shape at one density: every instruction set, default and forced tiles, threads. */
void sparse_run_case(dpf_conv_shape s, dpf_activation act, double density, int with_bias);

#endif
