/* SPDX-License-Identifier: MIT
 *
 * See table.h. A rule is kept as a row of its own, whose first cell is NULL.
 */
#include "table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "html.h"

void table_start(table *t, const char *align) {
    *t = (table){.columns = strlen(align), .align = align};
}

static void add(table *t, char *text) {
    if (t->count == t->room) {
        const size_t room = t->room ? 2 * t->room : 256;
        char **cells = realloc(t->cells, room * sizeof *cells);
        if (!cells) {
            t->failed = 1;
            free(text);
            return;
        }
        t->cells = cells;
        t->room = room;
    }
    t->cells[t->count++] = text;
}

void table_cell(table *t, const char *format, ...) {
    char *text = NULL;
    va_list args;
    if (t->failed)
        return;
    va_start(args, format);
    const int length = vasprintf(&text, format, args);
    va_end(args);
    if (length < 0)
        t->failed = 1;
    else
        add(t, text);
}

void table_count(table *t, size_t value) {
    char text[48];
    table_cell(t, "%s", html_fixed(text, sizeof text, (double)value, 0));
}

void table_rule(table *t) {
    for (size_t i = 0; i < t->columns && !t->failed; i++)
        add(t, NULL);
}

static void print_row(const table *t, char *const *row, const size_t *widths, FILE *out) {
    for (size_t i = 0; i < t->columns; i++) {
        const char *gap = i ? "  " : "";
        if (!row[0])
            for (size_t k = 0; k < widths[i] + strlen(gap); k++)
                fputc('-', out);
        else if (t->align[i] == 'r')
            fprintf(out, "%s%*s", gap, (int)widths[i], row[i]);
        else if (i + 1 == t->columns) /* no blanks at the end of a line */
            fprintf(out, "%s%s", gap, row[i]);
        else
            fprintf(out, "%s%-*s", gap, (int)widths[i], row[i]);
    }
    fputc('\n', out);
}

dpf_status table_print(table *t, FILE *out, dpf_error *err) {
    size_t *widths = calloc(t->columns + 1, sizeof *widths);
    dpf_status status = DPF_OK;
    if (!widths || t->failed)
        status = dpf_fail_memory(err, t->count * sizeof *t->cells, "a table");
    for (size_t i = 0; i < t->count && !status; i++) {
        const size_t length = t->cells[i] ? strlen(t->cells[i]) : 0;
        if (length > widths[i % t->columns])
            widths[i % t->columns] = length;
    }
    for (size_t i = 0; i + t->columns <= t->count && !status; i += t->columns)
        print_row(t, t->cells + i, widths, out);
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    free(t->cells);
    free(widths);
    *t = (table){0};
    return status;
}
