/* SPDX-License-Identifier: MIT
 *
 * plot [options] FILE.csv OUT.html|OUT.svg: a chart of the figures that a program
 * of this folder wrote.
 *
 *   -title TEXT      of the page; default: the name of the file
 *   -labels N        the first N columns say what a line is about, the others are
 *                    its figures; default: up to the first column of numbers only
 *   -split COLUMN    one chart for each value of that label column
 *   -columns A,B     only these columns of figures
 *   -line            lines over the last label column instead of bars
 *   -rows            bars that lie, for long labels
 *   -log             logarithmic axis
 *   -unit TEXT       what the figures are, as "ms"
 *
 * Lines that begin with # are notes (CPU, threads, date) and stand on the page as
 * they are. Columns after the labels that hold text are in the table only. An
 * empty cell is a gap. An SVG file holds one chart and nothing else.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/page/chart.h"

enum { COLUMNS = 64 };

typedef struct row {
    char *cell[COLUMNS]; /* all filled, into `text` */
    char *text;
} row;

typedef struct sheet {
    size_t columns;
    row head, *rows;
    size_t count, room;
    html_text notes; /* one a line */
} sheet;

typedef struct options {
    const char *title, *split, *columns, *unit, *input, *output;
    size_t labels;
    int line, lying, log, svg;
} options;

static void fail(const char *file, size_t line, const char *what) {
    if (line)
        fprintf(stderr, "plot: %s:%zu: %s\n", file, line, what);
    else
        fprintf(stderr, "plot: %s: %s\n", file, what);
    exit(1);
}

static void *need(void *memory) {
    if (!memory)
        fail("memory", 0, "not enough");
    return memory;
}

/* Cuts a line into cells, in place: a,"b ""c""",d. Returns their number, 0: too many or an open quote. */
static size_t cut_line(char *line, char **cell) {
    size_t n = 0;
    for (char *from = line, *to = line;; n++) {
        int quoted = *from == '"';
        if (n == COLUMNS)
            return 0;
        cell[n] = to;
        for (from += quoted; quoted ? *from : *from && *from != ','; *to++ = *from++)
            if (quoted && *from == '"' && *++from != '"')
                break;
        if (quoted && (from == line || (*from && *from != ',')))
            return 0;
        int more = *from++ == ',';
        *to++ = 0;
        if (!more)
            return n + 1;
    }
}

static void read_sheet(sheet *s, const char *path) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0, number = 0;
    if (!file)
        fail(path, 0, strerror(errno));
    for (ssize_t length; (length = getline(&line, &size, file)) >= 0;) {
        number++;
        while (length && (line[length - 1] == '\n' || line[length - 1] == '\r'))
            line[--length] = 0;
        if (line[0] == '#') {
            html_raw(&s->notes, line + 1 + (line[1] == ' '));
            html_raw(&s->notes, "\n");
        }
        if (!length || line[0] == '#')
            continue;
        row r = {.text = need(strdup(line))};
        size_t n = cut_line(r.text, r.cell);
        if (!n)
            fail(path, number, "more than 64 columns, or a quote that does not end");
        if (!s->columns) {
            s->columns = n;
            s->head = r;
            continue;
        }
        if (n != s->columns)
            fail(path, number, "another number of columns than the head");
        if (s->count == s->room) {
            s->room = s->room ? 2 * s->room : 64;
            s->rows = need(realloc(s->rows, s->room * sizeof *s->rows));
        }
        s->rows[s->count++] = r;
    }
    if (ferror(file))
        fail(path, 0, strerror(errno));
    free(line);
    fclose(file);
    if (!s->count)
        fail(path, 0, "no line of figures");
}

static void free_sheet(sheet *s) {
    for (size_t i = 0; i < s->count; i++)
        free(s->rows[i].text);
    free(s->rows);
    free(s->head.text);
    html_free(&s->notes);
}

/* 1 if all of the text is a number; an empty cell is a gap and counts as one. */
static int number_of(const char *cell, double *value) {
    char *end;
    *value = NAN;
    if (!*cell)
        return 1;
    double v = strtod(cell, &end);
    if (end == cell || *end)
        return 0;
    *value = v;
    return 1;
}

static int all_numbers(const sheet *s, size_t column) {
    double value;
    int any = 0;
    for (size_t i = 0; i < s->count; i++) {
        if (!number_of(s->rows[i].cell[column], &value))
            return 0;
        any |= !isnan(value);
    }
    return any;
}

static size_t column_of(const sheet *s, const char *name, size_t length) {
    for (size_t k = 0; k < s->columns; k++)
        if (strlen(s->head.cell[k]) == length && strncmp(s->head.cell[k], name, length) == 0)
            return k;
    return COLUMNS;
}

/* Is the column among -columns? All are when there is no such list. */
static int wanted(const options *o, const char *name) {
    if (!o->columns)
        return 1;
    for (const char *s = o->columns; *s; s += strcspn(s, ","), s += *s == ',')
        if (strlen(name) == strcspn(s, ",") && strncmp(s, name, strlen(name)) == 0)
            return 1;
    return 0;
}

