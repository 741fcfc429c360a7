/* SPDX-License-Identifier: MIT
 *
 * NAME_log.csv: one line an iteration, on disk as soon as it happened; the last field is
 * empty except where the model was scored. A run that
 * goes on at iteration t keeps the lines up to t of an earlier log.
 */
#ifndef DPF_CLI_LOG_H
#define DPF_CLI_LOG_H

#include <stddef.h>

#include "../../dpf/core/error.h"
#include "../page/report.h"

typedef struct train_log train_log;

/* Starts the log with the lines up to iteration `start` of the file that is there,
 * if there is one and it is a log; replaces the file in one step. */
dpf_status train_log_open(train_log **out, const char *path, size_t start, dpf_error *err);
/* DPF_ERR_IO: the row is kept and written with the next one, whenever that succeeds. */
dpf_status train_log_add(train_log *log, const report_row *row, dpf_error *err);
dpf_status train_log_close(train_log *log, dpf_error *err); /* NULL is allowed; frees in any case */

/* All rows, those taken over included. */
const report_row *train_log_rows(const train_log *log, size_t *count);

#endif
