/* SPDX-License-Identifier: MIT
 *
 * A matrix of weights without its zeros, row by row (a filter is a row): what a pruned
 * layer is between the file and its packed form, so that it never is in memory dense.
 *
 * What must stay true: columns ascend within a row, and no value is 0 when it is put in
 * (what is done to the values later may make one 0; readers must not mind).
 */
#ifndef DPF_CORE_ROWS_H
#define DPF_CORE_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "error.h"

typedef struct dpf_rows {
    size_t rows, width; /* of the whole matrix */
    size_t *start;      /* rows + 1: row r has entries start[r] to start[r + 1]; NULL in an empty struct */
    uint32_t *column;
    float *value;
    size_t count, room; /* entries */
} dpf_rows;

/* An all-zero matrix that has room for entries. On failure *out is empty. */
dpf_status dpf_rows_new(dpf_rows *out, size_t rows, size_t width, size_t room, dpf_error *err);
/* Puts an entry behind all others, unless it is 0; `at`: row * width + column. 0 when there is no room. */
int dpf_rows_put(dpf_rows *rows, size_t at, float value);
void dpf_rows_done(dpf_rows *rows); /* after the last one has been put */

dpf_status dpf_rows_from_dense(dpf_rows *out, const float *dense, size_t rows, size_t width, dpf_error *err);
void dpf_rows_to_dense(const dpf_rows *rows, float *dense);

void dpf_rows_free(dpf_rows *rows); /* of the content; an empty one is allowed */

#endif