static size_t series_of(const sheet *s, const options *o, size_t *columns) {
    size_t n = 0;
    for (const char *name = o->columns ? o->columns : ""; *name; name += *name == ',') {
        if (column_of(s, name, strcspn(name, ",")) == COLUMNS)
            fail(o->input, 0, "no column of a name in -columns");
        name += strcspn(name, ",");
    }
    for (size_t k = o->labels; k < s->columns; k++)
        if (wanted(o, s->head.cell[k]) && all_numbers(s, k))
            columns[n++] = k;
    if (!n)
        fail(o->input, 0, "no column of numbers behind the labels");
    return n;
}

/* The label of a line without the columns that are told elsewhere. */
static char *label_of(const sheet *s, const options *o, size_t r, size_t split) {
    html_text text = {0};
    for (size_t k = 0; k < o->labels; k++) {
        if (k == split || (o->line && k + 1 == o->labels))
            continue;
        html_raw(&text, text.length ? " \xc2\xb7 " : "");
        html_raw(&text, s->rows[r].cell[k]);
    }
    html_raw(&text, "");
    return need(text.data);
}

/* Lines of the sheet that make one chart. */
typedef struct part {
    size_t count, lines;
    double *x, *y; /* y: `lines` of the whole sheet for each column of figures */
    char **labels;
    char *names[COLUMNS]; /* of series that had to be told apart by their label */
    chart_series series[COLUMNS];
    size_t series_count;
} part;

static void add_series(part *p, const char *name, size_t from, size_t count, const double *y, int line) {
    if (p->series_count == COLUMNS)
        fail("plot", 0, "more than 64 lines in one chart");
    p->series[p->series_count] = (chart_series){.name = name,
                                                .x = line ? p->x + from : NULL,
                                                .y = y + from,
                                                .count = count,
                                                .mark = line ? CHART_POINTS : CHART_BARS,
                                                .colour = (int)p->series_count};
    p->series_count++;
}

/* With -line, lines of the sheet that follow each other with one label are one line of the chart. */
static void add_groups(part *p, const char *name, const double *y) {
    for (size_t from = 0, to; from < p->count; from = to) {
        for (to = from + 1; to < p->count && strcmp(p->labels[to], p->labels[from]) == 0;)
            to++;
        if (from == 0 && to == p->count) {
            add_series(p, name, 0, to, y, 1);
            continue;
        }
        char *text = NULL;
        if (asprintf(&text, "%s \xc2\xb7 %s", name, p->labels[from]) < 0)
            need(NULL);
        add_series(p, text, from, to - from, y, 1);
        p->names[p->series_count - 1] = text;
    }
}

static void read_part(part *p, const sheet *s, const options *o, size_t split, const char *value) {
    size_t columns[COLUMNS], n = series_of(s, o, columns);
    p->lines = s->count;
    p->x = need(calloc((n + 1) * p->lines, sizeof *p->x));
    p->y = p->x + p->lines;
    p->labels = need(calloc(p->lines, sizeof *p->labels));
    for (size_t r = 0; r < s->count; r++) {
        if (value && strcmp(s->rows[r].cell[split], value) != 0)
            continue;
        for (size_t k = 0; k < n; k++)
            (void)number_of(s->rows[r].cell[columns[k]], &p->y[k * p->lines + p->count]);
        if (!number_of(s->rows[r].cell[o->labels - 1], &p->x[p->count]) && o->line)
            fail(o->input, 0, "-line needs numbers in the last label column");
        p->labels[p->count++] = label_of(s, o, r, split);
    }
    for (size_t k = 0; k < n; k++)
        if (o->line)
            add_groups(p, s->head.cell[columns[k]], p->y + k * p->lines);
        else
            add_series(p, s->head.cell[columns[k]], 0, p->count, p->y + k * p->lines, 0);
}

static void free_part(part *p) {
    for (size_t i = 0; i < p->count; i++)
        free(p->labels[i]);
    for (size_t i = 0; i < COLUMNS; i++)
        free(p->names[i]);
    free(p->labels);
    free(p->x);
}

/* One chart of the lines whose column `split` is `value` (all, when it is NULL). */
static void draw(html_text *out, const sheet *s, const options *o, size_t split, const char *value) {
    part p = {0};
    read_part(&p, s, o, split, value);
    chart c = {.description = value ? value : o->title,
               .width = 1000,
               .height = 400,
               .class_name = "desk",
               .series = p.series,
               .series_count = p.series_count,
               .categories = (const char *const *)p.labels,
               .categories_count = p.count};
    c.x.label = o->line ? s->head.cell[o->labels - 1] : NULL;
    c.y.label = o->unit;
    c.y.log = o->log;
    void (*how)(html_text *, const chart *) = o->line ? chart_plot : o->lying ? chart_rows : chart_columns;
    if (o->svg) {
        c.title = o->title;
        c.class_name = NULL;
        c.standalone = 1;
        how(out, &c);
    } else {
        how(out, &c);
        c.class_name = "phone";
        c.phone = 1;
        c.width = 480;
        how(out, &c);
    }
    free_part(&p);
}

