/* SPDX-License-Identifier: MIT
 *
 * A table on the terminal: cells are added row by row, columns get the width of their
 * widest cell, two blanks apart.
 */
#ifndef DPF_CLI_TABLE_H
#define DPF_CLI_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "../../dpf/core/error.h"

typedef struct table {
    size_t columns, count; /* count: of cells so far */
    const char *align;     /* 'l' or 'r' for each column */
    char **cells;
    size_t room;
    int failed; /* out of memory; every later call does nothing */
} table;

/* `align` is a string of as many letters as there are columns; it stays the caller's. */
void table_start(table *t, const char *align);
void table_cell(table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_count(table *t, size_t value); /* a cell with thousands set apart */
void table_rule(table *t);                /* a line across, between two rows */

/* Fails only for want of memory. Frees the table's content either way. */
dpf_status table_print(table *t, FILE *out, dpf_error *err);

#endif
