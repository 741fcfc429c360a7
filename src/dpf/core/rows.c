/* SPDX-License-Identifier: MIT
 *
 * See rows.h.
 */
#include "rows.h"

#include <stdlib.h>
#include <string.h>

dpf_status dpf_rows_new(dpf_rows *out, size_t rows, size_t width, size_t room, dpf_error *err) {
    size_t all;
    *out = (dpf_rows){.rows = rows, .width = width, .room = room};
    if (width > UINT32_MAX || __builtin_mul_overflow(rows, width, &all) || room > all) {
        *out = (dpf_rows){0};
        return dpf_fail(err, DPF_ERR_RANGE, "%zu rows of %zu weights, %zu of them not 0: too large", rows, width, room);
    }
    out->start = calloc(rows + 1, sizeof *out->start);
    out->column = malloc((room + 1) * sizeof *out->column);
    out->value = malloc((room + 1) * sizeof *out->value);
    if (!out->start || !out->column || !out->value) {
        dpf_rows_free(out);
        return dpf_fail_memory(err, room * (sizeof *out->column + sizeof *out->value), "weights");
    }
    return DPF_OK;
}

int dpf_rows_put(dpf_rows *rows, size_t at, float value) {
    if (value == 0)
        return 1;
    if (rows->count == rows->room)
        return 0;
    rows->column[rows->count] = (uint32_t)(at % rows->width);
    rows->value[rows->count++] = value;
    rows->start[at / rows->width + 1] = rows->count;
    return 1;
}

void dpf_rows_done(dpf_rows *rows) {
    for (size_t r = 0; r < rows->rows; r++) /* of a row without entries nothing was noted */
        if (rows->start[r + 1] < rows->start[r])
            rows->start[r + 1] = rows->start[r];
}

dpf_status dpf_rows_from_dense(dpf_rows *out, const float *dense, size_t rows, size_t width, dpf_error *err) {
    size_t count = 0;
    for (size_t i = 0; i < rows * width; i++)
        count += dense[i] != 0;
    dpf_status status = dpf_rows_new(out, rows, width, count, err);
    if (status != DPF_OK)
        return status;
    for (size_t i = 0; i < rows * width; i++)
        if (dense[i] != 0)
            (void)dpf_rows_put(out, i, dense[i]);
    dpf_rows_done(out);
    return DPF_OK;
}

void dpf_rows_to_dense(const dpf_rows *rows, float *dense) {
    memset(dense, 0, rows->rows * rows->width * sizeof *dense);
    for (size_t r = 0; r < rows->rows; r++)
        for (size_t i = rows->start[r]; i < rows->start[r + 1]; i++)
            dense[r * rows->width + rows->column[i]] = rows->value[i];
}

void dpf_rows_free(dpf_rows *rows) {
    free(rows->start);
    free(rows->column);
    free(rows->value);
    *rows = (dpf_rows){0};
}