static void draw_table(html_text *out, const sheet *s) {
    html_raw(out, "<section class=\"card wide flow\">\n<h2>Figures</h2>\n<div class=\"scroll\"><table>\n<thead><tr>");
    int number[COLUMNS];
    for (size_t k = 0; k < s->columns; k++) {
        number[k] = all_numbers(s, k);
        html_raw(out, number[k] ? "<th>" : "<th class=\"text\">");
        html_escape(out, s->head.cell[k]);
        html_raw(out, "</th>");
    }
    html_raw(out, "</tr></thead>\n<tbody>\n");
    for (size_t r = 0; r < s->count; r++) {
        html_raw(out, "<tr>");
        for (size_t k = 0; k < s->columns; k++) {
            html_raw(out, number[k] ? "<td>" : "<td class=\"text\">");
            html_escape(out, s->rows[r].cell[k]);
            html_raw(out, "</td>");
        }
        html_raw(out, "</tr>\n");
    }
    html_raw(out, "</tbody>\n</table></div>\n</section>\n");
}

static void draw_charts(html_text *out, const sheet *s, const options *o) {
    size_t split = o->split ? column_of(s, o->split, strlen(o->split)) : COLUMNS;
    if (o->split && split >= o->labels)
        fail(o->input, 0, "-split names no label column");
    for (size_t r = 0; r < s->count; r++) {
        const char *value = o->split ? s->rows[r].cell[split] : NULL;
        size_t first = 0;
        while (value && strcmp(s->rows[first].cell[split], value) != 0)
            first++;
        if (value ? first != r : r > 0) /* drawn already */
            continue;
        html_raw(out, "<figure class=\"card wide\">\n");
        if (value) {
            html_raw(out, "<h2>");
            html_escape(out, o->split);
            html_raw(out, " ");
            html_escape(out, value);
            html_raw(out, "</h2>\n");
        }
        draw(out, s, o, split, value);
        html_raw(out, "</figure>\n");
    }
}

static void draw_page(html_text *out, const sheet *s, const options *o) {
    html_page_begin(out, o->title, chart_style());
    html_raw(out, "<h1>");
    html_escape(out, o->title);
    html_raw(out, "</h1>\n");
    if (s->notes.length) {
        html_raw(out, "<pre class=\"dim\">");
        html_escape(out, s->notes.data);
        html_raw(out, "</pre>\n");
    }
    html_raw(out, "<div class=\"grid\">\n");
    draw_charts(out, s, o);
    draw_table(out, s);
    html_raw(out, "</div>\n");
    html_page_end(out);
}

static void usage(void) {
    fputs("usage: plot [-title TEXT] [-labels N] [-split COLUMN] [-columns A,B] [-line] [-rows] [-log] [-unit TEXT]\n"
          "            FILE.csv OUT.html|OUT.svg\n",
          stderr);
    exit(2);
}

static options read_options(int argc, char **argv) {
    options o = {0};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        const char **text = strcmp(a, "-title") == 0     ? &o.title
                            : strcmp(a, "-split") == 0   ? &o.split
                            : strcmp(a, "-columns") == 0 ? &o.columns
                            : strcmp(a, "-unit") == 0    ? &o.unit
                                                         : NULL;
        if (text && next) {
            *text = next;
            i++;
        } else if (strcmp(a, "-labels") == 0 && next && atoi(next) > 0) {
            o.labels = (size_t)atoi(next);
            i++;
        } else if (strcmp(a, "-line") == 0)
            o.line = 1;
        else if (strcmp(a, "-rows") == 0)
            o.lying = 1;
        else if (strcmp(a, "-log") == 0)
            o.log = 1;
        else if (a[0] == '-' || o.output)
            usage();
        else if (o.input)
            o.output = a;
        else
            o.input = a;
    }
    if (!o.output)
        usage();
    o.svg = strlen(o.output) > 4 && strcmp(o.output + strlen(o.output) - 4, ".svg") == 0;
    if (!o.title)
        o.title = strrchr(o.input, '/') ? strrchr(o.input, '/') + 1 : o.input;
    return o;
}

int main(int argc, char **argv) {
    options o = read_options(argc, argv);
    sheet s = {0};
    html_text out = {0};
    dpf_error err;
    read_sheet(&s, o.input);
    if (!o.labels)
        for (o.labels = 1; o.labels < s.columns && !all_numbers(&s, o.labels); o.labels++)
            ;
    if (o.labels >= s.columns)
        fail(o.input, 0, "no column is left for figures");
    if (!o.svg)
        draw_page(&out, &s, &o);
    else if (o.split)
        fail(o.output, 0, "an SVG file holds one chart: -split needs OUT.html");
    else
        draw(&out, &s, &o, COLUMNS, NULL);
    dpf_status status = html_save(&out, o.output, &err);
    if (status)
        fprintf(stderr, "plot: %s\n", err.text);
    html_free(&out);
    free_sheet(&s);
    return status ? 1 : 0;
}
